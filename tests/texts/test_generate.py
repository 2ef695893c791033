"""Answers of language models become texts of classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from endpoint import KEY, Expand, Server, completion, texts
from hypothesis import example, given
from hypothesis import strategies as st

from ovsskit.errors import BadFile, BadOutput
from ovsskit.texts.generate import clean, read_prompt, what_is_wrong, write_texts
from ovsskit.texts.read import read_toml


def test_answers_become_a_file_that_can_be_read_and_changed(
    server: Server, expand: Expand, tmp_path: Path
) -> None:
    server.reply = lambda name, times: completion(
        f'<think>hm</think>\n "A thing like a \\"{name}\\"."\n'
    )
    ended = expand()
    assert (ended.status, ended.error) == (0, "")
    assert ended.out == (
        "wrote definitions.toml: 2 definitions\n"
        "read them, correct what is wrong, then: --set expand_text.file=definitions.toml\n"
    )
    assert texts(tmp_path / "definitions.toml") == {
        "dog": 'A thing like a \\"dog\\',
        "ice cream": 'A thing like a \\"ice cream\\',
    }
    assert (
        (tmp_path / "definitions.toml")
        .read_text()
        .startswith(f"# Definitions by teller at {server.url}. Read them")
    )
    path, body, key = server.requests[0]
    assert (path, body, key) == (
        "/v1/chat/completions",
        {"model": "teller", "messages": [{"role": "user", "content": "What is a <dog>?"}]},
        f"Bearer {KEY}",
    )
    everything = "".join(one.read_text() for one in tmp_path.rglob("*") if one.is_file())
    assert KEY not in everything
    assert not list(tmp_path.rglob("*.part"))


def test_nothing_is_asked_twice(server: Server, expand: Expand) -> None:
    assert expand("--out", "one.toml").status == 0
    assert expand("--out", "two.toml", classes="dog, cat, ice cream").status == 0
    assert server.asked == ["dog", "ice cream", "cat"]
    assert expand("--out", "three.toml", model=("--model", "other")).status == 0
    assert server.asked[3:] == ["dog", "ice cream"]


def test_a_file_that_is_there_is_kept(server: Server, expand: Expand, tmp_path: Path) -> None:
    (tmp_path / "definitions.toml").write_text('dog = "mine"\n')
    ended = expand()
    assert (ended.status, server.asked) == (2, [])
    assert "give --force" in ended.error
    assert expand("--force").status == 0
    assert texts(tmp_path / "definitions.toml")["dog"] == "a thing like a dog"


def test_classes_come_from_a_recipe(server: Server, expand: Expand, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(
        '[vocabulary]\nnames = ["sky, wall", "cat, kitten"]\nfirst_is_background = true\n'
        '[[stage]]\nuse = "all_classes"\n'
    )
    assert expand("mine.toml", classes="").status == 0
    assert server.asked == ["cat"]


def test_synonyms_have_a_prompt_and_a_length_of_their_own(
    server: Server, expand: Expand, tmp_path: Path
) -> None:
    replies = {0: "a rather long way to say what is short", 1: "hound"}
    server.reply = lambda name, times: completion(replies[times])
    assert expand("--kind", "synonyms", classes="dog").status == 0
    assert texts(tmp_path / "synonyms.toml") == {"dog": "hound"}
    assert read_prompt("synonyms", None) != read_prompt("definitions", None)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"model": ()}, "One model is needed"),
        ({"model": ("--model", "a", "--local", "b")}, "Two models are named"),
        ({"classes": ""}, "Nothing says which classes to look for"),
    ],
)
def test_bad_options_are_told(expand: Expand, options: dict[str, Any], what: str) -> None:
    ended = expand(**options)
    assert ended.status == 2
    assert what in ended.error


@pytest.mark.parametrize(
    ("text", "what"),
    [("no place", "no place for the class"), (None, "No such file"), (b"\xff{}", "not UTF-8")],
)
def test_a_bad_prompt_is_named(tmp_path: Path, text: str | bytes | None, what: str) -> None:
    path = tmp_path / "mine.txt"
    if text is not None:
        path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(BadFile, match=what) as caught:
        read_prompt("definitions", path)
    assert str(caught.value).startswith(f"{path}  OV304")


@example(text="'\r0")
@given(text=st.text(max_size=80))
def test_any_answer_is_either_refused_or_survives_the_file(
    text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    cleaned = clean(text)
    if not what_is_wrong(cleaned, "What is a <dog>?", "definitions", {"dog"}):
        path = tmp_path_factory.mktemp("texts") / "mine.toml"
        write_texts(
            path, {"ice cream": cleaned, "dog's": cleaned}, "definitions", "a model\nof two lines"
        )
        assert [line.text for line in read_toml(path)] == [cleaned, cleaned]


def test_a_file_that_appears_while_the_model_is_asked_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "one.toml"
    path.write_text("mine")
    with pytest.raises(BadOutput, match="already exists"):
        write_texts(path, {"dog": "a dog"}, "definitions", "model")
    assert path.read_text() == "mine"
    write_texts(path, {"dog": "a dog"}, "definitions", "model", force=True)
    assert "a dog" in path.read_text()
