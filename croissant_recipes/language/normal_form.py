"""What a recipe says, whatever it looks like: the form that its digest is of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from croissant_recipes.language.checked import CheckedRecipe
from croissant_recipes.location import without_credentials


def digest(checked: CheckedRecipe) -> str:
    """Hex SHA-256 of the normal form. Comments, layout, the order of keys, and a default that is written out change
    nothing; a parameter's value counts, and so do the rows of the split file."""
    text = json.dumps(normal_form(checked), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


Parts = Mapping[str, Any]
"""Digests of the parts of a recipe, as far down as a reviewer tells them apart: nested mappings of texts."""

_DEEP = {"sources": 3, "outputs": 2, "splits": 2, "objects": 1, "dataset": 1, "project": 1, "output": 1, "base": 0}
"""How deep below each key parts are told apart. Layers are known by what they do, wherever they stand."""


def parts(checked: CheckedRecipe) -> Parts:
    """Digests of what a recipe says beside its layers, by where it says it: ``{"sources": {"lab": {"copick": {"config":
    "…"}}}}``. By them it is known later which part of it was another one."""
    form = normal_form(checked)
    for result in form.get("outputs", {}).values():
        # It keeps names secret, and may be short enough to be guessed.
        result.pop("mask_key", None)
    if "split_rows" in form:
        form["splits"] = {**form.get("splits", {}), "file": form.pop("split_rows")}
    return {key: _digests(form[key], deep) for key, deep in sorted(_DEEP.items()) if key in form}


def _digests(value: Any, deep: int) -> Any:
    if deep and isinstance(value, dict):
        return {key: _digests(inner, deep - 1) for key, inner in sorted(value.items())}
    text = json.dumps(_shown(value), sort_keys=True, ensure_ascii=False)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _shown(value: Any) -> Any:
    """Without credentials, which say how a place is reached."""
    if isinstance(value, dict):
        return {key: _shown(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(inner) for inner in value]
    return without_credentials(value) if isinstance(value, str) else value


def normal_form(checked: CheckedRecipe) -> dict[str, Any]:
    """The recipe as plain JSON values, parameters filled in and defaults left out, without arguments of filesystems:
    they may hold credentials, and say how a place is reached and not what is there."""
    form = checked.recipe.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude={"params", "include"})
    plain: dict[str, Any] = _without_fs_args(form)
    if checked.split_rows:
        plain["split_rows"] = sorted([row.split, row.run] for row in checked.split_rows)
    return plain


def _without_fs_args(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_fs_args(v) for k, v in value.items() if k != "fs_args"}
    return [_without_fs_args(v) for v in value] if isinstance(value, list | tuple) else value
