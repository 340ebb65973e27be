"""Files of a git repository as they were at a revision.

Git itself is asked, by commands that run nothing of what the repository says: no hook, filter, pager or diff program.
"""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path

from croissant_recipes import intake
from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import Diagnostic, DiagnosticError

_QUIET = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "--no-pager", "--literal-pathspecs")
_OTHERS = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_NAMESPACE")
"""What a hook of git sets for its own repository: the files that are asked about say which one is meant."""

_LINK, _FILES = "120000", {"100644", "100755", "120000"}
_LINKS = 10
_LFS = b"version https://git-lfs.github.com/spec/"


@dataclass(frozen=True)
class Entry:
    """A file in a revision: its mode and the id of its content."""

    mode: str
    blob: str


@dataclass(frozen=True)
class Repository:
    """A git repository with its files.

    Attributes:
        root: Its top folder, links followed.
    """

    root: Path

    @classmethod
    def of(cls, folder: str | os.PathLike[str]) -> Repository:
        """The repository that a folder is in.

        Raises:
            DiagnosticError: It is in none, or git cannot be asked (``REVISION``).
        """
        place = os.path.realpath(folder)
        try:
            root = _git(Path(place), "rev-parse", "--show-toplevel")
        except _GitError as error:
            if "not a git repository" in str(error):
                message = f"{os.fspath(folder) or '.'} is in no git repository"
                raise _refused(message, "give files of a repository, or compare with what is built") from None
            raise _refused(str(error), None) from None
        return cls(Path(os.fsdecode(root.rstrip(b"\n"))))

    def at(self, revision: str) -> FilesAt:
        """Its files as they were.

        Raises:
            DiagnosticError: There is no such revision (``REVISION``).
        """
        if not revision.strip() or revision.startswith("-") or "\0" in revision:
            raise _refused(f"{revision!r} is no revision", "give a branch, a tag, a commit, or HEAD~1")
        try:
            commit = _git(self.root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
        except _GitError:
            message = f"there is no revision {revision!r} in {self.root.name}"
            raise _refused(message, self._where_it_may_be()) from None
        return FilesAt(self, revision, commit.decode().strip())

    def _where_it_may_be(self) -> str:
        try:
            shallow = _git(self.root, "rev-parse", "--is-shallow-repository").strip() == b"true"
        except _GitError:
            shallow = False
        if shallow:
            return (
                "the clone is shallow and may lack it: `git fetch --unshallow`, or `git fetch origin REVISION`; "
                "`fetch-depth: 0` for a checkout of GitHub Actions"
            )
        return "give a branch, a tag, a commit, or HEAD~1; `git fetch` brings those of others"

    def meeting(self, one: str, other: str) -> str:
        """The commit at which two revisions parted.

        Raises:
            DiagnosticError: There is none, or no such revision (``REVISION``).
        """
        commits = [self.at(revision).commit for revision in (one, other)]
        try:
            return _git(self.root, "merge-base", *commits).decode().split()[0]
        except (_GitError, IndexError):
            message = f"{one!r} and {other!r} have no commit in common in {self.root.name}"
            raise _refused(message, self._where_it_may_be()) from None

    @cached_property
    def tracked(self) -> frozenset[str]:
        """The files that are in the repository now, by their paths below its root."""
        listed = _git(self.root, "ls-files", "-z", "--cached", "--full-name")
        return frozenset(os.fsdecode(path) for path in listed.split(b"\0") if path)


@dataclass(frozen=True)
class FilesAt:
    """The files that a repository had at a revision (``intake.Files``). What was in no repository is as it is today:
    data, and whatever git ignores.

    Attributes:
        repository: The repository.
        revision: As somebody named it.
        commit: Its id.
        moved: A folder of today and what it was then, below the repository's root, of what is looked for elsewhere than
            it was.
    """

    repository: Repository
    revision: str
    commit: str
    moved: tuple[str, str] | None = None
    _read: dict[str, bytes] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def entries(self) -> Mapping[str, Entry]:
        """All files, by their paths below the repository's root."""
        listed = _git(self.repository.root, "ls-tree", "-r", "-z", "--full-tree", self.commit)
        found = {}
        for line in listed.split(b"\0"):
            about, _, path = line.partition(b"\t")
            words = about.decode().split()
            if path and words[0] in _FILES:
                found[os.fsdecode(path)] = Entry(words[0], words[2])
        return found

    def read(self, path: str | os.PathLike[str], limit: int) -> bytes:
        """The content of a file.

        Raises:
            OSError: There was none, it is too large, or git keeps only a pointer to it.
        """
        name = self._name(path)
        if name is None:
            return intake.read_file(path, limit)
        entry = self.entries.get(name)
        if entry is None:
            raise FileNotFoundError(errno.ENOENT, f"no such file at {self.revision}")
        return self._content(name, entry, limit)

    def take_in(self, names: Iterable[str], limit: int) -> None:
        """Read files that are asked for soon all at once; none that is larger than ``limit`` bytes.

        Args:
            names: Paths below the repository's root.
            limit: In bytes.
        """
        blobs = {self.entries[n].blob for n in names if n in self.entries and self.entries[n].mode != _LINK}
        wanted = sorted(blobs - self._read.keys())
        if not wanted:
            return
        try:
            sizes = _git(self.repository.root, "cat-file", "--batch-check", given=_lines(wanted))
            small = [w[0] for w in map(str.split, sizes.decode().splitlines()) if w[1] == "blob" and int(w[2]) <= limit]
            answer = _git(self.repository.root, "cat-file", "--batch", given=_lines(small)) if small else b""
        except _GitError:
            return  # What is asked for is read then, and told.
        while answer:
            head, _, answer = answer.partition(b"\n")
            blob, _, size = head.decode().split()
            self._read[blob], answer = answer[: int(size)], answer[int(size) + 1 :]

    def has(self, path: str | os.PathLike[str]) -> bool:
        """Whether the repository had a file."""
        return self._name(path) in self.entries

    def mark(self, path: str | os.PathLike[str]) -> str:
        """What tells the content of a file from that of today; empty where it is the same."""
        try:
            then = self.read(path, intake.DOCUMENT_BYTES)
        except OSError:
            return self.commit
        try:
            now = intake.read_file(path, intake.DOCUMENT_BYTES)
        except OSError:
            now = None
        return "" if then == now else sha256(then).hexdigest()

    def name(self, path: str | os.PathLike[str]) -> str | None:
        """The path of a file below the repository's root, ``None`` where it did not have it."""
        found = self._name(path)
        return found if found in self.entries else None

    def differing(self, other: FilesAt) -> frozenset[str]:
        """The paths below the repository's root of what another revision has not, or has otherwise."""
        return frozenset(name for name, _ in {*self.entries.items()} ^ {*other.entries.items()})

    def beside(self, path: Path, name: str) -> tuple[FilesAt, Path]:
        """Files, and a path, by which a file that was moved with its folder is read beside what is today's of it: data
        moves with a folder, and lies where that is now.

        Args:
            path: Of today.
            name: What it was below the repository's root.
        """
        folder, then = path.parent, self.path(name)
        now = Path(os.path.relpath(os.path.realpath(folder), self.repository.root)).as_posix()
        if then.parent.exists():
            return self, Path(os.path.relpath(then))
        return replace(self, moved=(now, os.path.dirname(name))), folder / then.name

    def path(self, name: str) -> Path:
        """Where a file of the repository lies, or would lie, today."""
        return self.repository.root / name

    def _name(self, path: str | os.PathLike[str]) -> str | None:
        """The path below the repository's root; ``None`` of what is or was not of it. Links of today lead to where
        something was, as folders seldom move by them."""
        folder, base = os.path.split(os.path.abspath(path))
        place = os.path.join(os.path.realpath(folder), base)
        try:
            name = Path(place).relative_to(self.repository.root).as_posix()
        except ValueError:
            return None
        if self.moved is not None and Path(name).is_relative_to(self.moved[0]):
            then = (Path(self.moved[1]) / Path(name).relative_to(self.moved[0])).as_posix()
            if then in self.entries:
                return then
        return name if name in self.entries or name in self.repository.tracked else None

    def _content(self, name: str, entry: Entry, limit: int) -> bytes:
        for _ in range(_LINKS):
            if entry.mode != _LINK:
                break
            target = os.fsdecode(self._blob(entry.blob, limit))
            name = os.path.normpath(os.path.join(os.path.dirname(name), target))
            linked = self.entries.get(name)
            if linked is None:
                raise OSError(errno.ENOENT, f"at {self.revision} it is a link to {target}, which is no file there")
            entry = linked
        data = self._blob(entry.blob, limit)
        if data.startswith(_LFS):
            raise intake.UnfitFileError(errno.EINVAL, f"at {self.revision} git holds only a pointer to it (Git LFS)")
        return data

    def _blob(self, blob: str, limit: int) -> bytes:
        if blob not in self._read:
            try:
                if int(_git(self.repository.root, "cat-file", "-s", blob)) > limit:
                    raise intake.too_large(limit)
                self._read[blob] = _git(self.repository.root, "cat-file", "blob", blob)
            except _GitError as error:
                raise OSError(errno.EIO, str(error)) from None
        return self._read[blob]


class _GitError(Exception):
    """What git said in place of an answer."""


def _lines(words: Iterable[str]) -> bytes:
    return "".join(f"{word}\n" for word in words).encode()


def _git(folder: Path, *words: str, given: bytes = b"") -> bytes:
    """The answer of git, asked in a folder, with what is ``given`` to it on its standard input.

    Raises:
        _GitError: It has none.
        DiagnosticError: There is no git.
    """
    environment = {k: v for k, v in os.environ.items() if k not in _OTHERS}
    environment |= {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}
    try:
        done = subprocess.run(["git", *_QUIET, *words], cwd=folder, env=environment, capture_output=True, input=given)
    except FileNotFoundError:
        raise _refused("git cannot be run: there is none on PATH", "install git") from None
    except OSError as error:
        raise _refused(f"git cannot be run in {folder}: {error.strerror}", None) from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise _GitError(said[0].removeprefix("fatal: ") if said else f"git {words[0]} failed")
    return done.stdout


def _refused(message: str, hint: str | None) -> DiagnosticError:
    return DiagnosticError(Diagnostic(Code.REVISION, message, hint=hint))
