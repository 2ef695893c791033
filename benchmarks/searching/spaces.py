"""The grids that searches are measured on: for each embedded recipe, some of its settings."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Grid:
    """Hold the settings of a recipe: those that stay, the space, and what it is compared with.

    `added` are stages that the recipe does not have, at settings that change nothing. `network` are
    the parameters that change what networks are asked.
    """

    recipe: str
    reference: str
    space: str
    added: str = ""
    backgrounds: bool = False
    network: tuple[str, ...] = ()


GRIDS = {
    "quickstart": Grid(
        "quickstart",
        "naclip_tiny",
        """
"select_head.layer"   = { choices = [1, 2, 3] }
"select_head.head"    = { choices = [0, 1, 2, 3] }
"threshold.at"        = { choices = [0.05, 0.2, 0.35, 0.45] }
"gaussian_blur.sigma" = { choices = [0.02, 0.05, 0.1] }
""",
        network=("select_head.layer", "select_head.head"),
    ),
    "quickstart_coarse": Grid(
        "quickstart",
        "naclip_tiny",
        """
"select_head.layer"   = { choices = [1, 2, 3] }
"select_head.head"    = { choices = [0, 1, 2, 3] }
"threshold.at"        = { choices = [0.05, 0.2, 0.45] }
"gaussian_blur.sigma" = { choices = [0.02, 0.1] }
""",
    ),
    "itaclip_tiny": Grid(
        "itaclip_tiny",
        "quickstart",
        """
"self_similarity.of"         = { choices = [["query_query", "key_key"], ["query_query"], \
["key_key"], ["value_value"]] }
"views.same_weight"          = { choices = [0.1, 0.33, 0.66] }
"softmax.scale"              = { choices = [30.0, 60.0, 100.0] }
"label_map.background_below" = { choices = [0.0, 0.1, 0.3] }
""",
    ),
    "ifseg_tiny": Grid(
        "ifseg_tiny",
        "itaclip_tiny",
        """
"dense_crf.gaussian_weight"  = { choices = [0.0, 3.0, 7.0] }
"dense_crf.bilateral_weight" = { choices = [0.0, 5.0, 10.0] }
"knn_smoothing.rounds"       = { choices = [0, 5, 25] }
""",
        added="""
[[stage]]
use   = "upsample"
after = "knn_smoothing"

[[stage]]
use              = "dense_crf"
after            = "upsample"
gaussian_weight  = 0.0
bilateral_weight = 0.0
""",
        backgrounds=True,
    ),
    "clearclip_tiny": Grid(
        "clearclip_tiny",
        "quickstart",
        """
"self_similarity.of"         = { choices = [["query_query", "key_key"], ["query_query"], \
["key_key"], ["value_value"]] }
"sliding_window.stride"      = { choices = [28, 56, 112] }
"softmax.scale"              = { choices = [25.0, 50.0, 100.0] }
"label_map.background_below" = { choices = [0.0, 0.25, 0.5] }
""",
        network=("sliding_window.stride",),
    ),
    "naclip_tiny": Grid(
        "naclip_tiny",
        "quickstart",
        """
"neighbourhood.sigma"        = { choices = [2.0, 5.0, 10.0] }
"attend.residual"            = { choices = [true, false] }
"attend.feed_forward"        = { choices = [true, false] }
"softmax.scale"              = { choices = [20.0, 40.0, 80.0] }
"label_map.background_below" = { choices = [0.0, 0.25, 0.5] }
""",
    ),
}
