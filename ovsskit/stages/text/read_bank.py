"""Give every class what a bank has learned of how it looks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field

from ovsskit.engine.bank_file import FIX, refuse_other_weights
from ovsskit.engine.model import Backbone, DescribesPatches
from ovsskit.engine.prototype_bank import read_bank, read_words
from ovsskit.engine.sending import send
from ovsskit.engine.stage import Batch, NeededPath, Stage
from ovsskit.engine.values import Prototypes, Vocabulary
from ovsskit.errors import BadFile, Place, first_of


class ReadBank(Stage, writes="prototypes"):
    """Read the prototypes of all classes from a bank, which `ovsskit bank build` writes.

    The words are those of `encode_text` with `words = "first"`: the background's, if there are any,
    then the name of every class. A bank holds vectors of one model, and is refused by any other.
    Source: Shin et al. 2022, ReCo.

    Example:
        [[stage]]
        use = "read_bank"
        file = "my_bank.safetensors"
    """

    file: Annotated[NeededPath, Field(description="the bank, relative to the recipe")] = ""

    def check_inputs(self, vocabulary: Vocabulary, images: Sequence[Path]) -> None:
        """Refuse classes of which the bank holds nothing; called before a run.

        Raises:
            BadFile: it holds nothing of a class, or is none.
        """
        self._rows(vocabulary, self._words())

    def run_batch(
        self, vocabulary: Batch[Vocabulary], backbone: DescribesPatches
    ) -> Batch[Prototypes]:
        """Return one vector per word.

        Raises:
            BadFile: no file is named, it is none, lacks a class, or is for another model.
        """
        self._words()
        bank = read_bank(Path(self.file))
        source = bank.notes.get("models", {}).get("features", {}).get("source", "")
        refuse_other_weights(Path(self.file), bank.digest, source, backbone)
        found = []
        for words in vocabulary:
            rows = self._rows(words, bank.words)
            data = bank.prototypes[[row for _, row in rows]]
            device = backbone.device if isinstance(backbone, Backbone) else "cpu"
            found.append(Prototypes(send(data, device), tuple(label for label, _ in rows)))
        return found

    def _words(self) -> tuple[str, ...]:
        if not self.file:
            raise BadFile(
                f"{self.address} names no file.", fix=f"{FIX}; then --set {self.address}.file=FILE"
            )
        return read_words(Path(self.file))[0]

    def _rows(self, vocabulary: Vocabulary, held: tuple[str, ...]) -> list[tuple[int, int]]:
        """Return the label and the bank's row of every word."""
        wanted = [(0, word) for word in vocabulary.background_words]
        wanted += list(enumerate(vocabulary.names, 1))
        missing = [word for _, word in wanted if word not in held]
        if missing:
            what = f"The bank has no prototype of {first_of(missing, most=3)}."
            there = f"It holds: {first_of(list(held), most=8)}"
            raise BadFile(what, there=there, fix=FIX, where=Place(self.file))
        return [(label, held.index(word)) for label, word in wanted]
