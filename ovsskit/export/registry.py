"""Find formats by the names of their files.

`ovsskit/export/formats/<name>.py` holds the one public class `<Name>`; nothing is registered.
"""

from __future__ import annotations

import inspect
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from ovsskit.errors import BadValue, Place, did_you_mean, first_of
from ovsskit.files.shipped import PACKAGE

if TYPE_CHECKING:
    from ovsskit.export.format import Format

OPTION = Place("--to")


@cache
def format_files() -> dict[str, str]:
    """Return the module of every format by name, without importing any."""
    found = sorted((PACKAGE / "export" / "formats").glob("[!_]*.py"))
    return {path.stem: f"ovsskit.export.formats.{path.stem}" for path in found}


def find_format(name: str) -> type[Format]:
    """Return the class of a format.

    Raises:
        BadValue: there is none of this name.
    """
    known = format_files()
    if name not in known:
        what = f"There is no format `{name}`." if name else "No format is named."
        there = f"Available: {first_of(list(known), most=len(known))}"
        raise BadValue(what, there=there, fix=did_you_mean(name, list(known)), where=OPTION)
    from ovsskit.engine.stage import use_of

    module = import_module(known[name])
    classes = [one for one in vars(module).values() if isinstance(one, type)]
    own = {use_of(one): one for one in classes if one.__module__ == module.__name__}
    found: type[Format] = own[name]
    return found


def about_format(name: str) -> str:
    """Return in one line what a format is for."""
    return inspect.cleandoc(find_format(name).__doc__ or "").splitlines()[0]
