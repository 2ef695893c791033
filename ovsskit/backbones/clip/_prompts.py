"""Read prompts that were learned for a CLIP, and run its encoders with them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

from ovsskit._lazy import Float, Int, open_clip, torch
from ovsskit.backbones.clip import _vision as vision
from ovsskit.errors import BadWeights, MissingWeights, Place, first_of

FIX = (
    "Prompts are a safetensors file with a tensor `visual.N` or `text.N` (prompt, width) for each "
    "block N, from 1, before which they are inserted."
)
NAME = re.compile(r"(visual|text)\.([1-9]\d*)")

ByBlock = dict[int, Any]


class Prompts(NamedTuple):
    """Hold the prompts of both encoders by the number of the block before which they stand."""

    visual: ByBlock
    text: ByBlock

    @property
    def most_in_text(self) -> int:
        """Return how many prompts stand among the tokens of a text at most."""
        return max((len(one) for one in self.text.values()), default=0)


def need_prompts(named: str) -> Path:
    """Return the file of prompts.

    Raises:
        MissingWeights: there is none.
    """
    path = Path(named).expanduser()
    if not path.is_file():
        what = "There is no file of prompts."
        raise MissingWeights(what, there=f"prompts = {named!r}", fix=FIX, where=Place(str(path)))
    return path


def read_prompts(path: Path, network: Any) -> Prompts:
    """Read prompts that fit a network.

    Raises:
        BadWeights: the file is no safetensors file or broken, or holds other tensors, or prompts of
            another width, or for a block that the network has not.
    """
    depths = {
        "visual": (len(vision.blocks_of(network.visual)), network.visual.conv1.out_channels),
        "text": (len(network.transformer.resblocks), network.token_embedding.embedding_dim),
    }
    found: dict[str, ByBlock] = {"visual": {}, "text": {}}
    for name, tensor in _read(path).items():
        parts = NAME.fullmatch(name)
        if parts is None:
            raise _unfit(path, f"`{name}` is not a prompt.")
        tower, block = parts[1], int(parts[2])
        depth, width = depths[tower]
        if block > depth:
            what = f"`{name}` goes before block {block}, but the {tower} encoder has {depth}."
            raise _unfit(path, what)
        if tensor.dim() != 2 or not len(tensor) or tensor.shape[1] != width:
            shape = " x ".join(map(str, tensor.shape))
            what = f"`{name}` is {shape}, but tokens of the {tower} encoder have {width} numbers."
            raise _unfit(path, what)
        if not tensor.is_floating_point() or not tensor.isfinite().all():
            raise _unfit(path, f"`{name}` holds a number that is not finite.")
        found[tower][block] = tensor
    prompts = Prompts(**found)
    if not any(prompts):
        raise _unfit(path, "The file holds no prompt.")
    if prompts.most_in_text + 2 >= network.context_length:
        what = f"{prompts.most_in_text} prompts leave no room for words among "
        raise _unfit(path, f"{what}{network.context_length} tokens.")
    return prompts


def encode_image(
    visual: Any, pixels: Float[torch.Tensor, "image 3 h w"], prompts: ByBlock
) -> Float[torch.Tensor, "image out"]:
    """Return a whole image's vector among the texts, prompts standing behind the class token."""
    tokens, _ = vision.embed(visual, pixels, "size")
    count = 0
    for number, block in enumerate(vision.blocks_of(visual), 1):
        tokens, count = insert(tokens, prompts.get(number), count)
        tokens = vision.attend_as_trained(block, tokens, vision.project(block, tokens))
    return vision.project_to_text(visual, tokens[:, 0])


def encode_text(
    network: Any, ids: Int[torch.Tensor, "text token"], prompts: ByBlock
) -> Float[torch.Tensor, "text out"]:
    """Return a vector for each text, prompts standing behind its first token.

    Those before the first block have places of their own, which move the words on.
    """
    dtype = network.transformer.get_cast_dtype()
    tokens, count = insert(network.token_embedding(ids).to(dtype), prompts.get(1), 0)
    tokens = tokens + network.positional_embedding[: tokens.shape[1]].to(dtype)
    for number, block in enumerate(network.transformer.resblocks, 1):
        if number > 1:
            tokens, count = insert(tokens, prompts.get(number), count)
        length = tokens.shape[1]
        mask = network.attn_mask[None, None, :length, :length].to(dtype)
        tokens = vision.attend_as_trained(block, tokens, vision.project(block, tokens), mask)
    last = ids.argmax(-1) + count
    features = network.ln_final(tokens)[torch.arange(len(ids), device=ids.device), last]
    projected: torch.Tensor = features @ network.text_projection
    return projected


def insert(
    tokens: Float[torch.Tensor, "item token width"], prompts: Any, count: int
) -> tuple[Float[torch.Tensor, "item longer width"], int]:
    """Return tokens with prompts behind the first, in place of `count` others, and their number."""
    if prompts is None:
        return tokens, count
    mine = prompts.to(tokens).expand(len(tokens), -1, -1)
    return torch.cat([tokens[:, :1], mine, tokens[:, 1 + count :]], 1), len(prompts)


def _read(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return dict(load(path.read_bytes()))
    except (OSError, SafetensorError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        what = f"The file of prompts is not a safetensors file, or is broken: {reason}"
        raise _unfit(path, what) from error


def see_plain(network: Any) -> None:
    """See that a network's encoders are those that this module runs.

    Raises:
        BadWeights: they are not.
    """
    is_plain = (
        isinstance(network, open_clip.CLIP)
        and vision.has_class_token(network.visual)
        and network.attn_mask is not None
        and network.text_pool_type == "argmax"
        and isinstance(network.text_projection, torch.nn.Parameter)
    )
    if not is_plain:
        kinds = first_of([type(network).__name__, type(network.visual).__name__])
        what = f"Prompts go into the blocks of a plain CLIP, but this is another model: {kinds}."
        raise BadWeights(what, fix="Use a plain ViT, such as ViT-L-14-336.")


def _unfit(path: Path, what: str) -> BadWeights:
    return BadWeights(what, fix=FIX, where=Place(str(path)))
