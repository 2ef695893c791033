"""Run the network: which class does its decoder see in every patch?"""

from __future__ import annotations

from ovsskit.engine.model import DecodesPatches
from ovsskit.engine.stage import Batch, Stage
from ovsskit.engine.values import Image, Logits, Vocabulary


class DecodePatches(Stage, writes="scores"):
    """Return a logit of every class for every patch.

    It is the decoder's feature times the embedding of the class's word. The names of all classes
    stand in the text that the network reads. Source: IFSeg, released code.

    Example:
        [[stage]]
        use = "decode_patches"
    """

    def run_batch(
        self, image: Batch[Image], vocabulary: Batch[Vocabulary], backbone: DecodesPatches
    ) -> Batch[Logits]:
        """Return one map for each class of the vocabulary."""
        names = [one.names for one in vocabulary]
        found = backbone.decode_patches(image, names)
        return [
            Logits(maps, tuple(range(1, 1 + len(mine))))
            for maps, mine in zip(found, names, strict=True)
        ]
