"""A model hub on this machine that serves small repositories, and fails in the ways in which the
real one does.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

LFS = (".safetensors", ".bin")
"""Endings of the files that the hub stores apart, under the SHA-256 of their content."""


@dataclass
class Repository:
    """Hold a repository of one commit, which has the branch `main`."""

    files: dict[str, bytes]
    licence: str = "mit"

    @property
    def commit(self) -> str:
        content = "".join(
            f"{name}{hashlib.sha1(data).hexdigest()}" for name, data in sorted(self.files.items())
        )
        return hashlib.sha1(content.encode()).hexdigest()

    def entry(self, name: str) -> dict[str, Any]:
        """Return what the hub says of a file."""
        data = self.files[name]
        found: dict[str, Any] = {"size": len(data), "oid": git_digest(data)}
        if name.endswith(LFS):
            found["lfs"] = {
                "oid": hashlib.sha256(data).hexdigest(),
                "size": len(data),
                "pointerSize": 130,
            }
        return found

    def etag(self, name: str) -> str:
        entry = self.entry(name)
        return str(entry["lfs"]["oid"] if "lfs" in entry else entry["oid"])


@dataclass
class Fault:
    """Say what goes wrong with a request, and how often; `status` 0 means that it is answered, but
    badly.
    """

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    times: int = 10**9
    cut_after: int | None = None
    flip: bool = False
    wait: threading.Event | None = None


def git_digest(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Server(ThreadingHTTPServer):
    """Serve without a word when a client goes away."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


class FakeHub:
    """Serve repositories, note what was asked for, and fail where it is told to.

    Places to fail are `api` and the names of files.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.faults: dict[str, Fault] = {}
        self.asked: list[tuple[str, str, str]] = []
        self.sent = 0
        self.streaming = threading.Event()
        self._server = Server(("127.0.0.1", 0), _handler(self))
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def add(self, name: str, files: Mapping[str, bytes | str]) -> Repository:
        made = {
            key: data.encode() if isinstance(data, str) else data for key, data in files.items()
        }
        self.repositories[name] = Repository(made)
        return self.repositories[name]

    def fetched(self) -> list[str]:
        """Return the files whose content was asked for, in order."""
        return [
            path.rsplit("/", 1)[1]
            for method, path, _ in self.asked
            if method == "GET" and "/resolve/" in path
        ]

    def fault(self, place: str) -> Fault | None:
        """Return what goes wrong at a place this time."""
        found = self.faults.get(place)
        if found is None or found.times < 1:
            return None
        found.times -= 1
        return found

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(hub: FakeHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments: Any) -> None:
            pass

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            hub.asked.append((self.command, path, self.headers.get("Range", "")))
            if found := re.fullmatch(
                r"/api/models/([^/]+/[^/]+)(?:/(revision|tree)/([^/]+))?", path
            ):
                self._api(found[1], found[2] or "revision", found[3] or "main")
            elif found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
                self._file(found[1], found[2], found[3])
            else:
                self._say(404, {})

        def _api(self, name: str, what: str, revision: str) -> None:
            repository = self._find(name, revision, "api")
            if repository is None:
                return
            entries = [
                {"path": file, "type": "file", **repository.entry(file)}
                for file in repository.files
            ]
            if what == "tree":
                self._say(200, {}, entries)
                return
            siblings = [
                {"rfilename": one["path"], "size": one["size"], "blobId": one["oid"]}
                for one in entries
            ]
            for sibling, one in zip(siblings, entries, strict=True):
                if "lfs" in one:
                    lfs = one["lfs"]
                    sibling["lfs"] = {"sha256": lfs["oid"], "size": lfs["size"], "pointerSize": 130}
            card = {"license": repository.licence}
            self._say(
                200,
                {},
                {
                    "id": name,
                    "modelId": name,
                    "sha": repository.commit,
                    "siblings": siblings,
                    "cardData": card,
                },
            )

        def _file(self, name: str, revision: str, file: str) -> None:
            fault = hub.fault(file) if self.command == "GET" else None
            repository = self._find(name, revision, "resolve", fault)
            if repository is None:
                return
            if file not in repository.files:
                self._say(404, {"X-Error-Code": "EntryNotFound"})
                return
            data, entry = repository.files[file], repository.entry(file)
            headers = {
                "ETag": f'"{repository.etag(file)}"',
                "X-Repo-Commit": repository.commit,
                "Accept-Ranges": "bytes",
            }
            if "lfs" in entry:
                headers |= {"X-Linked-Etag": headers["ETag"], "X-Linked-Size": str(len(data))}
            start = int(
                (self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").split("-")[0]
            )
            if start:
                headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            if fault is not None and fault.flip:
                data = data[:-1] + bytes([data[-1] ^ 1])
            self.send_response(206 if start else 200)
            for key, value in {**headers, "Content-Length": str(len(data) - start)}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command == "GET":
                self._send(data[start:], fault)

        def _send(self, data: bytes, fault: Fault | None) -> None:
            sent = data if fault is None or fault.cut_after is None else data[: fault.cut_after]
            self.wfile.write(sent)
            self.wfile.flush()
            hub.sent += len(sent)
            hub.streaming.set()
            if fault is not None and fault.wait is not None:
                fault.wait.wait(60)
            self.close_connection = len(sent) < len(data)

        def _find(
            self, name: str, revision: str, place: str, fault: Fault | None = None
        ) -> Repository | None:
            """Return a repository, unless the request fails, and then answer so."""
            fault = hub.fault(place) if place == "api" else fault
            if fault is not None and fault.wait is not None and not fault.status and place == "api":
                fault.wait.wait(60)
            if fault is not None and fault.status:
                self._say(fault.status, fault.headers)
                return None
            repository = hub.repositories.get(name)
            if repository is None:
                self._say(401, {"X-Error-Code": "RepoNotFound"})
                return None
            if revision not in ("main", repository.commit):
                self._say(404, {"X-Error-Code": "RevisionNotFound"})
                return None
            return repository

        def _say(self, status: int, headers: Mapping[str, str], content: Any = None) -> None:
            body = json.dumps(content if content is not None else {"error": "no"}).encode()
            self.send_response(status)
            for key, value in {
                **headers,
                "Content-Type": "application/json",
                "Content-Length": str(len(body)),
            }.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

    return Handler


@contextmanager
def serving() -> Iterator[FakeHub]:
    """Run a hub as long as it is needed."""
    hub = FakeHub()
    try:
        yield hub
    finally:
        hub.close()
