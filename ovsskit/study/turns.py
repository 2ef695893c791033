"""Hand out the turns of a study: each is taken by one trial that finishes, whatever happens to the workers.

A study of 100 trials has the turns 0 to 99. Under a lock, a worker declares trials dead whose workers are, and takes the first turn
that no trial has. So finished trials are never lost, none counts twice, and the study ends.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning, UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from ovsskit.errors import OtherStudy, Place
from ovsskit.study.plan import Search
from ovsskit.study.samplers import TURN, fixed_values, make_pruner, make_sampler, turns_of
from ovsskit.study.storage import Keeper

ERROR, IDENTITY = "error", "identity"
MOST_DEATHS = 10
"""How many workers may die over a turn before it is given up."""

SPENT = (TrialState.COMPLETE, TrialState.PRUNED)
LIVE = (*SPENT, TrialState.RUNNING, TrialState.WAITING)


class Failed(Exception):
    """End a trial that failed for a reason of its own, which is noted."""


class Turns:
    """Hand out the turns of one study in one storage."""

    def __init__(self, search: Search, keeper: Keeper, identity: Mapping[str, Any]) -> None:
        """Open the study in the storage, or begin it.

        Raises:
            OtherStudy: the storage holds another study of this name.
        """
        self.search, self.keeper, self.count = search, keeper, turns_of(search)
        self._fixed = fixed_values(search, self.count)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        with keeper.lock():
            self.study = optuna.create_study(
                study_name=search.title,
                storage=keeper.trials,
                directions=[one.direction for one in search.objectives],
                pruner=make_pruner(search),
                load_if_exists=True,
            )
            self._see_identity(identity)

    def _see_identity(self, identity: Mapping[str, Any]) -> None:
        from ovsskit.identity import differences

        known = self.study.user_attrs.get(IDENTITY)
        if known is None and self.study.get_trials(deepcopy=False):
            known = {"made by": "another program"}
        if known is None:
            self.study.set_user_attr(IDENTITY, dict(identity))
        elif known != identity:
            raise OtherStudy(
                f"The storage holds another study `{self.search.title}`.",
                there="\n  ".join(differences(known, identity)[:6]),
                fix='Name another folder with --out, or give the study another name: name = "..." in its file.',
                where=Place(self.search.title),
            )

    def take(self, judge: Callable[[optuna.Trial, dict[str, Any]], Any]) -> bool:
        """Run the next turn, judging its candidate; return False if none waits now.

        An exception of the judge's is noted with the trial, which then counts as failed.
        """
        with ExitStack() as held:
            held.enter_context(self.keeper.lock())
            turn = self._next()
            if turn is None:
                return False
            self.study.sampler = make_sampler(self.search, turn)

            def objective(trial: optuna.Trial) -> Any:
                self.keeper.begin(trial)
                values = self.suggest(trial)
                held.close()
                return judge(trial, values)

            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", ExperimentalWarning)
                    self.study.optimize(objective, n_trials=1, catch=(Failed,))
            except UpdateFinishedTrialError:
                pass  # taken for dead, and given to another
        return True

    def suggest(self, trial: optuna.Trial) -> dict[str, Any]:
        """Return a trial's values by address; those of stages that it leaves out are left out."""
        values: dict[str, Any] = {}
        for one in sorted(self.search.space, key=lambda one: one.kind != "switch"):
            if one.kind == "switch" or values.get(one.owner) != "off":
                values[one.address] = one.suggest(trial)
        return values

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
        """Let the first turn that no trial has wait as one, and return it; None if all turns are taken or done."""
        for trial in self.keeper.dead(self.study):
            self.study.tell(trial.number, state=TrialState.FAIL)
        trials = self.study.get_trials(deepcopy=False)
        waiting = [trial for trial in trials if trial.state == TrialState.WAITING]
        if waiting:  # whoever let it wait died
            return int(waiting[0].user_attrs[TURN])
        held = {
            trial.user_attrs.get(TURN) for trial in trials if trial.state in LIVE or is_spent(trial)
        }
        for turn in range(self.count):
            if turn not in held:
                before = [trial for trial in trials if trial.user_attrs.get(TURN) == turn]
                trial = self._waiting(turn, before)
                self.study.add_trial(trial)
                if trial.state == TrialState.WAITING:
                    return turn
        return None

    def _waiting(self, turn: int, before: Sequence[FrozenTrial]) -> FrozenTrial:
        """Return a trial that waits to take a turn; one that was tried before keeps its candidate, or is given up."""
        attributes: dict[str, Any] = {TURN: turn}
        if len(before) >= MOST_DEATHS:
            reason = f"{len(before)} workers died over it."
            return optuna.trial.create_trial(
                state=TrialState.FAIL, user_attrs={**attributes, ERROR: reason}
            )
        fixed = self._fixed[turn]
        system = {"fixed_params": fixed} if fixed else {}
        params, distributions = (
            (before[-1].params, before[-1].distributions) if before else ({}, {})
        )
        return optuna.trial.create_trial(
            state=TrialState.WAITING,
            params=params,
            distributions=distributions,
            user_attrs=attributes,
            system_attrs=system,
        )


def is_spent(trial: FrozenTrial) -> bool:
    """Say whether a trial has used its turn up: it is judged, was pruned, or failed for a reason of its own."""
    return trial.state in SPENT or (trial.state == TrialState.FAIL and ERROR in trial.user_attrs)
