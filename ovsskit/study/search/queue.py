"""Hand out the turns of a study: one trial finishes each, whatever happens to the workers.

A study of 100 trials has the turns 0 to 99. Under a lock, a worker declares trials dead whose
workers are, and takes the first turn that no trial has. So finished trials are never lost, none
counts twice, and the study ends.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning, UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from ovsskit.errors import BadStorage, OtherStudy, Place, Problems, shorten
from ovsskit.files.digests import digest_texts
from ovsskit.recipe.describe import toml
from ovsskit.study.search.samplers import (
    TURN,
    fixed_values,
    make_pruner,
    make_sampler,
    points_of,
    takes_listed,
)
from ovsskit.study.search.storage import TrialStorage
from ovsskit.study.spec.search import Search
from ovsskit.study.spec.space import suggest

ERROR, IDENTITY, CANDIDATE = "error", "identity", "candidate"

DEFAULT = "default"
"""The attribute of a study that holds the values of the unchanged recipe."""

RESULT = "verdict"
"""The attribute of a trial that holds its result; studies that exist have it so."""

PAUSE = 0.2
"""Seconds to wait while others work on the last turns, or on the same candidate."""

MOST_DEATHS = 10
"""How many workers may die over a turn before it is given up."""

SPENT = (TrialState.COMPLETE, TrialState.PRUNED)
LIVE = (*SPENT, TrialState.RUNNING, TrialState.WAITING)

log = logging.getLogger(__name__)


class Failed(Exception):
    """End a trial that failed for its own reason, which is recorded."""


class TrialQueue:
    """Hand out the turns of one study in one storage."""

    def __init__(
        self, search: Search, trial_storage: TrialStorage, identity: Mapping[str, Any]
    ) -> None:
        """Open the study in the storage, or begin it.

        Raises:
            OtherStudy: the storage holds another study of this name.
            BadStorage: its trials are damaged.
        """
        self.search, self.trial_storage, self.points = search, trial_storage, points_of(search)
        self._as_it_is = candidate_key(search, {})
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        with trial_storage.lock():
            self.study = optuna.create_study(
                study_name=search.title,
                storage=trial_storage.trials,
                directions=[one.direction for one in search.objectives],
                pruner=make_pruner(search),
                load_if_exists=True,
            )
            self._see_identity(identity)
        self._see_trials()
        self.count = self._count()
        if self.points is not None and self.count < search.settings.trials:
            log.info("the space has %d points: the study ends when all are tried", len(self.points))

    def _count(self) -> int:
        """Return how many turns there are: as many as asked for, or as the space has points."""
        trials = self.search.settings.trials
        if self.points is None or len(self.points) > trials:
            return trials
        held = [trial for trial in self.study.get_trials(deepcopy=False) if holds_turn(trial)]
        return min(
            trials, len({trial.user_attrs[TURN] for trial in held}) + len(self._untried(held))
        )

    def _untried(self, held: Sequence[FrozenTrial]) -> list[dict[str, Any]]:
        """Return the listed points that no trial has."""
        space = {one.address: one for one in self.search.space}
        seen = set()
        for trial in held:
            fixed = trial.system_attrs.get("fixed_params", {})
            values = {**fixed, **trial.params}
            seen.add(point_key({name: space[name].value_of(one) for name, one in values.items()}))
        return [point for point in self.points or () if point_key(point) not in seen]

    def _see_identity(self, identity: Mapping[str, Any]) -> None:
        from ovsskit.engine.identity import differences

        known = self.study.user_attrs.get(IDENTITY)
        if known is None and self.study.get_trials(deepcopy=False):
            known = {"made by": "another program"}
        if known is None:
            self.study.set_user_attr(IDENTITY, dict(identity))
        elif known != identity:
            raise OtherStudy(
                f"The storage holds another study `{self.search.title}`.",
                there="\n  ".join(differences(known, identity)[:6]),
                fix=(
                    "Name another folder with --out, or give the study another name: name = "
                    '"..." in its file.'
                ),
                where=Place(self.search.title),
            )

    def _see_trials(self) -> None:
        """Refuse trials that this study cannot have made: a record is damaged."""
        known = {one.address for one in self.search.space}
        for trial in self.study.get_trials(deepcopy=False):
            strange = sorted({*trial.params, *trial.system_attrs.get("fixed_params", {})} - known)
            if strange:
                raise BadStorage(
                    f"Trial {trial.number} of the storage has a parameter that the study does not "
                    f"search: `{shorten(strange[0])}`. The record is damaged.",
                    fix="Name another folder with --out, or give the study another name.",
                    where=Place(self.search.title),
                )

    def take(self, judge: Callable[[optuna.Trial, dict[str, Any]], Any]) -> bool:
        """Run the next turn, judging its candidate; return False if none waits now.

        An exception of the judge's is noted with the trial, which then counts as failed.
        """
        with ExitStack() as held:
            held.enter_context(self.trial_storage.lock())
            turn = self._next()
            if turn is None:
                return False
            self.study.sampler = make_sampler(self.search, turn)

            judged: list[optuna.Trial] = []

            def objective(trial: optuna.Trial) -> Any:
                self.trial_storage.begin(trial)
                values = self.suggest(trial)
                trial.set_user_attr(CANDIDATE, candidate_key(self.search, values))
                held.close()
                judged.append(trial)
                return judge(trial, values)

            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", ExperimentalWarning)
                    self.study.optimize(objective, n_trials=1, catch=(Failed,))
            except (UpdateFinishedTrialError, ValueError, AssertionError) as error:
                # Optuna cannot note how the trial ended: the storage fails, or the trial was
                # taken for dead in the meantime and given to another.
                if isinstance(error.__context__, OSError):
                    raise error.__context__ from None
                if not judged or not self._has_ended(judged[0]):
                    raise
        return True

    def _has_ended(self, trial: optuna.Trial) -> bool:
        return self.study.get_trials(deepcopy=False)[trial.number].state.is_finished()

    def suggest(self, trial: optuna.Trial) -> dict[str, Any]:
        """Return a trial's values by address."""
        return suggest(self.search.space, trial)

    def known(self, trial: optuna.Trial) -> tuple[dict[str, Any], bool] | None:
        """Return the result of an equal candidate, and whether it covers all images; None if none.

        A trial of another worker with the same candidate is waited for.
        """
        candidate = trial.user_attrs[CANDIDATE]
        if candidate == self._as_it_is and DEFAULT in self.study.user_attrs:
            return self.study.user_attrs[DEFAULT], True
        while True:
            equal = [
                one
                for one in self.study.get_trials(deepcopy=False)[: trial.number]
                if one.user_attrs.get(CANDIDATE) == candidate
            ]
            for one in equal:
                if one.state in SPENT and RESULT in one.user_attrs:
                    return one.user_attrs[RESULT], one.state == TrialState.COMPLETE
            if not any(one.state == TrialState.RUNNING for one in equal):
                return None
            time.sleep(PAUSE)
            with self.trial_storage.lock():
                self._bury()

    def finished(self) -> bool:
        """Say whether every turn is done."""
        return self.done() >= self.count

    def done(self) -> int:
        """Return how many turns are done."""
        return len(
            {
                trial.user_attrs.get(TURN)
                for trial in self.study.get_trials(deepcopy=False)
                if is_spent(trial)
            }
            - {None}
        )

    def _next(self) -> int | None:
        """Enqueue a trial for the first turn without one, and return the turn.

        The result is None if all turns are taken or done.
        """
        self._bury()
        trials = self.study.get_trials(deepcopy=False)
        waiting = [trial for trial in trials if trial.state == TrialState.WAITING]
        if waiting:  # whoever let it wait died
            return int(waiting[0].user_attrs[TURN])
        held = [trial for trial in trials if holds_turn(trial)]
        taken = {trial.user_attrs[TURN] for trial in held}
        for turn in range(self.count):
            if turn not in taken:
                before = [trial for trial in trials if trial.user_attrs.get(TURN) == turn]
                trial = self._waiting(turn, before, held)
                self.study.add_trial(trial)
                if trial.state == TrialState.WAITING:
                    return turn
        return None

    def _bury(self) -> None:
        """Declare trials failed whose workers have ended."""
        for trial in self.trial_storage.dead(self.study):
            self.study.tell(trial.number, state=TrialState.FAIL)

    def _values(self, turn: int, held: Sequence[FrozenTrial]) -> dict[str, Any]:
        """Return the values fixed for a turn; the sampler chooses the others."""
        if self.points is not None and takes_listed(self.search, self.points, turn):
            values = next(iter(self._untried(held)), {})
        else:
            values = fixed_values(self.search, turn)
        space = {one.address: one for one in self.search.space}
        return {address: space[address].hold(value) for address, value in values.items()}

    def _waiting(
        self, turn: int, before: Sequence[FrozenTrial], held: Sequence[FrozenTrial]
    ) -> FrozenTrial:
        """Return a waiting trial that takes a turn.

        A trial that was tried before keeps its candidate, or is given up.
        """
        attributes: dict[str, Any] = {TURN: turn}
        if len(before) >= MOST_DEATHS:
            reason = f"{len(before)} workers died while trying it."
            return optuna.trial.create_trial(
                state=TrialState.FAIL, user_attrs={**attributes, ERROR: reason}
            )
        params, distributions = (
            (before[-1].params, before[-1].distributions) if before else ({}, {})
        )
        fixed = {} if params else self._values(turn, held)
        system = {"fixed_params": fixed} if fixed else {}
        return optuna.trial.create_trial(
            state=TrialState.WAITING,
            params=params,
            distributions=distributions,
            user_attrs=attributes,
            system_attrs=system,
        )


def is_spent(trial: FrozenTrial) -> bool:
    """Say whether a trial used its turn up: it was judged, pruned, or failed for its own reason."""
    return trial.state in SPENT or (trial.state == TrialState.FAIL and ERROR in trial.user_attrs)


def holds_turn(trial: FrozenTrial) -> bool:
    """Say whether a trial has a turn that no other may take."""
    return TURN in trial.user_attrs and (trial.state in LIVE or is_spent(trial))


def point_key(values: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what equal points of a space have in common."""
    return tuple(sorted((address, toml(value)) for address, value in values.items()))


def candidate_key(search: Search, values: Mapping[str, Any]) -> str:
    """Return what candidates have in common that are the same recipe, whichever values say so.

    Values that do not fit together are compared unchanged.
    """
    try:
        recipe = search.candidate(values)
    except Problems:
        return digest_texts(["unfit", repr(point_key(values))])
    return digest_texts(map(repr, (recipe.plan.stages, sorted(recipe.plan.models.items()))))
