"""What in a result tells which run a masked one is, though it is called otherwise: above all, where its data lies."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from croissant_recipes import tables
from croissant_recipes.codes import Code
from croissant_recipes.compiler.planner import Plan
from croissant_recipes.croissant.content import Content
from croissant_recipes.diagnostics import Diagnostic, Severity, key_text
from croissant_recipes.schema import RECORD_SETS
from croissant_recipes.tables import Mask

_SHOWN = 5
_AT_ONCE = 200
"""How many names one expression looks for."""

_TELLING = 4
"""How long a name is that says something wherever it stands. A run may be called 10."""

_NUMBER = re.compile(r"[0-9A-Fa-f]+")
_OF_NUMBERS = "0-9A-Za-z"

_OF_PORTAL = r"//(?:cryoet-data-portal-public|files\.cryoetdataportal\.cziscience\.com)/"
"""What the address of data of the portal holds: anybody can look up there which run it is of."""


def find(plan: Plan, content: Content, manifest: Mapping[str, Any]) -> list[Diagnostic]:
    """What gives masked runs away in a result.

    Args:
        plan: Of the result.
        content: What would be written, with what others changed if that is kept.
        manifest: Its metadata document.
    """
    names = plan.hidden.names
    if not names:
        return []
    known = _known_as(plan)
    everywhere = sorted({n for found in known.values() for n in found if len(n) >= _TELLING})
    others = sorted(set(content.tables["runs"]["name"]) - known.keys(), key=len, reverse=True)
    others = [run for run, holds in zip(others, _holding(_array(others), everywhere), strict=True) if holds]
    rows = list(_in_rows(content, known, everywhere, others))
    found = [_of_rows(plan, rows)] if rows else []
    said = list(_texts(manifest, ""))
    telling = _beside(_array([text for _, text in said]), everywhere, lambda _: others)
    places = [f"{place}: {text}" for (place, text), tells in zip(said, telling, strict=True) if tells]
    if places:
        message = f"metadata of outputs.{plan.target.spec.name} names masked runs"
        hint = "say it otherwise in the recipe (`dataset`, `project`, `objects`), in the base or in the source"
        found.append(_told(plan, message, hint, places))
    return [*found, *_inside_files(plan, content, known)]


def _told(plan: Plan, message: str, hint: str, lines: Sequence[str]) -> Diagnostic:
    span = plan.checked.document.key_span(*plan.target.spec.path, "mask_runs")
    more = (f"and {len(lines) - _SHOWN} more",) if len(lines) > _SHOWN else ()
    return Diagnostic(Code.GIVEN_AWAY, message, span=span, hint=hint, notes=(*lines[:_SHOWN], *more))


def _of_rows(plan: Plan, lines: Sequence[str]) -> Diagnostic:
    rows = "1 row of it tells" if len(lines) == 1 else f"{len(lines):,} rows of it tell"
    message = f"outputs.{plan.target.spec.name} masks runs, and {rows} which they are"
    hint = (
        "withhold these types too; or copy the data to where no folder or file is called after the run, and take the "
        "rows from a Croissant that refers to it there"
    )
    return _told(plan, message, hint, lines)


def _inside_files(plan: Plan, content: Content, known: Collection[str]) -> Iterator[Diagnostic]:
    """What cannot be seen from rows: copick writes the name of the run into every file of picks."""
    shown = int(content.tables["picks"]["run"].isin(known).sum())
    if shown:
        files = "1 file" if shown == 1 else f"{shown:,} files"
        message = (
            f"outputs.{plan.target.spec.name} shows {files} of picks of masked runs, and copick writes into them which"
        )
        hint = "withhold picks of these splits too, unless the files have been written anew with another `run_name`"
        span = plan.checked.document.key_span(*plan.target.spec.path, "mask_runs")
        yield Diagnostic(Code.GIVEN_AWAY, f"{message} run they are of", Severity.WARNING, span=span, hint=hint)


def _known_as(plan: Plan) -> dict[str, set[str]]:
    """What masked runs are called anywhere, by their masked names: in the recipe's results, the sources, the portal."""
    masked = plan.hidden.names
    known = {name: {run} for run, name in masked.items()}
    for layer in plan.resolution.layers.values():
        table = layer.tables["runs"]
        taken = table[table["name"].isin(masked.keys())]
        source = layer.stock.table("runs").iloc[taken["row"]]
        for column in ("name", "run_alias", "portal_run_id"):
            if column in source:
                for run, called in zip(taken["name"], source[column], strict=True):
                    known[masked[run]] |= {called} if called else set()
    return known


