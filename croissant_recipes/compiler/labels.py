"""Labels of pickable objects: which number each gets, who gives it, and which of those that are there would move.

Trainers use labels as class numbers: where one moves, all that was trained before is wrong, and nothing says so.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import count
from typing import Any

from croissant_recipes.allowing import LABELS, covers, is_allowed, word
from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import Diagnostic, Severity, Span, as_yaml, joined, listing

ORIGINAL_NAME = "portal_original_name"
"""What ``metadata`` of a renamed object calls its name in the source."""

_SHOWN = 20


class Giver(StrEnum):
    """Who says what label an object has."""

    RECIPE = "recipe"
    BASE = "base"
    SOURCE = "source"
    TOOL = "tool"
    OTHERS = "others"
    """Somebody who changed the Croissant at the output."""


@dataclass(frozen=True)
class Entry:
    """A pickable object that has a label, or is to get one.

    Attributes:
        name: In the result.
        original: In the source: a rename is no reason to move a label.
        given: The label that the giver has for it, ``None`` where nobody gives one.
        giver: Who gives it.
        source: What the source is called, where it is one that gives it.
        used: Whether rows are of it, whatever the result shows of these.
        listed: Whether the result lists it.
    """

    name: str
    original: str
    given: int | None
    giver: Giver
    source: str | None = None
    used: bool = True
    listed: bool = True


@dataclass(frozen=True)
class Labelling:
    """What decides the labels of a result.

    Attributes:
        entries: Its objects, and those that it leaves out for want of rows.
        dense: Whether those that have rows are numbered from 1, but for labels that the recipe gives: the same in every
            result of a recipe.
    """

    entries: tuple[Entry, ...] = ()
    dense: bool = False

    @property
    def listed(self) -> tuple[Entry, ...]:
        """The objects of the result."""
        return tuple(e for e in self.entries if e.listed)

    def numbers(self, said: Mapping[str, int] | None = None) -> dict[str, int]:
        """The label of every listed object: the same in every process.

        Args:
            said: Labels that the recipe might give, beside those that it gives.
        """
        said = said or {}
        entries = self.listed if self.dense else self.entries
        fixed = {e.name: e.given for e in entries if e.given is not None and self._stays(e)}
        fixed |= {e.name: said[e.name] for e in entries if e.name in said}
        found = dict(fixed)
        free = _free(set(fixed.values()))
        for entry in sorted(entries, key=self._order(entries)):
            if entry.name not in found:
                found[entry.name] = next(free)
        return {e.name: found[e.name] for e in self.listed}

    def _stays(self, entry: Entry) -> bool:
        return not self.dense or entry.giver is Giver.RECIPE

    def _order(self, entries: Iterable[Entry]) -> Any:
        """By the source's name, so that no rename moves a label. An object that another layer has under its old name
        comes after all others, so that a layer more or less moves none either. Dense labels go by those that sources
        give first, and objects without rows come last."""
        names = {e.name for e in entries}

        def key(e: Entry) -> tuple[Any, ...]:
            by_name = (e.original != e.name and e.original in names, e.original, e.name)
            return (not e.used, e.given is None, e.given or 0, *by_name) if self.dense else by_name

        return key


def _free(taken: Set[int]) -> Iterator[int]:
    return (n for n in count(1) if n not in taken)


def shared(labelling: Labelling) -> Iterator[Diagnostic]:
    """Labels that several objects have."""
    by_label: dict[int, list[str]] = {}
    for name, label in sorted(labelling.numbers().items()):
        by_label.setdefault(label, []).append(name)
    for label, names in sorted(by_label.items()):
        if len(names) > 1:
            yield Diagnostic(
                Code.OBJECT_DRIFT,
                f"objects {' and '.join(repr(n) for n in names)} have the label {label}",
                Severity.WARNING,
                hint="labels tell objects apart in multilabel segmentations; "
                f"set one under `objects: {{{names[-1]}: …}}`",
            )


def not_as_meant(labelling: Labelling, multilabel: int, span: Span | None) -> Iterator[Diagnostic]:
    """What ``output`` asks of objects and is not so, or makes arrays wrong.

    Args:
        labelling: What decides the labels.
        multilabel: How many segmentations have labels for values.
        span: Where it is asked.
    """
    numbers = labelling.numbers()
    used = {numbers[e.name] for e in labelling.listed if e.used}
    holes = [n for n in range(1, len(used) + 1) if n not in used] if labelling.dense else []
    if holes:
        said = [f"{e.name} {numbers[e.name]}" for e in labelling.listed if e.giver is Giver.RECIPE]
        yield Diagnostic(
            Code.LABELS_NOT_DENSE,
            f"labels are to be dense, and no object with rows has {_listed(holes)}",
            Severity.WARNING,
            hint=f"`objects` gives {joined(said)}; leave out there what need not be so",
            span=span,
        )
    others = [e.name for e in labelling.entries if e.given is not None and numbers.get(e.name) != e.given]
    if multilabel and others:
        arrays = "a multilabel segmentation has" if multilabel == 1 else f"{multilabel} multilabel segmentations have"
        yield Diagnostic(
            Code.LABELS_NOT_DENSE,
            f"{arrays} the labels of the source for values, and {listing(others)} would have others, or none",
            Severity.WARNING,
            hint="keep the labels of the source, or leave multilabel segmentations out",
            span=span,
        )


def _listed(numbers: Sequence[int]) -> str:
    shown = [str(n) for n in numbers[:_SHOWN]] + [f"{len(numbers) - _SHOWN} more"] * (len(numbers) > _SHOWN)
    return f"the label{'s' * (len(numbers) > 1)} {joined(shown)}"


# What is there


@dataclass(frozen=True)
class Known:
    """The label of an object that is there.

    Attributes:
        label: The number.
        original: What the object was called in the source.
        of_base: Whether it is the base that has it, and not the Croissant at the output.
    """

    label: int
    original: str
    of_base: bool = False


def known(objects: Iterable[Mapping[str, Any]], *, of_base: bool = False) -> dict[str, Known]:
    """The labels of the pickable objects of a Croissant, by name. Others may have written it: what is no label, as
    copick has them, is none."""
    found: dict[str, Known] = {}
    for entry in objects:
        label, name = entry.get("label"), str(entry.get("name"))
        if isinstance(label, int) and not isinstance(label, bool) and label > 0:
            found.setdefault(name, Known(label, original_name(entry), of_base))
    return found


def original_name(entry: Mapping[str, Any]) -> str:
    """What the source calls a pickable object."""
    metadata = entry.get("metadata")
    return str((metadata if isinstance(metadata, Mapping) else {}).get(ORIGINAL_NAME, entry.get("name")))


@dataclass(frozen=True)
class Move:
    """A label that would be another one, or mean something else.

    Attributes:
        object: The name in the result.
        before: The label that it has where it is there, ``None`` for an object that is new.
        after: The label that it would have.
        was: The name that it has there, where it is another one.
        meant: For an object that is new, those that have its label there, none of which keeps it.
        of_base: Whether it is the base that has it so.
        asked: Whether the recipe itself gives the label.
    """

    object: str
    before: int | None
    after: int
    was: str | None = None
    meant: tuple[str, ...] = ()
    of_base: bool = False
    asked: bool = False

    def __str__(self) -> str:
        base = " (of the base)" if self.of_base else ""
        if self.before is None:
            return f"+ {self.object}: label {self.after}, which means {joined(self.meant)} there{base}"
        return f"~ {self.object}{f' ({self.was} there)' if self.was else ''}: label {self.before} -> {self.after}{base}"


@dataclass(frozen=True)
class Row:
    """The label of one object, and what is there of it.

    Attributes:
        object: The name in the result, or there where the result has no such object.
        label: In the result.
        giver: Who gives it.
        source: What the source is called, where it is one that gives it.
        there: What is there.
        moves: Whether that would be another.
    """

    object: str
    label: int | None
    giver: Giver | None
    source: str | None = None
    there: Known | None = None
    moves: bool = False


@dataclass(frozen=True)
class Comparison:
    """The labels of a plan beside those that are there.

    Attributes:
        labelling: What decides the labels.
        there: The labels that are there, by the name that the object has there.
        numbers: The label of every object of the result.
        moves: What would be another.
        kept: Labels with which nothing moves that the recipe does not ask for, of every object.
        cure: Those of them that the recipe has to say for it.
        taken: Objects that cannot keep theirs, because the recipe gives it to another.
        others: Labels that somebody else gave.
    """

    labelling: Labelling
    there: Mapping[str, Known]
    numbers: Mapping[str, int]
    moves: tuple[Move, ...]
    kept: Mapping[str, int]
    cure: Mapping[str, int]
    taken: tuple[str, ...] = ()
    others: Mapping[str, int] = field(default_factory=dict)

    @property
    def unasked(self) -> tuple[Move, ...]:
        return tuple(m for m in self.moves if not m.asked)

    @property
    def to_write(self) -> dict[str, int]:
        """Labels that the recipe can say so that they are said: of every object that it gives none."""
        said = {e.name for e in self.labelling.listed if e.giver is Giver.RECIPE}
        by_label = sorted(self.kept.items(), key=lambda item: (item[1], item[0]))
        return {name: label for name, label in by_label if label > 0 and name not in {*said, *self.taken}}

    def rows(self) -> tuple[Row, ...]:
        """Every object of the result by its label, then those that are there and not in the result."""
        pairs = _paired(self.labelling.listed, self.there)
        moving = {m.object for m in self.moves}
        rows = [
            Row(
                e.name,
                self.numbers[e.name],
                Giver.OTHERS if e.name in self.others else e.giver,
                None if e.name in self.others else e.source,
                self.there.get(pairs.get(e.name, "")),
                e.name in moving,
            )
            for e in self.labelling.listed
        ]
        gone = [Row(n, None, None, there=k) for n, k in self.there.items() if n not in pairs.values()]
        return (
            *sorted(rows, key=lambda r: (r.label, r.object)),
            *sorted(gone, key=lambda r: (r.there and r.there.label, r.object)),
        )


def compare(labelling: Labelling, there: Mapping[str, Known], others: Mapping[str, int] | None = None) -> Comparison:
    """What a build does to labels that are there.

    Args:
        labelling: Of the plan.
        there: The labels that are there.
        others: Labels that somebody else gave and that are kept, whatever the plan says.
    """
    others = others or {}

    def numbers(said: Mapping[str, int]) -> dict[str, int]:
        found = labelling.numbers(said)
        return found | {name: label for name, label in others.items() if name in found}

    first = _moves(labelling, there, numbers({}))
    said = {e.given for e in labelling.listed if e.giver is Giver.RECIPE}
    cure: dict[str, int] = {}
    taken: list[str] = []
    while True:
        now = numbers(cure)
        moving = [m for m in _moves(labelling, there, now) if not m.asked and m.object not in {*cure, *taken}]
        if not moving:
            return Comparison(labelling, there, numbers({}), first, now, cure, tuple(taken), others)
        # What takes the place of another is new; where that one stays, it may find a place of its own.
        for move in [m for m in moving if m.before is not None] or moving:
            if move.before is None:
                held = {*(k.label for k in there.values()), *said, *cure.values(), *now.values()}
                cure[move.object] = next(_free({n for n in held if n is not None}))
            elif move.before in said:
                taken.append(move.object)
            else:
                cure[move.object] = move.before


def together(results: Sequence[Comparison]) -> Comparison:
    """One comparison for all results of a recipe: the labels of the first, beside what is there of any."""
    there: dict[str, Known] = {}
    others: dict[str, int] = {}
    for result in reversed(results):
        others |= result.others
        there |= {n: k for n, k in result.there.items() if not k.of_base or n not in there}
    return compare(results[0].labelling, there, others)


def _moves(labelling: Labelling, there: Mapping[str, Known], numbers: Mapping[str, int]) -> tuple[Move, ...]:
    by_recipe = {e.name for e in labelling.listed if e.giver is Giver.RECIPE}
    pairs = _paired(labelling.listed, there)
    held = {numbers[name] for name, old in pairs.items() if there[old].label == numbers[name]}
    found = []
    for name in sorted(numbers):
        label, asked = numbers[name], name in by_recipe
        if name in pairs:
            old = there[pairs[name]]
            was = pairs[name] if pairs[name] != name else None
            if old.label != label:
                found.append(Move(name, old.label, label, was, of_base=old.of_base, asked=asked))
        elif label not in held:
            meant = sorted(n for n, k in there.items() if k.label == label)
            if meant:
                of_base = all(there[n].of_base for n in meant)
                found.append(Move(name, None, label, meant=tuple(meant), of_base=of_base, asked=asked))
    return tuple(found)


def _paired(entries: Sequence[Entry], there: Mapping[str, Known]) -> dict[str, str]:
    """What each object is called there, of those that are there: by name, else under the name that one source has for
    both, since a rename makes no other object of it."""
    names = {e.name for e in entries}
    pairs = {e.name: e.name for e in entries if e.name in there}
    renamed: dict[str, list[str]] = {}
    for name in sorted(there):
        if name not in names:
            renamed.setdefault(there[name].original, []).append(name)
    for entry in entries:
        if entry.name not in pairs and (candidates := renamed.get(entry.original)):
            pairs[entry.name] = candidates.pop(0)
    return pairs


def findings(
    compared: Comparison, place: str, recipe: str, span: Span | None, *, allowed: Collection[str]
) -> Iterator[Diagnostic]:
    """What to say of labels that would move.

    Args:
        compared: What would be another.
        place: The Croissant that is there.
        recipe: The recipe file, as commands name it.
        span: Where labels are, or would be, said.
        allowed: Words of ``--allow``: which may move this once.
    """
    asked = tuple(m for m in compared.moves if m.asked)
    if asked:
        yield _told(asked, "labels move, as `objects` says", span)
    let = tuple(m for m in compared.unasked if is_allowed(word_of(m), allowed))
    if let:
        words = sorted(w for w in allowed if any(covers(w, word_of(m)) for m in let))
        yield _told(let, f"labels move, as --allow {' --allow '.join(words)} lets them", span)
    stopped = tuple(m for m in compared.unasked if m not in let)
    if stopped:
        free = {m.object for m in let}
        cure = [(name, label) for name, label in sorted(compared.cure.items()) if name not in free]
        lines = [f"  {as_yaml(name)}: {{label: {label}}}" for name, label in cure]
        where = "the base" if all(m.of_base for m in stopped) else place
        told = _told(stopped, f"labels of objects that are in {where} would move", span)
        yield replace(
            told,
            severity=Severity.ERROR,
            hint=_cure(compared, recipe),
            notes=(*told.notes, *(["objects:", *lines] if lines else [])),
        )


def word_of(move: Move) -> str:
    """The word of ``--allow`` that lets a label move."""
    return word(LABELS, move.object)


def _told(moves: Sequence[Move], message: str, span: Span | None) -> Diagnostic:
    notes = [str(m) for m in moves[:_SHOWN]]
    if len(moves) > _SHOWN:
        notes.append(f"~ and {len(moves) - _SHOWN} more")
    return Diagnostic(Code.LABELS_MOVE, message, Severity.INFO, span=span, notes=tuple(notes))


def _cure(compared: Comparison, recipe: str) -> str:
    allow = "let them move once with --allow labels"
    if not compared.taken:
        return f"{_keep(recipe)}, or {allow}"
    change = f"`objects` gives the label of {listing(compared.taken)} to another object: change that"
    return f"{_keep(recipe)}, or {allow}; {change}" if compared.cure else f"{change}, or {allow}"


def _keep(recipe: str) -> str:
    return f"keep them with these lines, which `croissant-recipe labels --write {recipe}` writes too"
