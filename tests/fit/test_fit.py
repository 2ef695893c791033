"""`ovsskit fit` from the command line to the folder that it leaves."""

from __future__ import annotations

import errno
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from ofa_twin import random_network, rows_for, small_shape, write_ofa
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from twins import PARITY

import ovsskit
from ovsskit.backbones.ofa._text import PROMPT, UNKNOWN_NAME
from ovsskit.cli.__main__ import main
from ovsskit.engine.values import Image
from ovsskit.fit import folder as fit_folder
from ovsskit.fit.tuning import Tuner
from ovsskit.testing import example

KNOWN = ("dog", "ice cream", "grass", "sky")
WORDS = (PROMPT, UNKNOWN_NAME, *KNOWN)
QUICK = ("updates=6", "batch=2", "at_once=2", "rate=0.01", "save_every=2")
Golden = Callable[[Path, str], str]
Fit = Callable[..., tuple[int, str, str]]
GOLDEN = Path(__file__).parent.parent / "broken" / "fit"


@pytest.fixture
def start(tmp_path: Path) -> Path:
    return write_ofa(
        tmp_path / "start", random_network(small_shape(rows_for(WORDS), positions=30)), WORDS
    )


def arguments(start: Path, out: Path, classes: str = "dog, grass", *more: str) -> list[str]:
    sets = [f"backbone.weights={start}", "backbone.image_size=64", *(f"fit.{one}" for one in QUICK)]
    named = ["--classes", classes] if classes else []
    return [
        "fit",
        "ifseg",
        *named,
        "--out",
        str(out),
        *(part for one in sets for part in ("--set", one)),
        *more,
    ]


