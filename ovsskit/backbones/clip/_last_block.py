"""Go back through the last block of open_clip's vision transformer, for many scores at once.

What is wanted is the gradient of scores in the block's input after its first normalisation, in the
mean over the patches: what each score gains if all patches move alike. That is less work than a
gradient. The final normalisation is given the same vector for all patches, so most products with
the largest matrices serve all scores; of the heads' projections only sums over the patches are
needed.
"""

from __future__ import annotations

from typing import Any

from ovsskit._lazy import Float, torch
from ovsskit.backbones.clip import _vision as vision


class Normalised:
    """Know the way back through a layer norm."""

    def __init__(self, norm: Any, tokens: Float[torch.Tensor, "token width"]) -> None:
        spread, mean = torch.var_mean(tokens.float(), -1, correction=0, keepdim=True)
        self.rate: torch.Tensor = (spread + norm.eps).rsqrt()
        self.unit: torch.Tensor = (tokens.float() - mean) * self.rate
        self.weight = norm.weight.float()

    def back(
        self, gradients: Float[torch.Tensor, "score token width"]
    ) -> Float[torch.Tensor, "score token width"]:
        """Return gradients in the tokens, of those in what the norm made of them."""
        even, along = self.parts(gradients)
        return (even - self.unit * along) * self.rate

    def parts(
        self, gradients: Float[torch.Tensor, "score _ width"]
    ) -> tuple[Float[torch.Tensor, "score _ width"], Float[torch.Tensor, "score token 1"]]:
        """Return what goes back to every token, and how much of its unit vector does not.

        There may be one gradient for all tokens.
        """
        inner = gradients * self.weight
        return inner - inner.mean(-1, keepdim=True), (inner * self.unit).mean(-1, keepdim=True)


class LastBlock:
    """Run the last block as trained, and go back through it for many scores at once.

    `vector` is the mean of the patches among the texts.
    """

    def __init__(self, visual: Any, block: Any, tokens: Float[torch.Tensor, "token width"]) -> None:
        self.visual, self.block = visual, block
        self.channels = block.ln_1(tokens)
        self.projection = vision.project_channels(block, self.channels)
        scale = self.projection.queries.shape[-1] ** -0.5
        self.mixed = torch.stack(  # one head after the other: all at once take their memory
            [
                (queries * scale @ keys.T).softmax(-1) @ values
                for queries, keys, values in zip(*self.projection, strict=True)
            ]
        )
        attended = tokens + vision.join_heads(block, self.mixed)
        self.second = Normalised(block.ln_2, attended)
        inside = block.mlp.c_fc(block.ln_2(attended))
        left = attended + block.ls_2(block.mlp.c_proj(block.mlp.gelu(inside)))
        self.last = Normalised(visual.ln_post, left)
        self.vector = vision.project_to_text(visual, left)[1:].float().mean(0)
        [steepness] = torch.func.vjp(block.mlp.gelu, inside)[1](torch.ones_like(inside))
        self.steepness = steepness.float() * self.last.rate
        self.units = self._out_of_inside(self._into_feed_forward(self.last.unit))

    def mean_gradients(
        self, slopes: Float[torch.Tensor, "score out"]
    ) -> Float[torch.Tensor, "score width"]:
        """Return what scores gain by the channels, in the mean over the patches.

        Args:
            slopes: what each score gains by the image's vector.
        """
        patches = len(self.channels) - 1
        each = slopes @ self.visual.proj.float().T / patches  # the same for all patches
        return self._through_attention(self._through_feed_forward(each[:, None])) / patches

    def _through_feed_forward(
        self, each: Float[torch.Tensor, "score 1 width"]
    ) -> Float[torch.Tensor, "score token width"]:
        """Go back from the final norm's output to what the attention has left.

        What the final norm takes away along the tokens' unit vectors goes through both large
        matrices once, for all scores; what it leaves is the same for all tokens, so that for each
        score one product with one of the matrices is left.
        """
        even, along = self.last.parts(each)
        alike = torch.stack([self._out_of_inside(one) for one in self._into_feed_forward(even)])
        back = alike - self.units * along
        found = (even - self.last.unit * along) * self.last.rate + self.second.back(back)
        found[:, 0] = 0  # the class token is no part of the mean
        return found

    def _into_feed_forward(
        self, gradients: Float[torch.Tensor, "*batch width"]
    ) -> Float[torch.Tensor, "*batch inside"]:
        """Bring gradients in what the feed-forward part adds back to its inside."""
        scaled = self.block.ls_2(gradients.to(self.channels.dtype))
        back: torch.Tensor = (scaled @ self.block.mlp.c_proj.weight).float()
        return back

    def _out_of_inside(
        self, gradients: Float[torch.Tensor, "_ inside"]
    ) -> Float[torch.Tensor, "token width"]:
        """Bring gradients inside the feed-forward part, or one for all tokens, back to its input.

        The final norm's rate, which is each token's own, is taken in on the way.
        """
        inside = (gradients * self.steepness).to(self.channels.dtype)
        back: torch.Tensor = (inside @ self.block.mlp.c_fc.weight).float()
        return back

    def _through_attention(
        self, gradients: Float[torch.Tensor, "score token width"]
    ) -> Float[torch.Tensor, "score width"]:
        """Go back through the heads, and sum over the patches.

        A row of attention sums to 1: what it gains by all patches' keys together it loses by the
        class token's, so of the gradients in scores of attention one column is needed there.
        """
        attention = self.block.attn
        scaled = self.block.ls_1(gradients.to(self.channels.dtype))
        parts = (scaled @ attention.out_proj.weight).unflatten(-1, (attention.num_heads, -1))
        sums: list[torch.Tensor] = []
        for head, back in enumerate(parts.float().unbind(-2)):
            queries, keys, values = (one[head].float() for one in self.projection)
            scale = queries.shape[-1] ** -0.5
            weights = (queries * scale @ keys.T).softmax(-1)
            mean = (back * self.mixed[head].float()).sum(-1, keepdim=True)
            side_by_side = torch.cat([back, mean], -1).transpose(0, 1)  # one product for all scores
            taken_in = (weights.T @ side_by_side.flatten(1)).view_as(side_by_side).transpose(0, 1)
            gathered, taken = taken_in.split([len(keys.T), 1], -1)
            by_key = (gathered * values).sum(-1) - taken[..., 0]
            by_query = (mean[..., 0] - back @ values[0]) * weights[:, 0]
            sums += [by_key @ keys * scale, by_query @ queries * scale, gathered[:, 1:].sum(1)]
        packed = torch.cat([part for which in range(3) for part in sums[which::3]], -1)
        found: torch.Tensor = packed @ attention.in_proj_weight.float()
        return found
