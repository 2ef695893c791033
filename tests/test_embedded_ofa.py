"""The embedded OFA segments better tuned than by likeness of patches and words alone; the floors
lie below what it reached.
"""

from __future__ import annotations

from ovsskit.embedded import CLASSES
from tiny_models.evaluate import evaluation_scenes
from tiny_models.evaluate_ofa import all_ways, score, tiny


def test_the_shipped_tuned_weights() -> None:
    scenes, untuned, tuned = evaluation_scenes(40), tiny("embedded"), tiny()
    alone, found, *_ = score(
        scenes, CLASSES, lambda image: all_ways(image, CLASSES, untuned, tuned)
    )
    assert found >= 53
    assert found >= alone + 1
