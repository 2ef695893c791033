from __future__ import annotations

import torch
from ofa_twin import random_network, small_shape

from ovsskit.backbones.ofa._layers import Dropped
from ovsskit.fit.table import FitTable
from ovsskit.fit.tuning import FROZEN, Tuner, set_dropping

PIECES, TEXT = [[4], [5, 6], [7]], [0, 8, 4, 5, 6, 7, 2]
SETTINGS = FitTable(updates=6, batch=3, at_once=2, rate=0.01)


def tuner(settings: FitTable = SETTINGS, mixed: bool = False) -> Tuner:
    return Tuner(random_network(small_shape(9, 20)), PIECES, TEXT, settings, mixed)


def test_the_same_seed_gives_the_same_steps() -> None:
    first, second = ([one.step(number) for number in range(3)] for one in (tuner(), tuner()))
    assert first == second
    assert first != [tuner(SETTINGS.model_copy(update={"seed": 1})).step(0), *first[1:]]


def test_chance_outside_is_left_alone() -> None:
    one = tuner()
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    one.step(0)
    assert torch.equal(torch.rand(2), expected)


def test_only_what_is_tuned_changes() -> None:
    one = tuner()
    before = {name: parameter.clone() for name, parameter in one.network.state_dict().items()}
    one.step(0)
    changed = {
        name
        for name, tensor in one.network.state_dict().items()
        if not torch.equal(tensor, before[name])
    }
    assert changed == set(one.tuned())
    assert not any(name.startswith(FROZEN) for name in changed)


def test_the_loss_falls() -> None:
    one = tuner(SETTINGS.model_copy(update={"updates": 60, "dropout": 0.0, "drop_path": 0.0}))
    losses = [one.step(number) for number in range(60)]
    assert sum(losses[-10:]) < 0.7 * sum(losses[:10])


def test_mixed_precision_is_near() -> None:
    quiet = SETTINGS.model_copy(update={"dropout": 0.0, "drop_path": 0.0})
    full, mixed = tuner(quiet), tuner(quiet, mixed=True)
    assert abs(full.step(0) - mixed.step(0)) < 0.02 * full.step(1)
    assert all(parameter.dtype == torch.float32 for parameter in mixed.tuned().values())


def test_dropped_branches_rise_over_the_layers() -> None:
    network = random_network(small_shape(9, 20))
    set_dropping(network, 0.25, 0.1)
    assert [layer.dropped.branches for layer in network.encoder.layers] == [0.0, 0.1]
    assert network.encoder.dropped.numbers == network.decoder.layers[0].dropped.numbers == 0.25
    assert network.encoder.dropped.branches == 0.0


def test_dropping_keeps_the_mean_and_drops_whole_samples() -> None:
    dropped = Dropped().train()
    dropped.branches = 0.5
    torch.manual_seed(0)
    found = dropped(torch.ones(4000, 2, 2))
    assert set(found.flatten(1).mean(1).tolist()) == {0.0, 2.0}
    assert abs(float(found.mean()) - 1) < 0.1
    assert torch.equal(dropped.eval()(torch.ones(3, 2, 2)), torch.ones(3, 2, 2))
