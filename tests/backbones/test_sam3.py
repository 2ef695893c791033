"""SAM 3 finds what transformers' own processor and post-processing find, with each image encoded
once.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from sam3_twin import PATCH, SIDE, sam3_twin

from ovsskit._lazy import open_clip
from ovsskit.backbones.sam3 import sam3 as module
from ovsskit.backbones.sam3.sam3 import Sam3
from ovsskit.engine.values import Image, WordMasks
from ovsskit.errors import BadValue, BadWeights
from ovsskit.stages.maps.fuse_words import FuseWords

WORDS = [(1, "dog"), (2, "ice cream"), (2, "a grey-blue necktie"), (3, "grass"), (0, "sky")]
IMAGES = [Image(Image.example(0).data), Image(Image.example(7).data.repeat(1, 1, 2))]


def model() -> Sam3:
    return Sam3(weights=sam3_twin())


def processor() -> Any:
    """Return transformers' own, with CLIP's tokenizer made of open_clip's tables."""
    plain = open_clip.SimpleTokenizer()
    merges = [pair for pair, _ in sorted(plain.bpe_ranks.items(), key=lambda one: one[1])]
    tokenizer = transformers.CLIPTokenizer(
        vocab=plain.encoder,
        merges=merges,
        bos_token="<start_of_text>",
        eos_token="<end_of_text>",
        pad_token="<end_of_text>",
        unk_token="<end_of_text>",
    )
    images = transformers.Sam3ImageProcessor.from_pretrained(sam3_twin())
    return transformers.Sam3Processor(images, tokenizer)


def of_word(found: WordMasks, word: int) -> Any:
    """Return scores times presence, and masks, of a word's things."""
    mine = found.words == word
    return found.scores[mine] * found.presence[word], found.masks[mine]


@pytest.mark.parametrize("image", IMAGES)
def test_it_finds_what_transformers_finds_word_by_word(image: Image) -> None:
    ours, theirs = model(), processor()
    tokens = ours.encode_words(WORDS)
    [every] = ours.ground_words([image], [tokens], 0.0)
    least = float((every.scores * every.presence[every.words]).median())
    [found] = ours.ground_words([image], [tokens], least)
    kept = 0
    for word, (_, text) in enumerate(WORDS):
        inputs = theirs(images=image.pixels.numpy(), text=text, return_tensors="pt")
        with torch.no_grad():
            out = ours.network(**inputs)
        torch.testing.assert_close(found.presence[word], out.presence_logits.sigmoid()[0, 0])
        torch.testing.assert_close(found.dense[word], out.semantic_seg[0, 0], atol=1e-5, rtol=1e-4)
        sizes = [image.size]
        [things] = theirs.post_process_instance_segmentation(out, least, 0.5, sizes)
        scores, masks = of_word(found, word)
        torch.testing.assert_close(scores, things["scores"], atol=1e-6, rtol=1e-5)
        if len(masks):
            large = torch.nn.functional.interpolate(
                masks.sigmoid()[None], image.size, mode="bilinear"
            )
            assert ((large[0] > 0.5).long() == things["masks"]).float().mean() > 0.999
        kept += len(masks)
    assert kept == len(found.masks) == len(every.masks) // 2


