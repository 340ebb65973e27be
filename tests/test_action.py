"""The GitHub Action: its script over a real repository and a stand-in of GitHub's comments, and its metadata."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from repositories import Repo
from samples import copy_sample, write_recipe
from servers import serving

REPOSITORY = Path(__file__).resolve().parent.parent
TOKEN = "a-token-that-nobody-may-see"
ALL = "  - export: lab\n    picks: '*'\n"
FEWER = ALL.replace("'*'", "'ribosome:curator/*'")


@dataclass
class Comments:
    """GitHub's comments of pull request 7, as far as the action asks for them."""

    bodies: dict[int, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    refuses: int = 0
    url: str = ""

    def handler(self) -> type[BaseHTTPRequestHandler]:
        comments = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                query = parse_qs(urlsplit(self.path).query)
                page, size = int(query["page"][0]), int(query["per_page"][0])
                known = [
                    {"id": i, "body": b, "html_url": f"https://example.org/{i}"} for i, b in comments.bodies.items()
                ]
                self._answer(known[(page - 1) * size : page * size])

            def do_POST(self) -> None:
                self._keep(max(comments.bodies, default=0) + 1)

            def do_PATCH(self) -> None:
                self._keep(int(self.path.rsplit("/", 1)[1]))

            def _keep(self, number: int) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["body"]
                if not comments.refuses:
                    comments.bodies[number] = body
                self._answer({"id": number, "html_url": f"https://example.org/{number}"})

            def _answer(self, value: Any) -> None:
                comments.asked.append(f"{self.command} {urlsplit(self.path).path}")
                assert self.headers["Authorization"] == f"Bearer {TOKEN}"
                data = json.dumps(value).encode()
                self.send_response(comments.refuses or 200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        return Handler


@pytest.fixture
def comments() -> Iterator[Comments]:
    found = Comments()
    with serving(found.handler()) as found.url:
        yield found


@dataclass
class Pull:
    """A pull request over a recipe: a branch in a real repository."""

    repo: Repo
    folder: Path
    comments: Comments

    def review(self, **given: str) -> tuple[int, dict[str, str], str]:
        """The exit code, the outputs, and what is printed."""
        for name in ("output", "summary"):
            (self.folder / name).write_text("")
        event = {"pull_request": {"number": 7, "base": {"sha": self.repo.git("rev-parse", "main")}}}
        (self.folder / "event.json").write_text(json.dumps(event))
        inputs = {"RECIPES": "*.yaml", "COMMENT": "true", "NAME": "croissant-recipe", "TOKEN": TOKEN, **given}
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("GITHUB_", "INPUT_"))} | {
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": str(REPOSITORY),
            "GITHUB_API_URL": self.comments.url,
            "GITHUB_REPOSITORY": "lab/curation",
            "GITHUB_EVENT_PATH": str(self.folder / "event.json"),
            "GITHUB_OUTPUT": str(self.folder / "output"),
            "GITHUB_STEP_SUMMARY": str(self.folder / "summary"),
            "RUNNER_TEMP": str(self.folder / "temp"),
            **{f"INPUT_{name}": value for name, value in inputs.items()},
        }
        done = subprocess.run(
            [sys.executable, str(REPOSITORY / "action/review.py")],
            cwd=self.repo.folder,
            env=environment,
            capture_output=True,
            text=True,
        )
        lines = (self.folder / "output").read_text().splitlines()
        outputs = dict(line.split("=", 1) for line in lines)
        assert TOKEN not in done.stdout + done.stderr + "".join(self.comments.bodies.values())
        return done.returncode, outputs, done.stdout + done.stderr


@pytest.fixture
def pull(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, comments: Comments) -> Pull:
    repo = Repo(tmp_path / "curation")
    copy_sample(repo.folder)
    write_recipe(repo.folder, ALL)
    repo.commit("Start")
    repo.git("checkout", "--quiet", "-b", "branch")
    tool = tmp_path / "bin/croissant-recipe"
    tool.parent.mkdir()
    tool.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m croissant_recipes "$@"\n')
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    return Pull(repo, tmp_path, comments)


