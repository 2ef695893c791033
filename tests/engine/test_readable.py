"""Words that a model cannot read or tell apart are refused before anything is computed, whatever
the model.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

import ovsskit
from ovsskit.backbones.clip._text import make_reader
from ovsskit.backbones.clip.clip import Clip
from ovsskit.backbones.matching.albef import Albef
from ovsskit.backbones.matching.blip_itm import BlipItm
from ovsskit.backbones.matching.bridgetower import Bridgetower
from ovsskit.backbones.matching.mplug import Mplug
from ovsskit.backbones.ofa.ofa import Ofa
from ovsskit.cli.__main__ import main
from ovsskit.engine.model import Backbone
from ovsskit.engine.readable import check_words
from ovsskit.errors import BadClasses, Place
from ovsskit.recipe.vocabulary import make_vocabulary

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "cafe", "t", "-", "shirt", "dog", "cat"]
Refused = Callable[..., str]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with tokenizers alone: WordPiece, and byte pairs without a merge."""
    from tokenizers import pre_tokenizers

    (tmp_path / "vocab.txt").write_text("\n".join(PIECES) + "\n")
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    rows = {piece: row for row, piece in enumerate(["<s>", "<pad>", "</s>", *letters])}
    (tmp_path / "vocab.json").write_text(json.dumps(rows))
    (tmp_path / "merges.txt").write_text("#version: 0.2\n")
    return tmp_path


def check(backbone: Backbone, *names: str, **words: Any) -> None:
    backbone.check_vocabulary(make_vocabulary(names, **words))


