from __future__ import annotations

import pytest
import torch

from ovsskit.engine.driver import Driver
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Image, Nodes, Tile, Window
from ovsskit.stages.wrap._windows import spans
from ovsskit.stages.wrap.window_nodes import WindowNodes
from ovsskit.testing import check_wrapper


class Patches(Stage, writes="nodes"):
    """Stand for networks: nodes of patches of four pixels."""

    def run(self, image: Image) -> Nodes:
        """Return the mean colours of patches, as scores and as vectors."""
        means = torch.nn.functional.avg_pool2d(image.data, 4)
        height, width = image.size
        box = (0, height, 0, width)
        tiles = (Tile((means.shape[1], means.shape[2]), box, box),)
        return Nodes(means.flatten(1), means.flatten(1).T, (1, 2, 3), tiles, image.size)


@pytest.mark.parametrize("size", [(16, 24), (8, 40), (20, 12)])
@pytest.mark.parametrize(("window", "stride"), [(12, 8), (8, 4), (16, 16)])
def test_against_a_plain_loop(size: tuple[int, int], window: int, stride: int) -> None:
    """Scores are rows and columns of pixels, so that places are known from them."""
    rows, columns = torch.meshgrid(*map(torch.arange, size), indexing="ij")
    image = torch.stack([rows, columns, rows]).float()
    stage = WindowNodes(window=window, stride=stride, inner=(Patches(),))
    [state] = Driver({}, {}, batch=3).run([stage], [{"image": Image(image)}])
    nodes = state["nodes"]
    Nodes.check(nodes)
    expected = [
        Patches().run(Image(image[:, row, column])).data
        for row in spans(size[0], window, stride)
        for column in spans(size[1], window, stride)
    ]
    assert torch.equal(nodes.data, torch.cat(expected, 1))
    assert torch.equal(nodes.places, nodes.data[:2].T + 0.5)  # a pixel's middle is half a pixel in


def test_margins_lie_outside_and_places_do_not_move() -> None:
    stage = WindowNodes(window=8, stride=8, multiple=8, padding="end", inner=(Patches(),))
    [state] = Driver({}, {}).run([stage], [{"image": Image(torch.rand(3, 6, 12))}])
    tiles = state["nodes"].tiles
    assert [tile.seen for tile in tiles] == [(0, 8, 0, 8), (0, 8, 4, 12)]
    assert [tile.inside for tile in tiles] == [(0, 6, 0, 8), (0, 6, 4, 12)]
    assert torch.equal(state["nodes"].places[:2], torch.tensor([[2.0, 2.0], [2.0, 6.0]]))


def test_margins_around_move_the_first_patch_out() -> None:
    stage = WindowNodes(window=0, multiple=8, inner=(Patches(),))
    [state] = Driver({}, {}).run([stage], [{"image": Image(torch.rand(3, 6, 8))}])
    [tile] = state["nodes"].tiles
    assert (tile.seen, tile.inside) == ((-1, 7, 0, 8), (0, 6, 0, 8))
    assert state["nodes"].places[0].tolist() == [1.0, 2.0]


def test_windows_in_windows_lie_in_the_image() -> None:
    inner = WindowNodes(name="inner", window=4, stride=4, inner=(Patches(),))
    stage = WindowNodes(window=8, stride=8, inner=(inner,))
    plain = WindowNodes(window=4, stride=4, inner=(Patches(),))
    image = Image(torch.rand(3, 8, 16))
    nested, flat = (
        Driver({}, {}).run([one], [{"image": image}])[0]["nodes"] for one in (stage, plain)
    )
    assert {*nested.tiles} == {*flat.tiles}
    assert nested.size == flat.size == image.size


def test_a_tile_in_a_padded_window_ends_where_the_image_does() -> None:
    window = Window((20, 20), slice(10, 20), slice(4, 12), (2, 3, 0, 0))
    tile = Tile((2, 2), (0, 15, 1, 8), (0, 15, 1, 8)).within(window)
    assert (tile.seen, tile.inside) == ((8, 23, 5, 12), (10, 20, 5, 12))


def test_contract() -> None:
    check_wrapper(WindowNodes(window=0), inner=Patches())
