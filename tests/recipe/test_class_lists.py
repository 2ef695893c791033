"""Lists of classes are read in every form that leaves no doubt, and any other is refused with what
to write instead.
"""

from __future__ import annotations

import json
import random
import string
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ovsskit.engine.plan import NO_WORDS
from ovsskit.errors import BadClasses
from ovsskit.recipe.class_lists import parse_classes, read_lines
from ovsskit.recipe.vocabulary import VocabularyTable, make_vocabulary, presets, read_classes
from ovsskit.run.options import choose_named

LETTERS = string.ascii_letters + string.digits + "äß犬 -'./()"
NAMES = st.lists(
    st.text(LETTERS, min_size=1, max_size=12)
    .map(lambda text: "x" + " ".join(text.split()))
    .filter(lambda name: not name.endswith("'")),
    min_size=1,
    max_size=6,
    unique_by=str.casefold,
)
OPTION_FORMS = {
    "commas": ", ".join,
    "no blanks": ",".join,
    "commas at the ends of lines": ",\n".join,
    "semicolons": "; ".join,
    "bars": " | ".join,
    "tabs": "\t".join,
    "lines": lambda names: "\n".join(names) + "\n\n",
    "json": json.dumps,
    "a list without quotes": lambda names: f"[{', '.join(names)}]",
    "quotes": lambda names: ", ".join(f'"{name}"' for name in names),
    "single quotes": lambda names: ", ".join(f"'{name}'" for name in names),
    "one pair of quotes": lambda names: f'"{", ".join(names)}"',
    "bullets": lambda names: "\n".join(f"- {name}" for name in names),
}
FILE_FORMS = {
    "lines": "\n".join,
    "windows lines": "\r\n".join,
    "comments": lambda names: "# pets\n\n" + "\n#dog\n".join(names) + "\n# end",
    "json": json.dumps,
    "json on several lines": lambda names: json.dumps(names, indent=2),
    "quotes": lambda names: "\n".join(f'"{name}"' for name in names),
    "bullets": lambda names: "\n".join(f"* {name}" for name in names),
}
NUMBERED_FORMS = ("{}: {}", "{}. {}", "{}) {}", "{},{}", "{}\t{}", "{};{}", "{} = {}")


def names_of_file(text: str) -> list[str]:
    return list(make_vocabulary(read_lines(text, Path("classes.txt"))).names)


@pytest.mark.parametrize("form", OPTION_FORMS)
@settings(max_examples=12)
@given(names=NAMES)
def test_names_are_read_back_from_every_form_of_an_option(form: str, names: list[str]) -> None:
    if len(names) > 1 or form not in ("bullets",):
        assert parse_classes(OPTION_FORMS[form](names)) == names


@pytest.mark.parametrize("form", FILE_FORMS)
@settings(max_examples=12)
@given(names=NAMES)
def test_names_are_read_back_from_every_form_of_a_file(form: str, names: list[str]) -> None:
    if len(names) > 1 or form not in ("bullets",):
        assert names_of_file(FILE_FORMS[form](names)) == names


@pytest.mark.parametrize("form", NUMBERED_FORMS)
@settings(max_examples=8)
@given(names=NAMES.filter(lambda names: len(names) > 1))
def test_numbers_that_are_those_of_masks_are_taken_away(form: str, names: list[str]) -> None:
    lines = [form.format(number, name) for number, name in enumerate(names, 1)]
    assert names_of_file("\n".join(lines)) == names
    lines = [form.format(0, "background"), *lines]
    assert names_of_file("\n".join(lines)) == names
    with pytest.raises(BadClasses, match="are not those in masks|not a list of words"):
        names_of_file("\n".join(lines[:1] + lines[2:]))


@given(seed=st.integers(0, 10_000), names=NAMES)
def test_a_damaged_list_is_read_or_refused_and_never_crashes(seed: int, names: list[str]) -> None:
    draw = random.Random(seed)
    text = draw.choice([*OPTION_FORMS.values(), *FILE_FORMS.values()])(names)
    for _ in range(draw.randint(1, 6)):
        at = draw.randint(0, len(text))
        junk = draw.choice(["", ",", ";", "\n", "\t", '"', "[", "}", "#", "0", "1: ", "\x00", "é"])
        text = text[:at] + junk + text[at + draw.randint(0, 2) :]
    for read in (
        lambda: parse_classes(text),
        lambda: read_lines(text, Path("classes.txt")),
    ):
        try:
            found = make_vocabulary(read())
        except BadClasses:
            continue
        assert all(name and name == " ".join(name.split()) for name in found.names)
        assert not any(set(name) & set(";|,") for name in found.names)


