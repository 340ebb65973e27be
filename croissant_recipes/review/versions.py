"""The version of a dataset that a change of it asks for, by the text of Croissant 1.1.

By it, three numbers mean: the data is the same (a PATCH, also where it is packed in another way); what was there stays
as it is, and there is more (a MINOR); records are edited, removed or shuffled across splits (a MAJOR). It follows
semantic versioning, where nothing is promised before 1.0.0: there, each step is one smaller.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

_NUMBER = "(0|[1-9][0-9]{0,17})"
"""Of a version with longer numbers, which Python may refuse to read, nothing is known."""

_VERSION = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?")

Numbers = tuple[int, int, int]


class Step(StrEnum):
    """How far a version goes, the farthest last."""

    NONE = "none"
    PATCH = "patch"
    MINOR = "minor"
    MAJOR = "major"


STEPS = tuple(Step)


@dataclass(frozen=True)
class Version:
    """The versions of two sides, and what the change between them asks for.

    Attributes:
        step: The step that it asks for.
        before: The version there, ``None`` where there is none that can be compared.
        after: The recipe's, likewise.
        asked: The lowest version that is enough, ``None`` where any is.
    """

    step: Step
    before: str | None
    after: str | None
    asked: str | None

    @property
    def enough(self) -> bool:
        if self.asked is None or self.after is None:
            return True
        return _order(self.after) >= _order(self.asked)


def of_change(step: Step, before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> Version:
    """The version that a change asks for.

    Args:
        step: How far it goes.
        before, after: The manifests.
    """
    old, new = _said(before or {}), _said(after)
    return Version(step, old, new, _next(old, step) if old is not None and step is not Step.NONE else None)


def _said(manifest: Mapping[str, Any]) -> str | None:
    version = manifest.get("version")
    return version if isinstance(version, str) and _VERSION.fullmatch(version) else None


def _next(version: str, step: Step) -> str:
    major, minor, patch = _numbers(version)
    if _is_early(version):
        # What is announced as 1.2.0-rc.1 may become 1.2.0, whatever changes until then.
        return version
    reach = STEPS.index(step) - (1 if major == 0 and step is not Step.PATCH else 0)
    following = (f"{major}.{minor}.{patch + 1}", f"{major}.{minor + 1}.0", f"{major + 1}.0.0")
    return following[reach - 1]


def _is_early(version: str) -> bool:
    found = _VERSION.fullmatch(version)
    return bool(found and found[4])


def _numbers(version: str) -> Numbers:
    found = _VERSION.fullmatch(version)
    assert found is not None
    return int(found[1]), int(found[2]), int(found[3])


def _order(version: str) -> tuple[Numbers, tuple[Any, ...]]:
    """As semantic versioning has it: what is announced comes before what is released."""
    found = _VERSION.fullmatch(version)
    assert found is not None
    parts = (found[4] or "").split(".") if found[4] else []
    # Numbers, which may have any number of digits, go by their length and then digit by digit.
    early = tuple((0, len(p.lstrip("0")), p.lstrip("0")) if p.isdigit() else (1, 0, p) for p in parts)
    return _numbers(version), (not parts, early)