@pytest.mark.parametrize("kind", [BlipItm, Albef, Mplug])
def test_word_pieces(kind: Any, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = kind(weights=str(folder))
    check(model, "dog", "café")
    assert caplog.text == ""
    with pytest.raises(BadClasses, match="cannot read: 🐶, 犬") as caught:
        check(model, "dog", "🐶", "犬")
    assert caught.value.fix
    with pytest.raises(BadClasses, match="cannot distinguish: cafe, café"):
        check(model, "cafe", "dog", "café")
    check(model, "dog", "cat 犬")
    assert "the model reads only parts of: cat 犬" in caplog.text


def test_punctuation_that_a_model_drops_tells_no_classes_apart(folder: Path) -> None:
    check(BlipItm(weights=str(folder)), "t-shirt", "t shirt")
    for kind in (Albef, Mplug):
        with pytest.raises(BadClasses, match="cannot distinguish: t-shirt, t shirt"):
            check(kind(weights=str(folder)), "t-shirt", "t shirt")
        with pytest.raises(BadClasses, match="cannot read: !"):
            check(kind(weights=str(folder)), "dog", "!")
        check(kind(weights=str(folder), clean=False), "t-shirt", "t shirt")


def test_byte_pairs_read_anything_and_say_of_what_they_have_no_tokens(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = Bridgetower(weights=str(folder))
    check(model, "dog", "Hund", "x")
    assert caplog.text == ""
    check(model, "dog", "🐶")
    assert "the model has no tokens for letters of 🐶: results for it are likely" in caplog.text


def test_clip_reads_a_word_up_to_its_limit(caplog: pytest.LogCaptureFixture) -> None:
    reader = make_reader(None, {"text_cfg": {"context_length": 7}}, is_of_weights=False)
    where = Place("clip")
    check_words([(1, "a small brown dog"), (2, "a small brown cat")], reader.read_word, where)
    with pytest.raises(BadClasses, match="cannot distinguish: a b c d e dog, a b c d e cat"):
        check_words([(1, "a b c d e dog"), (2, "a b c d e cat")], reader.read_word, where)
    check_words([(1, "🐶"), (2, "dog")], reader.read_word, where)  # it has a token for this dog
    assert caplog.text == ""
    check_words([(1, "犬"), (2, "dog")], reader.read_word, where)
    assert "the model has no tokens for letters of 犬" in caplog.text


def test_the_published_ofa_reads_bytes_too(caplog: pytest.LogCaptureFixture) -> None:
    reading = Ofa(weights="embedded").model_copy()
    from ovsskit.backbones.ofa._text import TextReader, full_rows

    reading.__dict__["words"] = TextReader(full_rows(), 1024)
    check_words([(1, "dog"), (2, "犬")], reading.read_word, Place("ofa"))
    assert "no tokens for letters of 犬" in caplog.text


def test_the_same_word_is_noted_where_it_is_allowed(caplog: pytest.LogCaptureFixture) -> None:
    model = Clip(weights="embedded")
    check(model, "book", "cat", "book", ids=[3, 4, 5])
    assert "book: a word for 2 classes, of which the first wins" in caplog.text
    check(model, "ball", "cat", background_words=["sky", "Ball"])
    assert "Ball: a word for the background and for a class" in caplog.text
    caplog.clear()
    check(model, "ball", "cat", background_words=["sky"], negatives=["ball", "Sky", "grass"])
    assert "Sky, ball: a negative, although it is also a class" in caplog.text
    assert "background and for a class" not in caplog.text
    with pytest.raises(BadClasses, match="cannot distinguish: cake, cáke"):
        check(model, "cake, ball", "cat, cáke")
    caplog.clear()
    check(BlipItm(weights="embedded"), "cake, ball", "cat, cáke")
    assert "captions name a class by its first word; these are not read: ball, cáke" in caplog.text


def test_tiny_models_say_which_words_they_were_not_trained_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    check(BlipItm(weights="embedded"), "Dog", "ice cream", "sky")
    check(Clip(weights="embedded"), "dog, cat", "ball", background_words=["grass"])
    check(Ofa(weights="embedded"), "dog", "grass")
    assert caplog.text == ""
    check(BlipItm(weights="embedded"), "dog", "zebra", "person")
    assert (
        "the tiny model knows only 30 words, and not these: zebra, person; results for"
        in caplog.text
    )


@pytest.fixture
def refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Refused:
    """Return what runs a command that must be refused before it leaves anything, and returns its
    message.
    """
    monkeypatch.chdir(tmp_path)
    PIL.Image.new("RGB", (40, 30), "white").save(tmp_path / "a.png")

    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["ovsskit", *arguments, "--device", "cpu", "--out", "out"])
        with pytest.raises(SystemExit) as stopped:
            main()
        assert stopped.value.code == 2
        assert not [*(tmp_path / "out").glob("*.*")]
        return capfd.readouterr().err

    return run


@pytest.mark.parametrize(
    "command",
    [
        ("run", "quickstart", "a.png"),
        ("run", "itaclip_tiny", "a.png"),
        ("study", "quickstart", "a.png", "--trials", "2", "--accept", "best"),
    ],
)
def test_commands_refuse_words_that_cannot_be_read(
    refused: Refused, command: tuple[str, ...]
) -> None:
    assert "The model cannot read: 🐶, 犬." in refused(*command, "--classes", "🐶, dog, 犬")


def test_a_judge_must_read_the_words_too(refused: Refused, tmp_path: Path) -> None:
    """A model that only the study asks is looked at as well: this OFA is tuned for other words."""
    study = tmp_path / "judged.toml"
    study.write_text(
        'recipe = "quickstart"\n[models.judge]\nuse = "clip"\nweights = "embedded"\n'
        '[models.second]\nuse = "ofa"\nweights = "embedded:ofa_tuned"\n'
    )
    common = ("--classes", "dog, cat", "--trials", "1", "--accept", "best")
    error = refused("study", str(study), "a.png", *common)
    assert "The weights are tuned for 30 classes" in error


def test_python_refuses_them_too() -> None:
    pipeline = ovsskit.load("quickstart", device="cpu")
    with pytest.raises(BadClasses, match="cannot read: 犬"):
        pipeline(PIL.Image.new("RGB", (40, 30)), classes=["犬", "dog"])


def test_a_note_is_in_the_record_and_the_gallery(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    PIL.Image.new("RGB", (40, 30), "white").save(tmp_path / "a.png")
    command = [
        "ovsskit",
        "run",
        "clip_baseline_tiny",
        "a.png",
        "--classes",
        "zebra",
        "--out",
        "out",
    ]
    monkeypatch.setattr(sys, "argv", [*command, "--device", "cpu"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert not stopped.value.code
    note = "the tiny model knows only 30 words, and not these: zebra; results for them are"
    assert note in " ".join(capfd.readouterr().err.split())
    [notice] = json.loads((tmp_path / "out" / "run.json").read_text())["notices"]
    assert notice.startswith(note)
    assert notice in (tmp_path / "out" / "index.html").read_text()


@pytest.mark.parametrize("kind", [BlipItm, Albef])
def test_a_word_is_known_that_is_read_whole(kind: Any, folder: Path) -> None:
    model = kind(weights=str(folder))
    assert [model.knows_word(word) for word in ("dog", "t-shirt", "犬 dog", "🐶")] == [
        *(True, True, False, False)
    ]


def test_a_tiny_model_knows_the_words_that_it_was_trained_on() -> None:
    model = Clip(weights="embedded")
    words = ("Dog", "fire truck", "fire", "sky", "fog")
    assert [model.knows_word(word) for word in words] == [True, True, False, True, False]


def test_a_model_that_does_not_tell_knows_all_words() -> None:
    assert Backbone().knows_word("犬")
