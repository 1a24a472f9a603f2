"""Every reader of a file from outside: how a valid file is made, and how the product reads it and goes on."""

import contextlib
import io
import json
import random
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import numpy as np
import pandas as pd
import yaml
from PIL import Image

from naswot_lightning.analysis.evidence import correlations, judge
from naswot_lightning.analysis.measurements import (
    ABLATIONS,
    AblationHeader,
    SelectedNetwork,
    read_ablation,
)
from naswot_lightning.analysis.results import Network
from naswot_lightning.cli.parser import parse
from naswot_lightning.columns import Column, Criterion
from naswot_lightning.config import SearchConfig, TrainConfig
from naswot_lightning.data.image_folder import load_image_folder
from naswot_lightning.data.splits import read_split_file
from naswot_lightning.ranking import as_dicts, rank, read_ranking, write_ranking
from naswot_lightning.report.compare import NAMES, comparison_rows, print_comparison, write_seeds
from naswot_lightning.report.figures import save_figure
from naswot_lightning.report.figures.curves import draw_figure6
from naswot_lightning.report.figures.distributions import draw_figure5
from naswot_lightning.report.findings import find
from naswot_lightning.report.lightning_loggers import wandb_logger
from naswot_lightning.report.loggers import LoggedRun, SentOnce
from naswot_lightning.report.run import read_run
from naswot_lightning.report.wandb import runs
from naswot_lightning.searching.algorithms.base import Limits
from naswot_lightning.searching.algorithms.random import Listed, read_architectures
from naswot_lightning.searching.loop import Loop
from naswot_lightning.searching.plan import plan_search
from naswot_lightning.spaces import EnumerableSpace, get_space, known_space, list_spaces
from naswot_lightning.spaces.errors import TooLargeError
from naswot_lightning.storage.files import JsonLines, write_csv, write_json
from naswot_lightning.storage.run_folder import RunFolder, note_versions
from naswot_lightning.storage.score_rows import ScoreRow, ScoreRows
from naswot_lightning.training.plan import choose_picks, named_picks, plan_training
from naswot_lightning.training.settings import PickRun, prepare_pick, read_pick
from tests.report.html.folders import write_page
from tests.runs import result, training_result, trajectory

SPACE = get_space("nasbench201")
_NASWOT, _SNIP = Column("naswot", "naswot"), Column("snip", "snip")
_CRITERIA = ([Criterion((_NASWOT,))], [Criterion((_NASWOT, _SNIP))], [Criterion((_NASWOT,)), Criterion((_SNIP,))])
_PICK = PickRun("disabled", "fuzz", "fuzz", "0badcafe-1-x-1234", "1-x")
_LISTED = ("nasbench201", "nasbench101", "nds_darts", "nds_resnext_b")
_CONFIGS = {
    SearchConfig: {"samples": 100, "space": "nds_darts:depth=8", "score": "naswot,snip", "seed": 3, "max_params": 9},
    TrainConfig: {"picks": "1,3-4", "epochs": 12, "lr": 0.1, "seeds": "7,8", "trainer": {"max_time": "00:01:00:00"}},
}  # fmt: skip


# How a valid file is made.


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _yaml(value: object) -> bytes:
    return yaml.safe_dump(value, sort_keys=False).encode()


def _rows(rng: random.Random) -> list[ScoreRow]:
    """One of each status, and one more."""
    rows = []
    for status, score in (("ok", 300.0), ("ok", 290.5), ("degenerate", None), ("failed", None)):
        architecture = SPACE.sample(rng)
        rows.append(ScoreRow(
            "nasbench201", architecture, SPACE.canonical(architecture), score, {"naswot": score, "snip": rng.random()},
            16384, rng.randrange(10**6), 10**6, 0, "probe", rng.random(), status,
            None if status == "ok" else "no reason", {"naswot": 1.0} if score else None,
        ))  # fmt: skip
    return rows


def _result(_: random.Random) -> bytes:
    return _json(result(1))


