"""Write the `data.yaml` of ultralytics."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

DATA = "data.yaml"


def data_yaml(entries: Mapping[str, str], names: Sequence[str]) -> str:
    """Return the text: paths beside the file, and the names of the classes by their numbers.

    Texts are written as JSON has them, which YAML reads as they are.
    """
    lines = [f"{key}: {json.dumps(text)}" for key, text in entries.items()]
    lines += ["names:"]
    lines += [f"  {place}: {json.dumps(name)}" for place, name in enumerate(names)]
    return "\n".join(lines) + "\n"
