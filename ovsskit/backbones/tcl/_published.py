"""Where TCL's weights are published, and under which licence."""

from __future__ import annotations

from ovsskit.hub.weights import Published

TCL = {
    "tcl.pth": Published(
        "https://github.com/kakaobrain/tcl/releases/download/v1.0.0/tcl.pth",
        "CLIP's ViT-B/16 and a grounder, trained on the captions of CC3M and CC12M",
        "MIT",
        "of the repository kakaobrain/tcl, whose release it is",
        4 * 178_346_246,
    )
}
