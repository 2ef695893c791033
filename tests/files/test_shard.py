from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovsskit.errors import BadValue
from ovsskit.files.shard import WHOLE, Shard, read_shard


@given(st.lists(st.text()), st.integers(1, 50))
def test_every_item_is_in_one_part(names: list[str], count: int) -> None:
    names = [name.encode("utf-8", "replace").decode() for name in names]
    shards = [Shard(number, count) for number in range(1, count + 1)]
    assert all(sum(shard.has(name) for shard in shards) == 1 for name in names)


def test_parts_are_about_as_large_as_each_other() -> None:
    sizes = Counter(
        number for n in range(4000) for number in range(1, 5) if Shard(number, 4).has(f"image_{n}")
    )
    assert all(900 < size < 1100 for size in sizes.values())


def test_a_part_is_named_by_its_number_and_how_many_there_are() -> None:
    assert read_shard("2/4", {}) == Shard(2, 4)
    assert (str(Shard(2, 4)), Shard(2, 4).label) == ("2/4", "2-of-4")
    assert read_shard(None, {"RANK": "1", "WORLD_SIZE": "4"}) is WHOLE
    assert read_shard("1/1", {}).is_whole


@pytest.mark.parametrize(
    ("variables", "shard"),
    [
        ({"RANK": "0", "WORLD_SIZE": "4"}, Shard(1, 4)),
        ({"SLURM_PROCID": "3", "SLURM_NTASKS": "4"}, Shard(4, 4)),
        ({"RANK": "1", "WORLD_SIZE": "2", "SLURM_PROCID": "0", "SLURM_NTASKS": "1"}, Shard(2, 2)),
    ],
)
def test_launchers_tell_which_part_this_is(variables: dict[str, str], shard: Shard) -> None:
    assert read_shard("auto", variables) == shard


@pytest.mark.parametrize(
    ("text", "variables", "what", "more"),
    [
        ("0/4", {}, "There is no part 0/4.", "Parts are counted from 1: 1/4 to 4/4."),
        ("5/4", {}, "There is no part 5/4.", "1/4 to 4/4"),
        ("1/0", {}, "There is no part 1/0.", "1/1 to 1/1"),
        ("2", {}, "`2` does not name a part.", "--shard 2/4"),
        ("-1/4", {}, "`-1/4` does not name a part.", "--shard 2/4"),
        ("a/b", {}, "`a/b` does not name a part.", "--shard 2/4"),
        ("\u0661/4", {}, "does not name a part.", "--shard 2/4"),
        ("auto", {}, "Nothing says which part this is", "torchrun or srun"),
        ("auto", {"RANK": "4", "WORLD_SIZE": "4"}, "The launcher does not name a part.", ""),
        ("auto", {"RANK": "x", "WORLD_SIZE": "4"}, "The launcher does not name a part.", ""),
    ],
)
def test_what_is_no_part_is_refused(
    text: str, variables: dict[str, str], what: str, more: str
) -> None:
    with pytest.raises(BadValue) as caught:
        read_shard(text, variables)
    assert what in caught.value.what
    assert more in caught.value.fix
