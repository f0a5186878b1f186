"""What was made of local files, kept below one folder so that nothing is made twice; blocking.

A file is made in a process of its own (`child`), which has no secrets, little memory and a deadline, and gets its
name here in one step once it is whole. Its name says what it was made of: the digest of the bytes, the wish and the
limits; and what it is: its own digest, so that a file that others have changed or put here is never taken for it. The
folder may be emptied at any time; what is needed again is made again.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

from wanrun.copies import checksum
from wanrun.errors import MissingExtra, SourceError
from wanrun.fingerprint import digest
from wanrun.fitting.recipe import Unfit, recipe_for
from wanrun.media import ProbeError, probe
from wanrun.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wanrun.fitting.recipe import Recipe
    from wanrun.models import MediaLimits
    from wanrun.types import JSON, Fitting

FOLDER_NAME = "fitted"
SUFFIXES = {"mp4": ".mp4", "png": ".png", "jpeg": ".jpg"}  #: by format
DEADLINE_SECONDS = 900.0  #: ten seconds of the largest pictures take some minutes on a slow machine
LOOK_SECONDS = 0.2  #: between two looks whether the process is to be given up
WORDS_CHARACTERS = 300  #: of what the process says went wrong
_PART = ".part"
LEFT = re.compile(rf"[0-9a-f]{{16}}-[0-9a-f]{{8}}{re.escape(_PART)}")  #: what a run names what it is just making

#: What the process gets of our environment: how to find Python and its libraries, and where temporary files go.
_PYTHON = ("PATH", "PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE", "HOME", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
_SYSTEM = ("TMPDIR", "TEMP", "TMP", "SYSTEMROOT", "LANG", "LC_ALL", "LC_CTYPE")


def require_media(what: str) -> None:
    """Raise `MissingExtra` when PyAV is not installed; `what` is to be made with it. Nothing is imported."""
    if importlib.util.find_spec("av") is None:
        raise MissingExtra(f"{what} with PyAV", extra="media")


_STOPPING = (signal.SIGINT, signal.SIGTERM)  #: what ends the process without saying anything about the file


class GivenUp(Exception):
    """Nobody waits for it any more, or somebody has stopped it; nothing was made."""


class Shelf:
    """The folder of what was made."""

    def __init__(self, folder: Path, *, deadline_seconds: float = DEADLINE_SECONDS) -> None:
        self._folder, self._deadline_seconds = folder, deadline_seconds

    def made(
        self,
        path: Path,
        key: str,
        fitting: Fitting,
        limits: MediaLimits,
        *,
        name: str = "",
        is_given_up: Callable[[], bool] = lambda: False,
    ) -> Path:
        """Return the file that is made of this one as a spec asks for it, or the file itself where it fits already.

        `key` is the identity of its bytes, `sha256:...`, and `name` what messages call it. Raises `SourceError`, also
        when the file changes meanwhile; `GivenUp` when `is_given_up` says so; `MissingExtra`; OSError for the folder.
        """
        name = name or str(path)
        stem = digest({"of": key, "asked": fitting.key, "limits": _figures(limits)})
        if self._folder.is_symlink():
            raise SourceError(f"{self._folder} is a link; what is made is kept in a folder that leads nowhere else")
        if (known := self._known(stem)) is not None:
            return known
        try:
            recipe = recipe_for(probe(path), limits, fitting)
        except (ProbeError, Unfit) as exc:
            raise SourceError(f"{name} {exc}") from exc
        if recipe.is_empty:
            _check_bytes(path, key, name)
            return path
        require_media(f"{name} is {recipe}")
        with self._part(stem) as part:
            try:
                made_format = self._make(path, part, recipe, is_given_up)
            except _Failed as exc:
                raise SourceError(f"{name} cannot be {recipe}: {one_line(str(exc))[:WORDS_CHARACTERS]}") from exc
            _check_bytes(path, key, name)
            return _shelved(part, self._folder / f"{stem}-{checksum(part)}{SUFFIXES[made_format]}")

    def _known(self, stem: str) -> Path | None:
        """Return what was made before, if it still is what it was; drops what is not, to have it made again."""
        for path in sorted(self._folder.glob(f"{stem}-*")):
            if path.suffix not in SUFFIXES.values():
                continue
            if stat.S_ISREG(path.lstat().st_mode) and path.stem == f"{stem}-{checksum(path)}":
                return path
            path.unlink(missing_ok=True)
        return None

    @contextmanager
    def _part(self, stem: str) -> Iterator[Path]:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._sweep()
        part = self._folder.resolve() / f"{stem[:16]}-{token_hex(4)}{_PART}"
        try:
            yield part
        finally:
            part.unlink(missing_ok=True)

    def _sweep(self) -> None:
        """Remove what killed runs left behind; what is being made beside this one is younger."""
        for left in self._folder.glob(f"*{_PART}"):
            with suppress(OSError):
                if LEFT.fullmatch(left.name) and time.time() - left.lstat().st_mtime > 2 * self._deadline_seconds:
                    left.unlink()

    def _make(self, path: Path, part: Path, recipe: Recipe, is_given_up: Callable[[], bool]) -> str:
        """Carry a recipe out in a process of its own; returns the format of what was made."""
        order = {"source": str(path.absolute()), "target": str(part), "recipe": recipe.to_json()}
        process = subprocess.Popen(  # noqa: S603  # our own module
            [sys.executable, "-P", "-m", "wanrun.fitting.child", json.dumps(order)],
            stdin=subprocess.PIPE,  # closed when we die, by which the process knows
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=part.parent,
            env={name: value for name, value in os.environ.items() if name in _PYTHON + _SYSTEM},
            start_new_session=True,  # Ctrl-C is for the run, which lets go of it then
        )
        try:
            said = self._end_of(process, is_given_up)
        finally:
            process.kill()
            process.communicate()
        answer = _answer(said)
        if process.returncode == 0 and answer.get("format") in SUFFIXES:
            return answer["format"]
        if -process.returncode in _STOPPING:
            raise GivenUp
        raise _Failed(answer.get("why") or f"the decoder ended with {process.returncode}")

    def _end_of(self, process: subprocess.Popen[bytes], is_given_up: Callable[[], bool]) -> bytes:
        """Return what the process has said when it ends; raises `GivenUp`, and `_Failed` when it takes too long."""
        until = time.monotonic() + self._deadline_seconds
        while True:
            try:
                process.wait(LOOK_SECONDS)
            except subprocess.TimeoutExpired:
                if is_given_up():
                    raise GivenUp from None
                if time.monotonic() > until:
                    raise _Failed(f"it took longer than {self._deadline_seconds:g} s") from None
            else:
                assert process.stdout is not None
                return process.stdout.read()


class _Failed(Exception):
    """The process made nothing; says why."""


def _check_bytes(path: Path, key: str, name: str) -> None:
    """Raise `SourceError` for a file that is not the one that the plan has seen."""
    try:
        digest_now = checksum(path)
    except OSError as exc:
        raise SourceError(f"{name}: {exc.strerror or exc}") from exc
    if f"sha256:{digest_now}" != key:
        raise SourceError(f"{name} changed since the plan; run again to submit it as it is now")


def _figures(limits: MediaLimits) -> dict[str, JSON]:
    return {
        "formats": list(limits.formats),
        "sides": [limits.min_side, limits.max_side],
        "aspect": limits.max_aspect,
        "bytes": limits.max_bytes,
        "alpha": limits.alpha,
        "seconds": [limits.min_seconds, limits.max_seconds],
    }


def _answer(said: bytes) -> dict[str, str]:
    """Return what the process says in its last line; nothing if a crash left none."""
    try:
        answer = json.loads(said.decode("utf-8", "replace").strip().rpartition("\n")[2])
    except ValueError:
        return {}
    return {key: str(value) for key, value in answer.items()} if isinstance(answer, dict) else {}


def _shelved(part: Path, target: Path) -> Path:
    """Give a whole file its name, on disk before anybody relies on it."""
    descriptor = os.open(part, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    part.replace(target)
    return target
