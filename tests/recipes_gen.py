"""Recipes over generated projects, each as YAML text and as the calls of copick that say the same.

A case is made of a seed alone. Its recipe has one to three layers over one to three projects; the first layer is an
export or, in some cases, a Croissant that copick wrote and that the recipe names as its ``base``.
"""

from __future__ import annotations

import fnmatch
import itertools
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import yaml
from projects import ProjectSpec, Run, random_spec

BASE_URL = "https://example.org/data"
DATASET = {
    "name": "Generated",
    "description": "A dataset of a test.",
    "version": "1.0.0",
    "license": "MIT",
    "date_published": "2026-01-15",
    "url": "https://example.org",
    "creators": [{"name": "Example Lab"}],
}
TYPES = ("tomograms", "features", "picks", "meshes", "segmentations", "objects")

_SAFE = re.compile(r"[A-Za-z0-9.-]+\Z")
_TYPE_QUERIES = {"binary": ""} | {t: f"?{t}=true" for t in ("multilabel", "instance", "panoptic")}
_SPLITS = ("train", "val", "test", "held-out")


class _Dumper(yaml.SafeDumper):
    """Quotes texts that JSON, though not this dumper, takes for numbers."""


def _text(dumper: _Dumper, text: str) -> yaml.Node:
    style = "'" if re.match(r"[-+]?[0-9]", text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _text)


@dataclass(frozen=True)
class LayerCase:
    """One layer.

    Attributes:
        source: Name of the source, which is also the folder of its project.
        filters: By artifact type what the recipe says: ``all``, ``none``, a selector, or selectors. Types that are not
            there are not named in the recipe.
        include_others: What happens to those.
        runs: The runs that the layer takes, sorted; what copick is told, which knows no patterns of runs.
        objects: The density maps likewise, ``None`` for all of them.
        tomo_types, object_names: Rename maps.
        split: Names of runs by split, and how the recipe spells them.
    """

    source: str
    filters: Mapping[str, str | tuple[str, ...]]
    include_others: bool
    runs: tuple[str, ...]
    objects: tuple[str, ...] | None
    tomo_types: Mapping[str, str]
    object_names: Mapping[str, str]
    split: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    split_texts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def as_recipe(self, operation: str) -> dict[str, Any]:
        layer: dict[str, Any] = {operation: self.source, "allow_empty": True}
        layer |= {t: v if isinstance(v, str) else list(v) for t, v in self.filters.items()}
        layer["others"] = "include" if self.include_others else "exclude"
        renames = {"tomo_types": dict(self.tomo_types), "objects": dict(self.object_names)}
        layer |= {"rename": {k: v for k, v in renames.items() if v}} if any(renames.values()) else {}
        if self.split_texts:
            layer["split"] = {name: list(texts) for name, texts in self.split_texts.items()}
        return layer

    def as_copick(self) -> dict[str, Any]:
        """Keyword arguments of ``export_croissant`` and ``append_croissant``."""
        arguments: dict[str, Any] = {t: self._uris(t) for t in TYPES}
        arguments["objects"] = None if self.objects is None else list(self.objects)
        arguments["runs"] = list(self.runs)
        arguments["tomo_type_map"] = dict(self.tomo_types)
        arguments["object_name_map"] = dict(self.object_names)
        arguments["splits"] = {name: list(runs) for name, runs in self.split.items()}
        return arguments

    def _uris(self, artifact: str) -> list[str] | None:
        value = self.filters.get(artifact, "all" if self.include_others else "none")
        if value == "all":
            return None
        return [] if value == "none" else [value] if isinstance(value, str) else list(value)

    @property
    def filters_tomograms(self) -> bool:
        return self._uris("tomograms") is not None


