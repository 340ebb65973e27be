"""Splits by chance: by hash, so that no run ever moves another one."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from croissant_recipes.codes import Code
from croissant_recipes.compiler import stratifying
from croissant_recipes.compiler.stratifying import Rows
from croissant_recipes.diagnostics import Diagnostic, Severity, Span, joined, listing
from croissant_recipes.language import matching
from croissant_recipes.language.recipe import RandomSplit

_SHOWN = 10


@dataclass(frozen=True)
class Drawn:
    """The runs that were drawn, each with its split, and what there is to say."""

    of_runs: Mapping[str, str]
    diagnostics: tuple[Diagnostic, ...]


def draw(random: RandomSplit, splits: Mapping[str, str], rows: Mapping[str, Rows], span: Span) -> Drawn:
    """Draw a split for every run that has none.

    Args:
        random: How.
        splits: The split of every run that may be drawn or counts, ``""`` for none.
        rows: How many rows runs have of each object, where the draw is stratified by them.
        span: Where the recipe asks for it.

    Raises:
        DiagnosticError: ``PATTERN_TIME``.
    """
    groups = _groups(list(splits), random.group, span)
    undecided: dict[str, list[str]] = {}
    for name, split in splits.items():
        if not split:
            undecided.setdefault(groups[name], []).append(name)
    if random.stratify is None:
        by_group = {group: _by_hash(group, random.seed, random.shares) for group in undecided}
    else:
        by_group = _stratified(random, groups, undecided, splits, rows)
    drawn = {name: by_group[group] for group, names in undecided.items() for name in names}
    found = [*_short(random, len(by_group), {**splits, **drawn}, rows, span)]
    if random.group is not None:
        found += _torn(groups, {**splits, **drawn}, span)
    return Drawn(drawn, tuple(found))


def _stratified(
    random: RandomSplit,
    groups: Mapping[str, str],
    undecided: Mapping[str, Sequence[str]],
    splits: Mapping[str, str],
    rows: Mapping[str, Rows],
) -> dict[str, str]:
    """The split of every group of which runs are undecided. Where some of its runs have a split, the others follow."""
    settled: dict[str, set[str]] = {}
    for name, split in splits.items():
        if split:
            settled.setdefault(groups[name], set()).add(split)
    followed = {group: next(iter(settled[group])) for group in undecided if len(settled.get(group, ())) == 1}
    there: dict[str, list[Rows]] = {}
    for name, split in splits.items():
        where = split or followed.get(groups[name], "")
        if where in random.shares:
            there.setdefault(where, []).append({**rows.get(name, {}), stratifying.RUNS: 1})
    units = {
        group: stratifying.total({**rows.get(name, {}), stratifying.RUNS: 1} for name in names)
        for group, names in undecided.items()
        if group not in followed
    }
    held = {split: stratifying.total(counts) for split, counts in there.items()}
    return {**followed, **stratifying.stratified(units, random.shares, held, random.seed)}


def _short(
    random: RandomSplit, units: int, splits: Mapping[str, str], rows: Mapping[str, Rows], span: Span
) -> Iterator[Diagnostic]:
    """Splits that no run got into, and a draw that has nothing to go by."""
    if random.stratify is not None and splits and not any(rows.get(name) for name in splits):
        message = f"there are no {random.stratify} to stratify by"
        hint = "take some, or leave `stratify` out; the runs are shared out by their number"
        yield Diagnostic(Code.SPLIT_EMPTY, message, Severity.WARNING, hint, span)
    names = [name for name, share in random.shares.items() if share > 0]
    empty = [name for name in names if name not in set(splits.values())]
    if not empty:
        return
    what = "group" if random.group is not None else "run"
    if units < len(names):
        hint = f"{units} {what}{'s' * (units != 1)} to draw cannot fill {len(names)} splits"
    elif random.stratify is None:
        hint = "it is left to chance: try another seed, or `stratify: picks`, which gives each its share"
    else:
        hint = f"{joined([*empty])} would need a larger share" if random.folds is None else "ask for fewer folds"
    verb = "has" if len(empty) == 1 else "have"
    yield Diagnostic(Code.SPLIT_EMPTY, f"{listing(empty, 5)} {verb} no run", Severity.WARNING, hint, span)


def moved(drawn: Collection[str], before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Drawn runs that are in another split than before, with both, by name. One that was in none moves nowhere.

    Args:
        drawn: The runs that were drawn.
        before, after: The splits of runs, ``""`` for none.
    """
    pairs = ((name, before.get(name, ""), after.get(name, "")) for name in sorted(drawn))
    return {name: (old, new) for name, old, new in pairs if old and new and old != new}


def moves_diagnostic(moves: Mapping[str, tuple[str, str]], place: str, span: Span | None) -> Diagnostic:
    """What to say of drawn runs that are in another split than in the Croissant that is there."""
    notes = [f"~ {name}: {old} -> {new}" for name, (old, new) in list(moves.items())[:_SHOWN]]
    if len(moves) > _SHOWN:
        notes.append(f"~ and {len(moves) - _SHOWN} more")
    runs = "a drawn run is" if len(moves) == 1 else f"{len(moves)} drawn runs are"
    message = f"{runs} in another split than in {place}"
    hint = "models may be tested with what they were trained on; to keep runs where they are, name them in a `file`"
    return Diagnostic(Code.SPLIT_MOVES, message, Severity.WARNING, hint, span, tuple(notes))


def _torn(groups: Mapping[str, str], splits: Mapping[str, str], span: Span) -> list[Diagnostic]:
    """Groups of which runs have other splits than they were drawn into: they leak."""
    parted: dict[str, set[str]] = {}
    for name, group in groups.items():
        parted.setdefault(group, set()).add(splits[name])
    torn = sorted(group for group, names in parted.items() if len(names) > 1)
    if not torn:
        return []
    message = f"runs of a group are in more than one split: {listing(torn, 3)}"
    hint = "assign all runs of a group, or none"
    return [Diagnostic(Code.SPLIT_CONFLICT, message, Severity.WARNING, hint, span)]


def _groups(names: Sequence[str], pattern: str | None, span: Span) -> dict[str, str]:
    """What runs that stay together have in common, by name: the first group of ``re:…``, else the whole match, else the
    name.

    Raises:
        DiagnosticError: ``PATTERN_TIME``.
    """
    if pattern is None:
        return {name: name for name in names}
    found = matching.groups(pattern.removeprefix("re:"), names, span)
    return {name: name if group is None else group for name, group in zip(names, found, strict=True)}


def _by_hash(group: str, seed: int, ratios: Mapping[str, float]) -> str:
    """A split by hash of seed and group: neither other runs nor the order of the ratios can move it."""
    digest = hashlib.sha256(f"{seed}\0{group}".encode()).digest()
    point = int.from_bytes(digest[:8], "big") / 2**64 * math.fsum(ratios.values())
    names = sorted(n for n in ratios if ratios[n] > 0)
    for name in names:
        point -= ratios[name]
        if point < 0:
            return name
    return names[-1]
