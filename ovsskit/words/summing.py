"""Make an audit of what was added up over images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ovsskit._lazy import Int, torch
from ovsskit.words.audit import Audit, ClassAudit, Replaced, Share, WordAudit
from ovsskit.words.candidates import Candidates
from ovsskit.words.tallies import Tallies, WordWins
from ovsskit.words.text_space import Pair
from ovsskit.words.variants import Variants

MOST_SOURCES = 3
"""How many labels are named of those whose pixels a word takes."""
NO_SCORES = "The recipe has no scores of several classes at its end."
NO_WORD_SCORES = "No stage of the recipe writes scores of single words."


@dataclass(frozen=True)
class Summary:
    """Sum up what runs found of a recipe's words."""

    variants: Variants
    candidates: Candidates
    tallies: Tallies

    def audit(
        self, recipe: str, images: int, pairs: Sequence[Pair], untold: Mapping[str, str]
    ) -> Audit:
        """Return what was found in images, and of pairs of words; `untold` is what was not."""
        tallies, distracted = self.tallies, self.tallies.distracted
        missing = {**self.variants.untold, **untold}
        if not tallies.wins.rivals.any():
            missing["rivals"] = NO_SCORES
        if tallies.together is not None and not tallies.together.is_told:
            missing["words"] = NO_WORD_SCORES
        count = len(self.variants.plain.vocabulary.names)
        return Audit(
            recipe=recipe,
            images=images,
            runs=len(self.variants.plans),
            background=self._of_all(tallies.wins.pixels[0]),
            classes=tuple(self._class(label) for label in range(1, count + 1)),
            pairs=tuple(pairs),
            changed_by_synonyms=tuple(changes.overall for changes in tallies.replaced),
            changed_by_distractors=None if distracted is None else distracted.overall,
            distractors=self._distractors(),
            reads_background=not self.variants.as_classes,
            untold=missing,
        )

    def _class(self, label: int) -> ClassAudit:
        tallies, distracted = self.tallies, self.tallies.distracted
        vocabulary = self.variants.plain.vocabulary
        own = vocabulary.synonyms[label - 1] if vocabulary.synonyms else ()
        others = (*own, *self.candidates.synonyms[label - 1])
        rivals = self._shares(tallies.wins.rivals[label])
        return ClassAudit(
            name=vocabulary.names[label - 1],
            share=self._of_all(tallies.wins.pixels[label]),
            images=int(tallies.wins.images[label]),
            rival=rivals[0] if rivals else None,
            replaced=tuple(
                Replaced(word, changes.of(label), self._of_all(changes.after[label]))
                for word, changes in zip(others, tallies.replaced, strict=False)
            ),
            distracted=None if distracted is None else distracted.of(label),
            words=self._words(label) if len(others) else (),
        )

    def _words(self, label: int) -> tuple[WordAudit, ...]:
        """Return what each word of a class wins beside the others."""
        wins, plan = self.tallies.together, self.variants.together
        if wins is None or plan is None or not wins.is_told:
            return ()
        sources = self.candidates.synonyms[label - 1]
        mine = [
            (place, word) for place, (of, word) in enumerate(plan.vocabulary.queries) if of == label
        ]
        total = int(wins.before[[place for place, _ in mine]].sum())
        return tuple(
            self._word(wins, label, place, word, sources.get(word, "list"), total)
            for place, word in mine
        )

    def _distractors(self) -> tuple[WordAudit, ...]:
        """Return the distractors that win anything, the one that wins most first."""
        wins = self.tallies.distractors
        if wins is None or not wins.is_told:
            return ()
        total = int(self.tallies.wins.pixels.sum())
        found = [
            self._word(wins, 0, place, word, "distractor", total)
            for place, word in enumerate(self.variants.distractors)
            if wins.images[place]
        ]
        return tuple(sorted(found, key=lambda one: -one.share))

    def _word(
        self, wins: WordWins, label: int, place: int, word: str, source: str, total: int
    ) -> WordAudit:
        before = wins.before[place]
        count = int(before.sum())
        others = count - int(before[[*{0, label}]].sum())
        return WordAudit(
            word,
            source,
            count / total if total else 0.0,
            int(wins.images[place]),
            others / count if count else 0.0,
            self._shares(before),
        )

    def _shares(self, counts: Int[torch.Tensor, " label"]) -> tuple[Share, ...]:
        """Return the labels that have most of what is counted, with their shares."""
        labels, total = self.variants.plain.vocabulary.labels, int(counts.sum())
        values, places = counts.sort(descending=True, stable=True)
        return tuple(
            Share(labels[place], value / total)
            for value, place in zip(values.tolist()[:MOST_SOURCES], places.tolist(), strict=False)
            if value
        )

    def _of_all(self, count: torch.Tensor) -> float:
        """Return a number of pixels as a share of all."""
        return int(count) / int(self.tallies.wins.pixels.sum())
