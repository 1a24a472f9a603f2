from dataclasses import replace

import pytest

from naswot_lightning.data.probe import load_probe
from naswot_lightning.execution import local
from naswot_lightning.execution.local import AutomaticExecutor, ProcessExecutor, SerialExecutor, ThreadExecutor
from naswot_lightning.scorer import ScoreEvaluator
from spaces import get_space
from tests.execution.tasks import Forking

SPACE = get_space("nasbench201")
DISCONNECTED = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"


@pytest.fixture
def always_worthwhile(monkeypatch):
    monkeypatch.setattr(local, "_WORTHWHILE_S", 0.0)


def test_every_executor_gives_the_same_results(always_worthwhile):
    scores = ("naswot", "synflow", "params")
    evaluator = ScoreEvaluator(get_space("nasbench201"), [load_probe("digits", "", 8, 0)], scores, seed=5)
    networks = [DISCONNECTED, *(SPACE[index] for index in (3, 11, 284, 1462, 7000))]
    expected = {network: replace(values, seconds=0.0) for network, values in SerialExecutor().run(evaluator, networks)}
    assert list(expected) == networks
    assert {values.status for values in expected.values()} == {"ok", "degenerate"}
    for executor in (ProcessExecutor(2), AutomaticExecutor(ProcessExecutor(2)), AutomaticExecutor(ProcessExecutor(1))):
        pairs = list(executor.run(evaluator, iter(networks)))
        assert len(pairs) == len(networks)
        assert {network: replace(values, seconds=0.0) for network, values in pairs} == expected


@pytest.mark.parametrize(
    "executor",
    [SerialExecutor(), ProcessExecutor(2), AutomaticExecutor(ProcessExecutor(2))],
    ids=["serial", "processes", "automatic"],
)
def test_nothing_to_do_is_no_error(executor):
    evaluator = ScoreEvaluator(get_space("nasbench201"), [load_probe("noise", "", 4, 0, probe_size=8)])
    assert list(executor.run(evaluator, [])) == []


@pytest.mark.parametrize(
    "executor", [SerialExecutor(), ProcessExecutor(2), AutomaticExecutor(ProcessExecutor(2)), ThreadExecutor(2)]
)
def test_a_task_that_forks_answers_each_item_once_with_its_own_result(executor, always_worthwhile):
    assert sorted(executor.run(Forking(), range(12))) == [(item, -item) for item in range(12)]
