"""What two versions are made of, in numbers."""

from __future__ import annotations

from croissant_recipes.review import composition
from croissant_recipes.review.composition import Compared, Counted, ObjectRows, SizedRows
from tests.croissants import Given, tables_of
from tests.reviewed import picks, tomogram


def compared(before: Given | None, after: Given) -> Compared:
    there = composition.of(tables_of(before)) if before is not None else None
    return composition.compare(there, composition.of(tables_of(after)))


def runs(**splits: str) -> list[dict[str, str]]:
    return [{"name": name, "split": split} for name, split in splits.items()]


def test_runs_are_counted_by_split_and_those_of_none_last() -> None:
    found = compared({"runs": runs(a="val", b="train")}, {"runs": runs(a="test", b="train", c="train", d="")})
    assert list(found.runs.items()) == [
        ("test", Counted(0, 1)),
        ("train", Counted(1, 2)),
        ("val", Counted(1, 0)),
        ("", Counted(0, 1)),
    ]


def test_picks_are_counted_by_object_and_the_split_of_their_run() -> None:
    before: Given = {"runs": runs(a="train", b="val"), "picks": [picks("a", "ribosome"), picks("b", "ribosome")]}
    after: Given = {
        "runs": runs(a="val", b="val"),
        "picks": [
            picks("a", "ribosome"),
            picks("b", "ribosome"),
            picks("b", "ribosome", user_id="bob"),
            picks("b", "x"),
        ],
    }
    ribosome, other = compared(before, after).objects
    assert ribosome == ObjectRows("picks", "ribosome", {"train": Counted(1, 0), "val": Counted(1, 3)})
    assert ribosome.total == Counted(2, 3)
    assert other == ObjectRows("picks", "x", {"train": Counted(0, 0), "val": Counted(0, 1)})


def test_rows_of_a_run_that_is_not_listed_are_in_no_split() -> None:
    found = compared(None, {"runs": runs(a="train"), "picks": [picks("gone", "ribosome")]})
    assert found.objects == (ObjectRows("picks", "ribosome", {"train": Counted(0, 0), "": Counted(0, 1)}),)
    assert found.runs == {"train": Counted(0, 1)}


def test_artifacts_are_counted_by_voxel_size_and_those_of_an_unknown_one_last() -> None:
    before: Given = {"tomograms": [tomogram("a", 10.0)], "picks": [picks("a", "x")]}
    after: Given = {
        "tomograms": [tomogram("a", 10.0), tomogram("a", 7.84), tomogram("b", 10.0)],
        "picks": [picks("a", "x"), picks("b", "x", voxel_size=float("nan"))],
    }
    assert compared(before, after).sizes == (
        SizedRows("tomograms", 7.84, Counted(0, 1)),
        SizedRows("tomograms", 10.0, Counted(1, 2)),
        SizedRows("picks", 10.0, Counted(1, 1)),
        SizedRows("picks", None, Counted(0, 1)),
    )


def test_nothing_is_made_of_nothing() -> None:
    assert compared({}, {}) == Compared({}, (), ())
