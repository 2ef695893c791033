from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from remote_photos import bucket as bucket
from remote_photos import memory as memory
from remote_photos import s3 as s3

from ovsskit.recipe import registry
from ovsskit.torchvision_names import declare_torchvision

declare_torchvision()  # before a test imports transformers

os.environ.pop("COLUMNS", None)
import_module("ovsskit.cli.console")
"""A console keeps the width that the environment names when it is made; else it looks each time."""

settings.register_profile(
    "ovsskit", deadline=None
)  # how long an example takes depends on the machine
settings.load_profile("ovsskit")

os.environ["OMP_NUM_THREADS"] = "1"  # of the processes that tests start
torch.set_num_threads(1)
"""Sums of several threads differ in the last bits; and small tensors are slower on several."""

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell's background jobs ignore Ctrl-C, and hand that down to the programs that tests
    # interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)


WRITTEN = pytest.StashKey[dict[Path, None]]()
"""The golden files that were written anew."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--parity-dir",
        type=Path,
        default=Path(__file__).parent / "parity",
        help=(
            "folder with recorded results of published code (`pnp_ovss/`); another one tests "
            "against another recording"
        ),
    )
    parser.addoption(
        "--write-golden",
        action="store_true",
        help="write anew what golden files hold, and run nothing but the tests that read them",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Function]) -> None:
    if config.getoption("--write-golden"):
        items[:] = [item for item in items if "golden" in item.fixturenames]


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[Path, str], str]:
    """Return the text of a golden file; with --write-golden what was found is written to it."""

    def read(path: Path, found: str) -> str:
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        if request.config.getoption("--write-golden") and old != found:
            path.write_text(found, encoding="utf-8")
            request.config.stash.setdefault(WRITTEN, {})[path] = None
            return found
        return old

    return read


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    for path in config.stash.get(WRITTEN, {}):
        terminalreporter.write_line(f"written: {path.relative_to(config.rootpath)}")


@pytest.fixture(scope="session", autouse=True)
def cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what the package keeps between runs apart from the person's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OVSSKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def parity_dir(pytestconfig: pytest.Config) -> Path:
    folder: Path = pytestconfig.getoption("--parity-dir")
    return folder.resolve()


@pytest.fixture(scope="module", autouse=True)
def no_plugins_of_modules() -> Iterator[None]:
    """Let no module see the plugins that fixtures of another have loaded."""
    before = dict(registry.PLUGINS)
    yield
    registry.PLUGINS.clear()
    registry.PLUGINS.update(before)


@pytest.fixture(autouse=True)
def no_plugins_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test see the plugins of another."""
    monkeypatch.setattr(registry, "PLUGINS", dict(registry.PLUGINS))
