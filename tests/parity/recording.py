"""Read a recording: a `case.json` with what was set, and a file of tensors for each case."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clip_family_set import word_of
from safetensors.torch import load_file
from sets import Facts

from ovsskit._lazy import torch
from ovsskit.engine.values import Image, Vocabulary
from ovsskit.recipe.vocabulary import make_vocabulary

NOISES = 16
"""How many times the recording's own distance from double precision numbers may be from it."""
LABELS = 1e-3
"""Share of pixels whose labels may differ, and at least one."""


def having(what: str) -> Callable[[Facts], Sequence[str]]:
    """Return what gives the names of cases that say something."""
    return lambda facts: [name for name, case in facts["cases"].items() if what in case]


class CaseFiles:
    """Hold the facts of a recording, and read its cases."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.facts: Facts = json.loads((folder / "case.json").read_text())

    def tensors(self, case: str) -> dict[str, torch.Tensor]:
        """Return what is recorded of a case."""
        return load_file(self.folder / self.facts["cases"][case]["file"])

    def case(self, name: str) -> Case:
        """Return what is recorded of a case, with its facts."""
        return Case(name, self.facts["cases"][name], self.tensors(name))

    def image(self, case: str) -> Image:
        """Return the picture of a case."""
        return image_of(self.tensors(case)["picture"], case)

    def check(
        self,
        ours: torch.Tensor,
        case: str,
        name: str,
        part: slice = slice(None),
        alike: Collection[str] = (),
    ) -> None:
        """Hold values, or a part of their last axis, to what is recorded of a case.

        How far recordings of this name are from a run in double precision, as shares of their
        largest values, is one number for all cases, or those that are `alike`: that of a single
        case may be small by chance.
        """
        theirs, cases = self.tensors(case)[name], self.facts["cases"]
        distances = {
            one: facts["float64_largest_difference"][name]
            for one, facts in cases.items()
            if name in facts.get("float64_largest_difference", ()) and one in (alike or cases)
        }
        shares = [
            far / float(self.tensors(one)[name].abs().max()) for one, far in distances.items()
        ]
        assert ours.shape == theirs[..., part].shape, name
        limit = NOISES * max(shares) * float(theirs.abs().max())
        torch.testing.assert_close(ours, theirs[..., part], atol=limit, rtol=0)


@dataclass
class Case:
    """Hold what is recorded of one image."""

    name: str
    facts: dict[str, Any]
    tensors: dict[str, torch.Tensor]

    @property
    def picture(self) -> Image:
        """Return the image after the resizing of the evaluation."""
        return image_of(self.tensors["picture"], self.name)

    @property
    def original(self) -> Image:
        """Return an image of the size at which labels are recorded."""
        return Image(torch.zeros(3, *self.facts["original"]), self.name)

    @property
    def vocabulary(self) -> Vocabulary:
        """Return a word for every recorded text."""
        return make_vocabulary([word_of(text) for text in range(len(self.tensors["text"]))])


def image_of(pixels: torch.Tensor, name: str) -> Image:
    """Return an image of recorded bytes, whose channels come last."""
    return Image(pixels.permute(2, 0, 1).float() / 255, name)


def check_labels(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    """Hold numbers of classes to a recording, but for a few pixels."""
    assert ours.shape == theirs.shape
    assert int((ours != theirs.long()).sum()) <= max(1, LABELS * theirs.numel())
