"""Labels of objects never move unasked: what stops a build, what it says, and what lets it go on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from compiling import with_code
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from projects import Picks, ProjectSpec, Run, Segmentation, write_project

from croissant_recipes import Options, Planned, build, from_croissant
from croissant_recipes.cli import main
from croissant_recipes.codes import Code, ExitCode
from croissant_recipes.compiler import labels
from croissant_recipes.compiler.labels import Entry, Giver, Labelling
from croissant_recipes.croissant import manifest
from croissant_recipes.diagnostics import Diagnostic, Severity, exit_code
from croissant_recipes.language import yaml_nodes
from croissant_recipes.language.label_lines import with_labels

START = """\
recipe: 1
name: lab
dataset:
  name: Lab
  description: Objects of a test.
  version: 1.0.0
  license: MIT
  date_published: 2026-01-15
  url: https://example.org
  creators: [{name: Lab}]
output: {project_root: out, base_url: "https://example.org/data"}
sources:
  lab: {copick: {config: lab.json}}
layers:
  - export: lab
"""


@pytest.fixture(autouse=True)
def _no_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "_check", lambda *_, **__: None)


class Lab:
    """A project whose objects change, and a recipe over it."""

    def __init__(self, folder: Path, config: Path | None = None) -> None:
        self.folder = folder
        self.recipe = folder / "recipe.yaml"
        self.recipe.write_text(START, encoding="utf-8")
        run = Run("TS_1", picks=tuple(Picks("ann", "1", name) for name in ("apo", "ribosome", "vlp")))
        self.config = config or write_project(folder / "lab", ProjectSpec((run,))).config

    def holds(self, *names: str, **given: int | None) -> Lab:
        """The project's objects from now on, with the labels that it gives them."""
        config = json.loads(self.config.read_text())
        objects: dict[str, int | None] = {**dict.fromkeys(names), **given}
        config["pickable_objects"] = [{"name": n, "is_particle": True, "label": x} for n, x in objects.items()]
        (self.folder / "lab.json").write_text(json.dumps(config))
        return self

    def say(self, text: str, *, output: str = "") -> Lab:
        start = START.replace('base_url: "', f'{output}, base_url: "') if output else START
        self.recipe.write_text(start + text, encoding="utf-8")
        return self

    def build(self, **options: Any) -> Planned:
        return build(self.recipe, options=Options(**options))[0]

    def labels(self) -> dict[str, int]:
        document = json.loads((self.folder / "out/Croissant/metadata.json").read_bytes())
        return {o["name"]: o["label"] for o in document["copick:config"]["pickable_objects"]}

    def refused(self, **options: Any) -> Diagnostic:
        """The one error of a build that is blocked and leaves the labels that are there."""
        before = self.labels()
        result = self.build(**options)
        (told,) = [d for d in result.diagnostics if d.is_error]
        assert told.code is Code.LABELS_MOVE
        assert exit_code(result.diagnostics) == ExitCode.BLOCKED
        assert self.labels() == before
        return told

    def command(self, *words: str, code: ExitCode = ExitCode.GOOD) -> Result:
        result = CliRunner().invoke(main, [*words, str(self.recipe)])
        assert result.exit_code == code, result.output
        return result


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    lab = Lab(tmp_path_factory.mktemp("built")).holds("apo", "ribosome", "vlp")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest, "_check", lambda *_, **__: None)
        assert lab.build().written
    assert lab.labels() == {"apo": 1, "ribosome": 2, "vlp": 3}
    return lab


@pytest.fixture
def lab(built: Lab, tmp_path: Path) -> Lab:
    """A project with a Croissant of three objects."""
    shutil.copytree(built.folder / "out", tmp_path / "out")
    return Lab(tmp_path, built.config).holds("apo", "ribosome", "vlp")


def cure(told: Diagnostic) -> str:
    """The lines that a finding names."""
    at = told.notes.index("objects:")
    return "\n".join(told.notes[at:]) + "\n"


# What stops


