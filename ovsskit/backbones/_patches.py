"""See that images hold a patch, and hide patches from a network."""

from __future__ import annotations

from ovsskit._lazy import Float, torch
from ovsskit.engine.values import Image
from ovsskit.errors import BadValue


def see_patch(image: Image, patch: int, otherwise: str = "") -> None:
    """Check that an image is at least as large as a patch of so many pixels.

    Raises:
        BadValue: it is smaller; `otherwise` says what else than enlarging it would help.
    """
    height, width = image.size
    if min(height, width) < patch:
        what = f"An image is {width} x {height} pixels, smaller than a patch of {patch}."
        raise BadValue(what, fix=" ".join(["Enlarge it first: resize_image.", otherwise]).strip())


def hide_patches(data: Float[torch.Tensor, "3 h w"], image: Image, patch: int) -> None:
    """Set normalised colours to 0, which is their mean, where patches of the image are hidden.

    The data may have pixels more or less at the right and bottom than the image.
    """
    if image.hidden is not None:
        hidden = image.hidden.repeat_interleave(patch, 0).repeat_interleave(patch, 1)
        rows, columns = data.shape[1:]
        data[:, : hidden.shape[0], : hidden.shape[1]] *= ~hidden[:rows, :columns]
