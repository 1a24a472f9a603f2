"""The files of a run folder: how each is written, and how the product reads it and goes on."""

import json
import random
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import yaml

from naswot_lightning.cli.search_output import print_summary
from naswot_lightning.columns import Column, Criterion
from naswot_lightning.config import SearchConfig, TrainConfig
from naswot_lightning.ranking import as_dicts, rank, read_ranking, write_ranking
from naswot_lightning.report.compare import NAMES, comparison_rows, print_comparison, write_seeds
from naswot_lightning.report.figures import FIGURES, draw_figure
from naswot_lightning.report.findings import find
from naswot_lightning.report.run import read_run
from naswot_lightning.report.wandb import runs
from naswot_lightning.report.wandb.logger import SentOnceLogger
from naswot_lightning.search.loop import Loop
from naswot_lightning.storage.files import write_csv, write_json
from naswot_lightning.storage.run_folder import RunFolder
from naswot_lightning.storage.score_rows import ScoreRow, ScoreRows
from naswot_lightning.training.plan import choose_picks, named_picks, plan_training
from naswot_lightning.training.progress import read_outcome
from naswot_lightning.training.settings import PickRun, prepare_pick, read_pick, seconds_of
from spaces import get_space
from tests.runs import result, trajectory

SPACE = get_space("nasbench201")
_NASWOT, _SNIP = Column("naswot", "naswot"), Column("snip", "snip")
_CRITERIA = ([Criterion((_NASWOT,))], [Criterion((_NASWOT, _SNIP))], [Criterion((_NASWOT,)), Criterion((_SNIP,))])
_RUN = PickRun("disabled", "fuzz", "fuzz", "0badcafe-1-x-1234", "1-x")


def dumped(value: object) -> bytes:
    return json.dumps(value).encode()


def _score_row(rng: random.Random, architecture: str) -> ScoreRow:
    score, params = rng.choice((None, *(rng.gauss(300, 9) for _ in range(4)))), rng.randrange(10**6)
    scores = {"naswot": score, "snip": rng.choice((None, rng.random()))}
    stds = rng.choice((None, {"naswot": 1.0, "snip": None}))
    status = "ok" if score is not None else rng.choice(("degenerate", "failed"))
    reason = None if status == "ok" else "no reason"
    return ScoreRow(
        "nasbench201", architecture, SPACE.canonical(architecture), score, scores, 16384, params, 10 * params, 0,
        "probe", rng.random(), status, reason, stds,
    )  # fmt: skip


def _score_rows(rng: random.Random) -> list[ScoreRow]:
    return [_score_row(rng, SPACE.sample(rng)) for _ in range(rng.randrange(1, 6))]


def make_scores(rng):
    return {"scores.jsonl": b"".join(dumped(row.to_json()) + b"\n" for row in _score_rows(rng))}


def read_scores(folder: Path) -> None:
    """Continue a search that proposes nothing new, and rank what was read."""
    evaluator = SimpleNamespace(fingerprint="probe", columns=(_NASWOT, _SNIP))
    with ScoreRows(folder / "scores.jsonl") as finished:
        Loop("nasbench201", SPACE.canonical, evaluator, None, 0, finished)
        rows = list(finished.rows)
    with ScoreRows(folder / "again.jsonl") as again:
        for row in rows:
            again.append(row)
    with ScoreRows(folder / "again.jsonl") as again:
        assert again.rows == rows
    for criteria in _CRITERIA if rows else ():
        _expect_rewritten(folder, rank(rows, criteria))
        space = SimpleNamespace(name="nasbench201", evidence="")
        print_summary(
            SimpleNamespace(
                config=SimpleNamespace(top=3, dataset="digits"),
                criteria=criteria,
                space=space,
                folder=RunFolder(folder),
            ),
            rank(rows, criteria),
        )


def make_ranking(rng):
    ranking = rank(_score_rows(rng), rng.choice(_CRITERIA))
    rows = ",\n".join(json.dumps(row) for row in as_dicts(ranking))
    return {"ranking.json": f"[\n{rows}\n]\n".encode()}


def read_a_ranking(folder: Path) -> None:
    ranking = read_ranking(folder)
    _expect_rewritten(folder, ranking)
    named_picks(ranking, "all")
    choose_picks(ranking, 2, "spread")


def _expect_rewritten(folder: Path, ranking: pd.DataFrame) -> None:
    write_ranking(folder, ranking)
    pd.testing.assert_frame_equal(read_ranking(folder), ranking)


_EXTREMES = (1e308, -1e308, 1.7e308, 5e-324, 0.0, -0.0, 1e154, 1.0, 1e30, 2.0**63)
_NUMBERS = ("score_init", "score_final", "best_val_acc", "test_acc", "seconds", "test_loss")


def _changes(rng):
    """What a result may have in place of the usual: another group, no accuracy, numbers beyond all others."""
    if rng.random() < 0.2:
        return {name: rng.choice(_EXTREMES) for name in rng.sample(_NUMBERS, rng.randrange(1, 4))}
    texts = {"dataset": rng.choice(("$x", "\x1b[31m", "digits" * 1_000)), "space": "$\\frac{1$"}
    whole = {"params": 2**63 - 1, "macs": 0, "epochs": 2**63 - 1}
    return rng.choice(({}, {}, {}, {"epochs": 4}, {"test_acc": None, "status": "diverged"}, texts, whole))


