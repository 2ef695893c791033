from __future__ import annotations

import torch

from ovsskit.engine.values import PatchFeatures, TextFeatures
from ovsskit.stages.maps.text_similarity import TextSimilarity
from ovsskit.testing import example


def test_cosines_with_texts_of_unit_length_and_products_with_shorter_ones() -> None:
    patches, texts = example(PatchFeatures), example(TextFeatures)
    found = TextSimilarity().run(patches, texts)
    assert found.labels == texts.labels
    for index, text in enumerate(texts.data):
        cosine = torch.cosine_similarity(patches.data, text[:, None, None], dim=0)
        torch.testing.assert_close(found.data[index], cosine, atol=1e-6, rtol=1e-5)
    shorter = TextFeatures(texts.data * 0.5, texts.labels)
    torch.testing.assert_close(TextSimilarity().run(patches, shorter).data, found.data * 0.5)
