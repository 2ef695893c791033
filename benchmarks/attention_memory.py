"""Measure what the attention of all blocks takes, of a ViT-B/16 with random weights.

Run `python benchmarks/attention_memory.py`, on Linux.
Every run has a process of its own. When it has the tokens of all blocks its peak memory is reset,
and told again after the attention between patches: as `patch_attention` gives it, or with every
head of every block kept at once, whose mean is the same.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from itaclip import MODEL, make_weights, random_image
from ovsskit.backbones.clip.clip import Clip
from ovsskit.engine.values import Hidden
from ovsskit.stages.network.encode_hidden import EncodeHidden
from ovsskit.stages.network.patch_attention import PatchAttention

RUNS = {"ours": "`patch_attention`", "heads": "every head of every block kept"}


def keep_every_head(hidden: Hidden, backbone: Clip) -> torch.Tensor:
    """Return the mean of the heads' attention, of all blocks whose heads are kept at once."""
    kept = []
    for layer in hidden.layers:
        queries, keys, _ = backbone.project(hidden, layer)
        kept.append((queries * queries.shape[-1] ** -0.5 @ keys.transpose(1, 2)).softmax(-1))
    return torch.stack([one[:, 1:, 1:].mean(0) for one in kept])


def memory(field: str) -> float:
    """Return what the kernel says of this process's memory, in MB."""
    status = Path("/proc/self/status").read_text().splitlines()
    [line] = [line for line in status if line.startswith(f"{field}:")]
    return int(line.split()[1]) / 1024


def run(name: str, weights: str, side: int) -> None:
    """Do one run, and print seconds of the processor, MB at the peak, and a sum to compare by."""
    torch.set_num_threads(1)
    backbone = Clip(weights=weights, model=MODEL, positions="half")
    layers = tuple(range(1, backbone.block_count + 1))
    hidden = EncodeHidden(layers=layers).run(random_image(side, side), backbone)
    Path("/proc/self/clear_refs").write_text("5")
    before, start = memory("VmRSS"), time.process_time()
    if name == "ours":
        found = PatchAttention(layers=layers).run(hidden, backbone).data
    else:
        found = keep_every_head(hidden, backbone)
    seconds, peak = time.process_time() - start, memory("VmHWM") - before
    print(f"{seconds:.2f} {peak:.0f} {float(found.double().sum()):.3f}")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=512, help="of the image, in pixels")
    parser.add_argument("--run", choices=RUNS, help="one run alone, in this process")
    parser.add_argument("--weights", default="")
    arguments = parser.parse_args()
    if arguments.run:
        run(arguments.run, arguments.weights, arguments.side)
        return
    table = Table("", "processor's seconds", "MB at the peak")
    with tempfile.TemporaryDirectory() as temporary:
        make_weights(Path(temporary))
        sums = []
        for name, words in RUNS.items():
            command = [sys.executable, __file__, "--run", name, "--side", str(arguments.side)]
            command += ["--weights", str(Path(temporary) / "weights.safetensors")]
            out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            seconds, peak, total = out.split()[-3:]
            sums.append(total)
            table.add_row(words, seconds, peak)
    Console().print(table)
    Console().print(f"sums of all attention: {', '.join(sums)}")


if __name__ == "__main__":
    main()
