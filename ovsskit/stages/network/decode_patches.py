"""Run the network: which class does its decoder see in every patch?"""

from __future__ import annotations

from collections.abc import Sequence

from ovsskit.engine.model import DecodesPatches
from ovsskit.engine.stage import Slots, Stage
from ovsskit.engine.values import Image, Logits, Vocabulary


class DecodePatches(Stage, writes="scores"):
    """Return a logit of every class for every patch: the decoder's feature times the class word's embedding.

    The names of all classes stand in the text that the network reads. Source: IFSeg, released code.
    """

    network = True

    def run(self, image: Image, vocabulary: Vocabulary, backbone: DecodesPatches) -> Logits:
        """Return one map for each class of the vocabulary."""
        [logits] = self.run_many([{"image": image, "vocabulary": vocabulary, "backbone": backbone}])
        return logits

    def run_many(self, many: Sequence[Slots]) -> list[Logits]:
        """Run the network once over all images of one grid."""
        names = [slots["vocabulary"].names for slots in many]
        found = many[0]["backbone"].decode_patches([slots["image"] for slots in many], names)
        return [
            Logits(maps, tuple(range(1, 1 + len(mine))))
            for maps, mine in zip(found, names, strict=True)
        ]