@cache
def _pick_settings():
    with TemporaryDirectory() as name:
        for file in ("config.yaml", "ranking.json"):
            Path(name, file).write_bytes(READERS[file].make(random.Random(0)))
        config = TrainConfig(run_dir=name, top=1, recipe="nasbench201-12", trainer={"max_time": "00:01:00:00"})
        return plan_training(config).picks[0].settings


def _evidence(_: random.Random) -> bytes:
    found = [Network((training_result(number),)) for number in range(1, 8)]
    target = {"dataset": "cifar10", "split": "test", "epochs": 200}
    known = {
        "networks": len(found), "candidates": 9, "pick": 0.94, "best_candidate": 0.94, "best": 0.95,
        "correlations": {name: asdict(each) for name, each in correlations(found).items()},
        "verdict": asdict(judge(found)),
    }  # fmt: skip
    return _json({"benchmark": "mine", "target": target, **known})


def _ablation(rng: random.Random) -> bytes:
    chosen = tuple(SelectedNetwork(50 + 5 * number, f"a{number}", 60.0 + number) for number in range(3))
    header = AblationHeader("nasbench201", "digits", None, None, None, 16, 0, True, "mine", chosen)
    lines = [asdict(header)]
    for number, ablation in enumerate(ABLATIONS):
        lines.append({"ablation": ablation, "number": number, "batch_size": 16, "scores": [300.0, None, rng.random()]})
    return b"".join(_json(line) + b"\n" for line in lines)


def _split(rng: random.Random) -> bytes:
    order = rng.sample(range(20), 20)
    lists = {"xvalid": ["int", [str(i) for i in order[:10]]], "xtest": ["int", [str(i) for i in order[10:]]]}
    return _json(lists)


def _image(rng: random.Random) -> bytes:
    content = io.BytesIO()
    Image.fromarray(np.frombuffer(rng.randbytes(8 * 8 * 3), np.uint8).reshape(8, 8, 3)).save(content, "PNG")
    return content.getvalue()


def _list(rng: random.Random, space: str) -> bytes:
    return "".join(f"{get_space(space).sample(rng)}\n" for _ in range(rng.randrange(1, 5))).encode()


# How the product reads it, and goes on with what it read.


def _read_scores(folder: Path) -> None:
    """Continue a search that proposes nothing new, and rank what was read."""
    evaluator = SimpleNamespace(fingerprint="probe", columns=(_NASWOT, _SNIP))
    with ScoreRows(folder / "scores.jsonl") as finished:
        Loop("nasbench201", SPACE.canonical, evaluator, None, 0, finished)
    with ScoreRows(folder / "again.jsonl") as again:
        for row in finished.rows:
            again.append(row)
    with ScoreRows(folder / "again.jsonl") as again:
        assert again.rows == finished.rows
    for criteria in _CRITERIA if finished.rows else ():
        write_ranking(folder, rank(finished.rows, criteria))
        _read_ranking(folder)


def _read_ranking(folder: Path) -> None:
    ranking = read_ranking(folder)
    write_ranking(folder, ranking)
    pd.testing.assert_frame_equal(read_ranking(folder), ranking)
    named_picks(ranking, "all")
    choose_picks(ranking, 1, "spread")


def _continue_run(folder: Path) -> None:
    """Plan the training of a search's picks, and open its folder."""
    for pick in plan_training(TrainConfig(run_dir=str(folder), top=1)).picks:
        prepared = prepare_pick(folder, pick.settings, replace(_PICK, name=pick.name), overwrite=False)
        assert read_pick(prepared).settings == pick.settings
    settings = asdict(SearchConfig(samples=4))
    with RunFolder(folder).open(settings, settings, False, {}):
        RunFolder(folder).run_id()


