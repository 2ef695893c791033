"""Retrain the embedded models with one command, in `benchmarks/`.

    python -m tiny_models --work FOLDER [--seed 0] [--stages scenes clip blip ofa dino student]

About 45 minutes for the tiny CLIP, 240 for the tiny BLIP, 40 for the tiny OFA and 45 for the tiny
DINO, rendering included, on one or two threads of a shared two-core machine. Parts that are
finished in the work folder are not done again, and one that was stopped goes on from its last
checkpoint. Without `--out` the weights in the package are replaced.
"""

import argparse
import logging
from pathlib import Path
from typing import Final

import torch
from timm.models.vision_transformer import VisionTransformer
from transformers import BlipForImageTextRetrieval

from ovsskit.backbones._inferred import CONFIG
from ovsskit.backbones.ofa._network import OfaNetwork
from ovsskit.backbones.ofa._text import DICTIONARY
from ovsskit.embedded import BLIP_ITM_FOLDER, CLASSES, OFA_FOLDER
from tiny_models.blip import write_blip
from tiny_models.clip import ClipSettings, TinyClip
from tiny_models.clip_folder import write_clip
from tiny_models.dataset import Dataset, join, render
from tiny_models.dino_folder import write_dino
from tiny_models.evaluate_ofa import tune
from tiny_models.halves import halve
from tiny_models.loop import Schedule
from tiny_models.ofa_folder import write_ofa
from tiny_models.sample_scenes import write_samples
from tiny_models.tokenizer import vocabulary
from tiny_models.train_blip import BlipPlan, begin_blip, train_blip
from tiny_models.train_clip import ClipPlan, begin_clip, train_clip
from tiny_models.train_dino import DinoPlan, train_dino
from tiny_models.train_ofa import OfaPlan, train_ofa
from tiny_models.train_student import Lesson, teach

STAGES: Final = ("scenes", "clip", "blip", "ofa", "dino", "student")
TRAINING_SCENES: Final = 36_000
VARIED_SCENES: Final = 24_000
STYLES_SCENES: Final = 54_000
FEW_SCENES: Final = 9_000


def main() -> None:
    """Run the stages that were asked for, in order."""
    asked = _read_command_line()
    asked.work.mkdir(parents=True, exist_ok=True)
    _log_to(asked.work / "train.log")
    torch.set_num_threads(asked.threads)
    if "scenes" in asked.stages:
        write_samples(asked.out / "scenes")
    if "clip" in asked.stages:
        settings = ClipSettings(len(vocabulary(with_blip_tokens=False)))
        write_clip(_train_clip(asked), settings, asked.out / "clip")
    if "blip" in asked.stages:
        write_blip(_train_blip(asked), asked.out / "blip_itm")
    if "ofa" in asked.stages:
        write_ofa(_train_ofa(asked), asked.out / "ofa")
        start = "embedded" if asked.out == OFA_FOLDER.parent else asked.out / "ofa"
        tune(CLASSES, asked.work / "ofa_tuned", f"fit.weights={start}")
        halve(asked.work / "ofa_tuned", asked.out / "ofa_tuned", DICTIONARY)
    if "dino" in asked.stages:
        write_dino(_train_dino(asked), asked.out / "dino")
    if "student" in asked.stages:
        halve(_train_student(asked), asked.out / "student", CONFIG)


def _read_command_line() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tiny_models",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--work", type=Path, required=True, help="rendered scenes, checkpoints, log"
    )
    parser.add_argument("--out", type=Path, default=BLIP_ITM_FOLDER.parent, help="where weights go")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES)
    parser.add_argument("--scenes", type=int, default=TRAINING_SCENES, help="how many to render")
    parser.add_argument("--clip-steps", type=int, default=1700)
    parser.add_argument(
        "--dense-from", type=int, default=600, help="first step with the dense loss"
    )
    parser.add_argument(
        "--varied-scenes", type=int, default=VARIED_SCENES, help="how many with changed drawings"
    )
    parser.add_argument(
        "--clip-more-steps", type=int, default=1000, help="steps after those that BLIP starts from"
    )
    parser.add_argument(
        "--styles-scenes",
        type=int,
        default=STYLES_SCENES,
        help="how many with changed drawings of all styles",
    )
    parser.add_argument("--blip-steps", type=int, default=1000, help="steps on plain drawings")
    parser.add_argument(
        "--blip-more-steps",
        type=int,
        default=4000,
        help="steps on plain drawings and those of all styles",
    )
    parser.add_argument(
        "--few-scenes",
        type=int,
        default=FEW_SCENES,
        help="how many plain ones beside the styles after that",
    )
    parser.add_argument("--blip-most-steps", type=int, default=6000, help="steps on these")
    parser.add_argument(
        "--blip-settling-steps",
        type=int,
        default=9000,
        help="steps on these until rates are lowest",
    )
    parser.add_argument("--fading-steps", type=int, default=200, help="last steps, with fading")
    parser.add_argument("--ofa-steps", type=int, default=3000)
    parser.add_argument("--dino-steps", type=int, default=1400)
    return parser.parse_args()


