from __future__ import annotations

import logging

import pytest

from ovsskit.engine.values import Present
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.stages.text.write_captions import WriteCaptions
from ovsskit.testing import ToyBackbone


def test_one_caption_names_the_present_classes_in_order() -> None:
    words = make_vocabulary(["dog", "ice cream", "Öl"])
    [caption] = WriteCaptions().run(words, Present((3, 2)), ToyBackbone()).captions
    assert caption.text == "A picture of Öl ice cream"
    assert [(span.position, caption.text[span.start : span.end]) for span in caption.spans] == [
        (0, "Öl"),
        (1, "ice cream"),
    ]


def test_too_many_classes_are_split_and_it_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    names = [f"c{i} d" for i in range(9)]
    words, present = make_vocabulary(names), Present(tuple(range(1, 10)))
    with caplog.at_level(logging.WARNING):
        captions = WriteCaptions().run(words, present, ToyBackbone()).captions
        WriteCaptions().run(words, present, ToyBackbone())
    assert len(caplog.records) == 1
    assert all(
        ToyBackbone().count_tokens(caption.text) <= ToyBackbone().token_limit
        for caption in captions
    )
    spans = [
        (span.position, caption.text[span.start : span.end])
        for caption in captions
        for span in caption.spans
    ]
    assert spans == list(enumerate(names))


def test_a_caption_is_filled_up_to_the_limit() -> None:
    """The prompt takes five of twelve tokens, and every name one."""
    for count, sizes in ((7, [7]), (8, [7, 1])):
        words = make_vocabulary([f"c{index}" for index in range(count)])
        found = WriteCaptions().run(words, Present(tuple(range(1, count + 1))), ToyBackbone())
        assert [len(caption.spans) for caption in found.captions] == sizes
