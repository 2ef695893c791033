"""What a guide can do in `ovsskit_clip_tiny`, for each guide that comes with the package."""

from __future__ import annotations

from typing import Any

from choices import Change, Part, Start, stage

SHIPPED = Start("ovsskit_clip_tiny", "ovsskit_clip_tiny")
"""What guides are added to."""
INSTEAD = ("self_similarity", "neighbourhood", "self_attention")
"""Stages of the attention that a guide takes the place of."""
TERMS = 3
"""Kinds of attention that the recipe adds, so that what a patch looks at sums to this."""
PATCH = 8
"""Side of the tiny models' patches, in pixels."""
OFA = {
    "guide": {"use": "ofa", "weights": "embedded:ofa_tuned", "image_size": 224, "keep_shape": False}
}
"""The tiny OFA, whose grid is then that of the tiny CLIP's windows."""
DINO = {"guide": {"use": "dino", "weights": "embedded"}}
SLIC = {"masks": {"use": "slic", "pieces": 100}}
PIECES = (
    stage("propose_masks", "encode_text", reads={"backbone": "masks"}),
    stage("paint_regions", "propose_masks", order="area"),
)
Stages = tuple[dict[str, Any], ...]
COSINES = stage("feature_similarity", "guide_features")
MIDDLE_BLOCK: Stages = (
    stage("token_features", "encode_hidden", layer=5, facet="key"),
    stage("feature_similarity", "token_features"),
)
"""The tiny CLIP's fifth block as its own guide."""
OTHER_MODEL: Stages = (
    stage("trunk_features", "encode_hidden", reads={"backbone": "guide"}, writes="trunk"),
    stage("feature_similarity", "trunk_features", reads={"guide_features": "trunk"}),
)
FACET = "token"
"""What of the tiny DINO tells patches apart best: `python -m tiny_models.evaluate_dino`."""
LOOKING: Stages = (
    stage("guide_features", "encode_hidden", reads={"backbone": "guide"}, facet=FACET),
)
"""The tiny DINO, on the grid of the tiny CLIP."""
LOOKING_CLOSELY: Stages = (
    stage("resize_image", "encode_hidden", name="enlarge", short_side=224, writes="enlarged"),
    stage(
        "guide_features",
        "enlarge",
        reads={"backbone": "guide", "image": "enlarged"},
        facet=FACET,
    ),
)
"""The tiny DINO, which sees windows twice as large: its grid is twice as fine."""


def sharpened(compared: Stages, scale: float, shift: float = 1.2) -> Stages:
    """Return stages that make weights of what a guide finds more alike than the mean."""
    settings = {"shift": shift, "scale": scale, "negatives": "drop"}
    return (*compared, stage("sharpen_affinity", "feature_similarity", **settings))


SHARP = 10
"""RADSeg's scale, in place of ProxyCLIP's 3."""


def instead(compared: Stages, scale: float, models: dict[str, Any]) -> Change:
    """Return a change that puts a guide in the place of the attention."""
    weights = (
        *sharpened(compared, scale),
        stage("guided_attention", "sharpen_affinity", layer=-1),
    )
    return Change(weights, remove=INSTEAD, models=models)


def halved(weights: Stages) -> Stages:
    """Return stages that let a guide be half of the attention."""
    half = {"weight": TERMS / (TERMS + 1), "scale": (TERMS + 1) / 2}
    return (
        *weights,
        stage("guided_attention", "sharpen_affinity", layer=-1, writes="guided"),
        stage("mix_attention", "self_attention", reads={"other": "guided"}, **half),
    )


def used(compared: Stages, name: str, models: dict[str, Any]) -> Part:
    """Return what can be done with a guide whose patches are compared so."""
    patches = {"self_similarity.tokens": "patches"}
    averaged = {"features": "patch_features"}
    return {
        f"{name} (ProxyCLIP)": instead(compared, 3, models),
        f"half of {name} (SC-CLIP)": Change(
            halved(sharpened(compared, 3)), set=patches, models=models
        ),
        f"features averaged by {name} (RADSeg)": Change(
            (
                *sharpened(compared, 20),
                stage("aggregate", "attend", reads=averaged, writes="patch_features"),
            ),
            models=models,
        ),
    }


GRAPH = Change(
    (
        {
            "use": "window_nodes",
            "replaces": "sliding_window",
            "reads": {"image": "resized"},
            "window": 112,
            "stride": 56,
            "inner": [
                {"use": "encode_hidden"},
                {"use": "self_similarity", "of": ["query_query", "key_key", "value_value"]},
                {"use": "neighbourhood", "sigma": 5},
                {"use": "self_attention"},
                {"use": "attend", "residual": False, "feed_forward": False},
                {"use": "text_similarity"},
                {"use": "guide_features", "reads": {"backbone": "guide"}, "facet": FACET},
                {"use": "patch_nodes"},
            ],
        },
        stage("patch_graph", "window_nodes", neighbours=60, distance_scale=0.02),
        stage("paste_nodes", "patch_graph"),
    ),
    models=DINO,
)
"""LPOSS's graph of all patches, with fewer ties; these weaken sooner, as patches are smaller."""
VOTE = stage("region_vote", "close_labels", uncovered="zero")
SCOPED = Change(
    (
        *PIECES,
        *halved(sharpened((*LOOKING, COSINES), 4, shift=0)),
        stage("merge_regions", "feature_similarity", within=0.05, uncovered="zero"),
        stage("region_scope", "merge_regions", uncovered="zero"),
    ),
    set={"self_similarity.tokens": "patches"},
    models=DINO | SLIC,
)
"""CorrCLIP's stages: patches look where the tiny DINO merges SLIC's pieces."""
GUIDED: dict[str, Part] = {
    "guide": {
        **used(MIDDLE_BLOCK, "a middle block", {}),
        **used(OTHER_MODEL, "the tiny OFA", OFA),
        **used((*LOOKING, COSINES), "the tiny DINO", DINO),
        "the tiny DINO, sharpened more (ProxyCLIP)": instead((*LOOKING, COSINES), SHARP, DINO),
        "the tiny DINO on a grid twice as fine, sharpened more (ProxyCLIP)": instead(
            (*LOOKING_CLOSELY, COSINES), SHARP, DINO
        ),
        "half of the tiny DINO, in pieces that it merges (CorrCLIP)": SCOPED,
        "scores spread over a graph by the tiny DINO (LPOSS)": GRAPH,
    },
    "regions": {
        "a vote in SLIC's pieces (CorrCLIP)": Change((*PIECES, VOTE), models=SLIC),
    },
}
