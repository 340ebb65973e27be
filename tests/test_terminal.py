"""Progress: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import io

from croissant_recipes.terminal import Bars, Lines, progress_for


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_plain_lines_where_nobody_watches() -> None:
    stream = io.StringIO()
    progress = progress_for(stream)
    assert isinstance(progress, Lines)
    with progress.task("listing lab", 3) as task:
        task.extend(1)
        task.advance(2)
        task.advance()
    with progress.task("asking", None):
        pass
    assert stream.getvalue() == "listing lab: 3\nasking\n"


def test_a_bar_on_a_terminal() -> None:
    stream = Terminal()
    progress = progress_for(stream)
    assert isinstance(progress, Bars)
    with progress.task("reading files", 2) as task:
        task.extend(2)
        task.advance(3)
    shown = stream.getvalue()
    assert "reading files" in shown
    assert "3/4" in shown
