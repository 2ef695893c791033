from __future__ import annotations

from typing import Any

import pytest
import torch

from ovsskit.engine.values import END, PADDING, PROMPT, Image, TokenMaps
from ovsskit.stages.wrap.salience_dropout import SalienceDropout, choose_patches, salience_of

POSITIONS = torch.tensor([PROMPT, 0, 1, END, PADDING])
IMAGE = Image(torch.zeros(3, 8, 8))


def drive(
    stage: SalienceDropout, maps: list[torch.Tensor]
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Answer each round with the next maps; return the sum, and what each round after the first
    hid.
    """
    run = stage.run(IMAGE)
    next(run)
    hidden = []
    for data in maps[:-1]:
        [request] = run.send([{"token_maps": TokenMaps(data, POSITIONS, (5,))}])
        hidden.append(request["image"].hidden)  # type: ignore[attr-defined]
    with pytest.raises(StopIteration) as stop:
        run.send([{"token_maps": TokenMaps(maps[-1], POSITIONS, (5,))}])
    return stop.value.value.data, hidden


@pytest.mark.parametrize("twice", [False, True])
def test_rounds_are_added_without_what_they_did_not_see(twice: bool) -> None:
    maps = [torch.rand(5, 4, 4) for _ in range(3)]
    total, hidden = drive(
        SalienceDropout(rounds=3, schedule="fixed", patches=2, count_first_twice=twice), maps
    )
    torch.testing.assert_close(
        total, maps[0] * (1 + twice) + maps[1] * ~hidden[0] + maps[2] * ~hidden[1]
    )
    best = (maps[0][1] + maps[0][2]).flatten().topk(2).indices
    assert sorted(best.tolist()) == hidden[0].flatten().nonzero().flatten().tolist()
    assert int(hidden[1].sum()) == 4
    assert bool(hidden[1][hidden[0]].all())


def test_halving_hides_half_of_what_remains() -> None:
    _, hidden = drive(SalienceDropout(rounds=5), [torch.rand(5, 4, 4) + 0.1 for _ in range(5)])
    assert [int(one.sum()) for one in hidden] == [8, 12, 14, 15]


def test_by_default_four_rounds_are_counted_once_each() -> None:
    maps = [torch.rand(5, 4, 4) for _ in range(4)]
    total, hidden = drive(SalienceDropout(), maps)
    seen = [~one for one in hidden]
    torch.testing.assert_close(
        total, maps[0] + maps[1] * seen[0] + maps[2] * seen[1] + maps[3] * seen[2]
    )


def test_no_patch_twice_and_none_without_salience() -> None:
    salience = torch.tensor([[0.0, 3.0, 1.0, 0.0]])
    hidden = torch.tensor([[False, True, False, False]])
    assert choose_patches(salience, hidden, 3).tolist() == [[False, False, True, False]]
    assert choose_patches(salience, hidden, 99).sum() == 1


def test_salience_of_classes_and_as_released() -> None:
    data = torch.rand(5, 2, 2)
    maps = TokenMaps(data, POSITIONS, (5,))
    torch.testing.assert_close(salience_of(maps, "class_tokens"), data[1] + data[2])
    torch.testing.assert_close(salience_of(maps, "released"), data[1] + data[2] + data[3])


@pytest.mark.parametrize(
    ("rescale", "is_scaled"), [("never", False), ("always", True), ("released", True)]
)
def test_scaling_of_class_tokens(rescale: Any, is_scaled: bool) -> None:
    data = torch.rand(5, 2, 2) + 3
    total, _ = drive(SalienceDropout(rounds=1, rescale=rescale), [data])
    assert bool((total[1:3].amax((1, 2)) == 1).all()) is is_scaled
    torch.testing.assert_close(total[[0, 3, 4]], data[[0, 3, 4]])


def test_what_an_outer_wrapper_hides_stays_hidden() -> None:
    outer = IMAGE.hide(torch.eye(4, dtype=torch.bool))
    run = SalienceDropout(rounds=2).run(outer)
    next(run)
    [request] = run.send([{"token_maps": TokenMaps(torch.rand(5, 4, 4), POSITIONS, (5,))}])
    assert bool(request["image"].hidden.diagonal().all())  # type: ignore[attr-defined]