def _compare_picks(folder: Path) -> None:
    """Compare the picks of a run, as naswot train does, with a figure."""
    run = read_run(RunFolder(folder))
    findings = find(run)
    write_csv(folder / "comparison.csv", comparison_rows(run.results), NAMES)
    write_json(folder / "evidence.json", findings.to_json())
    print_comparison(folder, run, findings, write_seeds(folder, run.groups), {})
    if (figure := draw_figure6(run, findings)) is not None:
        save_figure(figure, folder / "figures" / "figure6.png")


def _read_pick(folder: Path) -> None:
    """Read a pick as its process does, then as the command does that finds it."""
    pick = read_pick(folder / "picks" / "1-x")
    pick.half()
    pick.settings.digest()
    if pick.run.name == "1-x":
        prepare_pick(folder, pick.settings, pick.run, overwrite=False)
    assert read_pick(folder / "picks" / "1-x").settings == pick.settings


def _mark_wandb_run(folder: Path) -> None:
    runs.mark_sent(RunFolder(folder), "mine")
    assert "mine" in runs.sent_runs(RunFolder(folder))


def _continue_logging(folder: Path) -> None:
    logged = SimpleNamespace(log=lambda *_, **__: None, define_metric=lambda *_, **__: None)
    run = LoggedRun(folder, "ours", "group", "1-x", "mine", "train")
    sent = SentOnce("wandb", run, lambda: wandb_logger(lambda: logged), folder / ".sent.json")
    sent.metrics({"train/loss": 1.0, "epoch": 3}, 2_000)


def _show_versions(folder: Path) -> None:
    note_versions(folder / "versions.json")
    write_page(folder)


def _continue_ablation(folder: Path) -> None:
    path = folder / "measured" / "ablation.jsonl"
    before = read_ablation(path)
    with JsonLines(path) as file:
        if before is not None and len(before.header.networks) == 3:
            file.append({"ablation": ABLATIONS[0], "number": 77, "batch_size": 16, "scores": [1.0, None, 3.0]})
    run = read_run(RunFolder(folder))
    if (figure := draw_figure5(run, find(run))) is not None:
        save_figure(figure, folder / "figures" / "figure5.png")


def _read_config(kind: type, name: str) -> Callable[[Path], None]:
    def read(folder: Path) -> None:
        """Read the options, write them as a run folder does, read them again, and plan the command."""
        config = parse(kind, ["--config", str(folder / name)], name)
        plain = {key: value for key, value in asdict(config).items() if key not in ("overwrite", "trust")}
        (folder / "again.yaml").write_bytes(_yaml(plain))
        assert asdict(parse(kind, ["--config", str(folder / "again.yaml")], name)) == asdict(config)
        if kind is SearchConfig:
            plan_search(replace(config, calibrate=False, samples=1 if config.samples == "all" else config.samples))
        else:
            changes = {"architecture": None, "space": None, "split_file": None, "picks": None, "top": 1}
            plan_training(replace(config, run_dir=str(folder), **changes))

    return read


def _read_list(space_name: str) -> Callable[[Path], None]:
    def read(folder: Path) -> None:
        space = get_space(space_name)
        architectures = read_architectures(space, folder / f"list {space_name}.txt")
        for architecture in Listed(
            architectures[:2], Limits({"params": 10**9}, {"params": lambda a: space.complexity(a).params})
        ).propose(()):
            with contextlib.suppress(TooLargeError):
                space.canonical(architecture)

    return read


def _read_split(folder: Path) -> None:
    valid, test = read_split_file(folder / "split.json", "cifar100", 20)
    assert sorted(valid + test) == list(range(20))


def _read_images(folder: Path) -> None:
    for side in (8, None):
        assert load_image_folder(folder, side).train.images.shape[1:] == (8, 8, 3)


def _read_text(path: Path) -> str:
    """Return a text as the command line passes it: bytes that are no UTF-8 are lone surrogates."""
    return path.read_bytes().decode("utf-8", "surrogateescape")


