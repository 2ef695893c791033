from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

import ovsskit
from ovsskit.engine.values import NEGATIVE, Image
from ovsskit.errors import BadClasses, BadFile, Problems
from ovsskit.recipe.build import load_recipe
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.run.pipeline import Pipeline
from ovsskit.run.samples import sample_images
from ovsskit.stages.text.encode_text import EncodeText
from ovsskit.testing import ToyBackbone, example
from ovsskit.texts.templates import encode_words, sentences

WORDS = make_vocabulary(["cat, kitten", "dog"], background_words=["sky", "wall"])
TOY = ToyBackbone()


def unit(vector: torch.Tensor) -> torch.Tensor:
    return vector / vector.norm()


def expected(texts: list[str], templates: list[str]) -> torch.Tensor:
    """Return the vectors one text and one template at a time."""
    means = []
    for text in texts:
        vectors = [unit(TOY.encode_text([template.format(text)])[0]) for template in templates]
        means.append(unit(sum(vectors[1:], vectors[0]) / len(vectors)))
    return torch.stack(means)


def test_words_and_sentences_are_encoded_and_averaged_at_length_one() -> None:
    templates = ("a photo of a {}.", "art of the {}.", "{}")
    found = EncodeText(templates=templates).run(WORDS, TOY)
    assert found.labels == (0, 0, 1, 1, 2)
    torch.testing.assert_close(
        found.data, expected(["sky", "wall", "cat", "kitten", "dog"], list(templates))
    )


def test_sentences_may_count_by_the_lengths_of_their_vectors() -> None:
    """The mean alone is made unit, as in TCL; the toy's vectors have lengths of their own."""
    templates = ("a photo of a {}.", "art of the {}.", "{}")
    found = EncodeText(templates=templates, lengths="kept").run(make_vocabulary(["cat"]), TOY)
    vectors = TOY.encode_text([template.format("cat") for template in templates])
    torch.testing.assert_close(found.data, unit(vectors.sum(0))[None])
    plain = EncodeText(templates=templates).run(make_vocabulary(["cat"]), TOY)
    assert not torch.allclose(found.data, plain.data, atol=1e-4)


def test_sentences_may_stay_apart() -> None:
    templates = ("a photo of a {}.", "{}")
    words = make_vocabulary(["cat", "dog"], negatives=["wall"])
    found = EncodeText(templates=templates, merge="apart").run(words, TOY)
    assert found.labels == (1, 1, 2, 2, NEGATIVE, NEGATIVE)
    texts = [one.replace("{}", word) for word in ("cat", "dog", "wall") for one in templates]
    torch.testing.assert_close(found.data, expected(texts, ["{}"]))


def test_negatives_may_have_sentences_of_their_own() -> None:
    words = make_vocabulary(["cat", "dog"], negatives=["wall", "sky"])
    stage = EncodeText(
        templates=("{}", "the {}"), merge="apart", sentences_of_negatives=("an origami {}.",)
    )
    found = stage.run(words, TOY)
    assert found.labels == (1, 1, 2, 2, NEGATIVE, NEGATIVE)
    texts = ["cat", "the cat", "dog", "the dog", "an origami wall.", "an origami sky."]
    torch.testing.assert_close(found.data, expected(texts, ["{}"]))


def test_names_alone() -> None:
    found = EncodeText(templates="name", words="first").run(WORDS, TOY)
    assert found.labels == (0, 0, 1, 2)
    torch.testing.assert_close(found.data, expected(["sky", "wall", "cat", "dog"], ["{}"]))


@pytest.mark.parametrize(
    ("fields", "texts", "labels"),
    [
        ({"word_of": {"cat": "kitten"}}, ["sky", "wall", "kitten", "dog"], (0, 0, 1, 2)),
        ({"word_of": {"cat": "first"}}, ["sky", "wall", "cat", "dog"], (0, 0, 1, 2)),
        ({"words": "joined"}, ["sky", "wall", "cat, kitten", "dog"], (0, 0, 1, 2)),
        (
            {"word_of": {"cat": "all", "dog": "puppy"}, "words": "first"},
            ["sky", "wall", "cat", "kitten", "puppy"],
            (0, 0, 1, 1, 2),
        ),
    ],
)
def test_one_word_for_a_class(fields: Any, texts: list[str], labels: tuple[int, ...]) -> None:
    found = EncodeText(templates="name", **fields).run(WORDS, TOY)
    assert found.labels == labels
    torch.testing.assert_close(found.data, expected(texts, ["{}"]))


def test_a_class_has_sentences_of_its_own() -> None:
    own = {"cat": ("the {}.", "a {}?"), "dog": "simple"}
    found = EncodeText(templates="name", sentences_of=own).run(WORDS, TOY)
    assert found.labels == (0, 0, 1, 1, 2)
    parts = [
        expected(["sky", "wall"], ["{}"]),
        expected(["cat", "kitten"], ["the {}.", "a {}?"]),
        expected(["dog"], ["a photo of a {}."]),
    ]
    torch.testing.assert_close(found.data, torch.cat(parts))


