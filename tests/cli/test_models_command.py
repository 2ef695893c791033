"""`ovsskit models` lists files beside weights, their licences, and whether they are here."""

from __future__ import annotations

from pathlib import Path

import pytest
from dino_twin import dino_twin
from dino_txt_twin import dino_txt_twin
from typer.testing import CliRunner

from ovsskit.backbones.dino._published import HEAD, TEXTS
from ovsskit.cli.app import app
from ovsskit.hub import published_file


@pytest.fixture(autouse=True)
def _is_wide(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    monkeypatch.setenv("OVSSKIT_CACHE", str(tmp_path / "cache"))


def models(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["models", *arguments])
    assert done.exit_code == 0, done.output
    return done.output


def sets(**parts: str) -> list[str]:
    files = {"weights": dino_twin(), **dino_txt_twin(), **parts}
    return [one for name, file in files.items() for one in ("--set", f"backbone.{name}={file}")]


@pytest.mark.parametrize(
    ("recipe", "files"),
    [
        ("dino_txt", {HEAD: "Apache-2.0", TEXTS: "Apache-2.0"}),
        ("talk2dino", {"vitb_mlp_infonce.pth": "none stated"}),
        ("clip_diy", {"decoder_weights.pt": "Apache-2.0"}),
        ("simzss", {"simzss_coco.pt": "none stated"}),
    ],
)
def test_files_have_a_line_and_a_licence(
    recipe: str, files: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(address: str, sha256: str, size: int) -> bytes:
        raise AssertionError(f"{address} is fetched, and nobody asked for it")

    monkeypatch.setattr(published_file, "fetch_published", refuse)
    shown = models(recipe)
    rows = {line.split()[1]: line for line in shown.splitlines() if len(line.split()) > 3}
    for name, licence in files.items():
        assert rows[name].split()[2] == "no"
        assert rows[name].rstrip().endswith(licence)
        [_, told] = shown.split(f"\n{name}\n")
        assert told.splitlines()[1].startswith("  from https://")
        assert told.splitlines()[2].startswith(f"  licence: {licence}, ")


def test_files_that_are_here_have_a_size_and_fit() -> None:
    shown = models("dino_txt", *sets())
    network, *beside = shown.splitlines()[1:4]
    assert " yes " in network
    head, texts = (Path(file) for file in dino_txt_twin().values())
    sizes = f"{head.stat().st_size / 1e3:,.1f} kB", f"{texts.stat().st_size / 1e6:,.1f} MB"
    for line, file, size in zip(beside, (head, texts), sizes, strict=True):
        assert line.split()[1:3] == [str(file), "local"]
        assert size in line


def test_without_one_of_its_files_a_model_is_not_checked(tmp_path: Path) -> None:
    gone = str(tmp_path / "nothing.pth")
    shown = models("dino_txt", *sets(text_encoder=gone))
    network, head, texts = shown.splitlines()[1:4]
    assert " yes " not in network
    assert (head.split()[2], texts.split()[1:3]) == ("local", [gone, "no"])
