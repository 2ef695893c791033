"""Put photos into remote folders: fsspec's memory, and a local server that speaks S3."""

from __future__ import annotations

import io
from collections.abc import Iterator
from urllib.request import urlopen

import fsspec
import PIL.Image
import pytest

COLOURS = {"a": "red", "deep/b": "lime", "deep/er/c": "blue", "d e": "red", "z": "blue"}
KEYS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
}


def photo(colour: str) -> bytes:
    content = io.BytesIO()
    PIL.Image.new("RGB", (20, 10), colour).save(content, "PNG")
    return content.getvalue()


def put_photos(address: str) -> None:
    """Write photos, and what is none, below an address."""
    files, root = fsspec.core.url_to_fs(address)
    for folder in ("deep/er", ".hidden", "old/masks"):
        files.makedirs(f"{root}/{folder}", exist_ok=True)
    for name, colour in COLOURS.items():
        files.pipe_file(f"{root}/{name}.png", photo(colour))
    files.pipe_file(f"{root}/notes.md", b"no image")
    files.pipe_file(f"{root}/.hidden/x.png", photo("red"))
    files.pipe_file(f"{root}/old/run.json", b'{\n "ovsskit": "1"}')
    files.pipe_file(f"{root}/old/masks/x.png", photo("red"))


@pytest.fixture
def memory() -> Iterator[str]:
    """Give an empty bucket in fsspec's memory."""
    files = fsspec.filesystem("memory")
    files.store.clear()
    files.pseudo_dirs[:] = [""]
    yield "memory://bucket"
    files.store.clear()
    files.pseudo_dirs[:] = [""]


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Give an empty bucket of a local server that speaks S3."""
    pytest.importorskip("s3fs", reason="the extra `remote` is not installed")
    server = pytest.importorskip("moto.server", reason="moto[server] is not installed")
    import s3fs

    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    s3fs.S3FileSystem.clear_instance_cache()
    try:
        with urlopen(f"http://{host}:{port}/moto-api/reset", data=b""):
            pass  # servers of a process share what they hold
        s3fs.S3FileSystem().mkdir("bucket")
        yield "s3://bucket"
    finally:
        s3fs.S3FileSystem.clear_instance_cache()
        running.stop()


@pytest.fixture(params=["memory", "s3"])
def bucket(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))
