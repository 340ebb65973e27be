"""Which run is in which split: what the recipe says of runs, and what is left to chance (``drawing``)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from croissant_recipes import tables
from croissant_recipes.codes import Code
from croissant_recipes.compiler import drawing
from croissant_recipes.compiler.layers import LayerRows
from croissant_recipes.diagnostics import Diagnostic, Span, did_you_mean, list_instead
from croissant_recipes.language import matching
from croissant_recipes.language.checked import CheckedRecipe, RunChoice, RunCondition, SplitRule
from croissant_recipes.language.selectors import Selector
from croissant_recipes.schema import ARTIFACTS


@dataclass(frozen=True)
class Assigned:
    """What became of every run.

    Attributes:
        of_runs: The split of each, ``""`` for none.
        drawn: Those that were drawn.
        diagnostics: What is wrong.
        places: Where the recipe says so, of those that it says it of.
    """

    of_runs: Mapping[str, str]
    drawn: frozenset[str]
    diagnostics: tuple[Diagnostic, ...]
    places: Mapping[str, Span] = field(default_factory=dict)


def assign(checked: CheckedRecipe, artifacts: Mapping[str, pd.DataFrame], layers: Sequence[LayerRows]) -> Assigned:
    """The split of every run.

    Args:
        checked: The recipe.
        artifacts: The final artifact tables; splits that runs already have (from a base, from a source) are kept unless
            the recipe says otherwise or clears them all.
        layers: What each layer of the recipe contributes: what is known of runs besides, and for hints.
    """
    runs, asked = artifacts["runs"], checked.recipe.splits
    inherited = runs["split"] if not asked.clear else [""] * len(runs)
    book = _Book(dict(zip(runs["name"], inherited, strict=True)), layers)
    for layer in layers:
        if layer.spec.splits:
            searched = _Searched.of([layer.tables["runs"]], [layer], f"{layer.spec.label} has")
            book.claim_rules(layer.spec.splits, searched)
    leaving: dict[str, Span] = {}
    if checked.assign or checked.split_rows or checked.unassign:
        searched = _Searched.of([runs, *(layer.tables["runs"] for layer in layers)], layers, "there is")
        book.claim_rules(checked.assign, searched)
        for row in checked.split_rows:
            book.claim(row.run, row.split, row.span, searched)
        leaving |= {name: choice.span for choice in checked.unassign for name in book.meant(choice, searched)}
    settled = {name: "" if name in leaving else split for name, split in book.settled().items()}
    places = {name: claim.span for name, claim in book.claims.items() if claim.span} | leaving
    if asked.random is None:
        return Assigned(settled, frozenset(), tuple(book.found), places)
    staying = {name: split for name, split in settled.items() if name not in leaving}
    rows = _rows_of_objects(artifacts, asked.random.stratify) if asked.random.stratify else {}
    span = checked.document.key_span("splits", "random")
    drawn = drawing.draw(asked.random, staying, rows, span)
    places |= dict.fromkeys(drawn.of_runs, span)
    return Assigned({**settled, **drawn.of_runs}, frozenset(drawn.of_runs), (*book.found, *drawn.diagnostics), places)


def _rows_of_objects(artifacts: Mapping[str, pd.DataFrame], artifact: str) -> dict[str, dict[str, int]]:
    """How many rows each run has of each object."""
    column = ARTIFACTS[artifact].object_column
    assert column is not None
    found: dict[str, dict[str, int]] = {}
    counted = artifacts[artifact][["run", column]].value_counts()
    for run, name, rows in counted.reset_index().itertuples(index=False, name=None):
        found.setdefault(run, {})[name] = int(rows)
    return found


@dataclass(frozen=True)
class _Claim:
    split: str
    span: Span | None


@dataclass(frozen=True)
class _Searched:
    """Runs that rules are about.

    Attributes:
        names: What the output calls them.
        answers: Everything that they answer to, as ``name``, beside the output's name of the ``run``: a run of the
            portal answers to its id and its name there too, whatever ``run_name`` makes of it.
        runs_of: The runs of each answer.
        layers: What brings them.
        there: How messages begin that nothing was found.
    """

    names: frozenset[str]
    answers: pd.DataFrame
    runs_of: Mapping[str, Sequence[str]]
    layers: Sequence[LayerRows]
    there: str

    @classmethod
    def of(cls, found: Iterable[pd.DataFrame], layers: Sequence[LayerRows], there: str) -> _Searched:
        pairs: dict[tuple[str, str], None] = {}
        for table in found:
            for column in ("name", "portal_run_id", "run_alias"):
                if column in table:
                    pairs.update(dict.fromkeys(zip(table[column], table["name"], strict=True)))
        # Of several sources of a layer, one may have no second names.
        ordered = sorted(pair for pair in pairs if isinstance(pair[0], str) and pair[0])
        runs_of: dict[str, list[str]] = {}
        for answer, run in ordered:
            runs_of.setdefault(answer, []).append(run)
        columns = {"name": [answer for answer, _ in ordered], "run": [run for _, run in ordered]}
        names = frozenset(run for _, run in ordered)
        return cls(names, tables.make(columns, ("name", "run")), runs_of, layers, there)

    def named(self, text: str) -> Sequence[str]:
        """The runs that a name means. What the output calls a run means no other one, whatever the portal calls it."""
        return (text,) if text in self.names else self.runs_of.get(text, ())

    def matching(self, selector: Selector) -> Sequence[str]:
        if all(pattern.is_exact for _, pattern in selector.parts) and selector.parts:
            return self.named(selector.text)
        return sorted(set(self.answers["run"][matching.match(selector, self.answers)]))

    def meeting(self, condition: RunCondition) -> Sequence[str]:
        found: set[str] = set()
        for runs in self.brought_by(condition.source):
            mask = np.ones(len(runs), dtype=np.bool_)
            for key, value in condition.where.items():
                mask &= _values(runs, key) == value
            found.update(runs["name"][mask])
        return sorted(found)

    def brought_by(self, source: str | None) -> list[pd.DataFrame]:
        """The runs that layers take from a source, or from any: by layer, with what the source knows of them."""
        found = []
        for layer in self.layers:
            runs = layer.tables["runs"]
            if source is None:
                found.append(runs)
            elif source in layer.spec.sources:
                found.append(runs[runs["source"] == layer.spec.sources.index(source)])
        return found


def _values(runs: pd.DataFrame, field_name: str) -> np.ndarray[tuple[int], np.dtype[np.object_]]:
    """A field of the portal's Run, ``None`` or NaN where a run is not of the portal."""
    column = f"run.{field_name}"
    return runs[column].to_numpy(dtype=object) if column in runs else np.full(len(runs), None, dtype=object)


