"""A value, a capability, a model and two stages of one's own: use it with --plugin regions.py."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

from ovsskit import Backbone, Capability, Image, S, Stage, Value
from ovsskit._lazy import Int, torch


@dataclass(frozen=True, eq=False)
class Regions(Value):
    """Hold for every pixel the number of its region."""

    data: Int[torch.Tensor, "h w"]

    @classmethod
    def example(cls, seed: int = 0) -> "Regions":
        return Tones().find_regions(Image.example(seed))


class FindsRegions(Capability):
    """Cut an image into regions."""

    @abstractmethod
    def find_regions(self, image: Image) -> Regions: ...

    @classmethod
    def check(cls, model: Any) -> None:
        image = Image.example()
        assert model.find_regions(image).data.shape == image.size, "not every pixel has a region"

    @classmethod
    def toy(cls) -> Any:
        return Tones()


class Tones(Backbone, FindsRegions):
    """Take pixels of one of four degrees of brightness for a region: a model without weights."""

    def find_regions(self, image: Image) -> Regions:
        return Regions((image.data.mean(0) * 4).long())


class FindRegions(Stage, writes="regions"):
    """Cut the image into regions."""

    def run(self, image: Image, backbone: FindsRegions) -> Regions:
        return backbone.find_regions(image)


class AverageRegions(Stage, writes="scores"):
    """Give all pixels of a region its mean score."""

    def run(self, scores: S, regions: Regions) -> S:
        inside = torch.nn.functional.one_hot(regions.data.flatten()).to(scores.data)
        return scores.with_data((scores.data.flatten(1) @ inside / inside.sum(0))[:, regions.data])
