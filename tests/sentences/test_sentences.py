"""`ovsskit sentences` from the command line to the recipe that it writes."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image as PilImage

import ovsskit
from ovsskit.cli.__main__ import main
from ovsskit.engine.values import Probabilities
from ovsskit.recipe.build import load_recipe
from ovsskit.run import reading
from ovsskit.run.samples import sample_images
from ovsskit.stages.network.encode_hidden import EncodeHidden
from ovsskit.stages.text.encode_text import EncodeText

SENTENCES = ["a photo of a {}.", "a drawing of a {}.", "{}"]
TRIED = 'encode_text.templates=["a photo of a {}.", "a drawing of a {}.", "{}"]'
IMAGES = sample_images()[:2]
Choose = Callable[..., tuple[int, str, str]]


@pytest.fixture
def choose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> Choose:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)

    def run(*given: str | Path, recipe: str | Path = "clearclip_tiny") -> tuple[int, str, str]:
        arguments = ["sentences", recipe, "--device", "cpu", *given]
        monkeypatch.setattr(sys, "argv", ["ovsskit", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        captured = capfd.readouterr()
        return int(stopped.value.code or 0), captured.out, captured.err

    return run


def sentences_in(path: Path) -> dict[str, tuple[str, ...]]:
    """Return the classes' own sentences, as the recipe's stage has them."""
    stages = load_recipe(path).plan.stages
    [stage] = [one for one in stages if isinstance(one, EncodeText)]
    return {name: tuple(one) for name, one in stage.sentences_of.items()}


def by_hand() -> dict[str, dict[str, tuple[float, int]]]:
    """Return entropy and places of each sentence that finds a class, from whole runs."""
    found: dict[str, dict[str, list[torch.Tensor]]] = {}
    for sentence in SENTENCES:
        pipeline = ovsskit.load(
            "clearclip_tiny", f'encode_text.templates=["{sentence}"]', device="cpu"
        )
        for path in IMAGES:
            scores = pipeline(str(path), trace=True).at("softmax")
            assert isinstance(scores, Probabilities)
            entropy = -(scores.data * scores.data.log()).sum(0)
            labels = torch.tensor(scores.labels)[scores.data.argmax(0)]
            for label, name in enumerate(pipeline.plan.vocabulary.names, 1):
                one = found.setdefault(name, {}).setdefault(sentence, [])
                one.append(entropy[labels == label])
    joined = {
        name: {one: torch.cat(parts) for one, parts in of.items()} for name, of in found.items()
    }
    return {
        name: {one: (float(all_.mean()), len(all_)) for one, all_ in of.items() if len(all_)}
        for name, of in joined.items()
    }


def test_each_class_gets_the_surest_sentences(choose: Choose, tmp_path: Path) -> None:
    status, out, error = choose(*IMAGES, "--set", TRIED, "--best", "2")
    path = tmp_path / "clearclip-tiny-sentences.toml"
    expected = {name: of for name, of in by_hand().items() if of}
    assert status == 0
    assert out.startswith(f"wrote {path.name}: sentences for {len(expected)} of 24 classes\n")
    assert "in any image: they keep their sentences" in error
    assert 3 < len(expected) < 24
    text = path.read_text()
    assert sentences_in(path) == {
        name: tuple(sorted(of, key=lambda one: of[one][0]))[:2] for name, of in expected.items()
    }
    for name, found in sentences_in(path).items():
        block = text.partition(f'"encode_text.sentences_of.{name}" = [')[2].partition("]\n")[0]
        told = re.findall(r'"(.*)", # entropy (\S+) at (\S+) places', block)
        assert [one for one, *_ in told] == list(found)
        for sentence, entropy, places in told:
            assert float(entropy) == pytest.approx(expected[name][sentence][0], rel=1e-3)
            assert int(places.replace(",", "")) == expected[name][sentence][1]


def test_the_recipe_keeps_what_was_set_and_runs_from_anywhere(
    choose: Choose, tmp_path: Path
) -> None:
    (tmp_path / "mine.txt").write_text("\n".join(SENTENCES))
    own = tmp_path / "own.toml"
    own.write_text('name = "own"\nextends = "clearclip_tiny"\n')
    (tmp_path / "there").mkdir()
    out = tmp_path / "there" / "chosen.toml"
    status, _, error = choose(
        *IMAGES[:1],
        *("--set", "encode_text.templates_file=mine.txt", "--set", "softmax.scale=40"),
        *("--set", 'encode_text.sentences_of.ice cream="simple"'),
        *("--classes", "butterfly, ice cream, dog", "--out", out),
        recipe=own,
    )
    assert status == 0, error
    written = tomllib.loads(out.read_text())
    assert (written["name"], written["extends"]) == ("own-sentences", "../own.toml")
    assert written["set"]["encode_text.templates_file"] == str(tmp_path / "mine.txt")
    assert load_recipe(out).plan.vocabulary.names == ("butterfly", "ice cream", "dog")
    assert set(sentences_in(out)) >= {"ice cream"}
    assert all(set(found) <= {*SENTENCES, *"simple"} for found in sentences_in(out).values())
    ovsskit.load(out, device="cpu")(str(IMAGES[0]))


def test_networks_run_once_for_an_image(choose: Choose, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    run = EncodeHidden.run_batch

    def count(self: EncodeHidden, image: Any, **others: Any) -> Any:
        calls.append(len(image))
        return run(self, image, **others)

    ovsskit.load("clearclip_tiny", device="cpu")(str(IMAGES[0]))
    monkeypatch.setattr(EncodeHidden, "run_batch", count)
    ovsskit.load("clearclip_tiny", device="cpu")(str(IMAGES[0]))
    once = sum(calls)
    calls.clear()
    status, _, error = choose(IMAGES[0], "--set", TRIED)
    assert (status, sum(calls)) == (0, once), error


def test_an_image_that_cannot_be_read_is_left_out(choose: Choose, tmp_path: Path) -> None:
    (tmp_path / "torn.png").write_bytes(b"no image")
    status, _, error = choose(tmp_path / "torn.png", IMAGES[0], "--set", TRIED)
    assert status == 0
    assert "torn.png is left out: " in error
    assert "by 1 images" in (tmp_path / "clearclip-tiny-sentences.toml").read_text()
    status, _, error = choose(tmp_path / "torn.png", "--force")
    assert status == 2
    assert "No image can be read." in error


def test_what_is_stopped_leaves_what_was_there(
    choose: Choose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*args: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    old = tmp_path / "old.toml"
    old.write_text("# mine\n")
    assert choose("--out", old, *IMAGES)[0] == 2
    monkeypatch.setattr(reading, "read_image", stop)
    assert choose("--out", old, "--force", *IMAGES)[0] == 130
    assert old.read_text() == "# mine\n"
    assert list(tmp_path.iterdir()) == [old]


@pytest.mark.parametrize(
    ("recipe", "options", "message"),
    [
        ("quickstart", (), "a recipe's one `encode_text`, but this recipe has none."),
        ("bare.toml", (), "No stage writes probabilities as `scores`"),
        ("clearclip_tiny", ("--set", "encode_text.templates=simple"), "has one sentence"),
        ("clearclip_tiny", ("--out", "there.toml"), "The file already exists."),
        ("clearclip_tiny", ("--out", "there.toml/chosen.toml"), "The output folder cannot be"),
        (
            "clearclip_tiny",
            ("--set", "encode_text.sentences_of.dgo=name"),
            "not one of the classes",
        ),
        ("clearclip_tiny", ("--device", "abacus"), "abacus"),
    ],
)
def test_what_cannot_work_is_said_before_anything_runs(
    choose: Choose, tmp_path: Path, recipe: str, options: tuple[str, ...], message: str
) -> None:
    (tmp_path / "there.toml").write_text("")
    (tmp_path / "bare.toml").write_text(
        'extends = "clearclip_tiny"\nremove = ["softmax", "merge_queries"]\n'
    )
    status, out, error = choose(*IMAGES, *options, recipe=recipe)
    assert (status, out) == (2, "")
    assert message in error
    assert "Traceback" not in error


def test_no_class_in_any_image_writes_nothing(choose: Choose, tmp_path: Path) -> None:
    PilImage.new("RGB", (64, 64), (10, 10, 40)).save(tmp_path / "night.png")
    status, _, error = choose(tmp_path / "night.png", "--set", TRIED, "--classes", "cow")
    assert status == 2
    assert "No sentence finds any class in any image." in error
    assert [one.name for one in tmp_path.iterdir()] == ["night.png"]