@pytest.fixture
def fit(
    start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Fit:
    monkeypatch.setenv("COLUMNS", "200")

    def run(out: str = "out", classes: str = "dog, grass", *more: str) -> tuple[int, str, str]:
        monkeypatch.setattr(
            sys, "argv", ["ovsskit", *arguments(start, tmp_path / out, classes, *more)]
        )
        with pytest.raises(SystemExit) as stopped:
            main()
        captured = capfd.readouterr()
        return int(stopped.value.code or 0), captured.out, captured.err

    return run


def keep(case: str, error: str, tmp_path: Path, golden: Golden) -> None:
    """Hold what stands on the error stream to the text in tests/broken/fit."""
    text = error.replace(str(tmp_path), "FOLDER")
    assert text == golden(GOLDEN / f"{case}.txt", text)


def test_the_folder_is_what_a_recipe_names_as_weights(
    fit: Fit, start: Path, tmp_path: Path
) -> None:
    status, out, error = fit()
    assert (status, error) == (0, "")
    assert "backbone.weights=" in out
    folder = tmp_path / "out"
    assert {file.name for file in folder.iterdir()} == {
        "model.safetensors",
        "dict.txt",
        "fit.json",
        ".lock",
    }
    with safe_open(folder / "model.safetensors", "pt") as opened:
        notes = opened.metadata()
    assert json.loads(notes["classes"]) == ["dog", "grass"]
    assert json.loads(notes["recipe"])["name"] == "ifseg"
    record = json.loads((folder / "fit.json").read_text())
    assert len(record["progress"]["losses"]) == 6
    assert record["identity"]["settings"]["updates"] == 6
    before, after = load_file(start / "model.safetensors"), load_file(folder / "model.safetensors")
    assert torch.equal(before["encoder.embed_tokens.weight"], after["encoder.embed_tokens.weight"])
    assert not torch.equal(before["encoder.layer_norm.weight"], after["encoder.layer_norm.weight"])
    pipeline = ovsskit.load(
        "ifseg", f"backbone.weights={folder}", "backbone.image_size=64", device="cpu"
    )
    labels = pipeline(example(Image).pixels.numpy(), classes=["dog", "grass"]).labels
    assert set(labels.unique().tolist()) <= {1, 2}


def test_a_finished_tuning_is_not_done_again(fit: Fit) -> None:
    fit()
    status, out, _ = fit()
    assert status == 0
    assert "Nothing to do" in out


def test_a_killed_tuning_goes_on_and_ends_the_same(
    fit: Fit, start: Path, tmp_path: Path, golden: Golden
) -> None:
    fit("whole")
    code = (
        "import os, signal, sys, torch\n"
        # As here, since sums of several threads differ in the last bits.
        "torch.set_num_threads(1)\n"
        "from ovsskit.cli.__main__ import main\n"
        "from ovsskit.fit.folder import TunedFolder\n"
        "save = TunedFolder.save_state\n"
        "def once(folder, tuner):\n"
        "    save(folder, tuner)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "TunedFolder.save_state = once\n"
        "main()\n"
    )
    killed = subprocess.run(
        [sys.executable, "-c", code, *arguments(start, tmp_path / "killed")], check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / "killed" / "state.safetensors").is_file()
    assert not (tmp_path / "killed" / "model.safetensors").exists()
    status, _, error = fit("killed")
    assert status == 0
    keep("killed", error, tmp_path, golden)
    whole, killed_weights = (
        load_file(tmp_path / name / "model.safetensors") for name in ("whole", "killed")
    )
    assert all(torch.equal(tensor, killed_weights[name]) for name, tensor in whole.items())
    losses = [
        json.loads((tmp_path / name / "fit.json").read_text())["progress"]["losses"]
        for name in ("whole", "killed")
    ]
    assert losses[0] == losses[1]


def test_ctrl_c_saves_what_was_done(
    fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Tuner.step

    def stop(tuner: Any, number: int) -> float:
        if number == 3:
            raise KeyboardInterrupt
        return step(tuner, number)

    with monkeypatch.context() as patched:
        patched.setattr(Tuner, "step", stop)
        status, _, error = fit()
    assert status == 130
    assert "run the same command to resume" in error
    assert "resuming after step 3" in fit()[2]


def test_what_was_done_before_memory_ran_out_is_saved(
    fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Tuner.step

    def full(tuner: Any, number: int) -> float:
        if number == 3:
            raise RuntimeError("MPS backend out of memory")
        return step(tuner, number)

    with monkeypatch.context() as patched:
        patched.setattr(Tuner, "step", full)
        status, _, error = fit()
    assert status == 1
    assert "artificial images at once do not fit into memory" in error
    assert "resuming after step 3" in fit()[2]


def test_a_full_disk_leaves_what_was_saved_before(
    fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, golden: Golden
) -> None:
    replace, calls = os.replace, []

    def full(old: Any, new: Any) -> None:
        calls.append(Path(new).name)
        if calls.count("state.safetensors") == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(old, new)

    with monkeypatch.context() as patched:
        patched.setattr("os.replace", full)
        status, _, error = fit()
    assert status == 1
    keep("full_disk", error, tmp_path, golden)
    assert [file.name for file in (tmp_path / "out").iterdir() if file.name.endswith(".part")] == []
    assert "resuming after step 2" in fit()[2]


def test_two_tunings_do_not_share_a_folder(fit: Fit, start: Path, tmp_path: Path) -> None:
    code = "import sys, threading\nfrom ovsskit.fit.tuning import Tuner\n"
    code += "Tuner.step = lambda *_: threading.Event().wait()\n"
    code += "from ovsskit.cli.__main__ import main\nmain()\n"
    other = subprocess.Popen([sys.executable, "-c", code, *arguments(start, tmp_path / "out")])
    try:
        while not (tmp_path / "out" / "fit.json").exists():
            assert other.poll() is None
            time.sleep(0.05)
        status, _, error = fit()
    finally:
        other.kill()
        other.wait()
    assert status == 2
    assert "Another tuning is writing into this folder" in error


def test_another_list_or_strange_files_in_the_folder_are_refused(
    fit: Fit, tmp_path: Path, golden: Golden
) -> None:
    fit()
    status, _, error = fit("out", "grass, dog")
    assert status == 2
    keep("folder_of_another_list", error, tmp_path, golden)
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange" / "thesis.tex").write_text("")
    assert "It has `thesis.tex`" in fit("strange")[2]


@pytest.mark.parametrize("harm", ["truncated", "of another model"])
def test_a_broken_state_is_passed_over(
    fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(fit_folder.TunedFolder, "finish", lambda *_: None)
        fit()
    state = tmp_path / "out" / "state.safetensors"
    if harm == "of another model":
        with safe_open(state, "pt") as opened:
            notes = opened.metadata()
        save_file(
            {name: one[..., :1].contiguous() for name, one in load_file(state).items()},
            state,
            notes,
        )
    else:
        state.write_bytes(state.read_bytes()[:-100])
    status, _, error = fit()
    assert status == 0
    assert "training starts over" in error
    record = json.loads((tmp_path / "out" / "fit.json").read_text())
    assert len(record["progress"]["losses"]) == 6


def test_tuned_weights_that_are_damaged_are_tuned_again(fit: Fit, tmp_path: Path) -> None:
    fit()
    model = tmp_path / "out" / "model.safetensors"
    content, whole = model.read_bytes(), tmp_path / "whole.safetensors"
    whole.write_bytes(content)
    model.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert "Nothing to do" in fit()[1], "of the same size"
    status, out, error = fit("out", "dog, grass", "--verify")
    assert (status, "Nothing to do" in out) == (0, False)
    assert "the weights are missing or changed" in error
    again = load_file(model)
    assert all(torch.equal(again[name], tensor) for name, tensor in load_file(whole).items())
    record = json.loads((tmp_path / "out" / "fit.json").read_text())
    assert len(record["progress"]["losses"]) == 6
    model.unlink()
    assert "the weights are missing or changed" in fit()[2]


def test_a_folder_in_which_nothing_was_tuned_is_no_other_tuning(
    fit: Fit, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any) -> float:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Tuner, "step", stop)
        assert fit()[0] == 130
    assert fit("out", "grass, dog")[0] == 0


@pytest.mark.parametrize(
    ("case", "classes", "more"),
    [
        ("no_classes", "", ()),
        ("blank_names", " , ", ()),
        ("empty_file", "", ("--classes-file", "{folder}/empty.txt")),
        ("unknown_word", "dog, zebra", ()),
        ("twice", "dog, dog", ()),
        ("comma", "", ("--classes-file", "{folder}/comma.txt")),
        ("comma_in_recipe", "", ("--set", 'vocabulary.names=["dog, grass", "sky"]')),
        ("no_updates", "dog", ("--set", "fit.updates=0")),
        ("no_such_setting", "dog", ("--set", "fit.speed=3")),
        ("no_weights", "dog", ("--set", "backbone.weights=quickstart/none")),
        ("another_size", "dog", ("--set", "backbone.weights={folder}/narrow")),
        ("another_model", "dog", ("--set", f"backbone.weights={PARITY / 'albef'}")),
    ],
)
def test_bad_input_is_said_before_anything_is_written(
    fit: Fit,
    start: Path,
    tmp_path: Path,
    case: str,
    classes: str,
    more: tuple[str, ...],
    golden: Golden,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    (tmp_path / "comma.txt").write_text("dog, grass\nsky\n")
    (tmp_path / "empty.txt").write_text("\n")
    narrow = write_ofa(
        tmp_path / "narrow", random_network(small_shape(rows_for(WORDS), positions=30)), WORDS
    )
    state = load_file(narrow / "model.safetensors")
    save_file(
        {**state, "encoder.image_proj.weight": torch.zeros(16, 64)}, narrow / "model.safetensors"
    )
    status, out, error = fit(
        "out", classes, *(one.replace("{folder}", str(tmp_path)) for one in more)
    )
    assert (status, out) == (2, "")
    keep(case, error.replace(str(PARITY), "PARITY"), tmp_path, golden)
    assert not (tmp_path / "out").exists()


def test_a_thousand_classes_are_refused_before_tuning(
    fit: Fit, tmp_path: Path, golden: Golden
) -> None:
    """As many tokens as the published models take, prompt and ends included, are 1024."""
    names = [" ".join(words) for words in itertools.product(KNOWN, repeat=5)][:1000]
    (tmp_path / "classes.txt").write_text("\n".join(names))
    write_ofa(
        tmp_path / "start", random_network(small_shape(rows_for(WORDS), positions=1026)), WORDS
    )
    status, out, error = fit("out", "", "--classes-file", str(tmp_path / "classes.txt"))
    assert (status, out) == (2, "")
    keep("thousand_classes", error, tmp_path, golden)
    assert not (tmp_path / "out").exists()


def test_a_recipe_without_a_model_to_tune(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["ovsskit", "fit", "quickstart"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert (
        "`fit` tunes the one `ofa` of a recipe, but this recipe has none" in capfd.readouterr().err
    )


def test_classes_that_differ_from_the_tuned_ones_stop_a_run(
    fit: Fit,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    golden: Golden,
) -> None:
    fit()
    weights = f"backbone.weights={tmp_path / 'out'}"
    arguments = [
        "run",
        "ifseg",
        "--classes",
        "dog, sky",
        "--set",
        weights,
        "--out",
        str(tmp_path / "run"),
        "--device",
        "cpu",
    ]
    monkeypatch.setattr(sys, "argv", ["ovsskit", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    error = capfd.readouterr().err
    assert stopped.value.code == 2
    keep("run_with_another_list", error, tmp_path, golden)
    assert not (tmp_path / "run").exists()


def test_a_fit_from_python_says_nothing_and_returns_its_folder(
    start: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    sets = [f"backbone.weights={start}", "backbone.image_size=64", *(f"fit.{one}" for one in QUICK)]
    folder = ovsskit.run_fit(
        "ifseg", *sets, classes=["dog", "grass"], out=tmp_path / "out", device="cpu"
    )
    assert folder == tmp_path / "out"
    pipeline = ovsskit.load(
        "ifseg", "backbone.image_size=64", f"backbone.weights={folder}", device="cpu"
    )
    result = pipeline(example(Image).pixels.numpy(), classes=["dog", "grass"])
    assert set(result.ids.unique().tolist()) <= {1, 2}
    assert capfd.readouterr() == ("", "")
