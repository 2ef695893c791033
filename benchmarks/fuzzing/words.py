"""Classes, lists of images, presence files, texts, synonyms, templates and answers."""

from __future__ import annotations

import dataclasses
import json
from functools import partial
from pathlib import Path
from typing import Any

from fuzzing.feeding import Reader, Readers


def _classes() -> Reader:
    from ovsskit.recipe.vocabulary import make_vocabulary, read_classes

    good = (b"dog\ncat, kitten\ngrass\n", "\ufeffsky\nöl\n".encode())
    return Reader("classes", good, "classes.txt", lambda path: make_vocabulary(read_classes(path)))


def _images() -> Reader:
    from ovsskit.files.image_names import name_images
    from ovsskit.files.inputs import find_images

    def read(path: Path) -> object:
        return name_images(find_images([str(path)]), lambda _: None, ())

    return Reader(
        "lists", (b"a.jpg\n# no\nb/*.png\nb\n", b"../x.png\n/tmp/y.png\n"), "list.txt", read
    )


def _presence() -> Reader:
    from ovsskit.engine.values import Image
    from ovsskit.recipe.registry import find_stage
    from ovsskit.recipe.vocabulary import make_vocabulary
    from ovsskit.testing import example

    words = make_vocabulary(["dog", "cat"])
    image = dataclasses.replace(example(Image), name="a.jpg")
    name = image.name
    plain = {name: ["dog"], "b": ["cat", "dog"], "c": "[1: dog, 2: cat], [90%, 80%]"}
    answer = {name: "[1: dog, 2: cat], [90%, 80%]"}
    stage: Any = find_stage("presence_from_file")

    def read(path: Path) -> object:
        return stage(file=str(path)).run(image, words)

    good = (json.dumps(plain).encode(), json.dumps(answer).encode())
    return Reader("presence", good, "present.json", read)


def _texts(file: str) -> Reader:
    from ovsskit.recipe.vocabulary import make_vocabulary
    from ovsskit.texts.read import texts_of_classes

    words = make_vocabulary(["dog", "cat"])
    good = (
        b'"dog" = "a hound"\n"cat" = "a small animal"\n'
        if file == "texts.toml"
        else b"dog >= a hound\ncat >= a small one\n"
    )
    return Reader(file, (good,), file, lambda path: texts_of_classes(path, words))


def _synonyms(file: str) -> Reader:
    from ovsskit.recipe.vocabulary import make_vocabulary
    from ovsskit.words.synonyms import read_synonyms

    words = make_vocabulary(["dog", "cat"])
    good = b'"dog" = "hound"\n' if file == "synonyms.toml" else b"# mine\ndog: hound, cur\n"
    return Reader(file, (good,), file, lambda path: read_synonyms([path], words))


def _templates() -> Reader:
    from ovsskit.texts.templates import sentences

    return Reader(
        "templates",
        (b"a photo of a {}.\nthe {}.\n",),
        "templates.txt",
        lambda path: sentences("name", str(path)),
    )


def _answers() -> Reader:
    from ovsskit.texts.generate import Answers

    def read(path: Path) -> object:
        answers = Answers(path.parent)
        return answers.find("m", "p")

    from ovsskit.files.digests import digest_texts

    good = json.dumps({"model": "m", "prompt": "p", "answer": "a hound"}).encode()
    return Reader("answers", (good,), f"{digest_texts(['m', 'p'])}.json", read)


def _prompts() -> Reader:
    from ovsskit.texts.generate import read_prompt

    good = (b"Describe a {} in one sentence.\n",)
    return Reader("prompts", good, "prompt.txt", lambda path: read_prompt("definitions", path))


READERS: Readers = {
    "classes": _classes,
    "lists": _images,
    "presence": _presence,
    "texts.toml": partial(_texts, "texts.toml"),
    "texts.txt": partial(_texts, "texts.txt"),
    "synonyms.toml": partial(_synonyms, "synonyms.toml"),
    "synonyms.txt": partial(_synonyms, "synonyms.txt"),
    "templates": _templates,
    "answers": _answers,
    "prompts": _prompts,
}
