"""How the program starts and ends: closed and full streams, Ctrl-C at once, names that a terminal
would obey.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ovsskit.files.shipped import recipe_folder

COMMAND = [sys.executable, "-m", "ovsskit"]
RECIPE = str(recipe_folder() / "pnp_blip.toml")
POSIX = pytest.mark.skipif(os.name != "posix", reason="streams of other systems differ")

INTERRUPTED = """
import builtins, os, signal, sys
plain = builtins.__import__
def interrupted(name, *rest, **more):
    if name == "typer":
        os.kill(os.getpid(), signal.{name})
    return plain(name, *rest, **more)
builtins.__import__ = interrupted
from ovsskit.cli.__main__ import main
sys.argv = ["ovsskit", "stages"]
main()
"""


def ovsskit(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)


@POSIX
@pytest.mark.parametrize("arguments", [["stages"], ["--help"], ["schema"]])
def test_a_reader_that_leaves_changes_nothing(arguments: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([*COMMAND, *arguments], stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


@POSIX
def test_a_command_that_finds_fault_keeps_its_status_when_nobody_reads_its_errors(
    tmp_path: Path,
) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text("[[stage]]\nuse = 5\n")
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([*COMMAND, "check", str(broken)], stdout=write, stderr=write, check=False)
    os.close(write)
    assert done.returncode == 2


@POSIX
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_standard_output_is_said_and_fails() -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*COMMAND, "schema"], stdout=full, stderr=subprocess.PIPE, check=False
        )
        both = subprocess.run([*COMMAND, "schema"], stdout=full, stderr=full, check=False)
    assert done.returncode == both.returncode == 1
    assert done.stderr == b"Standard output cannot be written: No space left on device.\n"


@POSIX
def test_streams_that_are_closed_from_the_start_are_no_trouble() -> None:
    command = " ".join([*COMMAND, "check", RECIPE])
    done = subprocess.run(f"{command} >&- 2>&-", shell=True, check=False)
    assert done.returncode == 0


@POSIX
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_while_the_program_starts_ends_quietly(name: str) -> None:
    code = INTERRUPTED.format(name=name)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_a_name_with_escapes_and_markup_is_shown_as_it_is(tmp_path: Path) -> None:
    name = "a\x1b[31m [red]b[bold].toml" if os.name == "posix" else "a [red]b.toml"
    (tmp_path / name).write_text("[[stage]]\nuse = 5\n")
    done = subprocess.run(
        [*COMMAND, "check", name], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "\x1b" not in done.stderr
    assert name.replace("\x1b", r"\x1b") in done.stderr
    (tmp_path / name).write_text(Path(RECIPE).read_text())
    done = subprocess.run(
        [*COMMAND, "check", name], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout == "ok {}\n".format(name.replace("\x1b", r"\x1b"))


def test_a_plugin_that_exits_is_an_error_with_its_name(tmp_path: Path) -> None:
    plugin = tmp_path / "leaves.py"
    plugin.write_text("import sys\nsys.exit(0)\n")
    done = subprocess.run(
        [*COMMAND, "check", "--plugin", str(plugin), RECIPE],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[1] == "  The file cannot be imported: SystemExit: 0"


def test_what_the_system_refuses_is_a_sentence(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom ovsskit.recipe import schema\n"
        "def refuse(): raise PermissionError(13, 'Permission denied', 'notes.toml')\n"
        "schema.recipe_schema = refuse\n"
        "from ovsskit.cli.__main__ import main\n"
        "sys.argv = ['ovsskit', 'schema']\nmain()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        "notes.toml  OV305  the system refuses\n  The system refuses: Permission denied.\n"
    )


def test_markup_in_names_is_text_in_every_command(tmp_path: Path) -> None:
    odd = "[red]x[bold]"
    folder = tmp_path / odd
    new = ovsskit("new", str(folder / f"{odd}.toml"), cwd=tmp_path)
    assert new.stdout.splitlines()[0] == f"wrote {folder / odd}.toml", new.stderr
    recipe = tmp_path / "mine.toml"
    recipe.write_text(f"name = '{odd}'\nabout = 'about {odd} [/]'\nextends = 'quickstart'\n")
    assert ovsskit("plan", recipe).stdout.startswith(f"{odd}  about {odd} [/]\n")
    local = ovsskit("models", "quickstart", "--set", f"backbone.weights={odd}/nothing")
    assert f"{odd}/nothing" in local.stdout
