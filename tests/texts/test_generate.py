"""Answers of language models become texts of classes; what goes wrong is told, and what was
answered is kept.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from ovsskit._lazy import transformers
from ovsskit.cli.__main__ import main
from ovsskit.errors import BadFile, BadOutput
from ovsskit.texts import models
from ovsskit.texts.generate import Answers, clean, read_prompt, what_is_wrong, write_texts
from ovsskit.texts.models import LocalModel
from ovsskit.texts.read import read_toml

KEY = "sk-a-secret-key"
Reply = tuple[int, str]


def completion(text: str | None) -> Reply:
    return 200, json.dumps({"choices": [{"message": {"role": "assistant", "content": text}}]})


@dataclass
class Server:
    """Stand for an endpoint: `reply` gives status and body for the name of a class and how often it
    was asked before.
    """

    url: str = ""
    reply: Callable[[str, int], Reply] = lambda name, times: completion(f"a thing like a {name}")
    asked: list[str] = field(default_factory=list)
    requests: list[tuple[str, dict[str, Any], str]] = field(default_factory=list)
    slow: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    told = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            name = body["messages"][0]["content"].split("<")[1].split(">")[0]
            status, text = told.reply(name, told.asked.count(name))
            told.asked.append(name)
            told.requests.append((self.path, body, self.headers["Authorization"]))
            if status == 0:
                told.slow.wait(20)
                return
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *arguments: Any) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    thread = threading.Thread(target=http.serve_forever, args=(0.01,))
    thread.start()
    told.url = f"http://127.0.0.1:{http.server_port}/v1"
    monkeypatch.setenv("OPENAI_BASE_URL", told.url)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.01)
    monkeypatch.setattr("openai._base_client.MAX_RETRY_DELAY", 0.01)
    yield told
    told.slow.set()
    http.shutdown()
    http.server_close()
    thread.join()


@dataclass
class Ran:
    status: int
    out: str
    error: str


Expand = Callable[..., Ran]


@pytest.fixture
def expand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Expand:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "prompt.txt").write_text("What is a <{}>?")

    def ran(
        *arguments: str,
        model: tuple[str, ...] = ("--model", "teller"),
        classes: str = "dog, ice cream",
    ) -> Ran:
        named = ("--classes", classes) if classes else ()
        monkeypatch.setattr(
            sys, "argv", ["ovsskit", "expand", *arguments, *model, *named, "--prompt", "prompt.txt"]
        )
        with pytest.raises(SystemExit) as stopped:
            main()
        captured = capfd.readouterr()
        assert KEY not in captured.out + captured.err
        return Ran(int(stopped.value.code or 0), captured.out, captured.err)

    return ran


def texts(path: Path) -> dict[str, str]:
    return {line.name: line.text for line in read_toml(path)}


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


def test_a_broken_answer_on_disk_is_asked_for_again(
    server: Server, expand: Expand, tmp_path: Path
) -> None:
    assert expand("--out", "one.toml", classes="dog").status == 0
    [kept] = (tmp_path / "cache" / "ovsskit" / "answers").glob("*.json")
    assert json.loads(kept.read_text()) == {
        "model": f"teller at {server.url}",
        "prompt": "What is a <dog>?",
        "answer": "a thing like a dog",
    }
    for broken in ("{", "[]", '{"answer": 3}'):
        kept.write_text(broken)
        assert expand("--out", "one.toml", "--force", classes="dog").status == 0
    assert server.asked == ["dog"] * 4


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


WORDS = [
    "<pad>",
    "<s>",
    "\n",
    *[
        "a",
        "big",
        "small",
        "round",
        "flat",
        "green",
        "blue",
        "red",
        "thing",
        "with",
        "legs",
        "wings",
        "and",
        "fur",
        "what",
        "is",
        "dog",
        "cat",
        "?",
        "<",
        ">",
    ],
]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a tiny random causal language model with a word for each token."""
    from tokenizers import Regex, Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Split

    folder = tmp_path_factory.mktemp("tiny")
    words = Tokenizer(WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="a"))
    words.pre_tokenizer = Split(Regex(r"\w+|\n|[^\w\s]"), "removed", invert=True)
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", eos_token="<s>"
    ).save_pretrained(folder)
    sizes = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    config = transformers.LlamaConfig(
        vocab_size=len(WORDS), max_position_embeddings=512, eos_token_id=1, bos_token_id=1, **sizes
    )
    torch.manual_seed(1)
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def test_a_model_on_this_machine_answers(
    tiny: Path, expand: Expand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "MOST_TOKENS", 6)
    ended = expand(
        "--tries", "9", model=("--local", str(tiny), "--device", "cpu"), classes="dog, cat"
    )
    assert ended.status == 0, ended.error
    found = texts(tmp_path / "definitions.toml")
    assert list(found) == ["dog", "cat"]
    assert all(word in WORDS for text in found.values() for word in text.split())
    assert f"by {tiny}." in (tmp_path / "definitions.toml").read_text()


def test_another_attempt_gives_another_answer_the_same_each_time(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "MOST_TOKENS", 40)
    model = LocalModel(str(tiny), "cpu")
    before = torch.random.get_rng_state()
    answers = [model.answer("what is a dog ?", attempt) for attempt in (0, 0, 1, 1, 2)]
    assert torch.equal(torch.random.get_rng_state(), before)
    assert answers[0] == answers[1]
    assert answers[2] == answers[3]
    assert len(set(answers)) > 1
    assert not any("\n" in answer or "<s>" in answer for answer in answers)


def test_a_model_that_chats_is_asked_in_its_own_form(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    model = LocalModel(str(tiny), "cpu")
    tokenizer, network = model.parts
    tokenizer.chat_template = "{% for one in messages %}< {{ one.content }} >{% endfor %}"
    generate = network.generate
    monkeypatch.setattr(
        network,
        "generate",
        lambda input_ids, **more: (
            seen.append(tokenizer.decode(input_ids[0])) or generate(input_ids, **more)
        ),
    )
    model.answer("what is dog", 0)
    assert seen == ["< what is dog >"]


def test_what_is_no_language_model_is_told(expand: Expand, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    ended = expand(model=("--local", "empty", "--device", "cpu"))
    assert ended.status == 1
    assert ended.error.startswith(
        "empty  OV406  no usable answer\n  `dog`: This is not a causal language model: "
    )


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


def test_a_folder_of_others_takes_no_answers(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(BadOutput, match="not kept there"):
        Answers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_answers_that_were_kept_before_folders_were_marked_are_used(tmp_path: Path) -> None:
    kept = Answers(tmp_path / "kept")
    kept.keep("model", "prompt", "answer")
    (tmp_path / "kept" / "CACHEDIR.TAG").unlink()
    assert Answers(tmp_path / "kept").find("model", "prompt") == "answer"


def test_a_file_that_appears_while_the_model_is_asked_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "one.toml"
    path.write_text("mine")
    with pytest.raises(BadOutput, match="already exists"):
        write_texts(path, {"dog": "a dog"}, "definitions", "model")
    assert path.read_text() == "mine"
    write_texts(path, {"dog": "a dog"}, "definitions", "model", force=True)
    assert "a dog" in path.read_text()
