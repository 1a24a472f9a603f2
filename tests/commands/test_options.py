"""Options that are misspelt, out of bounds, or would run something: one line before any work, nothing written."""

import json
import os
from functools import partial

import pytest

from naswot_lightning.cli import run_named
from tests.commands.ends import contents, refused

search_main = partial(run_named, "search")

SMALL = "|skip_connect~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"
GIVEN = {"search.py": ("--run_dir", "run"), "train.py": ("--run_dir", "run", "--architecture", SMALL)}
BILLION = "1000000000"
CALL = {"class_path": "subprocess.Popen", "init_args": {"args": "touch canary", "shell": True}}


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_search_mistake_is_one_line_with_the_cure(place, capsys):
    for words, message in (
        ("--space nasbench202", "unknown space 'nasbench202', expected one of nasbench201"),
        ("--dataset cifar11", "did you mean 'cifar10'?"),
        ("--score naswto", "did you mean 'naswot'?"),
        ("--algorithm rnd", "expected one of random"),
        ("--sampels 3", "unknown option --sampels; did you mean --samples?"),
        ("--samples many", "--samples: expected a whole number or all, got many"),
        ("--image_size large", "--image_size: expected a whole number, got large"),
        ("--batch_size 1", "--batch_size 1: expected at least 2"),
        ("--samples 0", "--samples 0: expected at least 1"),
        ("--budget .nan", "--budget nan: expected at least 0"),
        ("--timeout .inf", "--timeout inf: expected at least 1"),
        ("--batch_size 10001", "--batch_size 10001: expected at most 10,000; the kernel of N images takes 8 N^2 bytes"),
        ("--batch_size 10000 --probe_size 600", "600 x 600 images: the images alone take 40 GiB; use fewer"),
        ("--device cuda:77", "--device cuda:77"),
        ("--dataset imagefolder --data_dir absent", "absent has no train/ folder"),
        ("--architectures absent.txt", "--architectures absent.txt: no such file"),
        ("--wandb.mode maybe", "--wandb.mode"),
        ("--run_dir /proc/run --samples 2", "/proc/run"),
    ):
        assert message in refused(capsys, "search.py", *GIVEN["search.py"], *words.split())
        assert not contents(place)


@pytest.mark.parametrize(
    ("script", "options"),
    [
        (
            "search.py",
            "--space . --space .. --space= --probe_size N --repeats N --samples N --workers N "
            f"--seed {2**32} --seed {'9' * 5000} --seed -1 --device gpu9 --precision 17 --wandb.project a/b "
            "--wandb.group=",
        ),
        (
            "train.py",
            "--space . --early_points N --batch_size N --epochs N --probe_batch_size N --probe_batch_size 1 "
            "--probe_split val --score_batch_norm eval --devices N --image_size N --threads 0 "
            f"--seed {2**32} --seeds 1,{2**32} --seeds 7,07 --seeds 7, --seeds [] --precision 17 --strategy dpp "
            "--accelerator qpu --lr nan --lr inf --drop_path nan --wandb.project a/b "
            "--trainer.limit_train_batches abc --trainer.profiler cProfile.Profile --trainer.limit_train_batches=-1",
        ),
    ],
)
def test_value_out_of_bounds_is_one_short_line_that_names_the_option(place, capsys, script, options):
    for option in options.replace(" N", f" {BILLION}").split(" --"):
        words = f"--{option.removeprefix('--')}".split(" ")
        error = refused(capsys, script, *GIVEN[script], *words)
        assert words[0].partition("=")[0].removeprefix("--") in error, error
        assert len(error) < 1000
        assert not contents(place)


def test_list_of_architectures_that_is_bad_leaves_a_finished_run_as_it_was(place, capsys):
    words = ["--run_dir", "run", "--samples", "2", "--batch_size", "4", "--wandb.mode", "disabled"]
    assert search_main(words) == 0
    for content in ("", "nonsense\n", "index,arch\n1,oops\n", "\xff\n"):
        (place / "list").write_bytes(content.encode("latin-1"))
        before = contents(place)
        refused(capsys, "search.py", *words, "--architectures", "list", "--overwrite")
        assert contents(place) == before


def test_value_of_a_file_or_an_option_is_never_called(place, capsys):
    for script, content in (
        ("train.py", {"trainer": {"profiler": CALL}}),
        ("train.py", {"trainer": {"callbacks": [CALL]}}),
        ("train.py", {"trainer": CALL}),
        ("train.py", {"wandb": {"group": CALL}}),
        ("train.py", {"seeds": [CALL]}),
        ("search.py", {"space": CALL}),
        ("search.py", {"samples": CALL}),
        ("search.py", CALL),
    ):
        (place / "c.yaml").write_text(json.dumps(content))
        refused(capsys, script, "--config", "c.yaml", "--run_dir", "run")
        assert list(contents(place)) == ["c.yaml"]
    (place / "c.yaml").unlink()
    for words in (
        ("--trainer.profiler", json.dumps(CALL)),
        ("--trainer.profiler.class_path", "subprocess.Popen", "--trainer.profiler.init_args.args", "touch canary"),
        ("--trainer.callbacks+", json.dumps(CALL)),
        ("--trainer.logger", "subprocess.Popen"),
        ("--trainer.profiler", "!!python/object/apply:os.system ['touch canary']"),
        ("--wandb", json.dumps(CALL)),
    ):
        refused(capsys, "train.py", *GIVEN["train.py"], "--wandb.mode", "disabled", *words)
        assert not contents(place)


def test_file_of_options_that_is_none_or_says_too_much_is_refused(place, capsys):
    (place / "other.yaml").write_text("overwrite: true\n")
    (place / "good.yaml").write_text("samples: 3\n")
    os.mkfifo(place / "pipe")
    for content, word in (
        ("samples: 5\nspaec: nasbench201\n", "unknown option --spaec; did you mean --space?"),
        ("samples: !!python/object/apply:os.system ['touch canary']\n", "c.yaml"),
        ("? !!python/object/apply:os.system ['touch canary']\n: 1\n", "c.yaml"),
        ("# " + "x" * 2_000_000 + "\n", "2,000,003 characters"),
        ("\ud800", "utf-8"),
        ("- samples\n", "expected one option per line"),
        ("seed: null\n", "--seed null: expected a value"),
        ("config: other.yaml\n", "a file cannot name another one"),
        ("wandb: other.yaml\n", "wandb"),
        ("overwrite: 'true'\n", "--overwrite"),
        ("trust: yes\n", "--trust"),
    ):
        (place / "c.yaml").write_bytes(content.encode(errors="surrogatepass"))
        # A second file is checked like the first.
        for words in (("--config=c.yaml",), ("--config", "good.yaml", "--config", "c.yaml")):
            assert word in refused(capsys, "search.py", *words, "--run_dir", "run")
    for name in ("pipe", ".", "/dev/zero", "absent", "", json.dumps({"trainer": {"profiler": CALL}})):
        assert "no such file" in refused(capsys, "train.py", "--config", name, "--run_dir", "run")
    assert sorted(path.name for path in place.iterdir()) == ["c.yaml", "good.yaml", "other.yaml", "pipe"]
