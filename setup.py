"""The README as a package index shows it: its links and pictures lead to the repository."""

import re
from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).parent
(REPOSITORY,) = re.findall(r'^Repository = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)


def absolute(link: re.Match[str]) -> str:
    """Return a link of the README with the address of what it names."""
    kind = "raw" if link[1] == "!" else "blob"
    return f"{link[1]}[{link[2]}]({REPOSITORY}/{kind}/main/{link[3]})"


readme = (ROOT / "README.md").read_text(encoding="utf-8")
setup(
    long_description=re.sub(r"(!?)\[([^\]]*)\]\((?!https?:|#)([^)]*)\)", absolute, readme),
    long_description_content_type="text/markdown",
)
