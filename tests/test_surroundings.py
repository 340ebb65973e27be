"""A command whose streams are closed or full, that is interrupted, or that cannot write where it is told to."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from samples import copy_sample, write_recipe

from croissant_recipes.cli import main
from croissant_recipes.codes import ExitCode

COMMAND = [sys.executable, "-m", "croissant_recipes"]
LAYER = "  - export: lab\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    copy_sample(tmp_path)
    write_recipe(tmp_path, LAYER)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def invoked(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """What a shell makes of a command in which ``{}`` stands for ours."""
    code = command.replace("{}", f"'{sys.executable}' -m croissant_recipes")
    root = str(Path(__file__).resolve().parent.parent)
    environment = {**os.environ, "PYTHONPATH": root}
    return subprocess.run(
        ["bash", "-c", code], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


needs_full = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")

FULL = """\
error[CR504]: standard output cannot be written: No space left on device
  hint: free some space there, or give it another place; files that were built are complete
"""


@needs_full
def test_a_standard_output_that_is_full(folder: Path) -> None:
    done = shell("{} schema > /dev/full", folder)
    assert (done.returncode, done.stderr) == (ExitCode.UNREACHABLE, FULL)


@needs_full
def test_a_wrong_recipe_stays_wrong_where_nothing_can_be_printed(folder: Path) -> None:
    done = shell("{} check no.yaml > /dev/full 2>&1", folder)
    assert done.returncode == ExitCode.INVALID


def test_a_standard_output_that_is_closed(folder: Path) -> None:
    done = shell("{} schema >&-", folder)
    assert done.returncode == ExitCode.UNREACHABLE
    assert done.stderr.startswith("error[CR504]: standard output cannot be written: Bad file descriptor\n")


def test_a_closed_stream_takes_no_files_number(folder: Path) -> None:
    """The first file that is opened would have the number of standard output, and what is printed in it."""
    done = shell("{} check sample.yaml -q >&- 2>&-; echo $?", folder)
    assert done.stdout == "0\n"


def test_a_reader_that_has_enough(folder: Path) -> None:
    done = shell("set -o pipefail; {} schema | head -n 1", folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, "{\n", "")


@needs_full
def test_a_standard_error_that_is_full(folder: Path) -> None:
    done = shell("{} check no.yaml 2> /dev/full", folder)
    assert (done.returncode, done.stdout) == (ExitCode.INVALID, "no.yaml: 1 error\n")


def test_a_file_name_that_is_no_text(folder: Path) -> None:
    done = shell("{} check $'\\xff.yaml'", folder)
    assert done.returncode == ExitCode.INVALID
    assert done.stdout == "\\udcff.yaml: 1 error\n"


# Interruptions


@pytest.mark.parametrize("after", [0.05, 0.5, 1.5])
def test_an_interruption_at_any_time(folder: Path, after: float) -> None:
    """Of a build that would go on for long, as it waits for a pipe of the system's that nobody writes into."""
    root = str(Path(__file__).resolve().parent.parent)
    program = (
        # What runs the tests in the background may ignore interruptions, and so would what it starts.
        "import signal, sys, time; sys.argv[0] = 'x'; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from croissant_recipes import intake\n"
        "from croissant_recipes.sources import project_config\n"
        "project_config.intake = type('I', (), {**vars(intake), 'parse_json': lambda d: time.sleep(60)})\n"
        "from croissant_recipes.__main__ import run; print('here', flush=True); run()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, "build", "sample.yaml"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": root},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(after)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (ExitCode.INTERRUPTED, "Interrupted.\n")


# Places


def files(folder: Path) -> Mapping[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--emit-config", "nowhere/c.json"], "nowhere/c.json cannot be written: No such file or directory"),
        (["--emit-config", "sample"], "sample cannot be written: Is a directory"),
        (["--emit-config", "sample.yaml/x"], "sample.yaml/x cannot be written: Not a directory"),
        (
            ["--emit-config", "sample.yaml"],
            "sample.yaml is there, and is no copick config of a Croissant: it is not replaced",
        ),
        (
            ["--emit-config", "sample/filesystem.json"],
            "sample/filesystem.json is there, and is no copick config of a Croissant: it is not replaced",
        ),
        (["--emit-config", "c.json", "--config-overlay", "sample.yaml/x"], "sample.yaml/x cannot be written"),
        (["--output", "sample.yaml"], "sample.yaml/Croissant cannot be written: Not a directory"),
        (["--output", "/dev/null/x"], "/dev/null/x/Croissant cannot be written: Not a directory"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_places_that_cannot_be_written_are_found_before_anything_is(
    folder: Path, arguments: list[str], problem: str
) -> None:
    before = files(folder)
    result = invoked("build", "-q", "sample.yaml", *arguments)
    assert result.exit_code == ExitCode.UNREACHABLE
    assert problem in result.stderr
    assert "hint: " in result.stderr
    assert files(folder) == before


def test_a_config_that_was_emitted_before_is_replaced(folder: Path) -> None:
    for _ in range(2):
        assert invoked("build", "-q", "sample.yaml", "--emit-config", "c.json").exit_code == 0
    assert json.loads((folder / "c.json").read_text())["config_type"] == "mlcroissant"


def test_of_two_outputs_none_is_written_where_one_cannot_be(folder: Path) -> None:
    write_recipe(folder, LAYER, name="other", out="sample.yaml")
    result = invoked("build", "-q", "sample.yaml", "other.yaml")
    assert result.exit_code == ExitCode.UNREACHABLE
    assert "other.yaml" not in result.stdout
    assert not (folder / "sample/Croissant").exists()


def test_a_croissant_that_is_a_file_stops_both(folder: Path) -> None:
    write_recipe(
        folder, LAYER, name="other", out="elsewhere", more="output: {project_root: other, base_url: https://x.org}\n"
    )
    shutil.rmtree(folder / "other", ignore_errors=True)
    (folder / "other").mkdir()
    (folder / "other/Croissant").touch()
    result = invoked("build", "-q", "sample.yaml", "other.yaml")
    assert result.exit_code == ExitCode.UNREACHABLE
    assert not (folder / "sample/Croissant").exists()


def test_a_first_recipe_that_cannot_be_written(folder: Path) -> None:
    result = invoked("init", "--config", "sample/filesystem.json", "-o", "nowhere/recipe.yaml")
    assert result.exit_code == ExitCode.UNREACHABLE
    assert "nowhere/recipe.yaml cannot be written: No such file or directory" in result.stderr
