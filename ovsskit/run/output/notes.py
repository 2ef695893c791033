"""Say of a single image what a person should know who wonders about its result."""

from __future__ import annotations

from ovsskit.engine.values import Image, Present, Vocabulary

FEW_PIXELS = 16
"""An image of a smaller side is less than a patch of most models."""


def notes_on(image: Image, present: Present | None) -> tuple[str, ...]:
    """Return how an image was read, and what is odd about it and its present classes."""
    notes = [*image.notes]
    if present is not None and present.note:
        notes.append(present.note)
    colours = image.data.flatten(1)
    if bool((colours == colours[:, :1]).all()):
        notes.append("the image is a single colour")
    elif min(image.size) < FEW_PIXELS:
        height, width = image.size
        notes.append(f"the image is only {width} x {height} pixels")
    return tuple(notes)


def rank_presence(present: Present | None, vocabulary: Vocabulary) -> tuple[tuple[int, float], ...]:
    """Return each class's id and the probability that the image shows it, highest first."""
    if present is None or not present.scores:
        return ()
    pairs = zip(vocabulary.ids[1:], present.scores, strict=True)
    return tuple(sorted(pairs, key=lambda pair: -pair[1]))
