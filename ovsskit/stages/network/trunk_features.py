"""Run the network's trunk: what do patches look like, before any word was read?"""

from __future__ import annotations

from collections.abc import Sequence

from ovsskit.engine.model import DecodesPatches
from ovsskit.engine.stage import Slots, Stage
from ovsskit.engine.values import Image, PatchFeatures


class TrunkFeatures(Stage, writes="features"):
    """Return the features of the patch trunk, not projected, by which `knn_smoothing` finds patches that look alike.

    An image that was decoded is not run again. Source: IFSeg, released code.
    """

    network = True

    def run(self, image: Image, backbone: DecodesPatches) -> PatchFeatures:
        """Return one vector for every patch."""
        [features] = self.run_many([{"image": image, "backbone": backbone}])
        return features

    def run_many(self, many: Sequence[Slots]) -> list[PatchFeatures]:
        """Run the trunk once over all images of one size."""
        found: list[PatchFeatures] = many[0]["backbone"].trunk_features(
            [slots["image"] for slots in many]
        )
        return found
