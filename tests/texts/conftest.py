"""An endpoint that stands for a language model, and the command that asks it."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from endpoint import KEY, Expand, Ran, Server

from ovsskit.cli.__main__ import main


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
