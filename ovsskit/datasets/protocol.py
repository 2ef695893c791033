"""Say by which rules pixels are counted: published results follow several, which differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from ovsskit._lazy import Int, torch
from ovsskit.datasets.dataset import Facts
from ovsskit.errors import BadValue, Place, did_you_mean
from ovsskit.ops import metrics
from ovsskit.ops.metrics import Mean


class Protocol(BaseModel, frozen=True, extra="forbid", strict=True):
    """Hold the rules by which a result was counted; `about` says whose they are."""

    name: str
    about: str
    void: Annotated[
        Literal["ignored", "background"],
        Field(
            description=(
                "what becomes of pixels whose true class is not known: they count nowhere "
                "(mmsegmentation's `ignore_index`), or as background, which is added in front "
                "where the data set has none (PnP-OVSS's released code: VOC, ADE20K, COCO-Stuff)"
            )
        ),
    ] = "ignored"
    mean: Annotated[
        Mean,
        Field(
            description=(
                "the classes that the mean IoU is over: those that are true or predicted "
                "somewhere (mmsegmentation's nanmean), or those that are true somewhere (`scores` "
                "of PnP-OVSS, TagCLIP and CLIP-ES, `semantic_iou` of CLIP as RNN)"
            )
        ),
    ] = "true_or_predicted"
    background: Annotated[
        Literal["scored", "dropped"],
        Field(
            description=(
                "whether the background is a class like others, or its row and column leave the "
                "matrix after counting, so that pixels of a class that are predicted as "
                "background leave its union (CLIP as RNN's `ignore_background`, on ADE20K)"
            )
        ),
    ] = "scored"


PROTOCOLS = {
    one.name: one
    for one in (
        Protocol(
            name="mmsegmentation",
            about=(
                "mmsegmentation's `IoUMetric`, by which SCLIP, NACLIP, ClearCLIP, ProxyCLIP, "
                "ITACLIP and CorrCLIP are counted."
            ),
        ),
        Protocol(
            name="pnp_ovss",
            about="The released code of PnP-OVSS (`Calculate_mIoU.py`).",
            void="background",
            mean="true",
        ),
        Protocol(
            name="tagclip",
            about=(
                "The released code of TagCLIP and CLIP-ES (`eval_cam.py`); that of CLIP as RNN on "
                "VOC, Context and COCO counts alike."
            ),
            mean="true",
        ),
        Protocol(
            name="car_ade20k",
            about="The released code of CLIP as RNN on ADE20K (`ade_150.yaml`).",
            void="background",
            mean="true",
            background="dropped",
        ),
        Protocol(
            name="ifseg",
            about=(
                "The released code of IFSeg, which counts as mmsegmentation does. Its settings "
                "were chosen by raw mIoU on the images that it reports."
            ),
        ),
    )
}
"""The published protocols by name."""


def find_protocol(name: str) -> Protocol:
    """Return a published protocol.

    Raises:
        BadValue: there is none of this name.
    """
    if name not in PROTOCOLS:
        raise BadValue(
            f"There is no protocol `{name}`.",
            there=f"Available: {', '.join(PROTOCOLS)}",
            fix=did_you_mean(name, list(PROTOCOLS)),
            where=Place("--protocol"),
        )
    return PROTOCOLS[name]


@dataclass(frozen=True)
class Counting:
    """Count the pixels of a data set under a protocol.

    Label maps hold the numbers of the data set's classes; a true one is negative where it is void,
    a predicted one where it shows none of the classes.
    """

    protocol: Protocol
    facts: Facts

    @property
    def adds_background(self) -> bool:
        """Say whether a background is added in front of the data set's own classes."""
        return self.protocol.void == "background" and self.facts.background is None

    @property
    def background(self) -> int | None:
        """Return which of the counted classes is the background, or None if there is none."""
        return 0 if self.adds_background else self.facts.background

    @property
    def counted(self) -> tuple[str, ...]:
        """Return the classes that pixels are counted by: the rows of a matrix."""
        return ("background", *self.facts.classes) if self.adds_background else self.facts.classes

    @property
    def scored(self) -> tuple[str, ...]:
        """Return the classes that are left to be scored, in order."""
        return tuple(self.counted[number] for number in self._kept())

    def apply(
        self, truth: Int[torch.Tensor, "*place"], predicted: Int[torch.Tensor, "*place"]
    ) -> tuple[Int[torch.Tensor, "*place"], Int[torch.Tensor, "*place"]]:
        """Return both label maps in the numbers of the counted classes, by the protocol's rules.

        What shows none of the classes shows background, where that is counted; else it stays
        negative.
        """
        added = int(self.adds_background)
        truth, predicted = truth.long().clamp(-1) + added, predicted.long().clamp(-1) + added
        if self.facts.background is not None:
            predicted = predicted.where(predicted >= 0, self.facts.background)
            if self.protocol.void == "background":
                truth = truth.where(truth >= 0, self.facts.background)
        return truth, predicted

    def confusion(
        self, truth: Int[torch.Tensor, "*place"], predicted: Int[torch.Tensor, "*place"]
    ) -> Int[torch.Tensor, "true predicted"]:
        """Count the pixels of an image; matrices are added, and then finished.

        Raises:
            ValueError: a class is predicted that the data set does not have.
        """
        truth, predicted = self.apply(truth, predicted)
        classes = len(self.counted)
        if predicted.numel() and int(predicted.max()) >= classes:
            raise ValueError(f"a class outside 0..{classes - 1} is predicted")
        return metrics.confusion(truth, predicted, classes, others=True)

    def finish(
        self, matrix: Int[torch.Tensor, "*many true predicted"]
    ) -> Int[torch.Tensor, "*many scored left"]:
        """Return a matrix, or many, without what the protocol drops after counting."""
        if self.protocol.background == "scored":
            return matrix
        rows = self._kept()
        return matrix[..., rows, :][..., rows]

    def finish_counts(
        self, counts: Int[torch.Tensor, "*many 3 classes"]
    ) -> Int[torch.Tensor, "*many 3 scored"]:
        """Return counts of each class, such as those of boundaries, of the scored classes alone."""
        return counts[..., self._kept()]

    def _kept(self) -> list[int]:
        numbers = range(len(self.counted))
        drops = self.protocol.background == "dropped"
        return [number for number in numbers if not (drops and number == self.background)]
