"""What a recipe says, whatever it looks like: the form that its digest is of."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from croissant_recipes.language.checked import CheckedRecipe


def digest(checked: CheckedRecipe) -> str:
    """Hex SHA-256 of the normal form. Comments, layout, the order of keys, and a default that is written out change
    nothing; a parameter's value counts, and so do the rows of the split file."""
    text = json.dumps(normal_form(checked), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


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
