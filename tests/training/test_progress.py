"""What a pick tells, and how it is shown on a terminal and in a file."""

import io

from rich.console import Console
from rich.progress import Progress

from naswot_lightning.training.progress import Bars, Epoch, Outcome, clear_outcome, columns_of, read_epoch, read_outcome

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


def test_bars_one_line_per_pick_on_a_narrow_terminal_and_text_as_it_is():
    console = Console(file=io.StringIO(), force_terminal=True, width=60, color_system=None)
    shown = Progress(*columns_of(60), console=console, auto_refresh=False)
    bars = Bars(shown)
    for number in (1, 2):
        bars.show(Epoch(f"{number}-12345-seed777", 7, 200, 1.5, 0.25, 1534.5, 2.0))
    with console.capture() as captured:
        console.print(shown.get_renderable())
    lines = captured.get().splitlines()
    assert len(lines) == 2
    assert all(len(line) <= 60 and "7/200" in line and "score 153" in line for line in lines)
    bars.say("out of [memory]")
    bars.end("1-12345-seed777")
    bars.end("never begun")
    assert [task.description for task in shown.tasks] == ["2-12345-seed777"]
    assert "out of [memory]\n" in console.file.getvalue()
    assert "1-12345-seed777: epoch 7/200  train loss 1.5000  val acc 25.00 %  score 1534.50" in console.file.getvalue()
