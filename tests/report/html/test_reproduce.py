"""The commands that a page gives to repeat a run."""

import shlex
import subprocess

import yaml

from naswot_lightning.cli.parser import parse
from naswot_lightning.config import SearchConfig, TrainConfig
from naswot_lightning.report.html.reproduce import _joined, commands_of
from naswot_lightning.report.run import read_run
from naswot_lightning.storage.run_folder import RunFolder
from tests.report.html.folders import SETTINGS, sampled_rows, write_search
from tests.runs import result, write_pick


def commands(folder):
    return [shlex.split(command) for command in commands_of(read_run(RunFolder(folder)))]


def test_command_of_a_search_gives_its_settings(tmp_path):
    trained = {"evaluator": "train", "epochs": 3, "train": {"batch_size": 64, "lr": 0.5}}
    for number, chosen in enumerate((
        {"space": "nds_darts:depth=8,width=16", "seed": 3, "batch_size": 128, "canonical": False},
        {"score": "naswot,jacob_cov+params:mean_rank", "repeats": 2, "max_params": 10**6},
        {"algorithm": "rea:population=20", **trained},
        {"architectures": "a list; of 'mine'.txt", "workers": 4, "wandb": {"mode": "online", "project": "x"}},
    )):  # fmt: skip
        settings = {**SETTINGS, **chosen}
        ((python, script, *words),) = commands(write_search(tmp_path / str(number), sampled_rows(1), **chosen))
        assert (python, script) == ("python", "search.py")
        parsed = parse(SearchConfig, words, "search.py")
        for name in set(settings) - {"run_dir", "wandb", "workers"}:
            assert getattr(parsed, name) == settings[name], name
        assert (parsed.run_dir, parsed.wandb.mode) == ("runs/again", "auto")


def test_commands_of_trainings_give_their_picks_recipes_and_seeds(tmp_path):
    options = {"epochs": 3, "batch_size": 64, "trainer.limit_train_batches": 0.5, "precision": "bf16-mixed"}
    for number, seed in ((1, 5), (1, 6), (4, 5), (4, 6)):
        pick = write_pick(tmp_path, result(number, seed=seed), name=f"{number}-c{number}-seed{seed}")
        (pick / "config.yaml").write_text(yaml.safe_dump({"recipe": "nasbench201-200", "options": options}))
    pick = write_pick(tmp_path, result(9, rank=None, architecture="a;b", epochs=12))
    (pick / "config.yaml").write_text(yaml.safe_dump({"recipe": "nasbench201-12", "options": {}}))
    given, ranked = (parse(TrainConfig, words[2:], "train.py") for words in commands(tmp_path))
    assert (ranked.picks, ranked.all_seeds(), ranked.epochs, ranked.batch_size) == ("1,4", [5, 6], 3, 64)
    assert (ranked.recipe, ranked.precision, ranked.dataset) == ("nasbench201-200", "bf16-mixed", "digits")
    assert ranked.trainer == {"limit_train_batches": 0.5}
    assert (given.architecture, given.space, given.recipe, given.seed) == ("a;b", "nasbench201", "nasbench201-12", 0)


def test_command_to_copy_has_no_letter_that_a_shell_or_terminal_acts_on():
    word = "a'\\ \n\x1b[2J\u202e|none~0|"
    command = _joined("search.py", iter([("space", word)]))
    assert command.isprintable()
    printed = subprocess.run(["bash", "-c", command.replace("python search.py", "printf %s")], capture_output=True)
    assert printed.stdout.decode() == f"--space{word}--run_dirruns/again"
