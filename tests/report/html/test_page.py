"""What the page of a run says, against the files of the run, and that no text of a file is run."""

import base64
import hashlib
import json
import re
import shlex
import subprocess
from dataclasses import asdict, replace

import numpy as np
import pytest
import yaml

from naswot_lightning.analysis.evidence import correlations, judge
from naswot_lightning.analysis.results import Confusion, Network
from naswot_lightning.benchmarks.targets import Target
from naswot_lightning.cli.parser import parse
from naswot_lightning.columns import PARAMS, Column, Criterion
from naswot_lightning.config import SearchConfig, TrainConfig
from naswot_lightning.report.compare import compare
from naswot_lightning.report.findings import find
from naswot_lightning.report.html import page as page_module
from naswot_lightning.report.html.page import Page, _joined, commands_of, write_report
from naswot_lightning.report.html.tables import MOST_DRAWN, correlation_rows, progress_of
from naswot_lightning.report.run import BenchmarkEvidence, read_rows, read_run
from naswot_lightning.spaces import get_space
from naswot_lightning.spaces.drawing import lay_out
from naswot_lightning.storage.files import write_json
from naswot_lightning.storage.run_folder import RunFolder
from tests.report.html.folders import (
    HOSTILE,
    SETTINGS,
    failed_row,
    sampled_rows,
    score_row,
    write_metrics,
    write_page,
    write_search,
    write_unfinished,
)
from tests.runs import result, training_result, write_pick


def page(folder):
    run = read_rows(RunFolder(folder), read_run(RunFolder(folder)))
    return Page(run, find(run))


def values(page, name):
    return page.candidates.column(name).values


def test_table_is_the_ranking(tmp_path):
    rows = [*sampled_rows(12), failed_row("odd", "RuntimeError: no"), failed_row("flat", "equal codes", "degenerate")]
    shown = page(write_search(tmp_path, rows))
    ranking = json.loads((tmp_path / "ranking.json").read_text())
    for name in ("rank", "architecture", "score", "params", "macs", "n_units", "status"):
        assert list(values(shown, name)) == [row[name] for row in ranking]
    order = {row.architecture: place for place, row in enumerate(rows, start=1)}
    assert list(values(shown, "evaluated")) == [order[row["architecture"]] for row in ranking]
    assert values(shown, "reason")[-2:] == ("equal codes", "RuntimeError: no")
    assert sorted(shown.failures) == [("degenerate", "equal codes", 1), ("failed", "RuntimeError: no", 1)]
    assert shown.states == []
    assert shown.headline == "14 networks of nasbench201, drawn at random, ranked by naswot on digits."


def test_table_rows_beyond_ten_thousand_and_the_cells_of_low_ranks_are_left_out(tmp_path):
    rows = [score_row(number, get_space("nasbench201")[number]) for number in range(10_050)]
    far = get_space("nasbench201")[9_000]
    write_pick(tmp_path, result(1, rank=9_001, architecture=far, canonical=far), name="9001-9")
    shown = page(write_search(tmp_path, rows))
    assert (shown.candidates.total, shown.candidates.shown) == (10_050, 10_000)
    assert values(shown, "rank")[-1] == 10_000
    assert len(shown.drawn) == MOST_DRAWN
    assert (shown.picks[0].row, len(shown.picks[0].cells)) == (9_000, 1)


def test_search_under_way_is_ranked_by_what_it_has(tmp_path):
    rows = sampled_rows(6)
    write_search(tmp_path, rows[:4], ranked=False)
    with open(tmp_path / "scores.jsonl", "a") as file:
        file.write('{"space": "nasbench201", "archit')  # a line that is being written
    shown = page(tmp_path)
    assert values(shown, "architecture")[0] == max(rows[:4], key=lambda row: row.score).architecture
    assert "provisional ranking of the 4 candidates" in shown.states[0]
    assert (tmp_path / "scores.jsonl").read_text().endswith("archit")
    write_search(tmp_path, rows[:4])
    with open(tmp_path / "scores.jsonl", "a") as file:
        file.writelines(json.dumps(row.to_json()) + "\n" for row in rows[4:])
    assert page(tmp_path).states == ["The ranking holds 4 of 6 finished candidates: a search is going on."]


def test_progress_is_the_best_so_far_in_the_direction_of_the_score(tmp_path):
    scores = [5.0, 3.0, 7.0, 7.0, None, 8.0, 6.0]
    rows = [score_row(place, f"a{place}", score=score) for place, score in enumerate(scores) if score is not None]
    rows.insert(4, failed_row("bad", "no"))
    for higher_is_better, best in ((True, [5, 7, 8]), (False, [5, 3])):
        column = Column("x", "x", higher_is_better=higher_is_better)
        found = progress_of(rows, Criterion((column,)))
        assert found["steps"] == [*((float(scores.index(each) + 1), each) for each in best), (7.0, best[-1])]
        assert progress_of(rows, Criterion((column, PARAMS))) is None
    first, second = sampled_rows(2)  # parts of trainings count for their part
    parts = [replace(first, fidelity=0.25), second, replace(second, fidelity=0.5)]
    assert page(write_search(tmp_path, parts)).progress["steps"][-1][0] == 1.75


