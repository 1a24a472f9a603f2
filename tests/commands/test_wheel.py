"""The wheel in an environment of its own, beside folders and packages with the names of ours in a checkout."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile

import pytest

from tests.conftest import ROOT

SMALL = ["--wandb.mode", "disabled", "--run_dir", "run"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("naswot_lightning", "spaces", "callbacks"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", folder, source]
    subprocess.run(build, check=True)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory):
    """Holds the wheel, the libraries of the environment that runs the tests, and somebody else's package ``spaces``."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (packages,) = (folder / "lib").glob("python*/site-packages")
    # A path alone: that environment's own installation of the checkout is not taken up.
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = [sys.executable, "-m", "pip", "--python", folder / "bin" / "python"]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", "--no-index", wheel], check=True)
    (packages / "spaces").mkdir()
    (packages / "spaces" / "__init__.py").write_text("GPU = 'another package'\n")
    return folder


def test_wheel_has_one_package_at_top_level(wheel):
    archive = zipfile.ZipFile(wheel)
    names = archive.namelist()
    assert {name.split("/")[0] for name in names} == {"naswot_lightning", wheel.name.rsplit("-", 3)[0] + ".dist-info"}
    for name in ("configs/search/quickstart.yaml", "report/html/templates", "reproduce/paper", "py.typed"):
        assert any(each.startswith(f"naswot_lightning/{name}") for each in names), name
    (metadata,) = (archive.read(name).decode() for name in names if name.endswith("METADATA"))
    assert "](docs/" not in metadata  # a picture or a link that an index could not show
    assert "Project-URL: Repository" in metadata


@pytest.mark.slow
def test_installed_command_searches_trains_and_reports_beside_folders_of_the_same_names(environment, tmp_path):
    for name in ("spaces", "callbacks"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('the folder of the user was imported')\n")

    outside = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}

    def naswot(*words):
        command = [environment / "bin" / "naswot", *words]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env=outside)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "search" in naswot("--help")
    naswot("search", "--config", "quickstart", "--samples", "4", "--batch_size", "16", *SMALL)
    naswot("train", "--config", "quickstart", "--top", "1", "--epochs", "1", *SMALL)
    assert "report.html" in naswot("report", "--run_dir", "run")
    code = "import spaces, naswot_lightning.spaces as ours; print(spaces.GPU, len(ours.list_spaces()) > 10)"
    done = subprocess.run(
        [environment / "bin" / "python", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=environment,
        env=outside,
    )
    assert done.stdout == "another package True\n"
