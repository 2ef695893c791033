"""Every stage and wrapper keeps the contract, and its numbers do not move without a new version."""

from __future__ import annotations

import inspect
import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image as Pillow

from ovsskit.engine.examples import WIDTH, uniform
from ovsskit.engine.prototype_bank import Bank, write_bank
from ovsskit.engine.region_bank import RegionBankWriter
from ovsskit.engine.stage import Stage, Wrapper, wiring
from ovsskit.engine.values import Regions, Vocabulary
from ovsskit.recipe.registry import find_stage, stage_files
from ovsskit.testing import ToyBackbone, check_stage, check_wrapper, example

GOLDEN = Path(__file__).parent.parent / "golden" / "stages.json"
STAGES = [name for name in stage_files() if not issubclass(find_stage(name) or Stage, Wrapper)]
WRAPPERS = [name for name in stage_files() if name not in STAGES]


def make(name: str, folder: Path) -> Any:
    """Return the stage with its defaults, and with an example of the file that it reads, if it
    reads one.
    """
    cls = find_stage(name)
    assert cls is not None
    (folder / "present.json").write_text(
        json.dumps({f"image{seed}": ["dog", "grass"] for seed in (0, 7)})
    )
    (folder / "texts.toml").write_text(
        'dog = "a pet"\n"ice cream" = "a sweet"\ngrass = "green blades"\n'
    )
    for seed in (0, 7):
        numbers = example(Regions, seed).data.numpy().astype("uint8")
        Pillow.fromarray(numbers).save(folder / f"image{seed}.png")
    if name == "regions_from_files":
        return cls(folder=str(folder))  # type: ignore[call-arg]
    words = (*example(Vocabulary).names,)
    write_bank(folder / "bank.safetensors", Bank(words, uniform(0, len(words), WIDTH), ""))
    with RegionBankWriter(folder / "regions.safetensors") as writer:
        writer.add(b"0" * 16, uniform(0, 30, WIDTH) - 0.5, uniform(1, 30, WIDTH) - 0.5)
        writer.finish({"of": "regions"})
    files = {
        "retrieve": "regions.safetensors",
        "presence_from_file": "present.json",
        "expand_text": "texts.toml",
        "read_bank": "bank.safetensors",
    }
    return cls(**{"file": str(folder / files[name])} if name in files else {})


@pytest.mark.parametrize("name", STAGES)
def test_stage(name: str, tmp_path: Path) -> None:
    check_stage(make(name, tmp_path))


@pytest.mark.parametrize("name", WRAPPERS)
def test_wrapper(name: str, tmp_path: Path) -> None:
    check_wrapper(make(name, tmp_path))


@pytest.mark.parametrize("name", stage_files())
def test_every_default_is_allowed(name: str) -> None:
    cls = find_stage(name)
    assert cls is not None
    for field, info in cls.model_fields.items():
        if not info.is_required():
            cls.__pydantic_validator__.validate_assignment(
                cls.model_construct(), field, info.get_default(call_default_factory=True)
            )


@pytest.mark.parametrize("name", stage_files())
def test_every_stage_has_an_example_that_is_valid(name: str) -> None:
    text = (inspect.getdoc(find_stage(name)) or "").partition("Example:\n")[2]
    assert "\n\n" not in text, "an empty line ends the block on the reference page"
    [entry] = tomllib.loads(text)["stage"]
    assert entry["use"] == name
    assert build(entry).address == name


def build(entry: dict[str, Any]) -> Stage:
    """Return the stage that a table of a recipe describes, with its inner stages."""
    cls = find_stage(entry.pop("use"))
    assert cls is not None
    inner = tuple(map(build, entry.pop("inner", [])))
    stage: Stage = cls.model_validate_json(json.dumps(entry))
    return stage.model_copy(update={"inner": inner}) if inner else stage


def summary(value: Any) -> list[float]:
    """Return size, mean, deviation and a fixed random projection of what a stage wrote."""
    tensors = [
        tensor
        for tensor in vars(value).values()
        if isinstance(tensor, torch.Tensor) and tensor.numel()
    ]
    if not tensors:
        return [float(len(next(iter(vars(value).values()))))]
    # -inf is what is taken out of attention
    data = torch.cat([tensor.double().flatten() for tensor in tensors]).nan_to_num(neginf=-1.0)
    weights = torch.rand(len(data), generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    return [
        float(len(data)),
        float(data.mean()),
        float(data.std(correction=int(len(data) > 1))),
        float((data * weights).sum()),
    ]


def test_numbers_do_not_move_without_a_new_version(
    tmp_path: Path, golden: Callable[[Path, str], str]
) -> None:
    found = {}
    for name in STAGES:
        stage = make(name, tmp_path)
        slots = {slot: example(kind) for slot, kind in wiring(type(stage)).reads.items()}
        models = dict.fromkeys(wiring(type(stage)).models, ToyBackbone())
        with torch.no_grad():
            found[f"{name}@{stage.version}"] = summary(stage.run(**slots, **models))
    known = json.loads(GOLDEN.read_text())
    entries = {key: known.get(key, values) for key, values in found.items()}  # known ones stay
    text = json.dumps(entries, indent=1) + "\n"
    assert text == golden(GOLDEN, text), "of a new stage: python -m ovsskit.testing.regenerate"
    for key, values in found.items():
        assert values == pytest.approx(entries[key], rel=1e-4, abs=1e-5), key
