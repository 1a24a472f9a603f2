import pytest

from naswot_lightning.analysis.trajectory import LearningCurve, read_learning_curve
from naswot_lightning.errors import UserError


def test_metrics_by_epoch(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("epoch,step,lr,val/acc\n1,10,0.1,0.25\n2,20,0.05,\n3,30,1e300,0.5\n")
    curve = read_learning_curve(path)
    assert curve.epochs == (1, 2, 3)
    assert curve.metrics == {"lr": (0.1, 0.05, None), "val/acc": (0.25, None, 0.5)}


def test_what_is_not_there_yet_has_no_epochs(tmp_path):
    assert read_learning_curve(tmp_path / "metrics.csv") == LearningCurve()
    (tmp_path / "metrics.csv").write_text("")
    assert read_learning_curve(tmp_path / "metrics.csv") == LearningCurve()


@pytest.mark.parametrize("text", ["step\n1\n", "epoch,step,lr\none,2,3\n", "epoch,step,lr\n1,2,x\n", "epoch,lr\n1\x00"])
def test_a_damaged_file_is_named(tmp_path, text):
    path = tmp_path / "metrics.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=str(path)):
        read_learning_curve(path)


def test_a_file_that_is_no_text_is_named(tmp_path):
    (tmp_path / "metrics.csv").write_bytes(b"epoch,step\n\xff\xfe,1\n")
    with pytest.raises(UserError, match="damaged"):
        read_learning_curve(tmp_path / "metrics.csv")
