"""Look up regions that look alike in a bank of unlabelled images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, PositiveInt

from ovsskit._lazy import torch
from ovsskit.engine.bank_file import FIX, bad_bank, refuse_other_weights
from ovsskit.engine.model import EncodesText, GuidesPatches
from ovsskit.engine.region_bank import RegionBank, digest_image
from ovsskit.engine.sending import send
from ovsskit.engine.stage import Batch, NeededPath, Stage
from ovsskit.engine.values import GuideFeatures, Image, RegionFeatures, Regions, Vocabulary
from ovsskit.errors import BadFile
from ovsskit.ops.nearest_neighbours import Found, Part, nearest_keys
from ovsskit.stages.regions._means import means_over_pixels

ENTRIES = 1 << 14
"""How many entries of a bank are in memory at a time."""


class Retrieve(Stage, writes="retrieved"):
    """Give every region the mean of what its nearest neighbours in a bank are among texts.

    Neighbours are the regions of other images whose keys have the greatest inner products with the
    region's own: the mean of its unit guide vectors over its pixels, of unit length. Every entry is
    compared, part by part, so that a bank may be larger than memory. An image that is in the bank
    itself does not find its own regions, by whatever name it is there: so the images that are
    segmented may be the bank. `ovsskit bank build` writes one.
    Source: CorrCLIP v2, released code (20 neighbours, found by an approximate index), where every
    number that is present is looked up, that of places in no region too.

    Example:
        [[stage]]
        use = "retrieve"
        file = "my_bank.safetensors"
        neighbours = 10
    """

    waits: ClassVar[str] = (
        "for the regions that there are, for the image's colours, by which a bank knows it, and for"
        " which values are to be read from the disk"
    )

    whole: ClassVar[bool] = True

    file: Annotated[NeededPath, Field(description="the bank, relative to the recipe")] = ""
    neighbours: Annotated[
        PositiveInt, Field(description="how many entries of the bank a region takes the mean of")
    ] = 20
    exclude: Annotated[
        Literal["self", "nothing"],
        Field(description="which entries are not found: those of the image itself, or none"),
    ] = "self"

    def check_inputs(self, vocabulary: Vocabulary, images: Sequence[Path]) -> None:
        """Refuse a file that is no bank of regions; called before a run.

        Raises:
            BadFile: no file is named, or it is none.
        """
        self._bank()

    def run_batch(
        self,
        image: Batch[Image],
        regions: Batch[Regions],
        guide_features: Batch[GuideFeatures],
        backbone: EncodesText,
        guide: GuidesPatches,
    ) -> Batch[RegionFeatures]:
        """Return one vector per region, in the space of the texts of `backbone`.

        Raises:
            BadFile: no file is named, it is no bank of regions, is of other models, or holds
                nothing but the image itself.
        """
        bank = self._bank()
        for role, model in (("keys", guide), ("values", backbone)):
            built = bank.notes.get("models", {}).get(role, {})
            refuse_other_weights(
                bank.path, str(built.get("digest", "")), str(built.get("source", "")), model
            )
        means = [
            means_over_pixels(one, features)
            for one, features in zip(regions, guide_features, strict=True)
        ]
        queries = [torch.nn.functional.normalize(vectors, dim=-1) for _, vectors in means]
        for one in queries:
            if one.shape[1] != bank.widths[0]:
                what = f"Keys of the bank have {bank.widths[0]} numbers, and those here"
                raise bad_bank(bank.path, f"{what} {one.shape[1]}: they were made in another way.")
        own = [
            bank.numbers_of(digest_image(one)) if self.exclude == "self" else [] for one in image
        ]
        found = nearest_keys(
            queries, _parts(bank, own, queries[0].device), min(self.neighbours, len(bank))
        )
        return [
            RegionFeatures(_mean_values(bank, one), numbers)
            for (numbers, _), one in zip(means, found, strict=True)
        ]

    def _bank(self) -> RegionBank:
        if not self.file:
            what = f"{self.address} names no file."
            raise BadFile(what, fix=f"{FIX}; then --set {self.address}.file=FILE")
        return RegionBank.open(Path(self.file))


def _parts(bank: RegionBank, own: Sequence[Sequence[int]], device: torch.device) -> Iterator[Part]:
    for start in range(0, len(bank), ENTRIES):
        images = bank.images[start : start + ENTRIES]
        hidden = [
            torch.isin(images, torch.tensor(list(numbers), dtype=images.dtype)) for numbers in own
        ]
        keys = send(bank.keys(start, start + len(images)), device)
        yield Part(keys, [send(one, device) for one in hidden])


def _mean_values(bank: RegionBank, found: Found) -> torch.Tensor:
    """Return the mean value of the entries that each query found.

    Raises:
        BadFile: there was nothing to be found.
    """
    there = found.products > -torch.inf
    if not bool(there[:, 0].all()):
        what = "The bank holds only regions of the image itself."
        raise bad_bank(bank.path, what, fix="Build one from more images.")
    rows = bank.values(found.places.flatten().tolist())
    values = send(rows, found.products.device).unflatten(0, tuple(found.places.shape))
    mean: torch.Tensor = (values * there[..., None]).sum(1) / there.sum(1, keepdim=True)
    return mean