def test_fused_by_one_head_scores_are_transformers_by_presence() -> None:
    ours, theirs, image = model(), processor(), IMAGES[1]
    dense = FuseWords(heads="dense", size="masks")
    for label, text in WORDS:
        inputs = theirs(images=image.pixels.numpy(), text=text, return_tensors="pt")
        with torch.no_grad():
            out = ours.network(**inputs)
        [whole] = theirs.post_process_semantic_segmentation(out, return_segmentation_scores=True)
        [found] = ours.ground_words([image], [ours.encode_words([(label, text)])], 0.0)
        expected = whole["segmentation_scores"][0] * out.presence_logits.sigmoid()[0, 0]
        scores = dense.run(found, image)
        torch.testing.assert_close(scores.data[0], expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("at_once", [1, 2, 16])
def test_each_image_is_encoded_once_however_many_words_there_are(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = model()
    tokens, seen, decoded = ours.encode_words(WORDS), [], []
    expected = ours.ground_words(IMAGES, [tokens, tokens], 0.0)
    monkeypatch.setattr(module, "WORDS_AT_ONCE", at_once)
    ours.network.vision_encoder.register_forward_hook(
        lambda _, given, __: seen.append(len(given[0]))
    )
    ours.network.detr_decoder.register_forward_hook(lambda *_: decoded.append(1))
    found = ours.ground_words(IMAGES, [tokens, tokens], 0.0)
    assert seen == [len(IMAGES)]
    assert len(decoded) == len(IMAGES) * -(-len(WORDS) // at_once)
    for one, other in zip(found, expected, strict=True):
        for name in ("presence", "dense", "masks", "scores", "words"):
            torch.testing.assert_close(
                getattr(one, name), getattr(other, name), atol=1e-4, rtol=1e-3
            )


def test_presence_makes_no_masks_and_is_that_of_the_whole_search() -> None:
    ours = model()
    tokens, made = ours.encode_words(WORDS), []
    ours.network.mask_decoder.register_forward_hook(lambda *_: made.append(1))
    found = ours.find_presence(IMAGES, [tokens, tokens], 0)
    assert not made
    for one, masks in zip(found, ours.ground_words(IMAGES, [tokens, tokens], 0.5), strict=True):
        torch.testing.assert_close(one, masks.presence)
    assert made


def test_another_size_is_seen_as_by_a_network_made_for_it() -> None:
    ours, side = model(), SIDE + 2 * PATCH
    tokens = ours.encode_words(WORDS)
    [found] = ours.find_presence(IMAGES[:1], [tokens], side)
    config = transformers.Sam3Config.from_pretrained(sam3_twin())
    config.image_size = side
    other = transformers.Sam3Model.from_pretrained(sam3_twin(), config=config).eval()
    size = {"height": side, "width": side}
    inputs = processor()(
        images=IMAGES[0].pixels.numpy(), text="dog", size=size, return_tensors="pt"
    )
    with torch.no_grad():
        expected = other(**inputs).presence_logits.sigmoid()[0, 0]
    torch.testing.assert_close(found[0], expected)
    [small] = ours.find_presence(IMAGES[:1], [tokens], 0)
    assert not torch.allclose(small, found), "the size does not count"
    with pytest.raises(BadValue, match="not a multiple"):
        ours.find_presence(IMAGES[:1], [tokens], side + 1)


def test_neighbours_are_the_most_alike_words_weighted_by_how_much() -> None:
    ours, words = model(), [(1, "dog"), (2, "big dog"), (3, "ice cream")]
    plain, more = ours.encode_words(words), ours.encode_words(words, 2)
    torch.testing.assert_close(more.data[:, :-2], plain.data)
    assert more.mask[:, -2:].all()
    table = ours.network.text_encoder.get_input_embeddings().weight
    rows = ours.reader.read_all([text for _, text in words])
    means = torch.stack([table[row].mean(0) for row in rows])
    cosines = torch.nn.functional.cosine_similarity(means[0], means[1:], dim=1)
    order = cosines.argsort(descending=True)
    weighted = means[1:][order] * cosines[order].softmax(0)[:, None]
    torch.testing.assert_close(more.data[0, -2:], ours.network.text_projection(weighted).detach())
    with pytest.raises(BadValue, match="3 neighbours"):
        ours.encode_words(words, 3)


def test_hypernyms_follow_as_the_means_of_their_inputs() -> None:
    ours, words = model(), [(1, "dog"), (2, "ice cream"), (3, "sofa")]
    hypernyms = [["canine", "domestic animal"], [], ["seat"]]
    plain, more = ours.encode_words(words, 1), ours.encode_words(words, 1, hypernyms)
    torch.testing.assert_close(more.data[:, :-2], plain.data)
    assert torch.equal(more.mask[:, :-2], plain.mask)
    assert more.mask[:, -2:].tolist() == [[True, True], [False, False], [True, False]]
    table = ours.network.text_encoder.get_input_embeddings().weight
    for word, kinds in enumerate(hypernyms):
        for place, kind in enumerate(kinds):
            [row] = ours.reader.read_all([kind])
            expected = ours.network.text_projection(table[row].mean(0)).detach()
            torch.testing.assert_close(more.data[word, place - 2], expected)
    [found] = ours.find_presence(IMAGES[:1], [more], 0)
    [without] = ours.find_presence(IMAGES[:1], [plain], 0)
    torch.testing.assert_close(found[1], without[1])
    assert (found[[0, 2]] - without[[0, 2]]).abs().min() > 1e-5, "hypernyms do not count"


def test_weights_that_lack_a_tensor_are_refused_and_names_tell_whose_they_are(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(sam3_twin(), folder)
    Sam3(weights=str(folder)).check_weights()
    tensors = load_file(folder / "model.safetensors")
    assert Sam3.recognise(tensors) == "SAM 3"
    assert Sam3.recognise([f"detector_model.{name}" for name in tensors]) == "SAM 3"
    del tensors["detr_decoder.presence_token.weight"]
    assert Sam3.recognise(tensors) == ""
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(BadWeights, match="lack 1 tensors"):
        Sam3(weights=str(folder)).check_weights()


def test_it_is_called_supervised_and_gated() -> None:
    [known] = Sam3.published.values()
    assert "supervised and gated" in known.holds
    assert known.licence == "SAM License"