def _log_to(file: Path) -> None:
    handlers: list[logging.Handler] = [logging.StreamHandler(), logging.FileHandler(file)]
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", handlers=handlers)


def _begin_clip(asked: argparse.Namespace) -> TinyClip:
    """Train the CLIP that BLIP starts from, on plain drawings."""
    model = begin_clip(asked.seed)
    plan = ClipPlan(Schedule(asked.clip_steps, peak_rate=1e-3), asked.dense_from)
    train_clip(
        model, render(asked.work / "scenes", asked.scenes), plan, asked.work / "clip.pt", asked.seed
    )
    return model


def _train_clip(asked: argparse.Namespace) -> TinyClip:
    """Go on with all drawings, and with patches that keep the last residual too."""
    model = _begin_clip(asked)
    plan = ClipPlan(
        Schedule(asked.clip_more_steps, peak_rate=8e-4, warmup=50), dense_from=0, with_residual=True
    )
    train_clip(model, _all_drawings(asked), plan, asked.work / "clip_more.pt", asked.seed + 1)
    return model


def _train_blip(asked: argparse.Namespace) -> BlipForImageTextRetrieval:
    """Train on plain drawings, then on all styles, then mostly on those, and at last with fading.

    The first three stop before their rates are lowest. Longer fading leaves Salience DropOut less
    to add.
    """
    model = begin_blip(_begin_clip(asked), asked.seed)
    folder = asked.work / "scenes"
    plain, styles = render(folder, asked.scenes), render(folder, asked.styles_scenes, "styles")
    every, mostly_styles = join(plain, styles), join(render(folder, asked.few_scenes), styles)
    first = Schedule(asked.blip_steps, peak_rate=1e-3, lowest_at=3 * asked.blip_steps)
    second = Schedule(
        asked.blip_more_steps, peak_rate=8e-4, warmup=50, lowest_at=3 * asked.blip_more_steps // 2
    )
    third = Schedule(
        asked.blip_most_steps, peak_rate=8e-4, warmup=50, lowest_at=3 * asked.blip_most_steps // 2
    )
    fourth = Schedule(asked.blip_settling_steps, peak_rate=8e-4, warmup=50)
    last = Schedule(asked.fading_steps, peak_rate=4e-4, warmup=50)
    parts = (
        ("blip", plain, BlipPlan(first, fading=False, hiding=False, balanced=False)),
        ("blip_more", every, BlipPlan(second, fading=False, hiding=True, balanced=False)),
        ("blip_most", mostly_styles, BlipPlan(third, fading=False, hiding=True, balanced=True)),
        ("blip_settled", mostly_styles, BlipPlan(fourth, fading=False, hiding=True, balanced=True)),
        ("blip_faded", mostly_styles, BlipPlan(last, fading=True, hiding=False, balanced=True)),
    )
    for number, (name, dataset, plan) in enumerate(parts):
        train_blip(model, dataset, plan, asked.work / f"{name}.pt", asked.seed + number)
    return model.blip.eval()


def _all_drawings(asked: argparse.Namespace) -> Dataset:
    folder = asked.work / "scenes"
    return join(render(folder, asked.scenes), render(folder, asked.varied_scenes, "varied"))


def _train_ofa(asked: argparse.Namespace) -> OfaNetwork:
    """Train the OFA's trunk and words.

    Half of each batch has plain drawings, half all drawings, changed.
    """
    folder = asked.work / "scenes"
    drawn = render(folder, asked.scenes), render(folder, asked.varied_scenes, "varied")
    return train_ofa(
        *drawn,
        OfaPlan(Schedule(asked.ofa_steps, peak_rate=3e-3)),
        asked.work / "ofa.pt",
        asked.seed,
    )


def _train_dino(asked: argparse.Namespace) -> VisionTransformer:
    """Train the DINO on images alone, half of each batch plain and half of all styles."""
    folder = asked.work / "scenes"
    drawn = render(folder, asked.few_scenes), render(folder, asked.few_scenes, "styles")
    plan = DinoPlan(Schedule(asked.dino_steps, peak_rate=2e-3))
    return train_dino(*drawn, plan, asked.work / "dino.pt", asked.seed)


def _train_student(asked: argparse.Namespace) -> Path:
    """Let the student learn from the models that were written, and start from their CLIP."""
    overrides = [f"distil.seed={asked.seed}"]
    if asked.out != OFA_FOLDER.parent:
        overrides += [f"backbone.weights={asked.out / 'blip_itm'}"]
        overrides += [f"distil.start={asked.out / 'clip'}"]
    return teach(Lesson(), asked.work / "student", *overrides)


if __name__ == "__main__":
    main()
