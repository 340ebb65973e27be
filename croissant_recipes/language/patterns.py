"""Regular expressions of recipes in bounded time and memory, with the meaning that they have for Python's ``re``.

copick matches with ``re``, which may try as many ways through ``(a+)+$`` as there are subsets of the text. Here
Python's own parser reads an expression, so that its syntax is that of ``re``, and what the parser found is written for
RE2, whose time is linear in the text. What stands for one character is written as the set of those characters of the
texts that ``re`` itself matches with it. So neither Unicode classes nor case can mean something else.

RE2 has no look-around, no back-references and no possessive repeats, and takes ``$`` and ``\\b`` for something else in
some texts. There the ``regex`` package matches, and gives up after ``SECONDS``. It differs from ``re`` in corners only:
``[A-Z]`` without case is no ``İ`` to it, and some repeats of what may be empty end elsewhere.
"""

from __future__ import annotations

import re
import re._compiler as re_compiler  # type: ignore[import-not-found] # no stubs: CPython's own parser and compiler
import re._constants as ops  # type: ignore[import-not-found]
import re._parser as re_parser  # type: ignore[import-not-found]
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

SECONDS = 1.0
"""How long the texts of one column may take with one expression that RE2 cannot express."""

LARGEST = 100_000
"""How many characters and classes an expression may hold, repeats written out."""

_DEEPEST = 100
_LARGEST_REPEAT = 1000
_ONE_CHARACTER = frozenset({ops.LITERAL, ops.NOT_LITERAL, ops.ANY, ops.IN})
_REPEATS = {ops.MAX_REPEAT: "", ops.MIN_REPEAT: "?"}
_ASCII = frozenset(map(chr, range(128)))
_ASCII_LINE = _ASCII - {"\n"}
_PLAIN = frozenset(c for c in _ASCII if c.isalnum() or c == "_")
_NO_CHARACTER = r"[^\x{0}-\x{10FFFF}]"


class TooSlowError(Exception):
    """An expression took longer than it may."""


class _NotExpressibleError(Exception):
    """RE2 has nothing that means the same in the given texts."""


