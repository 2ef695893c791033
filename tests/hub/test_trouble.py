"""Whatever keeps weights from coming is said in a sentence of its own, with what would fix it."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_hub import FakeHub, Fault
from huggingface_hub import constants
from huggingface_hub.utils import _http

from ovsskit.backbones.clip.clip import Clip
from ovsskit.errors import MissingWeights
from ovsskit.hub import download as client

NAME = "some/clip"
WEIGHTS = "open_clip_model.safetensors"
SECRET = "hf_abcdefghijklmnop"


def trouble() -> str:
    with pytest.raises(MissingWeights) as caught:
        Clip(weights=NAME).need_weights()
    return str(caught.value)


@pytest.mark.parametrize(
    ("fault", "what", "fix"),
    [
        (Fault(403, {"X-Error-Code": "GatedRepo"}), "people who accept their terms",
         "/some/clip, then log in"),
        (Fault(401, {"X-Error-Code": "RepoNotFound"}), "no such repository, or it is a private one",
         "HF_TOKEN"),
        (Fault(401), "does not accept your token", "hf auth login"),
        (Fault(403), "refuses the request (status 403)", "hf auth login"),
        (Fault(404, {"X-Error-Code": "RevisionNotFound"}), "has no revision `main`", "/some/clip"),
        (Fault(407), "the proxy asks for a password", "HTTPS_PROXY"),
        (Fault(429, {"Retry-After": "120"}), "too many requests", "in 120 seconds"),
        (Fault(429), "too many requests", "in some minutes"),
        (Fault(500), "the hub itself has a problem (status 500)", "Wait a while"),
        (Fault(503), "the hub itself has a problem (status 503)", "Wait a while"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("place", ["api", WEIGHTS])
def test_every_refusal_has_its_own_sentence(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch, fault: Fault, what: str, fix: str, place: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", SECRET)
    hub.faults[place] = Fault(fault.status, fault.headers)
    said = trouble()
    assert f"`{NAME}` is not on this machine, and " in said
    assert what in said
    assert fix in said
    assert "RECIPE" not in said
    assert SECRET not in said


def test_the_first_question_is_asked_again_while_trouble_may_pass(hub: FakeHub) -> None:
    hub.faults["api"] = Fault(503, times=2)
    assert Clip(weights=NAME).need_weights()
    hub.asked.clear()
    hub.faults["api"] = Fault(403, {"X-Error-Code": "GatedRepo"})
    with pytest.raises(MissingWeights):
        Clip(weights="other/clip").need_weights()
    assert len(hub.asked) == 1


def raising(error: Exception) -> Callable[..., None]:
    def fail(*arguments: object, **options: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "what", "fix"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full", "Make room in"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "the disk is full", "HF_HUB_CACHE"),
        (PermissionError(errno.EACCES, "Permission denied", "/x"),
         "cannot be written (Permission denied)", "Make /x writable"),
        (OSError(errno.EROFS, "Read-only file system"), "cannot be written", "HF_HUB_CACHE"),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "/x"),
         "cannot be used (Not a directory: /x)", "HF_HUB_CACHE"),
        (RuntimeError("something\nelse"), "client failed (RuntimeError: something)", "again"),
    ],
)  # fmt: skip
def test_disks_that_take_nothing(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch, error: Exception, what: str, fix: str
) -> None:
    monkeypatch.setattr("huggingface_hub.file_download.http_get", raising(error))
    said = trouble()
    assert what in said
    assert fix in said


def test_a_cache_that_cannot_be_made(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "file" / "hub"))
    assert f"cannot be used (Not a directory: {tmp_path}/file" in trouble()


def test_without_a_network(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up(host: str, *arguments: object, **options: object) -> None:
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    said = trouble()
    assert "cannot be looked up: there seems to be no network" in said
    assert "name their folder as `weights`" in said


def test_nobody_answers_at_the_address(hub: FakeHub) -> None:
    hub.close()
    assert "no connection to the hub can be made" in trouble()


def test_a_proxy_is_named_where_no_connection_can_be_made(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("http_proxy", f"http://me:{SECRET}@127.0.0.1:{unused.getsockname()[1]}")
        _http.close_session()
        said = trouble()
    assert "Check HTTPS_PROXY" in said
    assert SECRET not in said


def test_a_proxy_that_refuses(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", raising(_http.httpx2.ProxyError("no")))  # type: ignore[attr-defined]
    assert "the proxy does not let the request through" in trouble()


def test_a_certificate_that_does_not_hold(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    error = _http.httpx2.ConnectError("CERTIFICATE_VERIFY_FAILED")  # type: ignore[attr-defined]
    error.__cause__ = ssl.SSLCertVerificationError("self-signed")
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", raising(error))
    assert "its certificate is not valid" in trouble()


def test_a_hub_that_is_silent(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    release = threading.Event()
    hub.faults["api"] = Fault(wait=release)
    monkeypatch.setattr(client, "TIMEOUT", 0.05)
    try:
        assert "the hub did not answer in time" in trouble()
    finally:
        release.set()


def test_a_hub_that_falls_silent(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    release = threading.Event()
    hub.faults[WEIGHTS] = Fault(cut_after=0, wait=release)
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.05)
    try:
        assert "the hub did not answer in time" in trouble()
    finally:
        release.set()


def test_offline(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    said = trouble()
    assert "HF_HUB_OFFLINE prevents requests to the hub" in said
    assert not hub.asked


def test_what_is_no_name_at_all(hub: FakeHub) -> None:
    with pytest.raises(MissingWeights, match="not a name of a hub repository either"):
        Clip(weights="some/where/else").need_weights()
