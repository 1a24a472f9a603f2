"""Which accuracies direct a search, and which are reported."""

import pytest

from naswot_lightning.benchmarks.targets import Target, reported_target, search_target
from naswot_lightning.errors import UserError
from naswot_lightning.search.evaluators.table import TableEvaluator
from spaces import get_space
from tests.benchmarks.tables import FIRST, opened

WIDE = ("cifar10_valid_xvalid_12", "cifar10_valid_xvalid_200", "cifar10_oritest_200", "cifar100_xtest_200")


def test_validation_directs_and_test_is_reported(tmp_path, caplog):
    table = opened(tmp_path, f"arch,{','.join(WIDE)}\n{FIRST},1,2,3,4\n")
    assert search_target(table, "cifar10") == Target("cifar10-valid", "x-valid", 12)
    assert search_target(table, "cifar10", 200) == Target("cifar10-valid", "x-valid", 200)
    assert reported_target(table, "cifar10") == Target("cifar10", "ori-test", 200)
    assert not caplog.messages
    with pytest.raises(UserError, match="--epochs 90: mine knows trainings of 12, 200 epochs on cifar10"):
        search_target(table, "cifar10", 90)
    with pytest.raises(UserError, match="mine knows accuracies on cifar10, cifar100, not on digits"):
        search_target(table, "digits")


def test_test_accuracies_that_direct_a_search_are_called_so(tmp_path, caplog):
    table = opened(tmp_path, f"arch,accuracy\n{FIRST},50\n")
    assert search_target(table, "cifar10") == Target("own", "test", 0)
    assert "mine has no validation accuracies on cifar10: own test, 0 epochs directs the search" in caplog.text
    with pytest.raises(UserError, match="not on cifar10"):
        search_target(table, "cifar10", exact=True)


def test_table_that_does_not_say_its_epochs_directs_a_search(tmp_path):
    table = opened(tmp_path, f"arch,accuracy\n{FIRST},50\n")
    evaluator = TableEvaluator(table, search_target(table, "cifar10"), "", get_space("nasbench201").complexity)
    assert evaluator.train(FIRST, 1).scores == {"val_acc": 0.5}
