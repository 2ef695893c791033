from __future__ import annotations

import io
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import PIL.Image
import pytest

from ovsskit.engine.images import read_image
from ovsskit.errors import NoImages
from ovsskit.files import bringing
from ovsskit.files.inputs import find_images


def png() -> bytes:
    file = io.BytesIO()
    PIL.Image.new("RGB", (5, 4), "red").save(file, "PNG")
    return file.getvalue()


class Server(BaseHTTPRequestHandler):
    asked: list[str] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path.startswith("/gone"):
            self.send_error(404)
        elif self.path == "/leads/to/a/file":
            self.send_response(302)
            self.send_header("Location", "file:///etc/hostname")
            self.end_headers()
        else:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(png())

    def log_message(self, *what: object) -> None:
        """Print nothing."""


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("OVSSKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(Server, "asked", [])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_address_is_fetched_once_and_kept(address: str, tmp_path: Path) -> None:
    [path] = find_images(f"{address}/photos/my%20dog.png?size=2")
    assert path.name == "my dog.png"
    assert path.is_relative_to(tmp_path / "cache")
    assert read_image(path).size == (4, 5)
    assert find_images(f"{address}/photos/my%20dog.png?size=2") == [path]
    assert read_image(f"{address}/photos/my%20dog.png?size=2").name == "my dog"
    assert len(Server.asked) == 1
    [other] = find_images(f"{address}/more/my%20dog.png")
    assert other != path


def test_lists_hold_addresses_too(address: str, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(f"{address}/a.png\n{address}/b.png\n")
    assert [path.name for path in find_images(str(tmp_path / "list.txt"))] == ["a.png", "b.png"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/gone.png", "answers 404: Not Found"),
        ("/leads/to/a/file", "answers 302: "),
    ],
)
def test_what_cannot_be_had(address: str, path: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(NoImages, match=message) as caught:
        find_images(address + path)
    assert str(caught.value.where) == address + path
    assert not [one for one in (tmp_path / "cache").rglob("*") if one.is_file()]


def test_a_server_that_is_not_there(address: str) -> None:
    with pytest.raises(NoImages, match="cannot be reached"):
        find_images("http://127.0.0.1:1/x.png")
    with pytest.raises(NoImages, match="cannot be reached"):
        find_images("http://[::1/x.png")


def test_what_is_too_large_is_not_kept(
    address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(bringing, "MOST_BYTES", 10)
    with pytest.raises(NoImages, match="has more than 0 MB"):
        find_images(f"{address}/x.png")
    assert not [one for one in (tmp_path / "cache").rglob("*") if one.is_file()]


def test_standard_input(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(png())))
    [path] = find_images(["-"])
    assert path.name.startswith("stdin_")
    assert read_image(path).size == (4, 5)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(png())))
    assert find_images(["-"]) == [path]
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO()))
    with pytest.raises(NoImages, match="Standard input is empty"):
        find_images(["-"])
