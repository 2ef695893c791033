"""Define the tiny BLIP: the image-text model of transformers, started from the tiny CLIP."""

from pathlib import Path
from typing import Final

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import BlipConfig, BlipForImageTextRetrieval

from tiny_models.clip import TinyClip
from tiny_models.dataset import IMAGE_SIZE
from tiny_models.tokenizer import vocabulary, write_tokenizer

WIDTH: Final = 128
HEADS: Final = 4
TEXT_LAYERS: Final = 4
IMAGE_LAYERS: Final = 6
LONGEST_CAPTION: Final = 128


def blip_config() -> BlipConfig:
    """Configure the model; the `[ENC]` id stands beside the other ids of the text tower."""
    pieces = vocabulary(with_blip_tokens=True)
    ids = {piece: number for number, piece in enumerate(pieces)}
    text = {
        "vocab_size": len(pieces),
        "hidden_size": WIDTH,
        "encoder_hidden_size": WIDTH,
        "intermediate_size": 4 * WIDTH,
        "projection_dim": WIDTH,
        "num_hidden_layers": TEXT_LAYERS,
        "num_attention_heads": HEADS,
        "max_position_embeddings": LONGEST_CAPTION,
        "pad_token_id": ids["[PAD]"],
        "sep_token_id": ids["[SEP]"],
        "eos_token_id": ids["[SEP]"],
        "bos_token_id": ids["[DEC]"],
        "enc_token_id": ids["[ENC]"],
        "use_cache": False,
    }
    vision = {
        "hidden_size": WIDTH,
        "intermediate_size": 4 * WIDTH,
        "projection_dim": WIDTH,
        "num_hidden_layers": IMAGE_LAYERS,
        "num_attention_heads": HEADS,
        "image_size": IMAGE_SIZE,
        "patch_size": 8,
        "layer_norm_eps": 1e-6,
    }
    return BlipConfig(
        text_config=text, vision_config=vision, projection_dim=WIDTH, image_text_hidden_size=WIDTH
    )


def build_blip(clip: TinyClip) -> BlipForImageTextRetrieval:
    """Make a BLIP whose vision tower, word embeddings and image projection are CLIP's."""
    model = BlipForImageTextRetrieval(blip_config())
    model.vision_model.load_state_dict(vision_weights(clip))
    words = clip.token_embedding.weight.detach()
    own = model.text_encoder.embeddings.word_embeddings.weight.data
    scale = own.std() / words.std()
    own[: len(words)] = words * scale
    model.vision_proj.weight.data.copy_(clip.visual.proj.detach().T)
    return model


def vision_weights(clip: TinyClip) -> dict[str, Tensor]:
    """Rename the weights of CLIP's vision tower to BLIP's names."""
    tower = clip.visual
    weights = {
        "embeddings.class_embedding": tower.class_embedding[None, None],
        "embeddings.position_embedding": tower.positional_embedding[None],
        "embeddings.patch_embedding.weight": tower.conv1.weight,
        "embeddings.patch_embedding.bias": torch.zeros(WIDTH),
        "post_layernorm.weight": tower.ln_post.weight,
        "post_layernorm.bias": tower.ln_post.bias,
    }
    names = {
        "self_attn.qkv.weight": "attn.in_proj_weight",
        "self_attn.qkv.bias": "attn.in_proj_bias",
        "self_attn.projection.weight": "attn.out_proj.weight",
        "self_attn.projection.bias": "attn.out_proj.bias",
        "layer_norm1.weight": "ln_1.weight",
        "layer_norm1.bias": "ln_1.bias",
        "layer_norm2.weight": "ln_2.weight",
        "layer_norm2.bias": "ln_2.bias",
        "mlp.fc1.weight": "mlp.c_fc.weight",
        "mlp.fc1.bias": "mlp.c_fc.bias",
        "mlp.fc2.weight": "mlp.c_proj.weight",
        "mlp.fc2.bias": "mlp.c_proj.bias",
    }
    for number, block in enumerate(tower.transformer.blocks):
        state = block.state_dict()
        for blip_name, clip_name in names.items():
            weights[f"encoder.layers.{number}.{blip_name}"] = state[clip_name]
    return {name: weight.detach() for name, weight in weights.items()}


def write_blip(model: BlipForImageTextRetrieval, folder: Path) -> None:
    """Write configuration, tokenizer and half-precision weights."""
    folder.mkdir(parents=True, exist_ok=True)
    model.config.save_pretrained(folder)
    write_tokenizer(folder, with_blip_tokens=True)
    weights = {name: value.half().contiguous() for name, value in model.state_dict().items()}
    unfinished = folder / "model.safetensors.part"
    save_file(weights, unfinished, metadata={"format": "pt"})
    unfinished.chmod(0o644)
    unfinished.replace(folder / "model.safetensors")
