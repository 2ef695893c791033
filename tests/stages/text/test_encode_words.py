"""Words are encoded alone, the background's first and the negatives' last."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ovsskit.engine.model.grounds_words import ToyGroundsWords
from ovsskit.engine.values import NEGATIVE, Vocabulary
from ovsskit.errors import BadFile
from ovsskit.stages.text.encode_words import EncodeWords

VOCABULARY = replace(
    Vocabulary.example(),
    synonyms=(("puppy",), (), ()),
    background_words=("sky",),
    negatives=("cat",),
)


def test_every_word_has_its_label() -> None:
    [found] = EncodeWords().run_batch([VOCABULARY], ToyGroundsWords())
    assert found.labels == (0, 1, 1, 2, 3, NEGATIVE)
    words = ["sky", "dog", "puppy", "ice cream", "grass", "cat"]
    alone = [ToyGroundsWords().encode_words([(1, word)]).data[0] for word in words]
    assert torch.equal(found.data, torch.stack(alone))


def test_there_are_no_more_neighbours_than_other_words() -> None:
    for asked, given in ((0, 0), (2, 2), (9, 5)):
        [found] = EncodeWords(neighbours=asked).run_batch([VOCABULARY], ToyGroundsWords())
        assert found.data.shape[1] == 1 + given


def test_hypernyms_of_a_file_follow_every_word_that_has_some(tmp_path: Path) -> None:
    file = tmp_path / "kinds.toml"
    file.write_text('Dog = ["canine", "pet"]\n"ice-cream" = ["dessert"]\ncar = ["vehicle"]\n')
    toy = ToyGroundsWords()
    [plain] = EncodeWords(neighbours=1).run_batch([VOCABULARY], toy)
    [found] = EncodeWords(neighbours=1, hypernyms=str(file)).run_batch([VOCABULARY], toy)
    assert torch.equal(found.data[:, :2], plain.data)
    assert found.labels == plain.labels
    follows = {1: ["canine", "pet"], 3: ["dessert"]}
    for row in range(len(found.labels)):
        kinds = follows.get(row, [])
        assert found.mask[row].tolist() == [True] * (2 + len(kinds)) + [False] * (2 - len(kinds))
        for place, kind in enumerate(kinds, 2):
            alone = toy.encode_words([(1, kind)]).data[0, 0]
            assert torch.equal(found.data[row, place], alone)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('dog = "canine"', "`dog` has no list of hypernyms"),
        ("dog = [1]", "`dog` has no list of hypernyms"),
        ('dog = [" "]', "`dog` has no list of hypernyms"),
        ('dog = ["a"]\nDOG = ["b"]', "`DOG` appears twice"),
        ('car = ["vehicle"]', "None of the words has a hypernym here: sky, dog, puppy"),
        ("dog = []", "None of the words has a hypernym here"),
    ],
)
def test_files_of_no_use_are_refused(content: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "kinds.toml"
    file.write_text(content)
    with pytest.raises(BadFile, match=words):
        EncodeWords(hypernyms=str(file)).run_batch([VOCABULARY], ToyGroundsWords())
