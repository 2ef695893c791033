"""Compare ours with a plain loop on a full-size BLIP with random weights.

Run `python benchmarks/full_size.py`.
The plain loop follows the released code: one image at a time, the backward pass through the whole
network and all its weights, the attention of all layers kept. Each side runs in a process of its
own, so that peak memory can be told.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from ovsskit.backbones.matching.blip_itm import BlipItm
from ovsskit.engine.values import Caption, Captions, Image, Span

LAYER, HEAD = 8, 9
NAMES = ("person", "dog", "bicycle", "car")
TEXT = f"A picture of {' '.join(NAMES)}"
SIZES = {
    "large": {
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "intermediate_size": 4096,
    },
    "base": {
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
    },
}


def make_weights(folder: Path, size: str) -> None:
    """Write a BLIP of a published size with random weights in Hugging Face format."""
    from ovsskit._lazy import transformers

    torch.manual_seed(0)
    vision = {**SIZES[size], "image_size": 384, "patch_size": 16, "layer_norm_eps": 1e-6}
    text = {
        "vocab_size": 30524,
        "num_attention_heads": 12,
        "encoder_hidden_size": vision["hidden_size"],
        "is_decoder": True,
    }
    config = transformers.BlipConfig(
        vision_config=vision, text_config=text, image_text_hidden_size=256
    )
    transformers.BlipForImageTextRetrieval(config).save_pretrained(folder)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "picture", "of", *NAMES]
    filler = [f"word{index}" for index in range(30522 - len(words))]
    (folder / "vocab.txt").write_text("\n".join([*words, *filler, "[DEC]", "[ENC]"]))


def random_images(count: int) -> list[Image]:
    """Return smooth random images of 375 x 500 pixels."""
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(count, 3, 12, 16, generator=generator)
    fine = torch.nn.functional.interpolate(coarse, (375, 500), mode="bicubic").clamp(0, 1)
    return [Image((one * 255).round() / 255, f"image{index}") for index, one in enumerate(fine)]


def run_ours(backbone: BlipItm, images: list[Image], batch: int) -> list[torch.Tensor]:
    """Return the GradCAM of one layer and head for every image, in batches."""
    spans = [
        Span(i, TEXT.index(name), TEXT.index(name) + len(name)) for i, name in enumerate(NAMES)
    ]
    captions = Captions((Caption(TEXT, tuple(spans)),))
    found = []
    for start in range(0, len(images), batch):
        some = images[start : start + batch]
        for one in backbone.cross_attention(
            some, [captions] * len(some), layers=[LAYER], objective="match_logit", pad_to=0
        ):
            found.append((one.probability * one.gradient.clamp(min=0))[0, HEAD, 1:, 1:])
    return found


def run_plain(backbone: BlipItm, images: list[Image]) -> list[torch.Tensor]:
    """Return the same by the plain loop.

    Everything is in the graph, all weights have gradients, and images come one at a time.
    """
    network = backbone.network.requires_grad_(True)
    found = []
    for image in images:
        ids = torch.tensor([backbone.reader.read(Caption(TEXT, ())).ids])
        features = network.vision_model(backbone.pixels(image)[None]).last_hidden_state
        output = network.text_encoder(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            encoder_hidden_states=features,
            encoder_attention_mask=torch.ones(features.shape[:2]),
            output_attentions=True,
            is_decoder=False,
            return_dict=True,
        )
        for attention in output.cross_attentions:
            attention.retain_grad()
        network.zero_grad()
        network.itm_head(output.last_hidden_state[:, 0])[:, 1].sum().backward()
        wanted = output.cross_attentions[LAYER - 1]
        found.append((wanted * wanted.grad.clamp(min=0))[0, HEAD, 1:, 1:].detach())
    return found


def measure(arguments: argparse.Namespace) -> None:
    """Run one side, write its maps, and print seconds per image and peak memory as JSON."""
    torch.set_num_threads(arguments.threads)
    backbone = BlipItm(
        weights=arguments.weights, image_size=arguments.image_size, precision=arguments.precision
    )
    assert backbone.network is not None
    images = random_images(arguments.images)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    start = time.perf_counter()
    maps = (
        run_plain(backbone, images)
        if arguments.side == "plain"
        else run_ours(backbone, images, arguments.batch)
    )
    seconds = (time.perf_counter() - start) / len(images)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    np.save(arguments.save, torch.stack(maps).float().numpy())
    print(json.dumps({"seconds": seconds, "peak": peak, "loaded": before}))


def compare(arguments: argparse.Namespace) -> None:
    """Run both sides and print the ratios and the largest difference of the maps."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make_weights(folder / "weights", arguments.size)
        results: dict[str, dict[str, Any]] = {}
        for side, precision, batch in [
            ("plain", "fp32", 1),
            ("ours", "fp32", 1),
            ("ours", "fp32", 4),
            ("ours", "bf16", 4),
        ]:
            name = f"{side} {precision} batch {batch}"
            save = folder / f"{name}.npy"
            options = {
                "side": side,
                "weights": folder / "weights",
                "save": save,
                "precision": precision,
                "batch": batch,
            }
            options |= {key: getattr(arguments, key) for key in ("images", "threads", "image_size")}
            command = [
                sys.executable,
                __file__,
                *(f"--{key.replace('_', '-')}={value}" for key, value in options.items()),
            ]
            printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            results[name] = {**json.loads(printed.splitlines()[-1]), "maps": np.load(save)}
    plain = results["plain fp32 batch 1"]
    table = Table(
        "run",
        "s per image",
        "times faster",
        "peak MB",
        "of which weights",
        "peak ratio",
        "largest difference",
    )
    for name, result in results.items():
        table.add_row(
            name,
            f"{result['seconds']:.2f}",
            f"{plain['seconds'] / result['seconds']:.2f}",
            f"{result['peak']:.0f}",
            f"{result['loaded']:.0f}",
            f"{result['peak'] / plain['peak']:.2f}",
            f"{np.abs(result['maps'] - plain['maps']).max() / np.abs(plain['maps']).max():.1e}",
        )
    Console(width=120).print(table)


def main() -> None:
    """Compare the two sides, or (called by itself) measure one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="large")
    parser.add_argument("--image-size", type=int, default=336)
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--side", choices=["plain", "ours"], help=argparse.SUPPRESS)
    for name in ("--weights", "--save", "--precision"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    parser.add_argument("--batch", type=int, default=1, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        measure(arguments)
    else:
        compare(arguments)


if __name__ == "__main__":
    main()
