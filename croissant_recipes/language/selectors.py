"""Selectors: texts that name artifacts, read with the grammar in ``grammars/copick_uri.lark``.

A selector of picks, meshes, segmentations, tomograms or features is a copick URI and means what copick takes it to
mean, odd corners included. A selector of runs or objects is one name or pattern.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast
from urllib.parse import unquote_plus

from croissant_recipes.diagnostics import Span, did_you_mean
from croissant_recipes.language import patterns
from croissant_recipes.schema import ARTIFACTS, SEGMENTATION_TYPES

if TYPE_CHECKING:
    from lark import Lark, Token, Tree

FORMS = {name: described.selector_form for name, described in ARTIFACTS.items() if described.selector_form}
"""The form of a URI of each kind, as messages show it."""

_START_RULES = {kind: next(other for other in FORMS if FORMS[other] == form) for kind, form in FORMS.items()}

# copick filters these kinds by equality instead of by pattern once every part is given and none is a pattern.
_COMPARED_WHEN_EXACT = {
    kind: {*described.selected_by} - {"segmentation_type"}
    for kind, described in ARTIFACTS.items()
    if "user_id" in described.selected_by
}

_TYPE_FLAGS = tuple(t for t in SEGMENTATION_TYPES if t != "binary")
_TRUE = ("true", "1", "yes")
_FALSE = ("false", "0", "no")


@dataclass(frozen=True)
class Pattern:
    """What one part of a selector asks of one column.

    Attributes:
        text: A glob, or a regular expression without its ``re:``. The empty text stands for the empty value.
        regex: Whether ``text`` is a regular expression, matched from the start of the value.
        start: Where ``text`` begins in the selector.
        end: Where it ends, exclusive.
        span: Where it stands in the recipe, for what is found when it is matched.
    """

    text: str
    regex: bool
    start: int
    end: int
    span: Span | None = field(default=None, compare=False)

    @property
    def is_any(self) -> bool:
        """Whether every value matches; ``*`` does so in regular expressions too."""
        return self.text == "*"

    @property
    def is_exact(self) -> bool:
        """Whether it is one plain value and no pattern."""
        return not self.text or not (self.regex or any(c in self.text for c in "*?["))


class Remark(NamedTuple):
    """Something odd about a selector that is accepted. The offsets point into its text."""

    message: str
    hint: str | None
    start: int
    end: int


@dataclass(frozen=True)
class Selector:
    """A selector, read.

    Attributes:
        kind: The artifact type it selects from.
        text: The selector as written.
        parts: Column of the artifact table and pattern, for each part that restricts anything.
        types: For segmentations, the types selected; ``None`` for other kinds.
        ignored: Keys of the query that mean nothing.
        warnings: What a user would want to know about it.
    """

    kind: str
    text: str
    parts: tuple[tuple[str, Pattern], ...]
    types: frozenset[str] | None = None
    ignored: tuple[str, ...] = ()
    warnings: tuple[Remark, ...] = ()


class SelectorError(ValueError):
    """A text that is no selector. ``start`` and ``end`` are offsets into the text."""

    def __init__(self, message: str, hint: str | None, start: int, end: int) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.start = start
        self.end = end


def parse(kind: str, text: str) -> Selector:
    """Read a selector of an artifact type (one of ``ARTIFACT_TYPES``).

    Raises:
        SelectorError: If copick refuses the URI, a regular expression does not compile, the query has a key that means
            nothing, or the name of a run or object is empty.
    """
    return _parse_uri(kind, text) if kind in FORMS else _parse_name(kind, text)


def as_number(text: str) -> float | None:
    """The voxel size (Å) that a text reads as, ``None`` if it is no number."""
    try:
        return float(text)
    except ValueError:
        return None


@cache
def _parser() -> Lark:
    # Both take longer to import than most recipes take to check, and not every command reads a selector.
    from importlib import resources

    from lark import Lark

    name = "copick_uri.lark"
    grammar = resources.files("croissant_recipes") / "grammars" / name
    if not grammar.is_file():
        # A source checkout keeps the grammars beside the package; the wheel maps them into it.
        grammar = Path(__file__).parents[2] / "grammars" / name
    return Lark(
        grammar.read_text(encoding="utf-8"),
        parser="lalr",
        lexer="contextual",
        start=sorted(set(_START_RULES.values())),
        maybe_placeholders=False,
    )


def name_pattern(kind: str, text: str) -> Pattern:
    """Read a text that is one name or pattern.

    Args:
        kind: What it is a name of, in the plural.

    Raises:
        SelectorError: It is empty, or a regular expression does not compile.
    """
    # No copick URI, so nothing is stripped: a run may be called " 5".
    regex = text.startswith("re:")
    start, end = 3 * regex, len(text)
    pattern = Pattern(text[start:], regex, start, end)
    if not pattern.text.strip():
        raise SelectorError(f"a name or pattern of {kind} is missing", "'*' stands for all of them", 0, end)
    _check_regex(pattern, separated=False)
    return pattern


def _parse_name(kind: str, text: str) -> Selector:
    pattern = name_pattern(kind, text)
    return Selector(kind, text, () if pattern.is_any else (("name", pattern),))


def _parse_uri(kind: str, text: str) -> Selector:
    shift = len(text) - len(text.lstrip())
    tree = _tree(kind, text, shift)
    regex = getattr(tree.children[0], "type", None) == "REGEX"
    *part_trees, query_tree = cast("list[Tree[Token]]", tree.children[1:] if regex else tree.children)
    parts = dict(_parts(part_trees, regex, shift))
    for pattern in parts.values():
        _check_regex(pattern, separated=bool(query_tree.children) or len(parts) > 1)
    query = _query(query_tree, shift)
    types = _types(query, text) if kind == "segmentations" else None
    _check_query(kind, query)
    remarks = list(_query_remarks(kind, query, regex))
    exact = parts.keys() == _COMPARED_WHEN_EXACT.get(kind) and all(p.is_exact for p in parts.values())
    remarks += _part_remarks(kind, parts, exact)
    if text.strip() in ("", "re:"):
        remarks.append(Remark(f"an empty selector selects all {kind}", "write '*' or all", 0, len(text)))
    return Selector(
        kind,
        text,
        tuple(_restricting(parts, exact)),
        types,
        tuple(dict.fromkeys(p.key for p in query.pairs if not _counts(kind, p))),
        tuple(sorted(remarks, key=lambda r: (r.start, r.end))),
    )


def _tree(kind: str, text: str, shift: int) -> Tree[Token]:
    parser = _parser()
    from lark.exceptions import UnexpectedInput

    try:
        return parser.parse(text.strip(), start=_START_RULES[kind])
    except UnexpectedInput as e:
        # Nothing but a second ':' lacks a meaning.
        at = shift + cast(int, e.pos_in_stream)
        message = f"a selector of {kind} has one ':', and this is a second"
        raise SelectorError(message, _form_hint(kind, text, at), at, at + 1) from None


def _form_hint(kind: str, text: str, at: int) -> str:
    before, after = text[:at].strip(), text[at + 1 :].strip()
    form = f"the form is {FORMS[kind]}"
    if "/" in before.rpartition(":")[2] or ":" in after or "/" in after:
        return form
    return f"{form}; did you mean {before + '/' + after!r}?"


def _parts(trees: list[Tree[Token]], regex: bool, shift: int) -> Iterator[tuple[str, Pattern]]:
    place = shift + 3 * regex
    for tree in trees:
        text = ""
        for token in cast("list[Token]", tree.children):
            if token.type.startswith("UNTIL"):
                text = str(token)
            else:
                place = _place(token, shift) + len(token)
        yield str(tree.data), Pattern(text, regex, place, place + len(text))


def _place(token: Token, shift: int) -> int:
    return shift + cast(int, token.start_pos)


def _check_regex(pattern: Pattern, *, separated: bool) -> None:
    if not pattern.regex or pattern.is_any:
        return
    try:
        patterns.compiled(pattern.text)
    except re.error as e:
        # Python may point behind the last character, where there is nothing to mark.
        at, reason = min(e.pos or 0, len(pattern.text) - 1), e.msg
    except (OverflowError, RecursionError):
        at, reason = 0, "too large"
    else:
        return
    if pattern.text.startswith("*"):
        hint = "in a regular expression '*' repeats what stands before it; any text is '.*'"
    elif separated:
        hint = "':', '/', '@' and '?' separate the parts in a regular expression too; '{0,1}' can replace '?'"
    else:
        hint = "without the leading 're:' it is a glob"
    message = f"regular expression {pattern.text!r} does not compile: {reason}"
    raise SelectorError(message, hint, pattern.start + at, pattern.end)


def _restricting(parts: dict[str, Pattern], exact: bool) -> Iterator[tuple[str, Pattern]]:
    """The parts that leave anything out.

    An empty part stands for everything, except where copick compares by equality: there it is the empty name. A voxel
    size that copick cannot compare by equality is dropped there.
    """
    for column, pattern in parts.items():
        if pattern.is_any:
            continue
        if exact and column == "voxel_size":
            if as_number(pattern.text) is not None:
                yield column, pattern
        elif pattern.text:
            yield column, pattern
        elif exact:
            yield column, replace(pattern, regex=False)


def _part_remarks(kind: str, parts: dict[str, Pattern], exact: bool) -> Iterator[Remark]:
    for column, pattern in parts.items():
        start, end = pattern.start, pattern.end
        if column == "voxel_size":
            if pattern.text and not pattern.regex and pattern.is_exact and as_number(pattern.text) is None:
                effect = "every voxel size is selected" if exact else "nothing is selected"
                message = f"voxel size {pattern.text!r} is neither a number nor a pattern, so {effect}"
                yield Remark(message, _voxel_hint(kind, pattern.text), start, end)
        elif exact and not pattern.text:
            message = f"with every part given and none a pattern, the empty {column} selects only an empty {column}"
            yield Remark(message, "write '*' for any", start, end)


def _voxel_hint(kind: str, text: str) -> str:
    number = re.match(r"\s*([0-9]+(?:\.[0-9]*)?)\s*(?:Å|A|[Aa]ngstroms?)\s*$", text)
    if number:
        return f"voxel sizes are in Å and take no unit: {number[1]}"
    if ":" in text or "/" in text or "@" in text:
        return f"the form is {FORMS[kind]}"
    return "write a number in Å such as 10.0, or a pattern such as 10.*"


class _Pair(NamedTuple):
    """``key=value`` of a query, decoded. Without a value it counts for nothing."""

    key: str
    value: str | None
    has_sign: bool
    text: str
    start: int
    end: int


class _Query(NamedTuple):
    """The query after a ``?`` at ``start``; ``start`` is ``None`` where there is none."""

    pairs: tuple[_Pair, ...]
    start: int | None


def _query(tree: Tree[Token], shift: int) -> _Query:
    if not tree.children:
        return _Query((), None)
    mark = cast("Token", tree.children[0])
    trees = cast("list[Tree[Token]]", tree.children[1::2])
    return _Query(tuple(_pair(t, shift) for t in trees if t.children), _place(mark, shift))


def _pair(tree: Tree[Token], shift: int) -> _Pair:
    tokens = cast("list[Token]", tree.children)
    found = {t.type: str(t) for t in tokens}
    text = "".join(tokens)
    start = _place(tokens[0], shift)
    value = unquote_plus(found["VALUE"]) if "VALUE" in found else None
    return _Pair(unquote_plus(found.get("KEY", "")), value, "EQUALS" in found, text, start, start + len(text))


def _counts(kind: str, pair: _Pair) -> bool:
    return kind == "segmentations" and pair.key in _TYPE_FLAGS and pair.value is not None


def _types(query: _Query, text: str) -> frozenset[str]:
    """The types of segmentation that the flags of a query leave.

    A flag that stands twice is false to copick. Instance and panoptic segmentations are left out unless one of their
    two flags is given at all.
    """
    given: dict[str, list[_Pair]] = {}
    for pair in query.pairs:
        if _counts("segmentations", pair):
            given.setdefault(pair.key, []).append(pair)
    flags = {key: len(pairs) == 1 and str(pairs[0].value).lower() in _TRUE for key, pairs in given.items()}
    true = sorted((key for key in flags if flags[key]), key=lambda key: given[key][0].start)
    if len(true) > 1:
        first, second = given[true[0]][0], given[true[1]][0]
        base = text[: query.start].strip()
        raise SelectorError(
            f"a segmentation cannot be both {first.key} and {second.key}",
            f"list two selectors: '{base}?{first.key}=true' and '{base}?{second.key}=true'",
            second.start,
            second.end,
        )
    if "instance" not in flags and "panoptic" not in flags:
        flags |= {"instance": False, "panoptic": False}
    return frozenset(t for t in SEGMENTATION_TYPES if all((t == key) is flag for key, flag in flags.items()))


def _check_query(kind: str, query: _Query) -> None:
    """Refuse a key that selectors of the kind do not have. copick passes over it, and selects more than was meant."""
    for pair in query.pairs:
        if not pair.has_sign or (kind == "segmentations" and pair.key in _TYPE_FLAGS):
            continue
        if kind == "segmentations":
            hint = did_you_mean(pair.key, _TYPE_FLAGS, what="the keys are")
            raise SelectorError(f"query key {pair.key!r} is unknown", hint, pair.start, pair.end)
        raise SelectorError(f"{kind} take no query ({pair.text!r})", f"the form is {FORMS[kind]}", pair.start, pair.end)


def _query_remarks(kind: str, query: _Query, regex: bool) -> Iterator[Remark]:
    no_wildcard = "write '{0,1}' in place of a '?' that repeats" if regex else "use '*' as the wildcard"
    if query.start is not None and not query.pairs:
        message = "'?' starts a query and is no wildcard; the query is empty"
        yield Remark(message, no_wildcard, query.start, query.start + 1)
    seen: set[str] = set()
    for pair in query.pairs:
        span = (pair.start, pair.end)
        if _counts(kind, pair):
            yield from _flag_remarks(pair, pair.key in seen)
            seen.add(pair.key)
        elif kind == "segmentations" and pair.key in _TYPE_FLAGS:
            yield Remark(f"{pair.text!r} has no value and is ignored", f"write '{pair.key}=true'", *span)
        elif not pair.has_sign:
            message = f"'?' starts a query and is no wildcard; {pair.text!r} after it is ignored"
            yield Remark(message, no_wildcard, *span)


def _flag_remarks(pair: _Pair, again: bool) -> Iterator[Remark]:
    value = str(pair.value)
    if again:
        yield Remark(f"{pair.key!r} is given twice, which copick reads as false", "give it once", pair.start, pair.end)
    if value.lower() not in _TRUE + _FALSE:
        yield Remark(f"{value!r} reads as false", "write 'true' or 'false'", pair.start, pair.end)
