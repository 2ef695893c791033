"""The methods of the dense-CLIP family, as their recipes chain our stages, against their formulas written out plainly.

And against what their public codes return (`clip_family/README.md`). Weights and pictures are those of the ITACLIP recording.
Tokens are `token width`, the class token first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from itaclip_set import TOKENS, Recording
from safetensors.torch import load_file

from ovsskit.backbones.clip import Clip
from ovsskit.pipeline import Pipeline
from ovsskit.recipe import load_recipe
from ovsskit.stage import Stage, Wrapper
from ovsskit.testing import example
from ovsskit.values import Image, TextFeatures, Vocabulary

Tensor = torch.Tensor
TOLERANCE = {"atol": 1e-3, "rtol": 0}
RECORDED = Path(__file__).parent / "clip_family" / "tokens.safetensors"
REFINED = Path(__file__).parent / "clip_family" / "refined.safetensors"
RECIPES = ("clip_baseline", "sclip", "clearclip", "naclip", "maskclip", "maskclip_reduced", "gem")
FULL = {"weights", "model", "revision", "precision"}
"""Fields of a recipe's backbone that say where the weights are; the others are how the method changes it."""


@dataclass
class Tower:
    """Compute a vision transformer of CLIP from its tensors, one token matrix at a time."""

    state: dict[str, Tensor]
    heads: int
    patch: int
    activation: Callable[[Tensor], Tensor] = field(default=lambda x: x * torch.sigmoid(1.702 * x))
    epsilon: float = 1e-5

    @property
    def blocks(self) -> range:
        return range(
            sum(name.startswith("visual.") and name.endswith("ln_1.weight") for name in self.state)
        )

    def norm(self, name: str, x: Tensor) -> Tensor:
        middle = x.mean(-1, keepdim=True)
        spread = ((x - middle) ** 2).mean(-1, keepdim=True)
        return (x - middle) / (spread + self.epsilon).sqrt() * self.state[
            f"{name}.weight"
        ] + self.state[f"{name}.bias"]

    def linear(self, name: str, x: Tensor) -> Tensor:
        return x @ self.state[f"{name}.weight"].T + self.state[f"{name}.bias"]

    def block(self, number: int) -> str:
        return f"visual.transformer.resblocks.{number}"

    def split(self, number: int, y: Tensor) -> list[list[Tensor]]:
        """Return queries, keys and values, each as a list over heads."""
        name = f"{self.block(number)}.attn.in_proj"
        packed = y @ self.state[f"{name}_weight"].T + self.state[f"{name}_bias"]
        return [list(part.chunk(self.heads, -1)) for part in packed.chunk(3, -1)]

    def gather(self, number: int, weights: Sequence[Tensor], values: Sequence[Tensor]) -> Tensor:
        mixed = torch.cat([w @ v for w, v in zip(weights, values, strict=True)], -1)
        return self.linear(f"{self.block(number)}.attn.out_proj", mixed)

    def fed(self, number: int, x: Tensor) -> Tensor:
        name = self.block(number)
        wide = self.activation(self.linear(f"{name}.mlp.c_fc", self.norm(f"{name}.ln_2", x)))
        return x + self.linear(f"{name}.mlp.c_proj", wide)

    def ordinary(self, number: int, x: Tensor) -> Tensor:
        queries, keys, values = self.split(number, self.norm(f"{self.block(number)}.ln_1", x))
        weights = [
            (q @ k.T / math.sqrt(q.shape[1])).softmax(-1)
            for q, k in zip(queries, keys, strict=True)
        ]
        return self.fed(number, x + self.gather(number, weights, values))

    def enter(self, pixels: Tensor, places: Tensor) -> Tensor:
        """Cut into patches (one row each of the convolution's matrix), and add what stands for their places."""
        rows, columns = (side // self.patch for side in pixels.shape[1:])
        squares = [
            pixels[
                :, self.patch * r : self.patch * (r + 1), self.patch * c : self.patch * (c + 1)
            ].flatten()
            for r in range(rows)
            for c in range(columns)
        ]
        patches = torch.stack(squares) @ self.state["visual.conv1.weight"].flatten(1).T
        x = torch.cat([self.state["visual.class_embedding"][None], patches]) + places
        return self.norm("visual.ln_pre", x)

    def finish(self, x: Tensor) -> Tensor:
        return self.norm("visual.ln_post", x) @ self.state["visual.proj"]


def one_block(tower: Tower, x: Tensor, grid: tuple[int, int], method: str) -> Tensor:
    """Run all blocks but the last as ever, and the last one as a method does."""
    *earlier, last = tower.blocks
    for number in earlier:
        x = tower.ordinary(number, x)
    queries, keys, values = tower.split(last, tower.norm(f"{tower.block(last)}.ln_1", x))
    root = math.sqrt(queries[0].shape[1])
    if method in ("maskclip", "maskclip_reduced"):
        weights = [torch.eye(len(x)) for _ in values]
    elif method == "clip_baseline":
        weights = [(q @ k.T / root).softmax(-1) for q, k in zip(queries, keys, strict=True)]
    elif method == "sclip":
        weights = [
            (q @ q.T / root).softmax(-1) + (k @ k.T / root).softmax(-1)
            for q, k in zip(queries, keys, strict=True)
        ]
    elif method == "clearclip":
        weights = [(q @ q.T / root).softmax(-1) for q in queries]
    else:
        weights = [(k @ k.T / root + window(grid, 5.0)).softmax(-1) for k in keys]
    gathered = tower.gather(last, weights, values)
    keeps_all = method in ("clip_baseline", "sclip", "maskclip")
    return tower.finish(tower.fed(last, x + gathered) if keeps_all else gathered)


def window(grid: tuple[int, int], sigma: float) -> Tensor:
    """Return NACLIP's Gaussian between patches; the class token gets none."""
    places = [(row, column) for row in range(grid[0]) for column in range(grid[1])]
    found = torch.zeros(1 + len(places), 1 + len(places))
    for one, (i, j) in enumerate(places, 1):
        for other, (m, n) in enumerate(places, 1):
            found[one, other] = math.exp(-((i - m) ** 2 + (j - n) ** 2) / (2 * sigma**2))
    return found


def gem(tower: Tower, x: Tensor) -> Tensor:
    """Run GEM's second path beside the last six blocks."""
    side = None
    for number in tower.blocks:
        if number >= len(tower.blocks) - 6:
            side = x if side is None else side
            y = tower.norm(f"{tower.block(number)}.ln_1", x)
            parts = tower.split(number, y)
            beta = y.norm(dim=-1).mean() / math.sqrt(parts[0][0].shape[1])
            weights = []
            for one in zip(*parts, strict=True):
                maps = []
                for z in one:
                    z = z / z.norm(dim=-1, keepdim=True)
                    z = (beta * z @ z.T).softmax(-1) @ z
                    z = z / z.norm(dim=-1, keepdim=True)
                    maps.append((beta * z @ z.T).softmax(-1))
                weights.append(sum(maps[1:], maps[0]) / 3)
            side = side + tower.gather(number, weights, parts[2])
        x = tower.ordinary(number, x)
    assert side is not None
    return tower.finish(side)


def places_of(table: Tensor, grid: tuple[int, int], method: str) -> Tensor:
    """Return the position embeddings of a grid, resized as a method does."""
    trained = math.isqrt(len(table) - 1)
    if grid == (trained, trained):
        return table
    plane = table[1:].T.view(1, -1, trained, trained)
    ways: dict[str, Any] = {"maskclip": {"size": grid}, "gem": {"size": grid, "antialias": True}}
    steps = [(side + 0.1) / trained for side in grid]
    resized = torch.nn.functional.interpolate(
        plane, mode="bicubic", **ways.get(method, {"scale_factor": steps})
    )
    return torch.cat([table[:1], resized[0].flatten(1).T])


def inner_chain(stages: Sequence[Stage]) -> list[Stage]:
    """Return a recipe's stages from the one that runs the network to the one that attends."""
    for stage in stages:
        if isinstance(stage, Wrapper) and (found := inner_chain(stage.inner)):
            return found
    addresses = [stage.address for stage in stages]
    return (
        list(stages[addresses.index("hidden") : addresses.index("attend") + 1])
        if "hidden" in addresses
        else []
    )


@pytest.fixture(scope="module")
def recording(parity_dir: Path) -> Recording:
    return Recording(parity_dir / "itaclip")


@pytest.fixture(scope="module")
def folder(recording: Recording, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(recording.backbone(tmp_path_factory.mktemp("model")).weights)


@pytest.mark.parametrize("case", ["square", "nonsquare"])
@pytest.mark.parametrize("method", RECIPES)
def test_the_recipes_last_blocks(
    recording: Recording, folder: Path, method: str, case: str
) -> None:
    recipe = load_recipe(method)
    settings = recipe.models["backbone"].model_dump(exclude=FULL)
    backbone = Clip(weights=str(folder), **settings)
    image = recording.image("encode", f"{case}.image")
    found = patches_of(recipe.stages, backbone, image)
    facts = recording.facts["vision"]
    state = {
        name: tensor.float()
        for name, tensor in load_file(folder / "open_clip_model.safetensors").items()
    }
    tower = Tower(state, facts["heads"], facts["patch_size"])
    if method == "maskclip":
        tower = replace(tower, activation=torch.nn.functional.gelu, epsilon=1e-6)
    colours = ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375])
    if method != "maskclip":
        colours = ([122.7709383, 116.7460125, 104.09373615], [68.5005327, 66.6321579, 70.3231630])
    grid = tuple(side // tower.patch for side in image.size)
    x = tower.enter(
        prepared(image, *colours), places_of(state["visual.positional_embedding"], grid, method)
    )  # type: ignore[arg-type]
    tokens = gem(tower, x) if method == "gem" else one_block(tower, x, grid, method)  # type: ignore[arg-type]
    torch.testing.assert_close(found, tokens[1:], **TOLERANCE)


@pytest.fixture(scope="module")
def own() -> Recording:
    """Return the recording with whose weights the codes were run, whatever --parity-dir says."""
    return Recording(Path(__file__).parent / "itaclip")


@pytest.fixture(scope="module")
def own_folder(own: Recording, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(own.backbone(tmp_path_factory.mktemp("own")).weights)


@pytest.mark.parametrize("name", sorted(load_file(RECORDED)))
def test_what_the_public_codes_return(own: Recording, own_folder: Path, name: str) -> None:
    case, method = name.split(".")
    recipe = load_recipe(method.removesuffix("_residual_and_feed_forward"))
    is_plain = (
        method == "maskclip_residual_and_feed_forward"
    )  # with CLIP's own activation and colours
    settings = {} if is_plain else recipe.models["backbone"].model_dump(exclude=FULL)
    image = own.image("encode", f"{case}.image")
    found = patches_of(recipe.stages, Clip(weights=str(own_folder), **settings), image)
    torch.testing.assert_close(found, load_file(RECORDED)[name], **TOKENS)


@pytest.mark.parametrize("case", ["square", "nonsquare"])
@pytest.mark.parametrize("run", ["logits", "pd", "ks", "ks_pd"])
def test_what_maskclip_makes_of_its_scores(
    own: Recording, own_folder: Path, case: str, run: str
) -> None:
    """The refined recipe's own stages, with the thresholds of the recording, which keep some texts and patches and not others."""
    recipe = load_recipe("maskclip_refined")
    addresses = [stage.address for stage in recipe.stages]
    chain = list(recipe.stages[addresses.index("hidden") : addresses.index("key_smoothing") + 1])
    kept = [stage for stage in chain if KEEPS.get(stage.address, run) in run]
    stages = [
        stage.model_copy(update={"reads": {}, **({"below": 0.9} if stage.address in KEEPS else {})})
        for stage in kept
    ]
    backbone = Clip(weights=str(own_folder), **recipe.models["backbone"].model_dump(exclude=FULL))
    pipeline = Pipeline([TextsAsRecorded(), *stages], {"backbone": backbone}, device="cpu")
    [slots] = pipeline.run_many([own.image("encode", f"{case}.image")], example(Vocabulary))
    torch.testing.assert_close(
        slots["scores"].data, load_file(REFINED)[f"{case}.{run}"], atol=1e-4, rtol=1e-4
    )


KEEPS = {"prompt_denoising": "pd", "key_smoothing": "ks"}


class TextsAsRecorded(Stage, writes="text_features"):
    def run(self, vocabulary: Vocabulary) -> TextFeatures:
        data = Recording(Path(__file__).parent / "itaclip").tensors("forward_feature")["text_voc"]
        return TextFeatures(data, tuple(range(1, len(data) + 1)))


def patches_of(stages: Sequence[Stage], backbone: Clip, image: Image) -> Tensor:
    """Run a recipe's stages from the network to `attend` on a picture as it is."""
    chain = [stage.model_copy(update={"reads": {}}) for stage in inner_chain(stages)]
    [slots] = Pipeline(chain, {"backbone": backbone}, device="cpu").run_many(
        [image], example(Vocabulary)
    )
    patches: Tensor = slots["patch_features"].data.flatten(1).T
    return patches


def prepared(image: Image, mean: Sequence[float], deviation: Sequence[float]) -> Tensor:
    return (image.data * 255 - torch.tensor(mean)[:, None, None]) / torch.tensor(deviation)[
        :, None, None
    ]
