"""Read recordings of the dense-CLIP family: a folder for each method, whose `case.json` says what
is in it.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import PrivateAttr
from safetensors.torch import load_file, save_file

from ovsskit.backbones.clip._weights import build_network
from ovsskit.backbones.clip.clip import Clip
from ovsskit.backbones.dino.dino import Dino
from ovsskit.engine.model import PretrainedBackbone
from ovsskit.engine.stage import walk
from ovsskit.engine.values import Image, Vocabulary
from ovsskit.recipe.build import Recipe, load_recipe
from ovsskit.recipe.vocabulary import make_vocabulary

Tensor = torch.Tensor
W = TypeVar("W", bound="RecordedWords")
OWN = Path(__file__).parent
METHODS = ("sclip", "naclip", "clearclip", "maskclip", "gem", "proxyclip", "sc_clip", "resclip")
"""What recipes compute; folders of other methods are passed over."""
SETTINGS = {
    "logit_scale": "softmax.scale",
    "prob_thd": "label_map.background_below",
    "background_threshold": "label_map.background_below",
    "area_thd": "drop_small_areas.fraction",
    "crop": "sliding_window.window",
    "stride": "sliding_window.stride",
    "pamr_steps": "pamr.steps",
    "pamr_dilations": "pamr.dilations",
    "ks_thresh": "key_smoothing.below",
    "pd_thresh": "prompt_denoising.below",
    "short_side": "resize_image.short_side",
    "longer_side": "resize_image.longer_side",
    "side": "square_image.side",
    "beta": "sharpen_affinity.shift",
    "gamma": "sharpen_affinity.scale",
    "temp_thd": "layout_similarity.unsure_below",
    "tau_r": "mix_attention.scale",
    "l_r": "mix_attention.weight",
    "tau_s": "mix_similarity.scale",
    "l_s": "mix_similarity.weight",
}
"""From a run's settings to the parameters of recipes."""
ALSO = {
    "logit_scale": "first_softmax.scale",
    "tau_r": "first_mixture.scale",
    "l_r": "first_mixture.weight",
}
"""Parameters of a recipe that two stages share."""
PAIRS = {"attn_rcs_weights": ("tau_r", "l_r"), "attn_sfr_weights": ("tau_s", "l_s")}
"""Settings that a code writes as one."""
SYNONYMS = {
    "slide_crop": "crop",
    "slide_stride": "stride",
    "pamr_stride": "pamr_dilations",
    "threshold": "background_threshold",
    "ori_shape": "original_shape",
}
OPTIONAL = {"area_thd": 0, "pamr_steps": 0, "ks_thresh": 0, "pd_thresh": 0}
"""Settings whose stage is only there if they are above this."""
FULL = {"weights", "model", "revision", "precision"}
"""Fields of a recipe's backbone that say where the weights are; the others are how the method
changes it.
"""
ENCODED = (
    *("tokens", "key_map", "tokens_correct_split", "attention_rows", "attention_output"),
    *("lof_scores", "outlier_indices", "attn_out_1", "attn_out_2", "mid_similarity_rows"),
)
"""What the network alone gives, by the names under which it is recorded."""
VARIANTS = {
    "vanilla": ("clearclip", {"self_similarity.of": ["query_key"]}),
    "SCLIP": ("clearclip", {"self_similarity.of": ["query_query", "key_key"]}),
    "ClearCLIP": ("clearclip", {}),
    "MaskCLIP": ("maskclip_reduced", {}),
}
"""Model types of ClearCLIP's code."""