def test_an_object_that_sorts_in_between_stops_a_build_and_the_cure_keeps_all(lab: Lab) -> None:
    told = lab.holds("apo", "membrane", "ribosome", "vlp").refused()
    assert str(told) == (
        f"{lab.recipe}:11:1: error[CR414]: labels of objects that are in {lab.folder}/out/Croissant would move\n"
        "  + membrane: label 2, which means ribosome there\n"
        "  ~ ribosome: label 2 -> 3\n"
        "  ~ vlp: label 3 -> 4\n"
        "  objects:\n"
        "    ribosome: {label: 2}\n"
        "    vlp: {label: 3}\n"
        f"  hint: keep them with these lines, which `croissant-recipe labels --write {lab.recipe}` writes too, or let "
        "them move once with --allow labels"
    )
    assert lab.say(cure(told)).build().written
    assert lab.labels() == {"apo": 1, "membrane": 4, "ribosome": 2, "vlp": 3}


def test_they_may_move_once(lab: Lab) -> None:
    lab.holds("apo", "membrane", "ribosome", "vlp")
    result = lab.build(allow=frozenset({"labels"}))
    (told,) = with_code(result.diagnostics, Code.LABELS_MOVE)
    assert (told.severity, told.message) == (Severity.INFO, "labels move, as --allow labels lets them")
    assert told.notes[1:] == ("~ ribosome: label 2 -> 3", "~ vlp: label 3 -> 4")
    assert lab.labels() == {"apo": 1, "membrane": 2, "ribosome": 3, "vlp": 4}
    again = lab.build()
    assert again.ok
    assert with_code(again.diagnostics, Code.LABELS_MOVE) == []


def test_an_object_that_sorts_last_moves_none(lab: Lab) -> None:
    assert lab.holds("apo", "ribosome", "vlp", "zeta").build().written
    assert lab.labels() == {"apo": 1, "ribosome": 2, "vlp": 3, "zeta": 4}


def test_an_object_that_goes_is_no_move_and_those_after_it_are(lab: Lab) -> None:
    assert lab.holds("apo", "ribosome").build().ok
    told = lab.holds("ribosome").refused()
    assert told.notes == ("~ ribosome: label 2 -> 1", "objects:", "  ribosome: {label: 2}")
    assert lab.say(cure(told)).build().written
    assert lab.labels() == {"ribosome": 2}


def test_a_label_that_would_mean_another_object_is_a_move_though_its_own_is_gone(lab: Lab) -> None:
    told = lab.holds("apo", "ribosome", "zeta").refused()
    assert told.notes == ("+ zeta: label 3, which means vlp there", "objects:", "  zeta: {label: 4}")
    assert lab.say(cure(told)).build().written
    assert lab.labels() == {"apo": 1, "ribosome": 2, "zeta": 4}
    assert lab.build().ok


def test_labels_that_a_source_gives_do_not_move_either(lab: Lab) -> None:
    told = lab.holds(apo=1, ribosome=7, vlp=3).refused()
    assert told.notes == ("~ ribosome: label 2 -> 7", "objects:", "  ribosome: {label: 2}")
    assert lab.say(cure(told)).build().ok
    assert lab.labels()["ribosome"] == 2


def test_a_second_object_of_a_label_that_stays_is_a_warning_as_ever(lab: Lab) -> None:
    result = lab.holds(apo=1, ribosome=2, vlp=3, zeta=3).build()
    assert result.written
    assert with_code(result.diagnostics, Code.LABELS_MOVE) == []
    assert [d.message for d in with_code(result.diagnostics, Code.OBJECT_DRIFT)] == [
        "objects 'vlp' and 'zeta' have the label 3"
    ]


def test_a_rename_moves_no_label(lab: Lab) -> None:
    assert lab.say("    rename: {objects: {ribosome: a-ribosome}}\n").build().written
    assert lab.labels() == {"apo": 1, "a-ribosome": 2, "vlp": 3}
    assert lab.say("").build().ok
    lab.say("    rename: {objects: {ribosome: a-ribosome}}\n").holds("membrane", "ribosome", "vlp")
    told = lab.holds("ribosome", "vlp").refused()
    assert told.notes[:2] == ("~ a-ribosome (ribosome there): label 2 -> 1", "~ vlp: label 3 -> 2")
    assert lab.say("    rename: {objects: {ribosome: a-ribosome}}\n" + cure(told)).build().written
    assert lab.labels() == {"a-ribosome": 2, "vlp": 3}


