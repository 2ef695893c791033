"""Vectors of words are encoded once for all runs, and are the very same afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
import torch

from ovsskit.backbones.clip.clip import Clip
from ovsskit.engine.store import Store
from ovsskit.run.pipeline import load
from ovsskit.run.samples import sample_images
from ovsskit.texts import kept
from ovsskit.texts.templates import encode_words

SCENE = PIL.Image.open(sample_images()[0]).resize((48, 48))
WORDS, SENTENCES = ["dog", "ice cream"], ["a {}.", "the {}.", "{}"]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[int]:
    """Return how many texts each call of the text encoder takes, beginning with an empty cache."""
    monkeypatch.setenv("OVSSKIT_CACHE", str(tmp_path / "cache"))
    calls: list[int] = []
    encode = Clip.encode_text

    def count(self: Clip, texts: Sequence[str]) -> Any:
        calls.append(len(texts))
        return encode(self, texts)

    monkeypatch.setattr(Clip, "encode_text", count)
    return calls


def new_process() -> None:
    kept._store.cache_clear()


def test_a_second_run_encodes_no_text(asked: list[int]) -> None:
    first = load("itaclip_tiny", device="cpu")(SCENE, classes=["dog", "grass"])
    assert asked
    asked.clear()
    new_process()
    second = load("itaclip_tiny", device="cpu")(SCENE, classes=["dog", "grass"])
    third = load("itaclip_tiny", device="cpu", store=Store())(SCENE, classes=["dog", "grass"])
    assert not asked
    for other in (second, third):
        assert torch.equal(first.slots["text_features"].data, other.slots["text_features"].data)
        assert torch.equal(first.scores.data, other.scores.data)
        assert torch.equal(first.labels, other.labels)


def test_kept_vectors_are_those_that_are_computed(asked: list[int]) -> None:
    first = encode_words(WORDS, SENTENCES, Clip(weights="embedded"))
    new_process()
    again = encode_words(WORDS, SENTENCES, Clip(weights="embedded"))
    assert torch.equal(first, again)
    assert asked == [6]
    again.zero_()
    new_process()
    assert torch.equal(encode_words(WORDS, SENTENCES, Clip(weights="embedded")), first)


def test_what_was_asked_before_changes_no_bit() -> None:
    backbone = Clip(weights="embedded")
    texts = [f"a {'very ' * number}large dog" for number in range(7)]
    alone = Clip(weights="embedded").encode_text(texts)
    backbone.encode_text(texts[2:4])
    assert torch.equal(backbone.encode_text(texts), alone)


@pytest.mark.parametrize(
    "other",
    [
        {"words": ["dog", "cat"]},
        {"words": ["ice cream", "dog"]},
        {"sentences": ["a {}.", "the {}."]},
        {"fields": {"precision": "bf16"}},
        {"fields": {"activation": "gelu"}},
        {"code": "changed"},
        {"threads": 3},
    ],
    ids=str,
)
def test_what_vectors_follow_from_is_part_of_their_name(
    asked: list[int], other: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    encode_words(WORDS, SENTENCES, Clip(weights="embedded"))
    if "code" in other:
        monkeypatch.setattr(kept, "_code", lambda: "changed")
    if "threads" in other:
        monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    words, sentences = other.get("words", WORDS), other.get("sentences", SENTENCES)
    encode_words(words, sentences, Clip(weights="embedded", **other.get("fields", {})))
    assert len(asked) == 2


def test_the_same_weights_elsewhere_are_the_same(asked: list[int], tmp_path: Path) -> None:
    encode_words(WORDS, SENTENCES, Clip(weights="embedded"))
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in Clip.embedded.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    encode_words(WORDS, SENTENCES, Clip(weights=str(copy)))
    assert len(asked) == 1
    (copy / "tokenizer_config.json").write_text('{"pad_token": "[PAD]"}')
    encode_words(WORDS, SENTENCES, Clip(weights=str(copy)))
    assert len(asked) == 2


def test_what_there_is_to_say_of_a_text_is_said_in_every_run(
    asked: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        encode_words(["dog " * 60], SENTENCES, Clip(weights="embedded"))
    assert len(asked) == len(caplog.records) == 2


def test_a_broken_entry_is_made_anew(asked: list[int], tmp_path: Path) -> None:
    first = encode_words(WORDS, SENTENCES, Clip(weights="embedded"))
    [file] = (tmp_path / "cache").rglob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-3])
    new_process()
    assert torch.equal(encode_words(WORDS, SENTENCES, Clip(weights="embedded")), first)
    assert len(asked) == 2


def test_a_cache_that_cannot_be_written_is_done_without(asked: list[int], tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    for _ in range(2):
        encode_words(WORDS, SENTENCES, Clip(weights="embedded"))
    assert asked == [6, 6]
