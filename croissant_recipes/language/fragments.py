"""Fragments: what recipes share, laid under the recipe that includes it before anything of it is looked at.

They are merged as plain values with the place of each: every rule, parameter and message works as if the recipe said it
all, at the place in the fragment where it stands.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path as FilePath
from typing import Any

from croissant_recipes import intake
from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import Diagnostic, Span, did_you_mean, joined
from croissant_recipes.intake import TODAY, Files
from croissant_recipes.language import model_problems, yaml_nodes
from croissant_recipes.language.recipe import FRAGMENT_KEYS, Recipe
from croissant_recipes.language.yaml_nodes import Document, Path, Place
from croissant_recipes.location import is_url

_DEEPEST = 10
_MOST = 100
_PATHS: Sequence[Path] = (("splits", "file"),)
"""Values that are paths, and start at the file in which they stand."""


def included(document: Document, files: Files = TODAY) -> tuple[Document | None, list[Diagnostic]]:
    """A recipe with what it includes. Its own values come first, then those of later fragments; mappings are laid over
    each other key by key. There is no document where a fragment cannot be read: what the recipe says is not known then.

    Args:
        document: The recipe as it stands in its file, a mapping.
        files: Where fragments are read.
    """
    assert isinstance(document.value, dict)
    if "include" not in document.value:
        return document, []
    reader = _Reader(files, len(document.places))
    recipe = _File(document, os.path.realpath(document.file), os.path.realpath(os.path.dirname(document.file)))
    below = reader.below(recipe, ())
    return (None if reader.failed else _laid_over(document, below)), reader.found


def is_fragment(value: Mapping[str, object]) -> bool:
    """Whether a file that was given as a recipe is a fragment of one."""
    return bool(value) and value.keys() <= set(FRAGMENT_KEYS)


def inherited(document: Document, key: str) -> dict[str, Any]:
    """What only fragments say below a key of a recipe with what it includes."""

    def of_fragments(value: object, path: Path) -> object:
        if isinstance(value, dict):
            found = {k: of_fragments(child, (*path, k)) for k, child in value.items()}
            return {k: child for k, child in found.items() if child is not None}
        return value if document.places[path].value.file != document.file else None

    value = document.value.get(key, {}) if isinstance(document.value, dict) else {}
    found = of_fragments(value, (key,))
    return found if isinstance(found, dict) else {}


def from_recipe(document: Document) -> Document:
    """With the paths that stand in fragments as they are for the recipe, parameters filled in."""
    for path in _PATHS:
        place = document.places.get(path)
        if place is not None and place.value.file != document.file and not place.unresolved:
            document = replace(document, value=_moved(document.value, path, place, os.path.dirname(document.file)))
    return document


def _moved(value: object, path: Path, place: Place, folder: str) -> object:
    if path and isinstance(value, dict):
        return {**value, path[0]: _moved(value[path[0]], path[1:], place, folder)}
    if not isinstance(value, str) or is_url(value) or os.path.isabs(value):
        return value
    target = os.path.join(os.path.dirname(place.value.file), value)
    return FilePath(os.path.relpath(target, folder or ".")).as_posix()


@dataclass(frozen=True)
class _File:
    """A recipe or fragment.

    Attributes:
        document: What it says.
        real: Its path, links followed.
        tree: The folder, links followed, that relative paths in it cannot leave.
    """

    document: Document
    real: str
    tree: str


@dataclass
class _Reader:
    files: Files
    values: int
    size: int = 0
    entries: int = 0
    failed: bool = False
    found: list[Diagnostic] = field(default_factory=list)
    read: dict[tuple[str, str], Document | None] = field(default_factory=dict)

    def below(self, file: _File, above: tuple[_File, ...]) -> Document:
        """What a file includes, as one document.

        Args:
            above: The files that lead to it, the recipe first.
        """
        document, chain = file.document, (*above, file)
        result = Document(document.file, {}, {})
        for path, text in self._entries(document, is_recipe=not above):
            self.entries += 1
            span = document.value_span(*path)
            if self.entries > _MOST:
                self._refuse(span, f"the recipe includes more than {_MOST} fragments", "put them together")
                break
            fragment = self._fragment(text, span, chain)
            if fragment is not None:
                result = _laid_over(fragment, result)
        return result

    def _entries(self, document: Document, *, is_recipe: bool) -> list[tuple[Path, str]]:
        assert isinstance(document.value, dict)
        given = document.value.get("include", [])
        entries: list[tuple[Path, object]] = [(("include",), given)]
        if isinstance(given, list):
            entries = [(("include", i), text) for i, text in enumerate(given)]
        texts = [(path, text) for path, text in entries if isinstance(text, str) and text.strip()]
        if len(texts) < len(entries) and not is_recipe:
            # Of the recipe's own the model says it.
            span = document.value_span("include")
            self._refuse(span, "include must be the path of a fragment, or a list of paths", code=Code.TYPE)
        return texts

    def _fragment(self, text: str, span: Span, chain: tuple[_File, ...]) -> Document | None:
        """A fragment with all that it includes itself. ``chain`` are the files that lead to it, the recipe first."""
        file = chain[-1]
        shown = os.path.join(os.path.dirname(file.document.file), text)
        if not self._is_place(text, shown, span, chain):
            return None
        real = os.path.realpath(shown)
        tree = os.path.dirname(real) if os.path.isabs(text) else file.tree
        if real in (earlier.real for earlier in chain):
            names = [*(os.path.basename(each.document.file) for each in chain), os.path.basename(text)]
            hint = "take what both need into a third fragment"
            self._refuse(span, f"a fragment includes itself: {' → '.join(names)}", hint, Code.FRAGMENT_CYCLE)
            return None
        if len(chain) > _DEEPEST:
            self._refuse(span, f"fragments include each other more than {_DEEPEST} deep", "include it from the recipe")
            return None
        if (real, tree) not in self.read:
            document = self._document(text, shown, span)
            if document is not None:
                document = self._kept(document)
                document = _laid_over(document, self.below(_File(document, real, tree), chain))
            self.read[real, tree] = document
        return self.read[real, tree]

    def _is_place(self, text: str, shown: str, span: Span, chain: tuple[_File, ...]) -> bool:
        tree = chain[-1].tree
        if "${" in text:
            self._refuse(span, "an included path takes no parameter", "write it out; values in the fragment take them")
        elif is_url(text):
            self._refuse(span, f"{text} is no file of this machine", "keep the fragment beside the recipe")
        elif "\0" in text:
            self._refuse(span, "no file has such a name", "give the path of a fragment")
        elif not os.path.isabs(text) and not _is_below(os.path.realpath(shown), tree):
            folder = "the recipe's folder" if tree == chain[0].tree else "the folder of the fragment"
            linked = _is_below(os.path.normpath(os.path.join(os.path.dirname(chain[-1].real), text)), tree)
            message = f"{text!r} leads out of {folder}" + " by a link" * linked
            hint = "move it below that folder, or give its path absolutely"
            self._refuse(span, message, hint, Code.FRAGMENT_OUTSIDE)
        else:
            return True
        return False

    def _document(self, text: str, shown: str, span: Span) -> Document | None:
        try:
            data = self.files.read(shown, intake.RECIPE_BYTES)
        except OSError as error:
            reason = error.strerror or error
            self._refuse(span, f"the fragment {text!r} cannot be read: {reason}", _beside(shown))
            return None
        self.size += len(data)
        if self.size > intake.RECIPE_BYTES:
            most = intake.RECIPE_BYTES // intake.MIB
            self._refuse(span, f"what the recipe includes is larger than {most} MiB", "include less of it")
            return None
        content, found = yaml_nodes.decoded(data, shown, Code.FRAGMENT)
        document = None
        if content is not None:
            document, found = yaml_nodes.parse(content, shown, begin="a key such as `objects:`")
        self.found += found
        if document is None:
            self.failed = True
            return None
        self.values += len(document.places)
        if self.values > yaml_nodes.NODE_LIMIT:
            message = f"the recipe and what it includes hold more than {yaml_nodes.NODE_LIMIT:,} values"
            self._refuse(span, message, "write runs as patterns, or in a split file")
            return None
        if not isinstance(document.value, dict):
            message = f"a fragment is a mapping of keys to values, not {model_problems.described(document.value)}"
            self._refuse(document.value_span(), message, f"a fragment has {joined(FRAGMENT_KEYS)}")
            return None
        return document

    def _kept(self, document: Document) -> Document:
        """A fragment without the keys that it cannot have."""
        assert isinstance(document.value, dict)
        for key in document.value.keys() - set(FRAGMENT_KEYS):
            span = document.key_span(key)
            if key in Recipe.model_fields:
                message = f"{key!r} belongs to a recipe, not to a fragment"
                hint = f"a fragment has {joined(FRAGMENT_KEYS)}"
                if key == "params":
                    hint = "declare parameters in the recipe; values in the fragment can use them"
                self.found.append(Diagnostic(Code.FRAGMENT_KEY, message, span=span, hint=hint))
            else:
                hint = did_you_mean(key, FRAGMENT_KEYS, what="known keys are") or ""
                message = f"unknown key {key!r} in a fragment"
                self.found.append(Diagnostic(Code.UNKNOWN_KEY, message, span=span, hint=hint))
        kept = {key: value for key, value in document.value.items() if key in FRAGMENT_KEYS}
        return replace(document, value=kept)

    def _refuse(self, span: Span, message: str, hint: str | None = None, code: Code = Code.FRAGMENT) -> None:
        self.failed = True
        self.found.append(Diagnostic(code, message, span=span, hint=hint))


def _is_below(path: str, folder: str) -> bool:
    return path.startswith(folder.rstrip(os.sep) + os.sep)


def _beside(shown: str) -> str | None:
    """A hint with the nearest files of the folder."""
    folder = os.path.dirname(shown) or "."
    if os.path.lexists(shown):
        return "give the path of a YAML file"
    try:
        names = [name for name in os.listdir(folder) if name.endswith((".yaml", ".yml"))]
    except OSError:
        return f"there is no folder {folder}"
    return did_you_mean(os.path.basename(shown), names)


def _laid_over(above: Document, below: Document) -> Document:
    """One document over another. ``include`` is each file's own."""
    if not below.value:
        return above
    places = dict(above.places)

    def lay(over: object, under: object, path: Path) -> object:
        if not (isinstance(over, dict) and isinstance(under, dict)):
            return over
        result = dict(over)
        for key, child in under.items():
            here = (*path, key)
            if here == ("include",):
                continue
            if key in over:
                result[key] = lay(over[key], child, here)
            else:
                result[key] = child
                take(child, here)
        return result

    def take(value: object, path: Path) -> None:
        places[path] = below.places[path]
        children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, child in children:
            take(child, (*path, key))

    return Document(above.file, lay(above.value, below.value, ()), places)
