"""Say in words why something could not be fetched from the model hub, and what would fix it."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.request import getproxies

from ovsskit.errors import MissingWeights

FULL = (errno.ENOSPC, errno.EDQUOT)
CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS)
GO_ON = "run the same command again: it resumes where it stopped."
LOG_IN = "log in with `hf auth login`, or set HF_TOKEN."
ELSEWHERE = "Or fetch them where there is a network, and name their folder as `weights`."
PROXY = "Check HTTPS_PROXY, HTTP_PROXY and NO_PROXY."


@dataclass(frozen=True)
class Cause:
    """Say why something failed, as the second half of a sentence, and what would fix it.

    `passes` says whether it may be over in a moment.
    """

    what: str
    fix: str
    passes: bool = False


def explain(error: Exception, repository: str, revision: str, there: str = "") -> MissingWeights:
    """Return the error that tells a person why a repository cannot be fetched."""
    cause = cause_of(error, repository, revision)
    what = f"`{repository}` is not on this machine, and {cause.what}."
    return MissingWeights(what, there=there, fix=cause.fix)


def may_pass(error: Exception) -> bool:
    """Say whether it is worth asking the hub again soon."""
    return cause_of(error, "", "").passes


def cause_of(error: Exception, repository: str, revision: str) -> Cause:
    """Return why the hub's client failed; what it wrapped says more than what it raises.

    Errors of its HTTP library are known by name: which library it is depends on the client's
    version.
    """
    chain = list(_chain(error))
    for one in chain:
        found = _of_answer(one, repository, revision) or _of_disk(one) or _of_connection(one, chain)
        if found is not None:
            return found
    reason = str(error).splitlines()[0][:200] if str(error) else "no reason is given"
    return Cause(
        f"the hub's client failed ({type(error).__name__}: {reason})", f"To try again, {GO_ON}"
    )


def _of_answer(error: BaseException, repository: str, revision: str) -> Cause | None:
    """Return the cause if the hub answered, and refused."""
    from huggingface_hub import constants

    names = _names(error)
    if "HFValidationError" in names:
        what = "it is not a name of a hub repository either"
        return Cause(what, "Give a hub id such as `owner/name`, a folder, or a file.")
    if "OfflineModeIsEnabled" in names:
        what = "HF_HUB_OFFLINE prevents requests to the hub"
        return Cause(what, f"Unset HF_HUB_OFFLINE to fetch the weights. {ELSEWHERE}")
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    if response is None or status is None:
        return None
    page = f"{constants.ENDPOINT}/{repository}"
    if "GatedRepoError" in names:
        what = "its authors give it only to people who accept their terms"
        return Cause(what, f"Accept them at {page}, then {LOG_IN}")
    if "RevisionNotFoundError" in names:
        return Cause(
            f"the hub's repository has no revision `{revision}`", f"See {page} for those it has."
        )
    if "EntryNotFoundError" in names:
        return Cause("a file of it is missing on the hub", f"See {page} for what it holds.")
    if "RepositoryNotFoundError" in names or status == 404:
        what = "the hub has no such repository, or it is a private one"
        return Cause(what, f"Check the name. For a private one, {LOG_IN}")
    if status == 401:
        what = "the hub does not accept your token (status 401)"
        return Cause(what, f"Check HF_TOKEN, or {LOG_IN}")
    if status == 407:
        return Cause("the proxy asks for a password (status 407)", PROXY)
    if status == 429:
        wait = response.headers.get("Retry-After", "")
        when = f"in {wait} seconds" if wait.isdigit() else "in some minutes"
        what = "the hub has had too many requests from here (status 429)"
        return Cause(what, f"Try again {when}. Users who log in may send more requests.")
    if status >= 500:
        what = f"the hub itself has a problem (status {status})"
        return Cause(what, f"Wait a while, then {GO_ON}", passes=True)
    what = f"the hub refuses the request (status {status})"
    return Cause(what, f"See {page}. If it asks for more rights, {LOG_IN}")


def _of_disk(error: BaseException) -> Cause | None:
    """Return the cause if the cache could not be written."""
    from huggingface_hub import constants

    if not isinstance(error, OSError) or error.errno is None or isinstance(error, socket.gaierror):
        return None
    cache = constants.HF_HUB_CACHE
    if error.errno in FULL:
        fix = f"Make room in {cache}, or name another folder with HF_HUB_CACHE; then {GO_ON}"
        return Cause("the disk is full", fix)
    if error.errno in CLOSED:
        place = error.filename or cache
        fix = f"Make {place} writable, or name another folder with HF_HUB_CACHE."
        return Cause(f"the hub's cache cannot be written ({error.strerror})", fix)
    if error.filename is not None:
        what = f"the hub's cache cannot be used ({error.strerror}: {error.filename})"
        return Cause(what, "Name another folder with HF_HUB_CACHE.")
    return None


def _of_connection(error: BaseException, chain: list[BaseException]) -> Cause | None:
    """Return the cause if no answer, or no whole one, came."""
    names = _names(error)
    if "ProxyError" in names:
        return Cause("the proxy does not let the request through", PROXY)
    if "TimeoutException" in names or "TimeoutError" in names:
        return Cause("the hub did not answer in time", f"Try again later: {GO_ON}", passes=True)
    if "ConnectError" in names:
        return _of_no_connection(chain)
    is_short = isinstance(error, OSError) and "Consistency check failed" in str(error)
    if is_short or names & {"NetworkError", "ProtocolError"}:
        return Cause("the connection was cut", f"To continue, {GO_ON}", passes=True)
    return None


def _of_no_connection(chain: list[BaseException]) -> Cause:
    """Return why no connection could be made."""
    text = " ".join(map(str, chain))
    if any(isinstance(one, ssl.SSLError) for one in chain) or "CERTIFICATE_VERIFY" in text:
        what = "the connection cannot be trusted: its certificate is not valid"
        return Cause(what, "Behind a company's proxy, name its certificate with SSL_CERT_FILE.")
    hint = f" {PROXY}" if getproxies() else ""
    if any(isinstance(one, socket.gaierror) for one in chain) or "name resolution" in text:
        what = "the hub's address cannot be looked up: there seems to be no network"
        return Cause(what, f"Connect to the network, then {GO_ON}{hint} {ELSEWHERE}")
    what = "no connection to the hub can be made"
    return Cause(what, f"Check the network, then {GO_ON}{hint} {ELSEWHERE}", passes=True)


def _names(error: BaseException) -> set[str]:
    return {cls.__name__ for cls in type(error).__mro__}


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, and what it came from."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
