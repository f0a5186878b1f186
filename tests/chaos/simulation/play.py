"""Plays one history: the real program, life after life, against the service of a simulation."""

from __future__ import annotations

import random
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import trio
from trio._core import _run as trio_run
from trio.testing import MockClock

from chaos.simulation.clocks import DAY, HOUR, STARTS_AT, Clocks, at_any_time
from chaos.simulation.disk import Disk
from chaos.simulation.history import History
from chaos.simulation.life import Life, plugged_ledger
from chaos.simulation.network import Network
from chaos.simulation.service import Service
from chaos.simulation.story import Ending, Story
from wanrun import api
from wanrun.api.looking import entries_of
from wanrun.api.standing import standings
from wanrun.emulator import Faults
from wanrun.engine.world import World
from wanrun.errors import ExitCode
from wanrun.project import open_project
from wanrun.registry import load_catalog
from wanrun.types import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from wanrun.catalog import Catalog
    from wanrun.events import Event
    from wanrun.outcome import Outcome

HOSTS = {"default": "dashscope-intl.aliyuncs.com", "second": "dashscope.aliyuncs.com"}
LONGEST_LIFE_SECONDS = 30 * HOUR
LONGEST_TROUBLE_SECONDS = 100.0  #: that other programs go on after a life
WAITING = {State.NEW, State.CHANGED, State.MOVED}
FOREIGN_TASKS = 40  #: that other programs make during a life, at most
STARTING_SECONDS = 0.3  #: that a process takes before it does anything
RESTING_SECONDS = (0.0, 100.0, 100.0, 100.0, 100.0, DAY + HOUR, 100.0, 100.0, 100.0)  #: between the last runs


def play(seed: int, folder: Path) -> History:
    """Play the history of a seed in an empty folder; raises what the program raises that it should not."""
    _installed()  # plugins look at `os` when they are imported, and shall find it as it is
    with _same_scheduling(seed):
        return trio.run(_play, seed, folder, clock=MockClock(autojump_threshold=0))


@contextmanager
def _same_scheduling(seed: int) -> Iterator[None]:
    """Let trio run what is ready at one instant in an order that the seed decides; there is no public way to."""
    with (
        patch.object(trio_run, "_r", random.Random(seed)),
        patch.object(trio_run, "_ALLOW_DETERMINISTIC_SCHEDULING", new=True),
    ):
        yield


async def _play(seed: int, folder: Path) -> History:
    async with trio.open_nursery() as nursery:
        player = _Player(seed, folder, nursery)
        for _ in range(player.story.lives):
            await player.one_life()
        await player.come_to_rest()
        nursery.cancel_scope.cancel()
    return player.history


