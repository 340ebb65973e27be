"""Two versions of a dataset, and what the change between them means."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from croissant_recipes import allowing
from croissant_recipes.codes import ExitCode
from croissant_recipes.croissant import diff, keyed_records
from croissant_recipes.croissant.diff import Changes
from croissant_recipes.croissant.renames import unknown
from croissant_recipes.review import classes, composition, credentials, groups, reasons, risks, versions
from croissant_recipes.review.causes import Causes
from croissant_recipes.review.classes import ChangeClass
from croissant_recipes.review.composition import Compared
from croissant_recipes.review.geometry import Geometry
from croissant_recipes.review.groups import Group
from croissant_recipes.review.risks import Risk
from croissant_recipes.review.side import Side
from croissant_recipes.review.versions import Step, Version

_UNSAID = ("prov:", "version", "sdVersion", "date")
"""How keys of a manifest begin that change because something else does."""


@dataclass(frozen=True)
class Review:
    """What a change means.

    Attributes:
        changes: What differs.
        groups: All rows that do, by what they have in common.
        causes: Why, also of what is no row.
        risks: What breaks somebody.
        change_class: The worst of all.
        version: The version that it asks for.
        before, after: What was compared; ``before`` is ``None`` where there was nothing.
        geometry: How the points of picks change, where that was asked for.
    """

    changes: Changes
    groups: tuple[Group, ...]
    causes: Causes
    risks: tuple[Risk, ...]
    change_class: ChangeClass
    version: Version
    before: Side | None
    after: Side
    geometry: Geometry | None = None

    @property
    def against(self) -> tuple[Risk, ...]:
        """What nobody allowed."""
        return tuple(risk for risk in self.risks if risk.stands_against)

    def to_show(self) -> Review:
        """The same without credentials in URLs."""
        return replace(self, changes=credentials.left_out(self.changes))

    def composition(self) -> Compared:
        """What both are made of, in numbers: counted when it is asked for, as few ask."""
        before = composition.of(self.before.tables) if self.before else None
        return composition.compare(before, composition.of(self.after.tables))

    def uses(self, allowed: str) -> bool:
        """Whether a word of ``--allow`` allows something of it."""
        return any(allowing.covers(allowed, risk.word) for risk in self.risks if not risk.standing)

    def exit_code(self, *, writes: bool) -> ExitCode:
        """What a caller ends with who asked for it.

        Args:
            writes: Whether a build would write anything.
        """
        if self.against:
            return ExitCode.BREAKING
        return ExitCode.CHANGES if self.changes or writes else ExitCode.GOOD


def review(before: Side | None, after: Side, allowed: Collection[str] = ()) -> Review:
    """Compare two versions.

    Args:
        before: The version before, ``None`` where there is none.
        after: The one after.
        allowed: Words of ``--allow``, see ``allowing``.
    """
    changes = diff.compare(
        before.tables if before else None,
        after.tables,
        before.manifest if before else None,
        after.manifest,
        (before.called if before else unknown, after.called),
        dict(keyed_records.alike(before.others, after.others)) if before and _both_read(before, after) else None,
    )
    of_rows = classes.of_rows(changes)
    causes = reasons.of_changes(changes, before, after)
    found = risks.find(changes, before, after, allowed)
    grouped = groups.of_changes(changes, of_rows, causes)
    overall = _class(changes, grouped, found)
    step = _step(changes, grouped, found) if before else Step.NONE
    version = versions.of_change(step, before.manifest if before else None, after.manifest)
    return Review(changes, grouped, causes, found, overall, version, before, after)


def _both_read(before: Side, after: Side) -> bool:
    """Whether record sets that are not copick's were read of both: of a plan they are not."""
    return bool(before.others or after.others) and before.plan is None and after.plan is None


def _class(changes: Changes, grouped: Collection[Group], found: Collection[Risk]) -> ChangeClass:
    """The worst of a change. What was so before is no change."""
    of_rows = (group.change_class for group in grouped)
    of_risks = (risk.change_class for risk in found if not risk.standing)
    of_objects = (_OF_OBJECTS[o.kind] for o in changes.objects)
    of_parts = (_of_metadata(old, key) for key, (old, _) in changes.metadata.items())
    new = () if changes.exists else (ChangeClass.ADDITIVE,)
    return classes.worst([*of_rows, *of_risks, *of_objects, *of_parts, *new])


_OF_OBJECTS = {"added": ChangeClass.ADDITIVE, "changed": ChangeClass.METADATA, "removed": ChangeClass.BREAKING}


def _of_metadata(before: object, key: str) -> ChangeClass:
    added = before is None and key.partition(" ")[0] in ("recordSet", "distribution")
    return ChangeClass.ADDITIVE if added else ChangeClass.METADATA


def _step(changes: Changes, grouped: Collection[Group], found: Collection[Risk]) -> Step:
    """How far the version has to go. What is told of a dataset has a version of its own, ``sdVersion``; but nobody can
    tell two versions of it apart that have one ``version``, so that a change of it is a patch."""
    # Data that is in two splits now may only have come to what was there.
    if any(risk.kind != "leak" for risk in found):
        return Step.MAJOR
    overall = _class(changes, grouped, ())
    if overall.needs_approval:
        return Step.MAJOR
    if overall is ChangeClass.ADDITIVE:
        return Step.MINOR
    said = [key for key in changes.metadata if not key.startswith(_UNSAID)]
    return Step.PATCH if grouped or changes.objects or said else Step.NONE
