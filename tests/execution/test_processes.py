import pytest

from naswot_lightning.execution.processes import Processes


class Halved:
    """A task that any process can import."""

    def prepare(self):
        self.ready = True

    def __call__(self, item):
        assert self.ready
        if item % 2:
            raise ValueError(f"{item} is odd")
        return item // 2


def test_an_error_of_a_task_ends_the_run_with_that_error():
    assert dict(Processes(2).run(Halved(), iter([2, 4, 6, 8, 10]))) == {2: 1, 4: 2, 6: 3, 8: 4, 10: 5}
    assert list(Processes(2).run(Halved(), [])) == []
    with pytest.raises(ValueError, match="3 is odd"):
        list(Processes(2).run(Halved(), [2, 3, 4]))
