"""Templates of names: what is allowed, and that the plain ones give what ``str.format`` gives."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import Environment

from croissant_recipes.language.templates import Template, TemplateError, parse

FIELDS = {"id": 1, "score": 0.5, "flag": True, "name": "a", "author": "a"}

VALUES = st.fixed_dictionaries(
    {
        "id": st.integers(-(10**6), 10**6),
        "score": st.floats(-100, 100),
        "flag": st.booleans(),
        "name": st.text(max_size=5),
        "author": st.text(max_size=5),
    }
)
FORMATTED = st.sampled_from(
    ["{id}", "{id:06d}", "{id:x}", "{score}", "{score:.2f}", "{name:.3}", "{name:>8}", "{author}", "{flag}", "{flag:d}"]
)
LITERALS = st.text("ab-_ :.!é", max_size=4) | st.just("}}")


@settings(deadline=None)
@given(st.lists(LITERALS | FORMATTED, max_size=5), FORMATTED, VALUES)
def test_plain_templates_give_what_str_format_gives(parts: list[str], field: str, values: dict[str, object]) -> None:
    text = "".join([*parts, field])
    # An empty text stays empty whatever its width: it is a field that the record lacks.
    given = {k: v if v != "" else "x" for k, v in values.items()}
    assert parse(text, FIELDS).render(given) == text.format(**given)


@pytest.mark.parametrize("missing", [{}, {"id": None, "name": None}])
def test_a_field_that_a_record_lacks_is_empty(missing: dict[str, object]) -> None:
    assert parse("{id:06d}-{name:>8}", FIELDS).render(missing) == "-"
    assert parse("{{ id }}-{{ name|upper }}", FIELDS).render(missing) == "-"


def test_the_fields_of_a_template_are_known() -> None:
    assert parse("{id:06d}-{name}{id}", FIELDS).fields == {"id", "name"}
    assert parse("{% if flag %}{{ name }}{% endif %}", FIELDS).fields == {"flag", "name"}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("{{ name|upper }}-{{ id }}", "AB-7"),
        ("{% if id > 5 %}high{% else %}low{% endif %}", "high"),
        ("{{ '%03d' % id }}", "007"),
        ("{{ name|replace('a', 'c') }}", "cb"),
        ("{% set short = name|first %}{{ short }}", "a"),
        ("{% for c in name %}{{ c }}.{% endfor %}", "a.b."),
    ],
)
def test_jinja_templates(text: str, result: str) -> None:
    assert parse(text, FIELDS).render({"name": "ab", "id": 7}) == result


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__ }}",
        "{{ name['__class__'] }}",
        "{{ name|attr('__class__')|attr('__mro__') }}",
        "{{ self }}-{{ name }}",
        "{{ range(9) }}-{{ name }}",
        "{{ lipsum() }}-{{ name }}",
        "{{ name|random }}",
        "{% include name %}",
        "{% import name as x %}{{ name }}",
        "{% extends name %}",
        "{{ name|map('upper') }}",
        "{{ name|batch(2) }}",
        "{{ name|pprint }}",
        "{{ name.upper() }}",
        "{% macro m() %}{{ name }}{% endmacro %}{{ m() }}",
        "{% for c in name recursive %}{{ loop(c) }}{% endfor %}",
        "{% for c in name %}{{ loop }}{% endfor %}",
        "{{ {name: 1} }}",
        "{{ id ** id }}",
        "{% set ns = namespace(x=1) %}{{ name }}",
        "{% call m() %}{{ name }}{% endcall %}",
        "{% filter upper %}{{ name }}{% endfilter %}",
        "{id:c}",
        "{id:n}",
    ],
)
def test_jinja_templates_use_fields_and_filters_only(text: str) -> None:
    with pytest.raises(TemplateError):
        parse(text, FIELDS)


def test_what_is_worked_out_stands_behind_the_checks() -> None:
    with pytest.raises(ValueError, match="not allowed"):
        Template("{{ name.__class__.__mro__ }}", frozenset({"name"})).render({"name": "ab"})


def test_a_template_that_fails_on_a_value_says_so() -> None:
    with pytest.raises(ValueError, match="ZeroDivisionError"):
        parse("{{ 1 // id }}", FIELDS).render({"id": 0})
    with pytest.raises(ValueError, match="Unknown format code"):
        parse("{id:d}", FIELDS).render({"id": "seven"})


@settings(max_examples=400, deadline=None)
@given(st.text("{}%[].!:#|()idname '\"", max_size=14) | st.text(max_size=14))
def test_every_text_is_a_template_or_refused(text: str) -> None:
    outcome = _parsed(text)
    if isinstance(outcome, TemplateError):
        assert 0 <= outcome.start <= outcome.end <= len(text)
        assert outcome.message
    else:
        assert outcome.fields <= set(FIELDS)


@settings(max_examples=200, deadline=None)
@given(st.text("{}id:name!", max_size=10), VALUES)
def test_plain_templates_that_are_accepted_render(text: str, values: dict[str, object]) -> None:
    outcome = _parsed(text)
    if isinstance(outcome, Template) and not outcome.is_jinja:
        assert isinstance(outcome.render(values), str)


def _parsed(text: str) -> Template | TemplateError:
    try:
        return parse(text, FIELDS)
    except TemplateError as error:
        return error


@pytest.mark.parametrize(
    "text",
    [
        "{{ name * 1000000000 }}",
        "{{ 1000000000 * name }}",
        "{{ name|center(1000000000) }}",
        "{{ '%1000000000d' % id }}",
        "{{ '%*d' % (id, id) }}",
        "{{ '%1000000000d'|format(id) }}",
        "{{ name" + "|replace('a', 'aaaaaaaaaaaaaaaaaaaa')" * 60 + " }}",
        "{% set a = name %}" + "{% set a = a ~ a %}" * 60 + "{{ a }}",
        "{% for a in name %}" * 9 + "{{ name }}" + "{% endfor %}" * 9,
        "{% for a in name %}" * 9 + "{% endfor %}" * 9 + "{{ name }}",
        "{{ name|truncate(1000000000000) }}",
        "{% set n = id %}" + "{% set n = n * n %}" * 60 + "{{ n }}",
        "{{ " + "name ~ " * 900 + "name }}",
        "{name:>999}" * 20,
    ],
)
def test_no_template_takes_much_time_or_room(text: str) -> None:
    template = parse(text, FIELDS)
    start = time.process_time()
    with pytest.raises(ValueError, match=r"characters|steps|counted|large"):
        template.render({"name": "a" * 100, "id": 99})
    assert time.process_time() - start < 1


EXPRESSION = st.recursive(
    st.sampled_from(["name", "id", "score", "flag", "'x'", "2", "missing", "none"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*/~") | st.sampled_from(["//", "and", "or", "==", "<", "in"]), inner).map(
            lambda parts: f"({parts[0]} {parts[1]} {parts[2]})"
        ),
        st.tuples(
            inner,
            st.sampled_from(
                [
                    "upper",
                    "title",
                    "length",
                    "int",
                    "round",
                    "first",
                    "abs",
                    "string",
                    "default('d')",
                    "replace('a','b')",
                ]
            ),
        ).map("|".join),
        inner.map(lambda e: f"(not {e})"),
        inner.map(lambda e: f"('y' if {e} else {e})"),
        inner.map(lambda e: f"({e} is number)"),
    ),
    max_leaves=5,
)


@settings(max_examples=200, deadline=None, database=None, derandomize=True)
@given(EXPRESSION, EXPRESSION, VALUES)
def test_jinja_templates_give_what_jinja_gives(one: str, other: str, values: dict[str, object]) -> None:
    fields = {**FIELDS, "missing": "a"}
    text = (
        f"{{% set v = {one} %}}{{% if {other} %}}{{{{ v }}}}{{% elif name %}}{{{{ name }}}}-{{% endif %}}{{{{ id }}}}"
    )
    try:
        ours = parse(text, fields).render(values)
    except ValueError:
        return
    assert ours == Environment().from_string(text).render({**values, "missing": ""})
