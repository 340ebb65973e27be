"""Which run is in which split."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from croissant_recipes import tables
from croissant_recipes.codes import Code
from croissant_recipes.compiler.layers import LayerRows
from croissant_recipes.diagnostics import Diagnostic, Severity, Span, did_you_mean, list_instead, listing
from croissant_recipes.language import matching
from croissant_recipes.language.checked import CheckedRecipe, PlacedSelector, SplitRule
from croissant_recipes.language.recipe import RandomSplit


@dataclass(frozen=True)
class _Claim:
    split: str
    span: Span | None


def assign(
    checked: CheckedRecipe, runs: pd.DataFrame, layers: Sequence[LayerRows]
) -> tuple[dict[str, str], list[Diagnostic]]:
    """The split of every run, ``""`` for none.

    Args:
        checked: The recipe.
        runs: The final runs; splits that they already have (from a base, from a source) are kept unless the recipe
            says otherwise or clears them all.
        layers: What each layer of the recipe contributes, for the layers' own ``split`` and for hints.
    """
    inherited = runs["split"] if not checked.recipe.splits.clear else [""] * len(runs)
    book = _Book(dict(zip(runs["name"], inherited, strict=True)), layers)
    for layer in layers:
        book.claim_rules(layer.spec.splits, _names(set(layer.tables["runs"]["name"])), f"{layer.spec.label} has")
    everything = runs[["name"]]
    book.claim_rules(checked.assign, everything, "there is")
    for row in checked.split_rows:
        book.claim(row.run, row.split, row.span)
    splits = book.settled()
    if checked.recipe.splits.random is not None:
        book.draw(splits, checked.recipe.splits.random, checked.document.key_span("splits", "random"))
    for pattern in checked.unassign:
        for name in book.matching(pattern, everything, "there is"):
            splits[name] = ""
    return splits, book.found


def _names(runs: Iterable[str]) -> pd.DataFrame:
    return tables.make({"name": sorted(runs)}, ("name",))


class _Book:
    def __init__(self, kept: dict[str, str], layers: Sequence[LayerRows]) -> None:
        self.kept = kept
        self.layers = layers
        self.claims: dict[str, _Claim] = {}
        self.found: list[Diagnostic] = []

    def claim_rules(self, rules: Sequence[SplitRule], runs: pd.DataFrame, where: str) -> None:
        for rule in rules:
            for name in self.matching(rule.pattern, runs, where):
                self._claim(name, rule.split, rule.pattern.span)

    def claim(self, name: str, split: str, span: Span) -> None:
        if name in self.kept:
            self._claim(name, split, span)
        else:
            self._unknown(name, span, "there is", self.kept, lambda names: name in names)

    def matching(self, pattern: PlacedSelector, runs: pd.DataFrame, where: str) -> list[str]:
        names = list(runs["name"][matching.match(pattern.selector, runs)])
        if not names:

            def matches(others: Collection[str]) -> bool:
                return bool(matching.match(pattern.selector, _names(others)).any())

            self._unknown(pattern.text, pattern.span, where, runs["name"].tolist(), matches)
        return names

    def _unknown(
        self, text: str, span: Span, where: str, runs: Collection[str], matches: Callable[[Collection[str]], bool]
    ) -> None:
        left_out = [
            (layer, source) for layer in self.layers for source, runs in layer.other_runs.items() if matches(runs)
        ]
        amiss = [layer for layer in self.layers if layer.runs_amiss]
        if any(layer.spec.run_name or any(layer is other for other, _ in left_out) for layer in amiss):
            # The layer's own `runs` are to blame, and those are reported.
            return
        hint = list_instead(text, runs.__contains__) or did_you_mean(text, runs)
        if left_out:
            layer, source = left_out[0]
            hint = f"source {source!r} has it, but {layer.spec.label} does not take it"
        self.found.append(Diagnostic(Code.SPLIT_RUN, f"{where} no run {text!r}", span=span, hint=hint))

    def _claim(self, name: str, split: str, span: Span) -> None:
        earlier = self.claims.setdefault(name, _Claim(split, span))
        if earlier.split != split:
            self.found.append(
                Diagnostic(
                    Code.SPLIT_CONFLICT,
                    f"run {name!r} is in the splits {earlier.split!r} and {split!r}",
                    span=span,
                    hint=f"a run has one split; the other is at {earlier.span}",
                )
            )

    def settled(self) -> dict[str, str]:
        return {name: self.claims[name].split if name in self.claims else kept for name, kept in self.kept.items()}

    def draw(self, splits: dict[str, str], random: RandomSplit, span: Span) -> None:
        """Assign what is left by hash. Runs of a group that are assigned otherwise are pointed out: they leak."""
        groups = _groups(list(splits), random.group, span)
        drawn = {group: _drawn(group, random.seed, random.ratios) for group in set(groups.values())}
        parted: dict[str, set[str]] = {}
        for name, group in groups.items():
            if not splits[name]:
                splits[name] = drawn[group]
            parted.setdefault(group, set()).add(splits[name])
        torn = sorted(g for g, names in parted.items() if len(names) > 1)
        if torn and random.group is not None:
            message = f"runs of a group are in more than one split: {listing(torn, 3)}"
            hint = "assign all runs of a group, or none"
            self.found.append(Diagnostic(Code.SPLIT_CONFLICT, message, Severity.WARNING, hint, span))


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


def _drawn(group: str, seed: int, ratios: Mapping[str, float]) -> str:
    """A split by hash of seed and group: neither other runs nor the order of the ratios can move it."""
    digest = hashlib.sha256(f"{seed}\0{group}".encode()).digest()
    point = int.from_bytes(digest[:8], "big") / 2**64 * math.fsum(ratios.values())
    names = sorted(n for n in ratios if ratios[n] > 0)
    for name in names:
        point -= ratios[name]
        if point < 0:
            return name
    return names[-1]


def names_in_order(splits: Mapping[str, str]) -> tuple[str, ...]:
    """The distinct split names, sorted."""
    return tuple(sorted({s for s in splits.values() if s}))
