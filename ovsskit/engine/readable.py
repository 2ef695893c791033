"""See before a run that a model reads the words of all classes, and can tell them apart."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ovsskit.engine.values import NEGATIVE
from ovsskit.errors import BadClasses, Place, first_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reading:
    """Hold the tokens that a model reads for a word, special ones left out.

    `unknown` counts those that stand for anything unknown, `broken` those that are bytes of a
    letter without a token.
    """

    ids: tuple[int, ...]
    unknown: int = 0
    broken: int = 0


def reading_of(
    ids: Sequence[int], unknown: int | None, decode: Callable[[list[int]], str]
) -> Reading:
    """Return what tokens stand for; `unknown` is the id of the unknown token, if there is one."""
    broken = sum(decode([one]).strip() == "\ufffd" for one in ids)
    return Reading(tuple(ids), sum(one == unknown for one in ids), broken)


def check_words(
    words: Sequence[tuple[int, str]], read: Callable[[str], Reading | None], where: Place
) -> None:
    """Check that the words of labels (0 is the background) can be read and distinguished.

    Doubtful words are noted.

    Raises:
        BadClasses: nothing of a word can be read, or words of two classes are the same to the
            model.
    """
    found = [(label, word, read(word)) for label, word in words]
    told = [(word, one) for _, word, one in found if one is not None]
    lost = [word for word, one in told if len(one.ids) == one.unknown]
    if lost:
        there = "Its tokenizer has no token for them: they would all be the same to it."
        fix = "Use other words; most models read only English."
        raise BadClasses(f"The model cannot read: {_few(lost)}.", there=there, fix=fix, where=where)
    alike: dict[tuple[int, ...] | str, dict[int, str]] = {}
    for label, word, one in found:
        key = word.casefold() if one is None else one.ids
        alike.setdefault(key, {}).setdefault(label, word)
    _see_alike([group for group in alike.values() if len(group) > 1], where)
    partly = [word for word, one in told if one.unknown]
    if partly:
        log.warning("the model reads only parts of: %s", _few(partly))
    broken = [word for word, one in told if one.broken]
    if broken:
        words_ = "the model has no tokens for letters of %s: results for it are likely wrong"
        log.warning(words_, _few(broken))


def note_unread(synonyms: Sequence[str]) -> None:
    """Note that a model which names classes in captions is asked only for each first word."""
    log.warning("captions name a class by its first word; these are not read: %s", _few(synonyms))


def note_untrained(words: Sequence[tuple[int, str]], known: Sequence[str]) -> None:
    """Say which words a tiny model was not trained on."""
    others = [word for _, word in words if word.casefold() not in known]
    if others:
        text = (
            "the tiny model knows only %d words, and not these: %s; results for them are "
            "likely wrong"
        )
        log.warning(text, len(known), _few(others))


def _see_alike(groups: Sequence[dict[int, str]], where: Place) -> None:
    """Refuse words of several classes that are the same to the model.

    The same word for a class and the background, or for one of them and a negative, is only noted.
    """
    behind: list[str] = []
    against: list[str] = []
    for group in groups:
        mine = [word for label, word in group.items() if label > 0]
        if len({word.casefold() for word in mine}) > 1:
            what = f"The model cannot distinguish: {_few(mine)}."
            there = "Its tokenizer turns them into the same tokens."
            raise BadClasses(what, there=there, fix="Keep one of them, or reword.", where=where)
        if len(mine) > 1:
            log.warning("%s: a word for %d classes, of which the first wins", mine[0], len(mine))
        if 0 in group and mine:
            behind.append(group[0])
        if NEGATIVE in group:
            against.append(group[NEGATIVE])
    if against:
        log.warning("%s: a negative, although it is also a class", ", ".join(against))
    if behind:
        log.warning(
            (
                "%s: a word for the background and for a class; where both score the same, the "
                "background wins"
            ),
            ", ".join(behind),
        )


def _few(words: Sequence[str]) -> str:
    return first_of(list(dict.fromkeys(words)), most=5)
