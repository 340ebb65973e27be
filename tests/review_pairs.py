"""Pairs of a version that was built and one that is planned, as folders of data in ``tests/review_cases``.

``base`` is a small project with a recipe. What a case has in ``before`` is laid over it and built; what it has in
``after`` is laid over that and planned. ``case.yaml`` says what the pair shows, and what comes of it:

- ``what``: a sentence;
- ``class``, ``exit``: of the change, and of ``plan --exit-code``;
- ``groups``: what changes why, a line each: ``picks removed 2 breaking: recipe recipe.yaml:21``;
- ``risks``: the words of ``--allow``, with ``allowed`` or ``as before`` after those that ask for nothing;
- ``others``: causes of objects and metadata;
- and how it comes about, where files do not say it: ``allow``, ``on_drift`` and ``force`` are options of the plan,
  ``gone`` lists paths that the version after has not, ``new`` has nothing built before, ``saved`` are rows that
  somebody added to the Croissant, ``older`` are keys of the manifest as an older version wrote them, and what is
  ``foreign`` no build wrote.

A new case is a folder with ``case.yaml`` and files. ``make test ARGS="tests/test_review_cases.py --snapshot-update"``
writes what is shown of it: read that before you commit it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from croissant_recipes import api
from croissant_recipes.croissant.build_record import RECORD_FILE, digests_of
from croissant_recipes.croissant.content import METADATA
from croissant_recipes.options import Options
from croissant_recipes.render import summary
from croissant_recipes.report import Report
from croissant_recipes.review.causes import Cause

FOLDER = Path(__file__).parent / "review_cases"
BASE = FOLDER / "base"
RECIPE = "recipe.yaml"
CROISSANT = Path("out/Croissant")


@dataclass(frozen=True)
class Pair:
    """One case; see the module. ``expected`` is what it says of what comes."""

    name: str
    what: str
    expected: Mapping[str, Any]
    allow: frozenset[str] = frozenset()
    on_drift: Any = "stop"
    force: bool = False
    gone: tuple[str, ...] = ()
    new: bool = False
    saved: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    older: Mapping[str, Any] = field(default_factory=dict)
    foreign: bool = False

    @property
    def folder(self) -> Path:
        return FOLDER / self.name

    def change(self, folder: Path) -> None:
        """Make it the version after, with what others did to what was built."""
        for path in self.gone:
            target = folder / path
            shutil.rmtree(target) if target.is_dir() else target.unlink()
        _over(self.folder / "after", folder)
        for name, lines in self.saved.items():
            with (folder / CROISSANT / name).open("a", encoding="utf-8") as file:
                file.writelines(f"{line}\n" for line in lines)
        if self.foreign:
            for path in (folder / CROISSANT).glob("croissant-recipe.*"):
                path.unlink()
        if self.older:
            _as_an_older_version(folder / CROISSANT, self.older)

    @property
    def options(self) -> Options:
        return Options(allow=self.allow, on_drift=self.on_drift, force=self.force)

    def planned(self, folder: Path) -> tuple[api.Planned, ...]:
        """The plan of the version after, where the one before was built. The working directory is ``folder``."""
        before = self.folder / "before"
        if self.new or before.is_dir():
            shutil.copytree(BASE, folder, dirs_exist_ok=True)
            _over(before, folder)
        else:
            shutil.copytree(_base_built(_KEPT), folder, dirs_exist_ok=True)
        if not self.new and before.is_dir():
            _build()
        self.change(folder)
        return api.plan(RECIPE, options=self.options)


def pairs() -> Iterator[Pair]:
    """All cases, by name."""
    for path in sorted(FOLDER.glob("*/case.yaml")):
        said = yaml.safe_load(path.read_text(encoding="utf-8"))
        nothing = {"groups": [], "risks": [], "others": {}}
        expected = nothing | {key: said.pop(key) for key in ("class", "exit", *nothing) if key in said}
        yield Pair(path.parent.name, expected=expected, **{**said, "allow": frozenset(said.get("allow", ()))})


def groups_of(report: Report) -> tuple[str, ...]:
    """What changes why, as ``case.yaml`` has it."""
    found = report.review.groups if report.review and report.review.changes.exists else ()
    return tuple(
        f"{g.record_set} {g.kind} {len(g.rows)} {g.change_class}: {cause_of(g.cause)}"
        for g in summary.worst_first(found)
    )


def risks_of(report: Report) -> tuple[str, ...]:
    """The risks, as ``case.yaml`` has them."""
    found = report.review.risks if report.review else ()
    return tuple(r.word + (" as before" if r.standing else " allowed" if r.allowed else "") for r in found)


def others_of(reports: Sequence[Report]) -> dict[str, str]:
    """The causes of objects and metadata, as ``case.yaml`` has them."""
    found: dict[str, str] = {}
    for report in reports:
        if report.review is not None and report.review.changes.exists:
            causes = report.review.causes
            found |= {f"object {name}": cause_of(cause) for name, cause in causes.objects.items()}
            found |= {key: cause_of(cause) for key, cause in causes.metadata.items()}
    return found


def cause_of(cause: Cause) -> str:
    """``recipe recipe.yaml:12``."""
    return " ".join([str(cause.kind), *([summary.place(cause)] if cause.file else [])])


def _as_an_older_version(croissant: Path, says: Mapping[str, Any]) -> None:
    """Makes a Croissant what an older version of the tool would have built, which says some keys otherwise."""
    manifest, record = (croissant / name for name in (METADATA, RECORD_FILE))
    written = json.dumps(json.loads(manifest.read_bytes()) | says, indent=2).encode()
    noted = json.loads(record.read_bytes())
    noted["tool"]["version"] = "0.0.1"
    noted["files"][METADATA] = hashlib.sha256(written).hexdigest()
    noted["metadata"] |= digests_of(says)
    manifest.write_bytes(written)
    record.write_text(json.dumps(noted), encoding="utf-8")


@cache
def _base_built(kept: tempfile.TemporaryDirectory[str]) -> Path:
    """The base as it is built, once for all cases that start from it."""
    folder = Path(kept.name)
    shutil.copytree(BASE, folder, dirs_exist_ok=True)
    with chdir(folder):
        _build()
    return folder


_KEPT = tempfile.TemporaryDirectory()


def _build() -> None:
    results = api.build(RECIPE)
    assert all(result.written for result in results), [str(d) for r in results for d in r.diagnostics]


def _over(source: Path, folder: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, folder, dirs_exist_ok=True)
