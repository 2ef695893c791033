"""Ask language models: one on this machine, or one behind an OpenAI-compatible endpoint."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from ovsskit._lazy import torch, transformers
from ovsskit.errors import MissingExtra, NoAnswer, Place
from ovsskit.hub.weights import ANY, HubFiles, need_weights

OPENAI = "https://api.openai.com/v1"
MOST_TOKENS = 120
"""How long an answer of a model on this machine may become."""
TOKENIZERS = ("tokenizer.json", "*.model", "vocab.txt", "vocab.json", "*.tiktoken")
FILES = HubFiles(
    ANY.weights, tuple((name,) for name in TOKENIZERS), "config.json", (*ANY.beside, "*.tiktoken")
)
"""What is read of a language model: any of the tokenizers that transformers knows."""


class LanguageModel(ABC):
    """Answer a prompt."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Return what answers are filed under; it holds no secret."""

    @abstractmethod
    def answer(self, prompt: str, attempt: int) -> str:
        """Return an answer; another one for another attempt (from 0), if the model can.

        Raises:
            NoAnswer: the model cannot be asked.
        """


class Endpoint(LanguageModel):
    """Ask a model at an OpenAI-compatible endpoint (`OPENAI_BASE_URL`, key `OPENAI_API_KEY`).

    The key goes to that address alone. It is neither shown nor recorded.
    """

    def __init__(self, model: str, *, tries: int, timeout: float) -> None:
        self.model, self.tries, self.timeout = model, tries, timeout
        self.key = os.environ.get("OPENAI_API_KEY", "")
        self.url = os.environ.get("OPENAI_BASE_URL") or OPENAI

    @property
    def address(self) -> str:
        """Return the endpoint's address without what may stand in it to log in."""
        parts = urlsplit(self.url)
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=""))

    @property
    def name(self) -> str:
        """Return address and model."""
        return f"{self.model} at {self.address}"

    @cached_property
    def client(self) -> Any:
        """Return the client of the endpoint, which tries again by itself where that may help.

        Raises:
            MissingExtra: the package `openai` is not installed.
        """
        try:
            import openai
        except ImportError as error:
            raise MissingExtra(
                "Asking an endpoint needs the package `openai`.", fix='pip install "ovsskit[llm]"'
            ) from error
        return openai.OpenAI(
            base_url=self.url,
            api_key=self.key or "none",
            timeout=self.timeout,
            max_retries=self.tries - 1,
        )

    def answer(self, prompt: str, attempt: int) -> str:
        """Return an answer, or an empty text where what comes back is not an answer.

        Raises:
            NoAnswer: the endpoint cannot be reached, refuses, or keeps failing.
        """
        client = self.client
        import openai

        try:
            completion = client.chat.completions.create(
                model=self.model, messages=[{"role": "user", "content": prompt}]
            )
        except openai.OpenAIError as error:
            raise self._explain(error) from None  # what it came from may show the key
        except ValueError:  # no JSON
            return ""
        try:
            return str(completion.choices[0].message.content or "")
        except (AttributeError, IndexError, TypeError):
            return ""

    def _explain(self, error: Exception) -> NoAnswer:
        status = getattr(error, "status_code", None)
        where = Place(self.address)
        if status in (401, 403):
            there = "OPENAI_API_KEY is set." if self.key else "OPENAI_API_KEY is not set."
            return NoAnswer(
                f"The endpoint refuses the key (status {status}).", there=there, where=where
            )
        if status == 404:
            fix = "Look at --model and OPENAI_BASE_URL."
            return NoAnswer(
                f"The endpoint has no model `{self.model}`, or is not an endpoint (status 404).",
                fix=fix,
                where=where,
            )
        if status is not None:
            what = (
                f"The endpoint failed with status {status}, {self.tries} times."
                if status >= 408
                else f"The endpoint refuses the request (status {status})."
            )
            return NoAnswer(
                what, there=self._hide(str(getattr(error, "message", "")))[:300], where=where
            )
        if type(error).__name__ == "APITimeoutError":
            return NoAnswer(
                f"The endpoint gave no answer within {self.timeout:g} seconds, {self.tries} times.",
                where=where,
            )
        return NoAnswer(
            "The endpoint cannot be reached.",
            fix="Look at OPENAI_BASE_URL, and at the network.",
            where=where,
        )

    def _hide(self, text: str) -> str:
        return text.replace(self.key, "***") if self.key else text


class LocalModel(LanguageModel):
    """Ask a causal language model of transformers on this machine, given by hub id or folder.

    The first attempt takes the likeliest words, further ones draw them at random, each in the same
    way every time.
    """

    def __init__(self, weights: str, device: str) -> None:
        self.weights, self.device = weights, device

    @property
    def name(self) -> str:
        """Return hub id or folder."""
        folder = Path(self.weights).expanduser()
        return str(folder.resolve()) if folder.exists() else self.weights

    @cached_property
    def parts(self) -> tuple[Any, Any]:
        """Return tokenizer and network.

        Raises:
            MissingWeights: they are neither local nor downloadable.
            NoAnswer: they are of no causal language model.
        """
        folder = str(need_weights(self.weights, "main", Path(), FILES))
        try:
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
            network = transformers.AutoModelForCausalLM.from_pretrained(
                folder, local_files_only=True, dtype="auto"
            )
        except (OSError, ValueError, KeyError) as error:
            what = f"This is not a causal language model: {str(error).splitlines()[0][:200]}"
            raise NoAnswer(
                what, fix="Name one by hub id or folder.", where=Place(self.weights)
            ) from error
        return tokenizer, network.to(self.device).eval()

    def answer(self, prompt: str, attempt: int) -> str:
        """Return the model's text after the prompt; its first line if the model is not tuned."""
        tokenizer, network = self.parts
        chats = bool(tokenizer.chat_template)
        if chats:
            message = [{"role": "user", "content": prompt}]
            inputs = tokenizer.apply_chat_template(
                message, add_generation_prompt=True, return_tensors="pt", return_dict=True
            )
        else:
            inputs = tokenizer(f"{prompt.strip()}\n", return_tensors="pt")
        inputs = inputs.to(self.device)
        filler = (
            tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
        )
        with torch.no_grad(), torch.random.fork_rng():
            torch.manual_seed(attempt)
            tokens = network.generate(
                **inputs, max_new_tokens=MOST_TOKENS, do_sample=attempt > 0, pad_token_id=filler
            )
        text = str(
            tokenizer.decode(tokens[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        ).strip()
        return text if chats else text.partition("\n")[0]
