"""Write the scores of all classes as safetensors."""

from __future__ import annotations

import json
from typing import Any

from ovsskit._lazy import numpy
from ovsskit.export.format import Format, Put
from ovsskit.export.found import Found


class SafetensorsScores(Format):
    """Scores of all classes as `.safetensors`, a file for each image (PyTorch, JAX, Rust)."""

    reads = "scores"

    def write(self, found: Found, put: Put) -> dict[str, Any]:
        """Write `scores` (class h w, 16 bits) and `ids`; names, kind and size are its metadata."""
        from safetensors.numpy import save

        saved = found.scores
        tensors = {
            "scores": numpy.ascontiguousarray(saved.maps),
            "ids": numpy.array(saved.ids, "int32"),
        }
        width, height = found.size
        about = {"names": json.dumps(saved.names), "kind": saved.kind}
        content = save(tensors, about | {"width": str(width), "height": str(height)})
        put(f"scores/{found.name}.safetensors", lambda file: file.write(content))
        return {}
