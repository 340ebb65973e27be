"""Reports as JSON: versioned, sorted, complete."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from croissant_recipes.comparing import Against
from croissant_recipes.compiler.shares import ObjectShares
from croissant_recipes.croissant import diff
from croissant_recipes.croissant.diff import Changes
from croissant_recipes.report import LayerReport, Report
from croissant_recipes.review.causes import Cause
from croissant_recipes.review.geometry import TURNED, Geometry, Summed
from croissant_recipes.review.groups import Group
from croissant_recipes.review.reviewing import Review
from croissant_recipes.schema import ARTIFACTS
from croissant_recipes.shown import printable_json

FORMAT = 1
"""Version of the document; any change but an addition raises it (docs/compatibility.md)."""


def reports(of_recipes: Sequence[Report]) -> str:
    """Plans, or what ``build`` did."""
    return _dump({"format": FORMAT, "kind": "plan", "recipes": [_report(r) for r in of_recipes]})


def _dump(document: Mapping[str, Any]) -> str:
    return printable_json(json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False))


def _report(report: Report) -> dict[str, Any]:
    document: dict[str, Any] = {
        "path": report.path,
        "ok": report.ok,
        "verdict": report.verdict.value,
        "written": report.written,
        "output": report.output,
        "output_name": report.output_name,
        "diagnostics": [d.to_json() for d in report.findings],
    }
    if report.has_plan:
        document |= {
            "name": report.name,
            "base_url": report.base_url,
            "layers": [_layer(layer) for layer in report.layers],
            "objects": list(report.objects),
            "splits": {name: list(runs) for name, runs in (report.runs_of_splits or {}).items()},
            "shares": [_shares(s) for s in report.shares],
            "rows": dict(report.rows or {}),
        }
    if report.hides:
        document["hides"] = {
            name: {"withheld": hidden.withheld, "names": dict(hidden.names)} for name, hidden in report.hides.items()
        }
    if report.filled:
        document["filled"] = [asdict(filled) for filled in report.filled]
    if report.against is not None:
        document["against"] = _against(report.against)
    if report.between is not None:
        document["between"] = _pair(*report.between)
    if report.changes is not None:
        document["changes"] = _changes(report.changes)
        document["files"] = list(report.files)
        if report.review is not None:
            document["review"] = _review(report.review)
        document["split_moves"] = {name: _pair(old, new) for name, (old, new) in report.split_moves.items()}
        document["label_moves"] = [asdict(move) for move in report.label_moves]
    return document


def _shares(shares: ObjectShares) -> dict[str, Any]:
    splits = {split: {"rows": n, "share": round(shares.share(split), 6)} for split, n in shares.rows.items()}
    return {"artifact": shares.artifact, "object": shares.object, "splits": splits, "without": shares.without}


def _layer(layer: LayerReport) -> dict[str, Any]:
    return {
        "index": layer.number - 1,
        "operation": layer.operation,
        "source": layer.sources[0],
        "sources": list(layer.sources),
        "selectors": [asdict(s) for s in layer.selectors],
        "having": list(layer.having),
        "lacking": list(layer.lacking),
        "held_runs": layer.held_runs,
        "renames": [asdict(r) for r in layer.renames],
        "run_names": dict(layer.run_names),
        "collisions": [
            {
                "artifact": c.artifact,
                "key": _plain(c.key),
                "rows": [_plain(r) for r in c.rows],
                "sources": [layer.sources[position] for position in c.sources],
                "kept": c.kept,
            }
            for c in layer.collisions
        ],
        "adds": dict(layer.adds),
        "replaces": [
            {
                "artifact": r.artifact,
                "layer": r.earlier - 1 if r.earlier else None,
                "keys": [_plain(dict(zip(ARTIFACTS[r.artifact].key, key, strict=True))) for key in r.keys],
            }
            for r in layer.replaces
        ],
        "shadowed": dict(layer.shadowed),
        # How old an answer is depends on when one asks.
        "requests": [{**asdict(r), "age_seconds": None} for r in layer.requests],
    }


def _changes(changes: Changes) -> dict[str, Any]:
    return {
        "exists": changes.exists,
        "record_sets": {
            name: {
                "added": diff.rows(table.added),
                "changed": [
                    {"key": c.key, "fields": {k: _pair(old, new) for k, (old, new) in c.fields.items()}}
                    for c in table.changed()
                ],
                "removed": diff.rows(table.removed),
                "renamed": [
                    {
                        "kind": "renamed",
                        "before": r.before,
                        "key": r.key,
                        "fields": {k: _pair(old, new) for k, (old, new) in r.fields.items()},
                        "by": r.way.value,
                    }
                    for r in table.renamed()
                ],
                "unchanged": table.unchanged,
            }
            for name, table in changes.tables.items()
        },
        "objects": {
            o.name: {
                "kind": o.kind,
                **_pair(o.before, o.after),
                "fields": {k: _pair(old, new) for k, (old, new) in o.fields.items()},
            }
            for o in changes.objects
        },
        "split_moves": diff.rows(changes.split_moves),
        "metadata": {key: _pair(old, new) for key, (old, new) in changes.metadata.items()},
    }


def _against(against: Against) -> dict[str, Any]:
    since = against.since
    found: dict[str, Any] = {"revision": against.revision, "commit": against.commit, "recipe": against.path}
    if since is not None:
        found["since_build"] = {"changes": _changes(since.changes), "review": _review(since)}
    return found


def _review(review: Review) -> dict[str, Any]:
    version = review.version
    found: dict[str, Any] = {
        "class": review.change_class.value,
        "risks": [
            {
                "class": risk.change_class.value,
                "kind": risk.kind,
                "subject": risk.subject,
                "text": risk.text,
                "word": risk.word,
                "allowed": risk.allowed,
                "standing": risk.standing,
                "rows": risk.rows,
            }
            for risk in review.risks
        ],
        "version": {
            "step": version.step.value,
            "before": version.before,
            "after": version.after,
            "asked": version.asked,
            "enough": version.enough,
        },
        "groups": [_group(group) for group in review.groups],
        "causes": {
            "objects": {name: _cause(cause) for name, cause in review.causes.objects.items()},
            "metadata": {key: _cause(cause) for key, cause in review.causes.metadata.items()},
            "split_moves": [_cause(review.causes.all[number]) for number in review.causes.split_moves],
        },
    }
    if review.geometry is not None:
        found["geometry"] = _geometry(review.geometry)
    return found


def _geometry(geometry: Geometry) -> dict[str, Any]:
    return {
        "distance": geometry.distance,
        "turned_by": TURNED,
        "total": _summed(geometry.total),
        "objects": {name: _summed(each) for name, each in geometry.objects.items()},
        "picks": [
            {
                "key": dict(each.key),
                "points": asdict(each.tally) if each.tally is not None else None,
                "unread": {
                    "before": each.before and each.before.value,
                    "after": each.after and each.after.value,
                },
                "unsure": each.unsure,
            }
            for each in geometry.picks
        ],
    }


def _summed(summed: Summed) -> dict[str, Any]:
    return {
        "points": asdict(summed.tally),
        "compared": summed.compared,
        "unread": summed.unread,
        "unsure": summed.unsure,
        "why": [{"version": v, "reason": reason.value, "picks": n} for (v, reason), n in summed.why.items()],
    }


def _group(group: Group) -> dict[str, Any]:
    """``rows`` are positions in the list of that kind of the record set."""
    return {
        "record_set": group.record_set,
        "kind": group.kind,
        "class": group.change_class.value,
        "cause": _cause(group.cause),
        "declared": group.declared,
        "fields": list(group.fields),
        "count": len(group.rows),
        "rows": group.rows.tolist(),
    }


def _cause(cause: Cause) -> dict[str, Any]:
    return {
        "kind": str(cause.kind),
        "text": cause.what,
        "file": cause.file,
        "line": cause.line,
        "column": cause.column,
        "layer": cause.layer,
        "source": cause.source,
        "depositions": list(cause.depositions),
    }


def _pair(old: Any, new: Any) -> dict[str, Any]:
    return {"before": old, "after": new}


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """Values as JSON has them; a number that is not known is ``None``."""
    return {k: None if v != v else v.item() if hasattr(v, "item") else v for k, v in row.items()}