class _Player:
    """Lets a story happen, and notes what does."""

    def __init__(self, seed: int, folder: Path, nursery: trio.Nursery) -> None:
        self.story = story = Story(seed)
        self._clocks = Clocks()
        project, attic = folder / "project", folder / "attic"
        (project / ".wanrun").mkdir(parents=True)
        attic.mkdir()
        (project / "wanrun.toml").write_text(story.settings())
        network = Network({HOSTS[name]: self._account(name, seed) for name in story.providers}, nursery)
        self.history = History(seed, story, project, network)
        self._disk = Disk(project, attic, self._chance("disk"))

    async def one_life(self) -> None:
        """Let the next life happen, with whatever disturbs it, and the time until somebody runs again."""
        story, history = self.story, self.history
        self._new_faults(story.faults())
        self._write_specs()
        async with trio.open_nursery() as trouble:
            self._make_trouble(trouble)
            made = {address for address in history.jobs if history.place(address).exists()}
            outcome = await self._live(story.ending(), **story.options(made))
            pause_seconds = story.pause_seconds()
            await trio.sleep(min(pause_seconds, LONGEST_TROUBLE_SECONDS))
            trouble.cancel_scope.cancel()
        history.outcomes += [outcome] if outcome is not None else []
        history.look_around()
        if story.clears_artifacts and story.says(0.2):
            history.clear_artifacts()
        await trio.sleep(max(0.0, pause_seconds - LONGEST_TROUBLE_SECONDS))

    async def come_to_rest(self) -> None:
        """Run with a service that is well, as often as the program says that this helps; for a day at most."""
        self._new_faults([])
        self._clocks.ahead_seconds = 0.0
        before = None
        for pause_seconds in RESTING_SECONDS:
            await trio.sleep(pause_seconds)
            outcome = await self._live(Ending())
            assert outcome is not None
            self.history.outcomes.append(outcome)
            self.history.look_around()
            if not _is_worth_another(outcome, before):
                break
            before = outcome
        project = open_project(self._setup(), catalog=_catalog())
        self.history.standings = standings(entries_of(project))  # as `wanrun status` does
        self.history.ended_at = self._clocks.service() - STARTS_AT

    # The world

    def _chance(self, name: str) -> random.Random:
        return random.Random(f"{name} {self.story.number}")

    def _account(self, name: str, seed: int) -> Service:
        account = Service(
            clock=self._clocks.service,
            seconds=self.story.task_seconds,
            region="beijing" if name == "second" else "singapore",
            seed=seed * 2 + (name == "second"),
            origin=f"https://{name}.results.example.com",
        )
        account.id = f"account-{seed}"  # one service, so one ledger
        return account

    def _make_trouble(self, nursery: trio.Nursery) -> None:
        story, life = self.story, self.history.lives
        if story.clock_steps:
            nursery.start_soon(self._clocks.be_set, self._chance(f"clock {life}"))
        if story.foreign_seconds is None:
            return
        for name, account in zip(story.providers, self.history.accounts, strict=True):
            chance = self._chance(f"foreign {name} {life}")
            happen = _foreign_task(account, story, chance)
            nursery.start_soon(at_any_time, chance, story.foreign_seconds, FOREIGN_TASKS, happen)

    def _new_faults(self, script: list[dict[str, Any]]) -> None:
        for account in self.history.accounts:
            account.faults = Faults({"seed": self.story.randrange(10_000), "faults": script})

    def _write_specs(self) -> None:
        folder, history = self.history.folder, self.history
        history.specs = [spec for spec in self.story.next_specs() if spec.jobs or spec.chained]
        for path in folder.glob("*.yaml"):
            path.unlink()
        for spec in history.specs:
            (folder / spec.file).write_text(self.story.text(spec))
        history.asked()

    # Lives

    async def _live(self, ending: Ending, **options: Any) -> Outcome | None:
        """Run as a new process would; returns None when it did not come to its end."""
        await trio.sleep(STARTING_SECONDS)
        history, life, outcome = self.history, Life(dies_at=ending.dies_at), None
        history.lives += 1
        number = history.lives
        history.letters_by_life[number] = set(history.jobs.values())
        history.asked_once_more(options["selection"].again if "selection" in options else ())
        life.unplug.append(lambda: history.died_at.update({number: self._clocks.service() - STARTS_AT}))
        with plugged_ledger(life), self._disk.plugged(life), trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_end, life, scope, ending)
                try:
                    outcome = await self._run(life, **options)
                except BaseException:
                    if not life.dead:
                        raise
                nursery.cancel_scope.cancel()
        return outcome

    async def _run(self, life: Life, **options: Any) -> Outcome:
        def observe(_event: Event) -> None:
            life.step("event")

        number = self.history.lives
        return await api.run_async(
            [self.history.folder / spec.file for spec in self.history.specs],
            self._setup(),
            world=World(now=self._clocks.wall, random=self._chance(f"life {number}"), to_thread=_inline, apart=_apart),
            transport=self.history.network.wire(life, number),
            observe=observe,
            catalog=_catalog(),
            **options,
        )

    def _setup(self) -> api.Setup:
        return api.Setup(folder=self.history.folder, environ={"DASHSCOPE_API_KEY": "sk-test"})


def _foreign_task(account: Service, story: Story, chance: random.Random) -> Callable[[], None]:
    return lambda: account.make_foreign(*chance.choice(story.foreign_words()))


def _is_worth_another(outcome: Outcome, before: Outcome | None) -> bool:
    """Say whether another run may move something: a job waits for more than a budget that has no room for it."""
    waiting = [job for job in outcome.jobs if job.exit_code is ExitCode.UNFINISHED]
    if outcome.exit_code is ExitCode.STOPPED_BY_BUDGET and all(job.state in WAITING for job in waiting):
        has_more = len(outcome.reasons) > 1  # such as an earlier version's result that is not here yet
        return has_more or before is None or outcome.counts() != before.counts()  # what was reserved may have settled
    return bool(waiting) or bool(outcome.reasons)


async def _end(life: Life, scope: trio.CancelScope, ending: Ending) -> None:
    """End a life at its time, or say that it should have ended by itself."""
    if ending.after_seconds is None:
        await trio.sleep(LONGEST_LIFE_SECONDS)
        raise AssertionError(f"a run did not end within {LONGEST_LIFE_SECONDS / HOUR:.0f} h")
    await trio.sleep(ending.after_seconds)
    if ending.is_death:
        life.kill()
    scope.cancel()


async def _inline(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Stand in for a thread, which would not hold a virtual clock back."""
    await trio.lowlevel.checkpoint()
    return function(*args, **kwargs)


async def _apart(function: Callable[[], Any], /, spare_seconds: float, *, is_plain: bool = False) -> Any:
    """Stand in for a thread with a loop of its own."""
    return await function()


@cache
def _installed() -> Catalog:
    return load_catalog()


def _catalog() -> Catalog:
    """Return the installed kinds as a new process has them, without looking for them again."""
    return replace(_installed(), _sources={}, _sinks={})
