"""What stands for an endpoint of language models, and what the command said."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ovsskit.texts.read import read_toml

KEY = "sk-a-secret-key"
Reply = tuple[int, str]


def completion(text: str | None) -> Reply:
    """Return what an endpoint answers."""
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


@dataclass
class Ran:
    """Hold the exit status of a command, and what it wrote."""

    status: int
    out: str
    error: str


Expand = Callable[..., Ran]


def texts(path: Path) -> dict[str, str]:
    """Return the texts of a file by their classes."""
    return {line.name: line.text for line in read_toml(path)}
