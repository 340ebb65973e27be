"""Reports as one HTML page: what it says, that it is safe, and that it needs nothing but itself."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

from croissant_recipes.codes import Code
from croissant_recipes.comparing import Against
from croissant_recipes.compiler.merging import Replacement
from croissant_recipes.diagnostics import Diagnostic, Severity, Span
from croissant_recipes.render import html_report
from croissant_recipes.report import LayerReport, Report, Verdict
from croissant_recipes.review.causes import Cause, CauseKind
from tests.croissants import Given
from tests.reviewed import manifest, pickable, picks, report_of, tomogram

RUNS = [{"name": f"TS_{i}", "split": "test" if i == 1 else "train"} for i in range(1, 5)]
BEFORE: Given = {
    "runs": RUNS,
    "picks": [picks(r["name"], o, sha256=f"{r['name']}{o}") for r in RUNS for o in ("ribosome", "virus")],
    "tomograms": [tomogram(r["name"], 10.0) for r in RUNS],
}
AFTER: Given = {
    "runs": [{"name": "TS_1", "split": "train"}, *RUNS[1:]],
    "picks": [
        *(picks(r["name"], "ribosome", sha256=f"{r['name']}ribosome") for r in RUNS[:3]),
        picks("TS_4", "ribosome", sha256="another file"),
        *(picks(r["name"], "capsid", sha256=f"{r['name']}virus") for r in RUNS[:2]),
    ],
    "tomograms": [*BEFORE["tomograms"], tomogram("TS_1", 7.84, "denoised")],
}
OBJECTS = (pickable("ribosome", 1), pickable("virus", 2))


EXCLUDED = Cause(
    CauseKind.RECIPE,
    "exclude 'virus:*/*' of a rule with a long reason now leaves them out",
    "recipes/some.yaml",
    31,
    9,
    1,
    "lab",
)
MOVED = Cause(CauseKind.SOURCE, "source portal moved", source="portal", layer=2, depositions=(10358, 10359))
CAUSES = {("picks", "removed"): EXCLUDED, ("tomograms", "added"): MOVED}


def changed(causes: Mapping[tuple[str, str], Cause] = CAUSES, **more: Any) -> Report:
    after = manifest(pickable("ribosome", 1, radius=65.0), pickable("capsid", 2), version="1.0.1", description="New")
    return report_of((BEFORE, manifest(*OBJECTS)), (AFTER, after), causes=causes, **more)


def layer(number: int, *sources: str, adds: dict[str, int], **more: Any) -> LayerReport:
    nothing: dict[str, Any] = {"selectors": (), "renames": (), "run_names": {}, "collisions": (), "replaces": ()}
    label = f"layer {number} (append {', '.join(sources)})"
    return LayerReport(
        number, label, "append", sources, **{**nothing, "adds": adds, "shadowed": {}, "requests": (), **more}
    )


class Page(HTMLParser):
    """The elements of a page, the text of each (with that of what is in it), and the JSON of its rows."""

    VOID = frozenset({"meta", "link", "br", "img", "input", "hr", "rect", "line"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None], list[str]]] = []
        self._open: list[tuple[str, list[str]]] = []
        self.feed(text)
        assert self._open == [], "every element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        text: list[str] = []
        self.elements.append((tag, dict(attrs), text))
        if tag not in self.VOID:
            self._open.append((tag, text))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), []))

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            opened, _ = self._open.pop()
            assert opened == tag

    def handle_data(self, data: str) -> None:
        for _, text in self._open:
            text.append(data)

    def texts(self, tag: str, cls: str | None = None) -> list[str]:
        """The texts of all elements of a name and a class."""
        found = (e for e in self.elements if e[0] == tag and (cls is None or cls in (e[1].get("class") or "").split()))
        return [" ".join(" ".join(text).split()) for _, _, text in found]

    def rows(self) -> list[Any]:
        [data] = [text for tag, a, text in self.elements if tag == "script" and a.get("class") == "data"]
        return list(json.loads("".join(data)))


def shown(*reports: Report) -> Page:
    return Page(html_report.page(reports))


def unpacked(packed: dict[str, Any], rows: int) -> list[str]:
    """What ``report.js`` does."""
    if "all" in packed:
        return [packed["all"]] * rows
    return [packed["of"][i] for i in packed["at"]] if "of" in packed else packed["each"]


# What it says


def test_the_verdict_and_the_summary_come_first() -> None:
    page = shown(changed())
    [title] = page.texts("h2")
    assert title == "split-unsafe +1 ~2 -2, 2 renamed, 1 split move, 3 objects"
    assert any("version 1.0.0 -> 1.0.1 is too low: a major step asks for 2.0.0" in t for t in page.texts("p"))
    headings = page.texts("h3")
    assert headings.index("Risks") < headings.index("Why: groups by cause") < headings.index("Changes per record set")


def test_risks_name_the_word_that_allows_them() -> None:
    [risks] = shown(changed(allowed=["removed:picks:virus"])).texts("section", "risks")
    assert "split-unsafe run TS_1 moves from test to train if it is meant: --allow split:TS_1" in risks
    assert "2 picks of virus are gone allowed as removed:picks:virus" in risks


def test_very_many_risks_are_folded() -> None:
    runs = [{"name": f"TS_{i:04}", "split": "train"} for i in range(1_100)]
    page = shown(report_of(({"runs": runs}, manifest()), ({}, manifest())))
    [risks] = page.texts("section", "risks")
    assert risks.count("is gone") == 1_000
    assert "988 more risks" in risks
    assert "100 risks omitted, see the JSON report." in risks


def test_counts_per_record_set() -> None:
    rows = [row for row in shown(changed()).texts("tr") if row.startswith(("runs ", "picks ", "tomograms "))]
    assert "picks 0 1 2 2 3" in rows
    assert "runs 0 1 0 0 3" in rows
    assert "tomograms 1 0 0 0 4" in rows


def test_groups_tell_their_cause_and_its_place() -> None:
    rows = shown(changed()).texts("tr")
    [removed] = [row for row in rows if "exclude" in row and "removed picks 2" in row]
    assert f"{EXCLUDED.what} layer 1 recipes/some.yaml:31" in removed
    assert "TS_3, ada, 1, virus" in removed
    [added] = [row for row in rows if "added tomograms 1" in row]
    assert "source portal moved (depositions 10358 and 10359) layer 2" in added


def test_names_that_the_recipe_gives_are_told_apart() -> None:
    [row] = [row for row in shown(changed()).texts("tr") if "renamed, as it seems" in row]
    assert "picks 2" in row
    declared = Cause(CauseKind.RECIPE, "rename objects: virus: capsid", declares=True)
    [row] = [
        r for r in shown(changed(causes={("picks", "renamed"): declared})).texts("tr") if "renamed by the recipe" in r
    ]
    assert "picks 2 rename objects: virus: capsid" in row


def test_objects_metadata_and_moves_have_causes_too() -> None:
    found = changed()
    assert found.review
    causes = replace(found.review.causes, all=(EXCLUDED,), objects={"ribosome": EXCLUDED}, metadata={"version": MOVED})
    rows = shown(replace(found, review=replace(found.review, causes=causes))).texts("tr")
    told = f"{EXCLUDED.what} layer 1 recipes/some.yaml:31"
    assert f"~ ribosome {told} radius 60.0 65.0" in rows
    assert "version source portal moved (depositions 10358 and 10359) layer 2 1.0.0 1.0.1" in rows
    assert f"TS_1 test train {told}" in rows


def test_all_rows_that_differ_are_in_the_page() -> None:
    found = changed()
    groups = shown(found).rows()
    assert sorted((g["kind"], g["record_set"], g["rows"]) for g in groups) == [
        ("added", "tomograms", 1),
        ("changed", "picks", 1),
        ("changed", "runs", 1),
        ("removed", "picks", 2),
        ("renamed", "picks", 2),
    ]
    [renamed] = [g for g in groups if g["kind"] == "renamed"]
    assert unpacked(renamed["shown"]["name"], 2) == ["capsid", "capsid"]
    assert unpacked(renamed["shown"]["differs"], 2) == ["object_name virus -> capsid (same sha256)"] * 2
    assert unpacked(renamed["was"]["object_name"], 2) == ["virus", "virus"]
    assert unpacked(renamed["now"]["run"], 2) == ["TS_1", "TS_2"]


def test_objects_and_metadata_are_told_field_by_field() -> None:
    page = shown(changed())
    rows = page.texts("tr")
    assert [row for row in rows if row.startswith("~ ribosome") and row.endswith("radius 60.0 65.0")]
    assert [row for row in rows if row.startswith("version") and row.endswith("1.0.0 1.0.1")]
    assert any(row.startswith("+ capsid") for row in rows)
    assert any(row.startswith("− virus") for row in rows)


def test_the_composition_is_plotted_before_and_after() -> None:
    page = shown(changed())
    assert page.texts("h4") == [
        "Runs per split",
        "Picks per object and split",
        "Tomograms per voxel size",
        "Picks per voxel size",
    ]
    bars = page.texts("title")
    assert "virus before: test 1, train 3" in bars
    assert "virus after: none" in bars
    assert "capsid after: train 2" in bars
    assert "7.84 Å before: none" in bars


def test_bars_are_as_long_as_what_they_count() -> None:
    text = html_report.page([changed()])
    [bar] = re.findall(r"<title>train after: train 4</title>.*?</svg>", text, re.DOTALL)
    assert 'x="0.0" width="1000.0"' in bar
    [bar] = re.findall(r"<title>virus before: .*?</svg>", text, re.DOTALL)
    assert re.findall(r'x="([\d.]+)" width="([\d.]+)"', bar) == [("0.0", "250.0"), ("250.0", "750.0")]


def test_layers_are_a_graph() -> None:
    replaced = Replacement("picks", 1, 2, (("TS_1", "ada", "1", "ribosome"),))
    layers = (
        layer(1, "lab", adds={"tomograms": 4, "picks": 1}, shadowed={"picks": 1}),
        layer(2, "lab", "portal", adds={"picks": 6}, replaces=(replaced,)),
    )
    page = shown(changed(layers=layers, labels={1: layers[0].label, 2: layers[1].label}))
    first = "Layer 1: append; + 4 tomograms, 1 picks; 1 replaced later; 2 of the rows that differ"
    boxes = page.texts("title")
    assert [b for b in boxes if b in ("lab", "portal") or b.startswith(("Layer", "Croissant;"))] == [
        "lab",
        "portal",
        first,
        "Layer 2: append; + 6 picks; 1 of the rows that differ",
        "Croissant; 4 runs; 15 rows",
    ]
    assert page.texts("path", "takes") == [
        "layer 1 (append lab) takes of lab",
        "layer 2 (append lab, portal) takes of lab",
        "layer 2 (append lab, portal) takes of portal",
    ]
    assert page.texts("path", "replaces") == ["layer 2 (append lab, portal) replaces 1 row of layer 1 (append lab)"]


def test_what_a_branch_does_is_apart_from_what_its_sources_did() -> None:
    found = changed()
    more: Given = {**BEFORE, "tomograms": [*BEFORE["tomograms"], tomogram("TS_2", 5.0, "moved")]}
    since = report_of((BEFORE, manifest(*OBJECTS)), (more, manifest(*OBJECTS))).review
    assert found.review
    page = shown(replace(found, against=Against("main", "1a2b3c4d5e6f", "old.yaml", found.review, since)))
    assert "recipe.yaml small against main (1a2b3c4d5e, there old.yaml)" in page.texts("p", "path")
    [section] = [text for text in page.texts("section") if text.startswith("Besides, since the last build")]
    assert "additive +1 ~0 -0" in section
    assert "TS_2, 5, moved" in section
    assert [g["rows"] for g in page.rows() if g["record_set"] == "tomograms"] == [1]
    same = replace(found, against=Against("main", "1a2b3c4d5e6f", "recipes/recipe.yaml", found.review, None))
    assert "recipe.yaml small against main (1a2b3c4d5e)" in shown(same).texts("p", "path")


def test_two_versions_that_are_named_are_the_title() -> None:
    page = shown(changed(path="b", between=("a", "b")))
    assert page.texts("title")[0] == "a → b"
    assert page.texts("p", "path") == ["a → b small"]
    page = shown(changed(path="recipe.yaml", between=("main", "branch")))
    assert page.texts("p", "path") == ["main → branch recipe.yaml small"]


def test_a_new_croissant_has_nothing_before() -> None:
    page = shown(report_of(None, (AFTER, manifest(*OBJECTS))))
    [title] = page.texts("h2")
    assert title.startswith("new +")
    assert "Composition" in page.texts("h3")
    assert not [t for t in page.texts("title") if "before" in t]


def test_no_change_is_said_in_a_line() -> None:
    page = shown(report_of((BEFORE, manifest(*OBJECTS)), (BEFORE, manifest(*OBJECTS))))
    [title] = page.texts("h2")
    assert title == "no changes +0 ~0 -0"
    assert page.texts("table", "changes") == []


def test_what_stopped_a_plan_is_told() -> None:
    finding = Diagnostic(Code.DRIFT, "it is <broken>", Severity.ERROR, "mend it", Span("recipe.yaml", 3, 5))
    page = shown(Report("recipe.yaml", Verdict.STOPPED, (finding,), None, None, False))
    [title] = page.texts("h2")
    assert title == "stopped no plan"
    [told] = page.texts("section", "findings")
    assert told == "Findings error CR502 it is <broken> recipe.yaml:3:5 mend it"


def test_several_results_are_listed_first() -> None:
    page = shown(changed(output_name="public"), changed(output_name="private"))
    [listed] = page.texts("nav")
    assert listed.count("split-unsafe") == 2
    assert [a["href"] for tag, a, _ in page.elements if tag == "a"] == ["#result-1", "#result-1", "#result-2"]
    ids = [a["id"] for _, a, _ in page.elements if "id" in a]
    assert len(ids) == len(set(ids))


def test_very_many_rows_leave_some_of_each_group() -> None:
    """What is left out is said: a page of a million rows opens in no browser."""
    runs = [{"name": f"TS_{i:05}", "split": "train"} for i in range(21_000)]
    few = [tomogram("TS_00001", 10.0)]
    page = shown(report_of(({}, manifest()), ({"runs": runs, "tomograms": few}, manifest())))
    assert [(g["record_set"], g["rows"], g["total"]) for g in page.rows()] == [
        ("runs", 19_999, 21_000),
        ("tomograms", 1, 1),
    ]
    assert "1,001 rows omitted, see the JSON report." in page.texts("p", "aside")


# That it is safe, and stands alone

HOSTILE = "</script><img src=x onerror=alert(1)>'\"&amp;\u202e\x1b[31m<!--"


def hostile() -> Report:
    before: Given = {"runs": [{"name": "TS_1"}], "picks": [picks("TS_1", "ribosome", sha256="a")]}
    after: Given = {
        "runs": [{"name": "TS_1", "split": HOSTILE}, {"name": HOSTILE}],
        "picks": [picks("TS_1", HOSTILE, sha256="a", user_id=HOSTILE)],
    }
    layers = (layer(1, HOSTILE, adds={"picks": 1}),)
    finding = Diagnostic(Code.DRIFT, HOSTILE, Severity.WARNING, HOSTILE, Span(HOSTILE, 1, 1), notes=(HOSTILE,))
    return report_of(
        (before, manifest(pickable("ribosome", 1), name=HOSTILE)),
        (
            after,
            manifest(pickable(HOSTILE, 1, color=[HOSTILE, 1, 2]), name="b", description=HOSTILE, keywords=[HOSTILE]),
        ),
        path=HOSTILE,
        name=HOSTILE,
        output_name=HOSTILE,
        layers=layers,
        labels={1: HOSTILE},
        findings=(finding,),
    )


def test_hostile_names_are_text() -> None:
    text = html_report.page([hostile()])
    page = Page(text)
    assert not [tag for tag, _, _ in page.elements if tag == "img"]
    assert not [name for _, attributes, _ in page.elements for name in attributes if name.startswith("on")]
    assert "\u202e" not in text
    assert "\x1b" not in text
    [added] = [g for g in page.rows() if (g["kind"], g["record_set"]) == ("added", "runs")]
    assert unpacked(added["shown"]["run"], 1) == ["</script><img src=x onerror=alert(1)>'\"&amp;\\u202e\\x1b[31m<!--"]
    assert len(page.texts("script")) == 2


def test_a_page_names_nothing_that_a_browser_fetches() -> None:
    page = shown(changed(), hostile())
    fetching = {"src", "srcset", "poster", "action", "formaction", "data", "background", "ping"}
    assert not [(tag, a) for tag, a, _ in page.elements if fetching & a.keys()]
    assert {tag for tag, _, _ in page.elements} & {"link", "iframe", "object", "embed", "base", "form"} == set()
    links = [str(v) for _, a, _ in page.elements for k, v in a.items() if k.endswith("href")]
    assert [link for link in links if not link.startswith("#")] == []
    [style] = page.texts("style")
    assert "url(" not in style
    assert "@import" not in style


def test_the_policy_of_a_page_lets_only_its_own_script_and_style_be() -> None:
    [policy] = [
        a["content"] for _, a, _ in shown(changed()).elements if a.get("http-equiv") == "Content-Security-Policy"
    ]
    assert str(policy).startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in str(policy)


def test_the_same_report_is_the_same_page_in_every_process() -> None:
    program = (
        "import hashlib; from tests.test_html_report import changed, hostile; "
        "from croissant_recipes.render import html_report; "
        "print(hashlib.sha256(html_report.page([changed(), hostile()]).encode()).hexdigest())"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert ran.stdout.strip() == hashlib.sha256(html_report.page([changed(), hostile()]).encode()).hexdigest()
