"""Labels written into the text of a recipe: what is new is put in where it belongs, and all else is left as it stands.

Where labels go is found by the marks of the YAML parser. Whether that was right is found by reading the result as a
recipe is read: it says what the recipe said, and the labels.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import yaml

from croissant_recipes.diagnostics import as_yaml
from croissant_recipes.language import yaml_nodes

_OBJECTS = "objects"
_INDENT = "  "


def with_labels(text: str, labels: Mapping[str, int]) -> str:
    """The text of a recipe that says labels too.

    Args:
        text: A recipe that checks, as the file has it.
        labels: Labels by object, in the order of new lines, of objects to which it gives none.

    Raises:
        ValueError: They cannot be put in so that nothing else changes.
    """
    if not labels:
        return text
    places = _Places(text)
    for name, label in labels.items():
        places.give(name, label)
    after = places.filled()
    if _said(after) != _with(_said(text), labels):
        raise ValueError("an alias or the layout makes something else of them")
    return after


def _said(text: str) -> Any:
    """What a recipe says, no two values being one."""
    document, found = yaml_nodes.parse(text, "")
    return None if document is None or found else copy.deepcopy(document.value)


def _with(said: Any, labels: Mapping[str, int]) -> Any:
    for name, label in labels.items():
        said.setdefault(_OBJECTS, {}).setdefault(name, {})["label"] = label
    return said


class _Places:
    """Where texts are put into another."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._break = "\r\n" if "\r\n" in text else "\n"
        self._put: dict[int, list[str]] = {}
        self._new: list[str] = []
        self._root: Any = yaml.compose(text, Loader=yaml.SafeLoader)
        self._objects = _child(self._root, _OBJECTS)
        self._entries = {k.value: v for k, v in self._objects.value} if _is_mapping(self._objects) else {}

    def give(self, name: str, label: int) -> None:
        said = f"label: {label}"
        entry = self._entries.get(name)
        if entry is None:
            self._new.append(f"{as_yaml(name)}: {{{said}}}")
        elif not _is_mapping(entry):
            raise ValueError(f"{name} is no mapping")
        elif entry.flow_style:
            self._first_in_braces(entry, said)
        else:
            first = entry.value[0][0].start_mark
            self._at(first.index, f"{said}{self._break}{' ' * first.column}")

    def filled(self) -> str:
        self._add_new()
        parts, done = [], 0
        for at in sorted(self._put):
            parts += [self._text[done:at], *self._put[at]]
            done = at
        return "".join([*parts, self._text[done:]])

    def _add_new(self) -> None:
        if not self._new:
            return
        if not _is_mapping(self._objects):
            if self._root.flow_style:
                self._last_in_braces(self._root, f"{_OBJECTS}: {{{', '.join(self._new)}}}")
                return
            end = "" if self._text.endswith(("\n", "\r")) else self._break
            lines = [f"{_OBJECTS}:", *(_INDENT + line for line in self._new)]
            self._at(len(self._text), end + self._break + "".join(line + self._break for line in lines))
        elif self._objects.flow_style:
            self._last_in_braces(self._objects, ", ".join(self._new))
        else:
            at = self._after_line(self._objects)
            first = self._objects.value[0][0].start_mark
            begins = "" if self._text[:at].endswith(("\n", "\r")) else self._break
            ends = self._break if not begins else ""
            block = self._break.join(" " * first.column + line for line in self._new)
            self._at(at, begins + block + ends)

    def _at(self, index: int, text: str) -> None:
        self._put.setdefault(index, []).append(text)

    def _first_in_braces(self, mapping: Any, said: str) -> None:
        at = self._text.index("{", mapping.start_mark.index) + 1
        if not mapping.value:
            self._at(at, said)
        else:
            self._at(at, said + ("," if self._text[at] in "\r\n" else ", "))

    def _last_in_braces(self, mapping: Any, said: str) -> None:
        if mapping.value:
            self._at(_end(mapping.value[-1][1]).index, f", {said}")
        else:
            self._at(self._text.index("{", mapping.start_mark.index) + 1, said)

    def _after_line(self, mapping: Any) -> int:
        """After the line on which the last value of a block ends: before its line end, or where that belongs to the
        value, after it."""
        at: int = _end(mapping).index
        if self._text[:at].endswith(("\n", "\r")):
            return at
        ends = [i for i in (self._text.find("\n", at), self._text.find("\r", at)) if i >= 0]
        return min(ends, default=len(self._text))


def _child(node: Any, key: str) -> Any:
    return next((value for name, value in node.value if name.value == key), None)


def _is_mapping(node: Any) -> bool:
    return isinstance(node, yaml.MappingNode)


def _end(node: Any) -> Any:
    """Where the last value in a node ends: PyYAML ends a block where the next token begins."""
    while isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        node = last[1] if isinstance(last, tuple) else last
    return node.end_mark
