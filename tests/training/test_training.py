import csv
import json
import random
import subprocess
import sys
import time
from dataclasses import asdict

import pytest
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
import yaml

from naswot_lightning.cli.parser import run_command
from naswot_lightning.cli.train import run_training
from naswot_lightning.config import SearchConfig, TrainConfig
from naswot_lightning.data.module import ImageDataModule
from naswot_lightning.errors import UserError
from naswot_lightning.report.wandb.logger import SentOnceLogger
from naswot_lightning.training.classifier import ImageClassifier, has_unused_parameters
from naswot_lightning.training.progress import Outcome, read_outcome
from spaces import get_space, trust
from spaces.nds.cells import GENOTYPES
from tests.conftest import ROOT
from tests.images import make_image_folder
from tests.runs import wandb_files

SPACE = get_space("nasbench201")
SMALL = "|skip_connect~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"
ORDER_OF_FILES = ("trajectory.csv", "metrics.csv")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_image_folder(tmp_path_factory.mktemp("data") / "images", {"train": 40, "test": 10})


def training(data, run, *options):
    return [
        "--run_dir", run, "--dataset", "imagefolder", "--data_dir", data, "--architecture", SMALL, "--batch_size", 20,
        "--probe_batch_size", 16, "--epochs", 3, *options,
    ]  # fmt: skip


