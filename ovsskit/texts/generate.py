"""Have a language model write a text for each class.

Every answer is kept at once, so that nothing is asked twice.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tomlkit

from ovsskit.errors import BadFile, NoAnswer, OvsskitError, Place
from ovsskit.files.digests import digest_texts
from ovsskit.files.own.cache_tag import claim_cache
from ovsskit.files.reading import Unreadable, read_json, read_text
from ovsskit.files.writing import see_free, write_text
from ovsskit.texts.models import LanguageModel
from ovsskit.texts.read import SHIPPED, key_of
from ovsskit.texts.templates import NAME

Kind = Literal["definitions", "synonyms"]
MOST_WORDS = {"definitions": 50, "synonyms": 5}
"""A longer answer is none; 50 words fit into CLIP's 77 tokens."""

REFUSALS = re.compile(
    (
        r"\b(as an? (ai|language model)|i('m| am) (sorry|unable|not able)|sorry,|i "
        r"can('|no)?t\b|i cannot|please (provide|clarify))"
    ),
    re.IGNORECASE,
)
THOUGHT = re.compile(r"<think>.*?</think>", re.DOTALL)
AROUND = " \t\"'\u201c\u201d\u2018\u2019*_`"


KEPT = re.compile(r"[0-9a-f]{32}\.json")
"""The names of kept answers."""


@dataclass(frozen=True)
class Answers:
    """Keep answers in a folder, a file for each: by model and prompt with the class in it."""

    folder: Path

    def __post_init__(self) -> None:
        """Make and mark the folder.

        Raises:
            BadOutput: it holds something else, or cannot be written.
        """
        claim_cache(self.folder, KEPT)

    def find(self, model: str, prompt: str) -> str | None:
        """Return the answer that was kept, or None."""
        try:
            answer: Any = read_json(self._path(model, prompt), dict[str, Any]).get("answer")
        except Unreadable:
            return None
        return answer if isinstance(answer, str) else None

    def keep(self, model: str, prompt: str, answer: str) -> None:
        """Keep an answer.

        Raises:
            CannotWrite: the folder cannot be written.
        """
        entry = {"model": model, "prompt": prompt, "answer": answer}
        write_text(
            self._path(model, prompt), f"{json.dumps(entry, ensure_ascii=False, indent=1)}\n"
        )

    def _path(self, model: str, prompt: str) -> Path:
        return self.folder / f"{digest_texts([model, prompt])}.json"


def answers_folder() -> Path:
    """Return where answers are kept unless a person says otherwise."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ovsskit" / "answers"


def read_prompt(kind: Kind, path: Path | None) -> str:
    """Return the shipped prompt of a kind of texts, or that in a file; `{}` stands for the class.

    Raises:
        BadFile: the file cannot be read, or has no place for the class.
    """
    file = path or SHIPPED / "prompts" / f"{kind}.txt"
    try:
        text = read_text(file).strip()
    except Unreadable as error:
        raise BadFile(f"The prompt cannot be read: {error}.", where=Place(str(file))) from error
    if NAME not in text:
        raise BadFile(
            "The prompt has no place for the class.",
            fix="Write {} where it goes.",
            where=Place(str(file)),
        )
    return text


def ask(
    names: Sequence[str],
    prompt: str,
    kind: Kind,
    model: LanguageModel,
    answers: Answers,
    tries: int,
    told: Callable[[str], None],
) -> dict[str, str]:
    """Return a text for each class; the model is asked only for missing ones.

    `told` is called after every class.

    Raises:
        NoAnswer: the model cannot be asked, or for some class gave no usable answer however often
            it was asked.
    """
    texts: dict[str, str] = {}
    failed: dict[str, str] = {}
    others = {key_of(name) for name in names}
    for name in names:
        question = prompt.replace(NAME, name)
        found = answers.find(model.name, question)
        try:
            for attempt in range(tries if found is None else 0):
                text = clean(model.answer(question, attempt))
                wrong = what_is_wrong(text, question, kind, others)
                if not wrong:
                    found = text
                    answers.keep(model.name, question, text)
                    break
                failed[name] = f"{wrong}: {text[:100]!r}" if text else wrong
        except OvsskitError as error:
            if isinstance(error, NoAnswer):
                error.what = f"`{name}`: {error.what}"
                error.fix = " ".join(part for part in (error.fix, GO_ON) if part)
            raise
        if found is not None:
            failed.pop(name, None)
            texts[name] = found
        told(name)
    if failed:
        lines = [f"`{name}`: {wrong}" for name, wrong in list(failed.items())[:5]]
        more = [f"and {len(failed) - 5} more"] if len(failed) > 5 else []
        raise NoAnswer(
            (
                f"{model.name} gave no usable answer for {len(failed)} of {len(names)} classes, "
                f"asked {tries} times each."
            ),
            there="\n  ".join([*lines, *more]),
            fix=(
                f"Change the prompt (--prompt) or the model, or write these texts yourself. {GO_ON}"
            ),
        )
    return texts


GO_ON = "Answers are kept: the same command resumes where it stopped."


def clean(answer: str) -> str:
    """Return an answer without thoughts, marks and quotes, and without a short text's last stop."""
    text = answer.encode("utf-8", "replace").decode()  # an endpoint can send half a character
    return _bare(_bare(THOUGHT.sub("", text)).removesuffix("."))


def _bare(text: str) -> str:
    """Take blanks, marks and quotes from both ends until none is left."""
    while (bare := text.strip().strip(AROUND)) != text:
        text = bare
    return text


def what_is_wrong(text: str, question: str, kind: Kind, names: set[str]) -> str:
    """Say why an answer is not a text for a class, or return an empty text."""
    if not key_of(text):
        return "an empty answer"
    if len([line for line in text.splitlines() if line.strip()]) > 1:
        return "an answer of several lines"
    if REFUSALS.search(text):
        return "a refusal"
    if key_of(question) in key_of(text) or (
        len(text.split()) > MOST_WORDS["synonyms"] and key_of(text) in key_of(question)
    ):
        return "the question again"
    if key_of(text) in names:
        return "the name of a class"
    if len(text.split()) > MOST_WORDS[kind]:
        return f"more than {MOST_WORDS[kind]} words"
    return ""


def write_texts(
    path: Path, texts: dict[str, str], kind: Kind, model: str, *, force: bool = False
) -> None:
    """Write texts as a TOML file that a person can change and `expand_text` reads.

    Raises:
        BadOutput: the file is there already, and `force` does not say to replace it.
        CannotWrite: the file cannot be written.
    """
    see_free(path, force=force)
    document = tomlkit.document()
    document.add(
        tomlkit.comment(f"{kind.capitalize()} by {model}. Read them, and change what is wrong.")
    )
    document.add(
        tomlkit.comment("Looked up by name; capitals, spaces and hyphens make no difference.")
    )
    document.add(tomlkit.nl())
    for name, text in texts.items():
        document.add(name, tomlkit.string(text))
    write_text(path, tomlkit.dumps(document))
