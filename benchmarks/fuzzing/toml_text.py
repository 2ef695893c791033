"""Write any tree as TOML, also what no program would write."""

from __future__ import annotations

import datetime
import json
from typing import Any


def write_toml(tree: Any) -> str:
    """Write a tree as TOML: tables at the top under headers, the others on one line."""
    if not isinstance(tree, dict):
        return f"x = {inline(tree)}\n"
    plain, headed = [], []
    for key, value in tree.items():
        name = json.dumps(key)
        if isinstance(value, dict):
            headed += [f"[{name}]", *(f"{json.dumps(k)} = {inline(v)}" for k, v in value.items())]
        elif isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
            for one in value:
                headed += [
                    f"[[{name}]]",
                    *(f"{json.dumps(k)} = {inline(v)}" for k, v in one.items()),
                ]
        else:
            plain.append(f"{name} = {inline(value)}")
    return "\n".join([*plain, *headed, ""])


def inline(value: Any) -> str:
    """Write a value on one line."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{json.dumps(k)} = {inline(v)}' for k, v in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(inline, value))}]"
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value) if value is not None else '"none"'
