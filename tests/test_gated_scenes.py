"""The recipe on the page about CLIP-DIY, another method's with a gate, finds backgrounds without a
word for them.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import torch
from PIL import Image as Pillow

from ovsskit.embedded import sample_scenes
from ovsskit.run.pipeline import Pipeline, load

PAGE = Path(__file__).parent.parent / "docs" / "methods" / "clip_diy.md"
SCENES = sample_scenes()[:4]
STAGES = ("encode_whole", "foreground_by_keys", "gate_background")


def confusion(pipeline: Pipeline) -> torch.Tensor:
    """Return how many pixels of each class (rows) got each label (columns), 0 the background."""
    count = len(pipeline.plan.vocabulary.names) + 1
    table = torch.zeros(count * count, dtype=torch.int64)
    for scene, result in zip(SCENES, pipeline([scene.image for scene in SCENES]), strict=True):
        truth = torch.from_numpy(np.array(Pillow.open(scene.mask))).long()
        pairs = truth * count + result.ids
        table += torch.bincount(pairs.flatten(), minlength=count * count)
    return table.reshape(count, count)


def background_iou(table: torch.Tensor) -> float:
    return float(table[0, 0] / (table[0].sum() + table[:, 0].sum() - table[0, 0]))


def test_a_gate_finds_the_background_without_words_for_it(tmp_path: Path) -> None:
    text = PAGE.read_text(encoding="utf-8")
    [block] = re.findall(r'```toml title="gated.toml"\n(.*?)```', text, re.DOTALL)
    gated, plain = tmp_path / "gated.toml", tmp_path / "plain.toml"
    gated.write_text(block, encoding="utf-8")
    plain.write_text(f'extends = "gated.toml"\nremove = {list(STAGES)}', encoding="utf-8")
    without, with_gate = (confusion(load(path)) for path in (plain, gated))
    assert background_iou(without) == 0
    assert background_iou(with_gate) > 0.7
    assert int(with_gate.diag().sum()) > 3 * int(without.diag().sum())