@dataclass(frozen=True)
class Run:
    """Hold what a run of a method was given; settings have one name each."""

    name: str
    facts: dict[str, Any]

    @property
    def shape(self) -> tuple[int, int]:
        height, width, *_ = self.facts["original_shape"]
        return height, width

    @property
    def classes(self) -> list[int]:
        """Return the class of every query."""
        queries = range(self.facts.get("queries", self.facts.get("classes", 0)))
        found: list[int] = self.facts.get("query_idx") or list(queries)
        return found

    @property
    def has_background(self) -> bool:
        """Tell whether class 0 is the background."""
        thresholds = (self.facts.get(key) or 0 for key in ("prob_thd", "area_thd"))
        return self.classes.count(0) > 1 or any(thresholds)

    @property
    def vocabulary(self) -> Vocabulary:
        """Return a word for every query, those of a class on one line."""
        lines = [
            [word_of(query) for query, mine in enumerate(self.classes) if mine == one]
            for one in range(max(self.classes) + 1)
        ]
        return make_vocabulary(
            [", ".join(line) for line in lines], first_is_background=self.has_background
        )

    def classes_of(self, labels: Tensor) -> Tensor:
        """Return the recorded code's numbers for ours, which leave 0 to the background."""
        is_ours = self.has_background or "background_threshold" in self.facts
        return labels if is_ours else labels - 1