def _in_rows(
    content: Content, known: Mapping[str, set[str]], everywhere: Sequence[str], others: Sequence[str]
) -> Iterator[str]:
    """A line for each row that tells. A row of a run that is not masked may say what that is called, though a masked
    one's name be part of it (``TS_1`` of ``TS_1_b``); so may a row of no run of all of them, ``others``."""
    short = {run: sorted(n for n in names if len(n) < _TELLING) for run, names in known.items()}
    for name, schema in RECORD_SETS.items():
        table = content.tables[name]
        if not len(table):
            continue
        owner = "run" if "run" in schema.columns else "name" if name == "runs" else None
        owners = None if owner is None else table[owner]

        def may_say(at: int, owners: pd.Series | None = owners) -> Sequence[str]:
            run = None if owners is None else owners.iloc[at]
            return others if run is None else [] if run in known else [run]

        for column in schema.texts:
            texts = tables.arrow_texts(table[column])
            telling = _beside(texts, everywhere, may_say)
            if owner is not None and column == "url":
                for run, own in short.items():
                    if own:
                        telling |= (table[owner] == run).to_numpy() & _holding(texts, own)
            if column == "url" and owner is not None:
                of_portal = table[column].str.contains(_OF_PORTAL, regex=True)
                telling |= (table[owner].isin(known.keys()) & of_portal).to_numpy(dtype=np.bool_)
            if telling.any():
                rows = table[telling]
                keys = rows[list(schema.key)].itertuples(index=False, name=None)
                for key, text in zip(keys, rows[column], strict=True):
                    yield f"{name}: {key_text(key)}: {column} {text}"


def _beside(texts: pa.Array, names: Sequence[str], others: Callable[[int], Sequence[str]]) -> Mask:
    """Which texts hold one of some names, beside those that the text at a position may hold."""
    found = _holding(texts, names)
    for at in np.flatnonzero(found).tolist():
        if beside := others(at):
            either = "|".join(map(re.escape, beside))
            found[at] = _holding(_array([re.sub(either, "/", unquote(texts[at].as_py()), flags=re.I)]), names)[0]
    return found


def _holding(texts: pa.Array, names: Sequence[str]) -> Mask:
    """Which texts hold one of some names, as a word of its own, whatever its capitals; as an address has it, too."""
    found = _matching(texts, names)
    encoded = pc.match_substring(texts, "%").to_numpy(zero_copy_only=False).astype(np.bool_)
    if encoded.any():
        found[encoded] |= _matching(
            _array([unquote(text) for text in texts.filter(pa.array(encoded)).to_pylist()]), names
        )
    return found


def _matching(texts: pa.Array, names: Sequence[str]) -> Mask:
    found = np.zeros(len(texts), dtype=np.bool_)
    for at in range(0, len(names), _AT_ONCE):
        pattern = "|".join(map(_word, names[at : at + _AT_ONCE]))
        held = pc.match_substring_regex(texts, pattern, ignore_case=True)
        found |= held.to_numpy(zero_copy_only=False).astype(np.bool_)
    return found


def _word(name: str) -> str:
    """An expression for a name that no longer word goes on from: ``TS_1`` is in ``TS_1gt``, and not in ``TS_12``. What
    may be part of a number or checksum is in none of them."""
    ends = [_OF_NUMBERS] * 2 if _NUMBER.fullmatch(name) else [_going_on(name[0]), _going_on(name[-1])]
    return f"(?:^|[^{ends[0]}]){re.escape(name)}(?:[^{ends[1]}]|$)"


def _going_on(character: str) -> str:
    """What a word goes on with beside a character."""
    return "0-9" if character.isdecimal() else "A-Za-z" if character.isalpha() else r"\x00"


def _array(texts: Sequence[str]) -> pa.Array:
    return pa.array(texts, pa.large_string())


def _texts(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """Every text in a document, keys too, with where it stands."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            here = f"{place}.{key}" if place else str(key)
            yield here, str(key)
            yield from _texts(inner, here)
    elif isinstance(value, list | tuple):
        for i, inner in enumerate(value):
            yield from _texts(inner, f"{place}[{i}]")