def test_what_the_recipe_gives_is_asked_for_and_said(lab: Lab) -> None:
    result = lab.say("objects: {vlp: {label: 9}}\n").build()
    (told,) = with_code(result.diagnostics, Code.LABELS_MOVE)
    assert (told.severity, told.message, told.notes) == (
        Severity.INFO,
        "labels move, as `objects` says",
        ("~ vlp: label 3 -> 9",),
    )
    assert lab.labels() == {"apo": 1, "ribosome": 2, "vlp": 9}
    assert with_code(lab.build().diagnostics, Code.LABELS_MOVE) == []


def test_what_it_moves_besides_is_not(lab: Lab) -> None:
    told = lab.say("objects:\n  vlp: {label: 1}\n").refused()
    assert told.notes == ("~ apo: label 1 -> 2", "~ ribosome: label 2 -> 3", "objects:", "  ribosome: {label: 2}")
    assert told.hint is not None
    assert told.hint.endswith("; `objects` gives the label of 'apo' to another object: change that")
    lab.say("objects:\n  vlp: {label: 1}\n  apo: {label: 3}\n")
    assert lab.build().written
    assert lab.labels() == {"apo": 3, "ribosome": 2, "vlp": 1}


def test_names_that_yaml_reads_otherwise_are_in_quotes(tmp_path: Path) -> None:
    lab = Lab(tmp_path).holds("0042", "null")
    lab.build()
    told = lab.holds("001", "0042", "null").refused()
    assert yaml.safe_load(cure(told)) == {"objects": {"0042": {"label": 1}, "null": {"label": 2}}}
    assert lab.say(cure(told)).build().ok
    assert lab.labels() == {"001": 3, "0042": 1, "null": 2}


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_any_name_is_written_so_that_yaml_reads_it(name: str) -> None:
    text = with_labels("recipe: 1\n", {name: 1})
    assert text.replace("\n", "").isprintable()
    document, found = yaml_nodes.parse(text, "recipe.yaml")
    assert found == []
    assert document is not None
    assert document.value == {"recipe": 1, "objects": {name: {"label": 1}}}


def test_json_says_it_too(lab: Lab) -> None:
    lab.holds("apo", "ribosome", "zeta")
    result = lab.command("plan", "--format", "json", code=ExitCode.BLOCKED)
    (recipe,) = json.loads(result.stdout)["recipes"]
    assert recipe["label_moves"] == [
        {"object": "zeta", "before": None, "after": 3, "was": None, "meant": ["vlp"], "of_base": False, "asked": False}
    ]
    lab.holds("ribosome")
    (recipe,) = json.loads(lab.command("build", "--format", "json", "--allow", "labels").stdout)["recipes"]
    assert (recipe["written"], [(m["before"], m["after"]) for m in recipe["label_moves"]]) == (True, [(2, 1)])


def test_only_what_is_known_can_be_allowed(lab: Lab) -> None:
    result = lab.command("build", "--allow", "label", code=ExitCode.INVALID)
    assert "'label' is nothing to allow; did you mean 'labels'?" in result.stderr
    with pytest.raises(ValueError, match="allow: 'label': 'label' is nothing to allow"):
        Options(allow=frozenset({"label"}))
    with pytest.raises(ValueError, match="allow takes a set of words, not 'labels'"):
        Options(allow="labels")  # type: ignore[arg-type]


def test_the_label_of_one_object_alone_can_be_let_move(lab: Lab) -> None:
    lab.holds("ribosome", "vlp")
    stopped = lab.command("build", "--allow", "labels:ribosome", code=ExitCode.BLOCKED).stderr
    assert "~ vlp: label 3 -> 2" in stopped
    assert "labels move, as --allow labels:ribosome lets them" in stopped
    lab.command("build", "--allow", "labels:ribosome", "--allow", "labels:vlp")
    assert lab.labels() == {"ribosome": 1, "vlp": 2}


