"""Every way to break a connection at every phase of a run: real sockets, and an emulator in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import trio

from chaos.fault_proxy import Fault, How, Proxy, Request
from chaos.parts import Found, Table
from processes import statement
from wanrun.api import Setup, run_async
from wanrun.client import Client
from wanrun.emulator.calls import Kind
from wanrun.emulator.ready import ready_clip
from wanrun.errors import WanrunError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from wanrun.types import JSON

ROOT = Path(__file__).resolve().parents[2]
TITLE = "Connections broken at every phase"
HOW = """\
A proxy between wanrun and the emulator, on real sockets, breaks the requests of one phase in one way: in a first run
every one of them, in a second run one, in a third none. Each case has an account, a project and two jobs of its own,
one with a file that is uploaded. Timeouts, patience and the settle time are short; nothing else of wanrun is different.
The phase *resumed* is the part of a download that is asked for by Range after the first part was cut off; answers for
another range, or with the status of a whole file, belong to it.

The account's own statement says what was paid, and the sink's folder what is there and whether it is whole."""

#: For a file that is not there in a second or two, nobody waits; a create gets a little longer, as always.
CONNECT_SECONDS, READ_SECONDS, CREATE_SECONDS = 1.0, 1.5, 2.0
SETTINGS = """\
[providers.default]
poll_seconds = 0.2
patience_seconds = {patience_seconds}
settle_seconds = 0.6
scan_gap_seconds = 0.2
[providers.default.limits]
queries_per_second = 15
"""
SPEC = """\
version: 1
defaults: {model: wan2.7-videoedit, sinks: [disk]}
sinks:
  disk: {folder: {path: out, name: "${{ job.id }}.mp4"}}
