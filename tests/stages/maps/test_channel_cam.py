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