# The command


def test_the_command_shows_labels_who_gives_them_and_what_is_there(lab: Lab) -> None:
    lab.say("objects: {zeta: {label: 5}}\n").holds("apo", "membrane", ribosome=3, zeta=7)
    assert lab.command("labels").stdout == (
        "label  object    given by          there\n"
        "    1  apo       croissant-recipe  1\n"
        "    2  membrane  croissant-recipe  its label is another object's\n"
        "    3  ribosome  source lab        2, moves\n"
        "    5  zeta      the recipe\n"
        "       vlp                         3, gone\n"
    )
    document = json.loads(lab.command("labels", "--format", "json").stdout)
    assert (document["format"], document["kind"], document["written"]) == (1, "labels", False)
    assert document["labels"][2:] == [
        {"object": "ribosome", "label": 3, "from": "source", "source": "lab", "there": 2, "there_in": "output"}
        | {"moves": True},
        {"object": "zeta", "label": 5, "from": "recipe", "source": None, "there": None, "there_in": None}
        | {"moves": False},
        {"object": "vlp", "label": None, "from": None, "source": None, "there": 3, "there_in": "output"}
        | {"moves": False},
    ]


def test_labels_that_are_there_are_written_into_the_recipe_and_nothing_else(lab: Lab) -> None:
    comments = "    # all of it\n# objects of ours\nobjects:\n  vlp: {radius: 60}  # by eye\n\n# the end\n"
    lab.say(comments).holds("a", "apo", "membrane", "vlp")
    before = lab.recipe.read_text()
    shown = lab.command("labels", "--write").stdout
    after = before.replace("  vlp: {radius", "  vlp: {label: 3, radius")
    after = after.replace("# by eye\n", "# by eye\n  apo: {label: 1}\n  membrane: {label: 4}\n  a: {label: 5}\n")
    assert lab.recipe.read_text() == after
    assert "+  membrane: {label: 4}\n" in shown
    assert shown.endswith(f"Wrote labels: {lab.recipe}\n")
    assert lab.build().written
    assert lab.labels() == {"a": 5, "apo": 1, "membrane": 4, "vlp": 3}
    assert "Wrote" not in lab.command("labels", "--write").stdout
    assert lab.recipe.read_text() == after


def test_without_a_croissant_the_labels_of_the_plan_are_written(tmp_path: Path) -> None:
    lab = Lab(tmp_path).holds("b", "a", c=7)
    lab.command("labels", "--write")
    assert lab.recipe.read_text() == START + "\nobjects:\n  a: {label: 1}\n  b: {label: 2}\n  c: {label: 7}\n"
    assert lab.build().ok


def test_labels_of_a_croissant_of_others_are_written_before_it_is_replaced(lab: Lab) -> None:
    edit(lab, apo={"label": 31})
    (lab.folder / "out/Croissant/croissant-recipe.json").unlink()
    lab.command("labels", "--write")
    assert lab.build(force=True).ok
    assert lab.labels() == {"apo": 31, "ribosome": 2, "vlp": 3}


def test_labels_that_others_changed_can_be_written_and_are_no_drift_then(lab: Lab) -> None:
    edit(lab, apo={"label": 31})
    assert "   31  apo       others            31\n" in lab.command("labels").stdout
    lab.command("labels", "--write")
    assert lab.build().ok
    assert lab.labels()["apo"] == 31


@pytest.mark.parametrize(
    "text",
    ["objects:\n  apo: &same {radius: 60}\n  vlp: *same\n", "project:\n  description: |+\n    x\n\n"],
)
def test_what_cannot_be_edited_is_left_alone(lab: Lab, text: str) -> None:
    why = "an alias or the layout makes something else of them"
    lab.say(text)
    result = lab.command("labels", "--write", code=ExitCode.INVALID)
    assert f"error[CR107]: `objects` of the recipe cannot be edited without changing more: {why}" in result.stderr
    assert "  objects:\n    apo: {label: 1}\n    ribosome: {label: 2}\n    vlp: {label: 3}\n" in result.stderr
    assert lab.recipe.read_text() == START + text


