"""What PyYAML's syntax errors mean, in the words of someone who writes a recipe."""

from __future__ import annotations

import re
from dataclasses import dataclass

import yaml

from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import Diagnostic, Span


@dataclass(frozen=True)
class _Rule:
    """One kind of syntax error.

    Attributes:
        pattern: Matches PyYAML's ``context: problem``.
        message: What is wrong; ``{1}`` is the pattern's first group.
        hint: What would be right.
        at_start: Whether the trouble is where the construct starts rather than where PyYAML gave up.
    """

    pattern: str
    message: str
    hint: str
    at_start: bool = False


_RULES = (
    _Rule(r"found character '\\t'", "a tab stands where YAML allows only spaces", "indent with spaces"),
    _Rule(
        r"found character '(.)' that cannot start",
        "a text cannot begin with {1!r}",
        "put it in quotes",
    ),
    _Rule(
        r"^while (?:parsing a tag|scanning a tag)|tag handle", "a text cannot begin with '!'", "put it in quotes", True
    ),
    _Rule(r"^while scanning a directive", "a text cannot begin with '%'", "put it in quotes", at_start=True),
    _Rule(
        r"another document",
        "a second YAML document begins here",
        "a recipe is one document; remove the line `---` or write a second file",
    ),
    _Rule(
        r"quoted scalar: found unexpected (end of stream|document separator)",
        "the quote is never closed",
        "close it on the same line",
        at_start=True,
    ),
    _Rule(
        r"quoted scalar: (found unknown escape|expected escape)",
        "a backslash in double quotes must begin an escape, and this one does not",
        "use single quotes, in which a backslash is only a backslash",
    ),
    _Rule(
        r"flow (?:sequence|mapping): expected ',' or '(.)', but got '<(?:stream end|document)",
        "the closing {1!r} is missing",
        "close the list or mapping that begins here",
        at_start=True,
    ),
    _Rule(
        r"flow (?:sequence|mapping): expected ',' or '.', but got '\?'",
        "inside '[…]' or '{{…}}' a text with '?' needs quotes",
        "put it in quotes, such as 'membrane?multilabel=true'",
    ),
    _Rule(
        r"flow (?:sequence|mapping): expected ',' or '(.)'",
        "a ',' or the closing {1!r} is missing",
        "the list or mapping begins at line {line}, column {column}",
    ),
    _Rule(
        r"mapping values are not allowed",
        "': ' makes a key of what stands before it, and no key can stand there",
        "put a text that holds ': ' in quotes, or check the indentation",
    ),
    _Rule(
        r"block mapping: expected <block end>, but found '-'",
        "a list item stands among the keys of a mapping",
        "indent it below the key that it belongs to",
    ),
    _Rule(
        r"block collection: expected <block end>, but found '\?'",
        "a key stands among the items of a list",
        "begin the item with '- ', or check the indentation",
    ),
    _Rule(
        r"expected <block end>, but found '<block",
        "the indentation fits nothing above",
        "keys of one mapping, and items of one list, begin in one column",
    ),
    _Rule(
        r"expected <block end>, but found",
        "there is more after the end of the value",
        "put the whole value in quotes",
    ),
    _Rule(
        r"simple key: could not find expected ':'",
        "a key without ':'",
        "write `key: value`",
        at_start=True,
    ),
    _Rule(r"sequence entries are not allowed", "a list cannot begin here", "begin it on the next line"),
    _Rule(r"mapping keys are not allowed", "a text cannot begin with '? '", "put it in quotes"),
    _Rule(
        r"found undefined alias '(.*)'",
        "'*' begins an alias, and nothing is anchored as '&{1}'",
        "put a text that begins with '*' in quotes",
    ),
    _Rule(
        r"^while scanning an (?:alias|anchor)",
        "'*' and '&' mean something else at the start of a text",
        "put it in quotes, such as '*:*'",
        at_start=True,
    ),
    _Rule(
        r"^while scanning a block scalar",
        "'>' and '|' begin a block of text",
        "put it in quotes, such as '>= 10'",
        at_start=True,
    ),
    _Rule(
        r"expected the node content, but found '(.*)'",
        "a value is missing before {1!r}",
        "put a text that begins with {1!r} in quotes",
    ),
    _Rule(
        r"expected '<document start>'",
        "there is more after the end of the document",
        "a recipe is one mapping of keys to values",
    ),
    _Rule(r"duplicate anchor '(.*)'; ", "the anchor '&{1}' stands twice", "give each anchor a name of its own"),
    _Rule(
        r"special characters are not allowed",
        "a control character cannot stand in a YAML file",
        'remove it; in double quotes it can be written as an escape, such as "\\x07"',
    ),
)


def diagnostic(error: yaml.YAMLError, text: str, file: str) -> Diagnostic:
    """The diagnostic for a text that PyYAML cannot parse."""
    problem = _problem(error)
    start, end = _position(getattr(error, "context_mark", None)), _position(getattr(error, "problem_mark", None))
    if isinstance(error, yaml.reader.ReaderError):
        before = text[: error.position]
        end = (before.count("\n") + 1, error.position - (before.rfind("\n") + 1) + 1)
    for rule in _RULES:
        if match := re.search(rule.pattern, problem):
            line, column = (start if rule.at_start else None) or end or start or (1, 1)
            begins = start or (line, column)
            groups = (match.group(0), *match.groups())
            hint = rule.hint.format(*groups, line=begins[0], column=begins[1])
            return Diagnostic(Code.YAML, rule.message.format(*groups), span=Span(file, line, column), hint=hint)
    line, column = end or start or (1, 1)
    return Diagnostic(Code.YAML, problem, span=Span(file, line, column))


def _problem(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError):
        return ": ".join(str(part) for part in (error.context, error.problem) if part)
    return str(getattr(error, "reason", error))


def _position(mark: yaml.Mark | None) -> tuple[int, int] | None:
    return (mark.line + 1, mark.column + 1) if mark else None
