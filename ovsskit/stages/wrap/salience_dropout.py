"""Hide what was found, look again, and add up what is found."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from ovsskit._lazy import Bool, Float, torch
from ovsskit.engine.sending import pick
from ovsskit.engine.stage import Wrapper, Wraps
from ovsskit.engine.values import PROMPT, Image, TokenMaps

Salience = Literal["class_tokens", "released"]


class SalienceDropout(Wrapper, writes="token_maps"):
    """Hide the most salient patches of the image round by round, and add up the maps of all rounds.

    A round's maps are zero at the patches that it did not see. No patch is hidden twice, and none
    without salience.
    Source: PnP-OVSS. The paper, known second-hand, hides half of the remaining patches after each
    round and counts every round once; the released code hides 10 patches and adds the first round
    twice.

    Example:
        [[stage]]
        use = "salience_dropout"
        rounds = 4
          [[stage.inner]]
          use = "cross_attend"
    """

    waits: ClassVar[str] = "the places of tokens say which maps count"
    version: ClassVar[int] = 2
    neutral: ClassVar[dict[str, Any]] = {
        "rounds": 1,
        "count_first_twice": False,
        "rescale": "never",
    }

    rounds: Annotated[int, Field(ge=1, description="how often the inner chain runs")] = 4
    schedule: Annotated[
        Literal["halving", "fixed"],
        Field(
            description=(
                "hide half of the remaining patches after each round (paper), or `patches` of "
                "them (released code)"
            )
        ),
    ] = "halving"
    patches: Annotated[
        int, Field(ge=1, description="how many patches a round hides, with the `fixed` schedule")
    ] = 10
    count_first_twice: Annotated[
        bool, Field(description="add the first round twice, as released")
    ] = False
    salience: Annotated[
        Salience,
        Field(
            description=(
                "sum over the tokens of classes, or `released`: over all but the prompt's and "
                "the caption's last"
            )
        ),
    ] = "class_tokens"
    rescale: Annotated[
        Literal["never", "always", "released"],
        Field(
            description=(
                "scale each round's map of each class token to 0 to 1; `released`: if no class "
                "has several tokens"
            )
        ),
    ] = "never"

    def run(self, image: Image) -> Wraps[TokenMaps]:
        """Return the sum of the token maps of all rounds."""
        [out] = yield [{}]
        maps: TokenMaps = out["token_maps"]
        hidden = torch.zeros_like(maps.data[0], dtype=torch.bool)
        total = self._seen(maps, hidden) * (1 + self.count_first_twice)
        for round_number in range(self.rounds - 1):
            count = (
                self.patches
                if self.schedule == "fixed"
                else hidden.numel() // 2 ** (round_number + 1)
            )
            hidden = hidden | choose_patches(salience_of(maps, self.salience), hidden, count)
            [out] = yield [
                {"image": image.hide(hidden if image.hidden is None else hidden | image.hidden)}
            ]
            maps = out["token_maps"]
            total = total + self._seen(maps, hidden)
        return TokenMaps(total, maps.positions, maps.lengths)

    def _seen(
        self, maps: TokenMaps, hidden: Bool[torch.Tensor, "rows cols"]
    ) -> Float[torch.Tensor, "token rows cols"]:
        """Return a round's maps, zero at what was hidden, and scaled if this is asked for."""
        data = maps.data.masked_fill(hidden, 0)
        if self.rescale == "never":
            return data
        classes = [position for position in maps.positions.tolist() if position >= 0]
        if self.rescale == "released" and len(set(classes)) < len(classes):
            return data
        is_class = maps.positions >= 0
        low, high = data.amin((1, 2), keepdim=True), data.amax((1, 2), keepdim=True)
        return torch.where(
            is_class[:, None, None] & (high > low), (data - low) / (high - low), data
        )


def salience_of(maps: TokenMaps, tokens: Salience) -> Float[torch.Tensor, "rows cols"]:
    """Return each patch's salience: the sum over the classes' tokens, or the released tokens."""
    positions = maps.positions.tolist()
    if tokens == "class_tokens":
        kept = [token for token, position in enumerate(positions) if position >= 0]
        return pick(maps.data, kept).sum(0)
    ends = {sum(maps.lengths[: index + 1]) - 1 for index in range(len(maps.lengths))}
    kept = [
        token
        for token, position in enumerate(positions)
        if position != PROMPT and token not in ends
    ]
    return pick(maps.data, kept).sum(0)


def choose_patches(
    salience: Float[torch.Tensor, "rows cols"], hidden: Bool[torch.Tensor, "rows cols"], count: int
) -> Bool[torch.Tensor, "rows cols"]:
    """Return the most salient patches, at most this many, that are visible and have salience."""
    left = salience.masked_fill(hidden, 0).flatten()
    best = left.topk(min(count, left.numel()))
    chosen = torch.zeros_like(hidden).flatten()
    return chosen.scatter(0, best.indices, best.values > 0).view_as(hidden)
