"""Commands say what they know of weights on the hub, and record what they read."""

from __future__ import annotations

import json
from pathlib import Path

import PIL.Image
import pytest
from fake_hub import FakeHub, Fault
from typer.testing import CliRunner

from ovsskit.cli.app import app
from ovsskit.run.samples import sample_images

CHANGE = ("--set", "backbone.weights=some/clip")
WEIGHTS = "open_clip_model.safetensors"


def ovsskit(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, list(arguments))
    said = done.output + (str(done.exception) if done.exception else "")
    return done.exit_code, said


def test_models_tells_what_it_verified(hub: FakeHub) -> None:
    status, said = ovsskit("models", "sclip_tiny", *CHANGE)
    assert (status, "verified" in said) == (0, False)
    status, said = ovsskit("models", "sclip_tiny", "--fetch", *CHANGE)
    assert status == 0, said
    assert "cached" in said
    assert "verified" in said
    [blob] = [path for path in Path(said_cache()).rglob("blobs/*") if path.stat().st_size > 1 << 20]
    blob.write_bytes(blob.read_bytes()[:-1] + b"x")
    status, said = ovsskit("models", "sclip_tiny", *CHANGE)
    assert (status, "damaged" in said) == (2, True)


def said_cache() -> str:
    from huggingface_hub import constants

    return constants.HF_HUB_CACHE


def test_models_tells_why_the_hub_tells_nothing(hub: FakeHub) -> None:
    hub.faults["api"] = Fault(503)
    status, said = ovsskit("models", "sclip_tiny", *CHANGE)
    assert status == 0
    assert "unknown: the hub itself has a problem (status 503)." in said


@pytest.mark.parametrize(
    "command",
    [
        ("models", "sclip_tiny", "--fetch"),
        ("run", "sclip_tiny", "--limit", "1"),
        ("study", "itaclip_tiny", "--limit", "1", "--accept", "best"),
    ],
)
def test_every_command_says_what_keeps_weights_from_coming(
    hub: FakeHub, command: tuple[str, ...], tmp_path: Path
) -> None:
    hub.faults["api"] = Fault(403, {"X-Error-Code": "GatedRepo"})
    out = () if command[0] == "models" else ("--out", str(tmp_path / "out"))
    status, said = ovsskit(*command, *CHANGE, *out)
    assert status
    assert "accept their terms" in said
    assert "RECIPE" not in said


def test_a_run_records_the_commit_and_goes_on_whatever_others_add(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_abcdefghijklmnop")
    PIL.Image.open(sample_images()[0]).resize((48, 48)).save(tmp_path / "small.png")
    command = ("run", "clip_baseline_tiny", str(tmp_path / "small.png"), "--classes", "dog, cat",
               *CHANGE, "--out", str(tmp_path / "out"))  # fmt: skip
    status, said = ovsskit(*command)
    assert status == 0, said
    text = (tmp_path / "out" / "run.json").read_text()
    record = json.loads(text)
    model = record["models"]["backbone"]
    assert (model["source"], model["commit"]) == ("some/clip", hub.repositories["some/clip"].commit)
    assert model["files"][WEIGHTS] == hub.repositories["some/clip"].etag(WEIGHTS)
    assert {"open_clip_torch", "tokenizers", "safetensors", "huggingface_hub"} <= set(
        record["versions"]
    )
    assert "hf_abcdefghijklmnop" not in text
    [snapshot] = Path(said_cache()).glob("models--some--clip/snapshots/*")
    (snapshot / "config.json").write_text("{}")
    status, said = ovsskit(*command)
    assert status == 0, said
    assert "Nothing to do" in said
