"""The capability to look for words in images, its laws, and a toy that has it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from ovsskit._lazy import Float, torch
from ovsskit.engine.examples import WIDTH, brightness
from ovsskit.engine.stage import Capability
from ovsskit.engine.values import Image, WordMasks, WordTokens


class GroundsWords(Capability):
    """Say of any word whether an image shows it, where, and where single things of it are."""

    @abstractmethod
    def encode_words(
        self,
        words: Sequence[tuple[int, str]],
        neighbours: int = 0,
        hypernyms: Sequence[Sequence[str]] = (),
    ) -> WordTokens:
        """Return the tokens of words, each with its label.

        With `neighbours`, tokens of so many other words follow, those that are most alike. With
        `hypernyms`, some for every word or none, a token for each of a word's own follows.
        """

    @abstractmethod
    def ground_words(
        self, images: Sequence[Image], words: Sequence[WordTokens], least: float
    ) -> list[WordMasks]:
        """Return what each image shows of its words; it is encoded once, whatever they are.

        Single things are kept whose score times the word's presence is more than `least`.
        """

    @abstractmethod
    def find_presence(
        self, images: Sequence[Image], words: Sequence[WordTokens], side: int
    ) -> list[Float[torch.Tensor, " word"]]:
        """Return the probability that each image, stretched to a square, shows each of its words.

        `side` is that of the square in pixels; 0: as for `ground_words`.
        """

    @classmethod
    def check(cls, model: Any) -> None:
        """Test that neither other images nor other words change what is found."""
        images = [Image.example(seed) for seed in (0, 7)]
        images.append(Image(images[0].data.repeat(1, 1, 2)))
        named = [(1, "dog"), (2, "ice cream"), (0, "grass")]
        words = model.encode_words(named)
        WordTokens.check(words)
        assert words.labels == (1, 2, 0)
        nearest = model.encode_words(named, 1)
        assert nearest.data.shape[1] > words.data.shape[1], "no other word's tokens follow"
        kinds = model.encode_words(named, 1, [["animal", "pet"], [], ["plant"]])
        WordTokens.check(kinds)
        more = kinds.mask.sum(1) - nearest.mask.sum(1)
        assert more.tolist() == [2, 0, 1], "not every hypernym has one token"
        together = model.ground_words(images, [words] * len(images), 0.0)
        presence = model.find_presence(images, [words] * len(images), 0)
        for image, found, there in zip(images, together, presence, strict=True):
            WordMasks.check(found)
            assert not found.dense.requires_grad
            torch.testing.assert_close(there, found.presence, atol=1e-4, rtol=1e-3)
            for row in range(len(named)):
                [alone] = model.ground_words([image], [words.pick([row])], 0.0)
                mine = found.words == row
                for one, other in (
                    (alone.presence[0], found.presence[row]),
                    (alone.dense[0], found.dense[row]),
                    (alone.scores, found.scores[mine]),
                    (alone.masks, found.masks[mine]),
                ):
                    torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-3)

    @classmethod
    def toy(cls) -> Any:
        """Return a model that sees brightness and reads letters."""
        return ToyGroundsWords()


class ToyGroundsWords(GroundsWords):
    """Find a word where it is about as bright as its letters say."""

    def encode_words(
        self,
        words: Sequence[tuple[int, str]],
        neighbours: int = 0,
        hypernyms: Sequence[Sequence[str]] = (),
    ) -> WordTokens:
        """Make one token of the letters of a word, one for each neighbour, and of hypernyms."""
        kinds = hypernyms or [()] * len(words)
        most = max(map(len, kinds))
        data = torch.zeros(len(words), 1 + neighbours + most, WIDTH)
        mask = torch.ones(data.shape[:2], dtype=torch.bool)
        for row, ((_, text), more) in enumerate(zip(words, kinds, strict=True)):
            data[row, : 1 + neighbours] = _token(text)
            for place, kind in enumerate(more, 1 + neighbours):
                data[row, place] = _token(kind)
            mask[row, 1 + neighbours + len(more) :] = False
        return WordTokens(data, mask, tuple(label for label, _ in words))

    def ground_words(
        self, images: Sequence[Image], words: Sequence[WordTokens], least: float
    ) -> list[WordMasks]:
        """Return a map of how near the brightness is, and the bright and the dark part of it."""
        found = []
        for image, some in zip(images, words, strict=True):
            aim = some.data[:, 0].mean(1).to(image.data)[:, None, None] + 0.5
            dense = 4 - 20 * (brightness(image.data) - aim).abs()
            presence = dense.flatten(1).mean(1).sigmoid()
            halves = torch.stack([dense - 1, 1 - dense], 1).flatten(0, 1)
            numbers = torch.arange(len(dense), device=dense.device).repeat_interleave(2)
            scores = halves.flatten(1).mean(1).sigmoid()
            kept = scores * presence[numbers] > least
            found.append(
                WordMasks(presence, dense, halves[kept], scores[kept], numbers[kept], some.labels)
            )
        return found

    def find_presence(
        self, images: Sequence[Image], words: Sequence[WordTokens], side: int
    ) -> list[Float[torch.Tensor, " word"]]:
        """Return the same at any size."""
        return [one.presence for one in self.ground_words(images, words, 0.0)]


def _token(text: str) -> Float[torch.Tensor, " width"]:
    """Make a token of the letters of a text."""
    return (torch.arange(1, WIDTH + 1) * sum(map(ord, text)) * 0.37).sin()
