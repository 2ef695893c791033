"""Check one GPU against the processor, and time what it is for, in less than ten minutes.

    python benchmarks/gpu.py                  # on the first GPU
    python benchmarks/gpu.py --small          # rehearse it at the smallest size, on any machine

First every way that a shipped recipe takes runs on the device and on the processor, with small
networks, and their labels are compared. Then networks of full size with random weights are timed:
ITACLIP at stride 28, beside a plain loop that does as the released code does; PnP-OVSS with
BLIP-large; the dense CRF and PAMR of 480 x 640 pixels and 21 classes; tuning OFA-base for a list of
classes; and a study of 100 trials. Products of matrices and copies of the device alone say what it
can do, and so what bounds each task. A part that fails is said at the end; the others go on.
It needs a checkout with the extra `test`, and no network.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

import full_size
import itaclip
import ofa
import ovsskit
import study
from ovsskit.backbones.clip.clip import Clip
from ovsskit.backbones.ofa._network import OfaNetwork
from ovsskit.backbones.ofa._shape import Shape
from ovsskit.engine.devices import choose_device, free_memory_of, peak_memory_of, wait_for
from ovsskit.engine.driver import Driver
from ovsskit.engine.room import Room
from ovsskit.engine.values import Image
from ovsskit.fit.table import FitTable
from ovsskit.fit.tuning import Tuner
from ovsskit.ops.mean_field import build_lattices, mean_field
from ovsskit.recipe.build import load_recipe
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.run.pipeline import Pipeline
from ovsskit.stages.refine.pamr import affinity, refine
from ovsskit.testing import example
from ovsskit.torchvision_names import declare_torchvision

TESTS = Path(__file__).parents[1] / "tests"
EQUAL = 0.998
"""Share of labels that must be equal: classes may be as good as equal at single pixels."""
CRF = {"gaussian_sigma": 3.0, "bilateral_sigma": 50.0, "bilateral_colour_sigma": 5.0}
WEIGHTS = {"gaussian_weight": 7.0, "bilateral_weight": 10.0}
DILATIONS = (8, 16)
BUSY, NEAR = 0.7, 0.5
"""Below the first share of its time a device waits for the program; above the second of what it can
do at most, that is what bounds it."""


@dataclass(frozen=True)
class Sizes:
    """Say how large everything is."""

    image: tuple[int, int] = (375, 500)
    maps: tuple[int, int, int] = (21, 480, 640)
    images: int = 8
    runs: int = 3
    matrix: int = 8192
    copied: int = 1 << 30
    stride: int = 28
    ofa: Shape = ofa.SHAPES["base"]
    trials: int = 100
    limit: int | None = None
    twins: bool = False
    """Whether the small networks of the tests stand in for those of full size."""


SMALL = Sizes(
    image=(64, 80),
    maps=(3, 24, 32),
    images=2,
    runs=1,
    matrix=64,
    copied=1 << 16,
    stride=32,
    ofa=Shape(32, 64, 4, 1, 1, 8, (1, 1, 1), 100, 1026, 42),
    trials=2,
    limit=1,
    twins=True,
)


@dataclass(frozen=True)
class Limits:
    """Hold what a device does at most: operations and bytes in a second."""

    operations: dict[str, float]
    bytes: float


@dataclass
class Measured:
    """Hold what a task took: seconds for one item, and what the device did in them."""

    task: str
    seconds: float
    memory: int | None = None
    operations: float = 0.0
    busy: float = 1.0
    note: str = ""

    def bound(self, limits: Limits, precision: str = "fp32") -> str:
        """Say what bounds the task: the program, products of matrices, or memory."""
        if self.busy < BUSY:
            return f"the program: the device is busy {self.busy:.0%} of the time"
        share = self.operations / self.seconds / limits.operations[precision]
        what = "products of matrices" if share > NEAR else "memory and small operations"
        return f"{what} ({share:.0%} of the products that it can do)"


def measure(task: str, device: str, work: Callable[[], Any], *, runs: int, items: int = 1) -> Any:
    """Return what a task took for one item, the best of some runs, after one to warm up."""
    free_memory_of(device)
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)
    with FlopCounterMode(display=False) as counter:
        work()
    wait_for(device)
    taken = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        wait_for(device)
        taken.append(time.perf_counter() - start)
    best = min(taken)
    memory, busy = peak_memory_of(device), 1.0
    if device.startswith("cuda"):
        with profile(activities=[ProfilerActivity.CUDA]) as seen:
            work()
            wait_for(device)
        busy = min(1.0, sum(one.self_device_time_total for one in seen.key_averages()) / 1e6 / best)
    operations = float(counter.get_total_flops())
    return Measured(task, best / items, memory, operations / items, busy)


def measure_limits(device: str, sizes: Sizes) -> Limits:
    """Return the products of matrices and the copies that a device does in a second."""
    side = sizes.matrix
    operations = {}
    for name, dtype in {
        "fp32": torch.float32,
        "bf16": torch.bfloat16,
        "fp16": torch.float16,
    }.items():
        left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
        one = measure(name, device, lambda a=left, b=right: a @ b, runs=5)  # type: ignore[misc]
        operations[name] = 2 * side**3 / one.seconds
    there = torch.zeros(sizes.copied, dtype=torch.uint8, device=device)
    copied = measure("copy", device, there.clone, runs=5)
    return Limits(operations, 2 * sizes.copied / copied.seconds)


@contextmanager
def modules_of_tests() -> Iterator[Callable[[str], Any]]:
    """Let modules beside the tests be imported, which hold the small networks."""
    declare_torchvision()
    kept = list(sys.path)
    sys.path[:0] = [str(TESTS), str(TESTS / "contract")]
    try:
        yield importlib.import_module
    finally:
        sys.path[:] = kept


def twin_of(backbone: str) -> dict[str, Any]:
    """Return the fields of a small backbone with random numbers."""
    with modules_of_tests() as module:
        fields: dict[str, Any] = dict(module("twins").TWINS[backbone])
    return fields


def compare_recipes(device: str, wanted: list[str]) -> list[tuple[str, float]]:
    """Return the share of equal labels, on the device and on the processor, of every way."""
    found = []
    with modules_of_tests() as module, tempfile.TemporaryDirectory() as temporary:
        ways, recipes = module("ways"), module("test_recipes")
        for path in ways.WAYS.values():
            if wanted and path.stem not in wanted:
                continue
            plan = recipes.load(path, Path(temporary)).plan
            vocabulary = ways.few_of(plan)
            images = [example(Image, seed) for seed in (0, 1)]
            here, there = (
                Pipeline(plan, device=where).run_many(images, vocabulary)
                for where in ("cpu", device)
            )
            equal = [
                (one["labels"].ids == other["labels"].ids.cpu()).float().mean()
                for one, other in zip(here, there, strict=True)
            ]
            found.append((path.stem, float(torch.stack(equal).mean())))
    return found


def run_itaclip(device: str, sizes: Sizes, folder: Path) -> list[Measured]:
    """Time ITACLIP on one image, and a plain loop beside it."""
    changes = {"sliding_window.stride": sizes.stride}
    if sizes.twins:
        backbone = Clip(**twin_of("clip")).to(device)
        changes |= {"resize_image.short_side": 64, "sliding_window.window": 48}
    else:
        itaclip.make_weights(folder)
        backbone = Clip(weights=str(folder / "weights.safetensors"), model=itaclip.MODEL).to(device)
    recipe = load_recipe("itaclip", [f"{key}={value}" for key, value in changes.items()])
    image = itaclip.random_image(*sizes.image).to(device)
    with torch.no_grad():
        texts = itaclip.make_texts(backbone, recipe, image)
    plan = Pipeline.of(recipe.plan.stages, {"backbone": backbone}, device=device).plan
    stages = [stage for stage in plan.stages if stage.address not in itaclip.GIVEN]
    state = {"image": image, "vocabulary": recipe.plan.vocabulary, "text_features": texts}
    labels, room = {}, Room(device)

    def ours() -> None:
        driver = Driver(dict(plan.models), plan.models_of, 64, device=device, room=room)
        with torch.no_grad():
            labels["ours"] = driver.run(stages, [state])[0]["labels"].ids

    def plain() -> None:
        with torch.no_grad(), torch.device(device):
            labels["plain"] = itaclip.PlainLoop(backbone, texts, recipe).run(image)

    fast = measure(f"ITACLIP, stride {sizes.stride}", device, ours, runs=sizes.runs)
    slow = measure("the same, plain loop", device, plain, runs=1)
    equal = (labels["ours"] == labels["plain"]).float().mean()
    fast.note = f"{slow.seconds / fast.seconds:.1f} times faster, {equal:.2%} of the labels equal"
    return [fast, slow]


def run_blip(device: str, sizes: Sizes, folder: Path) -> list[Measured]:
    """Time PnP-OVSS with BLIP in single and in half precision."""
    if sizes.twins:
        changes = {f"backbone.{key}": value for key, value in twin_of("blip_itm").items()}
        changes |= {"select_head.layer": 2}
        images = [example(Image, seed) for seed in range(sizes.images)]
    else:
        full_size.make_weights(folder, "large")
        changes = {"backbone.weights": folder}
        images = full_size.random_images(sizes.images)
    words = make_vocabulary(list(full_size.NAMES))
    found = []
    for precision in ("fp32", "bf16"):
        changes["backbone.precision"] = precision
        overrides = [f"{key}={value}" for key, value in changes.items()]
        pipeline = ovsskit.load("pnp_blip", *overrides, device=device, batch=sizes.images)
        task = f"PnP-OVSS, BLIP, {precision}"
        work = lambda one=pipeline: one.run_many(images, words)  # noqa: E731
        found.append(measure(task, device, work, runs=sizes.runs, items=len(images)))
    return found


def run_refiners(device: str, sizes: Sizes, folder: Path) -> list[Measured]:
    """Time the dense CRF, with and without its lattices, and PAMR."""
    classes, height, width = sizes.maps
    image = itaclip.random_image(height, width).to(device)
    coarse = torch.rand(classes, 1, 12, 16, generator=torch.Generator().manual_seed(2))
    maps = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")[:, 0]
    scores = (maps * 8).softmax(0).to(device)
    pixels = image.pixels
    lattices = build_lattices(pixels, **CRF)

    def crf(ready: Any) -> torch.Tensor:
        return mean_field(scores, pixels, steps=10, lattices=ready, **CRF, **WEIGHTS)

    def pamr() -> torch.Tensor:
        return refine(scores, affinity(image.data, DILATIONS), DILATIONS, 10)

    size = f"{height} x {width} x {classes}"
    whole = measure(f"dense CRF, {size}", device, lambda: crf(None), runs=5 * sizes.runs)
    whole.note = "the goal for 480 x 640 x 21 is 10 ms"
    steps = measure("of which ten steps", device, lambda: crf(lattices), runs=5 * sizes.runs)
    return [whole, steps, measure(f"PAMR, {size}", device, pamr, runs=5 * sizes.runs)]


def run_tuning(device: str, sizes: Sizes, folder: Path) -> list[Measured]:
    """Time a step of tuning OFA for a list of classes."""
    torch.manual_seed(0)
    found = []
    for name, mixed in (("fp32", False), ("bf16", True)):
        network = OfaNetwork(sizes.ofa).to(device).eval()
        pieces = [[5 + number] for number in range(ofa.CLASSES)]
        tuner = Tuner(network, pieces, [5] * ofa.LENGTH, FitTable(), mixed=mixed)
        task = f"IFSeg, a step of 16 images, {name}"
        found.append(measure(task, device, lambda one=tuner: one.step(0), runs=sizes.runs))  # type: ignore[misc]
    return found


def run_study(device: str, sizes: Sizes, folder: Path) -> list[Measured]:
    """Time a whole study, and a plain run over the same images."""
    shared = ["quickstart", "--json", "--device", device]
    shared += [] if sizes.limit is None else ["--limit", str(sizes.limit)]
    plain, _, _ = study.measure(1, "run", *shared, "--out", folder / "run")
    trials = ["--trials", str(sizes.trials), "--out", str(folder / "study")]
    # A study of fewer than 12 images proves nothing, and would not begin.
    trials += [] if sizes.limit is None else ["--accept", "best"]
    whole, _, _ = study.measure(1, "study", *shared, *trials)
    note = (
        f"{whole / plain:.1f} times one plain run of {plain:.1f} s, start of the program included"
    )
    return [Measured(f"study, {sizes.trials} trials", whole, note=note)]


TASKS: dict[str, Callable[[str, Sizes, Path], list[Measured]]] = {
    "itaclip": run_itaclip,
    "blip": run_blip,
    "refiners": run_refiners,
    "tuning": run_tuning,
    "study": run_study,
}


def main(arguments: list[str] | None = None) -> int:
    """Check and measure; return 1 if labels differ or a part failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--small", action="store_true", help="the smallest sizes, as without a GPU")
    parser.add_argument("--tasks", nargs="*", default=["recipes", *TASKS])
    parser.add_argument("--recipes", nargs="*", default=[], help="compare these alone")
    parser.add_argument("--minutes", type=float, default=9.5, help="begin nothing after these")
    parser.add_argument("--json", type=Path, help="write all numbers to this file")
    chosen = parser.parse_args(arguments)
    device = choose_device(chosen.device)
    is_small = chosen.small or device == "cpu"
    sizes, end = SMALL if is_small else Sizes(), time.perf_counter() + 60 * chosen.minutes
    console, failed = Console(width=150), []
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else device
    console.print(f"{name}, torch {torch.__version__}" + ", a rehearsal" * is_small)
    limits = measure_limits(device, sizes)
    for precision, rate in limits.operations.items():
        console.print(f"products of matrices in {precision}: {rate / 1e12:.3g} T/s")
    console.print(f"copies: {limits.bytes / 1e9:.3g} GB/s")
    labels: list[tuple[str, float]] = []
    rows: list[Measured] = []
    for task in chosen.tasks:
        if time.perf_counter() > end:
            failed.append(f"{task}: no time left")
            continue
        try:
            with tempfile.TemporaryDirectory() as temporary:
                if task == "recipes":
                    labels = compare_recipes(device, chosen.recipes)
                else:
                    rows += TASKS[task](device, sizes, Path(temporary))
        except Exception:  # the others are still worth their time
            failed.append(f"{task}: {traceback.format_exc()}")
    failed += [f"{recipe}: {equal:.3%} equal" for recipe, equal in labels if equal < EQUAL]
    console.print(f"{len(labels)} ways of recipes, labels as on the processor: ", end="")
    console.print(f"{sum(equal >= EQUAL for _, equal in labels)}")
    table = Table("task", "ms", "a second", "peak MB", "G operations", "bound by", "")
    for row in rows:
        precision = "bf16" if row.task.endswith("bf16") else "fp32"
        table.add_row(
            row.task,
            f"{1e3 * row.seconds:.2f}",
            f"{1 / row.seconds:.2f}",
            "" if row.memory is None else f"{row.memory / 1e6:.0f}",
            f"{row.operations / 1e9:.3g}" if row.operations else "",
            row.bound(limits, precision) if row.operations or row.busy < 1 else "",
            row.note,
        )
    console.print(table)
    for one in failed:
        console.print(f"failed: {one}", markup=False)
    if chosen.json is not None:
        facts = {"device": name, "limits": asdict(limits), "rows": [asdict(row) for row in rows]}
        chosen.json.write_text(json.dumps({**facts, "labels": labels, "failed": failed}, indent=1))
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
