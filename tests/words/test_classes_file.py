from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovsskit.recipe.vocabulary import make_vocabulary, read_classes, replace_classes
from ovsskit.words.audit import Audit, ClassAudit, Replaced, Share, WordAudit
from ovsskit.words.classes_file import classes_text
from ovsskit.words.proposals import Proposals
from ovsskit.words.text_space import Pair

CAT = ClassAudit("cat", 0.2, 3, None, (), None, (WordAudit("mog", "list", 0.0, 0, 0.0, ()),))
YETI = ClassAudit("yeti", 0.0, 0, None, (), None, ())
AUDIT = Audit("some", 3, 4, 0.5, (CAT, YETI), (), (), None, (), True, {})
KITTEN = WordAudit("kitten", "a.txt:1", 0.31, 2, 0.5, (Share("dog", 0.5), Share("cat", 0.004)))
GRASS = WordAudit("grass", "distractor", 0.12, 3, 1.0, (Share("cat", 1.0),))
NOTHING = Proposals((), {}, {})


def test_the_file_holds_words_with_their_evidence() -> None:
    audit = replace(AUDIT, pairs=(Pair("yeti", "mog", 0.81, 1.0), Pair("cat", "yeti", 0.2, 0.5)))
    proposals = Proposals((GRASS,), {"cat": (KITTEN,)}, {"yeti": Replaced("ape", None, 0.0003)})
    vocabulary = make_vocabulary(["cat, mog", "yeti"], background_words=["sky", "wall"])
    assert classes_text(audit, proposals, vocabulary, ["wall"]) == (
        "# Words for some, proposed by 3 images without labels. Read them:\n"
        "# what wins is not always right. Lines that start with # are skipped.\n"
        "\n"
        "# Words for what is none of the classes. Remove those that a class includes.\n"
        "# + grass (distractor) wins 12 % of all pixels, in 3 images; they were cat 100 %\n"
        "background, wall, grass\n"
        "\n"
        "# `yeti` and `mog` are nearly the same (0.81)\n"
        "# `mog` wins nowhere beside the others\n"
        "# + kitten (a.txt:1) wins 31 % of its pixels, in 2 images; they were dog 50 %, cat 0.4 %\n"
        "cat, mog, kitten\n"
        "# wins nowhere\n"
        "# `yeti` and `mog` are nearly the same (0.81)\n"
        "# `ape` in its place wins <0.1 % of all pixels\n"
        "yeti\n"
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("classes")


WORDS = st.lists(
    st.text(st.characters(categories=["L"], max_codepoint=0x24F), min_size=1, max_size=6),
    min_size=6,
    max_size=6,
    unique_by=str.casefold,
).filter(lambda words: "background" not in {word.casefold() for word in words})


@given(WORDS)
def test_what_is_written_is_read_back(folder: Path, words: list[str]) -> None:
    one, two, synonym, added, behind, own = words
    vocabulary = make_vocabulary([f"{one}, {synonym}", two], background_words=[own])
    audit = replace(AUDIT, classes=(replace(CAT, name=one), replace(YETI, name=two)))
    proposals = Proposals((replace(GRASS, word=behind),), {two: (replace(KITTEN, word=added),)}, {})
    path = folder / "classes.txt"
    path.write_text(classes_text(audit, proposals, vocabulary, []), encoding="utf-8")
    found = replace_classes(read_classes(path), vocabulary)
    assert found.names == (one, two)
    assert found.synonyms == ((synonym,), (added,))
    assert found.background_words == (own, behind)
