"""The image encoder and its last block against recordings of ITACLIP's released code; every number comes from the recording."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import torch
from itaclip_set import LOGITS, TOKENS, Recording

from ovsskit.backbones import _clip_vision as vision
from ovsskit.backbones.clip import Clip
from ovsskit.stages.attention.attend import Attend
from ovsskit.stages.attention.merge_layers import MergeLayers
from ovsskit.stages.attention.self_attention import SelfAttention
from ovsskit.stages.attention.self_similarity import SelfSimilarity
from ovsskit.stages.maps.text_similarity import TextSimilarity
from ovsskit.stages.network.hidden import Hidden
from ovsskit.values import Attention, Image, TextFeatures
from ovsskit.values import Hidden as Tokens

close = torch.testing.assert_close
CASES = ("square", "nonsquare")


@dataclass
class Encoded:
    """Hold what our stages make of one recorded picture."""

    backbone: Clip
    image: Image
    middle: tuple[int, ...]

    @cached_property
    def hidden(self) -> Tokens:
        return Hidden(layers=(*self.middle, -1)).run(self.image, self.backbone)

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
    return Recording(parity_dir / "itaclip")


@pytest.fixture(scope="module")
def backbone(recording: Recording, tmp_path_factory: pytest.TempPathFactory) -> Clip:
    return recording.backbone(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def encoded(recording: Recording, backbone: Clip) -> dict[str, Encoded]:
    middle = tuple(recording.facts["vision"]["intermediate_layers_1based"])
    return {
        name: Encoded(backbone, recording.image("encode", f"{name}.image"), middle)
        for name in CASES
    }


@pytest.mark.parametrize("case", CASES)
def test_the_prepared_picture(recording: Recording, encoded: dict[str, Encoded], case: str) -> None:
    corner = recording.tensors("encode")[f"{case}.normalised_corner"][0]
    close(
        encoded[case].backbone.pixels(encoded[case].image)[:, : corner.shape[1], : corner.shape[2]],
        corner,
        atol=1e-6,
        rtol=0,
    )


def test_resized_position_embeddings(
    recording: Recording, backbone: Clip, encoded: dict[str, Encoded]
) -> None:
    visual = backbone.visual
    resized = vision.place_embeddings(
        visual.positional_embedding, visual.grid_size, encoded["nonsquare"].hidden.grid, "scale"
    )
    close(resized[None], recording.tensors("encode")["nonsquare.pos_embed"], **TOKENS)


def test_attention(recording: Recording, encoded: dict[str, Encoded]) -> None:
    recorded, own = recording.tensors("encode"), encoded["nonsquare"]
    maps = own.maps("query_query", "key_key").data
    close(maps[:-1].mean(0), recorded["nonsquare.attn_intermediate_mean"], **TOKENS)
    close(maps[-1], recorded["nonsquare.attn_final"], **TOKENS)
    close(
        own.merged("query_query", "key_key").data[0], recorded["nonsquare.attn_combined"], **TOKENS
    )
    rows = encoded["square"].merged("query_query", "key_key").data[0, :, ::16]
    close(rows, recorded["square.attn_combined_rows"], **TOKENS)


@pytest.mark.parametrize("case", CASES)
def test_tokens(recording: Recording, encoded: dict[str, Encoded], case: str) -> None:
    recorded = recording.tensors("encode")
    close(
        encoded[case].tokens("query_query", "key_key")[None], recorded[f"{case}.tokens"], **TOKENS
    )
    close(
        encoded[case].tokens("query_key")[None], recorded[f"{case}.tokens_attn_self_off"], **TOKENS
    )


@pytest.mark.parametrize("case", CASES)
def test_logits_of_one_crop(recording: Recording, encoded: dict[str, Encoded], case: str) -> None:
    recorded, own = recording.tensors("forward_feature"), encoded[case]
    texts = TextFeatures(recorded["text_voc"], tuple(recorded["query_idx_voc"].tolist()))
    patches = Attend(residual=True, feed_forward=False).run(
        own.hidden, own.merged("query_query", "key_key"), own.backbone
    )
    maps = TextSimilarity().run(patches, texts)
    assert maps.labels == texts.labels
    step = recording.facts["subsample"]
    full = torch.nn.functional.interpolate(maps.data[None], own.image.size, mode="bilinear")[
        ..., ::step, ::step
    ]
    close(full, recorded[f"{case}.logits_eng_off_sub{step}"], **LOGITS)
