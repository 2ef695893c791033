from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ovsskit.backbones.clip.clip import Clip
from ovsskit.engine.model import Backbone
from ovsskit.engine.readable import Reading
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.words.candidates import Candidates, gather, keep_apart
from ovsskit.words.text_space import TextSpace


class Reader(Backbone):
    """Read letters without their accents, and know no word with a `q`."""

    def read_word(self, word: str) -> Reading:
        plain = word.casefold().replace("é", "e")
        return Reading(tuple(map(ord, plain)), unknown=plain.count("q"))


def listed(tmp_path: Path, *words: str) -> Path:
    path = tmp_path / "distractors.txt"
    path.write_text("\n".join(words))
    return path


def test_given_words_come_before_shipped_ones(tmp_path: Path) -> None:
    vocabulary = make_vocabulary(["cat", "cow", "dog, puppy", "zebra"])
    given = {"cat": {"kitten": "a:1"}}
    found = gather(vocabulary, given, listed(tmp_path, "sky", "Cow", "tréé", "tree"), [Reader()])
    assert found.synonyms == (
        {"kitten": "a:1"},
        {"cattle": "shipped"},
        {},
        {"striped wild horse": "shipped"},
    )
    assert found.distractors == ("sky", "tréé")


def test_words_that_mean_something_already_are_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    vocabulary = make_vocabulary(["bus", "car", "train"], background_words=["sky"])
    given = {"car": {"Bus": "a:1", "café": "a:1"}, "train": {"cafe": "a:2", "sky": "a:2"}}
    words = listed(tmp_path, "sky, quay", "café", "grass", "qu")
    found = gather(vocabulary, given, words, [Reader()])
    assert found.synonyms[1:] == ({"café": "a:1"}, {})
    assert found.distractors == ("grass",)
    assert "not tried as synonyms, since they are already in use: Bus, cafe, sky" in caplog.text
    assert "not tried, since the model does not know them: quay, qu" in caplog.text


def test_a_misspelt_class_gets_its_word_once(tmp_path: Path) -> None:
    words = listed(tmp_path, "elephant")
    vocabulary = make_vocabulary(["elefant"])
    found = gather(vocabulary, {}, words, [Reader()])
    assert found == Candidates(({"elephant": "spelling"},), ())
    found = gather(vocabulary, {"elefant": {"elephant": "a:1"}}, words, [Reader()])
    assert found == Candidates(({"elephant": "a:1"},), ())


def test_shipped_words_that_a_tiny_model_does_not_know_are_left_out() -> None:
    vocabulary = make_vocabulary(["cow", "dog"])
    tiny = Clip(weights="embedded")
    found = gather(vocabulary, {"dog": {"hound": "a:1"}}, None, [tiny])
    assert found.synonyms == ({}, {"hound": "a:1"})
    assert {"sky", "grass", "car"} <= {*found.distractors}
    assert not {"cow", "dog", "horse", "fog"} & {*found.distractors}


def test_near_duplicates_of_other_classes_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    vocabulary = make_vocabulary(["cat", "dog"])
    words = ("grass", "hedge", "cat", "kitten", "wolf", "dog")
    cosines = torch.eye(6)
    for one, two, cosine in ((1, 5, 0.75), (0, 5, 0.65), (3, 2, 0.9), (4, 5, 0.8)):
        cosines[one, two] = cosines[two, one] = cosine
    space = TextSpace(words, (0, 0, 1, 1, 1, 2), cosines)
    candidates = Candidates(({"kitten": "a:1", "wolf": "a:1"}, {}), ("grass", "hedge"))
    assert keep_apart(candidates, space, vocabulary) == Candidates(
        ({"kitten": "a:1"}, {}), ("grass",)
    )
    assert "`wolf` is not tried for `cat`: it is nearly the word `dog`" in caplog.text
