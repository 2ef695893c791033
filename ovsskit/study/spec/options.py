"""What a person asked of a study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ovsskit.run.options import (
    HERE,
    ImageOptions,
)


@dataclass(frozen=True)
class StudyOptions(ImageOptions):
    """Hold what a person asked of `ovsskit study`; a setting of None was not asked for."""

    objectives: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    storage: str = ""
    workers: int | None = None
    engine: str = HERE
    plugins: tuple[Path, ...] = ()
