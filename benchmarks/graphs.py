"""Compare LPOSS's graphs with those that its released code makes, at equal labels.

Run `python benchmarks/graphs.py`. The other side is a plain loop after that code, with scipy in
place of cupy and an exact search in place of faiss: a sparse matrix of all ties, and conjugate
gradients in double precision, one text after the other. The patches are those that the tiny CLIP
makes of a packaged scene at a size that gives the numbers of a photograph of VOC (448 x 597 pixels,
15 windows of 14 x 14 patches). Every side runs in a process of its own, so that peak memory can be
told; both take one thread.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import kornia
import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from scipy.sparse import csr_matrix, diags, eye
from scipy.sparse.linalg import cg

import ovsskit
from ovsskit.embedded import sample_scenes
from ovsskit.engine.driver import State
from ovsskit.engine.images import read_image
from ovsskit.engine.stage import walk
from ovsskit.engine.values import Image, Logits, Nodes
from ovsskit.stages.graph.paste_nodes import PasteNodes
from ovsskit.stages.graph.patch_graph import PatchGraph
from ovsskit.stages.refine.pixel_graph import PixelGraph

SIDES = (448, 597)
"""Height and width of a photograph of VOC, as LPOSS sees it."""
HALF = (224, 298)
"""Patches of the tiny CLIP have half as many pixels."""
ALPHA, STEPS, TOLERANCE = 0.95, 10, 1e-6


def prepare(folder: Path, texts: int) -> None:
    """Write the nodes of a scene, with scores of as many texts, and its image."""
    image = read_image(sample_scenes()[0].image).data[None]
    seen, large = (
        torch.nn.functional.interpolate(image, size, mode="bilinear")[0] for size in (HALF, SIDES)
    )
    kept: list[Nodes] = []
    pipeline = ovsskit.load("lposs_tiny", "resize_image.short_side=224", device="cpu")

    def watch(stage: ovsskit.Stage, states: Sequence[State], seconds: float) -> None:
        if stage.writes == "nodes" and stage.address == "window_nodes":
            kept.append(states[-1]["nodes"])

    assert any(isinstance(one, PatchGraph) for one in walk(pipeline.plan.stages))
    pipeline.run_many([Image((seen * 255).round() / 255)], pipeline.plan.vocabulary, watch)
    [nodes] = kept
    scores = nodes.data.repeat(-(-texts // len(nodes.data)), 1)[:texts]
    scores += 0.01 * torch.randn(scores.shape, generator=torch.Generator().manual_seed(0))
    torch.save((scores, nodes.vectors, nodes.tiles, nodes.size), folder / "nodes.pt")
    torch.save(large, folder / "image.pt")


def read(folder: Path) -> tuple[Nodes, Image]:
    """Return the nodes and the image."""
    scores, vectors, tiles, size = torch.load(folder / "nodes.pt", weights_only=False)
    nodes = Nodes(scores, vectors, tuple(range(len(scores))), tiles, size)
    return nodes, Image(torch.load(folder / "image.pt"))


def solve_each(ties: csr_matrix, columns: np.ndarray) -> np.ndarray:
    """Return what spreads along ties, one column after the other."""
    ties = ties - diags(ties.diagonal())
    degree = np.asarray(ties.sum(1)).ravel()
    root = diags(1 / np.sqrt(np.where(degree == 0, 1, degree)))
    laplacian = eye(ties.shape[0]) - ALPHA * (root @ ties @ root)
    laplacian = laplacian.tocsr()
    found = [cg(laplacian, one, rtol=TOLERANCE, maxiter=STEPS)[0] for one in columns.T]
    return np.stack(found, 1)


def plain_patches(nodes: Nodes) -> torch.Tensor:
    """Spread over a sparse matrix of patches, as the released code."""
    unit = torch.nn.functional.normalize(nodes.vectors, dim=1)
    cosines, nearest = (unit @ unit.T).topk(min(400, len(unit)), dim=1)
    near = torch.exp(-0.01 * torch.cdist(nodes.places, nodes.places)).gather(1, nearest)
    weights = cosines.clamp(min=0) ** 3 * near
    rows = np.arange(len(unit)).repeat(nearest.shape[1])
    ties = csr_matrix(
        (weights.flatten().numpy(), (rows, nearest.flatten().numpy())), shape=(len(unit),) * 2
    )
    found = solve_each(ties + ties.T, nodes.data.T.numpy())
    return torch.from_numpy(found.T.copy()).float()


def plain_pixels(maps: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """Spread over a sparse matrix of pixels, as the released code."""
    height, width = image.shape[1:]
    lab = kornia.color.rgb_to_lab(image).permute(1, 2, 0) / torch.tensor([100.0, 128.0, 128.0])
    flat, places = lab.flatten(0, 1), torch.arange(height * width)
    row, column = places // width, places % width
    rows, columns, weights = [], [], []
    for down, right in product(range(-6, 7), repeat=2):
        inside = (row + down >= 0) & (row + down < height)
        inside &= (column + right >= 0) & (column + right < width)
        if (down, right) != (0, 0):
            here = places[inside]
            there = here + down * width + right
            rows.append(here)
            columns.append(there)
            far = ((flat[here] - flat[there]) ** 2).sum(1).sqrt()
            weights.append(torch.exp(-far / 0.01))
    chosen = (torch.cat(rows).numpy(), torch.cat(columns).numpy())
    ties = csr_matrix((torch.cat(weights).numpy(), chosen), shape=(len(places),) * 2)
    found = solve_each(ties, maps.flatten(1).T.numpy())
    flat = torch.from_numpy(found.T.copy()).float()
    return flat.view(len(flat), height, width)


def measure(side: str, graph: str, folder: Path) -> None:
    """Run one side, write its scores, and print seconds and megabytes as JSON."""
    nodes, image = read(folder)
    maps = PasteNodes().run(nodes).data if graph == "pixels" else nodes.data
    if graph == "pixels":
        maps = torch.nn.functional.interpolate(maps[None], SIDES, mode="bilinear")[0]
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = megabytes("VmRSS")
    start, busy = time.perf_counter(), time.process_time()
    if graph == "patches":
        found = PatchGraph().run(nodes).data if side == "ours" else plain_patches(nodes)
    elif side == "ours":
        found = PixelGraph().run(Logits(maps, nodes.labels), image).data
    else:
        found = plain_pixels(maps, image.data)
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    more = megabytes("VmHWM") - before
    torch.save(found, folder / f"{side}.pt")
    print(json.dumps({"seconds": seconds, "busy": busy, "megabytes": more}))


def megabytes(what: str) -> float:
    """Return how much memory this process holds (VmRSS), or held at most (VmHWM); on Linux."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith(what))) / 1024


