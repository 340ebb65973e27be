"""Splits by chance."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import Diagnostic, Severity, Span, listing
from croissant_recipes.language import matching
from croissant_recipes.language.recipe import RandomSplit


@dataclass(frozen=True)
class Drawn:
    """The runs that were drawn, each with its split, and what there is to say."""

    of_runs: Mapping[str, str]
    diagnostics: tuple[Diagnostic, ...]


def draw(random: RandomSplit, splits: Mapping[str, str], span: Span) -> Drawn:
    """Draw a split for every run that has none.

    Args:
        random: How.
        splits: The split of every run that may be drawn or counts, ``""`` for none.
        span: Where the recipe asks for it.

    Raises:
        DiagnosticError: ``PATTERN_TIME``.
    """
    groups = _groups(list(splits), random.group, span)
    undecided = [name for name, split in splits.items() if not split]
    by_group = {g: _by_hash(g, random.seed, random.shares) for g in {groups[name] for name in undecided}}
    drawn = {name: by_group[groups[name]] for name in undecided}
    found = _torn(groups, {**splits, **drawn}, span) if random.group is not None else []
    return Drawn(drawn, tuple(found))


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
