"""Where SAM 3's weights are published, under which licence, and what trained them."""

from ovsskit.hub.weights import Published

SAM3 = {
    "facebook/sam3": Published(
        "https://huggingface.co/facebook/sam3",
        "SAM 3, supervised and gated: trained with the masks of 4 million noun phrases that people "
        "and models drew and checked; the hub gives it only to those who accept its terms",
        "SAM License",
        "Meta's own: no military use, among other terms",
        4 * 848_000_000,
        is_on_hub=True,
    )
}
