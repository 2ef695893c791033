"""A vocabulary that says whose classes it names has its colours until classes change."""

from __future__ import annotations

from difflib import SequenceMatcher
from pathlib import Path

import pytest

from ovsskit.datasets.facts import facts_of, palette_of
from ovsskit.errors import Problems
from ovsskit.files.shipped import recipe_folder
from ovsskit.recipe.build import load_recipe
from ovsskit.recipe.vocabulary import VocabularyTable, make_vocabulary, replace_classes

RECIPES = sorted(recipe_folder().glob("*.toml"))
OF_NO_DATASET = {"ifseg", "ifseg_coco_unseen15", "ifseg_notebook", "pnp_blip", "quickstart"}
OF_NO_DATASET |= {
    "clip_es",
    "tagclip",
    "pnp_albef",
    "pnp_bridgetower",
    "pnp_mplug",
    "pnp_blip_released_coco_stuff",
}


def write(path: Path, text: str) -> Path:
    path.write_text(f'{text}\n[[stage]]\nuse = "all_classes"\n', encoding="utf-8")
    return path


def test_colours_are_the_data_sets() -> None:
    with_background = VocabularyTable(preset="voc21", dataset="voc").make()
    assert with_background.dataset == "voc21"
    assert with_background.colours == palette_of("voc21")
    without = VocabularyTable(preset="voc20", dataset="voc20").make()
    assert without.colours == ((0, 0, 0), *palette_of("voc20"))
    grey = VocabularyTable(preset="context60", dataset="context60").make()
    assert grey.colours[:2] == ((120, 120, 120), (180, 120, 120))


def test_other_classes_have_colours_of_their_own() -> None:
    vocabulary = VocabularyTable(preset="voc21", dataset="voc21").make()
    other = replace_classes(["dog", "cat"], vocabulary)
    assert other.dataset == ""
    assert other.colours == make_vocabulary(["dog", "cat"]).colours


def test_a_variant_with_other_classes_is_of_no_data_set(tmp_path: Path) -> None:
    write(tmp_path / "base.toml", '[vocabulary]\npreset = "voc21"\ndataset = "voc21"')
    extends = 'extends = "base.toml"\n[vocabulary]\n'
    same = tmp_path / "same.toml"
    same.write_text(f'{extends}background_words = ["sky"]\n')
    assert load_recipe(same).plan.vocabulary.dataset == "voc21"
    other = tmp_path / "other.toml"
    other.write_text(f'{extends}names = ["dog"]\n')
    assert load_recipe(other).vocabulary.dataset == ""


def test_classes_that_are_set_are_of_no_data_set_unless_that_is_set_too() -> None:
    assert load_recipe("sclip", "vocabulary.preset=voc20").vocabulary.dataset == ""
    sets = ("vocabulary.preset=sclip_ade20k", "vocabulary.dataset=ade20k")
    for both in (sets, sets[::-1]):
        found = load_recipe("sclip", (*both, "vocabulary.first_is_background=false"))
        assert found.plan.vocabulary.dataset == "ade20k"


def test_a_data_set_alone_names_no_classes(tmp_path: Path) -> None:
    recipe = write(tmp_path / "alone.toml", '[vocabulary]\ndataset = "voc21"')
    with pytest.raises(Problems, match="0 classes are named, but voc21 has 20") as caught:
        load_recipe(recipe)
    assert caught.value.problems[0].where.line == 2


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_classes_of_shipped_recipes_stand_in_the_order_of_their_data_set(path: Path) -> None:
    vocabulary = load_recipe(path).plan.vocabulary
    assert bool(vocabulary.dataset) != (path.stem in OF_NO_DATASET or path.stem.endswith("_tiny"))
    if not vocabulary.dataset:
        return
    facts = facts_of(vocabulary.dataset)
    official = [name for index, name in enumerate(facts.classes) if index != facts.background]
    pairs = zip(vocabulary.names, official, strict=True)
    alike = [likeness(name, own) > 0.6 for name, own in pairs]
    # CorrCLIP has a ship for a boat, and ActiveSAM a tree for vegetation.
    assert sum(alike) / len(alike) >= 0.85


def likeness(one: str, other: str) -> float:
    """Compare two names whatever the order of their words, as in `brick wall` and `wall-brick`."""
    mine, its = ("".join(sorted(name.replace(" ", "").replace("-", ""))) for name in (one, other))
    return SequenceMatcher(None, mine, its).ratio()
