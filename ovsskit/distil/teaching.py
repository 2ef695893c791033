"""One step of teaching: parts of images, their labels, gradients, update."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate

from ovsskit._lazy import kornia
from ovsskit.backbones.segformer.segformer import normalise
from ovsskit.distil.labelled import Pairs
from ovsskit.distil.table import DistilTable

RANDOM = 10
"""How many times as high the rate is of what starts at random."""
SHAPES = (3 / 4, 4 / 3)
"""Between which width over height the parts of images lie."""


@dataclass
class Teaching:
    """Hold a student, the images to teach it on, and which parameters `started` from weights."""

    network: nn.Module
    labelled: Pairs
    settings: DistilTable
    device: torch.device
    started: frozenset[str] = frozenset()
    mixed: bool = False
    optimiser: torch.optim.AdamW = field(init=False)

    def __post_init__(self) -> None:
        """Prepare the optimiser, and what changes images."""
        self.network.to(self.device).train()
        groups: dict[bool, list[nn.Parameter]] = {True: [], False: []}
        for name, parameter in self.tuned().items():
            groups[name in self.started].append(parameter)
        self.optimiser = torch.optim.AdamW(
            [{"params": group} for group in groups.values()],
            weight_decay=self.settings.weight_decay,
        )
        self.change = _changes(self.settings)

    def tuned(self) -> Mapping[str, nn.Parameter]:
        """Return all parameters."""
        return dict(self.network.named_parameters())

    def buffers(self) -> Mapping[str, Tensor]:
        """Return the running statistics."""
        return dict(self.network.named_buffers())

    def step(self, number: int) -> float:
        """Do a step (numbers from 0) and return its loss.

        The random numbers depend on the seed and the step alone.
        """
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(self.settings.seed * self.settings.updates + number)
            images, labels = self.draw(number)
            self.optimiser.zero_grad()
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.mixed):
                logits = self.network(images.to(self.device)).logits
            loss = class_loss(logits.float(), labels.to(self.device))
            loss.backward()
        for group, factor in zip(self.optimiser.param_groups, (1, RANDOM), strict=True):
            group["lr"] = self.settings.rate * factor * self.pace(number)
        self.optimiser.step()
        return loss.item()

    def draw(
        self, number: int
    ) -> tuple[Float[Tensor, "image 3 side side"], Int[Tensor, "image side side"]]:
        """Return parts of the next images, changed at random, and their labels."""
        images, labels = [], []
        for place in range(number * self.settings.batch, (number + 1) * self.settings.batch):
            pair = self.labelled[self.index_of(place)]
            image, mask = self.change(pair.image[None], pair.labels[None, None].float())
            images.append(image[0])
            labels.append(mask[0, 0].round().long())
        return normalise(torch.stack(images).clamp(0, 1)), torch.stack(labels)

    def index_of(self, place: int) -> int:
        """Return which image comes at a place: all in random order, then all in another."""
        epoch, index = divmod(place, len(self.labelled))
        seed = torch.Generator().manual_seed(self.settings.seed + 1_000_003 * (epoch + 1))
        return int(torch.randperm(len(self.labelled), generator=seed)[index])

    def pace(self, number: int) -> float:
        """Return the share of the rate at a step: it rises along a line, then falls along one."""
        rising = self.settings.warm_up * self.settings.updates
        if number < rising:
            return (number + 1) / (rising + 1)
        return (self.settings.updates - number) / (self.settings.updates - rising)


def class_loss(
    logits: Float[Tensor, "image class rows cols"], labels: Int[Tensor, "image h w"]
) -> Float[Tensor, ""]:
    """Return the mean cross-entropy over all pixels of logits that are enlarged to them."""
    enlarged = interpolate(logits, labels.shape[1:], mode="bilinear")
    return cross_entropy(enlarged, labels)


def _changes(settings: DistilTable) -> nn.Module:
    """Return what cuts a part out of an image, turns it round at random, and changes colours."""
    change = kornia.augmentation
    size, colours = (settings.image_size, settings.image_size), settings.colour_change
    made: nn.Module = change.AugmentationSequential(
        change.RandomResizedCrop(
            size, scale=(settings.smallest_part, 1.0), ratio=SHAPES, cropping_mode="slice"
        ),
        change.RandomHorizontalFlip(),
        change.ColorJitter(colours, colours, colours, colours / 6),
        data_keys=["input", "mask"],
        extra_args={
            kornia.constants.DataKey.MASK: {
                "resample": kornia.constants.Resample.NEAREST,
                "align_corners": None,
            }
        },
    )
    return made
