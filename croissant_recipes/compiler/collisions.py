"""Rows of one layer that end up with one key: found, shown, and resolved as the layer says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import pandas as pd

from croissant_recipes import tables
from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import NOTHING, Diagnostic, Severity
from croissant_recipes.language.checked import LayerSpec
from croissant_recipes.schema import ARTIFACTS
from croissant_recipes.tables import LINEAGE

_SHOWN = 3
_TELL_RUNS_APART = 'let run_name tell the runs apart, such as "{name}-{dataset_id}"'
_HIDDEN = frozenset({"root", "run_alias", "portal_id", "sha256", *LINEAGE})


@dataclass(frozen=True)
class Collision:
    """Rows with one key.

    Attributes:
        artifact: Their type.
        key: Key columns and their value.
        rows: The other columns of each row that are not empty, in the order of sources, then of portal ids or paths.
        sources: Of each row, the position of its source.
        kept: Index of the row that stays, ``None`` where that is for the user to say.
    """

    artifact: str
    key: Mapping[str, object]
    rows: tuple[Mapping[str, object], ...]
    sources: tuple[int, ...]
    kept: int | None


def resolve(artifact: str, table: pd.DataFrame, policy: str) -> tuple[pd.DataFrame, list[Collision]]:
    """Leave one row of every key; a run, which several sources may know, keeps one of each. Under ``error`` it is the
    first, and the collisions say that none was chosen."""
    key = [*ARTIFACTS[artifact].key, *(["source"] if artifact == "runs" else [])]
    if not tables.shares_key(table, key).any():
        return table, []
    ordered = table.sort_values([c for c in ("source", "portal_id", "path") if c in table], kind="stable")
    keep: Literal["first", "last"] = "last" if policy == "last" else "first"
    found = [
        _collision(artifact, key, values, group, policy)
        for values, group in ordered[ordered[key].duplicated(keep=False)].groupby(key, sort=True, dropna=False)
    ]
    return ordered.drop_duplicates(key, keep=keep).sort_index().reset_index(drop=True), found


def _collision(
    artifact: str, key: Sequence[str], values: tuple[object, ...], group: pd.DataFrame, policy: str
) -> Collision:
    columns = [c for c in group.columns if c not in key and c not in _HIDDEN]
    rows = tuple(
        {str(c): v for c, v in row.items() if v not in ("", None) and v == v}
        for row in group[columns].to_dict("records")
    )
    kept = None if policy == "error" else len(rows) - 1 if policy == "last" else 0
    shown = {column: value for column, value in zip(key, values, strict=True) if column not in LINEAGE}
    return Collision(artifact, shown, rows, tuple(group["source"].tolist()), kept)


def undecided(found: Sequence[Collision]) -> dict[str, list[Collision]]:
    """The collisions that are for the user to resolve, by artifact type."""
    by_artifact: dict[str, list[Collision]] = {}
    for collision in found:
        if collision.kept is None:
            by_artifact.setdefault(collision.artifact, []).append(collision)
    return by_artifact


def shown_ids(artifact: str, found: Sequence[Collision]) -> dict[int, tuple[str, ...]]:
    """Portal ids of the records that a message will show, for their authors to be asked for, by the position of their
    source."""
    if not ARTIFACTS[artifact].in_portal:
        # Runs are of the portal too, and have no authors of their own.
        return {}
    column = ARTIFACTS[artifact].portal_id or ""
    ids: dict[int, dict[str, None]] = {}
    for collision in found[:_SHOWN]:
        for row, source in zip(collision.rows, collision.sources, strict=True):
            if column in row:
                ids.setdefault(source, {})[str(row[column])] = None
    return {source: tuple(of_source) for source, of_source in ids.items()}


def diagnostic(
    spec: LayerSpec, artifact: str, found: Sequence[Collision], authors: Sequence[Mapping[str, Sequence[str]]]
) -> Diagnostic:
    """What to tell of the collisions of one type in one layer. ``authors`` are names by portal id, where known, for
    each of its sources."""
    notes, several = [], len(spec.sources) > 1
    for collision in found[:_SHOWN]:
        notes.append(", ".join(f"{k} {_text(v)}" for k, v in collision.key.items()) + " is the key of:")
        for row, source in zip(collision.rows, collision.sources, strict=True):
            facts = [f"source {spec.sources[source]!r}"] * several + [f"{_label(k)} {_text(v)}" for k, v in row.items()]
            names = _by(row.get(ARTIFACTS[artifact].portal_id or ""), authors[source])
            notes.append("  - " + ", ".join([*facts, *names]))
    if len(found) > _SHOWN:
        notes.append(f"and {len(found) - _SHOWN} more keys")
    span = spec.filters[artifact].span or spec.span
    n = len(found)
    keys = "one key has" if n == 1 else f"{n} keys have"
    return Diagnostic(
        Code.COLLISION,
        f"{spec.label}: {keys} more than one row in {artifact}",
        span=span,
        hint=_fix(spec, artifact, found),
        notes=tuple(notes),
    )


def between_sources(layers: Iterable[tuple[LayerSpec, pd.DataFrame]]) -> Iterator[Diagnostic]:
    """What to tell of runs of the portal that different layers, or sources of one, call by one name: they would become
    one run with the data of both. Where a template made the name it can tell them apart; other sources have their
    names, and the portal may have given a run a new id.

    Args:
        layers: Each layer and its runs, in order.
    """
    known: dict[str, _Known] = {}
    for spec, runs in layers:
        for position, source in enumerate(spec.sources):
            of_portal = runs[(runs["source"] == position) & (runs["portal_run_id"] != "")]
            found = dict(zip(of_portal["name"], of_portal["portal_run_id"], strict=True))
            clashes = [name for name, id_ in found.items() if name in known and known[name].id_ != id_]
            if clashes:
                earlier = {name: known[name] for name in clashes}
                yield _clash(spec, source, {name: found[name] for name in clashes}, earlier)
            known |= {name: _Known(id_, spec, source) for name, id_ in found.items()}


class _Known(NamedTuple):
    """What a run of the portal is in a source of a layer."""

    id_: str
    spec: LayerSpec
    source: str


def _clash(spec: LayerSpec, source: str, ids: Mapping[str, str], earlier: Mapping[str, _Known]) -> Diagnostic:
    names = sorted(ids)
    notes = [
        f"{name!r} is portal run {earlier[name].id_} in {earlier[name].spec.label_of(earlier[name].source)}, "
        f"and {ids[name]} here"
        for name in names[:_SHOWN]
    ]
    if len(names) > _SHOWN:
        notes.append(f"and {len(names) - _SHOWN} more runs")
    named = any(other.run_name is not None for other in (spec, *(k.spec for k in earlier.values())))
    where = "source of the layer" if all(k.spec is spec for k in earlier.values()) else "layer"
    runs = "one run is another run" if len(names) == 1 else f"{len(names)} runs are other runs"
    return Diagnostic(
        Code.COLLISION,
        f"{spec.label_of(source)}: {runs} of the portal than in an earlier {where}, under the same name",
        Severity.ERROR if named else Severity.WARNING,
        hint=_TELL_RUNS_APART
        if named
        else f"the id of the later {where.partition(' ')[0]} counts; leave out with `runs:` what is not one run",
        span=spec.filters["runs"].span or spec.span,
        notes=tuple(notes),
    )


def _fix(spec: LayerSpec, artifact: str, found: Sequence[Collision]) -> str:
    choose = "choose with `on_collision: first` or `on_collision: last`"
    if artifact == "runs":
        return _TELL_RUNS_APART
    if "sessions" in ARTIFACTS[artifact].renamed and spec.session_id is not None:
        of_portal = any("portal_annotation_file_id" in row for row in found[0].rows)
        return f"add {{{'annotation_file_id' if of_portal else 'session'}}} to session_id to keep both, or {choose}"
    entries = [name for names in spec.renames.values() for name in names]
    if len({name.new for name in entries}) < len(entries) or not all(name.pattern.is_exact for name in entries):
        return f"rename to different names to keep both, or {choose}"
    if artifact == "tomograms" and any("portal_dataset_id" in row for row in found[0].rows) and not entries:
        # No selector tells them apart: their type and voxel size are the same.
        return f"keep one with `tomograms: {{where: …}}`, or {choose}"
    if any(len(set(collision.sources)) > 1 for collision in found):
        return f"{choose}; or give each source a layer, where the later one counts"
    return f"leave one out with `exclude`, or {choose}"


def _by(portal_id: object, authors: Mapping[str, Sequence[str]]) -> list[str]:
    names = authors.get(str(portal_id), ())
    if not names:
        return []
    others = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return [f"by {names[0]}{others}"]


def _label(column: str) -> str:
    return column.removeprefix("annotation.").removeprefix("run.").replace("portal_", "portal ").replace("_", " ")


def _text(value: object) -> str:
    if value in ("", None) or value != value:
        return NOTHING
    return f"{value:g}" if isinstance(value, float) else repr(value) if isinstance(value, str) else str(value)
