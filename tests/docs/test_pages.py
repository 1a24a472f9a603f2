"""Every page: its commands and programs run, its links lead somewhere, and it names the options that there are."""

import re
import sys
from dataclasses import fields

import pytest

from naswot_lightning.config import SearchConfig, TrainConfig, WandbConfig
from spaces import get_space
from tests.conftest import ROOT
from tests.docs import pages
from tests.docs.pages import PAGES, blocks
from tests.images import make_image_folder

MOST_LINES = 110
OPTIONS = {each.name for config in (SearchConfig, TrainConfig) for each in fields(config)} - {"wandb", "trainer"}
OPTIONS |= {f"wandb.{each.name}" for each in fields(WandbConfig)} | {"trainer.NAME", "config", "print_config"}


def commands(page):
    return [words for block in blocks(page) if block.language == "bash" for words in block.commands]


ALL_COMMANDS = [words for page in PAGES for words in commands(page) if page.name not in pages.RUN_ELSEWHERE]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder as the reader stands in it: the library's configurations, and images of one's own.

    All pages have it, so that what one of them ranks and trains is there when the next asks for the same.
    """
    place = tmp_path_factory.mktemp("pages")
    (place / "configs").symlink_to(ROOT / "configs")
    make_image_folder(place / "my_images", {"train": 8, "test": 4}, size=32)
    return place


@pytest.fixture
def folder(place, monkeypatch):
    monkeypatch.chdir(place)
    monkeypatch.syspath_prepend(place)
    get_space.cache_clear()
    yield place
    get_space.cache_clear()
    for file in place.glob("*.py"):
        sys.modules.pop(file.stem, None)


@pytest.mark.parametrize("page", [page for page in PAGES if page.name not in pages.RUN_ELSEWHERE], ids=lambda p: p.name)
def test_commands_and_programs(page, folder):
    for block in blocks(page):
        if block.language == "bash":
            for words in block.commands:
                (pages.read if pages.reason_not_to_run(words) else pages.run)(words)
        elif block.language == "python" and block.file:
            (folder / block.file).write_text(block.text)
        elif block.language == "python":
            pages.run_program(block.text)
        else:
            assert not block.language, f"a block of {block.language}"


def test_pages_that_are_run_elsewhere():
    for test in pages.RUN_ELSEWHERE.values():
        assert (ROOT / test).exists(), test


@pytest.mark.parametrize("table", [pages.SMALLER, pages.NOT_RUN], ids=["smaller", "not run"])
def test_no_entry_of_the_tables_is_left_over(table):
    for wanted in table:
        assert any(pages.find(words, wanted) is not None for words in ALL_COMMANDS), wanted


def test_the_readme_is_short():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= MOST_LINES
    assert "make quickstart" in text
    assert "make test" in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page):
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    for path, _, heading in (link.partition("#") for link in links if "://" not in link):
        target = page.parent / path if path else page
        assert target.exists(), path
        if heading:
            titles = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE)
            assert heading in [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]


def test_every_option_is_named():
    text = "\n".join(page.read_text() for page in PAGES)
    named = set(re.findall(r"--([\w.]+)", text))
    assert sorted(option for option in OPTIONS if option not in named) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_named_option_exists(page):
    ours = re.findall(r"`--([a-z][\w.]*)", page.read_text())
    others = {"output"}  # of python -m spaces
    odd = [name for name in ours if name not in OPTIONS | others and not name.startswith("trainer.")]
    assert odd == []


def test_pictures_are_small():
    for picture in (ROOT / "docs" / "images").iterdir():
        assert picture.suffix == ".png"
        assert picture.stat().st_size < 120_000
