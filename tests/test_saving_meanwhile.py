"""What others save while a build works: nothing that was saved before the swap is lost."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import copick
import pytest
from compiling import with_code
from servers import s3_server
from test_build import ADDED, RIBOSOMES, Lab, contents

from croissant_recipes import from_croissant, plan, stores
from croissant_recipes.codes import Code
from croissant_recipes.croissant import manifest
from croissant_recipes.croissant.serialize import read_csv
from croissant_recipes.schema import RECORD_SETS
from croissant_recipes.stores import disk
from croissant_recipes.stores.object_folder import Place


@pytest.fixture(autouse=True)
def _no_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "_check", lambda *_, **__: None)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    lab = Lab(tmp_path)
    lab.write("recipe.yaml", "  - {export: lab, picks: ['ribosome:alice']}\n")
    assert lab.build().written
    lab.write("recipe.yaml", "  - {export: lab, runs: [TS_1, TS_2], picks: ['ribosome:alice']}\n")
    return lab


def before(monkeypatch: pytest.MonkeyPatch, step: str, *actions: Callable[[], object]) -> None:
    """Each time a build comes to a step, it is preceded by one of the actions, in order, as long as there are any."""
    left, done = list(actions), getattr(disk, step)

    def late(*given: Any) -> Any:
        if left:
            left.pop(0)()
        return done(*given)

    monkeypatch.setattr(disk, step, late)


def before_the_swap(monkeypatch: pytest.MonkeyPatch, *actions: Callable[[], object]) -> None:
    """At the last moment, when a build has looked whether anything changed. Roots of ours cannot save then."""
    before(monkeypatch, "_put_in_place", *actions)


def beside(lab: Lab) -> list[str]:
    return sorted(p.name for p in lab.out.iterdir())


CLEAN = [".croissant-recipe.lock", "Croissant"]


@pytest.mark.parametrize(
    ("open_with", "step", "swap"),
    [
        (from_croissant, "_stage", "exchange"),
        (copick.from_croissant, "_stage", "exchange"),
        (copick.from_croissant, "_put_in_place", "exchange"),
        (copick.from_croissant, "_put_in_place", "renames"),
    ],
)
def test_picks_saved_before_the_swap_are_kept(
    lab: Lab, open_with: Callable[[str], Any], step: str, swap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if swap == "renames":
        monkeypatch.setattr(disk, "exchange", lambda *_: False)
    before(monkeypatch, step, lambda: lab.add_picks(open_with=open_with))
    result = lab.build()
    assert result.written
    assert [str(d) for d in result.diagnostics if d.code is not Code.VERSION_STEP] == [
        f"warning[CR502]: {lab.croissant}: others saved while it was built, and what they saved is kept\n"
        "  + picks: TS_1, bob, 9, ribosome\n"
        "  hint: the next build asks whether it is to stay"
    ]
    assert set(lab.rows("picks")) == {ADDED, *RIBOSOMES[:2]}, "and what the recipe dropped is gone"
    assert lab.rows("runs") == [("TS_1",), ("TS_2",)]
    assert beside(lab) == CLEAN
    (told,) = with_code(lab.build().diagnostics, Code.DRIFT)
    assert told.notes == ("+ picks: TS_1, bob, 9, ribosome",)
    root = from_croissant(str(lab.manifest))
    assert len(root.get_run("TS_1").get_picks(user_id="bob")) == 1


def test_what_others_save_while_that_is_put_back_is_kept_too(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    root = copick.from_croissant(str(lab.manifest))

    def save(session: str) -> None:
        picks = root.get_run("TS_1").new_picks("ribosome", session, "bob")
        picks.points = []
        picks.store()

    # The second is saved over the new version, with all that this root had read of the old one.
    before_the_swap(monkeypatch, lambda: save("9"), lambda: save("10"), lambda: save("11"))
    assert lab.build().written
    added = {("TS_1", "bob", session, "ribosome") for session in ("9", "10", "11")}
    assert set(lab.rows("picks")) == {*added, *RIBOSOMES[:2]}
    assert beside(lab) == CLEAN


def test_other_changes_before_the_swap_are_kept(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def change() -> None:
        from_croissant(str(lab.manifest)).set_splits({"train": ["TS_1"]})
        lab.remove_row()
        lab.edit_manifest(lambda d: d.update(description="By hand."))
        (lab.croissant / "README").write_text("mine")

    before(monkeypatch, "_stage", change)
    assert lab.build().written
    assert lab.rows("runs", "name", "split") == [("TS_1", "train"), ("TS_2", "")]
    assert lab.rows("picks") == RIBOSOMES[:1]
    assert lab.document()["description"] == "By hand."
    assert (lab.croissant / "README").read_text() == "mine"


def test_what_was_to_be_discarded_does_not_come_back_with_what_is_saved_late(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.add_picks("8")
    before_the_swap(monkeypatch, lambda: lab.add_picks("9", copick.from_croissant))
    assert lab.build(on_drift="discard").written
    assert set(lab.rows("picks")) == {ADDED, *RIBOSOMES[:2]}


def test_a_save_that_the_swap_cuts_in_two_leaves_no_manifest_of_other_files(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """copick writes the CSV to the old version and its manifest to the new one."""
    root = copick.from_croissant(str(lab.manifest))
    index = root.index
    write = type(index)._atomic_write_bytes
    manifests: list[bytes] = []

    def only_csv(self: Any, path: str, data: bytes) -> None:
        if path.endswith(".csv"):
            write(self, path, data)
        else:
            manifests.append(data)

    def half() -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(index), "_atomic_write_bytes", only_csv)
            picks = root.get_run("TS_1").new_picks("ribosome", "9", "bob")
            picks.points = []
            picks.store()

    peek = stores.peek

    def other_half(output: Any) -> Any:
        if manifests:
            lab.manifest.write_bytes(manifests.pop())
            manifests.clear()
        return peek(output)

    before_the_swap(monkeypatch, half)
    monkeypatch.setattr(stores, "peek", other_half)
    prepared = lab.build()
    assert prepared.written
    assert not manifests
    assert set(lab.rows("picks")) == {ADDED, *RIBOSOMES[:2]}
    from_croissant(str(lab.manifest)), "whose files fit each other"


class Killed(BaseException):
    """The process is gone."""


@pytest.mark.parametrize("where", ["_settle", "_with_late"])
def test_a_build_killed_before_it_puts_back_what_was_saved_leaves_it_for_the_next(
    lab: Lab, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from croissant_recipes import building

    before_the_swap(monkeypatch, lambda: lab.add_picks(open_with=copick.from_croissant))
    module = disk if where == "_settle" else building
    original, calls = getattr(module, where), []

    def die_once(*given: Any) -> Any:
        calls.append(given)
        # The first two settle what earlier builds left.
        if len(calls) == (3 if where == "_settle" else 1):
            raise Killed
        return original(*given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, where, die_once)
        with pytest.raises(Killed):
            lab.build()
    assert lab.rows("picks") == RIBOSOMES[:2], "the new version is in place"
    before = contents(lab.out)
    (planned,) = plan(lab.recipe)
    (told,) = with_code(planned.diagnostics, Code.DRIFT)
    assert told.message == (
        f"{lab.croissant}: others saved while it was built, and the build was killed before it could put that back"
    )
    assert told.notes == ("+ picks: TS_1, bob, 9, ribosome",)
    assert contents(lab.out) == before, "a plan touches nothing"
    assert not lab.build().written
    copy = lab.folder / "copy"
    shutil.copytree(lab.out, copy)
    assert lab.build(on_drift="keep").written
    assert set(lab.rows("picks")) == {ADDED, *RIBOSOMES[:2]}
    assert beside(lab) == CLEAN
    shutil.rmtree(lab.out)
    copy.rename(lab.out)
    discarded = lab.build(on_drift="discard")
    assert [d.notes for d in with_code(discarded.diagnostics, Code.DRIFT)] == [told.notes], "nothing is lost silently"
    assert lab.rows("picks") == RIBOSOMES[:2]
    assert beside(lab) == CLEAN


def test_what_is_saved_after_the_swap_is_drift(lab: Lab) -> None:
    """A root that was opened before writes back the whole table that it had read."""
    root = copick.from_croissant(str(lab.manifest))
    lab.write("recipe.yaml", "  - {export: lab, runs: [TS_2, TS_3], picks: ['ribosome:alice', vlp]}\n")
    assert lab.build().written
    picks = root.get_run("TS_1").new_picks("ribosome", "9", "bob")
    picks.points = []
    picks.store()
    (planned,) = plan(lab.recipe)
    (told,) = with_code(planned.diagnostics, Code.DRIFT)
    assert told.notes == (
        "- picks: TS_2, tool, 0, vlp",
        "- picks: TS_3, tool, 0, vlp",
        f"~ Croissant {lab.manifest}: runs.csv does not list 'TS_1', and rows of it are left out: 2 in picks.csv",
    )
    assert with_code(lab.build().diagnostics, Code.DRIFT) == [told]


def test_what_copick_writes_in_passing_is_not_carried_over(lab: Lab) -> None:
    for name in ("picks.csv.tmp", ".copick-tmp-metadata.json"):
        (lab.croissant / name).write_text("half")
    (lab.croissant / "notes.tmp").write_text("mine")
    assert lab.build().written
    assert {p.name for p in lab.croissant.iterdir()} & {"picks.csv.tmp", ".copick-tmp-metadata.json", "notes.tmp"} == {
        "notes.tmp"
    }


@pytest.mark.parametrize("saved_before", ["picks.csv", "metadata.json"])
def test_picks_saved_on_s3_before_their_file_is_replaced_are_kept(
    lab: Lab, saved_before: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with s3_server() as server:
        server.make_bucket("lab")
        output = f'"s3://lab/out", fs_args: {json.dumps(server.fs_args)}, base_url: "file://{lab.project.root}"'
        start = lab.recipe.read_text().split("sources:")[0].split("name: lab\n", 1)[1]
        start = start.split("output:")[0] + f"output: {{project_root: {output}}}\n"
        everything = "  - {export: lab, picks: ['ribosome:alice']}\n"
        assert lab.build(lab.write("recipe.yaml", everything, start=start)).written
        url = "s3://lab/out/Croissant/metadata.json"
        root = from_croissant(url, croissant_fs_args=server.fs_args)
        lab.write("recipe.yaml", "  - {export: lab, runs: [TS_1, TS_2], picks: ['ribosome:alice']}\n", start=start)
        replace, left = Place.replace, [saved_before]

        def late(self: Place, source: str, name: str, tag: str | None) -> None:
            # After it was looked at: the store is asked not to replace what came since.
            if name in left:
                left.clear()
                picks = root.get_run("TS_1").new_picks("ribosome", "9", "bob")
                picks.points = []
                picks.store()
            replace(self, source, name, tag)

        monkeypatch.setattr(Place, "replace", late)
        result = lab.build()
        assert result.written
        assert not left
        there = server.objects("lab", "out/Croissant/")
        assert not [name for name in there if "/" in name or name == ".lock"]
        table = read_csv(there["picks.csv"], "picks")[0]
        keys = set(table[list(RECORD_SETS["picks"].key)].itertuples(index=False, name=None))
        (told,) = with_code((result if saved_before == "picks.csv" else lab.build()).diagnostics, Code.DRIFT)
        assert "+ picks: TS_1, bob, 9, ribosome" in told.notes
        assert ADDED in keys
        from_croissant(url, croissant_fs_args=server.fs_args), "whose files fit each other"