def test_cells_are_those_of_the_space(tmp_path):
    rows = [*sampled_rows(4, "nds_darts"), score_row(9, "|odd~0|")]
    shown = page(write_search(tmp_path, rows, space="nds_darts"))
    words = list(shown.cells.words)
    assert shown.drawn[-1] == ()
    for architecture, places in zip(values(shown, "architecture")[:4], shown.drawn, strict=False):
        graphs = get_space("nds_darts").graph(architecture)
        assert len(graphs) == len(places) == 2
        for graph, place in zip(graphs, places, strict=True):
            title, layout, count, *rest = list(shown.cells.graphs)[place]
            assert words[title] == graph.title
            _is_laid_out(shown.cells.layouts[layout], graph)
            nodes, edges = rest[:count], [rest[at : at + 3] for at in range(count, len(rest), 3)]
            assert [(words[code // 2], bool(code % 2)) for code in nodes] == [(n.label, n.live) for n in graph.nodes]
            assert [(s, t, words[code // 2], bool(code % 2)) for s, t, code in edges] == [
                (e.source, e.target, e.label, e.live) for e in graph.edges
            ]


def _is_laid_out(found, graph):
    """The page has the boxes of the spaces' own pictures, from top to bottom."""
    expected = lay_out(graph, down=True)
    assert found["size"] == pytest.approx((expected.width, expected.height), abs=0.06)
    for box, other in zip([*found["nodes"], *found["labels"]], [*expected.nodes, *expected.labels], strict=True):
        assert (box is None) == (other is None)
        assert other is None or box == pytest.approx((other.x, other.y, other.width, other.height), abs=0.06)


def test_trainings_with_and_without_a_result(tmp_path):
    write_metrics(write_pick(tmp_path, result(1, seed=3, recipe="r", versions={"torch": "2.9+cu1"})), (0.5, 0.6, 0.7))
    (tmp_path / "versions.json").write_text('[{"torch": "2.8", "python": "3.12"}, {"torch": "2.9", "python": "3.12"}]')
    write_unfinished(tmp_path, "2-c2-seed7")
    write_unfinished(tmp_path, "3-c3", {"status": "out of time", "message": "again"}, rank=3, canonical="c3")
    shown = page(tmp_path)
    assert [(pick.name, pick.trainings[0].status) for pick in shown.picks] == [
        ("rank 1", "ok"), ("rank 2", "not finished"), ("rank 3", "out of time"),
    ]  # fmt: skip
    assert shown.picks[1].to_json()["trainings"][0]["metrics"]["val/acc"] == ((1.0, 2.0), (0.3, 0.4))
    assert shown.picks[0].to_json()["trainings"][0]["score"][0] == (0.0, 1.0, 2.0, 3.0)
    assert shown.states == ["2 of 3 trainings have no result yet (1 not finished, 1 out of time)."]
    assert shown.versions == (("python", "3.12"), ("torch", "2.8, 2.9+cu1"))
    assert shown.headline == "Trainings of nasbench201, without a search."
    # A damaged learning curve is named, damaged settings leave a training out, and the rest is shown.
    for text in ("rank: one", "[]", "a: b: c"):
        (tmp_path / "picks" / "2-c2-seed7" / "config.yaml").write_text(text)
        assert [pick.name for pick in page(tmp_path).picks] == ["rank 1", "rank 3"]
    (tmp_path / "picks" / "1-c1" / "metrics.csv").write_text("epoch,step\none,two\n")
    shown = page(tmp_path)
    assert any(str(tmp_path / "picks" / "1-c1" / "metrics.csv") in state for state in shown.states)
    assert shown.picks[0].trainings[0].trajectory.points


def test_best_is_chosen_by_validation_and_never_by_test_accuracy(tmp_path):
    for name, changes, value, note in (
        ("a", {}, "93.00 %", "best by validation (90.00 %): rank 2, seed 0, digits"),
        ("b", {"best_val_acc": None}, "50.00 %",
         "first of the ranking (no validation set to choose by): rank 1, seed 0, digits"),
        ("c", {"best_val_acc": None, "rank": None}, None, None),
    ):  # fmt: skip
        for number, val_acc, test_acc in ((1, 0.6, 0.5), (2, 0.9, 0.93), (3, 0.7, 0.99)):
            row = result(number, **{"best_val_acc": val_acc, "test_acc": test_acc, **changes})
            write_pick(tmp_path / name, row)
        shown = {fact.label: (fact.value, fact.note) for fact in page(tmp_path / name).facts}
        assert shown.get("test accuracy", (None, None)) == (value, note)


def test_confusion_of_the_best_is_a_list_of_what_is_taken_for_what(tmp_path):
    for number in (1, 2):
        folder = write_pick(tmp_path, result(number))
        Confusion(("cat", "<dog>"), np.array([[3, 1], [0, number]])).write(folder)
    html = write_report(RunFolder(tmp_path), shown := read_run(RunFolder(tmp_path)), find(shown)).read_text()
    assert "picks/1-c1/best.ckpt" in html
    assert "&lt;dog&gt;" in html
    many = np.eye(21, dtype=int)
    many[4, 7] = 12
    Confusion(tuple(f"class-{number}" for number in range(21)), many).write(tmp_path / "picks" / "1-c1")
    html = write_report(RunFolder(tmp_path), shown := read_run(RunFolder(tmp_path)), find(shown)).read_text()
    assert '<td>class-4</td><td>class-7</td><td class="number">12</td>' in html
    assert '<td>class-4</td><td class="number">13</td><td class="number">7.69 %</td>' in html


def test_evidence_and_accuracies_of_a_table_are_shown(tmp_path):
    networks = [Network((training_result(number, score_final=None),)) for number in range(1, 9)]
    found = BenchmarkEvidence(
        networks=8, candidates=9, pick=0.91, best_candidate=0.93, best=0.95,
        correlations=correlations(networks), verdict=judge(networks), benchmark="mine",
        target=Target("cifar10", "x-valid", 12),
    )  # fmt: skip
    write_search(tmp_path, sampled_rows(9), evaluator="table", benchmark="mine.npz", benchmark_dataset="cifar10")
    write_json(tmp_path / "benchmark_evidence.json", asdict(found))
    ranking = json.loads((tmp_path / "ranking.json").read_text())
    (tmp_path / "ranking.json").write_text(json.dumps([{**row, "benchmark_acc": 0.9} for row in ranking]))
    shown = page(tmp_path)
    column = shown.candidates.column("benchmark_acc")
    assert (column.kind, column.values, column.label) == ("share", (0.9,) * 9, "benchmark acc")
    (evidence,) = shown.evidence
    assert evidence.title == "mine, cifar10 x-valid, 12 epochs: 8 of 9 candidates are known"
    assert evidence.verdict == found.verdict
    assert "2.00 points below the best of the candidates (93.00 %), 4.00 below" in evidence.notes[0]
    assert [row[0] for row in correlation_rows(evidence.correlations)] == ["score at init", "parameters", "MACs"]
    assert shown.headline.endswith("on cifar10, as a table knows it.")


def commands(folder):
    return [shlex.split(command) for command in commands_of(read_run(RunFolder(folder)))]


def test_command_of_a_search_gives_its_settings(tmp_path):
    trained = {"evaluator": "train", "epochs": 3, "train": {"batch_size": 64, "lr": 0.5}}
    for number, chosen in enumerate((
        {"space": "nds_darts:depth=8,width=16", "seed": 3, "batch_size": 128, "canonical": False},
        {"score": "naswot,jacob_cov+params:mean_rank", "repeats": 2, "max_params": 10**6},
        {"algorithm": "rea:population=20", **trained},
        {"architectures": "a list; of 'mine'.txt", "workers": 4, "wandb": {"mode": "online", "project": "x"}},
    )):  # fmt: skip
        settings = {**SETTINGS, **chosen}
        ((naswot, command, *words),) = commands(write_search(tmp_path / str(number), sampled_rows(1), **chosen))
        assert (naswot, command) == ("naswot", "search")
        parsed = parse(SearchConfig, words, "naswot search")
        for name in set(settings) - {"run_dir", "wandb", "workers"}:
            assert getattr(parsed, name) == settings[name], name
        assert (parsed.run_dir, parsed.wandb.mode) == ("runs/again", "auto")


def test_commands_of_trainings_give_their_picks_recipes_and_seeds(tmp_path):
    options = {"epochs": 3, "batch_size": 64, "trainer.limit_train_batches": 0.5, "precision": "bf16-mixed"}
    for number, seed in ((1, 5), (1, 6), (4, 5), (4, 6)):
        pick = write_pick(tmp_path, result(number, seed=seed), name=f"{number}-c{number}-seed{seed}")
        (pick / "config.yaml").write_text(yaml.safe_dump({"recipe": "nasbench201-200", "options": options}))
    pick = write_pick(tmp_path, result(9, rank=None, architecture="a;b", epochs=12))
    (pick / "config.yaml").write_text(yaml.safe_dump({"recipe": "nasbench201-12", "options": {}}))
    given, ranked = (parse(TrainConfig, words[2:], "naswot train") for words in commands(tmp_path))
    assert (ranked.picks, ranked.all_seeds(), ranked.epochs, ranked.batch_size) == ("1,4", [5, 6], 3, 64)
    assert (ranked.recipe, ranked.precision, ranked.dataset) == ("nasbench201-200", "bf16-mixed", "digits")
    assert ranked.trainer == {"limit_train_batches": 0.5}
    assert (given.architecture, given.space, given.recipe, given.seed) == ("a;b", "nasbench201", "nasbench201-12", 0)


def test_command_to_copy_has_no_letter_that_a_shell_or_terminal_acts_on():
    word = "a'\\ \n\x1b[2J\u202e|none~0|"
    command = _joined("search", iter([("space", word)]))
    assert command.isprintable()
    printed = subprocess.run(["bash", "-c", command.replace("naswot search", "printf %s")], capture_output=True)
    assert printed.stdout.decode() == f"--space{word}--run_dirruns/again"


SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def hostile_folder(parent):
    """A folder whose every text would be a script, where a page took it for one."""
    folder = parent / HOSTILE.replace("/", "_")[:120]
    rows = [*sampled_rows(3), failed_row(HOSTILE, HOSTILE), failed_row("__proto__", "constructor", "degenerate")]
    write_search(folder, rows, dataset=HOSTILE, algorithm=HOSTILE, benchmark=HOSTILE)
    row = result(1, architecture=HOSTILE, canonical=HOSTILE, dataset=HOSTILE, recipe=HOSTILE, reason=HOSTILE)
    pick = write_pick(folder, {**row, "versions": {HOSTILE: HOSTILE}}, name="1-a")
    (pick / "metrics.csv").write_text('epoch,step,"</script><b>"\n1,2,3\n')
    write_unfinished(folder, "2-b", {"status": HOSTILE, "message": HOSTILE}, architecture=HOSTILE, dataset=HOSTILE)
    return folder


def scripts_of(html):
    return SCRIPT.findall(html)


def test_page_no_text_of_a_file_becomes_markup(tmp_path):
    html = write_page(hostile_folder(tmp_path)).read_text()
    assert len(scripts_of(html)) == 2
    assert html.count("<script") == html.count("</script>") == 3
    assert "<img" not in html
    assert "<b>" not in html
    shown = html.split('<script type="application/json" id="data">')[1].split("</script>")[0]
    assert not set("<>&\u2028") & set(shown)
    data = json.loads(shown)
    names = next(column for column in data["columns"] if column["name"] == "architecture")["values"]
    assert HOSTILE in names
    assert html.count("&lt;img") > 10


def test_policy_allows_what_is_in_the_file_and_nothing_else(tmp_path):
    html = write_page(write_search(tmp_path, sampled_rows(3))).read_text()
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', html)
    (style,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (*scripts_of(html), style)]
    policy = policy.replace("&#39;", "'")
    assert re.findall(r"'sha256-([^']+)'", policy) == digests
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert "connect-src" not in policy
    fetched = r"""(src|href)\s*=\s*["']?(?!#|https://github.com/leeoniya/uPlot")\w"""
    assert not re.search(fetched, html.split("<script")[0])
    ends = r"</(script|style)|<!--|\bimport\(|\bfetch\(|XMLHttpRequest|url\("
    for path in (page_module._HERE / "assets").glob("**/*.*"):
        assert not re.search(ends, path.read_text(), re.I), path
    assert (page_module._HERE / "assets" / "vendor" / "uPlot-LICENSE.txt").read_text().strip() in html


def test_page_same_files_give_the_same_bytes_and_few(tmp_path):
    write_metrics(write_pick(write_search(tmp_path / "a", sampled_rows(8)), result(1)), (0.5, 0.6))
    first = write_page(tmp_path / "a").read_bytes()
    assert first == write_page(tmp_path / "a", tmp_path / "elsewhere.html").read_bytes()
    assert 50_000 < len(first) < 250_000
    large = write_page(write_search(tmp_path / "b", sampled_rows(1000, "nds_darts"), space="nds_darts"))
    assert large.stat().st_size < 2_000_000


def test_page_never_fails_what_is_done(tmp_path, capsys):
    write_search(tmp_path, sampled_rows(2))
    (tmp_path / "scores.jsonl").write_text("{}\n")
    compare(RunFolder(tmp_path))
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert "report.html cannot be written" in printed.err
    assert "scores.jsonl, line 1" in printed.err
    assert not (tmp_path / "report.html").exists()


def test_page_code_that_a_folder_names_is_not_run(tmp_path, monkeypatch):
    (tmp_path / "evil.py").write_text("open('hacked', 'w')\nclass Space: pass\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    write_search(tmp_path / "run", sampled_rows(2), space="evil.Space")
    assert "evil.Space" in write_page(tmp_path / "run").read_text()
    assert not (tmp_path / "hacked").exists()
