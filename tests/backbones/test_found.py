"""FOUND's maps follow from keys and decoder; the published decoder is fetched once, and only it."""

from __future__ import annotations

import hashlib
import pickle
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch
from dino_twin import decoder_twin, dino_twin
from noise_images import noise
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from ovsskit.backbones.dino import _decoder as decoder
from ovsskit.backbones.dino.dino import Dino
from ovsskit.backbones.dino.found import Found
from ovsskit.errors import BadWeights, MissingWeights


@pytest.mark.parametrize("size", [(40, 40), (19, 61), (3, 5)])
def test_map_is_a_convolution_of_keys_enlarged_and_cut(size: tuple[int, int]) -> None:
    image, dino = noise(*size), Dino(weights=dino_twin())
    [found] = Found(weights=dino_twin(), decoder=decoder_twin()).find_foreground([image])
    [hidden] = dino.hidden([image], [3])
    _, keys, _ = dino.project(hidden, 3)
    planes = torch.cat([*keys[:, 1:]], 1).T.reshape(1, -1, *hidden.grid)
    numbers = load_file(decoder_twin())
    logits = torch.nn.functional.conv2d(planes, numbers["decoder.weight"], numbers["decoder.bias"])
    rows, columns = (8 * side for side in hidden.grid)
    large = torch.nn.functional.interpolate(logits, (rows, columns), mode="bilinear")
    expected = large[0, 0, : size[0], : size[1]].sigmoid()
    torch.testing.assert_close(found.data, expected, atol=1e-6, rtol=1e-5)


def test_pixels_that_are_dropped_are_no_foreground() -> None:
    backbone = Found(weights=dino_twin(), decoder=decoder_twin(), leftover="drop")
    [found] = backbone.find_foreground([noise(20, 27)])
    assert found.data.shape == (20, 27)
    assert not found.data[16:].any()
    assert not found.data[:, 24:].any()
    assert found.data[:16, :24].all()


def published(value: Any) -> bytes:
    """Return what torch writes of it."""
    stream = BytesIO()
    torch.save(value, stream)
    return stream.getvalue()


AS_PUBLISHED = {"decoder": {"weight": torch.ones(1, 32, 1, 1), "bias": torch.ones(1)}}


@contextmanager
def serving(content: bytes, asked: list[str], status: int = 200) -> Iterator[str]:
    """Serve one file on this machine, and note what is asked for."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/decoder_weights.pt"
        server.shutdown()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OVSSKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "weights"


def publish(monkeypatch: pytest.MonkeyPatch, address: str, content: bytes) -> None:
    """Take this file for the published one."""
    digest = hashlib.sha256(content).hexdigest()
    served = decoder.DECODER._replace(address=address, sha256=digest, size=len(content))
    monkeypatch.setattr(decoder, "DECODER", served)


def test_the_published_decoder_is_fetched_once_and_kept_as_tensors(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    content = published(AS_PUBLISHED)
    with serving(content, asked) as address:
        publish(monkeypatch, address, content)
        for _ in range(2):
            model = Found(weights=dino_twin())
            model.prepare()
            assert model.read_files()["decoder.safetensors"].parent == cache
    assert len(asked) == 1
    [kept] = cache.iterdir()
    with safe_open(kept, "pt") as opened:
        assert opened.metadata()["sha256"] == hashlib.sha256(content).hexdigest()
        assert torch.equal(opened.get_tensor("decoder.weight"), torch.ones(1, 32, 1, 1))
    weight, bias = Found(weights=dino_twin()).numbers  # the server is gone
    assert (weight.shape, float(bias)) == ((32,), 1.0)


@pytest.mark.parametrize("served", [b"something else", b""])
def test_another_file_is_not_used(
    served: bytes, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = published(AS_PUBLISHED)
    with serving(served, []) as address:
        publish(monkeypatch, address, content)
        with pytest.raises(MissingWeights, match="is not the published file") as caught:
            Found(weights=dino_twin()).prepare()
    assert hashlib.sha256(served).hexdigest() in caught.value.there
    assert not cache.exists()


def test_a_longer_file_is_read_no_further_than_it_takes_to_see_that(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = published(AS_PUBLISHED)
    with serving(content + bytes(1000), []) as address:
        publish(monkeypatch, address, content)
        with pytest.raises(MissingWeights) as caught:
            Found(weights=dino_twin()).prepare()
    assert hashlib.sha256(content + b"\0").hexdigest() in caught.value.there


def test_no_network_and_no_file_are_said(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = published(AS_PUBLISHED)
    with serving(b"", [], status=404) as address:
        publish(monkeypatch, address, content)
        with pytest.raises(MissingWeights, match="it answers 404"):
            Found(weights=dino_twin()).prepare()
    with pytest.raises(MissingWeights, match="cannot be fetched: ") as caught:
        Found(weights=dino_twin()).prepare()  # nothing listens there any more
    assert "Connect to the network" in caught.value.fix


class Runs:
    """Run code when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (exec, ("raise SystemExit('it ran')",))


def test_code_in_a_decoder_is_not_run(tmp_path: Path) -> None:
    file = tmp_path / "decoder.pt"
    file.write_bytes(published({"decoder": Runs()}))
    with pytest.raises(BadWeights, match="holds more than tensors"):
        Found(weights=dino_twin(), decoder=str(file)).prepare()
    file.write_bytes(pickle.dumps(Runs(), protocol=2))
    with pytest.raises(BadWeights, match="holds more than tensors"):
        Found(weights=dino_twin(), decoder=str(file)).prepare()


def test_decoders_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "decoder.safetensors"
    tensors = load_file(decoder_twin())
    save_file({**tensors, "decoder.weight": torch.zeros(1, 384, 1, 1)}, file)
    model = Found(weights=dino_twin(), decoder=str(file))
    with pytest.raises(BadWeights, match="for keys of 384 numbers, but those of the model have 32"):
        model.check_weights()
    save_file({"decoder.weight": torch.zeros(1, 32, 1, 1)}, file)
    with pytest.raises(BadWeights, match="holds no decoder"):
        model.prepare()
    file.write_bytes(b"nothing")
    with pytest.raises(BadWeights, match="is broken"):
        model.prepare()
    file.unlink()
    with pytest.raises(BadWeights, match="There is no such file"):
        model.prepare()


def test_the_decoder_is_part_of_what_the_model_is(tmp_path: Path) -> None:
    file = tmp_path / "decoder.safetensors"
    tensors = load_file(decoder_twin())
    save_file({**tensors, "decoder.bias": tensors["decoder.bias"] + 1}, file)
    mine = Found(weights=dino_twin(), decoder=decoder_twin())
    other = Found(weights=dino_twin(), decoder=str(file))
    assert mine.digest != other.digest