def test_one_comment_is_posted_kept_up_to_date_and_the_step_ends_as_the_plan(pull: Pull) -> None:
    pull.comments.bodies |= {n: f"Talk {n}" for n in range(1, 150)}
    write_recipe(pull.repo.folder, FEWER)
    pull.repo.commit("Fewer picks")
    code, outputs, printed = pull.review()
    assert (code, outputs["class"], outputs["exit-code"]) == (4, "breaking", "4")
    assert outputs["comment-url"] == "https://example.org/150"
    first = pull.comments.bodies[150]
    assert "removed:picks" in first
    assert (pull.folder / "summary").read_text() in first
    assert {p.name for p in Path(outputs["folder"]).iterdir()} == {"plan.md", "plan.html", "plan.json"}
    assert re.search(r"^::(error|warning) .*file=sample\.yaml,", printed, re.MULTILINE)
    # Again, with what was approved: the same comment says something else.
    words = {
        r["word"] for r in json.loads(Path(outputs["folder"], "plan.json").read_text())["recipes"][0]["review"]["risks"]
    }
    code, outputs, _ = pull.review(ALLOW=", ".join(sorted(words)))
    assert (code, outputs["exit-code"], outputs["comment-url"]) == (0, "3", "https://example.org/150")
    assert pull.comments.bodies[150] != first
    assert len(pull.comments.bodies) == 150
    assert [a.split()[0] for a in pull.comments.asked] == ["GET", "GET", "POST", "GET", "GET", "PATCH"]


def test_what_came_into_the_base_since_is_nothing_of_the_branch(pull: Pull) -> None:
    pull.repo.git("checkout", "--quiet", "main")
    write_recipe(pull.repo.folder, FEWER)
    pull.repo.commit("Somebody else")
    pull.repo.git("checkout", "--quiet", "branch")
    code, outputs, _ = pull.review(COMMENT="false")
    assert (code, outputs["class"]) == (0, "none")
    assert pull.comments.asked == []


def test_a_token_that_may_not_write_is_a_warning(pull: Pull) -> None:
    pull.comments.refuses = 403
    code, outputs, printed = pull.review()
    assert (code, outputs["comment-url"]) == (0, "")
    assert "::warning::the comment could not be written: the token may not" in printed


def test_recipes_that_are_wrong_fail_and_are_told(pull: Pull) -> None:
    (pull.repo.folder / "sample.yaml").write_text("recipe: 1\nname: sample\nlayers: 7\n")
    pull.repo.commit("Break it")
    code, outputs, _ = pull.review()
    assert (code, outputs["class"]) == (2, "")
    assert len(pull.comments.bodies) == 1
    code, _, printed = pull.review(RECIPES="nowhere/*.yaml")
    assert (code, "there is nothing to review" in printed) == (0, True)


def test_the_metadata_of_the_action_and_of_the_hook() -> None:
    action = yaml.safe_load((REPOSITORY / "action.yml").read_text())
    steps = {step.get("id", step.get("name")): step for step in action["runs"]["steps"]}
    passed = {key.removeprefix("INPUT_") for key in steps["review"]["env"] if key.startswith("INPUT_")}
    assert passed == {name.upper().replace("-", "_") for name in action["inputs"]} - {"PYTHON_VERSION"}
    for step in action["runs"]["steps"]:
        # What somebody else may have written would be run as a script.
        assert "${{" not in step.get("run", "")
    assert set(action["outputs"]) == {"class", "exit-code", "comment-url", "folder"}
    script = (REPOSITORY / "action/review.py").read_text()
    assert set(re.findall(r'_given\(environment, "(\w+)"\)', script)) == passed
    (hook,) = yaml.safe_load((REPOSITORY / ".pre-commit-hooks.yaml").read_text())
    assert (hook["entry"].split()[:2], hook["language"]) == (["croissant-recipe", "check"], "python")
    assert re.search(hook["files"], "a/recipes/b.yaml")
    assert not re.search(hook["files"], "recipes/shared/b.yaml")
