"""Collect what the stages wrote for one image, as small images.

They show maps per class or token, labels, and hidden patches.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import PIL.Image

from ovsskit._lazy import numpy, torch
from ovsskit.engine.driver import State
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Captions, Image, Labels, Present, Scores, TokenMaps, Vocabulary
from ovsskit.run.output.heat import Tile, draw_sheet, heat_tile
from ovsskit.run.output.overlay import resize_both, tint_image

MOST_ROUNDS = 12
"""How often the output of one stage is kept: for ten rounds of hiding, not for 100 windows."""
MOST_TILES = 48
SIDE = 220
"""The longer side of one small image, in pixels."""


@dataclass(frozen=True)
class Sheet:
    """Hold what a stage wrote in one of its rounds: an image of all its maps, or text."""

    stage: str
    kind: str
    round: int
    image: PIL.Image.Image | None = None
    text: str = ""


@dataclass
class MapCollector:
    """Watch a pipeline run on one image; then `sheets` holds its images, in order of writing."""

    sheets: list[Sheet] = field(default_factory=list)
    _rounds: Counter[str] = field(default_factory=Counter)
    _hidden: Any = None

    def __call__(self, stage: Stage, states: Sequence[State], seconds: float) -> None:
        """Draw what the stage wrote."""
        for state in states:
            self._rounds[stage.address] += 1
            if self._rounds[stage.address] <= MOST_ROUNDS:
                self._see_hidden(state["image"], self._rounds[stage.address])
                image, text = _draw(state[stage.writes], state)
                if image is not None or text:
                    kind = type(state[stage.writes]).__name__
                    self.sheets.append(
                        Sheet(stage.address, kind, self._rounds[stage.address], image, text)
                    )

    def _see_hidden(self, image: Image, number: int) -> None:
        """Show the image with its hidden patches, once for every new choice of them."""
        if image.hidden is None or image.hidden is self._hidden:
            return
        self._hidden = image.hidden
        if bool(image.hidden.any()):
            small = _small(image)
            cover = PIL.Image.fromarray(image.hidden.cpu().numpy().astype("uint8") * 255).resize(
                small.size, PIL.Image.Resampling.NEAREST
            )
            seen = PIL.Image.composite(PIL.Image.new("RGB", small.size, "dimgrey"), small, cover)
            count = int(image.hidden.sum())
            sheet = draw_sheet([Tile(seen, f"{count} patch{'es' * (count > 1)} hidden")])
            self.sheets.append(Sheet("what the model sees", "Image", number, sheet))


def _draw(value: Any, state: State) -> tuple[PIL.Image.Image | None, str]:
    vocabulary: Vocabulary = state["vocabulary"]
    if isinstance(value, Scores):
        return _maps(value.data, name_maps(value, vocabulary), state["image"]), ""
    if isinstance(value, TokenMaps):
        names = _token_names(value, state)
        keep = [index for index, name in enumerate(names) if name]
        return _maps(value.data[keep], [names[index] for index in keep], state["image"]), ""
    if isinstance(value, Labels):
        pixels = numpy.asarray(_small(state["image"]))
        labels = PIL.Image.fromarray(value.ids.cpu().numpy().astype("int32")).resize(
            pixels.shape[1::-1], PIL.Image.Resampling.NEAREST
        )
        small, numbers = resize_both(pixels, numpy.asarray(labels), 1.0)
        return draw_sheet([Tile(tint_image(small, numbers, vocabulary), "")]), ""
    if isinstance(value, Present):
        return None, ", ".join(
            vocabulary.labels[label] for label in value.labels
        ) or "none of the classes"
    return None, "\n".join(caption.text for caption in value.captions) if isinstance(
        value, Captions
    ) else ""


def name_maps(scores: Scores, vocabulary: Vocabulary) -> list[str]:
    """Name the class of every map; where every word of a class has its own, the word too."""
    classes = [vocabulary.name_of(label) for label in scores.labels]
    if scores.labels != tuple(label for label, _ in vocabulary.queries):
        return classes
    words = [word for _, word in vocabulary.queries]
    return [
        name if name == word else f"{name}: {word}"
        for name, word in zip(classes, words, strict=True)
    ]


def _maps(data: torch.Tensor, names: Sequence[str], image: Image) -> PIL.Image.Image | None:
    """Draw the maps, of many those with the highest peaks."""
    chosen: Sequence[int] = range(len(data))
    if len(data) > MOST_TILES:
        chosen = sorted(
            data.detach()
            .flatten(1)
            .amax(1)
            .nan_to_num(-torch.inf)
            .topk(MOST_TILES)
            .indices.tolist()
        )
    ground = _small(image)
    tiles = [
        heat_tile(data[index].detach().float().cpu().numpy(), ground, names[index])
        for index in chosen
    ]
    left_out = len(data) - len(tiles)
    return (
        draw_sheet(tiles, f"and {left_out} more, with lower peaks" if left_out else "")
        if tiles
        else None
    )


def _token_names(maps: TokenMaps, state: State) -> list[str]:
    """Name the class of every token, with a number where a class has several tokens.

    A token of no class has an empty name.
    """
    present = next((value for value in state.values() if isinstance(value, Present)), None)
    positions = [int(position) for position in maps.positions]
    counts, seen = Counter(positions), Counter[int]()
    names = []
    for position in positions:
        seen[position] += 1
        known = present is not None and 0 <= position < len(present.labels)
        name = (
            state["vocabulary"].labels[present.labels[position]]
            if known and present
            else f"class {position + 1}"
        )
        part = f" {seen[position]}/{counts[position]}" if counts[position] > 1 else ""
        names.append(f"{name}{part}" if position >= 0 else "")
    return names


def _small(image: Image) -> PIL.Image.Image:
    photo = PIL.Image.fromarray(image.pixels.cpu().numpy())
    scale = SIDE / max(photo.size)
    return photo.resize((max(1, round(photo.width * scale)), max(1, round(photo.height * scale))))
