"""`ovsskit words` from the command line to the file that it writes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as PilImage

import ovsskit
from ovsskit.cli.__main__ import main
from ovsskit.embedded import CLASSES, sample_scenes
from ovsskit.engine.values import Scores
from ovsskit.errors import OutOfMemory
from ovsskit.recipe.vocabulary import read_classes, replace_classes
from ovsskit.run import reading
from ovsskit.run.samples import sample_images
from ovsskit.words import runs

TESTS = Path(__file__).parents[1]
IMAGES = sample_images()[2:4]
Words = Callable[..., tuple[int, str, str]]


@pytest.fixture
def audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> Words:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)

    def run(*given: str | Path, recipe: str | Path = "clearclip_tiny") -> tuple[int, str, str]:
        arguments = ["words", recipe, "--device", "cpu", *given]
        monkeypatch.setattr(sys, "argv", ["ovsskit", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        captured = capfd.readouterr()
        return int(stopped.value.code or 0), captured.out, captured.err

    return run


@pytest.fixture
def colours(tmp_path: Path) -> tuple[str | Path, ...]:
    """Return an audit of an image that is half red, a quarter green and a quarter white."""
    data = np.zeros((8, 8, 3), np.uint8)
    data[:, :4, 0] = 255
    data[:4, 4:, 1] = 255
    data[4:, 4:] = 255
    PilImage.fromarray(data).save(tmp_path / "colours.png")
    (tmp_path / "synonyms.txt").write_text("red: blue\nyellow: green\n")
    (tmp_path / "distractors.txt").write_text("white\nRED\n")
    return (
        tmp_path / "colours.png",
        *("--plugin", TESTS / "toy_stages.py", "--classes", "red, grey, yellow, green"),
        *("--synonyms", tmp_path / "synonyms.txt", "--distractors", tmp_path / "distractors.txt"),
    )


def test_a_known_image_is_audited(
    audit: Words, colours: tuple[str | Path, ...], tmp_path: Path
) -> None:
    status, out, error = audit(*colours, "--json", recipe=TESTS / "toy.toml")
    assert (status, error) == (0, "")
    found = json.loads(out)
    red, grey, yellow, green = found["classes"]
    assert (red["share"], grey["share"], yellow["share"], green["share"]) == (0.5, 0.25, 0, 0.25)
    assert [one["images"] for one in found["classes"]] == [1, 1, 0, 1]
    assert found["winless"] == ["yellow"]
    assert grey["rival"] == {"name": "yellow", "share": 1.0}  # neither is a colour that it knows
    assert red["replaced"] == [{"word": "blue", "changed": 1.0, "share": 0.0}]
    assert found["changed_by_synonyms"] == [0.5]
    assert [one["distracted"] for one in found["classes"]] == [0.0, 1.0, None, 0.0]
    assert found["changed_by_distractors"] == 0.25
    [white] = found["distractors"]
    assert (white["word"], white["share"], white["taken"]) == ("white", 0.25, 1.0)
    assert white["before"] == [{"name": "grey", "share": 1.0}]
    assert found["untold"].keys() == {"words", "pairs"}
    assert (found["images"], found["runs"], found["background"]) == (1, 3, 0.0)
    assert found["proposals"] == {"background": [], "synonyms": {}, "instead": {}}
    assert found["file"] == "toy-words.txt"
    assert read_classes(tmp_path / "toy-words.txt") == ["red", "grey", "yellow", "green"]


def test_what_was_found_is_shown(audit: Words, colours: tuple[str | Path, ...]) -> None:
    status, out, error = audit(*colours, recipe=TESTS / "toy.toml")
    out = out.replace("\u00a0", " ")
    rows = [line.split() for line in out.splitlines()]
    assert status == 0
    assert ["red", "50", "%", "1", "grey", "100", "%", "blue", "100", "%", "0", "%"] in rows
    assert ["yellow", "never", "wins", "0"] in rows
    assert ["white", "25", "%", "1", "grey", "100", "%"] in rows
    assert "never win: yellow\n" in out
    assert "other words in place of names change the label of 50 % of all pixels\n" in out
    assert "not reported: which words are alike. The recipe has no word vectors" in out
    use = f"use it: ovsskit run {TESTS / 'toy.toml'} IMAGES --classes-file toy-words.txt --plugin "
    assert f"{use}{TESTS / 'toy_stages.py'}\n" in out
    assert "runs of the recipe on each image, unchanged and with other words: 3" in error
    status, out, error = audit(*colours, "--quiet", "--force", recipe=TESTS / "toy.toml")
    assert (status, out, error) == (0, "", "")


def test_words_are_counted_as_whole_runs_find_them(audit: Words, tmp_path: Path) -> None:
    (tmp_path / "synonyms.txt").write_text("cat: mushroom\nfish: bird, tree\n")
    (tmp_path / "own.toml").write_text(
        'extends = "clearclip_tiny"\n[vocabulary]\nnames = ["cat", "cake, boat", "fish"]\n'
        'background_words = ["sky", "grass"]\n'
    )
    status, out, error = audit(*IMAGES, "--synonyms", "synonyms.txt", "--json", recipe="own.toml")
    assert status == 0, error
    pipeline = ovsskit.load(tmp_path / "own.toml", device="cpu")
    lines = ["cat, mushroom", "cake, boat", "fish, bird, tree"]
    words = ["sky", "grass", "cat", "mushroom", "cake", "boat", "fish", "bird", "tree"]
    labels = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3, 3])
    counts = torch.zeros(len(words), 4)
    for path in IMAGES:
        plain, together = pipeline(str(path)), pipeline(str(path), classes=lines, trace=True)
        scores = together.at("softmax")
        assert isinstance(scores, Scores)
        best = scores.data.argmax(0)
        for word, label in enumerate(labels):
            for before in range(4):
                won = (best == word) & (together.labels == label) & (plain.labels == before)
                counts[word, before] += won.sum()
    found = json.loads(out)
    assert found["untold"] == {}
    for label, one in enumerate(found["classes"], 1):
        mine = [word for word in range(len(words)) if labels[word] == label]
        total = counts[mine].sum()
        assert [word["word"] for word in one["words"]] == [words[place] for place in mine]
        for place, word in zip(mine, one["words"], strict=True):
            assert word["share"] == pytest.approx(float(counts[place].sum() / total))
            taken = counts[place].sum() - counts[place, 0] - counts[place, label]
            assert word["taken"] == pytest.approx(float(taken / counts[place].sum().clamp(min=1)))
    sources = [[word["source"] for word in one["words"]] for one in found["classes"]]
    lines = ["synonyms.txt:1", "synonyms.txt:2"]
    assert sources == [["list", lines[0]], ["list"] * 2, ["list", lines[1], lines[1]]]


def test_the_file_is_used_as_the_command_says(audit: Words, tmp_path: Path) -> None:
    elephant = CLASSES.index("elephant") + 1
    scenes = [one for one in sample_scenes() if elephant in np.asarray(PilImage.open(one.mask))]
    (tmp_path / "classes.txt").write_text("background, wall\nelefant\ncar, bus\n")
    images = [scene.image for scene in scenes[:2]]
    given = ("--classes-file", "classes.txt", "--set", "softmax.scale=90")
    status, out, error = audit(*images, *given)
    assert status == 0, error
    text = (tmp_path / "clearclip-tiny-words.txt").read_text()
    assert "elefant, elephant\n" in text
    assert "spelling" in text
    own = ovsskit.load("clearclip_tiny", device="cpu")
    vocabulary = own.plan.vocabulary
    found = replace_classes(read_classes(tmp_path / "clearclip-tiny-words.txt"), vocabulary)
    assert found.names == ("elefant", "car")
    assert found.synonyms == (("elephant",), ("bus",))
    assert {*vocabulary.background_words} < {*found.background_words}
    command = next(line for line in out.splitlines() if line.startswith("use it: "))
    assert command.split()[3:] == [
        *("run", "clearclip_tiny", "IMAGES", "--classes-file", "clearclip-tiny-words.txt"),
        *("--set", "softmax.scale=90"),
    ]


def test_one_class_alone_is_audited(audit: Words, tmp_path: Path) -> None:
    (tmp_path / "synonyms.txt").write_text("mushroom: cake\n")
    given = ("--classes", "mushroom", "--synonyms", "synonyms.txt")
    assert audit(*IMAGES[:1], *given)[0] == 0


def test_the_same_is_found_again(audit: Words) -> None:
    given = (*IMAGES[:1], "--json", "--classes", "cat, mushroom, bird", "--force")
    assert audit(*given)[1] == audit(*given)[1]


def test_images_that_fail_are_left_out(
    audit: Words, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torn.png").write_bytes(b"no image")
    see = runs.Runs.see

    def fail(self: runs.Runs, image: Any) -> Any:
        if image.name == IMAGES[0].stem:
            raise OutOfMemory("It does not fit.")
        return see(self, image)

    monkeypatch.setattr(runs.Runs, "see", fail)
    given = (tmp_path / "torn.png", *IMAGES, "--classes", "cat, bird")
    status, _, error = audit(*given)
    assert status == 0
    assert "torn.png is left out: " in error
    assert f"{IMAGES[0].stem} is left out: It does not fit." in error
    assert "by 1 images" in (tmp_path / "clearclip-tiny-words.txt").read_text()
    status, _, error = audit(*given[:2], "--classes", "cat, bird", "--force")
    assert status == 2
    assert "The recipe fails on every image." in error


def test_what_is_stopped_leaves_what_was_there(
    audit: Words, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*args: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    old = tmp_path / "old.txt"
    old.write_text("# mine\n")
    assert audit("--out", old, *IMAGES)[0] == 2
    monkeypatch.setattr(reading, "read_image", stop)
    assert audit("--out", old, "--force", *IMAGES)[0] == 130
    assert old.read_text() == "# mine\n"
    assert [*tmp_path.iterdir()] == [old]


def test_ids_of_a_recipe_are_not_in_the_file(audit: Words, tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(
        'extends = "clearclip_tiny"\n[vocabulary]\nnames = ["cat", "bird"]\nids = [7, 3]\n'
    )
    status, _, error = audit(*IMAGES[:1], recipe="own.toml")
    assert status == 0
    assert "a class file counts classes from 1" in error


@pytest.mark.parametrize(
    ("recipe", "options", "message"),
    [
        ("bare.toml", (), "No stage writes `labels`, so there is no mask to save."),
        ("clearclip_tiny", ("--out", "there.txt"), "The file already exists."),
        ("clearclip_tiny", ("--synonyms", "none.txt"), "The file of synonyms cannot be read"),
        ("clearclip_tiny", ("--distractors", "none.txt"), "The file of classes cannot be read"),
        ("clearclip_tiny", ("--synonyms", "foreign.txt"), "The model cannot read: 犬"),
        ("clearclip_tiny", ("--device", "abacus"), "abacus"),
        ("ifseg_tiny", ("--classes", "dog, cat"), "tuned"),
    ],
)
def test_what_cannot_work_is_said_before_anything_runs(
    audit: Words, tmp_path: Path, recipe: str, options: tuple[str, ...], message: str
) -> None:
    (tmp_path / "there.txt").write_text("")
    (tmp_path / "foreign.txt").write_text("cat: 犬\n")
    (tmp_path / "bare.toml").write_text('extends = "clearclip_tiny"\nremove = ["label_map"]\n')
    status, out, error = audit(*IMAGES, *options, recipe=recipe)
    assert (status, out) == (2, "")
    assert message in error
    assert "Traceback" not in error
