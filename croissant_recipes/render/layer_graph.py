"""The layers of a recipe as a graph: sources on the left, layers in their order, the Croissant on the right.

Places and words only; the page draws them. A recipe is a chain, so that a layout needs no more than columns.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from croissant_recipes.report import LayerReport, Report
from croissant_recipes.schema import ARTIFACTS
from croissant_recipes.shown import shown

_SOURCE_WIDTH, _LAYER_WIDTH, _RESULT_WIDTH = 150, 300, 150
_BETWEEN = 70
_LINE, _PADDING, _GAP = 17, 11, 20
_CHARACTERS = {_SOURCE_WIDTH: 16, _LAYER_WIDTH: 41, _RESULT_WIDTH: 16}
"""How many characters fit into a box of a width."""

_LINES, _MOST_LINES = 2, 6


@dataclass(frozen=True)
class Box:
    """A source, a layer or the result.

    Attributes:
        kind: ``source``, ``base``, ``layer`` or ``result``.
        lines: What it says, on lines of its width.
        told: All of it.
        x, y, width, height: Where it lies.
        changes: Whether rows that differ come from it.
    """

    kind: str
    lines: tuple[str, ...]
    told: str
    x: int
    y: int
    width: int
    height: int
    changes: bool = False

    @property
    def baselines(self) -> tuple[tuple[int, str], ...]:
        """Each line with where it is written."""
        return tuple((self.y + _PADDING + 12 + i * _LINE, line) for i, line in enumerate(self.lines))

    @property
    def middle(self) -> int:
        return self.y + self.height // 2


@dataclass(frozen=True)
class Arrow:
    """From one box to another.

    Attributes:
        kind: ``takes`` from a source, ``adds`` to the result, or ``replaces`` rows of an earlier layer.
        path: As SVG writes it.
        told: What goes along it.
    """

    kind: str
    path: str
    told: str


@dataclass(frozen=True)
class Graph:
    width: int
    height: int
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]


def graph(report: Report, changed: Mapping[int, int]) -> Graph | None:
    """Args:
    report: A report that tells of its layers.
    changed: How many rows that differ are of each layer, by number.
    """
    if not report.layers and report.base is None:
        return None
    layers = dict(_layers(report, changed))
    sources = dict(_sources(report, layers))
    last = max(box.y + box.height for box in [*layers.values(), *sources.values()])
    result = _result(report, last)
    boxes = (*sources.values(), *layers.values(), result)
    arrows = (*_takes(report, sources, layers), *_adds(report, layers, result), *_replaces(report, layers))
    return Graph(result.x + result.width + 1, max(last, result.y + result.height) + 2, boxes, arrows)


def adds(layer: LayerReport) -> str:
    """What a layer brought: ``5 tomograms, 1 mesh``."""
    return ", ".join(_of(n, artifact) for artifact, n in layer.adds.items() if n) or "nothing"


def _of(n: int, artifact: str) -> str:
    known = ARTIFACTS[artifact]
    return f"{n:,} {known.one if n == 1 else known.many}"


def _layers(report: Report, changed: Mapping[int, int]) -> Iterator[tuple[int, Box]]:
    y = 1
    for number, lines in _words(report, changed):
        kind = "layer" if number else "base"
        box = _box(kind, lines, _SOURCE_WIDTH + _BETWEEN, y, _LAYER_WIDTH, changes=bool(changed.get(number)))
        yield number, box
        y += box.height + _GAP


def _words(report: Report, changed: Mapping[int, int]) -> Iterator[tuple[int, list[str]]]:
    def differing(number: int) -> list[str]:
        n = changed.get(number, 0)
        return [f"{n:,} of the rows that differ"] if n else []

    if report.base is not None:
        yield 0, ["Base", f"{report.base_rows:,} rows", *differing(0)]
    for layer in report.layers:
        shadowed = sum(layer.shadowed.values())
        later = [f"{shadowed:,} replaced later"] if shadowed else []
        title = f"Layer {layer.number}: {layer.operation}"
        yield layer.number, [title, f"+ {adds(layer)}", *later, *differing(layer.number)]


def _sources(report: Report, layers: Mapping[int, Box]) -> Iterator[tuple[str, Box]]:
    """Each beside the layers that it feeds, as near as those above it let it be."""
    fed: dict[str, list[int]] = {}
    for layer in report.layers:
        for source in layer.sources:
            fed.setdefault(source, []).append(layers[layer.number].middle)
    wanted = [(name, sum(at) // len(at)) for name, at in fed.items()]
    if report.base is not None:
        wanted.insert(0, ("", layers[0].middle))
    y = 1
    for name, middle in sorted(wanted, key=lambda item: item[1]):
        lines = [name] if name else ["Croissant", str(report.base)]
        box = _box("source", lines, 0, y, _SOURCE_WIDTH)
        box = _box("source", lines, 0, max(y, middle - box.height // 2), _SOURCE_WIDTH)
        yield name, box
        y = box.y + box.height + _GAP


def _result(report: Report, last: int) -> Box:
    x = _SOURCE_WIDTH + _LAYER_WIDTH + 2 * _BETWEEN
    lines = [report.output_name or "Croissant", f"{report.runs:,} run{'s' * (report.runs != 1)}"]
    lines.append(f"{sum((report.rows or {}).values()):,} rows")
    box = _box("result", lines, x, 0, _RESULT_WIDTH)
    return _box("result", lines, x, max((last - box.height) // 2, 1), _RESULT_WIDTH)


def _box(kind: str, lines: Sequence[str], x: int, y: int, width: int, *, changes: bool = False) -> Box:
    told = [shown(line) for line in lines]
    fitting = tuple(part for line in told for part in _wrapped(line, _CHARACTERS[width]))[:_MOST_LINES]
    return Box(kind, fitting, "; ".join(told), x, y, width, 2 * _PADDING + _LINE * len(fitting), changes)


def _wrapped(text: str, most: int) -> list[str]:
    """A list on two lines where one is too short for it."""
    parts = textwrap.wrap(text, most, break_long_words=False, break_on_hyphens=False) if ", " in text else [text]
    return [_cut(line, most) for line in (parts if len(parts) < _LINES + 1 else [parts[0], " ".join(parts[1:])])]


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _takes(report: Report, sources: Mapping[str, Box], layers: Mapping[int, Box]) -> Iterator[Arrow]:
    if report.base is not None:
        yield Arrow("takes", _curve(sources[""], layers[0]), f"base: {report.base_rows:,} rows")
    for layer in report.layers:
        for source in layer.sources:
            told = f"{layer.label} takes of {source}"
            yield Arrow("takes", _curve(sources[source], layers[layer.number]), shown(told))


def _adds(report: Report, layers: Mapping[int, Box], result: Box) -> Iterator[Arrow]:
    if report.base is not None:
        yield Arrow("adds", _curve(layers[0], result), f"the base has {report.base_rows:,} rows")
    for layer in report.layers:
        yield Arrow("adds", _curve(layers[layer.number], result), shown(f"{layer.label} adds {adds(layer)}"))


def _replaces(report: Report, layers: Mapping[int, Box]) -> Iterator[Arrow]:
    """On the right of the layers, further out the further they reach."""
    for layer in report.layers:
        counts: dict[int, int] = {}
        for replacement in layer.replaces:
            counts[replacement.earlier] = counts.get(replacement.earlier, 0) + len(replacement.keys)
        for earlier, n in counts.items():
            start, end = layers[layer.number], layers[earlier]
            x, out = start.x + start.width, 14 + 6 * (layer.number - earlier)
            path = f"M{x},{start.y + 14} C{x + out},{start.y + 14} {x + out},{end.middle + 10} {x},{end.middle + 10}"
            label = (report.labels or {}).get(earlier, "")
            yield Arrow("replaces", path, shown(f"{layer.label} replaces {n:,} row{'s' * (n != 1)} of {label}"))


def _curve(start: Box, end: Box) -> str:
    x, y, to_x, to_y = start.x + start.width, start.middle, end.x, end.middle
    half = (to_x - x) // 2
    return f"M{x},{y} C{x + half},{y} {to_x - half},{to_y} {to_x - 1},{to_y}"
