"""Write the report of a study: a page that opens from disk, and the script of its plots."""

from __future__ import annotations

import base64
import io
import math
import shlex
from dataclasses import dataclass
from typing import Any

import optuna
from PIL.Image import Image as PilImage

from ovsskit.engine.values import Labels
from ovsskit.run.output.overlay import draw_overlay
from ovsskit.run.output.page import render_page
from ovsskit.study.report.best import front_name, recipe_texts
from ovsskit.study.report.plots import (
    FEWEST_TRIALS,
    SCRIPT,
    contour_plot,
    copy_study,
    front_plot,
    history_plot,
    importance_plot,
    intermediate_plot,
    parallel_plot,
    plot_html,
    slice_plots,
)
from ovsskit.study.search.evaluate import Evaluator
from ovsskit.study.search.state import StudyState
from ovsskit.study.search.trials import Row

REPORT = "index.html"
SHOWN_IMAGES = 6
WIDTH = 420
"""Of an image in the report, in pixels."""


@dataclass(frozen=True)
class Pair:
    """Hold an image as segmented before and after, as data for an HTML file, and both values."""

    name: str
    before: str
    after: str
    was: float | None
    now: float | None


def report_texts(state: StudyState, evaluator: Evaluator, study: optuna.Study) -> dict[str, str]:
    """Return the files of the report: the page, and plotly's script, which it loads."""
    from plotly.offline import get_plotlyjs

    return {REPORT: page_text(state, evaluator, study), SCRIPT: get_plotlyjs()}


def page_text(state: StudyState, evaluator: Evaluator, study: optuna.Study) -> str:
    """Return the page as HTML."""
    search, rows, best = state.plan.search, state.rows, state.proposed
    default = state.default.get("values", [])
    several = len(search.objectives) > 1
    judged = sum(row.state == "done" for row in rows)
    return render_page(
        "ovsskit.study.report",
        "study.html",
        title=search.title,
        facts=_facts(state),
        notices=state.notices,
        objectives=search.objectives,
        space=search.space,
        start=state.start,
        default=default,
        best=best,
        kept=state.chosen is None,
        reasons=state.acceptance.reasons if state.acceptance is not None else [],
        groups=state.groups if search.settings.groups > 1 else [],
        script=SCRIPT,
        plots=_plots(state, study) if judged else {},
        several=several,
        knee=state.knee,
        front_name=front_name,
        fewest_trials=FEWEST_TRIALS,
        judged=judged,
        pairs=_pairs(state, evaluator, best) if best is not None else [],
        command=shlex.join(["ovsskit", "run", str(state.out / "best.toml")]),
        samples=state.plan.samples,
        data=_trials(state),
        failed=[row for row in rows if row.state == "failed"],
        pruned=sum(row.state == "pruned" for row in rows),
    )


def _trials(state: StudyState) -> dict[str, Any]:
    """Return every trial and its recipe, as plain data for the page's table."""
    search = state.plan.search
    rows = [row for row in state.rows if row.state != "failed"]
    front = {row.turn for row in state.front} if len(search.objectives) > 1 else set()
    return {
        "objectives": [one.name for one in search.objectives],
        "signs": [one.sign for one in search.objectives],
        "addresses": [one.address for one in search.space],
        "trials": [
            {
                "turn": row.turn,
                "state": row.state,
                "values": row.values,
                "params": row.params,
                "took": row.took,
                "broken": row.broken,
                "is": ["on the front"] * (row.turn in front) + ["the knee"] * (row == state.knee),
                "recipe": text,
            }
            for row, text in zip(rows, recipe_texts(state, rows, state.out), strict=True)
        ],
    }


def _plots(state: StudyState, study: optuna.Study) -> dict[str, list[str]]:
    """Return the plots as parts of the page, by the section that holds them."""
    objectives = state.plan.search.objectives
    default = state.default.get("values", [])
    was = default[0] if default else None
    whole = copy_study(study, state.rows, objectives)
    first = copy_study(study, state.rows, objectives[:1])
    importance = importance_plot(first)
    contour = contour_plot(first, importance)
    halves = state.plan.search.settings.pruner == "halving"
    told = "gain over the unchanged recipe" if halves else objectives[0].name
    intermediate = intermediate_plot(first, told)
    figures = {
        "history": [history_plot(first, was)],
        "front": [front_plot(whole, default, state.knee)] if len(objectives) > 1 else [],
        "importance": [] if importance is None else [importance],
        "contour": [] if contour is None else [contour],
        "intermediate": [] if intermediate is None else [intermediate],
        "slices": slice_plots(first, was),
        "parallel": [parallel_plot(whole)],
    }
    return {
        section: [plot_html(one, f"{section}-{index}") for index, one in enumerate(found)]
        for section, found in figures.items()
    }


def _facts(state: StudyState) -> list[str]:
    plan, settings = state.plan, state.plan.search.settings
    seconds = state.rows[-1].at if state.rows else 0.0
    facts = [
        f"{len(state.rows)} of {state.total} trials",
        f"sampler {settings.sampler}, seed {settings.seed}",
    ]
    facts += [f"pruner {settings.pruner}"] if settings.pruner != "none" else []
    facts += [
        f"{len(plan.images)} images",
        f"{len(plan.vocabulary.names)} classes",
        f"{seconds:.0f} s of work",
    ]
    facts += [f"{len(plan.left_out)} images could not be read"] if plan.left_out else []
    calls = state.calls
    facts.append(f"{calls['calls']:,} network calls, {calls['saved']:,} saved")
    return (
        [*facts, f"{calls['judge_calls']:,} judge calls, {calls['judge_saved']:,} saved"]
        if calls["judge_calls"]
        else facts
    )


def _pairs(state: StudyState, evaluator: Evaluator, best: Row) -> list[Pair]:
    """Return images segmented by the unchanged recipe and by the best one.

    The images are those that gained most, lost most, and one between.
    """
    was, now = state.default.get("images", {}), best.result.get("images", {})
    sign = state.plan.search.objectives[0].sign
    gains = {index: now.get(index, math.nan) - value for index, value in was.items()}
    known = [int(index) for index, gain in gains.items() if not math.isnan(gain)]
    ranked = sorted(known, key=lambda index: -sign * gains[str(index)])
    count = min(SHOWN_IMAGES, len(ranked))
    chosen = [
        ranked[round(place * (len(ranked) - 1) / max(1, count - 1))] for place in range(count)
    ]
    before, after = _drawn(evaluator, {}, chosen), _drawn(evaluator, best.params, chosen)
    paths = state.plan.images
    return [
        Pair(paths[index].stem, _data(old), _data(new), was.get(str(index)), now.get(str(index)))
        for index, old, new in zip(chosen, before, after, strict=True)
    ]


def _drawn(evaluator: Evaluator, values: dict[str, Any], chosen: list[int]) -> list[PilImage]:
    found = []
    for image, state in evaluator.segment(values, chosen):
        labels: Labels = state["labels"]
        found.append(
            draw_overlay(
                image.pixels.cpu().numpy(), labels.ids.cpu().numpy(), evaluator.plan.vocabulary
            )
        )
    return found


def _data(image: PilImage) -> str:
    """Return an image as a `data:` address."""
    smaller = image.convert("RGB")
    smaller.thumbnail((WIDTH, 4 * WIDTH))
    buffer = io.BytesIO()
    smaller.save(buffer, "JPEG", quality=82)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
