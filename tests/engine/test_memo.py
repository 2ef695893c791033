from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
import torch

from ovsskit.engine import memo as module
from ovsskit.engine.memo import Memo, remember, remembering


class Counter:
    """Make a tensor of some bytes, and count how often."""

    def __init__(self, nbytes: int = 8) -> None:
        self.nbytes, self.calls = nbytes, 0

    def __call__(self) -> torch.Tensor:
        self.calls += 1
        return torch.full((self.nbytes,), self.calls, dtype=torch.uint8)


def test_what_was_computed_comes_back_under_its_key() -> None:
    one, other = Counter(), Counter()
    with remembering(Memo(100)):
        first = remember(("one", 3), one)
        assert remember(("one", 3), one) is first
        remember(("one", 4), one)
        remember(("other", 3), other)
    assert (one.calls, other.calls) == (2, 1)


def test_a_tensor_in_a_key_stands_for_its_content() -> None:
    counted, image = Counter(), torch.arange(6.0).reshape(2, 3)
    with remembering(Memo(100)):
        for same in (image, image.clone(), image.T.contiguous().T):
            remember(("of", same), counted)
        assert counted.calls == 1
        for another in (image + 1, image.reshape(3, 2), image.double()):
            remember(("of", another), counted)
        assert counted.calls == 4
        image[0, 0] = 9
        remember(("of", image), counted)
        assert counted.calls == 5, "it was changed in place"


def test_the_same_on_another_device_is_another_key(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Counter()
    monkeypatch.setattr(module, "digest_tensor", lambda tensor: "the same")
    with remembering(Memo(100)):
        for device in ("cpu", "meta", "cpu"):
            remember(("of", torch.zeros(3, device=device)), counted)
    assert counted.calls == 2


def test_what_was_not_used_for_longest_goes_first() -> None:
    makers = {name: Counter(40) for name in "abc"}
    sizes, memo = [], Memo(100)
    with remembering(memo):
        for name in ("a", "b", "a", "c", "a", "c", "b"):
            remember((name,), makers[name])
            sizes.append(memo.size)
    assert {name: one.calls for name, one in makers.items()} == {"a": 1, "b": 2, "c": 1}
    assert sizes == [40, 80, 80, 80, 80, 80, 80]


def test_a_memo_may_be_full_to_the_last_byte() -> None:
    halves, whole = {name: Counter(50) for name in "ab"}, Counter(100)
    memo = Memo(100)
    with remembering(memo):
        for _ in range(2):
            for name, one in halves.items():
                remember((name,), one)
        assert memo.size == 100
        for _ in range(2):
            remember(("whole",), whole)
    assert [one.calls for one in (*halves.values(), whole)] == [1, 1, 1]


def test_what_is_larger_than_the_memo_drives_nothing_out() -> None:
    small, large, memo = Counter(60), Counter(101), Memo(100)
    with remembering(memo):
        for _ in range(2):
            remember(("small",), small)
            assert len(remember(("large",), large)) == 101
    assert (small.calls, large.calls, memo.size) == (1, 2, 60)


def test_without_a_memo_nothing_is_kept_and_nothing_hashed(monkeypatch: pytest.MonkeyPatch) -> None:
    counted, image = Counter(), torch.zeros(3)
    memo = Memo(100)
    with remembering(memo):
        remember(("of", image), counted)
    monkeypatch.setattr(module, "digest_tensor", None)
    for _ in range(2):
        remember(("of", image), counted)
    assert counted.calls == 3


def test_a_memo_is_open_in_its_own_context_and_others_come_back() -> None:
    counted, outer, inner = Counter(), Memo(100), Memo(100)
    with remembering(outer):
        remember(("of",), counted)
        with suppress(KeyError), remembering(inner):
            remember(("of",), counted)
            raise KeyError
        remember(("of",), counted)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(remember, ("of",), counted).result()
    assert counted.calls == 3, "one each of outer, inner and the other thread, which has no memo"
    assert outer.size == inner.size == 8
