"""Refuse what lies on other grids."""

from __future__ import annotations

from ovsskit.errors import BadValue

Grid = tuple[int, int]


def refuse_other_grid(address: str, own: Grid, weights: Grid) -> None:
    """Refuse weights of patches on another grid than what they are to weigh.

    Raises:
        BadValue: the grids differ.
    """
    if own != weights:
        what = (
            f"{address} reads weights on a grid of {weights[0]} x {weights[1]} patches, but the "
            f"patches to weigh form a grid of {own[0]} x {own[1]}."
        )
        fix = "Take both from the same model, or gather by them: guided_attention, gather_values."
        raise BadValue(what, fix=fix)
