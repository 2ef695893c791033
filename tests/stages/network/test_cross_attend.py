from __future__ import annotations

from ovsskit.engine.plan import settle
from ovsskit.engine.values import Captions, Image, Vocabulary
from ovsskit.run.pipeline import Pipeline
from ovsskit.stages.maps.grad_cam import GradCam
from ovsskit.stages.maps.select_head import SelectHead
from ovsskit.stages.network.cross_attend import CrossAttend
from ovsskit.stages.presence.all_classes import AllClasses
from ovsskit.stages.text.write_captions import WriteCaptions
from ovsskit.stages.wrap.salience_dropout import SalienceDropout
from ovsskit.testing import ToyBackbone, example


def test_only_the_layers_that_are_selected_later_are_kept() -> None:
    [first, *_] = settle(
        [
            CrossAttend(),
            SalienceDropout(inner=(SelectHead(layer=2, head=1),)),
            SelectHead(layer=5, name="b"),
        ]
    )
    assert isinstance(first, CrossAttend)
    assert first.layers == (2, 5)
    [alone] = settle([CrossAttend()])
    assert alone == CrossAttend()


def test_inside_a_wrapper_too() -> None:
    chain = (CrossAttend(), SelectHead(layer=2, head=1), GradCam())
    pipeline = Pipeline.of(
        [AllClasses(), WriteCaptions(), SalienceDropout(rounds=2, inner=chain)],
        {"backbone": ToyBackbone()},
        device="cpu",
    )
    [state] = pipeline.run_many([example(Image)], example(Vocabulary))
    assert state["token_maps"].data.isfinite().all()
    [wrapper] = [stage for stage in pipeline.plan.stages if isinstance(stage, SalienceDropout)]
    assert wrapper.inner[0] == CrossAttend(layers=(2,))


def test_layers_of_ones_own_and_all() -> None:
    image, captions = example(Image), example(Captions)
    assert CrossAttend(layers=(2,)).run(image, captions, ToyBackbone()).layers == (2,)
    assert CrossAttend(layers="all").run(image, captions, ToyBackbone()).layers == tuple(
        range(1, ToyBackbone().layer_count + 1)
    )
