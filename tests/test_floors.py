"""The oldest releases that are asked for have no published hole, and those that are installed are
no older.
"""

from __future__ import annotations

import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parent.parent

WITHOUT_PUBLISHED_HOLES = {
    "datasets": "4.0",  # before, a repository could have its own code run
    "filelock": "4.2.1",
    "jinja2": "3.1.6",
    "mkdocs-material": "9.7.7",
    "pillow": "13.0",
    "plotly": "5.16",  # before, its script let keys of a plot change all objects of the page
    "pyarrow": "14.0.1",
    "pytest": "9.0.3",
    "torch": "2.11",  # before 2.10 a checkpoint could run code even when read with weights_only
    "transformers": "5.24",
}


def requirements() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    return [Requirement(line) for group in groups for line in group]


def floor(requirement: Requirement) -> Version:
    (lowest,) = (each for each in requirement.specifier if each.operator == ">=")
    return Version(lowest.version)


@pytest.mark.parametrize("requirement", requirements(), ids=str)
def test_what_is_installed_is_no_older_than_its_floor(requirement: Requirement) -> None:
    try:
        installed = version(requirement.name)
    except PackageNotFoundError:
        pytest.skip(f"{requirement.name} is not installed")
    assert requirement.specifier.contains(installed, prereleases=True)


def test_a_library_has_one_floor() -> None:
    floors = {(each.name, str(each.specifier)) for each in requirements()}
    assert len({name for name, _ in floors}) == len(floors)


@pytest.mark.parametrize(("name", "safe"), WITHOUT_PUBLISHED_HOLES.items())
def test_floors_are_releases_without_published_holes(name: str, safe: str) -> None:
    floors = [floor(each) for each in requirements() if each.name == name]
    assert floors
    assert min(floors) >= Version(safe)


def test_the_readme_names_the_floor_of_torch() -> None:
    lowest = next(floor(each) for each in requirements() if each.name == "torch")
    assert f"Any torch from {lowest} on" in (ROOT / "README.md").read_text(encoding="utf-8")