@dataclass
class Method:
    """Hold one method's folder."""

    folder: Path
    files: dict[str, dict[str, Tensor]] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.folder.name

    @cached_property
    def facts(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "case.json").read_text())
        return found

    @cached_property
    def runs(self) -> dict[str, Run]:
        return {
            name: Run(name, dict(apart(run))) for name, run in self.facts.get("runs", {}).items()
        }

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        """Return everything recorded in the folder, by name."""
        found: dict[str, Tensor] = {}
        for file in sorted(self.folder.glob("*.safetensors")):
            found |= load_file(file)
        return found

    @property
    def floors(self) -> Mapping[str, float]:
        """Return how far each tensor lies from a run in double precision."""
        found: Mapping[str, float] = self.facts.get("max_difference_to_float64_run", {})
        return found

    def floor_of(self, name: str) -> float:
        """Return how far a tensor may lie from a run in double precision.

        As a share of the largest value it is one for all images and runs in which a tensor of this
        name is recorded: that of a single one may be small by chance.
        """
        last = last_of(name)
        shares = [
            floor / float(self.tensors[one].abs().max())
            for one, floor in self.floors.items()
            if last_of(one) == last and one in self.tensors and floor
        ]
        return max(shares, default=0.0) * float(self.tensors[name].abs().max())

    def recorded(self, run: str) -> dict[str, Tensor]:
        """Return what is recorded of a run, without its name in front."""
        others = [f"{name}." for name in self.runs if name.startswith(f"{run}.")]
        return {
            name.removeprefix(f"{run}."): value
            for name, value in self.tensors.items()
            if name.startswith(f"{run}.") and not name.startswith(tuple(others))
        }

    def image(self, name: str) -> Image:
        """Return an image: of the file that `case.json` names, or one that lies among
        the tensors.
        """
        images = dict(self.tensors)
        name = self.facts.get("encoder", {}).get(name, {}).get("image", name)
        for file in files_in(self.facts.get("images", "")):
            images |= load_file(self.find(file))
        keys = (name, f"image.{name}", f"{name}.image", name.split("_")[0])
        found = next(images[key] for key in keys if key in images)
        return Image(found.permute(2, 0, 1).float() / 255, name)

    def text(self, run: Run) -> Tensor:
        """Return a vector for every query of a run."""
        if "text" in run.facts:
            return self.tensors[run.facts["text"]]
        ending = f"_{len(run.classes)}"
        source = run.facts.get("image", "")
        [found] = [
            value
            for name, value in self.tensors.items()
            if name in (f"text_{source}{ending}", f"{run.name}.text", f"text_{run.name}")
        ]
        return found

    def find(self, file: str) -> Path:
        """Return where a file lies: here, above, or in this project; weights are told by their
        digest.
        """
        digest = self.facts.get("weights_sha256", {}).get(Path(file).name)
        above = (self.folder, self.folder.parent, self.folder.parent.parent, OWN)
        for path in (folder / file for folder in above):
            if path.is_file() and digest in (None, hashlib.sha256(path.read_bytes()).hexdigest()):
                return path
        raise FileNotFoundError(f"{file} of {self.folder}")

    def weights(self) -> dict[str, Tensor]:
        """Return the vision tower's tensors, by open_clip's names."""
        found: dict[str, Tensor] = {}
        for file in files_in(self.facts["weights"]):
            found |= load_file(self.find(file))
        return {
            f"visual.{name.removeprefix('visual.')}": one.float() for name, one in found.items()
        }

    def recipe(self, run: Run, folder: Path) -> Recipe:
        """Return the recipe that a run names, as it is shipped; else the method's with the run's
        settings.
        """
        if "recipe" in run.facts:
            return load_recipe(run.facts["recipe"])
        return write_recipe(folder, *self.adapt(run))

    def adapt(self, run: Run) -> tuple[str, dict[str, Any], list[str], str]:
        """Return which recipe to extend, what to set, what to remove and what to add, so that it
        has a run's settings.
        """
        base = {"maskclip": "maskclip_refined"}.get(str(self), str(self))
        removed = {
            SETTINGS[key].split(".")[0]
            for key, least in OPTIONAL.items()
            if (run.facts.get(key) or 0) <= least
        }
        if run.facts.get("model_type") == "MaskCLIP":
            base = "maskclip_reduced"
        there = {stage.address for stage in walk(load_recipe(base).plan.stages)}
        values = {
            SETTINGS[key]: value
            for key, value in run.facts.items()
            if key in SETTINGS and SETTINGS[key].split(".")[0] in there - removed
        }
        values |= {
            ALSO[key]: value
            for key, value in run.facts.items()
            if key in ALSO and ALSO[key].split(".")[0] in there
        }
        background = '[[stage]]\nuse = "softmax"\nafter = "min_max"\n'
        added = background if str(self) == "gem" and "background_threshold" in run.facts else ""
        return base, values, sorted(removed & there), added

    def encoder_recipe(self, what: str, folder: Path) -> Recipe | None:
        """Return the recipe for tokens that are recorded under this name, or None for an unknown
        name.
        """
        base, values = str(self), dict[str, Any]()
        if found := re.fullmatch(r"variant\.(\w+)\.(no_residual_no_ffn|residual_and_ffn)", what):
            base, values = VARIANTS[found[1]]
            keeps = found[2] == "residual_and_ffn"
            values = {**values, "attend.residual": keeps, "attend.feed_forward": keeps}
        elif found := re.fullmatch(r"tokens\.depth(\d+)(?:_iter(\d+))?(?:_temp([\d.]+))?", what):
            values["self_similarity.layers"] = list(range(1 - int(found[1]), 0))
            values["self_similarity.iterations"] = int(found[2] or 1)
            if found[3]:
                values["self_similarity.scale"] = float(found[3])
        elif what == "tokens_quick_gelu_eps1e-5":
            values = {"backbone.activation": "quick_gelu", "backbone.epsilon": 1e-5}
        elif what == "tokens.clearclip_repo.no_residual":
            values = {"self_similarity.layers": [-1], "attend.residual": False}
        elif what == "tokens_original_path":
            base, values = "clip_baseline", {"backbone.positions": "size_antialias"}
        elif what not in ENCODED:
            return None
        return write_recipe(folder, base, values)

    def guide(self, folder: Path) -> Dino | None:
        """Return the recorded guide, if there is one: a small DINO."""
        if "guide" not in self.facts:
            return None
        facts = self.facts["guide"]
        folder.mkdir(exist_ok=True)
        shutil.copy(self.find(facts["weights"]), folder / "model.safetensors")
        (folder / "config.json").write_text(json.dumps({"num_attention_heads": facts["heads"]}))
        return SeenThroughClip(weights=str(folder))


ROUNDED = ((122.771, 116.746, 104.094), (68.501, 66.632, 70.323))
EXACT = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
"""Mean and deviation of CLIP's colours as ProxyCLIP's code puts them in, and takes them out."""