def main() -> None:
    """Print seconds, memory, and how many labels differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, nargs="+", default=[46])
    parser.add_argument("--graphs", nargs="+", default=["patches", "pixels"])
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.side:
        measure(given.side, given.graphs[0], given.folder)
        return
    table = Table(
        *("graph", "texts", "side", "s", "processor s", "MB"), "largest difference", "labels differ"
    )
    with tempfile.TemporaryDirectory() as name, torch.no_grad():
        folder = Path(name)
        for texts, graph in product(given.texts, given.graphs):
            prepare(folder, texts)
            lines = {side: run(side, graph, folder) for side in ("plain", "ours")}
            plain, ours = (torch.load(folder / f"{side}.pt") for side in lines)
            share = (plain.argmax(0) != ours.argmax(0)).float().mean()
            far = (plain - ours).abs().max() / plain.abs().max()
            for side, one in lines.items():
                last = ("", "") if side == "plain" else (f"{far:.1e}", f"{share:.1e}")
                numbers = (one["seconds"], one["busy"], one["megabytes"])
                cells = [f"{number:.2f}" for number in numbers[:2]] + [f"{numbers[2]:.0f}"]
                table.add_row(graph, str(texts), side, *cells, *last)
    Console().print(table)


def run(side: str, graph: str, folder: Path) -> dict[str, float]:
    """Run one side in a process of its own."""
    command = [sys.executable, __file__, "--side", side, "--graphs", graph, "--folder", str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    main()