def test_nothing_is_written_where_the_recipe_is_wrong(lab: Lab) -> None:
    lab.say("    picks: [nothing]\n")
    result = lab.command("labels", "--write", code=ExitCode.INVALID)
    assert "CR401" in result.stderr
    assert lab.recipe.read_text() == START + "    picks: [nothing]\n"
    lab.say("expect: {runs: 9}\n")
    assert "Wrote labels" in lab.command("labels", "--write").stdout, "what only stops a build is no obstacle"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a: 1", 'a: 1\n\nobjects:\n  b: {label: 1}\n  "null": {label: 2}\n'),
        ("objects: {}\n", 'objects: {b: {label: 1}, "null": {label: 2}}\n'),
        ("{a: 1}\n", '{a: 1, objects: {b: {label: 1}, "null": {label: 2}}}\n'),
        ("objects: {\n  b: {} # x\n}\n", 'objects: {\n  b: {label: 1}, "null": {label: 2} # x\n}\n'),
        (
            "objects:\n    b:\n        # r\n        radius: 1 # x\n\n# of a\na: 1",
            'objects:\n    b:\n        # r\n        label: 1\n        radius: 1 # x\n    "null": {label: 2}\n'
            "\n# of a\na: 1",
        ),
        (
            "\ufeffobjects:\r\n  b: {radius: 1}\r\n",
            '\ufeffobjects:\r\n  b: {label: 1, radius: 1}\r\n  "null": {label: 2}\r\n',
        ),
        (
            "objects:\n  c:\n    metadata:\n      t: |\n        one\n\na: 1\n",
            'objects:\n  c:\n    metadata:\n      t: |\n        one\n\n  b: {label: 1}\n  "null": {label: 2}\na: 1\n',
        ),
    ],
)
def test_lines_go_where_they_belong(before: str, after: str) -> None:
    assert with_labels(before, {"b": 1, "null": 2}) == after


# The base, drift, and Croissants of others


def from_base(lab: Lab, more: str = "", *, output: str = "") -> None:
    start = START.split("dataset:")[0] + "base: out/Croissant/metadata.json\n"
    rest = f'output: {{project_root: next, base_url: "https://example.org/next"{output}}}\n'
    lab.recipe.write_text(start + rest + more, encoding="utf-8")


def test_labels_of_a_base_do_not_move_but_once(lab: Lab) -> None:
    lab.holds(apo=5, ribosome=7, vlp=9)
    lab.build(allow=frozenset({"labels"}))
    from_base(lab, output=", labels: dense")
    (told,) = [d for d in lab.build().diagnostics if d.is_error]
    assert told.message == "labels of objects that are in the base would move"
    assert told.notes[:3] == (
        "~ apo: label 5 -> 1 (of the base)",
        "~ ribosome: label 7 -> 2 (of the base)",
        "~ vlp: label 9 -> 3 (of the base)",
    )
    assert lab.build(allow=frozenset({"labels"})).written
    assert lab.build().ok, "what is at the output counts from now on"
    from_base(lab, cure(told), output=", labels: dense")
    result = lab.build()
    assert result.written, "the recipe asks for it"
    assert [d.severity for d in with_code(result.diagnostics, Code.LABELS_MOVE)] == [Severity.INFO]


def edit(lab: Lab, **changes: Mapping[str, Any]) -> None:
    path = lab.folder / "out/Croissant/metadata.json"
    document = json.loads(path.read_bytes())
    objects = document["copick:config"]["pickable_objects"]
    for name, values in changes.items():
        known = next((o for o in objects if o["name"] == name), None)
        if known is None:
            objects.append({"name": name, "is_particle": True, **values})
        else:
            known.update(values)
    path.write_text(json.dumps(document))


