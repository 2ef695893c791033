"""Read a recording of a matching model's network, and ask our backbone the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from floor import Twice, check, check_all
from safetensors.torch import load_file

from ovsskit.backbones.matching._itm import ItmBackbone
from ovsskit.backbones.matching._itm_network import resize_positions
from ovsskit.engine.values import PADDING, Caption, Captions, CrossAttention, Image, Span
from ovsskit.stages.maps.grad_cam import GradCam
from ovsskit.stages.maps.select_head import SelectHead

close = torch.testing.assert_close
Make = Callable[[], ItmBackbone]
OF_LAYERS = ("cross_attention", "cross_attention_grad", "gradcam")


class Recording:
    """Hold one recording: facts, pictures and tensors."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.facts: dict[str, Any] = json.loads((folder / "case.json").read_text())

    def tensors(self, name: str) -> dict[str, torch.Tensor]:
        """Return a file's tensors; where the set has no such file, skip the test."""
        file = self.folder / f"{name}.safetensors"
        if not file.is_file():
            pytest.skip(f"{self.folder} has no {file.name}")
        return load_file(file)

    def images(self) -> list[Image]:
        pictures = self.tensors("images")
        names = sorted(
            (name for name in pictures if name.removeprefix("image").isdigit()),
            key=lambda name: int(name.removeprefix("image")),
        )
        return [Image(pictures[name].permute(2, 0, 1).float() / 255, name) for name in names]

    def captions(self, classes: Sequence[Sequence[str]] | None = None) -> list[Captions]:
        """Return the captions; `classes` are the names in each, in order."""
        texts = self.facts["captions"]
        return [
            Captions((Caption(text, spans_of(text, names)),))
            for text, names in zip(texts, classes or [()] * len(texts), strict=True)
        ]


def spans_of(text: str, names: Sequence[str]) -> tuple[Span, ...]:
    spans, at = [], 0
    for position, name in enumerate(names):
        start = text.index(name, at)
        at = start + len(name)
        spans.append(Span(position, start, at))
    return tuple(spans)


def show(backbone: ItmBackbone, images: Sequence[Image], pixels: torch.Tensor) -> None:
    """Let the backbone see recorded pixels where it would prepare the pictures itself."""
    with torch.no_grad():
        features = backbone.encode_image(pixels.to(backbone.dtype))
        backbone._seen.update(zip(images, features.unbind(), strict=True))


def attend(
    backbone: ItmBackbone, images: Sequence[Image], captions: Sequence[Captions], length: int
) -> list[CrossAttention]:
    return backbone.cross_attention(
        images, captions, layers=None, objective="match_logit", pad_to=length
    )


def check_pixels(make: Make, images: Sequence[Image], theirs: torch.Tensor) -> None:
    """Compare prepared pictures."""
    check(Twice.of(lambda: torch.stack([make().pixels(one) for one in images])), theirs)


def check_positions(
    source: torch.Tensor, grid: tuple[int, int], mode: Any, theirs: torch.Tensor
) -> None:
    """Compare position embeddings of another grid."""
    check(Twice.of(lambda: resize_positions(source.float(), grid, mode)), theirs)


def check_tokens(
    backbone: ItmBackbone,
    captions: Sequence[Captions],
    theirs: dict[str, torch.Tensor],
    tokens: Any,
) -> None:
    """Compare ids, mask and token strings of the captions with those of a recording."""
    length = theirs["input_ids"].shape[1]
    rows = [
        backbone.reader.read(one.captions[0]).padded(length, backbone.reader.padding)
        for one in captions
    ]
    close(torch.tensor([row.ids for row in rows]), theirs["input_ids"])
    if "attention_mask" in theirs:
        close(
            torch.tensor([[int(mark != PADDING) for mark in row.positions] for row in rows]),
            theirs["attention_mask"],
        )
    ours = [[backbone.reader.tokenizer.id_to_token(i) for i in row.ids] for row in rows]
    assert ours == [row[:length] for row in tokens]


def check_network(
    make: Make,
    images: Sequence[Image],
    captions: Sequence[Captions],
    theirs: dict[str, torch.Tensor],
    *,
    layers: Sequence[int] | None = None,
    more: Callable[[Any], dict[str, torch.Tensor]] = lambda backbone: {},
) -> None:
    """Compare features, logits, attention, gradients and GradCAM with what is recorded of them, and
    `more` besides.

    `layers` are those of the recorded GradCAM, counted from 1.
    """
    length = theirs["input_ids"].shape[1]
    assert {"itm_logits", "gradcam"} <= theirs.keys()
    skipped = length - 1 - theirs["gradcam"].shape[3]  # theirs may lack the tokens of the prompt

    def compute() -> dict[str, torch.Tensor]:
        backbone = make()
        found = run_network(backbone, images, captions, length, layers) | more(backbone)
        found["gradcam"] = found["gradcam"][:, :, :, skipped:]
        return by_layer(found)

    check_all(Twice.of(compute), by_layer(theirs))


def by_layer(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Name what is recorded of several layers by its layer: one of small values has a floor of its
    own.
    """
    found = {}
    for name, tensor in tensors.items():
        if name in OF_LAYERS:
            found |= {f"{name} {layer}": one for layer, one in enumerate(tensor)}
        else:
            found[name] = tensor
    return found


def run_network(
    backbone: ItmBackbone,
    images: Sequence[Image],
    captions: Sequence[Captions],
    length: int,
    layers: Sequence[int] | None,
) -> dict[str, torch.Tensor]:
    """Return what a recording may hold, under its names: [layer, picture, head, token, key], and
    maps of GradCAM.
    """
    logits = torch.cat(backbone.logits(images, [one.captions for one in captions]))
    attended = attend(backbone, images, captions, length)
    return {
        "image_embeds": backbone.encode(images),
        "itm_logits": logits,
        "cross_attention": torch.stack([one.probability for one in attended], 1),
        "cross_attention_grad": torch.stack([one.gradient for one in attended], 1),
        "gradcam": gradcam(attended, layers),
    }


def gradcam(
    attended: Sequence[CrossAttention], layers: Sequence[int] | None = None
) -> torch.Tensor:
    """Return GradCAM [layer, head, picture, token, row, column]."""
    first, maps = attended[0], []
    for layer in layers or first.layers:
        for head in first.heads:
            picked = [SelectHead(layer=layer, head=head).run(one) for one in attended]
            maps.append(torch.stack([GradCam().run(one).data for one in picked]))
    return torch.stack(maps).unflatten(0, (-1, len(first.heads)))


def check_last_layer(backbone: ItmBackbone, recording: Recording) -> None:
    """Hold that the last layer alone gives classes no gradient."""
    images, captions = recording.images(), recording.captions()
    for one in attend(backbone, images, captions, 0):
        largest = one.gradient[:, :, 1:].abs().amax((1, 2, 3))
        assert (largest > 0).tolist() == [True] * (backbone.layer_count - 1) + [False]
