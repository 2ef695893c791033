"""Journal and PostgreSQL: studies go on after they were killed, workers share them,
and no two mix.
"""

from __future__ import annotations

import errno
import os
import pwd
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

import kills
from ovsskit.errors import BadOutput, BadStorage, CannotWrite, OtherStudy, StudyFailed
from ovsskit.study.folder import StudyFolder
from ovsskit.study.search import workers as work
from ovsskit.study.search.journal import JOURNAL, Journal
from ovsskit.study.search.judge_trial import judge_trial
from ovsskit.study.search.open_storage import open_storage
from ovsskit.study.search.state import StudyState

Search = Callable[..., StudyState]
Write = Callable[..., Path]


def find_postgres() -> Path | None:
    """Return the folder of PostgreSQL's programs, which Debian does not put on the path."""
    found = [path.parent for path in sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))]
    there = shutil.which("initdb")
    return found[-1] if found else Path(there).resolve().parent if there else None


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """Run a PostgreSQL server and return its address."""
    programs = find_postgres()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    user = None
    if os.geteuid() == 0:  # the server refuses to run as root
        user = next(
            (one.pw_name for one in pwd.getpwall() if one.pw_name in ("postgres", "nobody")), None
        )
        if user is None:
            pytest.skip("PostgreSQL refuses to run as root, and there is no user for it")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(
        prefix="ovsskit-"
    ) as name:  # pytest's own folders are closed to other users
        folder, data = Path(name), Path(name, "data")
        if user is not None:
            shutil.chown(folder, user)

        def call(*command: str | Path) -> None:
            subprocess.run(command, user=user, cwd=folder, stdout=subprocess.DEVNULL, check=True)

        control = (programs / "pg_ctl", "-D", data, "-l", folder / "log", "-w")
        call(programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync")
        call(
            *control,
            "-o",
            f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off",
            "start",
        )
        try:
            yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
        finally:
            call(*control, "-m", "immediate", "stop")


def values(state: StudyState) -> list[tuple[object, ...]]:
    return [
        (row.turn, row.params, row.values) for row in sorted(state.rows, key=lambda row: row.turn)
    ]


def test_a_finished_study_does_nothing_more_and_another_number_of_trials_goes_on(
    search: Search,
) -> None:
    first = search(trials=6)
    again = search(trials=6)
    assert [row.number for row in again.rows] == [row.number for row in first.rows]
    more = search(trials=9)
    assert values(more)[:6] == values(first)
    assert values(more) == values(search(trials=9, out="at once"))


def test_a_study_that_was_stopped_tries_the_same_as_one_that_was_not(
    search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge, taken = judge_trial, []

    def stop(*arguments: object) -> list[float]:
        taken.append(1)
        if len(taken) in (3, 7):
            raise KeyboardInterrupt
        return judge(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(work, "judge_trial", stop)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            search(trials=14)
    stopped = search(trials=14)
    assert len(taken) == 16
    assert values(stopped) == values(search(trials=14, out="at once"))


@pytest.mark.parametrize(
    "change", ["recipe", "space", "seed", "sampler", "objective", "images", "classes"]
)
def test_another_study_is_refused_with_what_differs(
    search: Search, study_file: Write, change: str, photos: Path
) -> None:
    search(study_file(), trials=1)
    space = '[space]\n"toy_cut.at" = { low = 0.2, high = 1.0 }\n' if change == "space" else ""
    options = {
        "recipe": {"overrides": ("toy_dim.by=0.9",)},
        "seed": {"seed": 3},
        "sampler": {"sampler": "random"},
        "objective": {"objectives": ("toy_small",)},
        "images": {"images": (str(photos / "p1.png"),)},
        "classes": {"classes": "dark"},
    }.get(change, {})
    with pytest.raises(OtherStudy) as caught:
        search(study_file(tables=space), trials=1, **options)
    if change == "seed":
        assert str(caught.value) == (
            "toy  OV604  another study\n"
            "  The storage holds another study `toy`.\n"
            "  method.seed: 0 there, 3 now\n"
            '  Name another folder with --out, or give the study another name: name = "..." '
            "in its file."
        )
    word = {
        "recipe": "toy_dim.by: 1.0 there, 0.9 now",
        "space": "toy_cut.at",
        "classes": "light",
        "objective": "toy_goal",
    }.get(change, change)
    assert word in caught.value.there


def test_a_folder_takes_one_command_at_a_time(search: Search, tmp_path: Path) -> None:
    from filelock import FileLock

    search(trials=1)
    with (
        FileLock(tmp_path / "out" / ".lock"),
        pytest.raises(BadOutput, match="Another study is writing into"),
    ):
        search(trials=2)


def test_a_line_that_was_not_written_to_its_end_is_cut_off(search: Search, tmp_path: Path) -> None:
    search(trials=3)
    journal = tmp_path / "out" / JOURNAL
    with journal.open("ab") as file:
        file.write(b'{"op_code":4,"worker_id":"x"')
    assert len(search(trials=5).rows) == 5


@pytest.mark.parametrize("harm", [b"\xff\xff\n", b"\0" * 500, b"[]\n", b"{}\n"])
def test_a_broken_line_costs_what_follows_it_and_not_the_study(
    search: Search, tmp_path: Path, harm: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    search(trials=3)
    journal = tmp_path / "out" / JOURNAL
    lines = journal.read_bytes().splitlines(keepends=True)
    broken = b"".join([*lines[:-4], harm, *lines[-4:]])
    journal.write_bytes(broken)
    assert len(search(trials=4).rows) == 4
    assert f"cannot be read from line {len(lines) - 3} on" in caplog.text
    [copy] = (tmp_path / "out").glob("*.broken")
    assert copy.read_bytes() == broken


def test_a_folder_of_others_is_refused_and_stays_as_it_is(search: Search, tmp_path: Path) -> None:
    mine = ("index.html", "best.toml", "trials.json", "front/mine.toml", "store/ab/old")
    for name in mine:
        path = tmp_path / "out" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    with pytest.raises(BadOutput, match="files that belong to no study"):
        search(trials=1)
    found = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert sorted(path.relative_to(tmp_path / "out").as_posix() for path in found) == sorted(mine)
    assert {path.read_text() for path in found} == {"mine"}


def test_files_of_others_in_the_folder_of_a_study_stay(
    search: Search, study_file: Write, tmp_path: Path
) -> None:
    study = study_file(
        tables='[[objective]]\nuse = "toy_goal"\n[[objective]]\nmetric = "seconds"\n'
    )
    front = tmp_path / "out" / "front"
    search(study, trials=3)
    old = front / "trial_9999.toml"
    old.write_text("mine")
    changed = next(iter(sorted(front.glob("trial_000*.toml"))))
    changed.write_text("changed by hand")
    (tmp_path / "out" / "workers" / "mine.lock").write_text("")
    stale = front / "trial_0777.toml"
    folder = StudyFolder(tmp_path / "out", "study")
    folder.publish({"front/trial_0777.toml": "published before"})
    folder.publish({f"front/{changed.name}": "again", "front/trial_0888.toml": "before, too"})
    folder.close()
    (front / "trial_0888.toml").write_text("changed since")
    assert stale.exists()
    search(study, trials=4)
    assert not stale.exists()
    assert old.read_text() == "mine"
    assert (front / "trial_0888.toml").read_text() == "changed since"
    assert (tmp_path / "out" / "workers" / "mine.lock").exists()


def test_missing_results_of_a_finished_study_are_written_again(
    search: Search, tmp_path: Path
) -> None:
    search(trials=2)
    for name in ("best.toml", "trials.json", "index.html"):
        (tmp_path / "out" / name).unlink()
    search(trials=2)
    for name in ("best.toml", "trials.json", "index.html"):
        assert (tmp_path / "out" / name).stat().st_size


def test_a_file_that_is_no_journal_is_refused(tmp_path: Path) -> None:
    (tmp_path / JOURNAL).write_text("no journal\nat all\n")
    with pytest.raises(BadStorage, match="not a journal"):
        Journal(tmp_path)


def test_a_worker_that_died_is_known_by_its_lock(tmp_path: Path) -> None:
    trial_storage = Journal(tmp_path)
    study = optuna.create_study(storage=trial_storage.trials, study_name="s")
    trial = study.ask()
    assert [one.number for one in trial_storage.dead(study)] == [
        trial.number
    ]  # it died while it took the trial
    trial_storage.begin(trial)
    assert trial_storage.dead(study) == []
    other = Journal(tmp_path)
    assert other.dead(optuna.load_study(storage=other.trials, study_name="s")) == []
    trial_storage.close()
    assert [one.number for one in other.dead(study)] == [trial.number]
    other.close()


def test_a_turn_over_which_workers_die_again_and_again_is_given_up(
    search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ovsskit.study.search import queue as queue

    monkeypatch.setattr(queue, "MOST_DEATHS", 2)

    def die(
        plan: object, evaluator: object, queue: object, trial: optuna.Trial, values: object
    ) -> list[float]:
        if trial.user_attrs["turn"] == 1:
            raise KeyboardInterrupt
        return [0.5]

    monkeypatch.setattr(work, "judge_trial", die)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            search(trials=3)
    rows = search(trials=3).rows
    assert [(row.turn, row.state) for row in sorted(rows, key=lambda row: row.turn)] == [
        (0, "done"),
        (1, "failed"),
        (2, "done"),
    ]


def test_a_study_in_which_every_trial_fails_stops(search: Search, study_file: Write) -> None:
    tables = (
        '[set]\n"toy_cut.mode" = "fail above"\n[space]\n"toy_cut.at" = { low = 0.6, high = 1.0 }\n'
    )
    with pytest.raises(StudyFailed, match="divides by zero"):
        search(study_file(tables=tables), trials=30)


def test_workers_in_processes_find_the_same_as_one_here(search: Search) -> None:
    options = {"trials": 8, "sampler": "random", "plugins": (kills.PLUGIN,)}
    several = search(out="several", workers=3, **options)
    assert values(several) == values(search(out="one", **options))


def test_killed_studies_and_workers_lose_nothing(tmp_path: Path) -> None:
    outcome = kills.torture(tmp_path, kills=4, workers=3, more=12, seconds=0.03, seed=0)
    assert sum(outcome.kills.values()) == 4
    assert outcome.status == 0
    assert outcome.lost == []
    assert sorted(outcome.turns) == list(range(outcome.trials))


def test_a_server_is_shared(search: Search, server: str, study_file: Write) -> None:
    study = study_file('name = "shared"\nheartbeat = 1')
    first = search(study, trials=4, storage=server, sampler="random")
    other = search(study, trials=8, storage=server, sampler="random", out="another machine")
    assert values(other)[:4] == values(first)
    assert not (first.out / JOURNAL).exists()
    with pytest.raises(OtherStudy, match="another study `shared`"):
        search(study, trials=4, storage=server, sampler="random", seed=1, out="third")
    assert values(search(study, trials=8, sampler="random", out="alone")) == values(other)


def test_several_begin_on_an_empty_server_at_once(tmp_path: Path, server: str) -> None:
    import psycopg

    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("CREATE DATABASE empty")
    empty = server.removesuffix("postgres") + "empty"
    with ThreadPoolExecutor(4) as pool:
        opened = list(pool.map(lambda _: open_storage(empty, tmp_path, 1, "s"), range(4)))
    for trial_storage in opened:
        assert trial_storage.trials.get_all_studies() == []
        trial_storage.close()


def test_killed_studies_and_workers_lose_nothing_on_a_server(tmp_path: Path, server: str) -> None:
    outcome = kills.torture(
        tmp_path, kills=2, workers=3, more=12, seconds=0.03, seed=1, storage=server
    )
    assert sum(outcome.kills.values()) == 2
    assert outcome.status == 0
    assert outcome.lost == []
    assert sorted(outcome.turns) == list(range(outcome.trials))


ADDRESS = (
    "Give postgresql://user@host:port/database, or leave it out: then the study's folder keeps "
    "the trials."
)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "postgresql://me:secret@127.0.0.1:1/nothing",
            "The storage `postgresql://me:***@127.0.0.1:1/nothing` cannot be reached: REASON\n"
            "  Check that the server runs and lets you in.",
        ),
        (
            "mysql://localhost/db",
            f"`mysql://localhost/db` is not a PostgreSQL server.\n  {ADDRESS}",
        ),
        ("nonsense", f"This is not the address of a storage.\n  {ADDRESS}"),
    ],
)
def test_a_storage_that_cannot_be_used_is_told_without_its_password(
    tmp_path: Path, url: str, message: str
) -> None:
    with pytest.raises(BadStorage) as caught:
        open_storage(url, tmp_path, 1, "s")
    told = re.sub("reached: .*", "reached: REASON", str(caught.value))
    assert told == f"--storage  OV603  storage cannot be used\n  {message}"
    assert "secret" not in str(caught.value)


def test_workers_end_with_the_study_that_started_them(
    tmp_path: Path, photos: Path, study_file: Write
) -> None:
    study = study_file('accept = "best"', '[set]\n"toy_cut.seconds" = 0.2\n')
    command = [
        sys.executable,
        "-m",
        "ovsskit",
        "study",
        study,
        photos,
        "--out",
        tmp_path / "out",
        "--plugin",
        kills.PLUGIN,
    ]
    process = subprocess.Popen([*map(str, command), "--workers", "2", "--quiet", "--device", "cpu"])
    try:
        while len(workers := kills.workers_of(process.pid)) < 2:
            assert process.poll() is None
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()
    gone = [
        not Path(f"/proc/{pid}/cmdline").exists() or not Path(f"/proc/{pid}/cmdline").read_bytes()
        for pid in workers
    ]
    deadline = time.monotonic() + 60
    while not all(gone) and time.monotonic() < deadline:
        time.sleep(0.1)
        gone = [
            not Path(f"/proc/{pid}/cmdline").exists()
            or not Path(f"/proc/{pid}/cmdline").read_bytes()
            for pid in workers
        ]
    assert all(gone)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me@127.0.0.1:1/nothing?password=secret",
        "postgresql://me@127.0.0.1:1/nothing?passwrod=secret",
        "postgresql://me@127.0.0.1:secret/nothing",
        "postgresql://me:very@secret@127.0.0.1:1/nothing",
        "postgresql://me:s%2Fecret@127.0.0.1:1/nothing",
        "mysql://me:secret@localhost/db",
        "https://localhost/db?token=secret",
    ],
)
def test_no_secret_of_an_address_is_printed_wherever_it_stands(tmp_path: Path, url: str) -> None:
    with pytest.raises(BadStorage) as caught:
        open_storage(url, tmp_path, 1, "s")
    assert "ecret" not in str(caught.value)