@dataclass(frozen=True)
class Case:
    """A recipe and its projects.

    Attributes:
        seed: What it was made of.
        specs: The projects by name of source.
        layers: The layers. The first is the base where ``base`` is set.
        base: Whether the recipe starts from a Croissant that copick makes of the first layer.
        base_url: ``output.base_url``; none is a relocatable Croissant, written into the first layer's project.
        source_urls: ``base_url`` of sources that have one.
        assign: Runs by split, and how ``splits.assign`` spells them.
        file_sha256: Whether sha256 of files is asked for.
        project: What the recipe itself calls the copick project.
    """

    seed: int
    specs: Mapping[str, ProjectSpec]
    layers: tuple[LayerCase, ...]
    base: bool
    base_url: str | None
    source_urls: Mapping[str, str]
    assign: Mapping[str, tuple[str, ...]]
    assign_texts: Mapping[str, tuple[str, ...]]
    file_sha256: bool
    project: Mapping[str, str]

    @property
    def recipe_layers(self) -> tuple[LayerCase, ...]:
        return self.layers[1:] if self.base else self.layers

    def recipe(self) -> str:
        """The recipe, for a folder that holds each project in the folder of its name and the base in ``base``."""
        document: dict[str, Any] = {"recipe": 1, "name": f"case-{self.seed}"}
        document |= {"base": "base/Croissant/metadata.json"} if self.base else {"dataset": DATASET}
        document |= {"project": dict(self.project)} if self.project else {}
        output = {"project_root": "out" if self.base_url else f"{self.layers[0].source}/project"}
        document["output"] = output | ({"base_url": self.base_url} if self.base_url and not self.base else {})
        document["sources"] = {layer.source: self._source(layer.source) for layer in self.recipe_layers}
        document["layers"] = [
            layer.as_recipe("append" if i or self.base else "export") for i, layer in enumerate(self.recipe_layers)
        ]
        if self.assign_texts:
            document["splits"] = {"assign": {name: list(texts) for name, texts in self.assign_texts.items()}}
        return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)

    def _source(self, name: str) -> dict[str, Any]:
        url = {"base_url": self.source_urls[name]} if name in self.source_urls else {}
        return {"copick": {"config": f"{name}/filesystem.json"} | url}


def random_case(seed: int, *, nasty: bool | None = None) -> Case:
    """The case of a seed.

    Args:
        seed: Any number.
        nasty: Whether names are such that readers of CSVs change them; by default in one case of six.
    """
    rng = random.Random(seed)
    odd = rng.random() < 1 / 6
    odd = odd if nasty is None else nasty
    names = ("lab", "other", "third")[: rng.choice((1, 2, 2, 3))]
    specs = {name: _told(seed, name, _small(rng, random_spec(rng, nasty=odd))) for name in names}
    count = rng.choice((1, 1, 1, 2, 2, 3))
    base = count > 1 and rng.random() < 0.25
    claimed: dict[str, str] = {}
    layers = []
    for i in range(count):
        # A project may be appended to itself: the later rows win.
        source = rng.choice(sorted(specs))
        layer = _layer(rng, source, specs[source], plain=base and i == 0)
        layers.append(_with_split(rng, layer, claimed))
        if base and i == 0:
            # What a base has, a recipe may assign anew.
            claimed = {}
    runs = sorted({run for layer in layers for run in layer.runs})
    assign, texts = _splits(rng, runs, claimed) if rng.random() < 0.5 else ({}, {})
    first = specs[layers[0].source]
    relocatable = not base and not first.two_roots and rng.random() < 0.2
    return Case(
        seed=seed,
        specs=specs,
        layers=tuple(layers),
        base=base,
        base_url=None if relocatable else BASE_URL,
        source_urls={} if relocatable else {n: f"https://{n}.example.org/root" for n in specs if rng.random() < 0.3},
        assign=assign,
        assign_texts=texts,
        file_sha256=rng.random() < 0.85,
        project=_project(random.Random(f"{seed} project")),
    )


def _told(seed: int, name: str, spec: ProjectSpec) -> ProjectSpec:
    """With a config that says other things of the project than others do, and not always all of them."""
    rng = random.Random(f"{seed} {name}")
    said = {"name": f"Project {name}", "description": f"About {name}.", "user_id": name, "session_id": f"{seed}-1"}
    return replace(spec, **{key: value if rng.random() < 0.6 else None for key, value in said.items()})


def _project(rng: random.Random) -> dict[str, str]:
    said = {"name": "Renamed", "description": "Described anew."}
    return {key: value for key, value in said.items() if rng.random() < 0.2}


