"""A real example of nearly every code, for docs/errors.md: the quickstart recipe with something wrong."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from croissant_recipes import api, from_croissant
from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import Diagnostic
from croissant_recipes.options import Options

NOT_MADE_HERE = frozenset({"CR308", "CR309", "CR310", "CR406", "CR412", "CR426", "CR427", "CR437", "CR438", "CR503"})
"""Codes whose example is written by hand: they need the portal, git, another process, or a second."""

Prepare = Callable[[], object]

_RECIPE = "recipe.yaml"
_PICKS = Path("sample/ExperimentRuns/TS_003/Picks")
_BASE = (("dataset:\n", "base: published/Croissant/metadata.json\n\nignored:\n"), ("export: lab", "append: lab"))
_PORTAL = (
    ("copick: { config: sample/filesystem.json }", "portal: { datasets: [10440] }"),
    ("root: sample", "root: build"),
)
_ARRAY = "sample/ExperimentRuns/TS_001/VoxelSpacing10.000/wbp.zarr"
_MASK = "sample/ExperimentRuns/TS_001/Segmentations/10.000_segmenter_v1_membrane.zarr"
_ELEVEN = json.dumps(
    {
        "multiscales": [
            {"datasets": [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [11.0, 11.0, 11.0]}]}]}
        ]
    }
)
_PICK_LINE = 'picks: ["ribosome:*/*"]'


@dataclass(frozen=True)
class Example:
    """What is wrong.

    Attributes:
        edits: Texts of the quickstart recipe and what replaces them.
        run: ``check``, ``plan`` or ``build``.
        prepare: Changes the copy of the recipes first. The working directory is theirs.
    """

    edits: tuple[tuple[str, str], ...] = ()
    run: str = "check"
    prepare: Prepare | None = None
    options: Options = field(default_factory=Options)


def _edit(*edits: str) -> Example:
    return Example(tuple(zip(edits[::2], edits[1::2], strict=True)))


def _edit_with(path: str, text: str, *edits: str) -> Example:
    return replace(_edit(*edits), prepare=_write(path, text))


def _planned(*edits: str, prepare: Prepare | None = None, run: str = "plan", **options: object) -> Example:
    pairs = tuple(zip(edits[::2], edits[1::2], strict=True))
    return Example(pairs, run, prepare, Options(**options))  # type: ignore[arg-type]


def _portal(*edits: str, **options: object) -> Example:
    pairs = (*_PORTAL, *zip(edits[::2], edits[1::2], strict=True))
    return Example(pairs, "plan" if options else "check", None, Options(**options))  # type: ignore[arg-type]


def _hiding(hides: str, public: str = "public") -> tuple[str, ...]:
    """The quickstart's output as two, of which one does not show all."""
    results = f"  public: {{ project_root: {public}, {hides} }}\n  private: {{ project_root: private }}\n"
    return "\noutput:\n", "\noutputs:\n", "  project_root: sample\n", results


def _write(path: str, text: str) -> Prepare:
    def write() -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text, encoding="utf-8")

    return write


def _copy_picks(name: str) -> Prepare:
    return lambda: shutil.copy(_PICKS / "template-matching_tm-1_ribosome.json", _PICKS / name)


def _build() -> None:
    assert all(r.written for r in api.build(_RECIPE))


def _build_and_annotate() -> None:
    _build()
    run = from_croissant("sample/Croissant/metadata.json").get_run("TS_003")
    run.new_picks("proteasome", session_id="review", user_id="ada").from_numpy([[1.0, 2.0, 3.0]])


def _build_and_relabel() -> None:
    _build()
    config = json.loads(Path("sample/filesystem.json").read_bytes())
    config["pickable_objects"][0]["label"] = 9
    Path("sample/filesystem.json").write_text(json.dumps(config), encoding="utf-8")


def _build_and_add_runs() -> None:
    _build()
    for name in ("TS_000", "TS_005", "TS_006"):
        shutil.copytree("sample/ExperimentRuns/TS_002", f"sample/ExperimentRuns/{name}")


def _build_and_exclude() -> None:
    _build()
    recipe = Path(_RECIPE).read_text(encoding="utf-8")
    Path(_RECIPE).write_text(recipe.replace('["ribosome:*/*"]', '["ribosome:curator/*"]'), encoding="utf-8")


def _build_and_lose_record() -> None:
    _build()
    os.remove("sample/Croissant/croissant-recipe.json")


def _spoil_base() -> None:
    path = Path("published/Croissant/metadata.json")
    document = {**json.loads(path.read_bytes()), "datePublished": "June 2025"}
    path.write_text(json.dumps(document), encoding="utf-8")


