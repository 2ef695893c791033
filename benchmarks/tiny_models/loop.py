"""The training loop that both models share: schedule, log and checkpoints."""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

LOG = logging.getLogger("ovsskit.training")

Losses = dict[str, Tensor]


@dataclass(frozen=True)
class Schedule:
    """Say how long to train and how fast.

    The rate is lowest at the last step, or would be at a later one.
    """

    steps: int
    peak_rate: float
    warmup: int = 100
    weight_decay: float = 0.05
    log_every: int = 50
    save_every: int = 200
    lowest_at: int | None = None

    def rate(self, step: int) -> float:
        """Warm up, then follow a cosine down to a hundredth of the peak."""
        if step < self.warmup:
            return self.peak_rate * (step + 1) / self.warmup
        done = (step - self.warmup) / max(1, (self.lowest_at or self.steps) - self.warmup)
        return self.peak_rate * (0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2)


def train(
    model: nn.Module,
    losses_of: Callable[[int], Losses],
    schedule: Schedule,
    checkpoint: Path,
) -> None:
    """Minimise the sum of the losses of each step; go on from the checkpoint if there is one."""
    matrices = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    vectors = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": schedule.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, betas=(0.9, 0.98))
    first = _restore(model, optimiser, checkpoint)
    sums: dict[str, float] = {}
    started = time.perf_counter()
    for step in range(first, schedule.steps):
        for group in optimiser.param_groups:
            group["lr"] = schedule.rate(step)
        losses = losses_of(step)
        optimiser.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        for name, loss in losses.items():
            sums[name] = sums.get(name, 0.0) + loss.item()
        if (step + 1) % schedule.log_every == 0:
            _report(step + 1, schedule, sums, (time.perf_counter() - started) / (step + 1 - first))
            sums = {}
        if (step + 1) % schedule.save_every == 0 or step + 1 == schedule.steps:
            _save(model, optimiser, step + 1, checkpoint)


def _report(step: int, schedule: Schedule, sums: dict[str, float], seconds: float) -> None:
    means = "  ".join(f"{name} {total / schedule.log_every:.3f}" for name, total in sums.items())
    LOG.info("step %5d/%d  %s  %.2f s/step", step, schedule.steps, means, seconds)


def _save(model: nn.Module, optimiser: torch.optim.Optimizer, step: int, checkpoint: Path) -> None:
    unfinished = checkpoint.with_suffix(".part")
    state = {"model": model.state_dict(), "optimiser": optimiser.state_dict(), "step": step}
    torch.save(state, unfinished)
    unfinished.replace(checkpoint)


def _restore(model: nn.Module, optimiser: torch.optim.Optimizer, checkpoint: Path) -> int:
    if not checkpoint.exists():
        return 0
    state = torch.load(checkpoint, weights_only=True)
    model.load_state_dict(state["model"])
    optimiser.load_state_dict(state["optimiser"])
    return int(state["step"])
