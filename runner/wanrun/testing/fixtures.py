"""Fixtures for the tests of a plugin: `pytest_plugins = ["wanrun.testing.fixtures"]` in their `conftest.py`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Protocol

import pytest
import trio

from wanrun import api
from wanrun.registry import load_catalog
from wanrun.testing.artifacts import make_artifact
from wanrun.testing.chat import ChatServer
from wanrun.testing.emulator import SPEED, Emulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from wanrun.api import Outcome
    from wanrun.types import Artifact

    class RunSpec(Protocol):
        """Writes a spec and runs it."""

        def __call__(self, spec: str, *, plugin: object = None, secrets: Mapping[str, str] | None = None) -> Outcome:
            """Return what came of the run."""
            ...


@pytest.fixture
def wanrun_artifact(tmp_path: Path) -> Callable[[bytes], Artifact]:
    """Return a maker of artifacts: `wanrun_artifact(b"some bytes")`."""
    return partial(make_artifact, tmp_path / "artifacts")


@pytest.fixture
def wanrun_chat() -> Iterator[ChatServer]:
    """Serve a chat on loopback: `.url` is where, `.posts` what has come in, `.answer_next(429)` what goes out."""
    with ChatServer() as chat:
        yield chat


@pytest.fixture
def wanrun_emulator(tmp_path: Path) -> Iterator[Emulator]:
    """Serve the service on loopback: `.url` is where, `.statement()` what was asked of it."""
    with Emulator(tmp_path / "emulator") as emulator:
        yield emulator


@pytest.fixture
def wanrun_run(tmp_path: Path) -> RunSpec:
    """Return a function that runs a spec, given as text, to its end, against an emulator and with every sink for real.

    It knows the installed plugins, or else one `plugin` besides the built-in ones. Relative paths start at `tmp_path`;
    `secrets` are those that the spec may name.
    """

    def run(spec: str, *, plugin: object = None, secrets: Mapping[str, str] | None = None) -> Outcome:
        path = tmp_path / "spec.yaml"
        path.write_text(spec, encoding="utf-8")
        options = api.EmulatorOptions(speed=SPEED, edit="none", deliver=True)
        catalog = None if plugin is None else load_catalog(plugins=[plugin], only=BUILT_IN)
        setup = api.Setup(folder=tmp_path, emulator=options, environ=secrets or {})
        return trio.run(partial(api.run_async, [path], setup, catalog=catalog))

    return run


BUILT_IN = ("file", "http", "folder")  #: entry points of wanrun's own plugins