EXAMPLES = {
    "CR101": Example(prepare=lambda: os.remove(_RECIPE)),
    "CR102": _edit("name: quickstart", "name: quickstart\n\tparams:"),
    "CR103": _edit("name: quickstart", "name: quickstart\nname: again"),
    "CR104": _edit("others: include", "tomogram: all"),
    "CR105": _edit("  version: 1.0.0\n", ""),
    "CR106": _edit("name: quickstart", "name: 7"),
    "CR107": _edit("others: include", "others: inclde"),
    "CR108": _edit("recipe: 1", "recipe: 2"),
    "CR110": _edit("wbp@${voxel}", "wbp@${voxle}"),
    "CR111": _edit("params:\n", "params:\n  object: ribosome\n"),
    "CR112": _planned(params={"voxel": "small"}),
    "CR201": _edit("export: lab", "export: lba"),
    "CR202": _edit("sources:\n", "sources:\n  other:\n    copick: { config: other.json }\n"),
    "CR203": _edit("export: lab", "append: lab"),
    "CR204": _edit("ribosome:*/*", "ribosome:curator:round-1"),
    "CR205": _edit("others: include", 'session_id: "{method_type}"'),
    "CR206": _portal("others: include", 'session_id: "{method_type!r}"'),
    "CR207": _portal("others: include", 'session_id: "{method_typ}"'),
    "CR208": _portal(_PICK_LINE, "picks: { where: { methods: hybrid } }"),
    "CR209": _portal(_PICK_LINE, "picks: { where: { method_type: template-matching } }"),
    "CR210": _edit("val: [", '"1": ['),
    "CR211": _planned("TS_003", "TS_002"),
    "CR212": _edit("splits:\n", "splits:\n  file: folds.csv\n"),
    "CR213": _edit('runs: ">= 3"', 'runs: "at least 3"'),
    "CR214": _edit("\nsplits:", "\n  - append: lab\n    picks: proteasome\n\nsplits:"),
    "CR215": _edit("output:\n", "base: published/Croissant/metadata.json\n\noutput:\n", "export: lab", "append: lab"),
    "CR217": _edit("  url: https://example.org/quickstart\n", ""),
    "CR218": _edit(_PICK_LINE, "meshes: { where: { id: 1 } }"),
    "CR219": Example(
        (("splits:\n", "splits:\n  file: folds.csv\n"),),
        prepare=_write("folds.csv", "split,run\ntrain,TS_003\ntrain,TS_004\n"),
    ),
    "CR220": _edit("val: [", "tset: ["),
    "CR221": _edit("others: include", "runs: { having: meshes }\n    others: exclude"),
    "CR225": _edit(
        "  project_root: sample\n", "  project_root: sample\n\noutputs: { public: { project_root: out } }\n"
    ),
    "CR226": _edit(*_hiding("withhold: { val: pick }")),
    "CR227": _edit("dataset:\n", "dataset:\n  from: portal\n"),
    "CR228": Example(
        (
            ("sources:\n", "sources:\n  spare:\n    copick: { config: sample/filesystem.json }\n"),
            ("val: [", "val: [{ source: spare }, "),
        ),
    ),
    "CR301": _planned("sample/filesystem.json", "sample/config.json"),
    "CR302": _planned(
        "sample/filesystem.json", "sample/bad.json", prepare=_write("sample/bad.json", '{"config_type": "filesystm"}')
    ),
    "CR303": _planned(
        "copick: { config: sample/filesystem.json }",
        "croissant: { url: other/metadata.json }",
        prepare=_write("other/metadata.json", "{}"),
    ),
    "CR304": _planned(prepare=_copy_picks("ada_round_1_ribosome.json")),
    "CR305": _planned(prepare=_write(str(_PICKS / "ada_1_ribosome.json"), "{")),
    "CR306": _planned(prepare=_write("sample/ExperimentRuns/TS_001/Filaments/ada_1_actin.json", "{}")),
    "CR307": _portal(cache="offline"),
    "CR401": _planned("ribosome:*", "ribosme:*"),
    "CR113": _edit("params:\n", "include: common/objets.yaml\n\nparams:\n"),
    "CR114": _edit_with("common.yaml", "include: common.yaml\n", "params:\n", "include: common.yaml\n\nparams:\n"),
    "CR115": _edit("params:\n", "include: ../common.yaml\n\nparams:\n"),
    "CR116": _edit_with("common.yaml", "layers: [{ export: lab }]\n", "params:\n", "include: common.yaml\n\nparams:\n"),
    "CR223": _planned("others: include", 'rename: { sessions: { "*-1": "1", "tm-*": "0" } }'),
    "CR402": _planned("others: include", "rename: { tomo_types: { wpb: raw } }"),
    "CR403": _planned(
        "TS_00[12]",
        "TS_001",
        _PICK_LINE,
        'picks: ["*:template-matching/*"]\n    rename: { objects: { ribosome: particle, proteasome: particle } }',
    ),
    "CR404": _planned('runs: ">= 3"', 'runs: ">= 10"'),
    "CR405": _planned("TS_003", "TS_03"),
    "CR407": _planned("expect:", "objects:\n  ribosome: { label: 2 }\n\nexpect:"),
    "CR408": _planned("expect:", "objects:\n  ribosom: { label: 2 }\n\nexpect:"),
    "CR409": _planned("others: include", "others: exclude", "root: sample", "root: build"),
    "CR410": _planned("\nsplits:", "\n  - append: lab\n    picks: ribosome:curator/*\n    others: exclude\n\nsplits:"),
    "CR411": _planned("ribosome:*/*", "*", prepare=_copy_picks("ada_1_virus.json")),
    "CR413": _planned("others: include", 'runs: { having: { picks: "ribosome:curatr" } }'),
    "CR414": _planned(prepare=_build_and_relabel),
    "CR415": _planned(
        *("root: sample", "root: sample\n  labels: dense"),
        *("others: include", "others: exclude"),
        *("expect:", "objects:\n  ribosome: { label: 9 }\n\nexpect:"),
    ),
    "CR416": _planned("splits:\n", "splits:\n  random: { folds: 3, seed: 7, stratify: picks }\n"),
    "CR417": _planned(
        'assign:\n    train: ["TS_00[12]"]\n    val: ["TS_003"]\n',
        "random: { folds: 2, seed: 1, stratify: picks }\n",
        prepare=_build_and_add_runs,
    ),
    "CR418": _planned(*_hiding('mask_runs: { val: "run-{n:03}" }')),
    "CR419": _planned(
        *_hiding('withhold: { val: [picks, tomograms] }, mask_runs: { val: "run-{n:03}" }'),
        prepare=_write("private/Croissant/masked_runs.csv", "run,name\n"),
    ),
    "CR420": _planned('runs: ">= 3"', "points: { inside: true, at_least: 5, apart: 25 }"),
    "CR421": _planned('runs: ">= 3"', "arrays: { voxel_size: true }", prepare=_write(f"{_ARRAY}/.zattrs", _ELEVEN)),
    "CR422": _planned('runs: ">= 3"', "arrays: { same_shape: true }", prepare=_write(f"{_MASK}/0/.zarray", "[]")),
    "CR424": _planned(prepare=_build_and_exclude),
    "CR425": _planned(allow=frozenset({"removed:picks:ribosom"}), prepare=_build_and_exclude),
    "CR501": _planned(prepare=_build_and_lose_record, run="build"),
    "CR502": _planned(prepare=_build_and_annotate, run="build"),
    "CR504": _planned(prepare=_write("sample/Croissant", ""), run="build"),
    "CR505": Example((("root: sample", "root: build"), *_BASE), run="plan", prepare=_spoil_base),
    "CR601": _planned(prepare=_copy_picks("ada_NA_ribosome.json")),
    "CR602": _planned("others: include", "others: exclude\n    rename: {tomo_types: {wbp: raw}}"),
}


def real_example(code: str, recipes: Path) -> str:
    """What is really said.

    Args:
        code: One of ``EXAMPLES``.
        recipes: The folder of a copy of the recipes, which is also the working directory.
    """
    example = EXAMPLES[code]
    text = Path("quickstart.yaml").read_text(encoding="utf-8")
    for old, new in example.edits:
        assert old in text, f"{code}: the quickstart has no {old!r}"
        text = text.replace(old, new)
    text = re.sub(r"^ignored:\n(?:  .*\n)+\n", "", text, flags=re.MULTILINE)
    Path(_RECIPE).write_text(text, encoding="utf-8")
    if example.prepare is not None:
        example.prepare()
    return str(_first(Code(code), example)).replace(f"{recipes}/", "") + "\n"


def _first(code: Code, example: Example) -> Diagnostic:
    if example.run == "check":
        results: tuple[api.Checked | api.Planned, ...] = api.check(_RECIPE, params=example.options.params)
    else:
        results = (api.build if example.run == "build" else api.plan)(_RECIPE, options=example.options)
    found = [d for d in results[0].diagnostics if d.code is code]
    assert found, f"{code.value} is not reported, but {results[0].diagnostics}"
    return found[0]