def table(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def trained(tmp_path_factory, data):
    """A search of real candidates in "." and the training of its two best through a link, wandb offline."""
    run = tmp_path_factory.mktemp("trained") / "run"
    run.mkdir()
    link = run.with_name("link")
    link.symlink_to(run)
    search = ["search.py", "--run_dir", ".", "--dataset", "imagefolder", "--samples", "5", "--batch_size", "16"]
    train = ["train.py", "--run_dir", str(link), "--top", "2", "--epochs", "2", "--batch_size", "20"]
    for script, *options in (search, train):
        command = [sys.executable, str(ROOT / script), *options, "--data_dir", str(data)]
        done = subprocess.run(command, cwd=run, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return run, done


def test_each_pick_leaves_the_files_of_the_contract(trained):
    run, _ = trained
    folders = sorted((run / "picks").iterdir())
    assert [folder.name.split("-")[0] for folder in folders] == ["1", "2"]
    ranking = json.loads((run / "ranking.json").read_text())
    for folder in folders:
        names = {path.name for path in folder.iterdir()}
        expected = {"config.yaml", "last.ckpt", "best.ckpt", "trajectory.csv", "metrics.csv", "result.json"}
        assert expected <= names
        assert "retry.yaml" not in names
        assert read_outcome(folder) == Outcome("ok")
        result = json.loads((folder / "result.json").read_text())
        assert result["architecture"] in [row["architecture"] for row in ranking]
        assert folder.name.split("-")[1] == str(SPACE.index(result["architecture"]))
        assert 0 <= result["test_acc"] <= 1


def test_the_first_point_of_the_trajectory_is_the_score_of_the_ranking(trained):
    run, _ = trained
    scores = {row["architecture"]: row["score"] for row in json.loads((run / "ranking.json").read_text())}
    for folder in (run / "picks").iterdir():
        result = json.loads((folder / "result.json").read_text())
        points = table(folder / "trajectory.csv")
        assert float(points[0]["score"]) == result["score_init"] == scores[result["architecture"]]
        assert float(points[-1]["score"]) == result["score_final"]
        epochs = table(folder / "metrics.csv")
        assert result["best_val_acc"] == max(float(row["val/acc"]) for row in epochs)
        assert result["seconds"] == pytest.approx(sum(float(row["seconds"]) for row in epochs), abs=1e-2)


def test_comparison_figure_and_terminal(trained):
    run, done = trained
    rows = table(run / "comparison.csv")
    assert [row["rank"] for row in rows] == ["1", "2"]
    assert set(rows[0]) >= {
        "score_init", "score_final", "best_val_acc", "test_acc", "params", "macs", "seconds", "architecture",
    }  # fmt: skip
    assert (run / "figures" / "figure6.png").read_bytes()[:4] == b"\x89PNG"
    assert "Kendall tau with test accuracy over 2 networks" in done.stdout


def test_one_wandb_run_a_pick_of_one_group(trained):
    run, _ = trained
    group = {}
    for folder in (run / "picks").iterdir():
        files = wandb_files(run, f"*-{folder.name}-*")
        assert len(files) == 1
        content = files[0].read_bytes()
        assert b"score/naswot" in content
        assert b"val/acc" in content
        group[folder.name] = yaml.safe_load((folder / "config.yaml").read_text())["wandb"]["group"]
        assert group[folder.name].encode() in content
    assert set(group.values()) == {f"run-{(run / '.run_id').read_text().strip()}"}


def test_search_and_comparison_are_of_the_group_of_the_picks_though_the_folder_was_named_otherwise(trained):
    run, _ = trained
    group = f"run-{(run / '.run_id').read_text().strip()}".encode()
    for kind in ("search", "comparison"):
        (path,) = wandb_files(run, f"*-{kind}")
        assert group in path.read_bytes()
    assert len(list(run.glob("wandb/offline-run-*"))) == 4


def test_a_checkpoint_loads_without_arguments_and_without_running_code(trained):
    run, _ = trained
    for path in run.glob("picks/*/best.ckpt"):
        torch.load(path, weights_only=True)
        model = ImageClassifier.load_from_checkpoint(path, map_location="cpu")
        assert model(torch.randn(2, 3, 8, 8)).shape == (2, 3)


def test_running_again_trains_nothing(trained, train, data):
    run, _ = trained
    before = {path: path.stat().st_mtime_ns for path in run.glob("picks/*/last.ckpt")}
    done = train("--top", 2, "--epochs", 2, "--batch_size", 20, "--run_dir", run, "--data_dir", data)
    assert done.returncode == 0
    assert {path: path.stat().st_mtime_ns for path in run.glob("picks/*/last.ckpt")} == before
    assert len(list(run.glob("wandb/offline-run-*"))) == 4  # the search, two picks, their comparison


def test_other_settings_are_refused(trained, train, data):
    run, _ = trained
    done = train("--top", 1, "--epochs", 5, "--batch_size", 20, "--run_dir", run, "--data_dir", data)
    assert done.returncode == 2
    assert "epochs was 2, now 5" in done.stderr
    assert "--overwrite" in done.stderr
    assert len(list(run.glob("picks/*/result.json"))) == 2


def test_more_picks_than_the_ranking_has(trained, train):
    run, _ = trained
    done = train("--top", 50, "--run_dir", run)
    assert done.returncode == 2
    assert "--top 50: the ranking has" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--architecture", "|none~0|"], "expected 3 nodes"),
        (["--architecture", SMALL, "--space", "nasbench"], "did you mean 'nasbench201'"),
        (["--architecture", SMALL, "--dataset", "digit"], "did you mean 'digits'"),
        (["--architecture", SMALL, "--trainer.max_step", "3"], "did you mean 'max_steps'"),
        (["--architecture", SMALL, "--trainer.max_epochs", "3"], "use --epochs"),
        (
            ["--architecture", SMALL, "--dataset", "imagefolder", "--data_dir", "absent"],
            "absent has no train/",
        ),
        (["--architecture", SMALL, "--dataset", "noise"], "noise has no labels to train on"),
        (["--epochs", "0", "--architecture", SMALL], "--epochs 0: expected at least 1"),
        (["--architecture", SMALL, "--recipe", "nds-10"], "did you mean 'nds-100'"),
        (["--architecture", SMALL, "--picks", "1"], "--picks 1: it chooses from a ranking"),
        (["--architecture", SMALL, "--split_file", "absent.txt"], "absent.txt: digits has no such lists"),
        (["--picks", "all"], "no run in"),
        (["--top", "1"], "no run in"),
    ],
)
def test_bad_input_is_one_line_and_code_2_and_leaves_nothing(tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert run_command(run_training, TrainConfig, "train.py", ["--run_dir", "run", *arguments]) == 2
    errors = capsys.readouterr().err
    assert message in errors
    assert errors.startswith("train.py: error: ")
    assert errors.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_bad_input_of_the_command_is_one_line_and_code_2(train, tmp_path):
    done = train("--run_dir", tmp_path / "run", "--architecture", "|none~0|")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "expected 3 nodes" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_ranking_or_settings_of_a_search_are_one_line(tmp_path):
    saved = asdict(SearchConfig())
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(saved))
    (tmp_path / "ranking.json").write_text('[{"rank": 1')
    with pytest.raises(UserError, match=r"ranking\.json is damaged"):
        run_training(TrainConfig(run_dir=str(tmp_path)))
    for name in ("space", "dataset", "data_dir", "seed", "batch_size"):
        left = {key: value for key, value in saved.items() if key != name}
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(left))
        with pytest.raises(UserError, match=rf"config\.yaml is damaged \({name}: field required\)"):
            run_training(TrainConfig(run_dir=str(tmp_path)))
    assert {path.name for path in tmp_path.iterdir()} == {"config.yaml", "ranking.json"}


def _kill_during_training(command, folder, rng):
    """Kill with SIGKILL once a random number of points has been written; also the child must end."""
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    target = rng.randint(3, 12)
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        points = sum(len(p.read_text().splitlines()) for p in folder.glob("picks/*/trajectory.csv"))
        if points > target:
            break
        time.sleep(0.005)
    assert process.poll() is None
    process.kill()
    process.wait()