def test_rows_stand_in_the_order_of_words_whoever_shares_sentences() -> None:
    vocabulary = make_vocabulary(["cat", "dog", "cow"])
    found = EncodeText(templates="name", sentences_of={"dog": "simple"}).run(vocabulary, TOY)
    rows = [expected(["cat"], ["{}"]), expected(["dog"], ["a photo of a {}."])]
    torch.testing.assert_close(found.data, torch.cat([*rows, expected(["cow"], ["{}"])]))


def test_one_word_in_sentences_of_its_own() -> None:
    fields: Any = {"word_of": {"cat": "kitten"}, "sentences_of": {"cat": ("my {}",)}}
    found = EncodeText(templates="name", **fields).run(WORDS, TOY)
    assert found.labels == (0, 0, 1, 2)
    parts = [expected(["sky", "wall"], ["{}"]), expected(["kitten"], ["my {}"])]
    torch.testing.assert_close(found.data, torch.cat([*parts, expected(["dog"], ["{}"])]))


def test_without_sentences_of_its_own_no_bit_changes() -> None:
    same = EncodeText(templates="simple", sentences_of={"cat": "simple"})
    assert same == EncodeText(templates="simple")
    assert torch.equal(
        same.run(WORDS, TOY).data,
        encode_words(["sky", "wall", "cat", "kitten", "dog"], ["a photo of a {}."], TOY),
    )


def test_sentences_of_a_class_are_set_and_checked() -> None:
    recipe = load_recipe(
        "clip_baseline_tiny", 'encode_text.sentences_of.ice cream=["a {}.", "the {}."]'
    )
    [stage] = [one for one in recipe.plan.stages if isinstance(one, EncodeText)]
    assert stage.sentences_of == {"ice cream": ("a {}.", "the {}.")}
    for wrong in ('["a photo"]', "[]", '"imagenet"'):
        with pytest.raises(Problems, match=r"list of text with \{\} for the name"):
            load_recipe("clip_baseline_tiny", f"encode_text.sentences_of.dog={wrong}")
    with pytest.raises(BadClasses, match="`dgo`, which is not one of the classes"):
        ovsskit.load("clip_baseline_tiny", "encode_text.sentences_of.dgo=simple", device="cpu")(
            str(sample_images()[0])
        )


def test_the_known_sentences() -> None:
    # The digest is of OpenAI's list, as recorded with its users.
    digest = "4f976686fb651bb5803d4689dcd849f75efe0ef19a3c801355bc9a6f03c8a5af"
    assert hashlib.sha256("\n".join(sentences("imagenet_80")).encode()).hexdigest() == digest
    assert sentences("clip_surgery_85") == sentences("imagenet_80") + sentences("scene_5")
    assert sentences("simple") == ("a photo of a {}.",)


def test_sentences_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("a {} at night.\n\n{}\n", encoding="utf-8")
    found = EncodeText(templates_file=str(tmp_path / "mine.txt")).run(WORDS, TOY)
    torch.testing.assert_close(
        found.data, expected(["sky", "wall", "cat", "kitten", "dog"], ["a {} at night.", "{}"])
    )


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("a {}\nno place", 2, "no place for the name"),
        ("\n", 0, "is empty"),
        (None, 0, "No such file"),
    ],
)
def test_a_bad_file_of_sentences_is_named(
    tmp_path: Path, text: str | None, line: int, what: str
) -> None:
    path = tmp_path / "mine.txt"
    if text is not None:
        path.write_text(text)
    with pytest.raises(BadFile, match=what) as caught:
        EncodeText(templates_file=str(path)).run(WORDS, TOY)
    assert str(caught.value).startswith(f"{path}{f':{line}' * bool(line)}  OV304")


def test_a_sentence_without_a_place_for_the_name_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ValidationError):
        EncodeText(templates=("a photo",))
    recipe = tmp_path / "mine.toml"
    recipe.write_text(
        '[backbone]\nuse = "blip_itm"\nweights = "embedded"\n[[stage]]\n'
        'use = "encode_text"\ntemplates = ["a photo"]\n'
    )
    with pytest.raises(Problems, match=r"list of text with \{\} for the name"):
        load_recipe(recipe)


def test_texts_are_encoded_once_for_all_images(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    encode = ToyBackbone.encode_text
    monkeypatch.setattr(
        ToyBackbone,
        "encode_text",
        lambda self, texts: calls.append(len(texts)) or encode(self, texts),
    )
    pipeline = Pipeline.of(
        [EncodeText()], {"backbone": ToyBackbone()}, WORDS, device="cpu", batch=2
    )
    for seed in range(3):
        pipeline.run_many([example(Image, seed), example(Image, seed + 1)], WORDS)
    assert calls == [5 * 80]


def test_negatives_come_last_and_may_be_others_than_the_vocabulary_s() -> None:
    words = make_vocabulary(["cat", "dog"], negatives=["wall", "sea"])
    plain = EncodeText(templates="name").run(words, TOY)
    assert plain.labels == (1, 2, NEGATIVE, NEGATIVE)
    torch.testing.assert_close(plain.data, expected(["cat", "dog", "wall", "sea"], ["{}"]))
    other = EncodeText(templates="name", negatives=("road",)).run(words, TOY)
    assert other.labels == (1, 2, NEGATIVE)
    torch.testing.assert_close(other.data, expected(["cat", "dog", "road"], ["{}"]))
    assert EncodeText(negatives=()).run(words, TOY).labels == (1, 2)
