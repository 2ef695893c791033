"""Measure what it is worth to take what `ovsskit words` proposes, on scenes with true masks.

In `benchmarks/`, run `python words.py [RECIPE] [--scenes 40] [--first-seed N] [--case NAME]`.
An audit sees some scenes without their masks. The list of classes, the file that it proposes, and
that file with near-duplicates joined to one class are scored on as many others, and on those seen.
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ovsskit.embedded import NOUNS
from ovsskit.engine.notices import Silent
from ovsskit.engine.store import Store
from ovsskit.ops.metrics import confusion, mean_iou
from ovsskit.recipe.vocabulary import read_classes, split_classes
from ovsskit.run.pipeline import load
from ovsskit.words.audit import Audit
from ovsskit.words.words import WordsOptions, audit_words
from tiny_models.evaluate import evaluation_scenes
from tiny_models.scenes import Scene

FIRST_SEED = 250_000_000
HALF = NOUNS[::2]


@dataclass(frozen=True)
class Case:
    """Hold how a person might name classes: a word by each true class, and synonyms to try.

    `others` are classes that no scene shows. `bare` takes the recipe's own words for the background
    away.
    """

    names: dict[str, str]
    synonyms: str = ""
    others: tuple[str, ...] = ()
    bare: bool = False

    @property
    def lines(self) -> list[str]:
        """Return the list of classes."""
        return [*self.names.values(), *self.others]


def named(nouns: Sequence[str], **others: str) -> dict[str, str]:
    """Return classes by their own names, but for some."""
    return {noun: others.get(noun, noun) for noun in nouns}


MISSPELT = named(HALF, dog="dogg", butterfly="buterfly", house="hause", umbrella="umbrela")
STRANGE = named(HALF, dog="hound", cow="cattle", house="dwelling", flower="blossom", boat="vessel")
RIGHT = "hound: dog\ncattle: cow\ndwelling: house\nblossom: flower\nvessel: boat\n"
MIXED = """
hound: dog, cat
cattle: cow, elephant
dwelling: house, tree
blossom: flower, mushroom
vessel: boat, train
apple: ball
bus: car
"""
WRONG = "dog: cat\nfish: bird\nbutterfly: mushroom\nbus: train\napple: ball\nhouse: tree\n"
CASES = {
    "good list": Case(named(NOUNS)),
    "good list, no words for the background": Case(named(NOUNS), bare=True),
    "half of the things": Case(named(HALF)),
    "half of the things, no words for the background": Case(named(HALF), bare=True),
    "misspelt": Case(MISSPELT),
    "strange words, right synonyms": Case(STRANGE, RIGHT),
    "strange words, right and wrong synonyms": Case(STRANGE, MIXED),
    "good words, wrong synonyms": Case(named(HALF), WRONG),
    "three words twice, one class absent, one misspelt": Case(
        named(HALF, butterfly="buterfly"), others=("toy house", "small dog", "the fish", "tattoo")
    ),
}


def join(lines: Sequence[str], audit: Audit) -> list[str]:
    """Return classes in which near-duplicates are one class, as the comments of the file ask."""
    words = [split_classes(line) for line in lines]
    for pair in audit.pairs:
        one, two = (
            next(line for line in words if word in line) for word in (pair.first, pair.second)
        )
        if pair.is_near and one is not two:
            one += two
            words.remove(two)
    return [", ".join(line) for line in words]


def score(
    recipe: Path, lines: Sequence[str], case: Case, scenes: Sequence[Scene], store: Store
) -> float:
    """Return the mean IoU in per cent; things that are no class are background."""
    pipeline = load(recipe, device="cpu", store=store)
    things = np.zeros(len(NOUNS) + 1, dtype=np.int64)
    for label, noun in enumerate(case.names, 1):
        things[NOUNS.index(noun) + 1] = label
    count = len(case.lines) + 1
    total = torch.zeros(count, count, dtype=torch.int64)
    for scene in scenes:
        result = pipeline(scene.image, classes=lines)
        numbers = [0, *(case.lines.index(name) + 1 for name in result.vocabulary.names)]
        found = torch.tensor(numbers)[result.labels]
        total += confusion(torch.from_numpy(things[scene.things]), found, count)
    return 100 * mean_iou(total)


def main() -> None:
    """Read the command line and print the scores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", nargs="?", default="naclip_tiny")
    parser.add_argument("--scenes", type=int, default=40)
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--case", choices=[*CASES], help="this case alone")
    parser.add_argument("--show", action="store_true", help="print the proposed files, too")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    scenes = evaluation_scenes(2 * asked.scenes, first_seed=asked.first_seed)
    seen, others = scenes[: asked.scenes], scenes[asked.scenes :]
    store = Store(memory_bytes=2 << 30)
    print(f"{asked.recipe}: mean IoU on {len(others)} other scenes, on the {len(seen)} seen")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "images").mkdir()
        for index, scene in enumerate(seen):
            scene.image.save(folder / "images" / f"{index:04d}.png")
        for title in [asked.case] if asked.case else CASES:
            case = CASES[title]
            recipe, given, out = (folder / one for one in ("own.toml", "given.txt", "out.txt"))
            names = f"\n[vocabulary]\nnames = {list(NOUNS)}\n" if case.bare else ""
            recipe.write_text(f'name = "own"\nextends = "{asked.recipe}"\n{names}')
            given.write_text("\n".join(case.lines))
            synonyms = folder / "synonyms.txt"
            synonyms.write_text(case.synonyms)
            options = WordsOptions(
                str(recipe),
                images=(str(folder / "images"),),
                classes_file=given,
                out=out,
                device="cpu",
                force=True,
                synonyms=(synonyms,) if case.synonyms else (),
            )
            audit = audit_words(options, Silent())
            proposed = read_classes(out)
            lists = {"given": case.lines, "proposed": proposed, "joined": join(proposed, audit)}
            for name, lines in lists.items():
                found = [score(recipe, lines, case, some, store) for some in (others, seen)]
                print(f"{title}, {name}: {found[0]:.1f}, {found[1]:.1f}", flush=True)
            if asked.show:
                print(out.read_text(), flush=True)


if __name__ == "__main__":
    main()
