"""The image encoder and its last block against recordings of ITACLIP's released code; every number
comes from the recording.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import torch
from floor import Twice, check_alike
from itaclip_set import Recording, pictures
from sets import find

from ovsskit.backbones.clip import _vision as vision
from ovsskit.backbones.clip.clip import Clip
from ovsskit.engine.values import Attention, Image
from ovsskit.engine.values import Hidden as Tokens
from ovsskit.stages.attention.attend import Attend
from ovsskit.stages.attention.merge_layers import MergeLayers
from ovsskit.stages.attention.self_attention import SelfAttention
from ovsskit.stages.attention.self_similarity import SelfSimilarity
from ovsskit.stages.maps.text_similarity import TextSimilarity
from ovsskit.stages.network.encode_hidden import EncodeHidden

SELF = ("query_query", "key_key")


@dataclass
class Encoded:
    """Hold what our stages make of one recorded picture."""

    backbone: Clip
    image: Image
    middle: tuple[int, ...]

    @cached_property
    def hidden(self) -> Tokens:
        return EncodeHidden(layers=(*self.middle, -1)).run(self.image, self.backbone)

    def maps(self, *terms: Any) -> Attention:
        """Return the attention of the middle blocks and of the last."""
        compare = SelfSimilarity(of=terms, layers=(*self.middle, -1))
        return SelfAttention().run(compare.run(self.hidden, self.backbone))

    def merged(self, *terms: Any) -> Attention:
        return MergeLayers(weight=0.5).run(self.maps(*terms))

    def tokens(self, *terms: Any) -> torch.Tensor:
        return self.backbone.finish_tokens(
            self.hidden, self.merged(*terms), residual=True, feed_forward=False
        )


@pytest.fixture(scope="module")
def recording(parity_dir: Path) -> Recording:
    return Recording(find(parity_dir, "itaclip"))


@pytest.fixture(scope="module")
def encoded(
    recording: Recording, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Twice]:
    scratch = tmp_path_factory.mktemp("model")

    def encode(case: str) -> Twice:
        return Twice.of(lambda: run(recording, recording.backbone(scratch), case))

    return encode


def run(recording: Recording, backbone: Clip, case: str) -> dict[str, torch.Tensor]:
    """Return everything that may be recorded of a picture, under its name."""
    own = Encoded(
        backbone,
        recording.image("encode", f"{case}.image"),
        tuple(recording.facts["vision"]["intermediate_layers_1based"]),
    )
    recorded, visual = recording.tensors("encode"), backbone.visual
    corner = recorded[f"{case}.normalised_corner"].shape
    maps, merged = own.maps(*SELF).data, own.merged(*SELF)
    patches = Attend(residual=True, feed_forward=False).run(own.hidden, merged, backbone)
    texts = recording.facts["cases"]["forward_feature"]["text"]
    labels = range(len(recording.tensors("forward_feature")[texts]))
    similar = TextSimilarity().run(patches, recording.texts(texts, labels)).data
    large = torch.nn.functional.interpolate(similar[None], own.image.size, mode="bilinear")
    step = recording.facts["subsample"]
    found = {
        "normalised_corner": backbone.pixels(own.image)[None, :, : corner[2], : corner[3]],
        "pos_embed": vision.place_embeddings(
            visual.positional_embedding, visual.grid_size, own.hidden.grid, "scale"
        )[None],
        "attn_intermediate_mean": maps[:-1].mean(0),
        "attn_final": maps[-1],
        "attn_combined": merged.data[0],
        "tokens": own.tokens(*SELF)[None],
        "tokens_attn_self_off": own.tokens("query_key")[None],
        f"logits_eng_off_sub{step}": large[..., ::step, ::step],
    }
    if f"{case}.attn_combined_rows" in recorded:
        rows = recorded[f"{case}.attn_combined_rows"].shape[1]
        apart = -(-merged.data.shape[-1] // rows)
        found["attn_combined_rows"] = merged.data[0, :, ::apart]
    return {f"{case}.{name}": one for name, one in found.items()}


def test_every_tensor_of_the_pictures(
    recording: Recording, encoded: Callable[[str], Twice]
) -> None:
    theirs = recording.tensors("encode") | recording.tensors("forward_feature")
    compared = defaultdict[str, list[tuple[Twice, torch.Tensor, str]]](list)
    for case in pictures(recording.facts["cases"]["encode"]):
        ours = encoded(case)
        assert {f"{case}.tokens", f"{case}.tokens_attn_self_off"} <= theirs.keys()
        for name in ours.single.keys() & theirs.keys():
            made = ours.map(lambda run, name=name: run[name])
            compared[name.removeprefix(f"{case}.")].append((made, theirs[name], name))
    assert compared
    for alike in compared.values():
        check_alike(alike)