def _small(rng: random.Random, spec: ProjectSpec) -> ProjectSpec:
    """With few runs: copick reads each of them many times."""
    return replace(spec, runs=spec.runs[: rng.choice((1, 2, 2, 3))])


def _layer(rng: random.Random, source: str, spec: ProjectSpec, *, plain: bool) -> LayerCase:
    names = sorted(run.name for run in spec.runs)
    filters: dict[str, str | tuple[str, ...]] = {}
    if plain:
        return LayerCase(source, filters, True, tuple(names), None, {}, {})
    runs = names
    if rng.random() < 0.35:
        filters["runs"] = tuple(_patterns(rng, names))
        runs = _matching(filters["runs"], names)
    for artifact in TYPES[:-1]:
        if rng.random() < 0.6:
            filters[artifact] = _filter(rng, artifact, spec)
    include = rng.random() < 0.6
    mapped = sorted(o.name for o in spec.objects)
    objects: Sequence[str] | None = None if include else ()
    if rng.random() < 0.4:
        filters["objects"] = rng.choice(("all", "none", tuple(_patterns(rng, mapped))))
        objects = {"all": None, "none": ()}.get(str(filters["objects"]), _matching(filters["objects"], mapped))
    tomo_types = _rename(rng, sorted({t.tomo_type for run in spec.runs for t in run.tomograms}))
    object_names = _rename(rng, mapped)
    return LayerCase(
        source,
        filters,
        include,
        tuple(runs),
        None if objects is None else tuple(objects),
        {} if _tomograms_collide(spec, tomo_types) else tomo_types,
        {} if _objects_collide(spec, object_names) else object_names,
    )


# Names and patterns of runs and objects


def _patterns(rng: random.Random, names: Sequence[str]) -> list[str]:
    safe = [n for n in names if _SAFE.match(n)] or ["none-is-safe"]
    return [_pattern(rng, rng.choice(safe)) for _ in range(rng.randint(1, 2))]


def _pattern(rng: random.Random, name: str) -> str:
    form = rng.randrange(5)
    if form == 0:
        return f"{name[: rng.randint(1, len(name))]}*"
    if form == 1:
        return f"re:{re.escape(name)}$"
    if form == 2 and len(name) > 1:
        at = rng.randrange(len(name))
        return f"{name[:at]}?{name[at + 1 :]}"
    return name if form == 3 or rng.random() < 0.9 else "matches-nothing"


def _matching(patterns: str | Iterable[str], names: Sequence[str]) -> list[str]:
    texts = [patterns] if isinstance(patterns, str) else list(patterns)
    return [n for n in names if any(_matches(p, n) for p in texts)]


def _matches(pattern: str, name: str) -> bool:
    if pattern.startswith("re:"):
        return re.match(pattern[3:], name) is not None
    return fnmatch.fnmatchcase(name, pattern)


# Selectors


def _filter(rng: random.Random, artifact: str, spec: ProjectSpec) -> str | tuple[str, ...]:
    form = rng.random()
    if form < 0.12:
        return "all"
    if form < 0.2:
        return "none"
    selectors = [_selector(rng, artifact, spec) for _ in range(rng.randint(1, 3))]
    return selectors[0] if len(selectors) == 1 and rng.random() < 0.5 else tuple(selectors)