jobs:
  - {id: sent, prompt: prompt of sent, media: [{video: {file: clip.mp4}}]}
  - {id: linked, prompt: prompt of linked, media: [{video: https://example.com/a.mp4}]}
"""
JOBS = ("sent", "linked")
PART_BYTES = 12_000  #: after which a download is cut off that is to be resumed
BROKEN_SECONDS = 8.0  #: that the first run waits at most; a task that cannot be looked at is looked at for minutes
LONGEST_SECONDS = 30.0  #: nothing takes as long

PHASES: dict[str, Callable[[Request], bool]] = {
    "upload policy": lambda request: request.kind is Kind.POLICY,
    "upload": lambda request: request.kind is Kind.UPLOAD,
    "create": lambda request: request.kind is Kind.CREATE,
    "query and list": lambda request: (
        request.kind is Kind.QUERY or (request.kind is Kind.LIST and request.number > 1)  # the first asks who is there
    ),
    "download": lambda request: request.kind is Kind.DOWNLOAD and not request.resumed,
    "resumed": lambda request: request.kind is Kind.DOWNLOAD and request.resumed,
}
OF_RESUMING = (How.OTHER_RANGE, How.WHOLE)


@dataclass(frozen=True)
class Size:
    """How often all cases are played."""

    rounds: int
    at_once: int = 31  #: cases side by side


CI = Size(rounds=1)
FULL = Size(rounds=10)


@dataclass
class Case:
    """One way to break one phase, and what came of it."""

    how: How
    phase: str
    struck: int = 0
    states: list[str] = field(default_factory=list)  #: of the jobs, after the last run
    reasons: Sequence[str] = ()  #: that the last run gave for what is left
    paid: Counter[str] = field(default_factory=Counter)
    calls: dict[str, dict[str, int]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)  #: that each run took

    def script(self, times: float) -> Callable[[Request], Fault | None]:
        """Return a script that breaks so many requests of the phase."""
        left = times

        def fault(request: Request) -> Fault | None:
            nonlocal left
            if PHASES[self.phase](request) and left > 0:
                left -= 1
                return self._fault()
            if self.phase == "resumed" and request.kind is Kind.DOWNLOAD and not request.resumed and times:
                return Fault(How.CUT_ANSWER, bytes=PART_BYTES)
            return None

        return fault

    def _fault(self) -> Fault:
        long = self.phase in ("upload", "download", "resumed")
        return Fault(self.how, bytes=8_000 if long else 60)


def cases() -> Iterator[Case]:
    """Yield every case."""
    for how, phase in product(How, PHASES):
        if how not in OF_RESUMING or phase == "resumed":
            yield Case(how, phase)


def measure(size: Size) -> dict[str, JSON]:
    """Play every case so many times."""
    played = [case for _ in range(size.rounds) for case in play(list(cases()), at_once=size.at_once)]
    return {
        "cases": len(played),
        "requests_broken": sum(case.struck for case in played),
        "cases_without_a_fault": sum(not case.struck for case in played),
        "jobs": len(played) * len(JOBS),
        "done": sum(case.states.count("done") for case in played),
        "held": sum(case.states.count("held") for case in played),
        "paid_twice": sum(count - 1 for case in played for count in case.paid.values()),
        "resumed_by_range": sum(case.calls.get("download", {}).get("206", 0) for case in played),
        "problems": [f"{case.how} at {case.phase}: {problem}" for case in played for problem in case.problems],
        "by_fault": {
            how.value: {
                phase: _words([case for case in played if (case.how, case.phase) == (how, phase)]) for phase in PHASES
            }
            for how in How
        },
    }


def _words(played: Sequence[Case]) -> str:
    if not played:
        return "-"
    done = sum(case.states.count("done") for case in played)
    return f"{done} of {len(played) * len(JOBS)} done, {sum(case.struck for case in played)} broken"


def tables(found: Found) -> Iterator[Table]:
    """Return what came of the cases together, then of each fault at each phase."""
    names = {
        "cases": "cases",
        "requests_broken": "requests broken",
        "jobs": "jobs",
        "done": "done after the third run",
        "held": "held for a person",
        "paid_twice": "paid twice",
        "resumed_by_range": "downloads resumed by Range",
    }
    yield Table(
        ["", "count"],
        [*([words, found[name]] for name, words in names.items()), ["other problems", len(found["problems"])]],
    )
    yield Table(["fault", *PHASES], [[how, *by.values()] for how, by in found["by_fault"].items()])


def play(played: list[Case], *, at_once: int) -> list[Case]:
    """Play cases side by side, and return them."""
    with tempfile.TemporaryDirectory() as name, _short_timeouts():
        trio.run(_play, played, Path(name), at_once)
    return played


def _short_timeouts() -> AbstractContextManager[Any]:
    """Let runs make their clients with shorter timeouts; they are the client's own, and no setting."""
    times = {"connect_seconds": CONNECT_SECONDS, "read_seconds": READ_SECONDS, "create_seconds": CREATE_SECONDS}
    return patch("wanrun.run.Client", partial(Client, **times))


async def _play(played: list[Case], folder: Path, at_once: int) -> None:
    limit = trio.CapacityLimiter(at_once)
    async with trio.open_nursery() as nursery:
        proxies = [Proxy() for _ in played]
        ports = [await nursery.start(proxy.serve) for proxy in proxies]
        with _accounts(folder / "service", [f"http://127.0.0.1:{port}" for port in ports]) as service_ports:
            async with trio.open_nursery() as playing:
                for number, each in enumerate(zip(played, proxies, ports, service_ports, strict=True)):
                    playing.start_soon(_play_one, *each, folder / str(number), limit)
        nursery.cancel_scope.cancel()


@contextmanager
def _accounts(folder: Path, origins: list[str]) -> Iterator[list[int]]:
    """Serve an account for each origin in another process, and give their ports."""
    command = [sys.executable, str(Path(__file__).with_name("accounts.py")), str(folder), *origins]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as service:
        try:
            assert service.stdout is not None
            yield [int(port) for port in service.stdout.readline().split()]
        finally:
            service.kill()


async def _play_one(
    case: Case, proxy: Proxy, port: int, service_port: int, folder: Path, limit: trio.CapacityLimiter
) -> None:
    proxy.service_port = service_port
    _make_project(folder)
    setup = Setup(
        folder=folder,
        base_url=f"http://127.0.0.1:{port}/api/v1",
        environ={"DASHSCOPE_API_KEY": "sk-test", "NO_PROXY": "127.0.0.1"},
    )
    async with limit:
        with trio.move_on_after(2 * LONGEST_SECONDS) as scope:
            for times in (float("inf"), 1, 0):
                proxy.follow(case.script(times))
                _set(folder, patience_seconds=1.5 if times > 1 else LONGEST_SECONDS)
                began = trio.current_time()
                await _run(case, folder, setup, max_wait_seconds=BROKEN_SECONDS if times > 1 else LONGEST_SECONDS)
                case.seconds.append(round(trio.current_time() - began, 1))
        if scope.cancelled_caught:
            case.problems.append(f"was not over after {2 * LONGEST_SECONDS} s")
    case.struck = proxy.struck[case.how]
    url = f"http://127.0.0.1:{service_port}/api/v1"
    _judge(case, folder, await trio.to_thread.run_sync(statement, url))


def _make_project(folder: Path) -> None:
    folder.mkdir()
    (folder / "batch.yaml").write_text(SPEC)
    (folder / "clip.mp4").write_bytes(ready_clip().data)


def _set(folder: Path, *, patience_seconds: float) -> None:
    (folder / "wanrun.toml").write_text(SETTINGS.format(patience_seconds=patience_seconds))


async def _run(case: Case, folder: Path, setup: Setup, *, max_wait_seconds: float) -> None:
    try:
        outcome = await run_async([folder / "batch.yaml"], setup, max_wait_seconds=max_wait_seconds)
    except WanrunError as exc:
        case.problems.append(f"a run raised {exc!r}")
    except Exception as exc:
        case.problems.append(f"a bug: {exc!r}")
    else:
        case.states, case.reasons = [job.state.value for job in outcome.jobs], outcome.reasons
        if outcome.exit_code not in (0, 1, 3):
            case.problems.append(f"exit code {outcome.exit_code}: {outcome.reasons}")


def _judge(case: Case, folder: Path, stated: dict[str, Any]) -> None:
    """Compare what the account was billed for with what is in the sink's folder."""
    case.paid = Counter(task["prompt"] for task in stated["tasks"] if task["billed_seconds"])
    case.calls = stated["calls"]
    whole = sha256(ready_clip().data).hexdigest()
    files = {path.name: sha256(path.read_bytes()).hexdigest() for path in (folder / "out").glob("*.mp4")}
    case.problems += [f"{prompt} was paid {count} times" for prompt, count in case.paid.items() if count > 1]
    case.problems += [f"{name} is not whole" for name, digest in files.items() if digest != whole]
    for job, state in zip(JOBS, case.states, strict=False):
        if state not in ("done", "held"):
            case.problems.append(f"{job} is {state} after a run without faults: {case.reasons}")
        if state == "done" and not (f"{job}.mp4" in files and case.paid[f"prompt of {job}"] == 1):
            case.problems.append(f"{job} is said to be done, and is not there, or not paid")
