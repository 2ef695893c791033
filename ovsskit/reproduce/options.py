"""What a person asked `ovsskit reproduce` for, and what of it changes a recipe's numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ovsskit.engine.stage import Stage, paths_of, walk
from ovsskit.files.inputs import MAX_PIXELS
from ovsskit.recipe.addresses import parse_override

OUT = Path("ovsskit-reproduce")
TOLERANCE = 0.3
"""Points by which a measured number may differ: published ones are rounded, and were measured in
half precision, on images that other libraries had resized."""


@dataclass(frozen=True)
class ReproduceOptions:
    """Hold what a person asked of `ovsskit reproduce`; `tolerance` is in points."""

    recipes: tuple[str, ...]
    root: Path
    variants: bool = False
    out: Path = OUT
    overrides: tuple[str, ...] = ()
    device: str = "auto"
    batch: str = "auto"
    limit: int | None = None
    max_pixels: int = MAX_PIXELS
    tolerance: float = TOLERANCE


def changed_by(overrides: Sequence[str], stages: Sequence[Stage]) -> Iterator[str]:
    """Yield the addresses that overrides change, but those that only complete a recipe.

    These are a local copy of weights, the precision, and files that a stage needs and no recipe can
    bring along.
    """
    needed = {
        f"{stage.address}.{name}"
        for stage in walk(stages)
        for name, path in paths_of(type(stage)).items()
        if path.needed
    }
    for text in overrides:
        address, value = parse_override(text)
        key = address.rpartition(".")[2]
        is_here = key == "weights" and Path(str(value)).expanduser().exists()
        if address not in needed and key != "precision" and not is_here:
            yield address
