"""Weights come from the hub whole, unchanged, and no more often than needed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fake_hub import FakeHub, Fault
from huggingface_hub import constants

from ovsskit.backbones.clip._text import TOKENIZER
from ovsskit.backbones.clip.clip import Clip
from ovsskit.backbones.matching.blip_itm import BlipItm
from ovsskit.backbones.matching.bridgetower import Bridgetower
from ovsskit.errors import BadWeights, MissingWeights
from ovsskit.hub.weights import HubFiles, find_weights, need_weights
from ovsskit.texts.models import FILES

NAME = "some/clip"
WEIGHTS = "open_clip_model.safetensors"
READ = {WEIGHTS, "open_clip_config.json", "tokenizer.json", "tokenizer_config.json"}


def test_what_is_read_is_fetched_once_and_nothing_else(
    hub: FakeHub, caplog: pytest.LogCaptureFixture
) -> None:
    model = Clip(weights=NAME)
    path = model.need_weights()
    assert {file.name for file in path.iterdir()} == READ
    assert sorted(hub.fetched()) == sorted(READ)
    [said] = [
        record.getMessage() for record in caplog.records if record.name == "ovsskit.hub.download"
    ]
    commit = hub.repositories[NAME].commit
    assert said.startswith(f"fetching 4 files (3.4 MB) of some/clip at {commit[:7]} into /")
    hub.asked.clear()
    assert Clip(weights=NAME).need_weights() == path
    assert not hub.asked
    assert model.describe_files()["commit"] == commit == path.name
    assert set(model.describe_files()["files"]) == READ


@pytest.mark.parametrize("revision", ["main", "commit"])
def test_a_named_revision_is_found_again(hub: FakeHub, revision: str) -> None:
    revision = hub.repositories[NAME].commit if revision == "commit" else revision
    assert (
        Clip(weights=NAME, revision=revision).need_weights().name == hub.repositories[NAME].commit
    )
    hub.asked.clear()
    assert Clip(weights=NAME, revision=revision).find_weights() is not None
    assert not hub.asked


def test_a_cut_download_goes_on_where_it_stopped(hub: FakeHub) -> None:
    size = len(hub.repositories[NAME].files[WEIGHTS])
    hub.faults[WEIGHTS] = Fault(cut_after=1 << 20, times=2)
    assert Clip(weights=NAME).digest
    ranges = [asked for method, path, asked in hub.asked if method == "GET" and WEIGHTS in path]
    assert ranges == ["", f"bytes={1 << 20}-", f"bytes={2 << 20}-"]
    assert hub.sent < size + 20_000


def test_a_download_that_failed_is_resumed_by_the_next_command(hub: FakeHub) -> None:
    hub.faults[WEIGHTS] = Fault(cut_after=0)
    with pytest.raises(MissingWeights, match="the connection was cut"):
        Clip(weights=NAME).need_weights()
    [part] = Path(constants.HF_HUB_CACHE).rglob("*.ovsskit.part")
    part.write_bytes(hub.repositories[NAME].files[WEIGHTS][: 1 << 20])
    hub.faults.clear()
    hub.asked.clear()
    assert Clip(weights=NAME).digest
    ranges = [asked for method, path, asked in hub.asked if method == "GET" and WEIGHTS in path]
    assert ranges == [f"bytes={1 << 20}-"]
    assert not list(Path(constants.HF_HUB_CACHE).rglob("*.part"))


@pytest.mark.parametrize("has_links", [True, False])
def test_a_byte_flipped_on_the_way_never_enters_the_cache(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch, has_links: bool
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_SYMLINKS", not has_links)
    hub.faults[WEIGHTS] = Fault(flip=True, times=1)
    with pytest.raises(MissingWeights, match="damaged in transit") as caught:
        Clip(weights=NAME).need_weights()
    assert "Run the same command again" in str(caught.value)
    assert not list(Path(constants.HF_HUB_CACHE).rglob(WEIGHTS))
    assert not any(
        path.stat().st_size > 1 << 20 for path in Path(constants.HF_HUB_CACHE).rglob("*")
    )
    assert Clip(weights=NAME).digest


@pytest.mark.parametrize("name", [WEIGHTS, "open_clip_config.json"])
def test_content_that_changed_in_the_cache_is_refused(hub: FakeHub, name: str) -> None:
    path = Clip(weights=NAME).need_weights() / name
    blob = path.resolve()
    content = blob.read_bytes()
    blob.write_bytes(content[:-2] + b"\n" + content[-1:])
    with pytest.raises(BadWeights, match="content is not what the hub has") as caught:
        _ = Clip(weights=NAME).digest
    assert f"Delete {blob} and run the same command again" in str(caught.value)
    blob.unlink()
    assert Clip(weights=NAME).digest
    assert blob.read_bytes() == content


def test_other_programs_files_in_a_snapshot_change_nothing(hub: FakeHub) -> None:
    model = Clip(weights=NAME)
    before, path = model.digest, model.need_weights()
    for name in (
        "config.json",
        "pytorch_model.bin",
        "model.safetensors",
        "vocab.txt",
        ".gitattributes",
    ):
        (path / name).write_bytes(b"of another program")
    assert Clip(weights=NAME).digest == before


def test_a_tokenizer_counts_where_it_is_read(hub: FakeHub) -> None:
    config = json.loads(hub.repositories[NAME].files["open_clip_config.json"])
    del config["model_cfg"]["text_cfg"]["hf_tokenizer_name"]
    hub.add(
        "plain/clip", {**hub.repositories[NAME].files, "open_clip_config.json": json.dumps(config)}
    )
    assert set(Clip(weights="plain/clip").read_files()) == {WEIGHTS, "open_clip_config.json"}


def test_a_tokenizer_that_other_programs_left_out_is_fetched(hub: FakeHub) -> None:
    path = Clip(weights=NAME).need_weights()
    (path / "tokenizer.json").unlink()
    model = Clip(weights=NAME)
    assert set(model.read_files()) == READ
    assert model.reader.read_all(["dog"]) == Clip(weights="embedded").reader.read_all(["dog"])


def test_a_tokenizer_of_another_repository_is_fetched(hub: FakeHub) -> None:
    files = hub.repositories[NAME].files
    config = json.loads(files["open_clip_config.json"])
    config["model_cfg"]["text_cfg"]["hf_tokenizer_name"] = "some/words"
    words = {name: files.pop(name) for name in TOKENIZER} | {"model.safetensors": b"large"}
    hub.add("some/words", words)
    files["open_clip_config.json"] = json.dumps(config).encode()
    own = [f"some/words/{name}" for name in TOKENIZER]
    assert set(Clip(weights=NAME).read_files()) == {WEIGHTS, "open_clip_config.json", *own}
    assert "model.safetensors" not in hub.fetched()
    for file in Path(constants.HF_HUB_CACHE).glob("models--some--words/snapshots/*/*"):
        file.unlink()
    hub.faults["api"] = Fault(503)
    with pytest.raises(MissingWeights, match="`some/words` is not on this machine"):
        _ = Clip(weights=NAME).digest


@pytest.mark.parametrize(
    ("cls", "whole", "lacking"),
    [
        (
            BlipItm,
            {"config.json", "model.safetensors", "vocab.txt"},
            "tokenizer (tokenizer.json or vocab.txt)",
        ),
        (
            Bridgetower,
            {"config.json", "pytorch_model.bin", "vocab.json", "merges.txt"},
            "tokenizer (tokenizer.json or vocab.json with merges.txt)",
        ),
    ],
)
def test_a_snapshot_is_whole_with_all_that_is_read(
    hub: FakeHub, cls: type[BlipItm], whole: set[str], lacking: str
) -> None:
    repository = hub.add("some/model", {name: f"the {name}" for name in (*whole, "README.md")})
    path = need_weights("some/model", "main", Path(), cls.hub_files)
    assert {file.name for file in path.iterdir()} == whole
    for name in whole:
        (path / name).unlink()
        assert find_weights("some/model", "main", Path(), cls.hub_files) is None
        assert need_weights("some/model", "main", Path(), cls.hub_files) == path
        assert (path / name).is_file()
    hub.add(
        "some/half", {name: data for name, data in repository.files.items() if "vocab" not in name}
    )
    with pytest.raises(MissingWeights) as caught:
        need_weights("some/half", "main", Path(), cls.hub_files)
    assert f"The hub's repository `some/half` has no {lacking}." in str(caught.value)
    (path / sorted(whole)[-1]).unlink()
    hub.faults["api"] = Fault(503)
    with pytest.raises(MissingWeights) as caught:
        need_weights("some/model", "main", Path(), cls.hub_files)
    assert f"The cache lacks its {lacking}." in str(caught.value)


def test_shards_that_an_index_lists_must_be_there(hub: FakeHub) -> None:
    index = '{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}'
    shards = {f"model-{number}.safetensors": f"shard {number}" for number in (1, 2)}
    hub.add("some/text", {"model.safetensors.index.json": index, **shards})
    path = need_weights("some/text", "main", Path())
    (path / "model-2.safetensors").unlink()
    assert find_weights("some/text", "main", Path()) is None
    assert need_weights("some/text", "main", Path()) == path


def test_the_first_kind_of_weights_is_read() -> None:
    files = HubFiles(("a.safetensors", "b.bin"), (("t.json",), ("v.txt",)), "c.json", ("*.more",))
    names = ["a.safetensors", "b.bin", "t.json", "v.txt", "c.json", "x.more", "other"]
    assert files.choose(names) == ["a.safetensors", "c.json", "t.json", "x.more"]
    assert files.choose(names[1:2] + names[3:]) == ["b.bin", "c.json", "v.txt", "x.more"]


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_ends_a_download_at_once_and_keeps_what_came(hub: FakeHub, tmp_path: Path) -> None:
    hub.faults[WEIGHTS] = Fault(cut_after=1 << 20, wait=threading.Event(), times=1)
    code = (
        "import sys, huggingface_hub.constants as c; c.DOWNLOAD_CHUNK_SIZE = 1 << 16; "
        f"sys.argv[1:] = ['models', 'sclip_tiny', '--fetch', '--set', 'backbone.weights={NAME}']; "
        "from ovsskit.cli.__main__ import main; main()"
    )
    settings = {"HF_ENDPOINT": hub.url, "HF_HUB_CACHE": constants.HF_HUB_CACHE}
    env = {**os.environ, **settings, "HF_HUB_DOWNLOAD_TIMEOUT": "600"}
    command = [sys.executable, "-c", code]
    child = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)
    assert hub.streaming.wait(300)
    part = None
    while part is None or part.stat().st_size < 1 << 19:
        part = next(Path(constants.HF_HUB_CACHE).rglob("*.ovsskit.part"), None)
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=300)
    assert child.returncode == 130
    assert "fetching 4 files (3.4 MB) of some/clip" in said
    assert "stopped; run the same command to resume" in said
    hub.asked.clear()
    assert Clip(weights=NAME).digest
    [resumed] = [asked for method, path, asked in hub.asked if method == "GET" and WEIGHTS in path]
    assert resumed.startswith("bytes=")


def test_what_is_known_of_weights_that_are_not_here(hub: FakeHub) -> None:
    files = {"open_clip_model.safetensors": "1" * 600, "open_clip_pytorch_model.bin": "1" * 601}
    hub.add("timm/vit_base_patch16_clip_224.openai", {**files, "model.safetensors": "1"})
    model = Clip(model="ViT-B-16", weights="openai", revision="main")
    known = model.describe_weights(ask_hub=False)
    assert (known.kind, known.path, known.size) == ("hub", None, None)
    assert (known.licence, known.trouble) == ("MIT (code)", "")
    assert not hub.asked
    found = model.describe_weights()
    assert (found.weights, found.kind) == ("timm/vit_base_patch16_clip_224.openai", "hub")
    assert (found.path, found.size, found.licence) == (None, 600, "mit")
    hub.faults["api"] = Fault(503)
    found = model.describe_weights()
    assert (found.size, found.trouble) == (None, "the hub itself has a problem (status 503)")
    assert found.licence == "MIT (code)"


def test_a_language_model_without_its_tokenizer_is_completed(hub: FakeHub) -> None:
    files = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
    hub.add("some/words", {name: f"the {name}" for name in (*files, "README.md")})
    path = need_weights("some/words", "main", Path(), FILES)
    assert {file.name for file in path.iterdir()} == set(files)
    (path / "tokenizer.json").unlink()
    assert find_weights("some/words", "main", Path(), FILES) is None
    assert need_weights("some/words", "main", Path(), FILES) == path


def test_two_who_fetch_at_once_fetch_once(hub: FakeHub) -> None:
    with ThreadPoolExecutor(2) as pool:
        paths = list(pool.map(lambda name: Clip(weights=name).need_weights(), [NAME, NAME]))
    assert paths[0] == paths[1]
    assert hub.fetched().count(WEIGHTS) == 1
