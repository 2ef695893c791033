"""One part of what a command has to do, where several processes or machines share it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

import xxhash

from ovsskit.errors import BadValue, Place

WHERE = Place("--shard")
LAUNCHERS = (("RANK", "WORLD_SIZE"), ("SLURM_PROCID", "SLURM_NTASKS"))
"""Where torchrun and SLURM tell a process its number, from 0, and how many there are."""


@dataclass(frozen=True)
class Shard:
    """Name a part by its number, from 1, and how many there are.

    Which part an item is in follows from its own name and from nothing else: so the parts fit
    together, also where items come or go while they are at work.
    """

    number: int = 1
    count: int = 1

    @property
    def is_whole(self) -> bool:
        """Tell whether there is one part only."""
        return self.count == 1

    def has(self, name: str) -> bool:
        """Tell whether an item is in this part."""
        return (
            self.is_whole or xxhash.xxh3_64_intdigest(name.encode()) % self.count == self.number - 1
        )

    @property
    def label(self) -> str:
        """Return what stands for the part in the name of a file."""
        return f"{self.number}-of-{self.count}"

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


WHOLE = Shard()


def read_shard(text: str | None, environment: Mapping[str, str] = os.environ) -> Shard:
    """Read `2/4`, the second part of four; `auto` asks torchrun or SLURM, which started this.

    Raises:
        BadValue: it is no such part, or nothing tells which one this is.
    """
    if text is None:
        return WHOLE
    if text == "auto":
        return _read_launcher(environment)
    found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text, re.ASCII)
    if not found:
        fix = "Write the part and how many there are, --shard 2/4, or --shard auto."
        raise BadValue(f"`{text}` does not name a part.", fix=fix, where=WHERE)
    number, count = int(found[1]), int(found[2])
    if not 1 <= number <= count:
        fix = f"Parts are counted from 1: 1/{max(count, 1)} to {max(count, 1)}/{max(count, 1)}."
        raise BadValue(f"There is no part {text}.", fix=fix, where=WHERE)
    return Shard(number, count)


def _read_launcher(environment: Mapping[str, str]) -> Shard:
    for rank, size in LAUNCHERS:
        if rank in environment and size in environment:
            number, count = environment[rank], environment[size]
            if number.isdecimal() and count.isdecimal() and int(number) < int(count):
                return Shard(int(number) + 1, int(count))
            there = f"{rank} is {number}, {size} is {count}."
            raise BadValue("The launcher does not name a part.", there=there, where=WHERE)
    names = " or ".join(f"{rank} and {size}" for rank, size in LAUNCHERS)
    what = f"Nothing says which part this is: {names} are not set."
    fix = "Start it with torchrun or srun, or name the part: --shard 2/4."
    raise BadValue(what, fix=fix, where=WHERE)
