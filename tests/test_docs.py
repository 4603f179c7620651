"""The documentation names nothing that is not there."""

import re
from pathlib import Path

import pytest

from irisx.cli import irisx
from irisx.sandbox.farends import SCRIPTS

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@pages
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


@pages
def test_commands_exist(page: Path) -> None:
    known = set(irisx.list_commands(None))  # type: ignore[arg-type]
    for command in re.findall(r"(?:`|bin/| api )irisx ([a-z-]+)", page.read_text()):
        assert command in known


@pages
def test_paths_of_the_repository_exist(page: Path) -> None:
    for path in re.findall(
        r"`((?:irisx|scripts|tests|docs|kernel|telephony)/[\w/.-]+)`", page.read_text()
    ):
        place = ROOT / path
        assert place.exists() or (ROOT / "irisx" / path).exists(), path


def test_the_readme_lists_every_far_end() -> None:
    readme = (ROOT / "README.md").read_text()
    assert {f"| +1555555{number} |" for number in SCRIPTS} <= set(
        re.findall(r"\| \+\d+ \|", readme)
    )
