"""The comparison is updated whenever a pick has ended, but for the last, which the end of the command follows."""

from dataclasses import replace

from naswot_lightning.cli.train import train_and_compare
from naswot_lightning.config import TrainConfig, WandbConfig
from naswot_lightning.report.wandb.comparison import ComparisonRun, ComparisonUpdates
from naswot_lightning.training.plan import plan_training
from naswot_lightning.training.progress import Outcome

SMALL = "|skip_connect~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"


class Executor:
    """Ends every pick at once, and keeps what had been updated by then."""

    def __init__(self, ended):
        self._ended, self.updates = ended, []

    def run(self, task, items):
        for item in items:
            self.updates.append(len(self._ended))
            yield item, Outcome("ok")


def test_before_the_next_pick_is_asked_for_the_one_before_is_shown(tmp_path, monkeypatch):
    ended, shown = [], []
    monkeypatch.setattr(ComparisonUpdates, "pick_ended", lambda self: ended.append(self))
    monkeypatch.setattr(ComparisonRun, "end", lambda self, *_: shown.append(self))
    options = {"architecture": SMALL, "space": "nasbench201", "seeds": "1,2,3", "wandb": WandbConfig("offline")}
    training = plan_training(TrainConfig(run_dir=str(tmp_path / "run"), **options))
    executor = Executor(ended)
    assert train_and_compare(replace(training, executor=executor)) == 0
    assert executor.updates == [0, 1, 2]
    assert len(ended) == 2
    assert shown == []  # the executor leaves no result
