"""Jinja2 templates of names, worked out within bounds.

Jinja2 reads a template, and its syntax tree is worked out here instead of being compiled: only what this module knows
can be asked for, so that no template reaches an attribute or a method, and every value is measured as it is made. A
value is a text, a number, true, false or a list of those, which look the same in every process.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment
    from jinja2.nodes import EvalContext, Node

FILTERS = frozenset(
    [
        "abs",
        "capitalize",
        "center",
        "count",
        "d",
        "default",
        "first",
        "float",
        "format",
        "int",
        "join",
        "last",
        "length",
        "lower",
        "replace",
        "reverse",
        "round",
        "string",
        "title",
        "trim",
        "truncate",
        "upper",
        "wordcount",
    ]
)
TESTS = frozenset(
    [
        "boolean",
        "defined",
        "divisibleby",
        "eq",
        "equalto",
        "even",
        "false",
        "float",
        "ge",
        "greaterthan",
        "gt",
        "in",
        "integer",
        "le",
        "lessthan",
        "lower",
        "lt",
        "ne",
        "none",
        "number",
        "odd",
        "string",
        "true",
        "undefined",
        "upper",
        "==",
        "!=",
        "<",
        "<=",
        ">",
        ">=",
    ]
)

LONGEST = 1000
"""Characters of a text that a template makes, at any step."""

_MOST_STEPS = 10_000
_LARGEST = 10**15
_LONGEST_ARGUMENT = 200
_WIDTH = re.compile(r"[0-9]{4,}|\*")

_BINARY: Mapping[str, Callable[[Any, Any], Any]] = {
    "Add": operator.add,
    "Sub": operator.sub,
    "Mul": operator.mul,
    "Div": operator.truediv,
    "FloorDiv": operator.floordiv,
    "Mod": operator.mod,
}
_COMPARED: Mapping[str, Callable[[Any, Any], Any]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "gteq": operator.ge,
    "lt": operator.lt,
    "lteq": operator.le,
    "in": lambda a, b: a in b,
    "notin": lambda a, b: a not in b,
}
KNOWN = frozenset(
    [
        "Template",
        "Output",
        "TemplateData",
        "Name",
        "Const",
        "List",
        "Tuple",
        "Filter",
        "Test",
        "If",
        "CondExpr",
        "For",
        "Assign",
        "Compare",
        "Operand",
        "And",
        "Or",
        "Not",
        "Neg",
        "Pos",
        "Concat",
        "Keyword",
    ]
) | frozenset(_BINARY)
"""The kinds of node of a syntax tree that a template may have."""


@cache
def environment() -> Environment:
    """What reads templates."""
    from jinja2 import Environment

    return Environment()


def render(tree: Node, values: Mapping[str, object]) -> str:
    """The text of a template over some values.

    Args:
        tree: The syntax tree, all of whose nodes are ``KNOWN``.
        values: By name. A name that is not there is the empty text.

    Raises:
        ValueError: An operation fails, or makes more than ``LONGEST`` characters or takes too many steps.
    """
    from jinja2 import TemplateError

    try:
        return _Evaluation().text(tree.body, dict(values))  # type: ignore[attr-defined]
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except (TemplateError, ArithmeticError, TypeError, AttributeError, LookupError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


class _Evaluation:
    def __init__(self) -> None:
        from jinja2.nodes import EvalContext

        self._steps = 0
        self._context: EvalContext = EvalContext(environment())

    def text(self, nodes: Sequence[Any], names: MutableMapping[str, object]) -> str:
        """What statements write."""
        return str(_bounded("".join(self._statements(nodes, names))))

    def _statements(self, nodes: Sequence[Any], names: MutableMapping[str, object]) -> Iterator[str]:
        for node in nodes:
            kind = type(node).__name__
            if kind == "Output":
                yield from (str(_bounded(self._value(part, names), printed=True)) for part in node.nodes)
            elif kind == "If":
                yield from self._statements(self._branch(node, names), names)
            elif kind == "For":
                yield from self._loop(node, names)
            elif kind == "Assign":
                names[_target(node)] = self._value(node.node, names)
            else:
                raise ValueError(f"{kind} is not allowed")

    def _branch(self, node: Any, names: MutableMapping[str, object]) -> Sequence[Any]:
        for case in (node, *node.elif_):
            if self._value(case.test, names):
                found: Sequence[Any] = case.body
                return found
        otherwise: Sequence[Any] = node.else_
        return otherwise

    def _loop(self, node: Any, names: MutableMapping[str, object]) -> Iterator[str]:
        turns = self._value(node.iter, names)
        if not isinstance(turns, str | tuple):
            raise TypeError("a loop goes through the characters of a text, or a list")
        self._step(len(turns))
        inner = [{**names, _target(node): item} for item in turns]
        if node.test is not None:
            inner = [scope for scope in inner if self._value(node.test, scope)]
        for scope in inner:
            yield self.text(node.body, scope)
        if not inner:
            yield self.text(node.else_, dict(names))

    def _value(self, node: Any, names: Mapping[str, object]) -> Any:
        self._step(1)
        return _bounded(self._worked_out(node, names))

    def _step(self, times: int) -> None:
        self._steps += times
        if self._steps > _MOST_STEPS:
            raise ValueError(f"it takes more than {_MOST_STEPS:,} steps")

    def _worked_out(self, node: Any, names: Mapping[str, object]) -> Any:
        kind = type(node).__name__
        match kind:
            case "TemplateData":
                return node.data
            case "Const":
                return node.value
            case "Name":
                return names.get(node.name, "")
            case "List" | "Tuple":
                return tuple(self._value(item, names) for item in node.items)
            case "CondExpr":
                chosen = node.expr1 if self._value(node.test, names) else node.expr2
                return "" if chosen is None else self._value(chosen, names)
            case "And":
                return self._value(node.left, names) and self._value(node.right, names)
            case "Or":
                return self._value(node.left, names) or self._value(node.right, names)
            case "Not":
                return not self._value(node.node, names)
            case "Neg":
                return -self._value(node.node, names)
            case "Pos":
                return +self._value(node.node, names)
            case "Concat":
                return "".join(str(self._value(part, names)) for part in node.nodes)
            case "Compare":
                return self._compared(node, names)
            case "Filter" | "Test":
                return self._called(node, names)
        if kind in _BINARY:
            left, right = self._value(node.left, names), self._value(node.right, names)
            _check_operands(kind, left, right)
            return _BINARY[kind](left, right)
        raise ValueError(f"{kind} is not allowed")

    def _compared(self, node: Any, names: Mapping[str, object]) -> bool:
        left = self._value(node.expr, names)
        for operand in node.ops:
            right = self._value(operand.expr, names)
            if not _COMPARED[operand.op](left, right):
                return False
            left = right
        return True

    def _called(self, node: Any, names: Mapping[str, object]) -> Any:
        value = self._value(node.node, names)
        args = [_argument(self._value(arg, names)) for arg in node.args]
        kwargs = {pair.key: _argument(self._value(pair.value, names)) for pair in node.kwargs}
        if type(node).__name__ == "Test":
            return environment().call_test(node.name, value, args, kwargs, eval_ctx=self._context)
        if node.name == "format":
            _check_form(value)
        return environment().call_filter(node.name, value, args, kwargs, eval_ctx=self._context)


def _target(node: Any) -> str:
    if type(node.target).__name__ != "Name":
        raise ValueError("one name is given one value")
    return str(node.target.name)


def _bounded(value: Any, *, printed: bool = False) -> Any:
    """A value that is small and of a kind that looks the same everywhere."""
    if isinstance(value, str):
        if len(value) > LONGEST:
            raise ValueError(f"it makes more than {LONGEST:,} characters")
        return str(value)
    if isinstance(value, tuple | list) and not printed and len(value) <= LONGEST:
        return tuple(value)
    if isinstance(value, int) and abs(value) > _LARGEST:
        raise ValueError("a number becomes too large")
    if value is None or isinstance(value, bool | int | float):
        return value
    raise ValueError("it makes what is neither text nor number")


def _argument(value: Any) -> Any:
    """An argument of a filter, where a number may be a width."""
    if isinstance(value, int) and abs(value) > LONGEST:
        raise ValueError(f"{value} is too large for a filter")
    if isinstance(value, str) and len(value) > _LONGEST_ARGUMENT:
        raise ValueError(f"a text of {len(value)} characters is too long for a filter")
    return value


def _check_operands(kind: str, left: Any, right: Any) -> None:
    if kind == "Mod" and isinstance(left, str):
        _check_form(left)
    elif kind != "Add" and (isinstance(left, str | tuple) or isinstance(right, str | tuple)):
        raise ValueError("texts are not counted with")


def _check_form(form: Any) -> None:
    if _WIDTH.search(str(form)):
        raise ValueError(f"format {form!r} asks for too many characters")
