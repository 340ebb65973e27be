"""Compile a declarative recipe into an MLCommons Croissant dataset for cryo-electron tomography.

``load_recipe``, ``check``, ``plan`` and ``build`` are what the command ``croissant-recipe`` uses; ``from_croissant``,
``from_file`` and ``from_string`` open what was built, exactly.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from croissant_recipes.api import Checked, Planned, build, check, load_recipe, plan
    from croissant_recipes.codes import Code, ExitCode
    from croissant_recipes.diagnostics import Diagnostic, DiagnosticError, Severity, Span
    from croissant_recipes.opening.configs import from_file, from_string
    from croissant_recipes.opening.project import from_croissant
    from croissant_recipes.options import Options

__version__ = "0.1.0"

__all__ = [
    "Checked",
    "Code",
    "Diagnostic",
    "DiagnosticError",
    "ExitCode",
    "Options",
    "Planned",
    "Severity",
    "Span",
    "build",
    "check",
    "from_croissant",
    "from_file",
    "from_string",
    "load_recipe",
    "plan",
]

_HOMES = {
    "api": ("Checked", "Planned", "build", "check", "load_recipe", "plan"),
    "codes": ("Code", "ExitCode"),
    "diagnostics": ("Diagnostic", "DiagnosticError", "Severity", "Span"),
    "options": ("Options",),
    "opening.configs": ("from_file", "from_string"),
    "opening.project": ("from_croissant",),
}


def __getattr__(name: str) -> Any:
    """Public names are imported when they are first used, so that ``--help`` waits for nothing."""
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"croissant_recipes.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