def test_a_label_that_others_changed_is_drift_and_no_move(lab: Lab) -> None:
    edit(lab, vlp={"label": 8})
    assert {d.code for d in lab.build().diagnostics if d.is_error} == {Code.DRIFT}
    assert lab.build(on_drift="keep").ok
    assert lab.labels()["vlp"] == 8
    assert lab.build(on_drift="discard").ok
    assert lab.labels()["vlp"] == 3


def test_an_object_that_others_added_keeps_its_label(lab: Lab) -> None:
    edit(lab, capsid={"label": 4, "color": [1, 2, 3, 255]})
    lab.holds("apo", "ribosome", "vlp", "zeta")
    told = lab.refused(on_drift="keep")
    assert told.notes == ("+ zeta: label 4, which means capsid there", "objects:", "  zeta: {label: 5}")
    assert lab.say(cure(told)).build(on_drift="keep").ok
    assert lab.labels() == {"apo": 1, "ribosome": 2, "vlp": 3, "zeta": 5, "capsid": 4}
    assert lab.say("").build(on_drift="discard").ok is False, "it is zeta's by now"


def test_what_somebody_else_wrote_and_is_no_label_is_none(lab: Lab) -> None:
    wrong = [None, "8", True, 0, -1, [1], {}]
    assert labels.known({"name": str(i), "label": label} for i, label in enumerate(wrong)) == {}
    edit(lab, vlp={"label": "8", "metadata": None}, capsid={"label": 0})
    result = lab.build(on_drift="keep")
    assert with_code(result.diagnostics, Code.LABELS_MOVE) == []
    assert result.prepared is not None
    assert result.prepared.labels is not None
    assert result.prepared.labels.kept == {"apo": 1, "ribosome": 2, "vlp": 3}


def test_drift_and_a_move_are_both_said(lab: Lab) -> None:
    edit(lab, ribosome={"radius": 99.0})
    result = lab.holds("apo", "membrane", "ribosome", "vlp").build()
    assert {d.code for d in result.diagnostics if d.is_error} == {Code.DRIFT, Code.LABELS_MOVE}
    assert "~ ribosome: label 2 -> 3" in lab.refused(on_drift="discard").notes


def test_labels_of_a_croissant_that_is_replaced_by_force_stay_too(lab: Lab) -> None:
    lab.recipe.write_text(START.replace("name: lab", "name: another"), encoding="utf-8")
    lab.holds("membrane", "ribosome", "vlp")
    assert [d.code for d in lab.build().diagnostics if d.is_error] == [Code.FOREIGN]
    told = lab.refused(force=True)
    assert told.notes[0] == "+ membrane: label 1, which means apo there"
    assert lab.build(force=True, allow=frozenset({"labels"})).written


# Objects without rows, and dense labels


def listed(lab: Lab, output: str, more: str = "") -> dict[str, int]:
    lab.say("    picks: ['re:apo|vlp']\n" + more, output=output)
    assert lab.build().written
    return lab.labels()


def test_objects_without_rows_can_be_left_out_and_the_others_keep_their_labels(tmp_path: Path) -> None:
    lab = Lab(tmp_path).holds("apo", "membrane", "ribosome", "vlp")
    assert listed(lab, "unused_objects: keep") == {"apo": 1, "membrane": 2, "ribosome": 3, "vlp": 4}
    assert listed(lab, "unused_objects: drop") == {"apo": 1, "vlp": 4}
    assert [o.name for o in from_croissant(str(tmp_path / "out/Croissant/metadata.json")).pickable_objects] == [
        "apo",
        "vlp",
    ]


def test_dense_labels_number_the_objects_that_have_rows_from_1(tmp_path: Path) -> None:
    lab = Lab(tmp_path).holds("a", "apo", "vlp")
    assert listed(lab, "labels: dense") == {"apo": 1, "vlp": 2, "a": 3}
    assert listed(lab, "labels: dense, unused_objects: drop") == {"apo": 1, "vlp": 2}


