"""What goes wrong at an endpoint of language models is told, and what was answered is kept."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from endpoint import KEY, Expand, Reply, Server, completion, texts

from ovsskit.texts.generate import clean

NONSENSE = {
    "": "an empty answer",
    "\ud800": "an empty answer",
    '"."': "an empty answer",
    "I'm sorry, I cannot help with that": "a refusal",
    "As an AI, I see nothing": "a refusal",
    "Dog": "the name of a class",
    "ice-cream": "the name of a class",
    "What is a <dog>?": "the question again",
    "Here it is:\n\na pet": "an answer of several lines",
    "very " * 51 + "big": "more than 50 words",
}


@pytest.mark.parametrize("answer", NONSENSE)
def test_nonsense_is_asked_again_and_then_told(
    server: Server, expand: Expand, tmp_path: Path, answer: str
) -> None:
    server.reply = lambda name, times: completion(
        answer if name == "dog" else "a sweet frozen cream"
    )
    ended = expand("--tries", "2")
    shown = clean(answer)
    wrong = NONSENSE[answer] + (f": {shown[:100]!r}" if shown else "")
    assert ended.status == 1
    assert ended.error == (
        "OV406  no usable answer\n"
        f"  teller at {server.url} gave no usable answer for 1 of 2 classes, asked 2 times each.\n"
        f"  `dog`: {wrong}\n"
        "  Change the prompt (--prompt) or the model, or write these texts yourself. "
        "Answers are kept: the same command resumes where it stopped.\n"
    )
    assert server.asked == ["dog", "dog", "ice cream"]
    assert not (tmp_path / "definitions.toml").exists()
    server.reply = lambda name, times: completion("a pet")
    assert expand().status == 0
    assert server.asked == ["dog", "dog", "ice cream", "dog"]
    assert texts(tmp_path / "definitions.toml") == {
        "dog": "a pet",
        "ice cream": "a sweet frozen cream",
    }


FAILURES: dict[str, tuple[Reply, int, str]] = {
    "key": (
        (401, json.dumps({"error": {"message": f"Incorrect API key provided: {KEY}"}})),
        1,
        "  `ice cream`: The endpoint refuses the key (status 401).\n  OPENAI_API_KEY is set.\n",
    ),
    "model": (
        (404, "{}"),
        1,
        "  `ice cream`: The endpoint has no model `teller`, or is not an endpoint (status 404).\n",
    ),
    "request": ((400, "{}"), 1, "  `ice cream`: The endpoint refuses the request (status 400).\n"),
    "server": (
        (500, json.dumps({"error": {"message": f"broken by {KEY}"}})),
        3,
        "  `ice cream`: The endpoint failed with status 500, 3 times.\n",
    ),
    "limit": ((429, "{}"), 3, "  `ice cream`: The endpoint failed with status 429, 3 times.\n"),
    "time": ((0, ""), 3, "  `ice cream`: The endpoint gave no answer within 1 seconds, 3 times.\n"),
}


@pytest.mark.parametrize("what", FAILURES)
def test_a_failing_endpoint_is_told_and_answers_are_kept(
    server: Server, expand: Expand, tmp_path: Path, what: str
) -> None:
    reply, times, message = FAILURES[what]
    server.reply = lambda name, times: completion("a pet") if name == "dog" else reply
    ended = expand("--timeout", "1")
    assert ended.status == 1
    assert ended.error.startswith(f"{server.url}  OV406  no usable answer\n{message}")
    assert ended.error.endswith("Answers are kept: the same command resumes where it stopped.\n")
    assert server.asked == ["dog", *["ice cream"] * times]
    assert not (tmp_path / "definitions.toml").exists()
    server.reply = lambda name, times: completion("a sweet")
    assert expand().status == 0
    assert texts(tmp_path / "definitions.toml") == {"dog": "a pet", "ice cream": "a sweet"}


@pytest.mark.parametrize(
    "body",
    [
        "{",
        "[]",
        "{}",
        '{"choices": []}',
        '{"choices": [{"message": null}]}',
        '"text"',
        completion(None)[1],
    ],
)
def test_what_is_no_completion_is_an_empty_answer(
    server: Server, expand: Expand, body: str
) -> None:
    server.reply = lambda name, times: (200, body)
    ended = expand("--tries", "2", classes="dog")
    assert ended.status == 1
    assert "`dog`: an empty answer" in ended.error
    assert server.asked == ["dog", "dog"]


def test_an_endpoint_that_is_not_there_is_told(
    server: Server, expand: Expand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://name:password@127.0.0.1:9/v1")
    ended = expand("--tries", "2")
    assert ended.status == 1
    assert ended.error.startswith(
        "http://127.0.0.1:9/v1  OV406  no usable answer\n  `dog`: The endpoint cannot be reached.\n"
    )
    assert "password" not in ended.error


def test_without_a_key_none_is_sent(
    server: Server, expand: Expand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.setenv("HF_TOKEN", "hf-another-secret")
    assert expand().status == 0
    assert server.requests[0][2] == "Bearer none"


def test_without_the_package_it_says_what_to_install(
    expand: Expand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    ended = expand()
    assert ended.status == 2
    assert ended.error == (
        "OV405  missing package\n  Asking an endpoint needs the package `openai`.\n"
        '  pip install "ovsskit[llm]"\n'
    )


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGINT to send")
def test_ctrl_c_keeps_what_was_answered(server: Server, tmp_path: Path) -> None:
    reached = threading.Event()

    def reply(name: str, times: int) -> Reply:
        if name == "dog":
            return completion("a pet")
        reached.set()
        return 0, ""

    server.reply = reply
    (tmp_path / "prompt.txt").write_text("What is a <{}>?")
    command = [
        sys.executable,
        "-m",
        "ovsskit",
        "expand",
        "--model",
        "teller",
        "--classes",
        "dog, cat",
        "--prompt",
        "prompt.txt",
    ]
    running = subprocess.Popen(
        [*command, "--answers", "kept"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert reached.wait(600)
    running.send_signal(signal.SIGINT)
    _, error = running.communicate(timeout=600)
    assert (running.returncode, error) == (130, "stopped; run the same command to resume\n")
    assert len(list((tmp_path / "kept").glob("*.json"))) == 1
