"""What the GitHub Action of this repository does.

It checks recipes, plans them against the base of the pull request, tells of that in one comment, and ends as plans do.
It needs git, ``croissant-recipe`` on the path, and nothing else. All that it is given comes through the environment:
``INPUT_…`` as action.yml names them, and what GitHub sets for every step.
"""

from __future__ import annotations

import glob
import json
import os
import re
import shlex
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

CLASSES = ("none", "metadata", "additive", "breaking", "split-unsafe")
CHANGES = 3
"""The exit code of changes that break nobody, or that were allowed."""

TIMEOUT = 60.0
PAGE = 100


def main(environment: Mapping[str, str]) -> int:
    """Reviews, and returns the code that the step ends with."""
    recipes = _recipes(_given(environment, "RECIPES"))
    if not recipes:
        _say("warning", f"no recipe is at {_given(environment, 'RECIPES')!r}: there is nothing to review")
        return 0
    event = _event(environment)
    base = _given(environment, "BASE") or _left_base_at(event)
    if not base:
        _say("error", "there is no base to compare with: run this for a pull request, or give `base`")
        return 2
    folder = Path(environment.get("RUNNER_TEMP") or ".") / _file_name(_given(environment, "NAME"))
    folder.mkdir(parents=True, exist_ok=True)
    checked = _run(["check", "--quiet", *recipes])
    files = {kind: folder / f"plan.{kind}" for kind in ("md", "html", "json")}
    for file in files.values():
        file.unlink(missing_ok=True)
    code = _run(
        [
            *("plan", "--exit-code", "--format", "github", "--against", base),
            *(word for file in files.values() for word in ("--report", str(file))),
            *(word for each in _words(_given(environment, "ALLOW")) for word in ("--allow", each)),
            *shlex.split(_given(environment, "ARGUMENTS")),
            *("--", *recipes),
        ]
    )
    outputs = {"exit-code": str(code), "folder": str(folder), "class": _class(files["json"])}
    text = _text(files["md"], base, code)
    _append(environment.get("GITHUB_STEP_SUMMARY"), text)
    number = (event.get("pull_request") or {}).get("number")
    if _given(environment, "COMMENT") == "true" and number is not None:
        outputs["comment-url"] = _comment(environment, int(number), text)
    _append(environment.get("GITHUB_OUTPUT"), "".join(f"{name}={value}\n" for name, value in outputs.items()))
    return checked or (0 if code == CHANGES else code)


def _given(environment: Mapping[str, str], name: str) -> str:
    return environment.get(f"INPUT_{name}", "").strip()


def _recipes(patterns: str) -> list[str]:
    """The files that patterns match, each once and in order. A path that is none is left to be complained about."""
    found: dict[str, None] = {}
    for pattern in patterns.split():
        paths = sorted(glob.glob(pattern, recursive=True))
        found |= dict.fromkeys(paths if paths or glob.has_magic(pattern) else [pattern])
    return list(found)


def _words(text: str) -> list[str]:
    return [word for word in re.split(r"[\s,]+", text) if word]


def _file_name(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", name).strip(".-") or "croissant-recipe"


def _event(environment: Mapping[str, str]) -> dict[str, Any]:
    path = environment.get("GITHUB_EVENT_PATH")
    event = json.loads(Path(path).read_text(encoding="utf-8")) if path else {}
    return event if isinstance(event, dict) else {}


def _left_base_at(event: Mapping[str, Any]) -> str:
    """Where the branch of a pull request left its base: what came into that since is nothing that the branch does."""
    base = ((event.get("pull_request") or {}).get("base") or {}).get("sha", "")
    if not base:
        return ""
    done = subprocess.run(["git", "merge-base", base, "HEAD"], capture_output=True, text=True)
    return done.stdout.strip() or base


def _run(words: Sequence[str]) -> int:
    """The exit code of croissant-recipe, which prints where this prints."""
    sys.stdout.flush()
    return subprocess.run(["croissant-recipe", *words]).returncode


def _class(file: Path) -> str:
    """The worst class of all results."""
    if not file.exists():
        return ""
    document = json.loads(file.read_text(encoding="utf-8"))
    found = [r["review"]["class"] for r in document["recipes"] if r.get("review")]
    return max(found, key=CLASSES.index, default="")


def _text(file: Path, base: str, code: int) -> str:
    if file.exists():
        return file.read_text(encoding="utf-8")
    return f"**croissant-recipe** could not plan against `{base[:12]}` and ended with {code}: the log says why.\n"


def _append(path: str | None, text: str) -> None:
    if path:
        with open(path, "a", encoding="utf-8") as file:
            file.write(text)


def _say(level: str, message: str) -> None:
    """An annotation of the job, see "Workflow commands" in GitHub's documentation."""
    escaped = message.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    print(f"::{level}::{escaped}", flush=True)


# The comment


def _comment(environment: Mapping[str, str], number: int, text: str) -> str:
    """Posts the comment, or brings the one that is there up to date. Returns its address, empty where there is none."""
    marker = f"<!-- {_file_name(_given(environment, 'NAME'))}: kept up to date by the action -->"
    issues = f"{environment['GITHUB_API_URL']}/repos/{environment['GITHUB_REPOSITORY']}/issues"
    token = _given(environment, "TOKEN")
    body = {"body": f"{marker}\n{text}"}
    try:
        for known in _all(f"{issues}/{number}/comments", token):
            if str(known.get("body") or "").startswith(marker):
                if known["body"] == body["body"]:
                    return str(known["html_url"])
                return str(_ask("PATCH", f"{issues}/comments/{known['id']}", token, body)["html_url"])
        return str(_ask("POST", f"{issues}/{number}/comments", token, body)["html_url"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        why = "the token may not: `permissions: pull-requests: write` lets it, but for forks"
        refused = isinstance(error, urllib.error.HTTPError) and error.code in (401, 403, 404)
        _say("warning", f"the comment could not be written: {why if refused else error}")
        return ""


def _all(url: str, token: str) -> Iterator[dict[str, Any]]:
    page = 1
    while True:
        found = _ask("GET", f"{url}?per_page={PAGE}&page={page}", token)
        yield from found
        if len(found) < PAGE:
            return
        page += 1


def _ask(method: str, url: str, token: str, body: Mapping[str, str] | None = None) -> Any:
    request = urllib.request.Request(
        url,
        method=method,
        data=json.dumps(body).encode() if body is not None else None,
        headers={
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
            "X-GitHub-Api-Version": "2022-11-28",
        },
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        return json.load(answer)


if __name__ == "__main__":
    sys.exit(main(os.environ))