@pytest.mark.parametrize(
    ("given", "dense"),
    [
        ({"a": 1, "apo": 9, "vlp": 5}, {"vlp": 1, "apo": 2, "a": 3}),
        ({"a": 1, "apo": None, "vlp": 5}, {"vlp": 1, "apo": 2, "a": 3}),
        ({"vlp": None, "apo": None}, {"apo": 1, "vlp": 2}),
    ],
)
def test_dense_labels_keep_the_order_of_those_that_sources_give(given: dict[str, Any], dense: dict[str, int]) -> None:
    entries = [Entry(n, n, x, Giver.SOURCE if x else Giver.TOOL, used=n != "a") for n, x in given.items()]
    assert Labelling(tuple(entries), dense=True).numbers() == dense


def test_labels_that_the_recipe_gives_count_before_dense_ones_and_a_hole_is_said(tmp_path: Path) -> None:
    lab = Lab(tmp_path).holds("a", "apo", "ribosome", "vlp")
    assert listed(lab, "labels: dense", "objects: {vlp: {label: 1}}\n") == {"vlp": 1, "apo": 2, "a": 3, "ribosome": 4}
    lab.say("objects: {vlp: {label: 9}, apo: {label: 1}}\n", output="labels: dense")
    result = lab.build(allow=frozenset({"labels"}))
    assert lab.labels() == {"apo": 1, "ribosome": 2, "vlp": 9, "a": 3}
    (told,) = with_code(result.diagnostics, Code.LABELS_NOT_DENSE)
    assert str(told) == (
        f"{lab.recipe}:11:1: warning[CR415]: labels are to be dense, and no object with rows has the label 3\n"
        "  hint: `objects` gives apo 1 and vlp 9; leave out there what need not be so"
    )
    lab.say("objects: {vlp: {label: 1}, apo: {label: 1}}\n", output="labels: dense")
    clash = with_code(lab.build(allow=frozenset({"labels"})).diagnostics, Code.OBJECT_DRIFT)
    assert [d.message for d in clash] == ["objects 'apo' and 'vlp' have the label 1"]


def test_an_object_that_comes_to_have_rows_moves_no_dense_label_unasked(tmp_path: Path) -> None:
    lab = Lab(tmp_path).holds("apo", "ribosome", "vlp")
    assert listed(lab, "labels: dense, unused_objects: drop") == {"apo": 1, "vlp": 2}
    lab.say("", output="labels: dense, unused_objects: drop")
    told = lab.refused()
    assert told.notes == (
        "+ ribosome: label 2, which means vlp there",
        "~ vlp: label 2 -> 3",
        "objects:",
        "  vlp: {label: 2}",
    )
    assert lab.say(cure(told), output="labels: dense, unused_objects: drop").build().written
    assert lab.labels() == {"apo": 1, "ribosome": 3, "vlp": 2}


