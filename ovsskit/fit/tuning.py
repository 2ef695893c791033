"""One step of image-free tuning: loss, gradients, update."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate

from ovsskit.backbones.ofa._layers import Dropped, Layer
from ovsskit.backbones.ofa._network import Biases, OfaNetwork
from ovsskit.fit.artificial import Artificial, draw_grids, enlarge
from ovsskit.fit.table import FitTable

FROZEN = ("encoder.embed_tokens.", "encoder.embed_images.", "encoder.image_proj.")
"""What stays as it was: the embeddings of words, and what turns images into tokens."""
BETAS, EPSILON = (0.9, 0.999), 1e-8


@dataclass
class Tuner:
    """Hold a network to tune for classes, their word pieces, and a text that names them."""

    network: OfaNetwork
    pieces: Sequence[Sequence[int]]
    text: Sequence[int]
    settings: FitTable
    mixed: bool = False
    optimiser: torch.optim.AdamW = field(init=False)

    def __post_init__(self) -> None:
        """Freeze what is not tuned, and prepare the rest."""
        self.device = self.network.encoder.device
        for name, parameter in self.network.named_parameters():
            parameter.requires_grad_(not name.startswith(FROZEN))
        set_dropping(self.network, self.settings.dropout, self.settings.drop_path)
        self.network.train()
        self.network.encoder.embed_images.eval()
        self.words = self.network.words(self.pieces).detach()
        self.ids = torch.tensor([list(self.text)], device=self.device)
        self.optimiser = torch.optim.AdamW(
            list(self.tuned().values()), betas=BETAS, weight_decay=self.settings.weight_decay
        )

    def tuned(self) -> dict[str, nn.Parameter]:
        """Return the parameters that are tuned."""
        return {name: one for name, one in self.network.named_parameters() if one.requires_grad}

    def buffers(self) -> dict[str, Tensor]:
        """Return nothing: what is no parameter stays as it was."""
        return {}

    def step(self, number: int) -> float:
        """Do a step (numbers from 0) and return its loss.

        The random numbers depend on the seed and the step alone.
        """
        seed = torch.Generator().manual_seed(self.settings.seed * self.settings.updates + number)
        grids = draw_grids(
            seed, self.settings.batch, len(self.words), self.network.shape.patch_side
        )
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(int(torch.randint(2**62, (), generator=seed)))
            loss = self.gradients(enlarge(grids, self.network.shape.patch_side))
        self.update(number)
        return loss

    def gradients(self, images: Artificial) -> float:
        """Set the gradients of the mean loss over artificial images, in parts, and return the loss.

        The position biases of all images are the same, and are built and differentiated once.
        """
        self.optimiser.zero_grad()
        side, count, total = self.network.shape.patch_side, len(images.patches), 0.0
        with self._precision():
            biases = self.network.biases((side, side), len(self.text))
        leaves, joined = _detached(biases)
        for start in range(0, count, self.settings.at_once):
            part = slice(start, start + self.settings.at_once)
            some = Artificial(
                images.patches[part].to(self.device), images.pixels[part].to(self.device)
            )
            with self._precision():
                loss = self.loss(some, joined) * (len(some.patches) / count)
            loss.backward()
            total += loss.item()
        pairs = [(tensor, leaf.grad) for tensor, leaf in leaves if leaf.grad is not None]
        torch.autograd.backward([tensor for tensor, _ in pairs], [grad for _, grad in pairs])
        return total

    def loss(self, images: Artificial, biases: Biases) -> Tensor:
        """Return the mean cross-entropy over all pixels of logits that are enlarged to them."""
        logits = self.logits(images, biases).float()
        return torch.stack(
            [pixel_loss(one, pixels) for one, pixels in zip(logits, images.pixels, strict=True)]
        ).mean()

    def logits(self, images: Artificial, biases: Biases) -> Tensor:
        """Return all classes' logits at all patches; words stand in for a trunk's features."""
        side = self.network.shape.patch_side
        tokens = self.words[images.patches.flatten(1)]
        decoded = self.network(tokens, self.ids.expand(len(tokens), -1), biases)
        found: Tensor = (self.words.to(decoded) @ decoded.transpose(1, 2)).unflatten(
            2, (side, side)
        )
        return found

    def update(self, number: int) -> None:
        """Update the parameters: Adam with decoupled decay, the rate falling along a cosine."""
        nn.utils.clip_grad_norm_(self.tuned().values(), self.settings.clip)
        for group in self.optimiser.param_groups:
            group["lr"] = (
                self.settings.rate * (1 + math.cos(math.pi * number / self.settings.updates)) / 2
            )
            # fairseq adds epsilon before it corrects the second moment for its start, torch after.
            group["eps"] = EPSILON / math.sqrt(1 - BETAS[1] ** (number + 1))
        self.optimiser.step()

    @contextmanager
    def _precision(self) -> Iterator[None]:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.mixed):
            yield


def pixel_loss(
    logits: Float[Tensor, "class rows cols"], pixels: Int[Tensor, "h w"]
) -> Float[Tensor, ""]:
    """Return the mean cross-entropy over the pixels of an image.

    With the classes of a pixel side by side, and one image at a time, a processor is four times as
    fast.
    """
    near = logits[None].contiguous(memory_format=torch.channels_last)
    large = interpolate(near, pixels.shape, mode="bilinear").permute(0, 2, 3, 1)
    return cross_entropy(large.flatten(0, 2), pixels.flatten())


def set_dropping(network: OfaNetwork, numbers: float, branches: float) -> None:
    """Set the share of dropped branches, which rises linearly from 0 over a coder's layers."""
    for module in network.modules():
        if isinstance(module, Dropped):
            module.numbers = numbers
    for part in (network.encoder, network.decoder):
        layers = [layer for layer in part.layers if isinstance(layer, Layer)]
        for index, layer in enumerate(layers):
            layer.dropped.branches = branches * index / max(1, len(layers) - 1)


def _detached(biases: Biases) -> tuple[list[tuple[Tensor, Tensor]], Biases]:
    """Return the same biases cut off from what made them, and pairs of each tensor and its copy."""
    from ovsskit.backbones.ofa._decoder import DecoderBiases
    from ovsskit.backbones.ofa._encoder import EncoderBiases

    pairs: list[tuple[Tensor, Tensor]] = []

    def cut(tensor: Tensor) -> Tensor:
        pairs.append((tensor, tensor.detach().requires_grad_()))
        return pairs[-1][1]

    encoder = EncoderBiases(biases.encoder.positions, tuple(map(cut, biases.encoder.layers)))
    decoder = DecoderBiases(tuple(map(cut, biases.decoder.layers)), cut(biases.decoder.cross))
    return pairs, Biases(encoder, decoder)