def test_a_full_disk_is_said_and_the_study_goes_on_later(
    search: Callable[..., StudyState], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = JournalFileBackend.append_logs
    written = 0

    def append(self: JournalFileBackend, logs: list[dict[str, object]]) -> None:
        nonlocal written
        written += 1
        if written > 25:
            raise OSError(errno.ENOSPC, "No space left on device")
        plain(self, logs)

    with monkeypatch.context() as patched:
        patched.setattr(JournalFileBackend, "append_logs", append)
        with pytest.raises(CannotWrite, match="The disk is full"):
            search(trials=6)
    assert len(search(trials=6).rows) == 6


def test_a_trial_with_a_parameter_of_no_study_is_a_damaged_record(
    search: Callable[..., StudyState], tmp_path: Path
) -> None:
    search(trials=2)
    journal = tmp_path / "out" / JOURNAL
    text, count = re.subn(r'("param_name": ?)"toy_cut.at"', r'\1"toy_cux.at"', journal.read_text())
    assert count == 2
    journal.write_text(text)
    with pytest.raises(
        BadStorage, match="a parameter that the study does not search: `toy_cux.at`"
    ):
        search(trials=3)


def test_a_trial_that_was_taken_for_dead_meanwhile_is_left_to_another(
    search: Callable[..., StudyState], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, given_up = judge_trial, []

    def judge(plan: Any, evaluator: Any, queue: Any, trial: optuna.Trial, values: Any) -> Any:
        if not given_up:
            given_up.append(trial.number)
            trial.study._storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
            return [0.0]
        return plain(plan, evaluator, queue, trial, values)

    monkeypatch.setattr(work, "judge_trial", judge)
    found = search(trials=3)
    assert given_up
    assert sorted(row.turn for row in found.rows if row.state == "done") == [0, 1, 2]
