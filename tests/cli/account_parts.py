"""The embedded emulator's account as other programs leave it, and jobs that a ledger has in flight there."""

from __future__ import annotations

import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from wanrun.emulator.folder import open_home
from wanrun.types import Job, Position

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli_parts import Project

    from wanrun.emulator.account import Account
    from wanrun.ledger import Ledger


@contextmanager
def account(project: Project, *, age_seconds: float = 0, speed: float = 0.01) -> Iterator[Account]:
    """Open the embedded emulator's account, as it was some time ago."""
    folder = project.folder / ".wanrun/emulator/account"
    with open_home(folder, speed=speed, edit=False, clock=lambda: time.time() - age_seconds, seed=1) as home:
        yield home.account


def made(project: Project, *prompts: str, model: str = "wan2.7-videoedit", **options: float) -> list[str]:
    """Make tasks in the embedded account, as another program would, and return their ids."""
    media = [{"type": "video", "url": "https://example.com/a.mp4"}]
    with account(project, **options) as opened:
        bodies = [{"model": model, "input": {"prompt": prompt, "media": media}} for prompt in prompts]
        return [opened.create(body, request_id=f"request-{body['input']['prompt']}").id for body in bodies]


def own(project: Project, **tasks: str) -> None:
    """Let the emulator's ledger have jobs in flight, each with a task."""
    with account(project) as opened:
        owner = f"emulator:{opened.id}"
    with emulator_ledger(project) as ledger:
        ledger.belong_to(owner)
        for name, task in tasks.items():
            ledger.accepted(intended(ledger, name), task_id=task, request_id=None)


def intended(ledger: Ledger, name: str) -> int:
    """Return an attempt of a job whose create has just left."""
    path = Path("/specs/batch.yaml")
    job = Job("batch", name, path, Position(path, 1, 1), "wan2.7-videoedit", "default", name, None, (), {}, ())
    return ledger.intend(ledger.enter(job, fingerprint=name, spec_path=str(path)), prompt_key=name)


def emulator_ledger(project: Project) -> Ledger:
    return project.ledger(".wanrun/emulator/ledger.db")
