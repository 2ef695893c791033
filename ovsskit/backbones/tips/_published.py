"""Where TIPSv2's weights are published, and under which licence."""

from __future__ import annotations

from ovsskit.hub.weights import Published

LICENCE = (
    "Apache-2.0",
    "of the models' cards; the repository google-deepmind/tips gives what is not software "
    "under CC-BY 4.0",
)
TIPS = {
    f"google/tipsv2-{name}": Published(
        f"https://huggingface.co/google/tipsv2-{name}",
        f"TIPSv2's {letter} and its text encoder, trained on images with texts",
        *LICENCE,
        4 * parameters,
        is_on_hub=True,
    )
    for name, letter, parameters in (
        ("b14", "ViT-B/14", 196_267_777),
        ("l14", "ViT-L/14", 487_978_497),
        ("so400m14", "SoViT-400M/14", 861_581_025),
    )
}
