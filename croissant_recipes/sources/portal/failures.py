"""What a portal that cannot be read means to the user."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import Diagnostic, DiagnosticError
from croissant_recipes.sources.portal.query import NotCachedError, PortalError


@contextmanager
def reported(subject: str, datasets: Sequence[int], url: str) -> Iterator[None]:
    """Turns a query without an answer into the diagnostic that names it.

    Args:
        subject: What the datasets are read for, as messages name it.

    Raises:
        DiagnosticError: ``UNREACHABLE``, or ``CACHE`` where only cached answers are allowed.
    """
    try:
        yield
    except PortalError as error:
        where = f"{subject}, {numbers('dataset', datasets)}"
        if isinstance(error, NotCachedError):
            message = f"{where}: no cached answer for the query of {error.query.what}"
            raise DiagnosticError(Diagnostic(Code.CACHE, message, hint="run it once without --offline")) from error
        message = f"{where}: {url} gives no answer to the query of {error.query.what}: {error.reason}"
        raise DiagnosticError(Diagnostic(Code.UNREACHABLE, message, hint="try again later")) from error


def no_datasets(subject: str, missing: Sequence[int], url: str) -> DiagnosticError:
    """The error for datasets that the portal does not have."""
    return DiagnosticError(
        *(
            Diagnostic(
                Code.DATASET_UNKNOWN,
                f"{subject}: the portal at {url} has no dataset {dataset}",
                hint="https://cryoetdataportal.czscience.com lists the datasets with their ids",
            )
            for dataset in missing
        )
    )


def numbers(what: str, values: Sequence[int], limit: int = 8) -> str:
    """``datasets 10000, 10440``."""
    shown = ", ".join(map(str, values[:limit])) + (f" and {len(values) - limit} more" if len(values) > limit else "")
    return f"{what}{'' if len(values) == 1 else 's'} {shown}"
