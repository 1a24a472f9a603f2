import pytest

from naswot_lightning.analysis.results import Network
from naswot_lightning.analysis.trajectory import (
    LearningCurve,
    Range,
    Trajectory,
    read_learning_curve,
    read_trajectory,
    settles_after,
    trajectory_facts,
)
from naswot_lightning.errors import UserError
from naswot_lightning.report.findings import describe_trajectory
from tests.runs import training_result, trajectory


def by_epoch(*scores):
    return {epoch: score for epoch, score in enumerate(scores) if score is not None}


def course(*scores):
    return Trajectory(tuple((float(epoch), score) for epoch, score in by_epoch(*scores).items()))


def facts(*courses):
    networks = [Network((training_result(number, str(number)),)) for number in range(1, len(courses) + 1)]
    return trajectory_facts(networks, {str(number): each for number, each in enumerate(courses, start=1)})


def test_settles_after():
    for scores, expected in (
        ((100, 120, 130, 130.5, 131), 2),
        ((100, 100.5, 100.2), 0),
        ((100, 101), None),  # exactly the bound is not below it
        ((100, 100.99), 0),
        ((100, 120, 120, 140), None),
        ((100, 120, 120, 140, 140), 3),
        ((-100, -120, -120.5), 1),
        ((0, 5, 5), 1),
        ((5, 0, 0), None),  # no change can be relative to 0
        ((100, None, 101.8, 102), 0),  # 1.8 % over two epochs
        ((100, None, 102.2, 102.3), 2),
        ((None, None, 100, 100.1), 2),
        ((100,), None),
        ((), None),
    ):
        assert settles_after(by_epoch(*scores)) == expected


def test_reading_leaves_out_points_without_a_finite_score(tmp_path):
    path = tmp_path / "trajectory.csv"
    path.write_text("step,epoch,score,status\n0,0.0,10.5,ok\n3,0.5,,failed\n6,1.0,nan,ok\n9,2.0,12.5,ok\n9,3.0,1,odd\n")
    assert read_trajectory(path) == Trajectory(((0.0, 10.5), (2.0, 12.5)), 3)
    rows = ("0,0.0,1500.0,ok,1400.0", "4,0.5,,degenerate,1401.0", "8,1.0,1502.0,ok,", "16,2.0,1503.0,ok,inf")
    path.write_text("\n".join(["step,epoch,score,status,score_running", *rows]))
    first, second = ((0.0, 1500.0), (1.0, 1502.0), (2.0, 1503.0)), ((0.0, 1400.0), (0.5, 1401.0))
    assert read_trajectory(path) == Trajectory(first, 1, second)


def test_a_missing_or_empty_file_has_no_points(tmp_path):
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "header.csv").write_text(trajectory([]))
    for name in ("absent", "empty", "header"):
        assert read_trajectory(tmp_path / f"{name}.csv") == Trajectory()


def test_a_damaged_file_is_one_line_that_names_it(tmp_path):
    damaged = {
        "trajectory.csv": ("epoch,points\n1,2\n", "step,epoch,score,status\n0,zero,1.0,ok\n", "\xff",
                           "step,epoch,score,status\n0\n", "step,epoch,score,status,score_running\n0,0.0,1.0,ok,many"),
        "metrics.csv": ("step\n1\n", "epoch,step,lr\none,2,3\n", "epoch,step,lr\n1,2,x\n", "epoch,lr\n1\x00", "\xff"),
    }  # fmt: skip
    for name, contents in damaged.items():
        path = tmp_path / name
        for content in contents:
            path.write_bytes(content.encode("latin-1") + b"\n1\n")
            with pytest.raises(UserError, match="is not a valid table") as error:
                (read_trajectory if name == "trajectory.csv" else read_learning_curve)(path)
            assert str(error.value).startswith(str(path))
            assert "\n" not in str(error.value)


def test_a_learning_curve_has_metrics_by_epoch(tmp_path):
    path = tmp_path / "metrics.csv"
    assert read_learning_curve(path) == LearningCurve()
    path.write_text("")
    assert read_learning_curve(path) == LearningCurve()
    path.write_text("epoch,step,lr,val/acc\n1,10,0.1,0.25\n2,20,0.05,\n3,30,1e300,0.5\n")
    curve = read_learning_curve(path)
    assert curve.epochs == (1, 2, 3)
    assert curve.metrics == {"lr": (0.1, 0.05, None), "val/acc": (0.25, None, 0.5)}


def test_facts_are_of_the_epochs_that_all_seeds_have():
    early = Trajectory(((0.0, 100.0), (0.125, 900.0), (1.0, 200.0), (2.0, 120.0)))  # 0.125 is no end of an epoch
    results = tuple(training_result(1, str(seed), seed=seed) for seed in range(3))
    other = Trajectory(((0.0, 102.0), (0.125, 700.0), (2.0, 82.0)))
    courses = {"0": early, "1": other, "2": Trajectory()}
    found = trajectory_facts([Network(results)], courses)
    assert (found.change_first_epoch, found.settles_after) == (Range(None, None, None, 0), Range(0, 0, 0, 1))


def test_facts_by_hand():
    found = facts(course(100, 110, 111, 111), course(90, 120, 125, 112), course(80, 79, 79, 79))
    assert (found.change_first_epoch, found.risen) == (Range(10, -1, 30, 3), 2)
    assert (found.settles_after, found.never_settled) == (Range(1, 1, 1, 2), 1)
    ranking = found.ranking
    third = pytest.approx(1 / 3)  # one pair of three changed places
    assert [epoch.tau_with_init for epoch in ranking] == [third, third, third]
    assert [epoch.tau_with_previous for epoch in ranking] == [third, 1, 1]
    text = "\n".join(describe_trajectory(found))
    for part in ("+10.00 (median of n = 3", "-1.00 to +30.00", "rises in 2", "after epoch 1", "training in 1"):
        assert part in text
    # A tau of three networks is not shown.
    assert "ranking:" not in text
    assert "left out" not in text


def test_missing_points_are_counted_and_leave_the_rest():
    found = facts(course(100, None, 111), course(90, 120, 125), Trajectory((), 4), Trajectory())
    assert (found.points_left_out, found.without_points) == (4, 2)
    assert found.change_first_epoch.n == 1
    assert [epoch.n for epoch in found.ranking] == [1, 2]
    assert found.ranking[0].tau_with_init is None
    assert found.ranking[-1].tau_with_init == -1
    assert "points without a finite score: 4, networks without a trajectory: 2" in describe_trajectory(found)[-1]
