"""Read a recording of CaR's released code (`car/README.md`)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from pydantic import PrivateAttr
from recording import CaseFiles
from safetensors.torch import load_file
from small_clip import unpacked, write_small_clip

from ovsskit.backbones.clip.clip import Clip
from ovsskit.engine.values import Vocabulary
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.texts.templates import CAR

Tensor = torch.Tensor
ORIGAMI = CAR[0]
OF_RUN = re.compile(r"(stuff\.)?(round\d|text\.|crf\.q|scores|label|plane)")
"""Tensors that follow from more than the picture."""
MARKS = {"gray": "grey", "circle": "ellipse"}
"""What we call marks that the code calls otherwise."""


class Tower(Clip):
    """Be a small tower with a recorded vector for every text."""

    _texts_known: dict[str, Tensor] = PrivateAttr(default_factory=dict)

    def with_texts(self, vectors: Mapping[str, Tensor]) -> Tower:
        """Return a tower that knows these texts."""
        tower = self.model_copy()
        tower._texts_known = dict(vectors)
        return tower

    @cached_property
    def digest(self) -> str:
        """Return a digest of the texts' vectors, under which they are kept."""
        vectors = torch.stack([*self._texts_known.values()])
        return hashlib.sha256(self.weights.encode() + vectors.numpy().tobytes()).hexdigest()

    def encode_text(self, texts: Iterable[str]) -> Tensor:  # type: ignore[override]
        """Return the vectors of texts that are known."""
        return torch.stack([self._texts_known[text] for text in texts])


class Recording(CaseFiles):
    """Hold one recording: what was given, and what came of it."""

    @property
    def has_weights(self) -> bool:
        """Say whether the towers are there; without them what follows from recorded tensors is
        tested.
        """
        return (self.folder / self.facts["weights"]["file"]).is_file()

    @property
    def cases(self) -> list[str]:
        """Return the cases whose tensors are there."""
        named = self.facts["cases"].items()
        return [name for name, case in named if (self.folder / case["file"]).is_file()]

    def tensors(self, case: str) -> dict[str, Tensor]:
        """Return what is recorded of a case, and of the one whose picture it shares."""
        facts = self.facts["cases"][case]
        shared = facts.get("same_picture_as")
        found = load_file(self.folder / facts["file"])
        if shared in self.cases:
            other = load_file(self.folder / self.facts["cases"][shared]["file"])
            of_picture = {name: one for name, one in other.items() if not OF_RUN.match(name)}
            found = of_picture | found
        return found

    def marks(self) -> dict[str, Tensor]:
        """Return the masks, marked pictures and ellipses."""
        return load_file(self.folder / self.facts["marks"]["file"])

    def write_tower(self, which: str, folder: Path) -> Path:
        """Write the `proposer` or the `judge` as a CLIP of open_clip; its text encoder is empty."""
        found = {}
        for name, one in load_file(self.folder / self.facts["weights"]["file"]).items():
            owner, _, rest = name.partition(".")
            if owner == which:
                found[rest] = unpacked(one)
        return write_small_clip(folder, self.facts["weights"][which], found)

    def texts(self, case: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return the vectors of all texts for the proposer, and for the judge."""
        tensors, proposer, judge = self.tensors(case), dict[str, Tensor](), dict[str, Tensor]()
        for place, run in enumerate(self.facts["cases"][case]["runs"]):
            front = "text.stuff_" if place else "text."
            for number, name in enumerate(run["names"]):
                proposer[name] = tensors[f"{front}bare"][number]
                proposer[ORIGAMI.format(name)] = tensors[f"{front}origami"][number]
                for sentence, vectors in zip(CAR, tensors[f"{front}judge"], strict=True):
                    judge[sentence.format(name)] = vectors[number]
        for name, vector in zip(self.negatives(case), tensors["text.negatives"], strict=True):
            proposer[ORIGAMI.format(name)] = vector
        return proposer, judge

    def negatives(self, case: str) -> list[str]:
        """Return a word for every negative."""
        return [f"negative{number}" for number in range(self.facts["cases"][case]["negatives"])]

    def vocabulary(self, case: str) -> Vocabulary:
        """Return the names of a case with their numbers, which are those of the labels."""
        facts = self.facts["cases"][case]
        names, ids = [], []
        for place, run in enumerate(facts["runs"]):
            numbers = facts.get(("thing_ids", "stuff_ids")[place], range(len(run["names"])))
            names += run["names"]
            ids += [number + 1 for number in numbers]
        return make_vocabulary(names, ids, negatives=self.negatives(case))

    def settings(self, case: str) -> dict[str, Any]:
        """Return what a case sets in a recipe, by address."""
        facts = self.facts["cases"][case]
        given, weights = facts["settings"], self.facts["weights"]
        scales = {name: weights[name]["logit_scale"] for name in ("proposer", "judge")}
        found = {
            "channel_cam": {},
            "spread_by_attention": {"box_at": given["box"]},
            "visual_prompts": {"at": given["mask"], "marks": named(given["marks"])},
            "presence_by_sentences": {
                "above": given["confidence"],
                "scale": float(torch.tensor(scales["judge"]).exp()),
            },
            "explain_queries": {
                "scale": float(torch.tensor(scales["proposer"]).exp()),
                "negatives": "apart",
            },
        }
        if "stuff_marks" in given:
            stuff = facts["runs"][1]["names"]
            own = named(given["stuff_marks"])
            found["visual_prompts"]["marks_of"] = dict.fromkeys(stuff, own)
            found["things_over_stuff"] = {"stuff": tuple(stuff)}
        return found


def named(marks: Iterable[str]) -> tuple[str, ...]:
    """Return marks by our names."""
    return tuple(MARKS.get(mark, mark) for mark in marks)
