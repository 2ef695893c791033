from __future__ import annotations

from pathlib import Path

import pytest

from ovsskit.engine.readable import Reading
from ovsskit.errors import BadClasses, BadFile, BrokenToml
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.texts.generate import write_texts
from ovsskit.words.synonyms import read_synonyms, respell, shipped_synonyms

CLASSES = make_vocabulary(["cat", "Traffic Light", "cow"])


def in_pieces(word: str) -> Reading:
    """Read a word of up to five letters whole, a longer one in pieces of five."""
    return Reading(tuple(range(-(-len(word) // 5))))


def test_lines_and_tables_are_read_by_class(tmp_path: Path) -> None:
    plain, table = tmp_path / "plain.txt", tmp_path / "table.toml"
    plain.write_text("# mine\n\ncat: kitten,  tabby   cat\ntraffic-light: stoplight\nhorse: mare\n")
    write_texts(table, {"cat": "feline, kitten", "dog": "canine"}, "synonyms", "a model")
    assert read_synonyms([plain, table], CLASSES) == {
        "cat": {"kitten": f"{plain}:3", "tabby cat": f"{plain}:3", "feline": f"{table}:4"},
        "Traffic Light": {"stoplight": f"{plain}:4"},
    }
    assert read_synonyms([], CLASSES) == {}


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("cat: kitten\ncow bull\n", 2, "`cow bull` names no class with its synonyms."),
        ("cat:\n", 1, "`cat:` names no class with its synonyms."),
        (": kitten\n", 1, "names no class with its synonyms."),
        ("cta: kitten\n", 0, "The file has synonyms for none of the classes."),
        ("# nothing\n", 0, "The file has synonyms for none of the classes."),
    ],
)
def test_another_form_is_refused(tmp_path: Path, text: str, line: int, what: str) -> None:
    path = tmp_path / "words.txt"
    path.write_text(text)
    with pytest.raises(BadFile) as caught:
        read_synonyms([path], CLASSES)
    assert what in caught.value.what
    assert str(caught.value.where) == (f"{path}:{line}" if line else str(path))
    assert caught.value.fix


def test_what_is_no_word_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("cat: kitten,, tabby\n")
    with pytest.raises(BadClasses, match="empty name"):
        read_synonyms([path], CLASSES)
    with pytest.raises(BadFile, match="cannot be read"):
        read_synonyms([tmp_path / "none.txt"], CLASSES)
    (tmp_path / "broken.toml").write_text("cat = \n")
    with pytest.raises(BrokenToml):
        read_synonyms([tmp_path / "broken.toml"], CLASSES)


def test_shipped_synonyms_are_found_by_name() -> None:
    assert shipped_synonyms(make_vocabulary(["traffic-light", "unicorn", "Cow"])) == {
        "traffic-light": {"stoplight": "shipped"},
        "Cow": {"cattle": "shipped"},
    }


def test_a_word_in_pieces_that_is_spelt_like_a_known_one_is_respelt() -> None:
    names = ["elefant", "giraffe", "umbrela", "pants", "zzzzzzz", "hot dogg", "teapots"]
    vocabulary = make_vocabulary(names)
    assert respell(vocabulary, ["teapot"], in_pieces) == {
        "elefant": {"elephant": "spelling"},
        "umbrela": {"umbrella": "spelling"},
        "teapots": {"teapot": "spelling"},
    }
    assert respell(vocabulary, ["teapot"], lambda word: None) == {}
