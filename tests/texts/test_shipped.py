"""The texts that come with the package: complete, short enough for CLIP, and of use."""

from __future__ import annotations

import pytest

from ovsskit._lazy import open_clip
from ovsskit.engine.values import Vocabulary
from ovsskit.recipe.vocabulary import VocabularyTable
from ovsskit.texts.read import key_of, read_toml, shipped_file, texts_of_classes
from ovsskit.texts.templates import sentences

SETS = ("voc21", "context60", "coco_object", "coco_stuff", "cityscapes")
WITH_BACKGROUND = SETS[:3]
KINDS = ("definitions", "synonyms")
LONGEST = {"definitions": 60, "synonyms": 4}


def vocabularies(name: str) -> list[Vocabulary]:
    """Return the classes of a data set, as it names them and as ITACLIP does."""
    tables = [
        VocabularyTable(preset=name),
        VocabularyTable(preset=f"itaclip_{name}", first_is_background=name in WITH_BACKGROUND),
    ]
    return [table.make() for table in tables]


@pytest.mark.parametrize("kind", KINDS)
def test_every_class_has_a_text_and_no_text_is_for_none(kind: str) -> None:
    wanted = {
        key_of(name) for data_set in SETS for one in vocabularies(data_set) for name in one.names
    }
    found = [key_of(line.name) for line in read_toml(shipped_file(kind))]
    assert sorted(found) == sorted(wanted)


@pytest.mark.parametrize("kind", KINDS)
def test_texts_fit_into_clip_inside_every_template(kind: str) -> None:
    tokenizer = open_clip.SimpleTokenizer()
    longest = max(sentences("clip_surgery_85"), key=lambda one: len(tokenizer.encode(one)))
    for line in read_toml(shipped_file(kind)):
        assert len(line.text.split()) <= LONGEST[kind], line.name
        assert len(tokenizer.encode(longest.replace("{}", line.text))) + 2 <= 77, line.name
        assert key_of(line.text) != key_of(line.name)


@pytest.mark.parametrize("data_set", SETS)
@pytest.mark.parametrize("kind", KINDS)
def test_texts_tell_the_classes_of_a_data_set_apart(kind: str, data_set: str) -> None:
    for vocabulary in vocabularies(data_set):
        texts = [key_of(text or "") for text in texts_of_classes(shipped_file(kind), vocabulary)]
        assert len(set(texts)) == len(vocabulary.names), sorted(
            text for text in texts if texts.count(text) > 1
        )
        names = {key_of(name): index for index, name in enumerate(vocabulary.names)}
        assert not [text for index, text in enumerate(texts) if names.get(text, index) != index]
