from __future__ import annotations

from typing import Any

import numpy
import PIL.Image
import pytest
import torch

from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Caption, Captions, Image, Labels, Present, Saliency, TokenMaps
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.run.output import heat, maps
from ovsskit.run.output.heat import HEAT, Tile, draw_sheet, heat_colours, heat_tile
from ovsskit.run.output.maps import MapCollector, name_maps
from ovsskit.run.output.overlay import resize_both


class Look(Stage, writes="seen"):
    """Stand for a stage."""

    def run(self, image: Image) -> Image:
        return image


IMAGE = Image(torch.rand(3, 20, 30))
STATE: dict[str, Any] = {
    "image": IMAGE,
    "vocabulary": make_vocabulary(["dog", "cat"]),
    "present": Present((2, 1)),
}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Saliency(torch.rand(2, 5, 5), (0, 2)), ""),
        (TokenMaps(torch.rand(4, 5, 5), torch.tensor([-1, 0, 0, 1]), (4,)), ""),
        (Labels(torch.ones(20, 30, dtype=torch.int64)), ""),
        (Present((2, 1)), "cat, dog"),
        (Present(()), "none of the classes"),
        (Captions((Caption("A cat.", ()), Caption("A dog.", ()))), "A cat.\nA dog."),
    ],
)
def test_every_kind_of_value_is_shown(value: Any, text: str) -> None:
    collector = MapCollector()
    collector(Look(name="look"), [{**STATE, "seen": value}], 0.0)
    [sheet] = collector.sheets
    assert (sheet.stage, sheet.kind, sheet.round, sheet.text) == (
        "look",
        type(value).__name__,
        1,
        text,
    )
    assert (sheet.image is None) == bool(text)


def test_maps_of_words_bear_the_word() -> None:
    words = make_vocabulary(["dog", "cat, kitten"], background_words=["sky"])
    assert name_maps(Saliency(torch.rand(4, 2, 2), (0, 1, 2, 2)), words) == [
        "background: sky",
        "dog",
        "cat",
        "cat: kitten",
    ]
    assert name_maps(Saliency(torch.rand(3, 2, 2), (0, 1, 2)), words) == [
        "background",
        "dog",
        "cat",
    ]


@pytest.mark.parametrize(("more", "note"), [(0, ""), (3, "and 3 more, with lower peaks")])
def test_of_many_maps_those_with_the_highest_peaks_are_shown(
    monkeypatch: pytest.MonkeyPatch, more: int, note: str
) -> None:
    """A map that is not a number anywhere has no peak."""
    shown: list[str] = []
    notes: list[str] = []
    monkeypatch.setattr(
        maps, "draw_sheet", lambda tiles, note: notes.append(note) or draw_sheet(tiles, note)
    )
    monkeypatch.setattr(
        maps,
        "heat_tile",
        lambda data, ground, name: shown.append(name) or heat_tile(data, ground, name),
    )
    count = 48 + more
    many = torch.arange(float(count))[:, None, None].expand(count, 2, 2).contiguous()
    many[0] = torch.nan
    words = make_vocabulary([f"thing {index}" for index in range(count)])
    labels = tuple(range(1, count + 1))
    MapCollector()(
        Look(name="look"), [{**STATE, "vocabulary": words, "seen": Saliency(many, labels)}], 0.0
    )
    assert shown == [f"thing {index}" for index in range(more, count)]
    assert notes == [note]


