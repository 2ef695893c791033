"""Find blocks by number, from the start (1 and up) or from the end (-1 is the last)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Protocol, runtime_checkable

from pydantic import AfterValidator, Field

from ovsskit.engine.model import EncodesTokens
from ovsskit.engine.values import Hidden, PatchAttention
from ovsskit.errors import BadValue


def _not_zero(layers: tuple[int, ...]) -> tuple[int, ...]:
    if 0 in layers:
        raise ValueError("blocks count from 1, or from -1 at the end")
    return layers


Layers = Annotated[
    tuple[int, ...],
    Field(
        min_length=1,
        description="blocks of the image encoder, from 1; -1 is the last, -2 the one before it",
    ),
    AfterValidator(_not_zero),
]


Layer = Annotated[
    int,
    Field(description="block of the image encoder, from 1; -1 is the last, -2 the one before it"),
    AfterValidator(lambda layer: _not_zero((layer,))[0]),
]


@runtime_checkable
class HasBlocks(Protocol):
    """Promise the number of blocks of an image encoder."""

    @property
    def block_count(self) -> int:
        """Return the number of blocks."""


def layer_numbers(address: str, layers: Sequence[int], encoder: HasBlocks) -> tuple[int, ...]:
    """Return blocks counted from 1, in ascending order.

    Raises:
        BadValue: the image encoder has no such block.
    """
    count = encoder.block_count
    found = tuple(sorted({layer if layer > 0 else count + 1 + layer for layer in layers}))
    if found[0] < 1 or found[-1] > count:
        missing = ", ".join(str(layer) for layer in layers if abs(layer) > count)
        what = f"{address}.layers asks for {missing}; the image encoder has {count} blocks."
        raise BadValue(what, fix=f"Give numbers from 1 to {count}, or from -{count} to -1.")
    return found


def refuse_missing(address: str, layers: Sequence[int], attention: PatchAttention) -> None:
    """Refuse blocks that the attention of patches does not hold.

    Raises:
        BadValue: it does not hold one.
    """
    missing = [layer for layer in layers if layer not in attention.layers]
    if missing:
        held = ", ".join(map(str, attention.layers))
        what = (
            f"{address}.layers asks for {', '.join(map(str, missing))}, and the attention of "
            f"patches holds {held}."
        )
        raise BadValue(what, fix="Name them in patch_attention.layers.")


def refuse_unkept(address: str, layers: Sequence[int], hidden: Hidden) -> None:
    """Refuse attention of blocks whose tokens were not kept.

    Raises:
        BadValue: those of one were not.
    """
    missing = ", ".join(str(layer) for layer in layers if layer not in hidden.layers)
    if missing:
        held = ", ".join(map(str, hidden.layers))
        raise BadValue(
            f"{address} reads attention of block {missing}; the tokens of block {held} were kept "
            "only."
        )


def layers_in(
    address: str, layers: Sequence[int], hidden: Hidden, backbone: EncodesTokens
) -> tuple[int, ...]:
    """Return blocks counted from 1, all of which `hidden` holds.

    Raises:
        BadValue: the image encoder has no such block, or its input was not kept.
    """
    found = layer_numbers(address, layers, backbone)
    missing = ", ".join(str(layer) for layer in found if layer not in hidden.layers)
    if missing:
        held = ", ".join(map(str, hidden.layers))
        what = (
            f"{address}.layers asks for {missing}, and what enters the blocks was kept for "
            f"{held} only."
        )
        raise BadValue(
            what,
            fix='Let the stage that runs the network keep them: hidden.layers = "selected".',
        )
    return found
