"""Changes to the text of a recipe that leave everything else as somebody wrote it.

ruamel.yaml keeps comments, quotes and the order of keys, but not every blank or line end. What it writes is therefore
compared with what it writes of the unchanged recipe, and only the lines that differ are taken over.
"""

from __future__ import annotations

import difflib
import io
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.scalarstring import DoubleQuotedScalarString
from ruamel.yaml.util import load_yaml_guess_indent

_WIDE = 2**20


@dataclass(frozen=True)
class Edits:
    """What a recipe is to say too.

    Attributes:
        croissant: Path of a Croissant, relative to the recipe, that a source and a last layer append, if any.
        dataset: Values of ``dataset`` by key.
        project: Values of ``project`` by key.
        objects: Attributes of pickable objects by name.
        assign: Runs that go into a split.
        unassign: Runs that leave theirs.
        inherited: What fragments say below ``splits``, which a list of the recipe's own would replace.
    """

    croissant: str | None = None
    dataset: Mapping[str, Any] = field(default_factory=dict)
    project: Mapping[str, Any] = field(default_factory=dict)
    objects: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    assign: Mapping[str, Sequence[str]] = field(default_factory=dict)
    unassign: Sequence[str] = ()
    inherited: Mapping[str, Any] = field(default_factory=dict)

    @property
    def moved(self) -> set[str]:
        """The runs that go into a split or leave theirs."""
        return {*self.unassign, *(run for runs in self.assign.values() for run in runs)}

    def without_splits(self) -> Edits:
        return replace(self, assign={}, unassign=())

    def without_runs(self, names: Collection[str]) -> Edits:
        """Without what they say of the splits of some runs."""
        left = {split: [r for r in runs if r not in names] for split, runs in self.assign.items()}
        assign = {split: runs for split, runs in left.items() if runs}
        return replace(self, assign=assign, unassign=[r for r in self.unassign if r not in names])

    def __bool__(self) -> bool:
        said = (self.croissant, self.dataset, self.project, self.objects, self.assign, self.unassign)
        return any(said)


def edited(text: str, edits: Edits) -> str:
    """The text of a recipe with edits made.

    Args:
        text: A recipe that checks.
        edits: What it is to say.
    """
    yaml, before, after = _yaml(text), _load(text), _load(text)
    for key in ("dataset", "project"):
        for name, value in getattr(edits, key).items():
            _below(after, key)[name] = _plain(value)
    for name, attributes in edits.objects.items():
        _below(_below(after, "objects"), name).update({k: _plain(v) for k, v in attributes.items()})
    _take_out(after, [run for runs in edits.assign.values() for run in runs])
    for split, runs in edits.assign.items():
        assign = _below(_below(after, "splits"), "assign")
        assign[split] = _longer(assign.get(split, _plain(edits.inherited.get("assign", {}).get(split))), runs)
    if edits.unassign:
        splits = _below(after, "splits")
        there = splits.get("unassign", _plain(edits.inherited.get("unassign")))
        splits["unassign"] = _longer(there, edits.unassign)
    if edits.croissant is not None:
        _append(after, edits.croissant)
    return _merged(text, _dumped(yaml, before), _dumped(yaml, after))


def _append(document: Any, croissant: str) -> None:
    sources = _below(document, "sources")
    known = [name for name, spec in sources.items() if spec.get("croissant", {}).get("url") == croissant]
    names = (*known, "adopted", *(f"adopted-{i}" for i in range(2, len(sources) + 3)))
    source = next(n for n in names if n in known or n not in sources)
    if not known:
        sources[source] = {"croissant": {"url": croissant}}
    layers = document.setdefault("layers", [])
    if not any(layer.get("append") == source for layer in layers):
        layers.append({"append": source})


def _below(mapping: Any, key: str) -> Any:
    return mapping.setdefault(key, {})


def _take_out(document: Any, runs: Sequence[str]) -> None:
    """Runs that go into a split, out of where they stand by name."""
    splits = document.get("splits") or {}
    assign, names = splits.get("assign") or {}, {literal(run) for run in runs}
    for mapping, key in [*((assign, split) for split in list(assign)), (splits, "unassign")]:
        there = mapping.get(key)
        texts = [there] if isinstance(there, str) else there if isinstance(there, list) else []
        at = [i for i, text in enumerate(texts) if isinstance(text, str) and text in names]
        if at and len(at) == len(texts):
            del mapping[key]
        elif at:
            for i in reversed(at):
                del texts[i]


def _longer(there: Any, runs: Sequence[str]) -> Any:
    """One or more texts (or mappings), and more of them."""
    if isinstance(there, Mapping):
        # Without its comments, which its place keeps.
        there = CommentedMap(there)
        there.fa.set_flow_style()
    names = [there] if isinstance(there, str | Mapping) else there if there is not None else []
    names = names if isinstance(names, list) else list(names)
    names.extend(_plain(literal(run)) for run in runs if literal(run) not in names)
    return names


def literal(name: str) -> str:
    """A pattern that matches one name only."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)


def _plain(value: Any) -> Any:
    """Values as JSON has them; texts in quotes, since a recipe takes what looks like a number for one."""
    if isinstance(value, str):
        return DoubleQuotedScalarString(value.replace("${", "$${"))
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value


def _yaml(text: str) -> YAML:
    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.width = _WIDE
    yaml.brace_single_entry_mapping_in_flow_sequence = True
    _, indent, offset = load_yaml_guess_indent(text)
    offset = offset or 0
    yaml.indent(mapping=2, sequence=max(2, indent if indent and indent > offset + 1 else offset + 2), offset=offset)
    return yaml


def _load(text: str) -> Any:
    return _yaml(text).load(text)


def _dumped(yaml: YAML, document: Any) -> list[str]:
    stream = io.StringIO()
    yaml.dump(document, stream)
    return stream.getvalue().splitlines(keepends=True)


def _merged(text: str, before: Sequence[str], after: Sequence[str]) -> str:
    """The text, with those lines replaced in which what was made of it differs from what was made of it changed."""
    ours = text.splitlines(keepends=True)
    if ours and not ours[-1].endswith("\n"):
        ours[-1] += "\n"
    at = _positions(ours, before)
    merged: list[str] = []
    done = 0
    for tag, start, end, new_start, new_end in difflib.SequenceMatcher(
        None, before, after, autojunk=False
    ).get_opcodes():
        if tag == "equal":
            continue
        merged += [*ours[done : at[start]], *after[new_start:new_end]]
        done = at[end]
    return "".join([*merged, *ours[done:]])


def _positions(ours: Sequence[str], written: Sequence[str]) -> list[int]:
    """For every line as it is written, and for the end, the line of ours where it begins."""
    found = [0] * (len(written) + 1)
    found[-1] = len(ours)
    for tag, start, end, our_start, our_end in difflib.SequenceMatcher(
        None, written, ours, autojunk=False
    ).get_opcodes():
        for line in range(start, end):
            same = tag == "equal" or end - start == our_end - our_start
            found[line] = our_start + (line - start if same else 0)
    return found
