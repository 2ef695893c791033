"""Draw a study with Optuna's own plots.

The plots take a study as Optuna keeps it and write all that they are given into the page. So they
get a copy: its trials are numbered by their turns, have no attributes of ours, and every name and
choice is text in HTML, whatever a person or a file calls it.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import optuna
from optuna import visualization
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial, TrialState, create_trial

from ovsskit.study.search.trials import Row
from ovsskit.study.spec.objectives import Objective

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

FEWEST_TRIALS = 10
"""Trials judged on all images that importance takes: its best tenth is one of them then."""

MOST_AXES = 3
"""How many objectives Optuna's plot of a Pareto front shows."""

ACCENT = "#d9480f"
SCRIPT = "plotly.min.js"


def copy_study(
    study: optuna.Study, rows: Sequence[Row], objectives: Sequence[Objective]
) -> optuna.Study:
    """Return a study in memory that plots may show: some rows, and the first objectives alone.

    A turn without a row stands as a failed trial, which no plot shows.
    """
    trials, turns = study.get_trials(deepcopy=False), {row.turn: row.number for row in rows}
    copy = optuna.create_study(directions=[one.direction for one in objectives])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        copy.set_metric_names([_text(one.name) for one in objectives])
    for turn in range(max(turns, default=-1) + 1):
        copy.add_trial(
            _copy_trial(trials[turns[turn]], len(objectives))
            if turn in turns
            else create_trial(state=TrialState.FAIL)
        )
    return copy


def history_plot(study: optuna.Study, default: float | None) -> Figure:
    """Return the value of every trial, the best so far, and that of the unchanged recipe."""
    [name] = study.metric_names or []
    figure = visualization.plot_optimization_history(study, target_name=name)
    figure.update_layout(legend={"orientation": "h", "yanchor": "bottom", "y": 1})
    return _plain(_with_default(figure, default, "unchanged recipe"), 380)


def importance_plot(study: optuna.Study) -> Figure | None:
    """Return how much each parameter mattered (PED-ANOVA); None where the trials do not tell.

    Optuna gives numbers for few trials, too, equal ones or none for trials of equal worth, and 1
    for a parameter that is alone.
    """
    if len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))) < FEWEST_TRIALS:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            figure = visualization.plot_param_importances(study)
    except (ValueError, RuntimeError):  # all trials are worth the same
        return None
    found = [float(value) for bar in figure.data for value in bar.x]
    if not found or not all(map(math.isfinite, found)) or math.isclose(min(found), max(found)):
        return None
    return _plain(figure, 90 + 34 * len(found)).update_yaxes(title_text="", automargin=True)


def contour_plot(study: optuna.Study, importance: Figure | None) -> Figure | None:
    """Return the values over the two parameters that mattered most; None where that is not known.

    None also where one of them was tried at a single value.
    """
    if importance is None:
        return None
    [bars] = importance.data
    ranked = sorted(zip(bars.x, bars.y, strict=True), reverse=True)
    names = [str(name) for _, name in ranked[:2]]
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    for name in names:
        if len({trial.params[name] for trial in trials if name in trial.params}) < 2:
            return None
    [target] = study.metric_names or []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        figure = visualization.plot_contour(study, names, target_name=target)
    return _plain(figure, 460)


def intermediate_plot(study: optuna.Study, told: str) -> Figure | None:
    """Return what each trial was worth after fewer images, pruned ones too; None where none says.

    `told` says what the values are.
    """
    if not any(trial.intermediate_values for trial in study.get_trials(deepcopy=False)):
        return None
    figure = visualization.plot_intermediate_values(study)
    figure.update_layout(showlegend=False)
    return _plain(figure, 380).update_yaxes(title_text=told).update_xaxes(title_text="images")


def slice_plots(study: optuna.Study, default: float | None) -> list[Figure]:
    """Return for every parameter that a trial took the values of these trials over it."""
    [name] = study.metric_names or []
    figures = []
    for address in _tried(study):
        figure = visualization.plot_slice(study, [address], target_name=name)
        figure.update_traces(marker_showscale=False)
        figures.append(_plain(_with_default(figure, default), 280).update_yaxes(title_text=""))
    return figures


