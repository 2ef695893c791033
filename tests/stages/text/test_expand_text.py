from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from ovsskit.backbones.clip.clip import Clip
from ovsskit.engine.values import TextFeatures as Features
from ovsskit.engine.values import Vocabulary
from ovsskit.errors import BadFile, BrokenToml
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.stages.text import expand_text
from ovsskit.stages.text.encode_text import EncodeText
from ovsskit.stages.text.expand_text import ExpandText
from ovsskit.testing import ToyBackbone
from ovsskit.texts.read import read_toml, shipped_file

TOY = ToyBackbone()
WORDS = make_vocabulary(["traffic light, signal", "dog"], background_words=["sky"])
TEXTS = ["a red lamp", "a wagging pet"]


def expand(
    folder: Path, text: str, words: Vocabulary = WORDS, *, ending: str = "txt", **fields: Any
) -> Features:
    (folder / f"mine.{ending}").write_text(text, encoding="utf-8")
    names = EncodeText(templates="simple").run(words, TOY)
    return ExpandText(file=str(folder / f"mine.{ending}"), templates="simple", **fields).run(
        names, words, TOY
    )


def expected(weight: float) -> torch.Tensor:
    """Return the mixed vectors, one at a time."""
    names = EncodeText(templates="simple").run(WORDS, TOY).data
    texts = [
        torch.nn.functional.normalize(TOY.encode_text([f"a photo of a {text}."])[0], dim=0)
        for text in TEXTS
    ]
    return torch.stack(
        [
            names[0],
            *(
                (1 - weight) * names[row] + weight * texts[of]
                for row, of in ((1, 0), (2, 0), (3, 1))
            ),
        ]
    )


FORMS = {
    "txt": "traffic light >=a red lamp\n\ndog >= a wagging pet >= and more\n",
    "toml": 'Dog = "a wagging pet"\ncat = "no class here"\nTraffic-Light = "a red lamp"\n',
}


@pytest.mark.parametrize("ending", FORMS)
def test_every_word_of_a_class_takes_its_text_and_the_background_none(
    tmp_path: Path, ending: str
) -> None:
    found = expand(tmp_path, FORMS[ending], ending=ending, weight=0.3)
    assert found.labels == (0, 1, 1, 2)
    torch.testing.assert_close(found.data, expected(0.3))
    assert (found.data[1:].norm(dim=1) < 0.9999).all()  # not brought to length 1 again


def test_no_weight_changes_nothing(tmp_path: Path) -> None:
    torch.testing.assert_close(expand(tmp_path, FORMS["txt"], weight=0.0).data, expected(0.0))


def test_shipped_texts_are_taken_by_name() -> None:
    words = make_vocabulary(["trafficlight", "dog"])
    names = EncodeText(templates="name").run(words, TOY)
    found = ExpandText(texts="synonyms", templates="name", weight=1.0).run(names, words, TOY)
    texts = {line.name: line.text for line in read_toml(shipped_file("synonyms"))}
    direct = TOY.encode_text([texts["traffic light"], texts["dog"]])
    torch.testing.assert_close(found.data, torch.nn.functional.normalize(direct, dim=1))


def test_classes_without_a_text_are_refused_or_left_as_they_are(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = 'dgo = "a wagging pet"\n"traffic light" = "a red lamp"\n'
    with pytest.raises(BadFile) as caught:
        expand(tmp_path, text, ending="toml")
    assert f"{tmp_path}/mine.toml  OV304" in str(caught.value)
    assert "There is no text for: dog." in str(caught.value)
    assert "Did you mean `dgo`?" in str(caught.value)
    with caplog.at_level(logging.WARNING):
        found = expand(tmp_path, text, ending="toml", missing="name", weight=0.3)
    assert "no text for dog" in caplog.text
    torch.testing.assert_close(found.data[:3], expected(0.3)[:3])
    torch.testing.assert_close(found.data[3], expected(0.0)[3])
    assert torch.equal(
        expand(tmp_path, "", ending="toml", missing="name").data,
        EncodeText(templates="simple").run(WORDS, TOY).data,
    )


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("traffic light >= a red lamp", 0, "1 texts for 2 classes"),
        ("traffic light >= a\ndog >= b\ncat >= c", 3, "3 texts for 2 classes"),
        (
            "dog >= a wagging pet\ntraffic light >= a red lamp",
            1,
            "is where the text for `traffic light` is expected",
        ),
        ("traffic light >= a red lamp\ndog: a wagging pet", 2, "no text after `>=`"),
        ("traffic light >= a red lamp\ndog >= ", 2, "no text after `>=`"),
    ],
)
def test_lines_that_do_not_match_the_classes_are_named(
    tmp_path: Path, text: str, line: int, what: str
) -> None:
    with pytest.raises(BadFile, match=what) as caught:
        expand(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path}/mine.txt{f':{line}' * bool(line)}  OV304")


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ('dog = "a"\n"traffic light" = 3\n', 2, "`traffic light` has no text"),
        ('dog = "a"\n\n"traffic light" = " "\n', 3, "`traffic light` has no text"),
        ('trafficlight = "a"\n"traffic light" = "b"\n', 2, "appears twice"),
    ],
)
def test_bad_tables_are_named(tmp_path: Path, text: str, line: int, what: str) -> None:
    with pytest.raises(BadFile, match=what) as caught:
        expand(tmp_path, text, ending="toml")
    assert str(caught.value).startswith(f"{tmp_path}/mine.toml:{line}  OV304")


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    names = EncodeText(templates="simple").run(WORDS, TOY)
    for ending in ("txt", "toml"):
        with pytest.raises(BadFile, match="No such file"):
            ExpandText(file=str(tmp_path / f"none.{ending}")).run(names, WORDS, TOY)
    (tmp_path / "latin.txt").write_bytes("caf\xe9 >= a".encode("latin-1"))
    with pytest.raises(BadFile, match="not UTF-8"):
        ExpandText(file=str(tmp_path / "latin.txt")).run(names, WORDS, TOY)
    with pytest.raises(BrokenToml):
        expand(tmp_path, "dog = ", ending="toml")


def test_a_line_that_names_no_class_is_taken_in_its_place_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        found = expand(tmp_path, "semaphore >= a red lamp\ndog >= a wagging pet", weight=0.3)
    torch.testing.assert_close(found.data, expected(0.3))
    assert "the text for `semaphore` is used for `traffic light`" in caplog.text


def test_a_text_that_the_model_cuts_is_said_and_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    words, backbone = make_vocabulary(["dog", "tree"]), Clip(weights="embedded")
    (tmp_path / "long.toml").write_text(
        f'dog = "{"a brown dog and " * 40}"\ntree = "a green tree"\n'
    )
    names = EncodeText(templates="simple").run(words, backbone)
    with caplog.at_level(logging.WARNING):
        found = ExpandText(file=str(tmp_path / "long.toml"), templates="simple", weight=0.5).run(
            names, words, backbone
        )
    assert [record.getMessage().split(":")[1] for record in caplog.records] == [
        " 1 of 2 texts are longer and lose their end, such as"
    ]
    assert "a photo of a a brown dog and" in caplog.text
    assert found.data.isfinite().all()
    assert not torch.equal(found.data, names.data)


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (5, "no text for a0, a1, a2, a3, a4: only"),
        (7, "no text for b0, b1, b2, b3, b4 and 2 more: only"),
    ],
)
def test_classes_without_a_text_are_counted(
    count: int, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    letter = said.removeprefix("no text for ")[0]
    expand_text._warn(tuple(f"{letter}{index}" for index in range(count)))
    assert said in caplog.text
