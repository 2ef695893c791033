"""Read a recording of a matching model's network, and ask our backbone the same."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from ovsskit.backbones._itm import ItmBackbone
from ovsskit.stages.maps.grad_cam import GradCam
from ovsskit.stages.maps.select_head import SelectHead
from ovsskit.values import PADDING, Caption, Captions, CrossAttention, Image, Span

close = torch.testing.assert_close


class Recording:
    """Hold one recording: facts, pictures and tensors."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.facts: dict[str, Any] = json.loads((folder / "case.json").read_text())

    def tensors(self, name: str) -> dict[str, torch.Tensor]:
        return load_file(self.folder / f"{name}.safetensors")

    def images(self) -> list[Image]:
        pictures = self.tensors("images")
        return [
            Image(pictures[f"image{i}"].permute(2, 0, 1).float() / 255, f"image{i}") for i in (0, 1)
        ]

    def captions(self, classes: Sequence[Sequence[str]] = ((), ())) -> list[Captions]:
        """Return the captions; `classes` are the names in each, in order."""
        return [
            Captions((Caption(text, spans_of(text, names)),))
            for text, names in zip(self.facts["captions"], classes, strict=True)
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
        backbone._seen.update(zip(images, backbone.look(pixels).unbind(), strict=True))


def attend(
    backbone: ItmBackbone, images: Sequence[Image], captions: Sequence[Captions], length: int
) -> list[CrossAttention]:
    return backbone.cross_attention(
        images, captions, layers=None, objective="match_logit", pad_to=length
    )


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
    close(
        torch.tensor([[int(mark != PADDING) for mark in row.positions] for row in rows]),
        theirs["attention_mask"],
    )
    assert [[backbone.reader.tokenizer.id_to_token(i) for i in row.ids] for row in rows] == tokens


def check_logits(
    backbone: ItmBackbone,
    images: Sequence[Image],
    captions: Sequence[Captions],
    theirs: dict[str, torch.Tensor],
    **tolerance: Any,
) -> None:
    close(
        torch.cat(backbone.logits(images, [one.captions for one in captions])),
        theirs["itm_logits"],
        **tolerance,
    )


def check_maps(
    ours: Sequence[CrossAttention], theirs: dict[str, torch.Tensor], tolerances: dict[str, Any]
) -> None:
    """Compare probabilities and gradients [layer, picture, head, token, key] where they are recorded, and GradCAM."""
    for name, attribute in (
        ("cross_attention", "probability"),
        ("cross_attention_grad", "gradient"),
    ):
        if name in theirs:
            close(
                torch.stack([getattr(one, attribute) for one in ours], 1),
                theirs[name],
                **tolerances[name],
            )
    check_gradcam(
        ours, theirs["gradcam"], range(1, len(theirs["gradcam"]) + 1), 0, tolerances["gradcam"]
    )


def check_gradcam(
    ours: Sequence[CrossAttention],
    theirs: torch.Tensor,
    layers: Sequence[int],
    skipped: int,
    tolerance: Any,
) -> None:
    """Compare GradCAM [layer, head, picture, token, row, column]; so many tokens after the first were left out of theirs."""
    for index, layer in enumerate(layers):
        for head in range(theirs.shape[1]):
            maps = [
                GradCam().run(SelectHead(layer=layer, head=head).run(one)).data[skipped:]
                for one in ours
            ]
            close(torch.stack(maps), theirs[index, head], **tolerance)
