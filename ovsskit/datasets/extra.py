"""Import what some data sets and formats need beside the package."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ovsskit.errors import MissingExtra


def need(module: str, why: str, extra: str = "data") -> Any:
    """Return a module of an extra; `why` begins the sentence that says that it is missing.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        what = f"{why} needs the package `{module.partition('.')[0]}`."
        raise MissingExtra(what, fix=f'pip install "ovsskit[{extra}]"') from error
