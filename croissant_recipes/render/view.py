"""How much of a report somebody wants to see, and what fits where it is shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size

from croissant_recipes.diagnostics import Paint, plain
from croissant_recipes.review.groups import Kind
from croissant_recipes.shown import printable, shown

WIDTH, HEIGHT = 80, 23
"""A terminal of 80 columns and 24 lines, the last of which is the next prompt's."""


@dataclass(frozen=True)
class View:
    """How much of a report somebody wants to see.

    Attributes:
        full: Every risk, group and row.
        verbose: That, and what each selector took, each rename and each request.
        only: Changes of these kinds only; empty for all.
        width: The columns that there are for a line. Where all is shown, lines are as long as they are.
        height: How many lines there are, ``None`` for as many as there are to say.
        paint: The colours.
    """

    full: bool = False
    verbose: bool = False
    only: frozenset[Kind] = frozenset()
    width: int = WIDTH
    height: int | None = HEIGHT
    paint: Paint = plain

    @property
    def whole(self) -> bool:
        """Whether all rows are shown."""
        return self.full or self.verbose

    @property
    def lines(self) -> int | None:
        """How many lines there may be, ``None`` for any number."""
        return None if self.whole else self.height

    def shows(self, kind: str) -> bool:
        return not self.only or kind in self.only


@dataclass(frozen=True)
class Line:
    """A line, and the role that colours it (``diagnostics.Paint``). What is most important of it comes first, but for
    ``end``, which stays where the line is cut."""

    text: str
    role: str = ""
    end: str = ""

    def within(self, width: int | None, paint: Paint) -> str:
        """It as it is shown, in at most so many columns."""
        # What is indented keeps its indent; the rest is of others.
        body = self.text.lstrip(" ")
        indent = self.text[: len(self.text) - len(body)]
        body, end = shown(body), shown(self.end) if self.end else ""
        if width is not None:
            room = width - len(indent) - cell_len(end)
            if end and room < width // 3:
                end, room = "", width - len(indent)
            body = cut(body, room)
        return indent + paint(body + end, self.role)


def cut(text: str, width: int) -> str:
    """A text in at most so many columns of a terminal."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, max(width - 1, 0)).rstrip() + "…"


def ending(path: str, width: int | None) -> str:
    """A path in at most so many columns: what it is called is at its end."""
    line = printable(path)
    if width is None or cell_len(line) <= width:
        return line
    kept = line
    while cell_len(kept) > width - 1:
        kept = kept[1:]
    return f"…{kept}"


Block = Sequence[Sequence[Line]]
"""Lines about one thing in several forms, the richest first. The n-th forms of all of a section belong together."""


@dataclass(frozen=True)
class Section:
    """Lines about things of one kind, of which fewer are shown where there is no room for all.

    Attributes:
        blocks: The things.
        more: What to say of so many that are not shown.
        head: Lines before them.
        n: How many things there are, where not all of them are in ``blocks``.
        minor: Its richer forms are given up before anything of what is not minor.
        least: How many things are shown at least.
    """

    blocks: Sequence[Block]
    more: Callable[[int], str] = str
    head: Sequence[Line] = ()
    n: int = -1
    minor: bool = False
    least: int = 1

    @property
    def of(self) -> int:
        return len(self.blocks) if self.n < 0 else self.n

    @property
    def forms(self) -> int:
        return max((len(block) for block in self.blocks), default=1)

    @property
    def last(self) -> int:
        """The leanest level: after the forms, one thing fewer at each."""
        return self.forms - 1 + max(len(self.blocks) - self.least, 0)

    def lines(self, level: int) -> list[Line]:
        """All of it at a level, from 0, the richest."""
        form = min(level, self.forms - 1)
        told = self.blocks[: len(self.blocks) - (level - form)]
        body = [line for block in told for line in block[min(form, len(block) - 1)]]
        left = self.of - len(told)
        return [*self.head, *body, *([Line(self.more(left))] if left and self.of else [])] if self.of else []


def fitted(sections: Sequence[Section], height: int | None) -> list[list[Line]]:
    """The lines of each section that has some, in at most so many: what is longest gives up most, and where there is
    hardly any room the last ones are left out. Between two of them is an empty line, unless something would have to be
    left out for it.
    """
    levels = [0] * len(sections)
    told = [section.lines(0) for section in sections]

    def used() -> int:
        return sum(map(len, told))

    while height is not None and used() + sum(map(bool, told)) - 1 > height:
        forms = [i for i, section in enumerate(sections) if levels[i] < section.forms - 1]
        minor = [i for i in forms if sections[i].minor]
        if not minor and used() <= height:
            return [[line for lines in told for line in lines]]
        left = minor or forms or [i for i, section in enumerate(sections) if levels[i] < section.last]
        if not left:
            while told and used() > height:
                told.pop()
            return [lines] if (lines := [line for lines in told for line in lines]) else []
        i = max(left, key=lambda i: len(told[i]))
        levels[i] += 1
        told[i] = sections[i].lines(levels[i])
    return [lines for lines in told if lines]
