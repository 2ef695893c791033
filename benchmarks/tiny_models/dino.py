"""A small DINO with the authors' parameter names, and the head that its training compares by."""

from typing import Final

import torch
from jaxtyping import Bool, Float
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn.functional import linear, normalize

SIDE: Final = 80
"""Of the images that positions are learned on, in pixels."""
PATCH: Final = 8
WIDTH: Final = 128
BLOCKS: Final = 4
HEADS: Final = 4
HIDDEN: Final = 256
BOTTLENECK: Final = 64
PROTOTYPES: Final = 128


def tiny_vision() -> VisionTransformer:
    """Return the tiny DINO of random numbers."""
    vision = VisionTransformer(
        img_size=SIDE,
        patch_size=PATCH,
        embed_dim=WIDTH,
        depth=BLOCKS,
        num_heads=HEADS,
        num_classes=0,
        dynamic_img_size=True,
    )
    for block in vision.blocks:
        block.attn.fused_attn = False  # in bfloat16 on a CPU the fused kernel is slower backwards
    return vision


class Head(nn.Module):
    """Compare tokens with prototypes: three layers, and a cosine with each prototype."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(WIDTH, HIDDEN),
            nn.GELU(),
            nn.Linear(HIDDEN, HIDDEN),
            nn.GELU(),
            nn.Linear(HIDDEN, BOTTLENECK),
        )
        self.prototypes = nn.Parameter(torch.randn(PROTOTYPES, BOTTLENECK))

    def forward(self, tokens: Float[Tensor, "*tokens width"]) -> Float[Tensor, "*tokens prototype"]:
        """Return the cosine of every token with every prototype."""
        vectors = normalize(self.layers(tokens).float(), dim=-1)
        return linear(vectors, normalize(self.prototypes, dim=-1))


class Pupil(nn.Module):
    """Hold a vision transformer, what stands in for hidden patches, and the head."""

    def __init__(self) -> None:
        super().__init__()
        self.vision = tiny_vision()
        self.hidden_patch = nn.Parameter(torch.zeros(WIDTH))
        self.head = Head()

    def forward(
        self, pixels: Float[Tensor, "b 3 h w"], hidden: Bool[Tensor, "b rows cols"] | None = None
    ) -> Float[Tensor, "b token width"]:
        """Return the class token and the patches, of which some may be hidden."""
        patches = self.vision.patch_embed(pixels)
        if hidden is not None:
            patches = torch.where(hidden[..., None], self.hidden_patch.to(patches), patches)
        tokens = self.vision.blocks(self.vision._pos_embed(patches))
        left: Tensor = self.vision.norm(tokens)
        return left


class TinyDino(nn.Module):
    """A pupil that learns, and a teacher that follows it slowly and learns nothing itself."""

    def __init__(self) -> None:
        super().__init__()
        self.pupil, self.teacher = Pupil(), Pupil()
        self.teacher.load_state_dict(self.pupil.state_dict())
        self.teacher.requires_grad_(False)

    @torch.no_grad()
    def follow(self, momentum: float) -> None:
        """Move the teacher towards the pupil, by what `momentum` leaves of the way."""
        pairs = zip(self.teacher.parameters(), self.pupil.parameters(), strict=True)
        for slow, quick in pairs:
            slow.lerp_(quick, 1 - momentum)
