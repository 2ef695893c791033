"""A hub on this machine, with an empty cache of its client, and no waiting between tries."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_hub import FakeHub, serving

from ovsskit.embedded import CLIP_FOLDER
from ovsskit.hub import download as client

EMBEDDED = CLIP_FOLDER
NAME = "some/clip"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    """Return a hub that holds the tiny CLIP, and that this process asks."""
    from huggingface_hub import constants
    from huggingface_hub.utils import _http

    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    monkeypatch.setattr(client, "WAITS", (0.0, 0.0))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1 << 16)
    with serving() as made:
        monkeypatch.setattr(constants, "ENDPOINT", made.url)
        template = f"{made.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        made.add(NAME, tiny_clip())
        _http.close_session()
        yield made
        _http.close_session()


def tiny_clip() -> dict[str, bytes]:
    """Return the packaged CLIP's files as a repository of the hub has them."""
    names = ("open_clip_config.json", "tokenizer.json", "tokenizer_config.json")
    weights = (EMBEDDED / "model.safetensors").read_bytes()
    others = {name: (EMBEDDED / name).read_bytes() for name in names}
    return {"open_clip_model.safetensors": weights, "README.md": b"A model.", **others}
