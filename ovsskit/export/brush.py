"""Pack a mask as Label Studio's brush does.

Label Studio stores the four channels of an image in runs of equal bytes (rle-pack of thi.ng). The
text of bits begins with the number of bytes (32 bits), the bits of a value less one (5), and four
sizes less one (4 each). Each run has a bit (1: one value for all), the place of a size (2 bits),
its length less one in so many bits, and the value.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import cycle

CHANNELS, WORD = 4, 8
SIZES = (3, 4, 8, 16)
LONGEST = 1 << SIZES[-1]
"""How many bytes one run can have."""
MOST_BYTES = (1 << 32) - 1


def pack_brush(counts: Sequence[int]) -> list[int]:
    """Return the bytes of a mask.

    `counts` are the lengths of runs along its rows, outside and inside by turns.
    """
    head = [f"{CHANNELS * sum(counts):032b}", f"{WORD - 1:05b}"]
    head += [f"{size - 1:04b}" for size in SIZES]
    bits = "".join([*head, *_runs(counts)])
    bits += "0" * (-len(bits) % 8)
    return list(int(bits, 2).to_bytes(len(bits) // 8, "big"))


def _runs(counts: Sequence[int]) -> Iterator[str]:
    for count, value in zip(counts, cycle((0, 255)), strict=False):
        left = CHANNELS * count
        while left:
            length = min(left, LONGEST)
            place, size = next(one for one in enumerate(SIZES) if length <= 1 << one[1])
            yield f"1{place:02b}{length - 1:0{size}b}{value:0{WORD}b}"
            left -= length
