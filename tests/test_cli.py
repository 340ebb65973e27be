"""The command: what it prints, where, and how it ends."""

from __future__ import annotations

import io
import itertools
import json
import re
import shutil
from pathlib import Path

import copick
import pytest
import yaml
from click.testing import CliRunner, Result

import croissant_recipes
from croissant_recipes.cli import main
from croissant_recipes.codes import Code, ExitCode
from croissant_recipes.diagnostics import Diagnostic, Severity, exit_code, plain
from croissant_recipes.render.colour import paint_for

RECIPES = Path(__file__).parent.parent / "recipes"


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The quickstart recipe with its project, to be changed at will; the working directory."""
    shutil.copytree(RECIPES / "sample", tmp_path / "sample", ignore=shutil.ignore_patterns("Croissant", ".croissant*"))
    shutil.copy(RECIPES / "quickstart.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: str) -> Result:
    result = CliRunner().invoke(main, words)
    assert "Traceback" not in result.stderr, result.stderr
    return result


def edit(recipe: Path, old: str, new: str) -> None:
    text = recipe.read_text(encoding="utf-8")
    assert old in text
    recipe.write_text(text.replace(old, new), encoding="utf-8")


def test_check_of_a_good_recipe(lab: Path) -> None:
    result = run("check", "quickstart.yaml")
    assert result.exit_code == ExitCode.GOOD
    assert result.stdout == "quickstart.yaml: ok\n"
    assert result.stderr == ""


def test_check_reports_every_recipe_and_ends_with_the_worst(lab: Path) -> None:
    (lab / "bad.yaml").write_text("recipe: 1\n", encoding="utf-8")
    result = run("check", "quickstart.yaml", "bad.yaml")
    assert result.exit_code == ExitCode.INVALID
    assert "quickstart.yaml: ok\n" in result.stdout
    assert "bad.yaml:1:1: error[CR105]" in result.stderr


def test_check_json(lab: Path) -> None:
    edit(lab / "quickstart.yaml", "tomograms:", "tomogram:")
    result = run("check", "--format", "json", "quickstart.yaml")
    document = json.loads(result.stdout)
    assert (document["format"], document["kind"]) == (1, "check")
    recipe = document["recipes"][0]
    assert not recipe["ok"]
    [found] = recipe["diagnostics"]
    assert (found["code"], found["line"], found["column"]) == ("CR104", 34, 5)
    assert found["hint"] == "did you mean 'tomograms'?"
    assert result.stderr == ""


def test_quiet_prints_nothing_of_what_is_good(lab: Path) -> None:
    for words in (("check", "-q"), ("plan", "-q"), ("build", "-q")):
        result = run(*words, "quickstart.yaml")
        assert (result.exit_code, result.stdout, result.stderr) == (ExitCode.GOOD, "", "")


def test_plan_writes_nothing(lab: Path) -> None:
    before = sorted(p for p in lab.rglob("*"))
    result = run("plan", "quickstart.yaml")
    assert result.exit_code == ExitCode.GOOD
    assert "picks 'ribosome:*/*' selects 6" in result.stdout
    assert "(quickstart): a new Croissant\n" in result.stdout
    assert sorted(p for p in lab.rglob("*")) == before


def test_dry_run_is_plan(lab: Path) -> None:
    planned, dry = run("plan", "quickstart.yaml"), run("build", "--dry-run", "quickstart.yaml")
    assert dry.stdout == planned.stdout
    assert not (lab / "sample" / "Croissant").exists()


def test_plan_json_is_sorted_and_whole(lab: Path) -> None:
    result = run("plan", "--format", "json", "quickstart.yaml")
    document = json.loads(result.stdout)
    assert result.stdout.rstrip("\n") == json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False)
    assert (document["format"], document["kind"]) == (1, "plan")
    recipe = document["recipes"][0]
    assert recipe["ok"]
    assert not recipe["written"]
    assert recipe["splits"] == {"train": ["TS_001", "TS_002"], "val": ["TS_003"]}
    assert recipe["layers"][0]["selectors"][-1] == {
        "artifact": "picks",
        "text": "ribosome:*/*",
        "role": "select",
        "matched": 6,
    }
    assert len(recipe["changes"]["record_sets"]["picks"]["added"]) == recipe["rows"]["picks"] == 6


def test_build_then_nothing_to_do(lab: Path) -> None:
    first, second = run("build", "quickstart.yaml"), run("build", "quickstart.yaml")
    assert first.exit_code == second.exit_code == ExitCode.GOOD
    assert first.stdout.startswith("Built: ")
    assert second.stdout.startswith("Up to date: ")
    assert run("plan", "quickstart.yaml").stdout == "quickstart.yaml: no changes: the Croissant is up to date.\n"


def test_a_build_says_what_it_wrote_though_no_row_changed(lab: Path) -> None:
    recipe = ("quickstart.yaml",)
    run("build", "quickstart.yaml")
    with (lab / "sample/Croissant/croissant-recipe.parquet").open("ab") as file:
        file.write(b"damage")
    short, planned, built = run("plan", *recipe), run("plan", "-v", *recipe), run("build", *recipe)
    stay = "rows and metadata stay as they are, and a build writes croissant-recipe.parquet anew."
    assert f"\nNo changes: {stay}\n" in planned.stdout
    assert short.stdout.startswith("quickstart.yaml: no changes: rows and metadata stay as they are, and a build wr")
    assert len(short.stdout) == 81, "one line of a terminal"
    assert built.stdout.startswith("Built: ")
    assert built.stdout.endswith("\n  rows and metadata stayed as they were; written anew: croissant-recipe.parquet\n")
    document = json.loads(run("build", "--format", "json", "quickstart.yaml").stdout)["recipes"][0]
    assert (document["ok"], document["written"], document["files"]) == (True, False, [])


def test_what_is_kept_or_lost_of_others_changes_is_said(lab: Path) -> None:
    run("build", "quickstart.yaml")
    root = croissant_recipes.from_croissant("sample/Croissant/metadata.json")
    root.get_run("TS_003").new_picks("proteasome", session_id="review", user_id="ada").from_numpy([[1.0, 2.0, 3.0]])
    row = "\n  + picks: TS_003, ada, review, proteasome\n"
    stopped, kept, lost, none = (
        run("build", "--on-drift", choice, "quickstart.yaml") for choice in ("stop", "keep", "discard", "discard")
    )
    assert stopped.exit_code == ExitCode.BLOCKED
    assert f"error[CR502]: {lab}/sample/Croissant changed since it was built{row}" in stopped.stderr
    told = f"info[CR502]: {lab}/sample/Croissant: changes that others made since it was built are "
    assert f"{told}kept{row}" in kept.stderr
    assert f"{told}discarded{row}" in lost.stderr
    assert "CR502" not in none.stderr
    assert [r.stdout.partition(":")[0] for r in (kept, lost, none)] == ["Built", "Built", "Up to date"]
    assert "rows and metadata stayed as they were; written anew: metadata.json" in kept.stdout


def test_a_changed_object_shows_what_changed(lab: Path) -> None:
    run("build", "quickstart.yaml")
    edit(lab / "quickstart.yaml", "expect:", "objects: {ribosome: {radius: 150}}\n\nexpect:")
    edit(lab / "quickstart.yaml", "denoised tomograms of a small", "raw tomograms of a small")
    shown = run("plan", "--full", "quickstart.yaml").stdout
    assert "\n~ object ribosome: radius 130.0 -> 150.0 (quickstart.yaml:" in shown
    assert (
        "\n~ description: …ations over denoised tomograms o… -> …ations over raw tomograms o… (quickstart.yaml:"
        in shown
    )


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colours_are_for_terminals(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert paint_for(Terminal())("error[CR101]", "error") == "\x1b[1;31merror[CR101]\x1b[0m"
    assert paint_for(io.StringIO()) is plain
    for name, value in (("NO_COLOR", "1"), ("TERM", "dumb")):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            assert paint_for(Terminal()) is plain
    monkeypatch.setenv("NO_COLOR", "")
    assert paint_for(Terminal()) is not plain, "as no-color.org has it, only a value counts"


def test_severities_and_what_comes_and_goes_have_colours() -> None:
    found = Diagnostic(Code.DRIFT, "changed", notes=("+ picks: a", "- picks: b", "~ picks: c", "  - path d"), hint="so")
    roles: list[str] = []
    text = found.text(lambda text, role: roles.append(role) or text)
    assert text == str(found)
    assert roles == ["error", "+", "-", "~", " "]


@pytest.mark.parametrize("name", ["", *main.commands])
def test_help_is_whole_and_has_an_example(name: str) -> None:
    shown = run(*([name] if name else []), "--help").stdout
    assert "..." not in re.sub(r"RECIPE\.\.\.|\[ARGS\]\.\.\.|REV\.\.\.REV", "", shown), "a summary is cut off"
    assert f"\n    croissant-recipe {name}" in shown.partition("Example")[2]
    assert max(map(len, shown.splitlines())) <= 80


def test_a_changed_recipe_shows_as_a_diff(lab: Path) -> None:
    run("build", "quickstart.yaml")
    edit(lab / "quickstart.yaml", 'val: ["TS_003"]', 'test: ["TS_003"]')
    result = run("plan", "quickstart.yaml")
    assert "\n    TS_003: split val -> test\n" in result.stdout


def test_expectation_blocks(lab: Path) -> None:
    edit(lab / "quickstart.yaml", 'runs: ">= 3"', 'runs: ">= 30"')
    result = run("build", "quickstart.yaml")
    assert result.exit_code == ExitCode.BLOCKED
    assert "error[CR404]: runs: expected >= 30, and there are 4" in result.stderr
    assert "Nothing was written." in result.stderr
    assert not (lab / "sample" / "Croissant").exists()
    assert not (lab / "sample" / ".croissant-recipe.lock").exists()


def test_unreachable_source(lab: Path) -> None:
    edit(lab / "quickstart.yaml", "sample/filesystem.json", "sample/nothing.json")
    result = run("build", "quickstart.yaml")
    assert result.exit_code == ExitCode.UNREACHABLE
    assert "quickstart.yaml:" in result.stderr
    assert "error[CR301]" in result.stderr


def test_output_and_base_url(lab: Path) -> None:
    result = run("build", "quickstart.yaml", "--output", "elsewhere", "--base-url", "https://example.org/there/")
    assert result.exit_code == ExitCode.GOOD
    manifest = json.loads((lab / "elsewhere" / "Croissant" / "metadata.json").read_bytes())
    assert manifest["copick:baseUrl"] == "https://example.org/there"
    urls = {f["@id"]: f["contentUrl"] for f in manifest["distribution"]}
    assert urls["picks-csv"] == "https://example.org/there/Croissant/picks.csv"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("example.org/data", "'example.org/data' is no URL"),
        ("", "'' is no URL"),
        ("https://me:hidden@example.org/data", "everybody reads it, and it holds a user name"),
        ("https://example.org/data?token=hidden", "everybody reads it, and it holds a user name"),
    ],
)
@pytest.mark.parametrize("command", ["plan", "build"])
def test_a_base_url_of_no_form(command: str, url: str, message: str, lab: Path) -> None:
    result = run(command, "quickstart.yaml", "--base-url", url)
    assert result.exit_code == ExitCode.INVALID
    assert f"error[CR107]: --base-url: {message}" in result.stderr
    assert "hidden" not in result.output
    assert not (lab / "sample/Croissant").exists()


def test_a_subset_built_elsewhere_opens_with_both_readers(lab: Path) -> None:
    result = run("build", "quickstart.yaml", "--output", "elsewhere")
    assert result.exit_code == ExitCode.GOOD
    assert f"info[CR409]: the data stays where it is: rows are relative to {lab / 'sample'}" in result.stderr
    metadata = str(lab / "elsewhere/Croissant/metadata.json")
    for opened in (croissant_recipes.from_croissant, copick.from_croissant):
        tomogram = opened(metadata).get_run("TS_001").get_voxel_spacing(10.0).get_tomograms("wbp")[0]
        assert tomogram.numpy().shape == (16, 16, 16)
    assert sorted(p.name for p in (lab / "elsewhere").iterdir() if not p.name.startswith(".")) == ["Croissant"]


def test_no_file_sha256(lab: Path) -> None:
    run("build", "quickstart.yaml", "--no-file-sha256")
    root = croissant_recipes.from_croissant(str(lab / "sample" / "Croissant" / "metadata.json"))
    assert {row["sha256"] for row in root.index.picks} == {None}
    assert {row["voxel_size"] for row in root.index.picks} == {10.0}


def test_set(lab: Path) -> None:
    result = run("plan", "quickstart.yaml", "--set", "voxel=20.0")
    assert "tomograms 'wbp@20.0' selects 2" in result.stdout
    assert result.exit_code == ExitCode.INVALID  # there is no denoised tomogram at 20 Å
    assert "'denoised@20.0' matches no tomogram" in result.stderr


def test_emitted_config_opens_the_croissant(lab: Path) -> None:
    import copick

    result = run("build", "quickstart.yaml", "--emit-config", "a.json")
    assert result.stdout.endswith("\nWrote a.json, a copick config that opens it.\n")
    assert result.exit_code == ExitCode.GOOD
    root = copick.from_file("a.json")
    assert (root.mode, [r.name for r in root.runs]) == ("A", ["TS_001", "TS_002", "TS_003", "TS_004"])
    run("build", "quickstart.yaml", "--emit-config", "b.json", "--config-overlay", "overlay")
    overlaid = copick.from_file("b.json")
    assert overlaid.mode == "B"
    overlaid.get_run("TS_004").new_picks("ribosome", session_id="1", user_id="me").store()
    assert list((lab / "overlay").rglob("me_1_ribosome.json"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("build", "a.yaml", "b.yaml", "--output", "x"), "--output goes with one recipe"),
        (("build", "a.yaml", "--config-overlay", "x"), "--config-overlay goes with --emit-config"),
        (("plan", "a.yaml", "--refresh", "--offline"), "--refresh and --offline exclude each other"),
        (("check", "a.yaml", "--set", "voxel"), "--set voxel: write NAME=VALUE"),
        (("init",), "give either --config, or --datasets or --depositions or both"),
        (("init", "--datasets", "ten"), "--datasets ten: dataset ids are whole numbers separated by commas"),
        (("build",), "Missing argument 'RECIPE...'"),
    ],
)
def test_usage_errors(words: tuple[str, ...], message: str) -> None:
    result = run(*words)
    assert result.exit_code == ExitCode.INVALID
    assert message in result.stderr


def test_two_recipes_into_one_root(lab: Path) -> None:
    shutil.copy(lab / "quickstart.yaml", lab / "again.yaml")
    result = run("build", "quickstart.yaml", "again.yaml")
    assert result.exit_code == ExitCode.INVALID
    assert "again.yaml" in result.stderr
    assert "quickstart.yaml is built into the same project_root" in result.stderr
    assert not (lab / "sample" / "Croissant").exists()


def test_init_writes_a_recipe_that_builds(lab: Path) -> None:
    result = run("init", "--config", "sample/filesystem.json", "-o", "mine.yaml")
    assert result.exit_code == ExitCode.GOOD, result.stderr
    text = (lab / "mine.yaml").read_text(encoding="utf-8")
    for name in ("TS_001", "denoised@10.0", "ribosome:curator/round-1", "cell:segmenter/v1@10.0?panoptic=true"):
        assert name in text
    assert "\nobjects:\n  ribosome: {label: 1}\n  proteasome: {label: 2}\n  membrane: {label: 3}\n" in text
    left = run("check", "mine.yaml").stderr
    assert "mine.yaml:14:3: error[CR106]: 'license' has no value" in left
    assert "mine.yaml:15:3: error[CR106]: 'date_published' has no value" in left
    assert left.count("error[") == left.count("\n  hint: give it a value\n") == 2
    edit(lab / "mine.yaml", "license:", "license: MIT")
    edit(lab / "mine.yaml", "date_published:", "date_published: 2026-01-15")
    assert run("build", "mine.yaml").exit_code == ExitCode.GOOD
    assert run("init", "--config", "sample/filesystem.json", "-o", "mine.yaml").exit_code == ExitCode.INVALID
    assert run("init", "--config", "sample/filesystem.json", "-o", "mine.yaml", "--force").exit_code == ExitCode.GOOD


def test_a_starter_recipe_stays_one_whatever_things_are_called(lab: Path) -> None:
    (runs,) = {path.parent for path in lab.rglob("TS_001")}
    (runs / "TS_000\nlayers: []\x1b[2J\u202e").mkdir()
    result = run("init", "--config", "sample/filesystem.json")
    assert "\x1b" not in result.output
    assert "\u202e" not in result.output
    assert len(yaml.safe_load(result.stdout)["layers"]) == 1
    assert "TS_000\\nlayers" in result.stdout


def test_init_of_a_config_that_is_not_there(lab: Path) -> None:
    result = run("init", "--config", "nothing.json")
    assert result.exit_code == ExitCode.UNREACHABLE
    assert "nothing.json" in result.stderr


def test_a_bug_ends_with_1(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from croissant_recipes import api

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("not the recipe's fault")

    monkeypatch.setattr(api, "check", broken)
    result = CliRunner().invoke(main, ["check", "quickstart.yaml"])
    assert result.exit_code == ExitCode.BUG
    assert "ZeroDivisionError: not the recipe's fault" in result.stderr
    assert "This is a bug in croissant-recipe." in result.stderr


def test_version() -> None:
    assert run("--version").stdout == f"croissant-recipe, version {croissant_recipes.__version__}\n"


# How it ends


def test_of_several_exit_codes_the_one_that_stops_is_returned() -> None:
    order = [ExitCode(n) for n in (130, 1, 2, 7, 6, 5, 4, 3, 0)]
    assert set(order) == set(ExitCode)
    for i, code in enumerate(order):
        for later in itertools.permutations(order[i:], min(3, len(order) - i)):
            assert ExitCode.first([*later, code]) is code
    assert ExitCode.first([]) is ExitCode.GOOD


def test_the_exit_code_of_findings() -> None:
    blocked, unreachable, invalid = (Diagnostic(c, "") for c in (Code.COLLISION, Code.UNREACHABLE, Code.NO_MATCH))
    assert exit_code([]) is ExitCode.GOOD
    assert exit_code([Diagnostic(Code.UNREACHABLE, "", Severity.WARNING)]) is ExitCode.GOOD
    assert exit_code([blocked]) is ExitCode.BLOCKED
    assert exit_code([blocked, unreachable]) is ExitCode.UNREACHABLE
    assert exit_code([blocked, unreachable, invalid]) is ExitCode.INVALID


def test_a_recipe_that_is_wrong_counts_before_a_source_that_is_away(lab: Path) -> None:
    shutil.copy(lab / "quickstart.yaml", lab / "away.yaml")
    edit(lab / "away.yaml", "sample/filesystem.json", "sample/none.json")
    edit(lab / "away.yaml", "project_root: sample", "project_root: other")
    edit(lab / "quickstart.yaml", "ribosome:*/*", "ribosme:*/*")
    assert run("plan", "away.yaml").exit_code == ExitCode.UNREACHABLE
    assert run("plan", "quickstart.yaml", "away.yaml").exit_code == ExitCode.INVALID


def test_a_file_of_the_command_line_that_cannot_be_written_is_no_bug(lab: Path) -> None:
    for words in (
        ("init", "--config", "sample/filesystem.json", "-o", "none/mine.yaml"),
        ("build", "quickstart.yaml", "--emit-config", "none/config.json"),
    ):
        result = run(*words)
        assert result.exit_code == ExitCode.UNREACHABLE
        assert f"error[CR504]: {words[-1]} cannot be written: No such file or directory\n" in result.stderr
