"""The pages as a site: built as `make docs` does, where a warning is an error, and what a build does not notice."""

import json
import os
import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT

NOTEBOOK = ROOT / "docs" / "first-search.ipynb"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "https_proxy": "http://127.0.0.1:9"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def texts(site):
    """What is between the tags of the article of each page, programs left out."""
    articles = {}
    for page in site.rglob("*.html"):
        if page.name != "404.html":
            article = re.search(r"<article.*?</article>", page.read_text(), re.DOTALL)[0]
            articles[str(page.relative_to(site))] = re.sub(r"<pre.*?</pre>", "", article, flags=re.DOTALL)
    return articles


def test_every_page_is_there_and_no_script_of_ours(site, texts):
    pages = {str(page.relative_to(ROOT / "docs").with_suffix(".html")) for page in (ROOT / "docs").rglob("*.md")}
    assert set(texts) == pages
    assert not (site / "scripts").exists()
    for page in site.rglob("*.html"):
        loaded = re.findall(r"<(?:script|img|link|iframe)[^>]*(?:src|href)=\"?(https?:)?//[^\s\">]+", page.read_text())
        assert loaded == [], f"{page} loads something from elsewhere"
    assert (site / "first-search.ipynb").read_bytes() == NOTEBOOK.read_bytes()


def test_lists_and_tables_are_rendered(texts):
    """Python-Markdown wants an empty line before them, and no backslash before a bar, where GitHub does not."""
    for name, text in texts.items():
        assert "\\|" not in text, name
        for paragraph in re.findall(r"<p>(.*?)</p>", text, re.DOTALL):
            assert not re.search(r"^\s*(?:[-*|] |\d+\. )", paragraph, re.MULTILINE), f"{name}: {paragraph}"


def test_docstrings_are_markdown(texts):
    reference = {name: text for name, text in texts.items() if name.startswith("api")}
    assert len(reference) == 4
    for name, text in reference.items():
        assert not re.search(r":(?:class|func|meth|attr|mod):", text), name
        assert "&gt;&gt;&gt;" not in text, f"{name}: a doctest that is no program"
    assert 'id="naswot_lightning.naswot.naswot.naswot_score"' in reference["api/python.html"]
    assert "it is left exactly as it was found" in reference["api/python.html"]


def test_the_reference_names_what_the_packages_export(texts):
    import naswot_lightning
    from naswot_lightning import callbacks

    for package, page in ((naswot_lightning, "api/python.html"), (callbacks, "api/callbacks.html")):
        for name in package.__all__:
            assert re.search(rf'<h2 id="[\w.]+\.{name}"', texts[page]), name


def test_the_notebook_is_made_of_its_page(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs" / "scripts")
    from make_notebook import notebook_of

    made = notebook_of((ROOT / "docs" / "first-search.md").read_text())
    assert NOTEBOOK.read_text() == made, "run: python docs/scripts/make_notebook.py docs/first-search.md"
    cells = json.loads(made)["cells"]
    assert sum(cell["cell_type"] == "code" for cell in cells) == 7
    assert all(cell["outputs"] == [] for cell in cells if cell["cell_type"] == "code")