def _read_architecture(space_name: str) -> Callable[[Path], None]:
    def read(folder: Path) -> None:
        """Ask a space all that the commands ask of an architecture."""
        space, architecture = get_space(space_name), _read_text(folder / f"{space_name}.txt")
        canonical = space.canonical(architecture)
        assert space.canonical(canonical) == canonical
        space.complexity(canonical)
        space.graph(architecture)
        space.validate(space.mutate(architecture, random.Random(0)))
        if isinstance(space, EnumerableSpace):
            assert space[space.index(canonical)] == canonical

    return read


def _read_space(folder: Path) -> None:
    space = known_space(_read_text(folder / "space.txt"))
    with contextlib.suppress(TooLargeError):
        space.validate(space.sample(random.Random(0)))


@dataclass(frozen=True)
class Reader:
    """How a valid file is made, how it is read, and the valid files beside it that this needs."""

    make: Callable[[random.Random], bytes]
    read: Callable[[Path], None]
    needs: tuple[str, ...] = ()


_SEARCH = ("config.yaml", "ranking.json")
_IMAGES = tuple(f"{part}/{name}/0.png" for part in ("train", "test") for name in "ab")
_RUN_ID = ".run_id"
_RESULT, _TRAJECTORY, _PICK_CONFIG = (f"picks/1-x/{name}" for name in ("result.json", "trajectory.csv", "config.yaml"))
READERS = {
    "scores.jsonl": Reader(lambda rng: b"".join(_json(row.to_json()) + b"\n" for row in _rows(rng)), _read_scores),
    "ranking.json": Reader(lambda rng: _json(list(as_dicts(rank(_rows(rng), rng.choice(_CRITERIA))))), _read_ranking),
    "config.yaml": Reader(lambda _: _yaml(asdict(SearchConfig(samples=4))), _continue_run, ("ranking.json", _RUN_ID)),
    _RUN_ID: Reader(lambda rng: f"{rng.randrange(16**8):08x}\n".encode(), _continue_run, _SEARCH),
    ".wandb_runs.json": Reader(lambda rng: _json([f"{rng.randrange(16**8):08x}-search", "another"]), _mark_wandb_run),
    ".sent.json": Reader(
        lambda rng: _json({"steps": {"train/loss": rng.randrange(1_000), "val/acc": 3}}), _continue_logging
    ),
    "versions.json": Reader(
        lambda rng: _json([{"python": f"3.{rng.randrange(9, 14)}", "torch": "2.4.0+cpu"}]), _show_versions, _SEARCH
    ),
    "benchmark_evidence.json": Reader(_evidence, write_page, _SEARCH),
    "measured/ablation.jsonl": Reader(_ablation, _continue_ablation, _SEARCH),
    _PICK_CONFIG: Reader(lambda _: _yaml({**_pick_settings().to_plain(), "wandb": asdict(_PICK)}), _read_pick),
    "picks/1-x/retry.yaml": Reader(lambda _: b"accumulate: 2\n", _read_pick, (_PICK_CONFIG,)),
    _RESULT: Reader(_result, _compare_picks, (_TRAJECTORY,)),
    _TRAJECTORY: Reader(lambda _: trajectory([300.0, None, 1e308, -0.0, 5e-324]).encode(), _compare_picks, (_RESULT,)),
    "search.yaml": Reader(lambda _: _yaml(_CONFIGS[SearchConfig]), _read_config(SearchConfig, "search.yaml")),
    "train.yaml": Reader(lambda _: _yaml(_CONFIGS[TrainConfig]), _read_config(TrainConfig, "train.yaml"), _SEARCH),
    "split.json": Reader(_split, _read_split),
    **{name: Reader(_image, _read_images, tuple(each for each in _IMAGES if each != name)) for name in _IMAGES},
    **{f"list {name}.txt": Reader(partial(_list, space=name), _read_list(name)) for name in _LISTED},
    **{
        f"{name}.txt": Reader(lambda rng, name=name: get_space(name).sample(rng).encode(), _read_architecture(name))
        for name in list_spaces()
    },
    "space.txt": Reader(lambda _: b"nds_darts:depth=8,width=16", _read_space),
}
