"""A vision transformer whose patches a linear layer classifies."""

from __future__ import annotations

from functools import partial

from jaxtyping import Float
from torch import Tensor, nn

from ovsskit._lazy import timm


class LinearSegmenter(nn.Module):
    """Segment a fixed list of classes by one linear layer over the patches of a transformer.

    Source: Strudel et al. 2021, Segmenter, section 3.2, linear decoder.
    """

    def __init__(
        self,
        *,
        trained_side: int,
        patch: int,
        width: int,
        layers: int,
        heads: int,
        mlp_ratio: float,
        registers: int,
        norm_before: bool,
        layer_scale: bool,
        activation: str,
        epsilon: float,
        classes: int,
    ) -> None:
        super().__init__()
        self.patch = patch
        self.encoder = timm.models.VisionTransformer(
            img_size=trained_side,
            patch_size=patch,
            num_classes=0,
            global_pool="",
            embed_dim=width,
            depth=layers,
            num_heads=heads,
            mlp_ratio=mlp_ratio,
            init_values=1.0 if layer_scale else None,
            no_embed_class=True,
            reg_tokens=registers,
            pre_norm=norm_before,
            dynamic_img_size=True,
            norm_layer=partial(nn.LayerNorm, eps=epsilon),
            act_layer=activation,
        )
        self.classifier = nn.Conv2d(width, classes, 1)

    def forward(
        self, pixels: Float[Tensor, "image 3 h w"]
    ) -> Float[Tensor, "image class rows cols"]:
        """Return logits of all classes, edges on edges; images are resized to whole patches."""
        rows, columns = (max(1, side // self.patch) for side in pixels.shape[2:])
        size = (rows * self.patch, columns * self.patch)
        whole = nn.functional.interpolate(pixels, size, mode="bilinear")
        tokens = self.encoder.forward_features(whole)[:, self.encoder.num_prefix_tokens :]
        patches = tokens.transpose(1, 2).unflatten(2, (rows, columns))
        return self.classifier(patches)  # type: ignore[no-any-return]
