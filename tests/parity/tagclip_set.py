"""Read a recording of TagCLIP's and CLIP-ES's released code (`tagclip/README.md`)."""

from __future__ import annotations

import json
import math
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from recording import CaseFiles
from safetensors.torch import load_file
from small_clip import unpacked, write_small_clip

from ovsskit.backbones.clip.clip import Clip
from ovsskit.engine.values import NEGATIVE, TextFeatures, Vocabulary
from ovsskit.recipe.vocabulary import make_vocabulary

Tensor = torch.Tensor


class Recording(CaseFiles):
    """Hold one recording: what was given, and what came of it."""

    @cached_property
    def weights(self) -> dict[str, Tensor]:
        """Return the vision tower's tensors; whole numbers are multiples of 1/256."""
        found = load_file(self.folder / self.facts["weights"]["file"])
        return {name: unpacked(one) for name, one in found.items()}

    def write_clip(self, folder: Path) -> Path:
        """Write the tower as a CLIP of open_clip; its text encoder is empty."""
        return write_small_clip(folder, self.facts["weights"], self.weights)

    def backbone(self, folder: Path, positions: Any) -> Clip:
        """Return the tower, whose table of positions is resized so."""
        return Clip(
            weights=str(folder),
            positions=positions,
            epsilon=self.facts["weights"]["layer_norm_eps"],
        )

    def vocabulary(self, case: str) -> Vocabulary:
        """Return a word for every class of a case, and for every negative."""
        facts = self.facts["cases"][case]
        names = [f"class {number}" for number in range(facts["classes"])]
        negatives = [f"negative {number}" for number in range(facts["negatives"])]
        return make_vocabulary(names, negatives=negatives)

    def texts(self, case: str, which: str) -> TextFeatures:
        """Return the vectors of a case's words for the tagger (`tagger`) or the maps (`cam`)."""
        vectors = self.tensors(case)[f"text.{which}"]
        classes = self.facts["cases"][case]["classes"]
        labels = (*range(1, classes + 1), *[NEGATIVE] * (len(vectors) - classes))
        return TextFeatures(vectors, labels)

    def settings(self, case: str) -> list[str]:
        """Return what a case changes of its recipe's settings."""
        facts, constants = self.facts["cases"][case], self.facts["constants"]
        method, crf = constants["settings"][facts["kind"]], constants["crf"]
        scale = math.exp(self.facts["weights"]["logit_scale"])
        values = {
            "softmax.scale": scale,
            "presence_by_patches.scale": scale,
            "presence_by_patches.layers": [layer + 1 for layer in method["vote_layers"]],
            "presence_by_patches.votes": constants["votes"],
            "presence_by_patches.fraction": method["present_fraction"],
            "explain_queries.scale": scale,
            "spread_by_attention.layers": [layer + 1 for layer in method["cam_layers"]],
            "spread_by_attention.box_at": method["cam_box"],
            "rest_background.when": "always" if method["background"] else "never",
            "dense_crf.steps": crf["steps"],
            "dense_crf.gaussian_sigma": crf["gaussian"]["sxy"],
            "dense_crf.gaussian_weight": crf["gaussian"]["weight"],
            "dense_crf.bilateral_sigma": crf["bilateral"]["sxy"],
            "dense_crf.bilateral_colour_sigma": crf["bilateral"]["srgb"],
            "dense_crf.bilateral_weight": crf["bilateral"]["weight"],
        }
        return [f"{address}={json.dumps(value)}" for address, value in values.items()]
