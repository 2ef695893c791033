"""Write present values of parameters as a recipe that extends the original."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomlkit

from ovsskit.files.names import safe_name
from ovsskit.recipe.class_lists import parse_classes
from ovsskit.recipe.extends import name_base
from ovsskit.recipe.vocabulary import describe_words, replace_classes
from ovsskit.serve.workbench import Workbench


def variant_text(bench: Workbench, classes: str, values: Mapping[str, Any]) -> str:
    """Return a recipe with the values that differ from the recipe's own, and with the classes.

    A shipped recipe is named, another one given by its whole path, since the new one may stand
    anywhere.

    Raises:
        BadValue: an address is not one of the parameters, or a value is outside its range.
        BadClasses: the classes are invalid.
    """
    base = name_base(bench.path, Path.cwd())
    known = bench.check(values)
    changed = {one: value for one, value in known.items() if value != bench.start[one]}
    off = [address for address, value in changed.items() if value == "off"]
    document = tomlkit.document()
    document["name"] = safe_name(bench.title, "-variant")
    document["extends"] = base if "/" not in base else str(bench.path.resolve())
    if off:
        document["remove"] = off
    own = bench.own
    words = replace_classes(parse_classes(classes, own.background), own)
    if describe_words(words) != describe_words(own):
        document["vocabulary"] = tomlkit.item(describe_words(words))
    settled = {address: value for address, value in changed.items() if "." in address}
    document["set"] = tomlkit.item({**bench.fixed, **settled})
    return document.as_string()
