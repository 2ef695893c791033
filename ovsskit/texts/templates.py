"""Sentences into which names are put, and the vector of a name: the mean over them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from ovsskit._lazy import Float, open_clip, torch
from ovsskit.engine.model import EncodesText
from ovsskit.errors import BadFile, Place
from ovsskit.files.reading import Unreadable, read_text
from ovsskit.texts.kept import recall

NAME = "{}"
"""What stands for the name in a sentence."""

Sentence = Annotated[str, Field(pattern=r"\{\}", description="text with {} for the name")]
Templates = (
    Literal["imagenet_80", "scene_5", "clip_surgery_85", "car_15", "tcl_9", "simple", "name"]
    | Annotated[tuple[Sentence, ...], Field(min_length=1)]
)
"""A known set of sentences, or sentences of a person's own."""

SCENE = (
    "there is a {} in the scene.",
    "there is the {} in the scene.",
    "this is a {} in the scene.",
    "this is the {} in the scene.",
    "this is one {} in the scene.",
)
CAR = (
    "a clean origami {}.",
    "a photo of a {}.",
    "This is a photo of a {}",
    "There is a {} in the scene",
    "There is the {} in the scene",
    "a photo of a {} in the scene",
    *(f"a photo of a {size} {{}}." for size in ("small", "medium", "large")),
    *(f"This is a photo of a {size} {{}}." for size in ("small", "medium", "large")),
    *(f"There is a {size} {{}} in the scene." for size in ("small", "medium", "large")),
)
TCL = (
    "itap of a {}.",
    "a bad photo of a {}.",
    "a origami {}.",
    "a photo of the large {}.",
    "a {} in a video game.",
    "art of the {}.",
    "a photo of the small {}.",
    "a photo of many {}.",
    "a photo of {}s.",
)
"""The seven sentences that CLIP's authors chose of their 80, and two of many things."""


def sentences(templates: Templates, file: str = "") -> tuple[str, ...]:
    """Return the sentences of a known set, of a file with one per line, or the given ones.

    Raises:
        BadFile: the file cannot be read, holds none, or one without a place for the name.
    """
    if file:
        return _read(Path(file))
    if isinstance(templates, tuple):
        return templates
    if templates in ("car_15", "tcl_9"):
        return CAR if templates == "car_15" else TCL
    if templates in ("simple", "name"):
        return ("a photo of a {}." if templates == "simple" else NAME,)
    imagenet = tuple(fill(NAME) for fill in open_clip.OPENAI_IMAGENET_TEMPLATES)
    return {"imagenet_80": imagenet, "scene_5": SCENE, "clip_surgery_85": imagenet + SCENE}[
        templates
    ]


Lengths = Literal["unit", "kept", "as_is"]
"""Of sentences' vectors and of their mean: 1 and 1, as they are and 1, or both as they are."""


def encode_words(
    words: Sequence[str],
    templates: Sequence[str],
    backbone: EncodesText,
    *,
    lengths: Lengths = "unit",
) -> Float[torch.Tensor, "text width"]:
    """Return for every word the mean of the vectors of all sentences with it, of length 1.

    Each sentence's vector is brought to length 1 before the mean, too (CLIP's prompt ensemble),
    unless `lengths` are `kept`: then longer vectors count for more; `as_is` leaves the mean, too.
    What was encoded in an earlier run is taken from the user's cache.
    """

    def encode() -> Float[torch.Tensor, "text width"]:
        filled = [template.replace(NAME, word) for word in words for template in templates]
        vectors = backbone.encode_text(filled).float()
        apart = vectors.unflatten(0, (len(words), len(templates)))
        if lengths == "unit":
            return ensemble(apart)
        mean = apart.mean(1)
        return torch.nn.functional.normalize(mean, dim=-1) if lengths == "kept" else mean

    known_by = templates if lengths == "unit" else [*templates, f"lengths {lengths}"]
    return recall(backbone, words, known_by, encode)


def ensemble(
    vectors: Float[torch.Tensor, "text template width"],
) -> Float[torch.Tensor, "text width"]:
    """Return the means of vectors over the templates, each brought to length 1 before and after."""
    mean = torch.nn.functional.normalize(vectors, dim=-1).mean(1)
    return torch.nn.functional.normalize(mean, dim=-1)


def _read(path: Path) -> tuple[str, ...]:
    try:
        lines = read_text(path).splitlines()
    except Unreadable as error:
        what = f"The file of templates cannot be read: {error}."
        raise BadFile(what, where=Place(str(path))) from error
    for number, line in enumerate(lines, 1):
        if line.strip() and NAME not in line:
            fix = 'Put {} where the name goes: "a photo of a {}."'
            raise BadFile(
                "A template has no place for the name.", fix=fix, where=Place(str(path), number)
            )
    found = tuple(line.strip() for line in lines if line.strip())
    if not found:
        raise BadFile(
            "The file of templates is empty.", fix="Write one on each line.", where=Place(str(path))
        )
    return found
