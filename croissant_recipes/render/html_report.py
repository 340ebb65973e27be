"""Reports as one HTML page that needs nothing but itself: no request leaves it, and without its script it reads too."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from croissant_recipes import __version__
from croissant_recipes.render import page_view, summary
from croissant_recipes.report import Report
from croissant_recipes.shown import printable, shown

_EXPORTS = re.compile(r"\bexport\s*\{([^{}]*)\}\s*;?")
"""What a bundle of ECMAScript modules ends in; the licences of what is in it follow."""


def page(reports: Sequence[Report]) -> str:
    """The page of some reports. The same reports give the same bytes with the same versions of this and of itables."""
    environment = _environment()
    style, script = _style(), _script()
    text = environment.get_template("report.html.jinja").render(
        title=_title(reports),
        results=[page_view.of(report, number) for number, report in enumerate(reports, 1)],
        style=Markup(style),
        script=Markup(script),
        policy=f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
        "base-uri 'none'; form-action 'none'",
        version=__version__,
    )
    return text.strip() + "\n"


def _title(reports: Sequence[Report]) -> str:
    between = {report.between for report in reports}
    if len(between) == 1 and (named := between.pop()) is not None:
        return shown(f"{named[0]} → {named[1]}")
    names = list(dict.fromkeys(report.path for report in reports))
    return shown(f"Plan of {names[0]}" if len(names) == 1 else f"Plans of {len(names)} recipes")


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("croissant_recipes.render", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    environment.filters |= {
        "shown": lambda value: shown(str(value)),
        "sentence": lambda cause: shown(summary.sentence(cause)),
        "place": summary.place,
    }
    return environment


def _finalize(value: Any) -> Any:
    """Nothing that controls how text reads gets into the page."""
    return value if isinstance(value, Markup) else printable(str(value))


def _read(name: str) -> str:
    return (Path(__file__).parent / "page" / name).read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def _style() -> str:
    return _read("report.css")


@lru_cache(maxsize=1)
def _script() -> str:
    """A module in which the library of the tables comes first, and then ours.

    Raises:
        RuntimeError: If the installed itables has no bundle of the form that is known.
    """
    from itables import options

    bundle = Path(options.dt_bundle).read_text(encoding="utf-8")
    found = list(_EXPORTS.finditer(bundle))
    parts = [part.split(" as ") for part in found[-1][1].split(",")] if found else []
    name = next((part[0].strip() for part in parts if part[-1].strip() == "default"), None)
    if name is None:
        raise RuntimeError(f"itables {version('itables')} does not export DataTables as its default")
    library = bundle[: found[-1].start()] + bundle[found[-1].end() :]
    whole = f"{library}\n{{\nconst DataTable = {name};\n{_read('report.js')}}}\n"
    # In a page these would end the script, or keep it from ending.
    return re.sub(r"<(?=!--|/?script)", r"\\x3c", whole, flags=re.IGNORECASE)


def _digest(text: str) -> str:
    """What a Content-Security-Policy lets a page run, or style itself by."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
