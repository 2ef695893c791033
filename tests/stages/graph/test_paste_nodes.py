from __future__ import annotations

import pytest
import torch

from ovsskit.engine.values import Logits, Nodes, Tile
from ovsskit.errors import BadValue
from ovsskit.stages.graph.paste_nodes import PasteNodes
from ovsskit.testing import example

interpolate = torch.nn.functional.interpolate


def test_tiles_that_overlap_are_averaged() -> None:
    nodes = example(Nodes)
    [left, right] = nodes.data.unflatten(1, (2, 3, 4)).unbind(1)
    parts = [interpolate(part[None], (24, 20), mode="bilinear")[0] for part in (left, right)]
    scores = PasteNodes().run(nodes)
    assert isinstance(scores, Logits)
    assert scores.labels == nodes.labels
    torch.testing.assert_close(scores.data[:, :, :15], parts[0][:, :, :15])
    torch.testing.assert_close(scores.data[:, :, 20:], parts[1][:, :, 5:])
    both = (parts[0][:, :, 15:] + parts[1][:, :, :5]) / 2
    torch.testing.assert_close(scores.data[:, :, 15:20], both)


def padded() -> Nodes:
    """Return the nodes of an image of 6 x 7 pixels that was padded to 8 x 8, in patches of 4."""
    tile = Tile((2, 2), (0, 8, 0, 8), (0, 6, 0, 7))
    return Nodes(torch.rand(3, 4), torch.rand(4, 5), (1, 2, 3), (tile,), (6, 7))


def test_margins_are_pressed_in_or_cut_off() -> None:
    nodes = padded()
    grid = nodes.data.unflatten(1, (2, 2))[None]
    squeezed, cut = (PasteNodes(margins=how).run(nodes).data for how in ("squeezed", "cut"))
    assert torch.equal(squeezed, interpolate(grid, (6, 7), mode="bilinear")[0])
    assert torch.equal(cut, interpolate(grid, (8, 8), mode="bilinear")[0, :, :6, :7])


def test_one_tile_may_keep_its_grid() -> None:
    nodes = padded()
    assert torch.equal(PasteNodes(onto="grid").run(nodes).data, nodes.data.unflatten(1, (2, 2)))


def test_windows_have_no_grid_in_common() -> None:
    with pytest.raises(BadValue, match=r"are in windows\.\n.*There are 2 windows"):
        PasteNodes(onto="grid").run(example(Nodes))
