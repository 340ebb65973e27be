"""Words of ``--allow``: what a change may do that would break somebody, as narrowly as a reviewer wants it."""

from __future__ import annotations

from collections.abc import Iterable

from croissant_recipes.diagnostics import did_you_mean, joined
from croissant_recipes.schema import RECORD_SETS

OTHERS = "others"
"""Stands for the record sets and files of a Croissant that are not copick's."""

LABELS = "labels"

_PLACES = (*RECORD_SETS, OTHERS)
_OF_NAMES = {LABELS: "OBJECT", "split": "RUN", "leak": "RUN"}
_OF_ROWS = {"removed": _PLACES, "changed": _PLACES, "renamed": tuple(RECORD_SETS), "columns": tuple(RECORD_SETS)}

FORMS = (*(f"{kind}[:{name}]" for kind, name in _OF_NAMES.items()), *(f"{k}:RECORD_SET[:NAME]" for k in _OF_ROWS))
"""How words are written."""


def word(kind: str, *parts: str) -> str:
    """The word that allows one thing and nothing else; of what has no name, all of its kind."""
    return ":".join([kind, *(part for part in parts if part)])


def covers(allowed: str, word: str) -> bool:
    """Whether one word allows what another one stands for."""
    wide, narrow = _parts(allowed), _parts(word)
    return narrow[: len(wide)] == wide


def is_allowed(word: str, allowed: Iterable[str]) -> bool:
    return any(covers(each, word) for each in allowed)


def problem(text: str) -> str | None:
    """What is wrong with a word, and what would be right; ``None`` for a good one."""
    kind, *names = _parts(text)
    if kind not in {**_OF_NAMES, **_OF_ROWS}:
        near = did_you_mean(kind, [*_OF_NAMES, *_OF_ROWS], what="words begin with")
        return f"{text!r}: {kind!r} is nothing to allow; {near}; the forms are {joined(FORMS)}"
    if kind in _OF_ROWS:
        if not names:
            return f"{text!r}: what is {kind}? Write {kind}:RECORD_SET or {kind}:RECORD_SET:NAME"
        if names[0] not in _OF_ROWS[kind]:
            near = did_you_mean(names[0], _OF_ROWS[kind], what="there are")
            return f"{text!r}: {names[0]!r} is no record set; {near}"
    if names and not names[-1].strip():
        return f"{text!r}: a name is missing after the last ':'"
    return None


def _parts(text: str) -> tuple[str, ...]:
    """A kind, a record set where the kind has one, and a name, which may have any sign in it."""
    kind = text.partition(":")[0]
    return tuple(text.split(":", 2 if kind in _OF_ROWS else 1))
