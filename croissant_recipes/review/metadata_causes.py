"""Why a pickable object, or what is said of the dataset, is another one."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from croissant_recipes.compiler.planner import Plan
from croissant_recipes.croissant import build_record
from croissant_recipes.croissant.diff import ChangedObject, Changes
from croissant_recipes.croissant.manifest import named_others
from croissant_recipes.croissant.provenance import DERIVED_FROM, GENERATED_BY
from croissant_recipes.diagnostics import Span
from croissant_recipes.review.causes import Cause, CauseKind
from croissant_recipes.review.making import BASE, Comparison
from croissant_recipes.review.side import Side

_CONFIG = f"{build_record.CONFIG} "
_BASE_URL = "copick:baseUrl"
_CALLED = {"creator": "creators", "citation": "publications", "isLiveDataset": "is_live_dataset"}
"""Keys of a manifest that a recipe has other names for."""

_CITED = ("cite_as", "creators", "name", "version", "date_published", "url")
"""What a citation is made of."""


@dataclass(frozen=True)
class MetadataCauses:
    """Finds the causes of what is no row.

    Attributes:
        changes: What differs.
        plan: The plan.
        comparison: How it and the version before differ in how they came about, ``None`` where that is not known.
        before: The version before.
        planned: The manifest of the plan.
    """

    changes: Changes
    plan: Plan
    comparison: Comparison | None
    before: Side
    planned: Mapping[str, Any]

    def objects(self) -> dict[str, Cause]:
        """By name, the cause of every pickable object that differs."""
        noted = self.before.record.objects if self.before.record else None
        theirs, ours = (build_record.objects_of(m) for m in (self.before.manifest, self.planned))
        return {
            found.name: self._others(found.name, noted, theirs, ours) or self._of_object(found)
            for found in self.changes.objects
        }

    def metadata(self) -> dict[str, Cause]:
        """By key, the cause of all metadata that differs."""
        return {key: self._of_key(key) for key in self.changes.metadata}

    # Others

    def _others(
        self, key: str, noted: Mapping[str, str] | None, theirs: Mapping[str, Any], ours: Mapping[str, Any]
    ) -> Cause | None:
        """A cause where somebody changed it since the last build."""
        if noted is None:
            return None
        there, here = (build_record.digests_of({key: v[key]} if key in v else {}).get(key) for v in (theirs, ours))
        if there == noted.get(key):
            return None
        if here == noted.get(key):
            return Cause(CauseKind.OTHERS, "others changed it since the last build")
        return Cause(CauseKind.UNKNOWN, "others changed it since the last build, and it would be another one now")

    # Pickable objects

    def _of_object(self, found: ChangedObject) -> Cause:
        comparison, document = self.comparison, self.plan.checked.document
        if comparison is None:
            return self._unknown()
        if comparison.differing("objects", found.name) is not None:
            fields = [field for field in found.fields if ("objects", found.name, field) in document.places]
            span = document.key_span("objects", found.name, *fields[:1])
            return Cause(CauseKind.RECIPE, "`objects` says something else of it").at(span)
        return self._by_name(found, comparison) or self._by_source(found, comparison)

    def _by_name(self, found: ChangedObject, comparison: Comparison) -> Cause | None:
        """A cause in the layer that an object is of."""
        document, origin = self.plan.checked.document, self.plan.offered.origin.get(found.name)
        if comparison.same_recipe:
            return None
        for number, layer in self.plan.resolution.layers.items():
            old = comparison.earlier.get(number)
            if old is None or not comparison.says_otherwise(number, "rename"):
                continue
            given = layer.spec.renames.get("objects", ())
            entry = next((e for e in given if found.name in (e.old, e.new)), None)
            before = (comparison.before.layers[old].get("rename") or {}).get("objects") or {}
            if entry is not None and before.get(entry.old) != entry.new:
                what = f"`rename` of {layer.spec.label} calls {entry.old!r} {entry.new!r}"
                return Cause(CauseKind.RECIPE, what, layer=number).at(entry.span)
            if entry is None and found.name in {*before, *before.values()}:
                what = f"`rename` of {layer.spec.label} names it no more"
                span = document.key_span("layers", layer.spec.index, "rename") if number else layer.spec.span
                return Cause(CauseKind.RECIPE, what, layer=number).at(span)
        target = self.plan.target.spec
        for key in ("unused_objects", "labels"):
            if comparison.differing(*map(str, target.path), key) is not None:
                return Cause(CauseKind.RECIPE, f"`{key}` is another one").at(document.key_span(*target.path, key))
        if origin is not None and found.before is None:
            spec, _ = origin
            if spec.number not in comparison.earlier:
                return Cause(CauseKind.RECIPE, f"{spec.label} is new", layer=spec.number).at(spec.span)
        gone = sorted(set(comparison.before.layers) - set(comparison.pairs))
        if found.after is None and gone:
            what = f"the layer that was layer {gone[0]} is gone"
            return Cause(CauseKind.RECIPE, what).at(document.key_span("layers"))
        return None

    def _by_source(self, found: ChangedObject, comparison: Comparison) -> Cause:
        origin = self.plan.offered.origin.get(found.name)
        names = sorted(self.plan.identities)
        if origin is not None:
            spec, name = origin
            if spec.number == BASE:
                return self._of_base(comparison)
            names = [name]
        for name in names:
            if (path := comparison.differing("sources", name)) is not None:
                what = f"source {name!r} is another one"
                return Cause(CauseKind.RECIPE, what).at(self.plan.checked.document.key_span(*path))
        return self._by_sources(comparison, names)

    def _by_sources(self, comparison: Comparison, names: Collection[str]) -> Cause:
        """A cause where only some sources can have changed something."""
        before, after = comparison.before.identities, comparison.after.identities
        moved = [name for name in names if before.get(name) != after.get(name)]
        if comparison.same_recipe and comparison.same_tool and moved:
            document = self.plan.checked.document
            if len(moved) == 1:
                span = document.key_span("sources", moved[0])
                return Cause(CauseKind.SOURCE, f"source {moved[0]!r} moved", source=moved[0]).at(span)
            return Cause(CauseKind.SOURCE, "the sources moved").at(document.key_span("sources"))
        if comparison.same_recipe and not comparison.same_tool and not moved:
            return self._tool(comparison)
        if comparison.same_recipe and comparison.same_tool:
            return Cause(CauseKind.UNKNOWN, "neither the recipe nor a source nor the tool is another one")
        return Cause(CauseKind.UNKNOWN, "more than one of recipe, sources and tool may have changed it")

    def _tool(self, comparison: Comparison) -> Cause:
        versions = f"croissant-recipes {comparison.after.version}, no more {comparison.before.version}"
        return Cause(CauseKind.TOOL, f"{versions}, says it otherwise")

    def _of_base(self, comparison: Comparison) -> Cause:
        span = self.plan.checked.document.key_span("base")
        if comparison.differing("base") is not None:
            return Cause(CauseKind.RECIPE, "the recipe starts from another base", layer=BASE).at(span)
        if comparison.before.base is not None and comparison.before.base == comparison.after.base:
            return self._by_sources(comparison, sorted(self.plan.identities))
        return Cause(CauseKind.SOURCE, "the base moved", layer=BASE).at(span)

    # Metadata

    def _of_key(self, key: str) -> Cause:
        theirs, ours = (
            {
                **build_record.metadata_of(m),
                **{f"{_CONFIG}{k}": v for k, v in build_record.config_of(m).items()},
                **named_others(m),
            }
            for m in (self.before.manifest, self.planned)
        )
        if self.before.record is not None and key != GENERATED_BY:
            of_config = {f"{_CONFIG}{k}": v for k, v in self.before.record.config.items()}
            noted = {**self.before.record.metadata, **of_config, **self.before.record.others}
            if (others := self._others(key, noted, theirs, ours)) is not None:
                return others
        comparison = self.comparison
        if comparison is None:
            return self._unknown()
        if key == GENERATED_BY:
            if not comparison.same_recipe:
                span = Span(self.plan.checked.document.file, 1, 1)
                return Cause(CauseKind.RECIPE, "the recipe is another one").at(span)
            if not comparison.same_tool:
                return self._tool(comparison)
            # What made the base stands there, too.
            return self._of_base(comparison) if self.plan.resolution.base else self._by_sources(comparison, ())
        for path in self._said_at(key):
            if comparison.differing(*path) is not None:
                what = f"`{path[-1]}` is another one"
                return Cause(CauseKind.RECIPE, what).at(self.plan.checked.document.key_span(*path))
        if not comparison.parts_known:
            return Cause(CauseKind.UNKNOWN, "the recipe changed, and its last build did not note where")
        if self.plan.resolution.base is not None and key not in (DERIVED_FROM, _BASE_URL):
            return self._of_base(comparison)
        if key == DERIVED_FROM and not comparison.same_recipe:
            return self._derived(comparison)
        return self._by_sources(comparison, sorted(self.plan.identities))

    def _said_at(self, key: str) -> Iterator[tuple[str, ...]]:
        """Where a recipe says what stands under a key of the manifest."""
        if key.startswith(_CONFIG):
            yield "project", key.removeprefix(_CONFIG)
            yield from (("dataset", name) for name in ("name", "description") if key.endswith(f" {name}"))
        elif key == _BASE_URL:
            path = self.plan.target.spec.path
            yield from ((*map(str, path), name) for name in ("base_url", "project_root"))
            yield from (("sources", name) for name in self.plan.checked.recipe.sources)
        elif key == "citeAs":
            yield from (("dataset", name) for name in _CITED)
        else:
            bare = key.partition(":")[0] if key.startswith("rai:") else key
            yield "dataset", _CALLED.get(bare) or re.sub("(?<=[a-z])([A-Z])", r"_\1", bare).lower()

    def _derived(self, comparison: Comparison) -> Cause:
        """What a dataset is from, where the recipe says something else."""
        document = self.plan.checked.document
        if (path := comparison.differing("sources")) is not None:
            return Cause(CauseKind.RECIPE, "the recipe has other sources").at(document.key_span(*path))
        for number, layer in self.plan.resolution.layers.items():
            if number != BASE and not comparison.unchanged(number):
                return Cause(CauseKind.RECIPE, f"{layer.spec.label} is another one", layer=number).at(layer.spec.span)
        if set(comparison.before.layers) - set(comparison.pairs):
            return Cause(CauseKind.RECIPE, "a layer is gone").at(document.key_span("layers"))
        return self._by_sources(comparison, sorted(self.plan.identities))

    def _unknown(self) -> Cause:
        return self.before.untold if self.changes.exists else Cause(CauseKind.RECIPE, "the recipe says it")