class SeenThroughClip(Dino):
    """See images as ProxyCLIP's code hands them on: what it takes out is not quite what it put in.

    That moves colours by up to 3e-6, which lets similarities next to the threshold fall to its
    other side.
    """

    def pixels(self, image: Image) -> Tensor:
        """Return the pixels of what is left of an image."""
        (mean, deviation), (middle, spread) = (
            [torch.tensor(one)[:, None, None] for one in pair] for pair in (ROUNDED, EXACT)
        )
        return super().pixels(Image((image.data * 255 - mean) / deviation * spread + middle))


class RecordedWords(PretrainedBackbone):
    """Have a recorded vector for every word, in place of a text encoder."""

    _words: dict[str, Tensor] = PrivateAttr(default_factory=dict)

    def with_words(self: W, vectors: Tensor) -> W:
        """Return a model that knows these words."""
        tower = self.model_copy()
        tower._words = {word_of(query): vector for query, vector in enumerate(vectors)}
        return tower

    @cached_property
    def digest(self) -> str:
        """Return a digest of the words' vectors, under which those of the texts are kept."""
        vectors = torch.stack([*self._words.values()])
        return hashlib.sha256(self.weights.encode() + vectors.numpy().tobytes()).hexdigest()

    def encode_text(self, texts: Iterable[str]) -> Tensor:
        """Return the vector of the word that is in each sentence."""
        return torch.stack([self._words[re.findall(r"word\d{3}", text)[0]] for text in texts])


def apart(run: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the settings of a run by one name each."""
    for key, value in run.items():
        if key in PAIRS:
            yield from zip(PAIRS[key], value, strict=True)
        else:
            yield SYNONYMS.get(key, key), value


class Tower(RecordedWords, Clip):  # type: ignore[misc]
    """Be the small tower: it encodes patches by its weights, and has a recorded vector for every
    word.
    """


def word_of(query: int) -> str:
    """Return the word that stands for a query."""
    return f"word{query:03}"


def files_in(text: str) -> list[str]:
    """Return the files of tensors that a sentence of `case.json` names."""
    return re.findall(r"[\w./-]+\.safetensors", text)


def write_recipe(
    folder: Path,
    base: str,
    values: Mapping[str, Any],
    removed: Iterable[str] = (),
    added: str = "",
) -> Recipe:
    """Write a recipe that extends a shipped one, and read it."""
    lines = [f'extends = "{base}.toml"', f"remove = {json.dumps(list(removed))}", "[set]"]
    lines += [f'"{address}" = {json.dumps(value)}' for address, value in values.items()]
    file = folder / "changed.toml"
    file.write_text("\n".join([*lines, added]))
    return load_recipe(file)


def write_tower(method: Method, folder: Path) -> Path:
    """Write a method's tower as a CLIP of open_clip; its text encoder is empty."""
    facts = method.facts["vision"]
    vision = {
        "image_size": facts["input_resolution"],
        "layers": facts["layers"],
        "width": facts["width"],
        "head_width": facts["width"] // facts["heads"],
        "patch_size": facts["patch_size"],
        "mlp_ratio": facts["mlp_ratio"],
    }
    text = {"vocab_size": 8, "context_length": 8, "width": 64, "heads": 1, "layers": 1}
    config = {"embed_dim": facts["embed_dim"], "vision_cfg": vision, "text_cfg": text}
    config["quick_gelu"] = True
    state = {
        name: torch.zeros(tensor.shape)
        for name, tensor in build_network(config, "fp32", device="meta").state_dict().items()
    }
    weights = method.weights()
    assert weights.keys() == {name for name in state if name.startswith("visual.")}
    folder.mkdir()
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config}))
    save_file({**state, **weights}, folder / "open_clip_model.safetensors")
    return folder


@cache
def methods_in(folder: Path) -> tuple[Method, ...]:
    """Return the methods that are recorded in a folder."""
    return tuple(Method(file.parent) for file in sorted(folder.glob("*/case.json")))


def last_of(name: str) -> str:
    """Return what is recorded, without the image, the run, and how it was thinned."""
    return re.sub(r"_(step|sub)\d+$", "", name.rpartition(".")[2])
