"""Language models on this machine answer, too."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from endpoint import Expand, texts

from ovsskit._lazy import transformers
from ovsskit.texts import models
from ovsskit.texts.models import LocalModel

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
