"""Every page: its commands and programs run, its links lead somewhere, and it names the options that there are."""

import ast
import re
import sys
from dataclasses import fields
from importlib import import_module

import pytest
import torch

from naswot_lightning import spaces
from naswot_lightning.benchmarks.convert import convert
from naswot_lightning.config import ExportConfig, PredictConfig, SearchConfig, TrainConfig, WandbConfig
from naswot_lightning.report.settings import ReportConfig
from naswot_lightning.reproduce import RESULTS
from naswot_lightning.study.settings import StudyConfig
from naswot_lightning.training.plan import TRAINER_ARGUMENTS_WITH_OPTIONS
from tests.benchmarks.nasbench101_files import invented, tfrecord
from tests.conftest import ROOT
from tests.docs import pages
from tests.docs.pages import PAGES, blocks, read, read_script
from tests.images import make_image_folder
from tests.reproduce.tables import COLUMNS, SIZE_COLUMNS, write_table
from tests.study.runs import write_own_table

MOST_LINES = 110
_NARROW = "nds_darts:width=4,depth=3"  # of NDS, and quick
OPTIONS = {each.name for kind in (SearchConfig, TrainConfig) for each in fields(kind)}
OPTIONS -= {"wandb", "trainer", "slurm", "train"}
OPTIONS |= {f"wandb.{each.name}" for each in fields(WandbConfig)}
REPRODUCED = {each.name for result in RESULTS.values() for each in fields(result.settings)}
OPTIONS |= {each.name for kind in (StudyConfig, ReportConfig, ExportConfig, PredictConfig) for each in fields(kind)}
OPTIONS -= {"images"}  # stand alone
OPTIONS |= {"trainer.NAME", "slurm.NAME", "train.NAME", "config", "print_config"}


def commands(page):
    return [words for block in blocks(page) if block.language == "bash" for words in block.commands]


def page_name(page):
    return str(page.relative_to(ROOT))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder as the reader stands in it: the library's configurations, and images of one's own.

    All pages have it, so that what one of them ranks and trains is there when the next asks for the same.
    """
    place = tmp_path_factory.mktemp("pages")
    (place / "configs").symlink_to(ROOT / "configs")
    (place / "cells.tfrecord").write_bytes(tfrecord(invented()))
    convert(place / "cells.tfrecord", place / "nasbench101.npz")
    for space, columns in (("nasbench201", COLUMNS), ("nats_size", SIZE_COLUMNS)):
        convert(write_table(place / f"{space}.csv", 6, space, columns), place / f"{space}.npz")
    for name in ("DARTS", "DARTS_fix-w-d"):
        table = write_table(place / f"{name}.csv", 4, _NARROW, {("cifar10", "test"): 0.0})
        convert(table, place / f"{name}.npz", _NARROW)
    write_own_table(place / "accuracies.csv", 5)
    latencies = (f"{each},{1 + each.count('conv')}" for each in spaces.get_space("nasbench201"))
    (place / "latencies.csv").write_text("\n".join(["architecture,pixel3_latency_ms", *latencies]))
    make_image_folder(place / "my_images", {"train": 8, "test": 4}, size=32)
    for block in (block for page in PAGES for block in blocks(page) if block.file):
        (place / block.file).write_text(block.text)
    return place


@pytest.fixture
def folder(place, monkeypatch):
    monkeypatch.chdir(place)
    monkeypatch.syspath_prepend(place)
    pages.forget_trust()
    yield place
    pages.forget_trust()
    for file in place.glob("*.py"):
        sys.modules.pop(file.stem, None)


# Of extending.md its own test runs the blocks.
RUN_HERE = [page for page in PAGES if page.name != "extending.md"]


def is_run(words):
    return not pages.is_among(pages.NOT_RUN, words)


@pytest.mark.parametrize("page", RUN_HERE, ids=page_name)
def test_page_first_command_runs_and_the_others_parse(page, folder):
    listed = commands(page)
    runnable = [words for words in listed if is_run(words)]
    first = next((words for words in runnable if not pages.is_among(pages.LONG_AS_FIRST, words)), None)
    if first:
        pages.run(first)
    for words in listed:
        if words is not first and "--print_config" not in words:
            read(words)
    for block in blocks(page):
        assert block.language in ("", "bash", "python", "sh")
        if block.language == "sh":
            read_script(block.text)


def test_what_pages_import_of_ours_is_there():
    programs = [block.text for page in PAGES for block in blocks(page) if block.language == "python"]
    found = [node for text in programs for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)]
    for module, name in {(each.module, name.name) for each in found for name in each.names}:
        if module.partition(".")[0] == "naswot_lightning":
            assert hasattr(import_module(module), name), f"{module}.{name}"
    assert len(found) > 20


@pytest.mark.slow  # minutes together
@pytest.mark.parametrize("page", RUN_HERE, ids=page_name)
def test_page_all_commands_and_programs_run(page, folder, monkeypatch):
    # What is measured of this machine is no cache of the user's.
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    # What pages call the mini-batch that the reader has.
    names = {"__name__": "__main__", "images": torch.randn(16, 3, 16, 16), "labels": torch.arange(16) % 10}
    for block in blocks(page):
        if block.language == "bash":
            for words in filter(is_run, block.commands):
                pages.run(words)
        elif block.language == "python" and not block.file:
            pages.run_program(block.text, names)


@pytest.mark.parametrize("name", ["README.md", "docs/how-the-score-works.md"])
def test_page_programs_run(name, folder):
    names = {"__name__": "__main__"}
    for block in blocks(ROOT / name):
        if block.language == "python" and not block.file:
            pages.run_program(block.text, names)


def test_inline_commands_parse():
    for words in (words for page in PAGES for words in pages.inline_commands(page)):
        lacks_table = "reproduce" in words and "--benchmark" not in words  # named once on the page
        read([*words, "--benchmark", "nasbench201.npz"] if lacks_table else words)


def test_the_readme_is_short_and_pictures_are_small():
    assert len((ROOT / "README.md").read_text().splitlines()) <= MOST_LINES
    pictures = list((ROOT / "docs" / "images").iterdir())
    assert all(picture.suffix == ".png" and picture.stat().st_size < 120_000 for picture in pictures)


def test_links_lead_to_files_and_headings():
    links = [(page, link) for page in PAGES for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text())]
    for page, (path, _, heading) in ((page, link.partition("#")) for page, link in links if "://" not in link):
        target = page.parent / path if path else page
        assert target.exists(), f"{page}: {path}"
        if heading:
            titles = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE)
            anchors = [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]
            assert heading in anchors, f"{page}: {path}#{heading}"


def test_every_option_is_named_and_exists():
    text = "\n".join(page.read_text() for page in PAGES)
    assert sorted(OPTIONS - set(re.findall(r"--([\w.]+)", text))) == []
    assert set(re.findall(r"--([\w.]+)", (ROOT / "docs" / "reproduce.md").read_text())) >= REPRODUCED
    named = {name for name in re.findall(r"`--([a-z][\w.]*)", text) if not name.startswith(("trainer.", "slurm."))}
    assert named - OPTIONS - REPRODUCED <= {"output", "version", "help"}  # of naswot spaces, benchmarks and itself


def test_refused_arguments_of_lightning_are_named():
    refused = (ROOT / "docs" / "training.md").read_text().partition("Refused are")[2].partition("\n\n")[0]
    assert set(re.findall(r"`(\w+)`", refused)) == set(TRAINER_ARGUMENTS_WITH_OPTIONS)
