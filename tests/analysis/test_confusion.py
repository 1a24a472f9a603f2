"""The confusion matrix of a pick: its file, and what is read out of it."""

import numpy as np
import pytest

from naswot_lightning.analysis.results import Confusion, read_confusion
from naswot_lightning.errors import UserError


def test_confusion_is_read_as_written_and_says_what_is_taken_for_what(tmp_path):
    Confusion(("a,b", "c", "d"), np.array([[2, 5, 1], [0, 0, 0], [3, 0, 1]])).write(tmp_path)
    found = read_confusion(tmp_path)
    assert found.most_confused(2) == [("a,b", "c", 5), ("d", "a,b", 3)]
    assert found.most_confused(9)[2:] == [("a,b", "d", 1)]
    assert found.by_class(9) == [("a,b", 8, 0.25), ("d", 4, 0.25)]
    assert read_confusion(tmp_path / "none") is None


@pytest.mark.parametrize(
    "text", ["", "x,a\n", "x,a,b\na,1,2\nb,1\n", "x,a\nb,1\n", "x,a\na,-1\n", "x,a\na,one\n", "\xff"]
)
def test_a_damaged_confusion_is_one_line_that_names_the_file(tmp_path, text):
    (tmp_path / "test_confusion.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=r"test_confusion\.csv is not a valid table"):
        read_confusion(tmp_path)
