"""One step of teaching: parts of images, their labels, gradients, update."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ovsskit._lazy import kornia
from ovsskit.backbones._segmenter import Segmenter, normalise
from ovsskit.distil.labelled import Pairs
from ovsskit.distil.losses import IGNORED, class_loss, feature_loss, ignore_unsure
from ovsskit.distil.table import DistilTable
from ovsskit.distil.teacher import Teacher

SHAPES = (3 / 4, 4 / 3)
"""Between which width over height the parts of images lie."""
MOMENTUM = 0.9
"""Of SGD."""


@dataclass
class Teaching:
    """Hold a student, the images to teach it on, and which parameters `started` from weights.

    With a `teacher`, every step asks it about the parts of images that the student sees.
    """

    student: type[Segmenter]
    network: nn.Module
    labelled: Pairs
    settings: DistilTable
    device: torch.device
    started: frozenset[str] = frozenset()
    mixed: bool = False
    teacher: Teacher | None = None
    optimiser: torch.optim.Optimizer = field(init=False)

    def __post_init__(self) -> None:
        """Prepare the optimiser, and what changes images."""
        self.network.to(self.device).train()
        groups: dict[bool, list[nn.Parameter]] = {True: [], False: []}
        for name, parameter in self.tuned().items():
            groups[name in self.started].append(parameter)
        self.optimiser = _optimiser([{"params": group} for group in groups.values()], self.settings)
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
            images, labels = (one.to(self.device) for one in self.draw(number))
            self.optimiser.zero_grad()
            loss = self.loss(images, labels)
            loss.backward()
        factors = (1, self.settings.random_start)
        for group, factor in zip(self.optimiser.param_groups, factors, strict=True):
            group["lr"] = self.settings.rate * factor * self.pace(number)
        self.optimiser.step()
        return loss.item()

    def loss(
        self, images: Float[Tensor, "image 3 h w"], labels: Int[Tensor, "image h w"]
    ) -> Float[Tensor, ""]:
        """Return the loss on images with colours from 0 to 1; a teacher's labels come first."""
        settings, vectors = self.settings, None
        if self.teacher is not None:
            answer = self.teacher.answer(images, vectors=settings.feature_weight > 0)
            labels = ignore_unsure(answer.labels, answer.confidence, settings.unsure_below)
            vectors = answer.vectors
        network: Any = self.network
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.mixed):
            if vectors is None:
                logits = self.student.logits(network, normalise(images))
            else:
                features = network.features(normalise(images))
                logits = network.classifier(features)
        loss = class_loss(logits.float(), labels, settings.mean_over)
        if vectors is None:
            return loss
        away = feature_loss(features.float(), vectors, labels != IGNORED)
        return loss + settings.feature_weight * away

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
        return torch.stack(images).clamp(0, 1), torch.stack(labels)

    def index_of(self, place: int) -> int:
        """Return which image comes at a place: all in random order, then all in another."""
        epoch, index = divmod(place, len(self.labelled))
        seed = torch.Generator().manual_seed(self.settings.seed + 1_000_003 * (epoch + 1))
        return int(torch.randperm(len(self.labelled), generator=seed)[index])

    def pace(self, number: int) -> float:
        """Return the share of the rate at a step: it rises along a line, then falls by a power."""
        rising = self.settings.warm_up * self.settings.updates
        if number < rising:
            return (number + 1) / (rising + 1)
        left = (self.settings.updates - number) / (self.settings.updates - rising)
        return float(left**self.settings.power)


def _optimiser(groups: list[dict[str, Any]], settings: DistilTable) -> torch.optim.Optimizer:
    """Return what changes the parameters; every step sets its rate."""
    if settings.optimiser == "sgd":
        decay = settings.weight_decay
        return torch.optim.SGD(groups, momentum=MOMENTUM, weight_decay=decay)
    return torch.optim.AdamW(groups, weight_decay=settings.weight_decay)


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
