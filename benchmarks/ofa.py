"""Compare ours with a plain port of IFSeg on a full-size OFA with random weights.

Run `python benchmarks/ofa.py`.
The plain port builds the position biases of every sample, as the released code does, and keeps the
attention's weights.
Both have the same layers and give the same numbers. Each side runs in a process of its own, so that
peak memory can be told; seconds are those of the processor, which other programs on the machine
disturb less.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn.functional import cross_entropy, interpolate

from ovsskit.backbones.ofa import _layers as _ofa_layers
from ovsskit.backbones.ofa._network import START, Biases, OfaNetwork
from ovsskit.backbones.ofa._shape import Shape
from ovsskit.fit.artificial import draw_grids, enlarge
from ovsskit.fit.table import FitTable
from ovsskit.fit.tuning import Tuner

SHAPES = {
    "tiny": Shape(256, 1024, 4, 4, 4, 64, (3, 4, 6), 59458, 1026, 42),
    "base": Shape(768, 3072, 12, 6, 6, 64, (3, 4, 23), 59458, 1026, 42),
    "large": Shape(1024, 4096, 16, 12, 12, 64, (3, 8, 36), 59458, 1026, 42),
}
CLASSES, LENGTH = 15, 36
"""Those of the published list of 15 classes, with the prompt."""
IMAGE = (512, 688)


def plain_attend(
    queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor, scale: float
) -> Tensor:
    """Attend step by step."""
    return (queries * scale @ keys.transpose(2, 3) + bias).softmax(3) @ values


def plain_forward(network: OfaNetwork, tokens: Tensor, ids: Tensor, biases: list[Biases]) -> Tensor:
    """Run the network with biases of every sample."""
    encoder, decoder = network.encoder, network.decoder
    x = encoder.embed(tokens, ids)
    for index, layer in enumerate(encoder.layers):
        x = layer(x, torch.stack([one.encoder.layers[index] for one in biases]))
    encoded = encoder.layer_norm(x)
    start = encoder.embed_tokens.weight[START].expand(len(x), 1, -1)
    x = decoder.layernorm_embedding(torch.cat([start, encoded[:, : tokens.shape[1] - 1]], 1))
    cross = torch.stack([one.decoder.cross for one in biases])
    for index, layer in enumerate(decoder.layers):
        x = layer(x, encoded, torch.stack([one.decoder.layers[index] for one in biases]), cross)
    found: Tensor = decoder.layer_norm(x)
    return found


def plain_step(tuner: Tuner, batch: int) -> float:
    """Do one tuning step, biases built for every sample."""
    network, side = tuner.network, tuner.network.shape.patch_side
    images = enlarge(draw_grids(torch.Generator().manual_seed(0), batch, CLASSES, side), side)
    biases = [network.biases((side, side), LENGTH) for _ in range(batch)]
    decoded = plain_forward(
        network, tuner.words[images.patches.flatten(1)], tuner.ids.expand(batch, -1), biases
    )
    logits = (tuner.words @ decoded.transpose(1, 2)).unflatten(2, (side, side))
    loss = cross_entropy(
        interpolate(logits, images.pixels.shape[1:], mode="bilinear"), images.pixels
    )
    tuner.optimiser.zero_grad()
    loss.backward()
    tuner.update(0)
    return loss.item()


def our_step(tuner: Tuner, batch: int) -> float:
    """Do the same step as `ovsskit fit` does."""
    side = tuner.network.shape.patch_side
    images = enlarge(draw_grids(torch.Generator().manual_seed(0), batch, CLASSES, side), side)
    loss = tuner.gradients(images)
    tuner.update(0)
    return loss


def infer(network: OfaNetwork, batch: int, *, plain: bool) -> float:
    """Decode two batches of images of one size; the second has biases already."""
    pixels = torch.randn(batch, 3, *IMAGE, generator=torch.Generator().manual_seed(0))
    ids = torch.full((batch, LENGTH), 5)
    kept: dict[Any, Biases] = {}
    total = 0.0
    with torch.no_grad():
        for _ in range(2):
            features = network.encoder.patches(pixels)
            tokens, grid = network.encoder.project(features), (features.shape[2], features.shape[3])
            if plain:
                decoded = plain_forward(
                    network, tokens, ids, [network.biases(grid, LENGTH) for _ in range(batch)]
                )
            else:
                kept[grid] = kept.get(grid) or network.biases(grid, LENGTH)
                decoded = network(tokens, ids, kept[grid])
            total += float(decoded.abs().mean())
    return total


def measure(arguments: argparse.Namespace) -> None:
    """Run one side of one task; print seconds, peak memory and a shared number as JSON."""
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    network, plain, batch = (
        OfaNetwork(SHAPES[arguments.size]).eval(),
        arguments.side == "plain",
        arguments.batch,
    )
    work: Callable[[], float]
    if plain:
        _ofa_layers.attend = plain_attend
    if arguments.task == "tune":
        settings = FitTable(batch=batch, at_once=batch, dropout=0.0, drop_path=0.0)
        pieces = [[5 + number] for number in range(CLASSES)]
        tuner = Tuner(network, pieces, [5] * LENGTH, settings)
        work = lambda: (plain_step if plain else our_step)(tuner, batch)  # noqa: E731
    else:
        network.requires_grad_(False)
        work = lambda: infer(network, batch, plain=plain)  # noqa: E731
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    start, wall = time.process_time(), time.perf_counter()
    number = work()
    seconds, wall = time.process_time() - start, time.perf_counter() - wall
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "wall": wall, "peak": peak - before, "number": number}))


def compare(arguments: argparse.Namespace) -> None:
    """Run both sides of both tasks and print the ratios."""
    table = Table(
        "task",
        "side",
        "processor s",
        "wall s",
        "times faster",
        "MB above the weights",
        "ratio",
        "loss or mean",
    )
    for task, batch in (("tune", arguments.batch), ("infer", min(4, arguments.batch))):
        plain: dict[str, float] = {}
        for side in ("plain", "ours"):
            options = {
                "side": side,
                "task": task,
                "batch": batch,
                "size": arguments.size,
                "threads": arguments.threads,
            }
            command = [
                sys.executable,
                __file__,
                *(f"--{key}={value}" for key, value in options.items()),
            ]
            result = json.loads(
                subprocess.run(
                    command, capture_output=True, text=True, check=True
                ).stdout.splitlines()[-1]
            )
            plain = plain or result
            table.add_row(
                f"{task}, batch {batch}",
                side,
                f"{result['seconds']:.1f}",
                f"{result['wall']:.1f}",
                f"{plain['seconds'] / result['seconds']:.2f}",
                f"{result['peak']:.0f}",
                f"{result['peak'] / plain['peak']:.2f}",
                f"{result['number']:.6f}",
            )
    Console(width=120).print(table)


def main() -> None:
    """Compare the two sides, or (called by itself) measure one."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", choices=SHAPES, default="tiny")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--side", choices=("plain", "ours"))
    parser.add_argument("--task", choices=("tune", "infer"), default="tune")
    arguments = parser.parse_args()
    if arguments.side:
        measure(arguments)
    else:
        compare(arguments)


if __name__ == "__main__":
    main()
