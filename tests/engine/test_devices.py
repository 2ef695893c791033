"""Whoever asks a GPU about its work or memory names the GPU: torch takes the first one
otherwise.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

import ovsskit
from ovsskit.engine.devices import free_memory_of, has_native_bf16, peak_memory_of, wait_for
from ovsskit.engine.model import PretrainedBackbone
from ovsskit.fit.fit import computes_in_bf16
from ovsskit.recipe.registry import backbone_names, find_backbone
from ovsskit.run.runner import peak_memory
from ovsskit.study.search.memory import PeakMemory

ABOUT_ONE = {
    "synchronize",
    "max_memory_allocated",
    "memory_allocated",
    "memory_reserved",
    "memory_stats",
    "mem_get_info",
}
ABOUT_ONE |= {"reset_peak_memory_stats", "max_memory_reserved", "get_device_properties"}
ABOUT_ONE |= {"get_device_name", "get_device_capability", "current_stream", "utilization"}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Return the calls of torch.cuda with the devices that they name."""
    calls: list[tuple[str, str]] = []

    def record(name: str, answer: int | None) -> None:
        def call(device: str) -> int | None:
            calls.append((name, device))
            return answer

        monkeypatch.setattr(torch.cuda, name, call)

    @contextmanager
    def device(which: str) -> Iterator[None]:
        calls.append(("device", which))
        yield

    record("synchronize", None)
    record("max_memory_allocated", 7)
    record("reset_peak_memory_stats", None)
    monkeypatch.setattr(torch.cuda, "init", lambda: None)
    monkeypatch.setattr(torch.cuda, "device", device)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: calls.append(("empty_cache", "")))
    return calls


def test_a_gpu_is_asked_by_its_number(asked: list[tuple[str, str]]) -> None:
    wait_for("cuda:3")
    assert peak_memory_of("cuda:3") == peak_memory("cuda:3")[1] == 7
    free_memory_of("cuda:3")
    memory = PeakMemory.start("cuda:3")
    assert memory is not None
    assert memory.lap() == 7
    assert {device for _, device in asked} == {"cuda:3", ""}
    assert asked.index(("empty_cache", "")) == asked.index(("device", "cuda:3")) + 1


def test_work_on_the_processor_asks_no_gpu(
    asked: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    wait_for("cpu")
    free_memory_of("cpu")
    assert peak_memory("cpu")[1] is None
    PeakMemory.start("cpu")
    assert not asked


def test_an_apple_gpu_is_waited_for_and_emptied(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(torch.mps, "synchronize", lambda: done.append("waited"))
    monkeypatch.setattr(torch.mps, "empty_cache", lambda: done.append("emptied"))
    wait_for("mps")
    free_memory_of("mps")
    assert done == ["waited", "emptied"]
    assert peak_memory("mps")[1] is None
    assert PeakMemory.start("mps") is None


def test_no_call_leaves_out_which_gpu_it_is_about() -> None:
    found = []
    for path in Path(ovsskit.__file__).parent.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)) if "torch.cuda" in text else ():
            if (
                isinstance(node, ast.Call)
                and ast.unparse(node.func).removeprefix("torch.cuda.") in ABOUT_ONE
                and ast.unparse(node.func).startswith("torch.cuda.")
                and not node.args
            ):
                found.append(f"{path}:{node.lineno}")
    assert not found


@pytest.mark.parametrize(
    ("abilities", "native"),
    [
        ({"avx2": True, "avx512_bf16": False}, False),
        ({"avx512_f": True, "avx512_bf16": True}, True),
        ({"amx_bf16": True}, True),
        ({"neon": True, "bf16": True}, True),
    ],
)
def test_bf16_of_a_processor(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, abilities: dict[str, bool], native: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: abilities, raising=False)
    assert has_native_bf16("cpu") == native
    assert not has_native_bf16("mps")
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    monkeypatch.setattr("ovsskit.engine.devices.CPUINFO", tmp_path / "cpuinfo")
    assert not has_native_bf16("cpu")
    flags = " ".join(name for name, has in abilities.items() if has)
    (tmp_path / "cpuinfo").write_text(f"flags : fpu {flags} sse\n")
    assert has_native_bf16("cpu") == native


@pytest.mark.parametrize("native", [False, True])
def test_nothing_chooses_bf16_where_it_is_not_native(
    asked: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch, native: bool
) -> None:
    def supported(*, including_emulation: bool) -> bool:
        return native or including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    monkeypatch.setattr("ovsskit.engine.devices._abilities_of_processor", lambda: {"bf16"})
    assert computes_in_bf16("auto", "cuda:1") == native
    assert asked == [("device", "cuda:1")]
    assert not computes_in_bf16("auto", "cpu")
    assert computes_in_bf16("bf16", "cpu")
    assert not computes_in_bf16("fp32", "cuda:1")
    for cls in [find_backbone(name) for name in backbone_names()]:
        assert cls is not None
        if issubclass(cls, PretrainedBackbone):
            assert cls.model_fields["precision"].default == "fp32"


@pytest.mark.parametrize("native", [False, True])
def test_a_pipeline_says_that_bf16_is_slow_where_it_is_not_native(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, native: bool
) -> None:
    monkeypatch.setattr("ovsskit.engine.devices.has_native_bf16", lambda _: native)
    ovsskit.load("quickstart", device="cpu")
    assert not caplog.messages
    ovsskit.load("quickstart", "backbone.precision=bf16", device="cpu")
    note = "cpu has no native bf16, or does not report it: fp32 is probably faster"
    assert caplog.messages == [note] * (not native)


def test_the_package_says_that_it_is_typed() -> None:
    top = Path(ovsskit.__file__).parent
    assert (top / "py.typed").read_text() == ""
    wheel = tomllib.loads((top.parent / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    assert wheel["targets"]["wheel"]["packages"] == ["ovsskit"]
    assert not {"exclude", "only-include", "include"} & {*wheel, *wheel["targets"]["wheel"]}