def parallel_plot(study: optuna.Study) -> Figure:
    """Return a line through the values and parameters of each trial.

    Optuna cuts their names, which are whole here.
    """
    names = study.metric_names or []
    figure = visualization.plot_parallel_coordinate(study, target_name=names[0])
    addresses = [address.replace(".", ".<br>", 1) for address in sorted(_tried(study))]
    return _plain(figure, 420).update_xaxes(ticktext=[*names, *addresses])


def front_plot(study: optuna.Study, default: Sequence[float], knee: Row | None) -> Figure:
    """Return the first three objectives of all trials, the Pareto front, and its knee."""
    names = (study.metric_names or [])[:MOST_AXES]
    figure = visualization.plot_pareto_front(
        study, target_names=names, targets=lambda trial: trial.values[:MOST_AXES]
    )
    figure.update_traces(marker_showscale=False)
    _mark(figure, default, "unchanged", "square")
    if knee is not None:
        _mark(figure, knee.values or [], "knee", "diamond-open")
    sides = {f"{axis}axis": {"showbackground": False} for axis in "xyz"}
    figure.update_scenes(camera_eye={"x": 1.7, "y": 1.7, "z": 0.9}, **sides)
    return _plain(figure, 460)


def plot_html(figure: Figure, place: str) -> str:
    """Return a figure as part of a page that loads plotly's script; `place` names its element."""
    text: str = figure.to_html(
        full_html=False,
        include_plotlyjs=False,
        div_id=place,
        config={"responsive": True, "displayModeBar": False},
    )
    return text


def _tried(study: optuna.Study) -> list[str]:
    """List the parameters that any trial took, in the order of the space."""
    judged = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return list(dict.fromkeys(address for trial in judged for address in trial.params))


def _copy_trial(trial: FrozenTrial, objectives: int) -> FrozenTrial:
    whole = trial.state == TrialState.COMPLETE
    return create_trial(
        state=trial.state,
        values=trial.values[:objectives] if whole else None,
        params={_text(name): _text(value) for name, value in trial.params.items()},
        distributions={
            _text(name): _copy_distribution(one) for name, one in trial.distributions.items()
        },
        constraints=trial.constraints,
        intermediate_values=trial.intermediate_values,
    )


def _copy_distribution(one: BaseDistribution) -> BaseDistribution:
    if isinstance(one, CategoricalDistribution):
        return CategoricalDistribution([_text(choice) for choice in one.choices])
    return one


def _text(value: Any) -> Any:
    """Return a word as text in HTML, which plotly's labels are; other values as they are."""
    return escape(value, quote=False) if isinstance(value, str) else value


def _with_default(figure: Figure, default: float | None, told: str = "") -> Figure:
    if default is None:
        return figure
    return figure.add_hline(
        default,
        line={"dash": "dash", "color": ACCENT, "width": 1},
        annotation={"text": told, "font": {"color": ACCENT}},
        annotation_position="bottom right",
    )


def _mark(figure: Figure, values: Sequence[float], name: str, symbol: str) -> None:
    place = dict(zip("xyz", ([value] for value in values[:MOST_AXES]), strict=False))
    flat = len(place) < MOST_AXES
    add = figure.add_scatter if flat else figure.add_scatter3d
    add(
        **({"cliponaxis": False} if flat else {}),
        **place,
        mode="markers+text",
        text=[name],
        textposition="top center",
        textfont={"color": ACCENT},
        marker={"symbol": symbol, "size": 13 if flat else 6, "color": ACCENT},
        hoverinfo="skip",
        showlegend=False,
    )


def _plain(figure: Figure, height: int) -> Figure:
    """Return a figure that stands on the page's own ground, below the page's own heading."""
    return figure.update_layout(
        template="plotly_white",
        title=None,
        height=height,
        font={"family": "system-ui, sans-serif"},
        margin={"l": 60, "r": 20, "t": 30, "b": 50},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
    )