def test_every_token_bears_the_name_of_its_class(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first class of the caption is the first that is present: here the cat."""
    shown: dict[str, float] = {}
    monkeypatch.setattr(
        maps,
        "heat_tile",
        lambda data, ground, name: (
            (shown.setdefault(name, float(data.mean())) and None) or heat_tile(data, ground, name)
        ),
    )
    tokens = torch.arange(1.0, 6)[:, None, None].expand(5, 2, 2)
    value = TokenMaps(tokens, torch.tensor([-1, 0, 0, 1, -1]), (5,))
    MapCollector()(Look(name="look"), [{**STATE, "seen": value}], 0.0)
    assert shown == {"cat 1/2": 2.0, "cat 2/2": 3.0, "dog": 4.0}


@pytest.mark.parametrize(
    ("present", "names"),
    [
        (None, ["class 1 1/2", "class 2", "class 1 2/2", "class 13"]),
        (Present((2,)), ["cat 1/2", "class 2", "cat 2/2", "class 13"]),
    ],
)
def test_tokens_of_classes_that_nothing_names_bear_their_number(
    monkeypatch: pytest.MonkeyPatch, present: Present | None, names: list[str]
) -> None:
    shown: list[str] = []
    monkeypatch.setattr(
        maps,
        "heat_tile",
        lambda data, ground, name: shown.append(name) or heat_tile(data, ground, name),
    )
    value = TokenMaps(torch.rand(5, 2, 2), torch.tensor([0, 1, -1, 0, 12]), (5,))
    state = {name: slot for name, slot in STATE.items() if name != "present"}
    if present is not None:
        state["present"] = present
    MapCollector()(Look(name="look"), [{**state, "seen": value}], 0.0)
    assert shown == names


@pytest.mark.parametrize(
    ("height", "width", "size"), [(2, 2000, (220, 1)), (2000, 2, (1, 220)), (30, 20, (147, 220))]
)
def test_maps_are_as_large_as_the_small_image(
    monkeypatch: pytest.MonkeyPatch, height: int, width: int, size: tuple[int, int]
) -> None:
    """Both sides shrink or grow alike, and none vanishes."""
    sizes: list[tuple[int, int]] = []
    monkeypatch.setattr(
        maps,
        "heat_tile",
        lambda data, ground, name: sizes.append(ground.size) or heat_tile(data, ground, name),
    )
    state = {**STATE, "image": Image(torch.rand(3, height, width))}
    MapCollector()(Look(name="look"), [{**state, "seen": Saliency(torch.rand(1, 2, 2), (1,))}], 0.0)
    assert sizes == [size]


def test_hidden_patches_are_grey_where_they_lie() -> None:
    collector = MapCollector()
    image = Image(torch.ones(3, 20, 30)).hide(torch.tensor([[False, False, True], [False] * 3]))
    collector(Look(name="look"), [{**STATE, "image": image, "seen": None}], 0.0)
    assert collector.sheets[0].image is not None
    sheet = numpy.asarray(collector.sheets[0].image)
    width, height = 220, 147
    assert sheet.shape == (height + 28, width, 3)
    found = [
        [tuple(sheet[height * row // 4, width * column // 6]) for column in (1, 3, 5)]
        for row in (1, 3)
    ]
    white, grey = (255, 255, 255), (105, 105, 105)
    assert found == [[white, white, grey], [white, white, white]]


@pytest.mark.parametrize(("count", "caption"), [(1, "1 patch hidden"), (2, "2 patches hidden")])
def test_hidden_patches_are_counted(
    monkeypatch: pytest.MonkeyPatch, count: int, caption: str
) -> None:
    captions: list[str] = []
    monkeypatch.setattr(
        maps,
        "draw_sheet",
        lambda tiles: captions.extend(tile.caption for tile in tiles) or draw_sheet(tiles),
    )
    image = IMAGE.hide(torch.arange(4)[None] < count)
    MapCollector()(Look(name="look"), [{**STATE, "image": image, "seen": None}], 0.0)
    assert captions == [caption]


def test_hidden_patches_are_shown_once_for_each_choice() -> None:
    collector = MapCollector()
    hidden = IMAGE.hide(torch.tensor([[True, False]]))
    for image in (IMAGE, IMAGE.hide(torch.tensor([[False, False]])), hidden, hidden):
        collector(Look(name="look"), [{**STATE, "image": image, "seen": None}], 0.0)
    [sheet] = collector.sheets
    assert (sheet.stage, sheet.round) == ("what the model sees", 3)


def test_not_every_window_is_kept() -> None:
    collector = MapCollector()
    collector(
        Look(name="look"), [{**STATE, "seen": Saliency(torch.rand(1, 2, 2), (1,))}] * 100, 0.0
    )
    assert [sheet.round for sheet in collector.sheets] == [*range(1, 13)]


def test_heat_goes_through_its_colours_in_even_steps() -> None:
    colours = heat_colours(numpy.linspace(0, 1, 13)[None])[0].astype(int)
    found = [f"{red:02x}{green:02x}{blue:02x}" for red, green, blue in colours[::2]]
    assert found == ["000004", "320a5e", "781c6d", "bb3754", "ed6925", "fca50a", "fcffa4"]
    between = (colours[:-1:2] + colours[2::2]) / 2
    assert numpy.abs(colours[1::2] - between).max() <= 0.5
    brightness = colours @ [0.299, 0.587, 0.114]
    assert (numpy.diff(brightness) > 0).all()


def test_heat_is_ordered_and_bears_odd_numbers() -> None:
    colours = heat_colours(numpy.linspace(0, 1, 50, dtype="float32")[None]).astype(int).sum(-1)[0]
    assert (numpy.diff(colours) > 0).all()
    ground = PIL.Image.new("RGB", (4, 4))
    for odd in (numpy.nan, numpy.inf, -numpy.inf):
        values = numpy.array([[odd, 1.0], [1.0, 2.0]], "float32")
        assert heat_tile(values, ground, "dog").caption == "dog  0 to 2"
    flat = heat_tile(numpy.ones((2, 2), "float32"), ground, "dog")
    assert flat.caption == "dog  1 to 1"
    assert numpy.allclose(flat.image, 0.7 * numpy.array(HEAT[0]), atol=1)


@pytest.mark.parametrize("large", [False, True])
def test_heat_lies_where_the_values_are(large: bool) -> None:
    """Small maps are enlarged in squares, large ones are made smaller; the image shines through."""
    values = numpy.array([[1.0, 5.0, 3.0], [3.0, 1.0, 1.0]], "float32")
    shown = values.repeat(90, 0).repeat(90, 1) if large else values
    ground = PIL.Image.new("RGB", (60, 40), (200, 100, 0))
    tile = heat_tile(shown, ground, "dog")
    assert tile.caption == "dog  1 to 5"
    grey = round(0.299 * 200 + 0.587 * 100)
    colours = {1.0: HEAT[0], 3.0: HEAT[3], 5.0: HEAT[-1]}
    for row in range(2):
        for column in range(3):
            found = tile.image.getpixel((20 * column + 10, 20 * row + 10))
            expected = [0.3 * grey + 0.7 * part for part in colours[float(values[row, column])]]
            assert numpy.allclose(found, expected, atol=1.5)


def test_sheets_break_rows() -> None:
    ground, _ = resize_both(
        numpy.zeros((100, 220, 3), "uint8"), numpy.zeros((100, 220), "int64"), 1.0
    )
    assert draw_sheet([Tile(ground, "one")] * 7, "and 3 more").size == (
        5 * 230 - 10,
        2 * 138 - 10 + 28,
    )


def test_captions_stand_under_narrow_tiles_too_and_the_note_below(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written: list[tuple[int, int, str]] = []
    monkeypatch.setattr(heat, "_write", lambda draw, *what: written.append(what))
    tile = PIL.Image.new("RGB", (100, 50))
    sheet = draw_sheet([Tile(tile, f"map {index}") for index in range(8)], "and 2 more")
    assert sheet.size == (7 * 170 - 10, 2 * 88 - 10 + 28)
    assert written == [
        *((index % 7 * 170, index // 7 * 88 + 64, f"map {index}") for index in range(8)),
        (0, 2 * 88 + 4, "and 2 more"),
    ]


def test_a_caption_without_a_font_has_question_marks() -> None:
    tile = PIL.Image.new("RGB", (100, 50))
    odd, plain, empty = (draw_sheet([Tile(tile, text)]) for text in ("dog \U0010fffc", "dog ?", ""))
    assert odd.tobytes() == plain.tobytes() != empty.tobytes()


def test_tiles_lie_side_by_side() -> None:
    colours = [(255, 0, 0), (0, 0, 255)]
    sheet = draw_sheet([Tile(PIL.Image.new("RGB", (200, 100), one), "") for one in colours])
    assert [sheet.getpixel((left + 100, 50)) for left in (0, 210)] == colours


def test_a_map_that_varies_by_rounding_alone_has_one_colour() -> None:
    noise = torch.rand(5, 5, generator=torch.Generator().manual_seed(0)).numpy() * 1e-7
    ground = PIL.Image.new("RGB", (20, 30), "red")
    for level in (1 / 3, -40.0):
        drawn = heat_tile((level * (1 + noise)).astype("float32"), ground, "flat").image
        assert len(drawn.getcolors()) == 1
    assert len(heat_tile(noise, ground, "small values").image.getcolors()) > 1
