"""Measure a full-size BridgeTower with random weights at 770 pixels.

Run `python benchmarks/bridgetower_memory.py`.
Every run has a process of its own, so that peak memory can be told: what is matched or attended,
how many images at a time, and from which layer the gradient is taken. The plain run is that of
transformers, with all attention as maps and the gradient from the same layer on.
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

import torch
from rich.console import Console
from rich.table import Table

from full_size import NAMES, TEXT, random_images
from ovsskit._lazy import transformers
from ovsskit.backbones.matching.bridgetower import Bridgetower
from ovsskit.engine.values import Caption, Captions

RUNS = (
    {"side": "attend", "layers": "5", "batch": 1},
    {"side": "attend", "layers": "1,2,3,4,5", "batch": 1},
    {"side": "plain", "layers": "5", "batch": 1},
    {"side": "attend", "layers": "5", "batch": 2},
    {"side": "match", "batch": 1},
)


def make_weights(folder: Path) -> None:
    """Write a BridgeTower of the published size with random weights, and a tokenizer of bytes."""
    from tokenizers.pre_tokenizers import ByteLevel

    torch.manual_seed(0)
    sizes = {"hidden_size": 1024, "num_hidden_layers": 24}
    text = {
        **sizes,
        "vocab_size": 50265,
        "num_attention_heads": 16,
        "intermediate_size": 4096,
        "max_position_embeddings": 514,
    }
    config = transformers.BridgeTowerConfig(
        hidden_size=1024,
        num_attention_heads=16,
        num_hidden_layers=6,
        vision_config={**sizes, "patch_size": 14, "image_size": 294},
        text_config=text,
    )
    transformers.BridgeTowerForImageAndTextRetrieval(config).save_pretrained(folder)
    tokens = ["<s>", "<pad>", "</s>", "<unk>", *sorted(ByteLevel.alphabet())]
    tokens += [f"word{index}" for index in range(50265 - len(tokens))]
    (folder / "vocab.json").write_text(
        json.dumps({token: index for index, token in enumerate(tokens)})
    )
    (folder / "merges.txt").write_text("#version: 0.2\n")


def run_plain(backbone: Bridgetower, layer: int) -> None:
    """Run the model of transformers on one image and take the gradient of one layer's attention."""
    network, tokens = backbone.network, backbone.reader.read(Caption(TEXT, ()))
    block = network.bridgetower.cross_modal_text_layers[layer - 1].crossattention.self
    block.query.weight.requires_grad_()
    kept: list[Any] = []
    block.register_forward_hook(lambda module, inputs, output: kept.append(output[1]))
    pixels = torch.stack([backbone.pixels(image) for image in random_images(1)])
    out = network(
        input_ids=torch.tensor([tokens.ids]),
        attention_mask=torch.ones(1, len(tokens.ids), dtype=torch.long),
        pixel_values=pixels,
        interpolate_pos_encoding=True,
    )
    torch.autograd.grad(out.logits[:, 1].sum(), kept)


def measure(arguments: argparse.Namespace) -> None:
    """Do one run, and print seconds per image and peak memory as JSON."""
    torch.set_num_threads(arguments.threads)
    size = (
        294 if arguments.side == "plain" else arguments.image_size
    )  # the plain run resizes its positions itself
    backbone = Bridgetower(weights=arguments.weights, image_size=size)
    assert backbone.network is not None
    layers = [int(layer) for layer in (arguments.layers or "").split(",") if layer]
    images = random_images(arguments.batch)
    loaded = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    start = time.perf_counter()
    if arguments.side == "plain":
        run_plain(backbone.model_copy(update={"image_size": arguments.image_size}), layers[0])
    elif arguments.side == "match":
        backbone.match(
            images, [[Caption(f"A picture of {name}", ()) for name in NAMES]] * len(images)
        )
    else:
        captions = [Captions((Caption(TEXT, ()),))] * len(images)
        backbone.cross_attention(images, captions, layers=layers, objective="match_logit", pad_to=0)
    seconds = (time.perf_counter() - start) / len(images)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "peak": peak, "loaded": loaded}))


def compare(arguments: argparse.Namespace) -> None:
    """Do all runs and print what each took."""
    table = Table(
        "run", "layers", "batch", "s per image", "peak MB", "of which weights", "the rest, MB"
    )
    with tempfile.TemporaryDirectory() as folder:
        make_weights(Path(folder))
        for run in RUNS:
            options = {
                **run,
                "weights": folder,
                "image_size": arguments.image_size,
                "threads": arguments.threads,
            }
            command = [
                sys.executable,
                __file__,
                *(f"--{key.replace('_', '-')}={value}" for key, value in options.items()),
            ]
            printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            found = json.loads(printed.splitlines()[-1])
            what = (str(run["side"]), str(run.get("layers", "")), str(run["batch"]))
            peak, loaded = found["peak"], found["loaded"]
            table.add_row(
                *what,
                f"{found['seconds']:.1f}",
                f"{peak:.0f}",
                f"{loaded:.0f}",
                f"{peak - loaded:.0f}",
            )
            print(*what, json.dumps(found), flush=True)
    Console(width=120).print(table)


def main() -> None:
    """Do all runs, or (called by itself) one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image-size", type=int, default=770)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--side", choices=["match", "attend", "plain"], help=argparse.SUPPRESS)
    parser.add_argument("--batch", type=int, default=1, help=argparse.SUPPRESS)
    for name in ("--weights", "--layers"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        measure(arguments)
    else:
        compare(arguments)


if __name__ == "__main__":
    main()
