"""What a pick tells, and how it is shown on a terminal and in a file."""

import re

from tqdm import tqdm

from naswot_lightning.training.progress import Epoch, Lines, Outcome, clear_outcome, read_epoch, read_outcome

EPOCH = Epoch("2-c2", 3, 12, 1.25, 0.5, 310.128, 2.04)


def test_epoch_line_is_read_and_anything_else_is_no_epoch():
    assert read_epoch(EPOCH.to_line()) == EPOCH
    assert str(EPOCH) == "2-c2: epoch 3/12  train loss 1.2500  val acc 50.00 %  score 310.13  2.0 s"
    unknown = Epoch("2-c2", 3, 12, 1.25, None, None, 2.04)
    assert str(read_epoch(unknown.to_line())) == "2-c2: epoch 3/12  train loss 1.2500  score -  2.0 s"
    for line in ("", "2-c2: diverged", "{", "{}", '{"name": 3}', "null", EPOCH.to_line()[:-2]):
        assert read_epoch(line) is None


def test_outcome_written_is_read_and_without_one_the_process_was_killed(tmp_path):
    for outcome in (Outcome("ok"), Outcome("diverged", "the loss"), Outcome("failed", "a: b")):
        outcome.write(tmp_path)
        assert read_outcome(tmp_path) == outcome
        assert outcome.has_result == (outcome.status != "failed")
    (tmp_path / "outcome.json").write_text('{"status": "x", "message": ""}')
    for _ in range(3):
        assert read_outcome(tmp_path) == Outcome("killed")
        clear_outcome(tmp_path)


def test_a_bar_counts_the_epochs_of_all_and_lines_stand_above_it(capsys):
    bar = tqdm(desc="training", unit=" epochs")
    shown = Lines(bar, trainings=2)
    for number, epoch in ((1, 7), (2, 8), (1, 8), (1, 200)):
        shown.show(Epoch(f"{number}-12345-seed777", epoch, 200, 1.5, 0.25, 1534.5, 2.0))
    assert (bar.n, bar.total) == (208, 400)
    shown.say("out of [memory]")
    bar.close()
    out, err = capsys.readouterr()
    assert re.findall(r"^(\d)-12345-seed777: epoch (\d+)/200 ", out, re.M) == [("1", "7"), ("2", "8"), ("1", "200")]
    assert "out of [memory]\n" in out
    assert "2-12345-seed777: train loss 1.5000  val acc 25.00 %  score 1534.50" in err
