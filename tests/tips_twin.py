"""A small TIPSv2 with random numbers and a tokenizer of letters, as the hub has it, written when it
is first asked for.
"""

from __future__ import annotations

import atexit
import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import transformers
from dino_twin import fill
from safetensors.torch import save_file

SHAPE: dict[str, Any] = {
    "model_type": "tipsv2",
    "vision_config": {
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "mlp_ratio": 2,
        "image_size": 40,
        "patch_size": 8,
    },
    "text_config": {
        "vocab_size": 340,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 64,
    },
}
"""A table of 5 x 5 patches, smaller and wider than other images' grids."""
BLANK = "\u2581"
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,-'()"


def write_tokenizer(folder: Path) -> None:
    """Write a tokenizer of single letters, and of bytes for what is none of them."""
    tokens = ["<pad>", "<unk>", "</s>", "<s>", BLANK, *LETTERS]
    tokens += [f"<0x{byte:02X}>" for byte in range(256)] + [f"{BLANK}a", f"{BLANK}d"]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    merges = [(BLANK, "a"), (BLANK, "d")]
    transformers.Tipsv2Tokenizer(vocab=vocabulary, merges=merges).save_pretrained(str(folder))


def small_tips() -> Any:
    """Return the network of transformers."""
    config = {name: one for name, one in SHAPE.items() if name != "model_type"}
    network = transformers.Tipsv2Model(transformers.Tipsv2Config(**config))
    positions = network.text_model.embeddings.position_embedding.weights.clone()
    numbers = network.text_model.embeddings.position_ids.clone()
    fill(network)
    network.text_model.embeddings.position_embedding.weights.copy_(positions)
    network.text_model.embeddings.position_ids.copy_(numbers)
    return network


@cache
def tips_twin() -> str:
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    path = Path(folder.name)
    state = {name: one.contiguous() for name, one in small_tips().state_dict().items()}
    save_file(state, path / "model.safetensors")
    (path / "config.json").write_text(json.dumps(SHAPE))
    write_tokenizer(path)
    return folder.name