@dataclass
class _Book:
    """Who claims which run.

    Attributes:
        kept: The splits that runs bring along.
        layers: All layers, for hints.
        claims: What the recipe says.
        found: What is wrong.
    """

    kept: Mapping[str, str]
    layers: Sequence[LayerRows]
    claims: dict[str, _Claim] = field(default_factory=dict)
    found: list[Diagnostic] = field(default_factory=list)

    def claim_rules(self, rules: Sequence[SplitRule], searched: _Searched) -> None:
        for rule in rules:
            for name in self.meant(rule.runs, searched):
                self._claim(name, rule.split, rule.runs.span)

    def claim(self, text: str, split: str, span: Span, searched: _Searched) -> None:
        """Claim the runs of a name that stands in a file."""
        for name in searched.named(text):
            self._claim(name, split, span)
        if not searched.named(text):
            self._unknown(text, span, searched, lambda names: text in names)

    def meant(self, choice: RunChoice, searched: _Searched) -> Sequence[str]:
        if isinstance(choice, RunCondition):
            names = searched.meeting(choice)
            if not names:
                self._nothing_meets(choice, searched)
            return names
        selector = choice.selector
        names = searched.matching(selector)
        if not names:

            def matches(others: Collection[str]) -> bool:
                return bool(matching.match(selector, tables.make({"name": sorted(others)}, ("name",))).any())

            self._unknown(choice.text, choice.span, searched, matches)
        return names

    def _unknown(self, text: str, span: Span, searched: _Searched, matches: Callable[[Collection[str]], bool]) -> None:
        left_out = [
            (layer, source) for layer in self.layers for source, runs in layer.other_runs.items() if matches(runs)
        ]
        amiss = [layer for layer in self.layers if layer.runs_amiss]
        if any(layer.spec.run_name or any(layer is other for other, _ in left_out) for layer in amiss):
            # The layer's own `runs` are to blame, and those are reported.
            return
        hint = list_instead(text, searched.runs_of.__contains__) or did_you_mean(text, searched.runs_of)
        if left_out:
            layer, source = left_out[0]
            hint = f"source {source!r} has it, but {layer.spec.label} does not take it"
        self.found.append(Diagnostic(Code.SPLIT_RUN, f"{searched.there} no run {text!r}", span=span, hint=hint))

    def _nothing_meets(self, condition: RunCondition, searched: _Searched) -> None:
        if any(layer.runs_amiss and condition.source in (None, *layer.spec.sources) for layer in searched.layers):
            return
        span, hint = condition.span, None
        brought = searched.brought_by(condition.source)
        for key, value in condition.where.items():
            known = {v for runs in brought for v in _values(runs, key) if v is not None and v == v}
            if value not in known:
                there = did_you_mean(str(value), map(str, known), what=f"{key} is")
                span, hint = condition.where_spans[key], there or "none of its runs is of the portal"
                break
        else:
            hint = "each of it holds for some run, and all of it for none" if condition.where else None
        message = f"{searched.there} no run {condition.text}"
        self.found.append(Diagnostic(Code.SPLIT_RUN, message, span=span, hint=hint or "the layers take no run of it"))

    def _claim(self, name: str, split: str, span: Span | None) -> None:
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


def names_in_order(splits: Mapping[str, str]) -> tuple[str, ...]:
    """The distinct split names, sorted."""
    return tuple(sorted({s for s in splits.values() if s}))