@dataclass(frozen=True)
class Expression:
    """An expression that compiles. Made by ``compiled``.

    Attributes:
        text: As written, without ``re:``.
    """

    text: str

    def matches(self, texts: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Which of the texts match from their start.

        Raises:
            TooSlowError: It takes more than ``SECONDS``.
        """
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        try:
            expression, _ = _for_re2(self.text, _alphabet(texts))
            found = pc.match_substring_regex(pa.array(texts, pa.large_string()), expression)
        except (_NotExpressibleError, pa.ArrowInvalid):
            return np.fromiter((m is not None for m in self._one_by_one(texts)), np.bool_, len(texts))
        matched: npt.NDArray[np.bool_] = found.to_numpy(zero_copy_only=False)
        for i in [i for i, text in enumerate(texts) if not text] if "" in texts else ():
            matched[i] = self._of_nothing is not None
        return matched

    def groups(self, texts: Sequence[str]) -> list[str | None]:
        """Of each text what the first group matched or, where there is none or it matched nothing, the whole
        expression; ``None`` where that does not match from the start of the text.

        Raises:
            TooSlowError: It takes more than ``SECONDS``.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        name = "first" if _parsed(self.text).state.groups > 1 else "whole"
        try:
            expression, unclear = _for_re2(self.text, _alphabet(texts), grouping=True)
            rows = pc.extract_regex(pa.array(texts, pa.large_string()), expression).to_pylist()
        except (_NotExpressibleError, pa.ArrowInvalid):
            return list(self._groups_one_by_one(texts))
        found = [row and row[name] for row in rows]
        again = [i for i, group in enumerate(found) if not texts[i] or (unclear and group == "")]
        for i, group in zip(again, self._groups_one_by_one([texts[i] for i in again]), strict=True):
            found[i] = group
        return found

    def _groups_one_by_one(self, texts: Sequence[str]) -> Iterator[str | None]:
        for match in self._one_by_one(texts):
            yield match and (match.group(1) if match.re.groups and match.group(1) is not None else match.group())

    @property
    def _of_nothing(self) -> re.Match[str] | None:
        """What ``re`` makes of the empty text, which takes no time. On ``\\B`` in it no two engines agree."""
        match: re.Match[str] | None = re_compiler.compile(_parsed(self.text)).match("")
        return match

    def _one_by_one(self, texts: Sequence[str]) -> Iterator[Any]:
        import regex

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            match = regex.compile(self.text, regex.VERSION0).match
        end = time.monotonic() + SECONDS
        for text in texts:
            if not text:
                yield self._of_nothing
                continue
            try:
                yield match(text, timeout=max(end - time.monotonic(), 1e-3))
            except TimeoutError:
                raise TooSlowError from None


def compiled(text: str) -> Expression:
    """An expression that ``re`` takes.

    Raises:
        re.error: ``re`` refuses it.
        OverflowError, RecursionError: It is too large, or nested too deeply.
    """
    _parsed(text)
    return Expression(text)


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Any:
    """As Python's parser reads it. The compiler, which writes no repeat out, refuses some of what the parser takes."""
    # Without Python's remarks on the syntax, which would reach the user's terminal.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parsed = re_parser.parse(text)
        if _weight(parsed, 0) > LARGEST:
            raise OverflowError
        re_compiler.compile(parsed)
    return parsed


def _weight(pattern: Any, depth: int) -> int:
    """How many characters and classes it holds, repeats written out."""
    if depth > _DEEPEST:
        raise RecursionError
    total = 0
    for op, argument in pattern:
        times = 1
        if op in _REPEATS or op is ops.POSSESSIVE_REPEAT:
            low, high, _ = argument
            times = max(1, low + 1 if high is ops.MAXREPEAT else high)
        total += max(1, sum(_weight(inner, depth + 1) for inner in _inner(argument))) * times
        if total > LARGEST:
            break
    return total


def _inner(argument: Any) -> Iterator[Any]:
    """The expressions that an operation is over."""
    if isinstance(argument, re_parser.SubPattern):
        yield argument
    elif isinstance(argument, tuple | list):
        for part in argument:
            yield from _inner(part)


def _alphabet(texts: Sequence[str]) -> frozenset[str]:
    """The characters of some texts. All of ASCII counts, so that most columns have the same; but no line break does
    where there is none, as it makes ``$`` another thing."""
    everything = "".join(texts)
    if everything.isascii():
        return _ASCII if "\n" in everything else _ASCII_LINE
    return frozenset(everything) | _ASCII_LINE


@lru_cache(maxsize=4096)
def _for_re2(text: str, alphabet: frozenset[str], *, grouping: bool = False) -> tuple[str, bool]:
    """An expression for RE2 that means in texts of an alphabet what ``re`` takes ``text`` to mean.

    Returns:
        It, and whether a first group that matched nothing may be one that was not there: RE2 does not tell them apart.

    Raises:
        _NotExpressibleError: There is none.
    """
    parsed = _parsed(text)
    writer = _Writer(parsed.state, alphabet, grouping)
    body = writer.written(parsed, (), always=True)
    return rf"\A(?{'P<whole>' if grouping else ':'}{body})", writer.unclear


_Flags = tuple[tuple[int, int], ...]
"""What the groups around an operation add to the flags and take from them, from outside."""


class _Writer:
    def __init__(self, state: Any, alphabet: frozenset[str], grouping: bool) -> None:
        self._state = state
        self._alphabet = sorted(alphabet)
        self._grouping = grouping
        self._has_breaks = "\n" in alphabet
        self._has_words = any(c.isalnum() for c in alphabet - _ASCII)
        self._sets: dict[str, str] = {}
        self.unclear = False

    def written(self, pattern: Any, flags: _Flags, *, always: bool) -> str:
        """An expression for RE2. ``always`` says whether every match goes through it."""
        return "".join(self._operation(op, argument, flags, always) for op, argument in pattern)

    def _operation(self, op: Any, argument: Any, flags: _Flags, always: bool) -> str:
        if op in _ONE_CHARACTER:
            return self._character(op, argument, flags)
        if op in _REPEATS:
            return self._repeat(op, argument, flags, always)
        if op is ops.BRANCH:
            return f"(?:{'|'.join(self.written(choice, flags, always=False) for choice in argument[1])})"
        if op is ops.SUBPATTERN:
            number, added, removed, pattern = argument
            inner = self.written(pattern, (*flags, (added, removed)), always=always)
            if self._grouping and number == 1:
                self.unclear = not always
                return f"(?P<first>{inner})"
            return f"(?:{inner})"
        if op is ops.AT:
            return self._place(argument)
        raise _NotExpressibleError

    def _place(self, place: Any) -> str:
        if place is ops.AT_END_STRING or (place is ops.AT_END and not self._has_breaks):
            return r"\z"
        if place is ops.AT_BEGINNING_STRING or (place is ops.AT_BEGINNING and not self._has_breaks):
            return r"\A"
        if place in (ops.AT_BOUNDARY, ops.AT_NON_BOUNDARY) and not self._has_words:
            return r"\b" if place is ops.AT_BOUNDARY else r"\B"
        raise _NotExpressibleError

    def _repeat(self, op: Any, argument: Any, flags: _Flags, always: bool) -> str:
        low, high, pattern = argument
        if self._grouping and pattern.getwidth()[0] == 0:
            # Which of the empty turns a group in it keeps is for each engine to say.
            raise _NotExpressibleError
        last = "" if high is ops.MAXREPEAT else high
        if max(low, 0 if high is ops.MAXREPEAT else high) > _LARGEST_REPEAT:
            raise _NotExpressibleError
        inner = self.written(pattern, flags, always=always and low > 0)
        return f"(?:{inner}){{{low},{last}}}{_REPEATS[op]}"

    def _character(self, op: Any, argument: Any, flags: _Flags) -> str:
        ignores_case = any(f & re.IGNORECASE for f in (self._state.flags, *(added for added, _ in flags)))
        if op is ops.LITERAL and not ignores_case:
            return _escaped(chr(argument))
        key = f"{op} {argument} {flags}"
        if key not in self._sets:
            matches = self._python((op, argument), flags)
            self._sets[key] = _set([c for c in self._alphabet if matches(c)])
        return self._sets[key]

    def _python(self, operation: Any, flags: _Flags) -> Callable[[str], object]:
        """What ``re`` makes of one operation among its flags."""
        pattern = re_parser.SubPattern(self._state, [operation])
        for added, removed in reversed(flags):
            group = (ops.SUBPATTERN, (None, added, removed, pattern))
            pattern = re_parser.SubPattern(self._state, [group])
        found: Callable[[str], object] = re_compiler.compile(pattern).fullmatch
        return found


def _set(characters: Sequence[str]) -> str:
    if not characters:
        return _NO_CHARACTER
    ranges: list[list[int]] = []
    for code in map(ord, characters):
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "[" + "".join(rf"\x{{{first:x}}}-\x{{{last:x}}}" for first, last in ranges) + "]"


def _escaped(character: str) -> str:
    return character if character in _PLAIN else rf"\x{{{ord(character):x}}}"
