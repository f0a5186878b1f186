"""A whole run in virtual time: the real specs, ledger, engine and client against the emulator's account in memory."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import trio

from wanrun import api
from wanrun.emulator import Account, Faults, account_transport, virtual_clock
from wanrun.engine.world import World
from wanrun.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wanrun.events import Event
    from wanrun.outcome import Outcome

HEAD = "version: 1\ndefaults: {model: wan2.7-videoedit}\n"


async def run_inline(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Stand in for a thread, which would not hold a virtual clock back."""
    await trio.lowlevel.checkpoint()
    return function(*args, **kwargs)


async def apart_inline(function: Callable[[], Any], /, spare_seconds: float, *, is_plain: bool = False) -> Any:
    """Stand in for a thread with a loop of its own, whose clock would not be virtual."""
    return await function()


class Simulation:
    """A project folder and an account; every run in it is a new life of the program."""

    def __init__(self, folder: Path, *, faults: list[dict[str, Any]] | None = None, **account: Any) -> None:
        self.folder = folder
        (folder / ".wanrun").mkdir(exist_ok=True)
        self.clock = virtual_clock()
        self.account = self.new_account(faults=faults, **account)
        self.events: list[Event] = []
        self.environ: dict[str, str] = {}  # besides the key
        self.settings("")

    def new_account(self, *, faults: list[dict[str, Any]] | None = None, **account: Any) -> Account:
        """Make an account on this simulation's clock; tasks take 60 s unless said otherwise."""
        script = Faults({"faults": faults or []})
        return Account(**({"clock": self.clock, "seconds": 60.0, "seed": 1, "faults": script} | account))

    def faults(self, *faults: dict[str, Any]) -> None:
        """Let these faults strike from now on, and no others; without any the service is well again."""
        self.account.faults = Faults({"faults": list(faults)})

    def settings(self, text: str) -> None:
        """Write `wanrun.toml`; patience is short, so that giving up is soon."""
        (self.folder / "wanrun.toml").write_text(text or "[providers.default]\npatience_seconds = 30\n")

    def spec(self, text: str, name: str = "batch.yaml") -> Path:
        """Write a spec; its version and model are put in front."""
        path = self.folder / name
        path.write_text(HEAD + text)
        return path

    def clips(self, *ids: str, prompt: str = "prompt of {}", name: str = "batch.yaml") -> Path:
        """Write a spec of jobs on linked videos, one for each id."""
        line = "  - {{id: {0}, prompt: {1}, media: [{{video: https://example.com/{0}.mp4}}]}}\n"
        return self.spec("jobs:\n" + "".join(line.format(each, prompt.format(each)) for each in ids), name)

    async def run(self, *specs: Path, key: str | None = "sk-test", **options: Any) -> Outcome:
        """Run specs as a new process would."""
        account = options.pop("account", self.account)
        transport = options.pop("transport", None) or account_transport(account)
        observe = options.pop("observe", self.events.append)
        now = options.pop("now", self.clock)  # a wall clock that is wrong, or that somebody sets
        virtual = World(now=now, random=random.Random(1), to_thread=run_inline, apart=apart_inline)
        world = options.pop("world", virtual)  # with threads, for a run in real time
        return await api.run_async(
            specs,
            api.Setup(folder=self.folder, environ=self.environ | ({"DASHSCOPE_API_KEY": key} if key else {})),
            world=world,
            transport=transport,
            observe=observe,
            **options,
        )

    async def leave_in_flight(self, *specs: Path) -> None:
        """Run specs while no query is answered: every job has its task, and none is brought home."""
        self.faults({"on": "query", "do": {"status": 503}})
        outcome = await self.run(*specs)
        assert set(states(outcome).values()) == {"in flight"}
        self.faults()

    @property
    def setup(self) -> api.Setup:
        """The setup for commands that only read or settle."""
        return api.Setup(folder=self.folder, environ={})

    def ledger(self) -> Ledger:
        """Open the ledger, to look at it."""
        return Ledger.open(self.folder / ".wanrun" / "ledger.db", now=self.clock)

    def named(self, name: str) -> list[Event]:
        """Return the events of one name."""
        return [event for event in self.events if event.name == name]

    @property
    def made(self) -> int:
        """How many tasks the account has."""
        return len(self.account.tasks)

    def billed(self) -> dict[str, int]:
        """How many tasks were billed, by prompt."""
        counts: dict[str, int] = {}
        for task in self.account.tasks.values():
            if task.billed_seconds:
                counts[task.prompt] = counts.get(task.prompt, 0) + 1
        return counts


def states(outcome: Outcome) -> dict[str, str]:
    """Return each job's state by its id."""
    return {job.address.partition("/")[2]: job.state.value for job in outcome.jobs}