def test_numbers_that_belong_to_names_stay() -> None:
    cars = ["2 door car", "4 door car"]
    assert parse_classes(", ".join(cars)) == names_of_file("\n".join(cars)) == cars
    assert parse_classes("1, 2, 3") == ["1", "2", "3"]


def test_a_background_of_another_name_has_the_number_0_too(tmp_path: Path) -> None:
    file = tmp_path / "classes.txt"
    file.write_text("0 rest\n1 dog\n2 cat")
    made = VocabularyTable(file=str(file), background="rest").make()
    assert made is not None
    assert (made.names, made.background) == (("dog", "cat"), "rest")


def test_a_json_line_may_hold_synonyms() -> None:
    lines = read_lines('["cat, kitten", "dog"]', Path("classes.json"))
    assert make_vocabulary(lines).queries == ((1, "cat"), (1, "kitten"), (2, "dog"))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('{"dog": 1}', "This is a JSON object"),
        ("dog, cat; cow", "Names are separated by commas and semicolons"),
        ("dog, cat\ncow", "Names are separated by commas and lines"),
        ("0: dog, 1: cat", "are not those in masks: `0: dog`"),
        ('dog", cat', 'dog"` is not one name'),
        ("dog, [cat", r"\[cat` is not one name"),
        ('["dog", {"name": "cat"}]', "is not one name"),
        ("dog,,cat", "empty name"),
        ("voc21", "`voc21` is a shipped list"),
        ("classes.txt", "`classes.txt` is the name of a file"),
        ("[]", "There is no class"),
    ],
)
def test_a_form_that_leaves_a_doubt_is_refused(text: str, what: str) -> None:
    with pytest.raises(BadClasses, match=what) as caught:
        choose_named(text, None, NO_WORDS)
    assert caught.value.fix


@pytest.mark.parametrize(
    ("text", "what", "line"),
    [
        ("id,name\n1,dog\n2,cat", "The file is a table: id,name", 1),
        ("# mine\nname;colour\ndog;red", "The file is a table: name;colour", 2),
        ("dog,1\ncat,2", "The file is a table: dog,1", 1),
        ("dog\ncat; kitten", "`cat; kitten` is not a list of words", 2),
        ("dog\nfire\ttruck", "is not a list of words", 2),
        ("dog # my dog", "A comment follows a name", 1),
        ('dog\n"cat', "is not one name", 2),
        ("0 = dog\n1 = cat", "are not those in masks", 1),
        ('{"dog": 1}', "The file is not a list of names", 0),
        ('[{"name": "dog"}]', "The file is not a list of names", 0),
        ("# nothing\n", "The file of classes is empty", 0),
    ],
)
def test_a_file_of_another_form_is_refused_with_its_line(
    tmp_path: Path, text: str, what: str, line: int
) -> None:
    (tmp_path / "classes.txt").write_text(text)
    with pytest.raises(BadClasses, match=what) as caught:
        read_classes(tmp_path / "classes.txt")
    assert caught.value.where is not None
    assert caught.value.where.line == line
    assert caught.value.fix


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("dog cat", "there is only one class: `dog cat`; on the command line"),
        ("label\ndog", "`label` is taken as a class, but may be a heading"),
        ("dog, cat, cow", "there is only one class: `dog`, also called cat, cow; on the"),
    ],
)
def test_what_may_be_meant_otherwise_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str, note: str
) -> None:
    (tmp_path / "classes.txt").write_text(text)
    choose_named(None, tmp_path / "classes.txt", NO_WORDS)
    assert note in caplog.text


def test_shipped_lists_are_read_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    for path in presets().values():
        assert read_classes(path)
    assert caplog.text == ""


def test_a_number_that_no_mask_holds_is_refused() -> None:
    with pytest.raises(BadClasses, match="A class has the id 65536, but masks hold ids up to"):
        make_vocabulary([f"class {index}" for index in range(65536)])
    with pytest.raises(BadClasses, match="The id 3 is given to more than one class"):
        make_vocabulary(["dog", "cat"], ids=[3, 3])
    with pytest.raises(BadClasses, match="A class has the id 0"):
        make_vocabulary(["dog", "cat"], ids=[0, 3])