def _selector(rng: random.Random, artifact: str, spec: ProjectSpec) -> str:
    there = [a for run in spec.runs for a in getattr(run, artifact)]
    if not there or rng.random() < 0.05:
        return "matches-nothing"
    chosen = rng.choice(there)
    regex = rng.random() < 0.2

    def part(text: str, share: float = 0.6) -> str:
        if not _SAFE.match(text) or rng.random() > share:
            return ".*" if regex else "*"
        if regex:
            return rng.choice((re.escape(text), f"{re.escape(text[:1])}.*", f"({re.escape(text)}|x)"))
        return rng.choice((text, text, f"{text[:1]}*", f"*{text[-2:]}"))

    def size() -> str:
        value = chosen.voxel_size
        return rng.choice((str(value), f"{value:g}", f"{value:.3f}"))

    head = "re:" if regex else ""
    if artifact in ("picks", "meshes"):
        return head + _owned(rng, part(chosen.object_name, 0.9), part(chosen.user_id), part(chosen.session_id))
    if artifact == "segmentations":
        text = head + _owned(rng, part(chosen.name, 0.9), part(chosen.user_id), part(chosen.session_id))
        text += f"@{size()}" if rng.random() < 0.5 else ""
        return text + (_TYPE_QUERIES[chosen.type] if rng.random() < 0.7 else "")
    text = head + part(chosen.tomo_type, 0.9)
    if artifact == "tomograms":
        return text + (f"@{size()}" if rng.random() < 0.6 else "")
    form = rng.random()
    if form < 0.3:
        return text
    text += f"@{size() if rng.random() < 0.7 else ('.*' if regex else '*')}"
    return text + (f":{part(chosen.feature_type, 0.8)}" if form < 0.7 else "")


def _owned(rng: random.Random, name: str, user: str, session: str) -> str:
    return rng.choice((name, f"{name}:{user}", f"{name}:{user}/{session}", f"{name}:{user}/{session}"))


# Renames


def _rename(rng: random.Random, names: Sequence[str]) -> dict[str, str]:
    """To a new name, to one name for two, or to each other's name."""
    if not names or rng.random() < 0.55:
        return {}
    if len(names) > 1:
        one, two = rng.sample(list(names), 2)
        # A new name has to be one that copick takes.
        form = rng.randrange(4) if _SAFE.match(one) and _SAFE.match(two) else 0
        if form == 0:
            return {one: "joined", two: "joined"}
        if form == 1:
            return {one: two, two: one}
        if form == 2:
            return {one: two}
    return {rng.choice(list(names)): "renamed"}


def _tomograms_collide(spec: ProjectSpec, names: Mapping[str, str]) -> bool:
    return any(
        _twice([(t.voxel_size, names.get(t.tomo_type, t.tomo_type)) for t in run.tomograms]) for run in spec.runs
    )


def _objects_collide(spec: ProjectSpec, names: Mapping[str, str]) -> bool:
    def new(name: str) -> str:
        return names.get(name, name)

    def keys(run: Run) -> Iterable[list[tuple[object, ...]]]:
        yield [(p.user_id, p.session_id, new(p.object_name)) for p in run.picks]
        yield [(m.user_id, m.session_id, new(m.object_name)) for m in run.meshes]
        yield [(s.voxel_size, s.user_id, s.session_id, new(s.name), s.type) for s in run.segmentations]

    maps = [(new(o.name),) for o in spec.objects if o.density_map]
    return _twice(maps) or any(_twice(found) for run in spec.runs for found in keys(run))


def _twice(keys: Sequence[tuple[object, ...]]) -> bool:
    return len(set(keys)) < len(keys)


# Splits


def _with_split(rng: random.Random, layer: LayerCase, claimed: dict[str, str]) -> LayerCase:
    if rng.random() > 0.3:
        return layer
    split, texts = _splits(rng, layer.runs, claimed)
    return replace(layer, split=split, split_texts=texts)


def _splits(
    rng: random.Random, runs: Sequence[str], claimed: dict[str, str]
) -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]]]:
    """Runs that no other rule claims into splits, by name or by pattern."""
    assigned: dict[str, list[str]] = {}
    texts: dict[str, list[str]] = {}
    for run, split in itertools.product(rng.sample(list(runs), min(2, len(runs))), rng.sample(_SPLITS, 1)):
        text = f"{run[:2]}*" if _SAFE.match(run) and rng.random() < 0.4 else run
        reached = _matching(text, runs) if text != run else [run]
        if not _SAFE.match(run) or any(claimed.get(r, split) != split for r in reached):
            continue
        claimed |= dict.fromkeys(reached, split)
        assigned.setdefault(split, []).extend(r for r in reached if r not in assigned.get(split, ()))
        texts.setdefault(split, []).append(text)
    return {k: tuple(v) for k, v in assigned.items()}, {k: tuple(v) for k, v in texts.items()}