def test_killed_and_run_again_training_ends_the_same(tmp_path, data):
    """SIGKILL at a random moment, twice: weights, metrics and trajectory are those of an uninterrupted run."""
    rng = random.Random(time.time_ns())
    outcomes = []
    for name, kills in (("whole", 0), ("killed", 2)):
        run = tmp_path / name
        command = [
            sys.executable,
            "train.py",
            *(str(a) for a in training(data, run, "--wandb.mode", "offline")),
        ]
        for _ in range(kills):
            _kill_during_training(command, run, rng)
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        (folder,) = (run / "picks").iterdir()
        weights = torch.load(folder / "last.ckpt", weights_only=True)["state_dict"]
        metrics = [{k: v for k, v in row.items() if k != "seconds"} for row in table(folder / "metrics.csv")]
        result = json.loads((folder / "result.json").read_text())
        outcomes.append((weights, metrics, table(folder / "trajectory.csv"), result["test_acc"]))
    (weights, *whole), (weights_killed, *killed) = outcomes
    assert killed == whole
    assert all(value.equal(weights_killed[name]) for name, value in weights.items())


@pytest.mark.slow
def test_a_pick_that_crashes_leaves_the_others(train, tmp_path, trained, data):
    """The first pick's checkpoint is of another network: it fails, is reported, and the second is trained."""
    run, _ = trained
    copy = tmp_path / "copy"
    for name in ("config.yaml", "ranking.json", ".run_id", "picks/1-"):
        for path in run.glob(f"{name}*/last.ckpt" if name.endswith("-") else name):
            target = copy / path.relative_to(run)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
            if path.suffix == ".ckpt":
                saved = torch.load(path, weights_only=True)
                first = {"epoch": 0, "callbacks": {"SaveOnSignal": {"batches": 1}}}
                torch.save({**saved, **first, "state_dict": {}}, target)
    done = train("--top", 2, "--epochs", 1, "--run_dir", copy, "--data_dir", data, "--wandb.mode", "disabled")
    assert done.returncode == 1
    assert "FAILED: 1-" in done.stderr
    assert [p.parent.name[0] for p in copy.glob("picks/*/result.json")] == ["2"]
    outcomes = {folder.name[0]: read_outcome(folder) for folder in (copy / "picks").iterdir()}
    assert outcomes["2"] == Outcome("ok")
    assert outcomes["1"].status == "failed"
    assert outcomes["1"].message
    assert "\n" not in outcomes["1"].message
    (log,) = copy.glob("picks/1-*/train.log")
    assert outcomes["1"].message.partition(":")[0] in log.read_text()


def test_what_was_sent_is_not_sent_again(tmp_path):
    class Run:
        def __init__(self):
            self.logged = []

        def define_metric(self, *_, **__):
            pass

        def log(self, metrics, **_):
            self.logged.append(metrics)

    def logger(run):
        return SentOnceLogger(lambda: run, tmp_path / "sent.json")

    first, second = Run(), Run()
    log = logger(first)
    log.log_metrics({"score/naswot": 1.0, "epoch": 0.0}, 0)
    log.log_metrics({"score/naswot": 2.0, "epoch": 0.5}, 4)
    log.log_metrics({"val/acc": 0.5, "epoch": 0}, 4)
    log = logger(second)
    log.log_metrics({"score/naswot": 2.0, "epoch": 0.5}, 4)
    log.log_metrics({"val/acc": 0.5, "epoch": 0}, 4)
    log.log_metrics({"score/naswot": 3.0, "epoch": 1.0}, 8)
    assert len(first.logged) == 3
    assert second.logged == [{"score/naswot": 3.0, "epoch": 1.0, "trainer/global_step": 8}]


def test_a_network_with_an_auxiliary_head_trains_and_predicts(tmp_path):
    data = make_image_folder(tmp_path / "images", {"train": 4, "test": 2}, size=32)
    module = ImageDataModule("imagefolder", str(data), batch_size=6)
    architecture = f"C4-L4-aux-drop0.2|{GENOTYPES['DARTS_V2']}"
    model = ImageClassifier("nds_darts", architecture, 3, [100.0] * 3, [50.0] * 3)
    trainer = pl.Trainer(
        max_steps=2, logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        num_sanity_val_steps=0,
    )  # fmt: skip
    head = model.network.auxiliary_head.classifier.weight
    before = head.detach().clone()
    trainer.fit(model, module)
    assert not head.equal(before)
    assert model.eval()(torch.randn(2, 3, 32, 32)).shape == (2, 3)


def test_what_is_trained_are_the_logits_and_not_the_features_before_them():
    images, labels = torch.randn(6, 3, 32, 32), torch.tensor([0, 1, 2, 0, 1, 2])
    trust("tests.own_networks.networks")
    model = ImageClassifier("tests.own_networks.networks", "features", 3, [100.0] * 3, [50.0] * 3).train()
    model.log = lambda *_, **__: None
    _, logits = model.network(images)
    assert model(images).equal(logits)
    assert model._evaluate(images, labels, "train").item() == F.cross_entropy(logits, labels).item()
    assert not has_unused_parameters(model, 32)
    alike = ImageClassifier("tests.own_networks.networks", "features", 16, [100.0] * 3, [50.0] * 3)
    with pytest.raises(ValueError, match=r"returned \(6, 16\) and \(6, 16\): .* a dict with 'logits'"):
        alike._evaluate(images, labels, "train")