def test_multilabel_segmentations_have_the_labels_of_the_source(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    project = write_project(
        tmp_path / "arrays",
        ProjectSpec((Run("TS_1", segmentations=(Segmentation(10.0, "a", "1", "cell", "multilabel"),)),)),
    )
    lab.config = project.config
    lab.holds(apo=1, vlp=2).say("", output="unused_objects: drop")
    (told,) = with_code(lab.build().diagnostics, Code.LABELS_NOT_DENSE)
    assert told.message == (
        "a multilabel segmentation has the labels of the source for values, and 'apo' and 'vlp' would have others, "
        "or none"
    )
    assert with_code(lab.say("").build().diagnostics, Code.LABELS_NOT_DENSE) == []


def test_results_of_one_recipe_have_one_label_for_an_object(tmp_path: Path) -> None:
    """Also where one does not show all rows."""
    lab = Lab(tmp_path).holds("apo", "membrane", "ribosome", "vlp")
    root = write_project(
        tmp_path / "two",
        ProjectSpec((Run("TS_1", picks=(Picks("ann", "1", "vlp"),)), Run("TS_2", picks=(Picks("ann", "1", "apo"),)))),
    )
    lab.config = root.config
    lab.holds("apo", "membrane", "ribosome", "vlp")
    rest = "labels: dense, unused_objects: drop"
    outputs = (
        "outputs:\n"
        f"  public: {{project_root: out, base_url: 'https://example.org/a', withhold: {{test: [picks]}}, {rest}}}\n"
        f"  private: {{project_root: private, base_url: 'https://example.org/b', {rest}}}\n"
        "splits: {assign: {test: TS_2}}\n"
    )
    lab.say(outputs)
    text = lab.recipe.read_text()
    start, _, end = text.partition("output: {")
    lab.recipe.write_text(start + end.partition("\n")[2])
    assert all(r.written for r in build(lab.recipe))
    assert lab.labels() == {"apo": 1, "vlp": 2}
    private = json.loads((tmp_path / "private/Croissant/metadata.json").read_bytes())
    assert {o["name"]: o["label"] for o in private["copick:config"]["pickable_objects"]} == {"apo": 1, "vlp": 2}
    lab.command("labels", "--write")
    assert lab.recipe.read_text().endswith("\nobjects:\n  apo: {label: 1}\n  vlp: {label: 2}\n")
    assert all(r.ok for r in build(lab.recipe))


# As a whole

NAMES = st.lists(st.sampled_from(["a", "b", "c", "d", "e", "f", "g"]), unique=True)


@given(
    st.dictionaries(st.sampled_from("abcdefg"), st.one_of(st.none(), st.integers(1, 5))),
    st.dictionaries(st.sampled_from("abcdefg"), st.one_of(st.none(), st.integers(1, 5))),
    st.dictionaries(st.sampled_from("abcdefg"), st.integers(1, 5), max_size=2),
    st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_the_cure_keeps_every_label_that_the_recipe_does_not_give(
    before: dict[str, int | None], after: dict[str, int | None], said: dict[str, int], dense: bool
) -> None:
    def labelling(of: Mapping[str, int | None], by_recipe: Mapping[str, int]) -> Labelling:
        giver = {n: Giver.RECIPE if n in by_recipe else Giver.SOURCE if of[n] else Giver.TOOL for n in of}
        entries = (Entry(n, n, by_recipe.get(n, of[n]), giver[n]) for n in of)
        return Labelling(tuple(entries), dense)

    there = labels.known({"name": n, "label": x} for n, x in labelling(before, {}).numbers().items())
    compared = labels.compare(labelling(after, said), there)
    assert {m.object for m in compared.moves if m.before is not None} == {
        n for n, x in compared.numbers.items() if n in there and there[n].label != x
    }
    cured = labels.compare(labelling(after, {**said, **compared.cure}), there)
    assert cured.numbers == compared.kept
    assert not set(said) & set(compared.cure)
    taken = {said[n] for n in said if n in after}
    assert {m.object for m in cured.moves if m.object not in {*said, *compared.cure}} <= {
        n for n, k in there.items() if k.label in taken
    }
    for name, known in there.items():
        if name in after and name not in said and known.label not in taken:
            assert cured.numbers[name] == known.label
    by_recipe = {m.object for m in cured.moves if m.asked}
    assert by_recipe <= set(said)


@given(st.lists(NAMES, min_size=2, max_size=3), st.booleans())
@settings(
    max_examples=4,
    deadline=None,
    # A build takes too long for that.
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_no_build_moves_a_label_of_what_is_there(
    tmp_path_factory: pytest.TempPathFactory, sources: list[list[str]], dense: bool
) -> None:
    lab = Lab(tmp_path_factory.mktemp("lab"))
    output = "labels: dense" if dense else ""
    lab.say("", output=output).holds(*sources[0]).build()
    said: dict[str, Any] = {}

    def say() -> Lab:
        # A line of an object that is gone by now would be an error of its own.
        now = {n: v for n, v in said.items() if n in names}
        return lab.say(json.dumps({"objects": now})[1:-1] + "\n" if now else "", output=output)

    for names in sources[1:]:
        before = lab.labels()
        lab.holds(*names)
        if not say().build().ok:
            said |= yaml.safe_load(cure(lab.refused()))["objects"]
            assert say().build().ok
        after = lab.labels()
        assert set(after) == set(names)
        assert {n: before[n] for n in names if n in before} == {n: after[n] for n in names if n in before}
        assert not {after[n] for n in names if n not in before} & set(before.values())
