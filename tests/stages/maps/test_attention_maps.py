from ovsskit.engine.values import CrossAttention
from ovsskit.stages.maps.attention_maps import AttentionMaps
from ovsskit.stages.maps.grad_cam import GradCam
from ovsskit.testing import example


def test_it_takes_the_place_of_grad_cam() -> None:
    one, other = (
        AttentionMaps().run(example(CrossAttention)),
        GradCam().run(example(CrossAttention)),
    )
    assert one.data.shape == other.data.shape
    assert one.lengths == other.lengths
    assert float(one.data.amin()) >= 0