def make_results(rng):
    """Picks of one or two seeds, in one group or several, with what is known of their training."""
    files, seeds = {}, rng.choice(((0,), (0, 1)))
    for number in range(1, rng.randrange(2, 5)):
        for seed in seeds:
            name = f"picks/{number}-x{f'-seed{seed}' if len(seeds) > 1 else ''}"
            scores = [rng.choice((300.0 + rng.random(),) * 40 + _EXTREMES) for _ in range(4)] + [None]
            files[f"{name}/result.json"] = dumped(result(number, seed=seed, **_changes(rng)))
            files[f"{name}/trajectory.csv"] = trajectory(scores).encode()
    if rng.random() < 0.3:
        files.update(make_ranking(rng))
    return files


def read_results_of_a_run(folder: Path) -> None:
    """Compare the picks of a run, as train.py does, but for the figures."""
    run = read_run(RunFolder(folder))
    if not run.results:
        return
    findings = find(run)
    write_csv(folder / "comparison.csv", comparison_rows(run.results), NAMES)
    write_json(folder / "evidence.json", findings.to_json())
    print_comparison(folder, run, findings, write_seeds(folder, run.groups), {})


def draw_results_of_a_run(folder: Path) -> None:
    run = read_run(RunFolder(folder))
    for name in FIGURES if run.results else ():
        draw_figure(name, run, find(run), [folder / "figures" / f"{name}.png"])


@cache
def _search_settings() -> dict:
    return asdict(SearchConfig(samples=4, wandb=SearchConfig().wandb))


def make_run(rng):
    return {"config.yaml": yaml.safe_dump(_search_settings(), sort_keys=False).encode(), **make_ranking(rng)}


def read_a_run(folder: Path) -> None:
    """Continue a search's folder, and plan the training of its picks."""
    run = RunFolder(folder)
    for picks in (None, "all"):
        training = plan_training(TrainConfig(run_dir=str(folder), top=1, picks=picks))
        for pick in training.picks:
            prepared = prepare_pick(folder, pick.settings, replace(_RUN, name=pick.name), overwrite=False)
            assert read_pick(prepared).settings == pick.settings
    with run.open(_search_settings(), _search_settings()):
        run.read_config()


@cache
def _pick_settings():
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        for name, content in make_run(random.Random(0)).items():
            (Path(folder) / name).write_bytes(content)
        config = TrainConfig(run_dir=folder, top=1, recipe="nasbench201-12", trainer={"max_time": "00:01:00:00"})
        return plan_training(config).picks[0].settings


def make_pick(rng):
    plain = {**_pick_settings().to_plain(), "wandb": asdict(_RUN)}
    retry = {"picks/1-x/retry.yaml": b"accumulate: 2\n"} if rng.random() < 0.3 else {}
    return {"picks/1-x/config.yaml": yaml.safe_dump(plain, sort_keys=False).encode(), **retry}


def read_a_pick(folder: Path) -> None:
    """Read a pick as its process does, then as the command does that finds it."""
    pick = read_pick(folder / "picks" / "1-x")
    pick.half()
    pick.settings.digest()
    seconds_of(pick.settings.trainer.get("max_time"))
    prepare_pick(folder, pick.settings, pick.run, overwrite=False) if pick.run.name == "1-x" else None
    assert read_pick(folder / "picks" / "1-x").settings == pick.settings


def read_a_pick_that_is_planned(folder: Path) -> None:
    prepare_pick(folder, _pick_settings(), _RUN, overwrite=False)
    read_pick(folder / "picks" / "1-x").half()
    prepare_pick(folder, _pick_settings(), _RUN, overwrite=True)


def make_outcome(rng):
    return {"outcome.json": dumped({"status": rng.choice(("ok", "failed", "user error")), "message": "a reason"})}


def read_an_outcome(folder: Path) -> None:
    outcome = read_outcome(folder)
    outcome.write(folder)
    assert read_outcome(folder) == outcome


def make_sent(rng):
    return {".sent.json": dumped({"train/loss": rng.randrange(1_000), "val/acc": 3})}


def read_sent(folder: Path) -> None:
    """Log as a training does that is continued."""
    logged = SimpleNamespace(log=lambda *_, **__: None, define_metric=lambda *_, **__: None)
    logger = SentOnceLogger(lambda: logged, folder / ".sent.json")
    logger.log_metrics({"train/loss": 1.0, "epoch": 3}, 2_000)
    logger.log_metrics({"val/acc": 1.0}, 2)
    SentOnceLogger(lambda: logged, folder / ".sent.json").log_metrics({"train/loss": 1.0}, 2_001)


def make_wandb_runs(rng):
    return {".wandb_runs.json": dumped([f"{rng.randrange(16**8):08x}-search", "another"])}


def read_wandb_runs(folder: Path) -> None:
    run = RunFolder(folder)
    runs.was_sent(run, "another")
    runs.mark_sent(run, "mine")
    assert runs.was_sent(run, "mine")


def make_run_id(rng):
    return {".run_id": f"{rng.randrange(16**8):08x}\n".encode()}


def read_run_id(folder: Path) -> None:
    run = RunFolder(folder)
    assert run.run_id() == run.run_id()
