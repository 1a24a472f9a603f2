import pytest

from naswot_lightning.data.probe import load_probe
from naswot_lightning.errors import UserError
from naswot_lightning.execution import local
from naswot_lightning.execution.local import AutomaticExecutor, ProcessExecutor
from naswot_lightning.scorer import ScoreEvaluator
from spaces import get_space

SPACE = get_space("nasbench201")


def test_workers_are_started_where_they_are_worth_it(monkeypatch):
    evaluator = ScoreEvaluator(get_space("nasbench201"), [load_probe("noise", "", 4, 0, probe_size=8)])
    networks = [SPACE[index] for index in range(6)]
    started = []

    def start(self, task, items):
        started.append(len(items))
        return ((item, task(item)) for item in items)

    monkeypatch.setattr(ProcessExecutor, "run", start)
    assert len(dict(AutomaticExecutor(ProcessExecutor(2)).run(evaluator, networks))) == 6
    assert started == []
    monkeypatch.setattr(local, "_WORTHWHILE_S", 0.0)
    assert len(dict(AutomaticExecutor(ProcessExecutor(2)).run(evaluator, networks))) == 6
    assert started == [3]
    assert len(dict(AutomaticExecutor(ProcessExecutor(1)).run(evaluator, networks))) == 6
    assert started == [3]


def test_a_space_that_cannot_be_sent_is_scored_here_unless_workers_were_asked_for(monkeypatch):
    class Local(type(SPACE)):
        """A class that no other process can find."""

    evaluator = ScoreEvaluator(Local(), [load_probe("noise", "", 4, 0, probe_size=8)])
    networks = [SPACE[index] for index in range(5)]
    monkeypatch.setattr(local, "_WORTHWHILE_S", 0.0)
    assert len(dict(AutomaticExecutor(ProcessExecutor(2)).run(evaluator, networks))) == 5
    with pytest.raises(
        UserError, match=r"--workers 2: another process cannot make the space 'nasbench201'.*--workers 1"
    ):
        list(ProcessExecutor(2).run(evaluator, networks))
