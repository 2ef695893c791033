from __future__ import annotations

from dataclasses import replace

import torch

from ovsskit.engine.values import NEGATIVE, Explanation
from ovsskit.stages.maps.channel_cam import ChannelCam, channel_weights

close = torch.testing.assert_close


def test_weights_are_the_gradient_of_the_probability() -> None:
    given = Explanation.example(3)
    jacobian = torch.func.jacrev(lambda logits: logits.softmax(0))(given.logits)
    close(channel_weights(given), jacobian @ given.gradients)


def test_what_speaks_for_a_class_is_summed_cut_at_zero_and_scaled() -> None:
    given = Explanation.example()
    maps = ChannelCam(epsilon=0).run(given)
    assert maps.labels == (1, 2, 3)
    weights = channel_weights(given)
    for found, weight in zip(maps.data, weights, strict=False):
        summed = sum(
            float(one) * plane for one, plane in zip(weight, given.activations, strict=True)
        )
        cut = torch.as_tensor(summed).clamp(min=0)
        close(found, (cut - cut.min()) / (cut.max() - cut.min()))


def test_a_class_for_which_nothing_speaks_has_a_map_of_zeros() -> None:
    given = Explanation.example()
    against = replace(given, activations=given.activations * 0)
    assert not ChannelCam().run(against).data.any()


def test_an_image_without_a_class_is_background() -> None:
    given = Explanation.example()
    empty = replace(
        given, logits=given.logits[-1:], gradients=given.gradients[-1:], labels=(NEGATIVE,)
    )
    maps = ChannelCam().run(empty)
    assert maps.labels == (0,)
    assert maps.data.shape == (1, *given.activations.shape[1:])
    assert bool((maps.data == 1).all())


def test_a_blank_map_is_made_again_without_the_negatives() -> None:
    plane = Explanation.example().activations[:1].abs()
    speaks = torch.tensor([[1.0], [-1], [5], [3]])
    given = Explanation(plane, torch.tensor([0.0, 0, 0, 4]), speaks, (1, 2, 3, NEGATIVE))
    kept = ChannelCam().run(given).data
    assert kept.flatten(1).any(1).tolist() == [False, False, True], "the negative speaks against"
    again = ChannelCam(if_blank="without_negatives").run(given).data
    assert torch.equal(again[2], kept[2])
    assert torch.equal(again[:2], ChannelCam().run(given.pick([0, 1, 2])).data[:2])
    two = ChannelCam(if_blank="without_negatives").run(given.pick([0, 1, 3])).data
    assert two.flatten(1).any(1).tolist() == [True, False], "the other class speaks against"


def test_one_class_has_nothing_to_compete_with_without_negatives() -> None:
    given = Explanation.example()
    one = replace(given, activations=given.activations * 0).pick([1, 3])
    assert not ChannelCam(if_blank="without_negatives").run(one).data.any()
