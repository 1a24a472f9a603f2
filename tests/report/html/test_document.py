import base64
import hashlib
import json
import re

from naswot_lightning.report.compare import compare
from naswot_lightning.report.html import document
from naswot_lightning.storage.run_folder import RunFolder
from tests.report.html.folders import (
    HOSTILE,
    SETTINGS,
    failed_row,
    sampled_rows,
    write_metrics,
    write_page,
    write_search,
    write_unfinished,
)
from tests.runs import result, write_pick

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
    for path in (document._HERE / "assets").glob("**/*.*"):
        assert not re.search(ends, path.read_text(), re.I), path
    assert (document._HERE / "assets" / "vendor" / "uPlot-LICENSE.txt").read_text().strip() in html


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


def test_overwrite_removes_the_page(tmp_path):
    folder = RunFolder(tmp_path)
    with folder.open(dict(SETTINGS), {"seed": 0}):
        folder.run_id()
    write_page(tmp_path)
    (tmp_path / "mine.html").write_text("mine")
    with folder.open({**SETTINGS, "seed": 1}, {"seed": 1}, overwrite=True):
        assert not folder.report.exists()
        assert (tmp_path / "mine.html").exists()


def test_page_code_that_a_folder_names_is_not_run(tmp_path, monkeypatch):
    (tmp_path / "evil.py").write_text("open('hacked', 'w')\nclass Space: pass\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    write_search(tmp_path / "run", sampled_rows(2), space="evil.Space")
    assert "evil.Space" in write_page(tmp_path / "run").read_text()
    assert not (tmp_path / "hacked").exists()
