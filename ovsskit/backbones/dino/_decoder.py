"""FOUND's decoder: one number for each number of a key, and one to add."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

from ovsskit._lazy import torch
from ovsskit.errors import BadWeights, Place
from ovsskit.hub.published_file import PublishedFile, need_file
from ovsskit.hub.weights import Published

DECODER = PublishedFile(
    "https://raw.githubusercontent.com/valeoai/FOUND/"
    "1ad22bacf1a6854faff1b5d4be300d54cad6f277/data/weights/decoder_weights.pt",
    "47ff2a4af3dbc6c80cb832cc81f8ed8ae81809e52576d0de5f9c754cf46ef9b5",
    2689,
    "found_decoder.safetensors",
)
"""The authors' file."""
KNOWN = Published(
    DECODER.address,
    "FOUND's decoder for DINO's ViT-S/8, trained without labels",
    "Apache-2.0",
    "of the repository valeoai/FOUND",
    4 * 385,
)
FIX = (
    'Give FOUND\'s own: decoder = "published". If this is it, delete the file: it is fetched anew.'
)
WEIGHT, BIAS = "decoder.weight", "decoder.bias"


def need_decoder(named: str) -> Path:
    """Return the file of the decoder; the published one is fetched once, and kept as safetensors.

    Raises:
        MissingWeights: it cannot be fetched, or is not the file that was published.
        BadWeights: there is no file of this name.
        CannotWrite: the user's caches cannot be written.
    """
    return need_file(named, DECODER, FIX, _convert)


def _convert(content: bytes) -> bytes:
    from safetensors.torch import save

    known = {"source": DECODER.address, "sha256": DECODER.sha256, "licence": "Apache-2.0"}
    converted: bytes = save(_flatten(_load(content, Path(DECODER.address))), known)
    return converted


def read_decoder(path: Path, width: int) -> tuple[Any, Any]:
    """Return the decoder's weights, one for each number of a key, and the number to add.

    Raises:
        BadWeights: the file is broken, or holds something else, or is for keys of another width.
    """
    found = _flatten(_read(path))
    weight, bias = found.get(WEIGHT), found.get(BIAS)
    if weight is None or bias is None or bias.numel() != 1:
        what = "The file holds no decoder: weight and bias of a convolution with one map."
        raise BadWeights(what, fix=FIX, where=Place(str(path)))
    if weight.numel() != width:
        what = (
            f"The decoder is for keys of {weight.numel()} numbers, but those of the model have "
            f"{width}."
        )
        fix = "FOUND's own is for DINO's ViT-S/8: weights = \"facebook/dino-vits8\"."
        raise BadWeights(what, fix=fix, where=Place(str(path)))
    return weight.flatten().float(), bias.flatten().float()


def _read(path: Path) -> Any:
    if path.suffix != ".safetensors":
        return _load(path.read_bytes(), path)
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return load(path.read_bytes())
    except (OSError, SafetensorError, ValueError) as error:
        raise _broken(path, error) from error


def _load(content: bytes, path: Path) -> Any:
    """Read what torch wrote, without running what it may hold."""
    try:
        return torch.load(BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # in broken files torch stumbles over whatever there is
        raise _broken(path, error) from error


def _flatten(found: Any) -> dict[str, Any]:
    """Return the tensors of a decoder by name, also where they stand in a table of their own."""
    table = found if isinstance(found, dict) else {}
    inside = table.get("decoder")
    if isinstance(inside, dict):
        table = {f"decoder.{name}": one for name, one in inside.items()}
    tensors = {name: table.get(name) for name in (WEIGHT, BIAS)}
    return {name: one for name, one in tensors.items() if isinstance(one, torch.Tensor)}


def _broken(path: Path, error: Exception) -> BadWeights:
    reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
    what = f"The decoder is broken, or holds more than tensors: {reason}"
    return BadWeights(what, fix=FIX, where=Place(str(path)))
