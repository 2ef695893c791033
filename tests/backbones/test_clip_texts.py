"""Texts are CLIP's as open_clip encodes them, each once."""

from __future__ import annotations

import logging

import open_clip
import pytest
import torch
from clip_twin import clip_twin

from ovsskit.backbones.clip import _text as _clip_text
from ovsskit.backbones.clip.clip import Clip

close = torch.testing.assert_close


@pytest.fixture(scope="module")
def backbone() -> Clip:
    return Clip(weights="embedded")


def test_texts_equal_open_clips(backbone: Clip) -> None:
    texts = [
        "a photo of a dog.",
        "dog",
        "a  bad photo of the fire truck!",
        "ice cream, grass & water",
    ]
    for own in (backbone, Clip(weights=clip_twin())):
        name = f"local-dir:{own.need_weights()}"
        ids = open_clip.get_tokenizer(name)(texts)
        for text, row in zip(texts, ids.tolist(), strict=True):
            [mine] = own.reader.read_all([text])
            assert mine + [0] * (own.reader.limit - len(mine)) == row
        with torch.no_grad():
            close(own.encode_text(texts), own.network.encode_text(ids), atol=1e-5, rtol=1e-5)


def test_many_texts_are_encoded_in_chunks_and_each_once(
    backbone: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"a photo of {'very ' * (number % 5)}dog {number}" for number in range(11)]
    whole = Clip(weights="embedded").encode_text(texts)
    monkeypatch.setattr(_clip_text, "TEXTS_AT_ONCE", 4)
    own, seen = Clip(weights="embedded"), []
    plain = _clip_text._run
    monkeypatch.setattr(
        _clip_text,
        "_run",
        lambda network, ids, longest: seen.append(len(ids)) or plain(network, ids, longest),
    )
    close(own.encode_text(texts), whole, atol=1e-5, rtol=1e-5)
    assert seen == [4, 4, 3]
    for _ in range(2):
        again = own.encode_text([texts[3], texts[3], "new", texts[0]])
        close(again[[0, 1, 3]], whole[[3, 3, 0]], atol=1e-5, rtol=1e-5)
        own.encode_text(texts)
    assert seen == [4, 4, 3, 3]


def test_a_text_that_is_too_long_is_cut_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    own = Clip(weights="embedded")
    long = "a dog " * 60
    with caplog.at_level(logging.WARNING):
        first = own.encode_text([long, "a dog"])
        close(own.encode_text([long, "a dog"]), first)
    [record] = caplog.records
    assert long in record.getMessage()
    assert f"reads {own.reader.limit}" in record.getMessage()
    ids = open_clip.get_tokenizer(f"local-dir:{Clip.embedded}")([long])
    close(first[:1], own.network.encode_text(ids), atol=1e-5, rtol=1e-5)
