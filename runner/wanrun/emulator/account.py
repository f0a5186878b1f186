"""The account: tasks, their queue, their money and their history, on a clock that is passed in.

A plain object without I/O and without threads, and the one fake of the service: `api` speaks HTTP for it, `transport`
and `server` carry that to clients, and a host does the editing that `work` hands out.
"""

from __future__ import annotations

import json
import random
import time
import uuid
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wanrun.emulator import checks, intake
from wanrun.emulator import statement as statements
from wanrun.emulator.faults import Effect, Faults
from wanrun.emulator.gate import Gate
from wanrun.emulator.history import History
from wanrun.emulator.pace import Pace
from wanrun.emulator.ready import Clip, ready_clip
from wanrun.emulator.schedule import Schedule
from wanrun.emulator.shelf import UPLOAD_SECONDS, Shelf, Upload
from wanrun.emulator.store import READY, MemoryStore, Store, get, put
from wanrun.emulator.tasks import Status, Task
from wanrun.models import Model, shipped_models
from wanrun.places import REGION_IDS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from wanrun.emulator.calls import Answer, Call
    from wanrun.emulator.pace import Seconds
    from wanrun.models import ServiceLimits
    from wanrun.types import JSON

REFUSED_AFTER = 0.087  #: seconds until the service has found that a body is wrong


@dataclass(frozen=True, slots=True)
class Work:
    """A task that runs and waits for its edit: the body of its create, and the model that it asked for."""

    task_id: str
    body: dict[str, Any]
    model: Model


class Account:
    """One account of the service in one region."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.time,
        models: Iterable[Model] | None = None,
        region: str = "singapore",
        origin: str = "http://127.0.0.1",
        keys: Collection[str] | None = None,
        refused_keys: Collection[str] = (),
        limits: ServiceLimits | None = None,
        retry_after: float | None = None,
        seconds: Seconds = None,
        queue_seconds: float = 1.0,
        speed: float = 1.0,
        seed: int | None = None,
        edit: bool = False,
        faults: Faults | None = None,
        store: Store | None = None,
        ready: Clip | None = None,
    ) -> None:
        """Open an account.

        `clock` gives epoch seconds. `origin` is where upload host and links point to. `keys` are the API keys that work
        (None: every one that starts with `sk-`), `refused_keys` never do. `limits` take the place of the model files'.
        `retry_after` seconds go out with every 429. A task waits `queue_seconds` at least, then runs for `seconds`: a
        number, a mapping from prompts, a function of the task, or None for 60 to 300 by chance; `speed` divides both.
        With `seed` ids and chances repeat. With `edit` a host does the work (see `work`), else tasks get `ready`.
        """
        self.clock, self.origin, self.edit = clock, origin, edit
        self.region, self.region_id = region, REGION_IDS.get(region, region)
        self.store: Store = store if store is not None else MemoryStore()
        self.shelf, self.faults = Shelf(self.store), faults or Faults()
        self.models = {model.name: model for model in (shipped_models() if models is None else models)}
        self.limits = {name: limits or model.limits for name, model in self.models.items()}
        self.gate = Gate(self.limits, keys=keys, refused_keys=refused_keys, retry_after=retry_after)
        self.tasks: dict[str, Task] = {}
        self.calls: dict[str, Counter[int]] = defaultdict(Counter)
        self._pace = Pace(seconds, queue_seconds=queue_seconds, speed=speed)
        self._seed, self._random = seed, random.Random(seed)  # noqa: S311  # an emulator guards nothing
        self._schedules = {name: Schedule(each.running_at_once, self) for name, each in self.limits.items()}
        self.warnings: list[str] = []
        self._order: list[Task] = []
        self._work: list[str] = []
        self._history = History()
        self._clip = ready or ready_clip()
        put(self.store, READY, self._clip.data)
        self.started_at = clock()
        self.id, self.secret = self.new_id(), self.new_id()
        self._history.add("account", self.started_at, id=self.id, secret=self.secret, region=region)

    # Time

    def advance(self) -> float:
        """Let everything happen whose time has come; returns the time, in epoch seconds."""
        now = self.clock()
        for schedule in self._schedules.values():
            schedule.advance(now)
        self.shelf.clear(now)
        return now

    def next_at(self) -> float:
        """Return when a task starts or ends next, in epoch seconds; infinity when none will by itself."""
        return min((schedule.next_at() for schedule in self._schedules.values()), default=float("inf"))

    # Tasks

    def create(self, body: Mapping[str, Any], *, request_id: str, effect: Effect | None = None) -> Task:
        """Make a task of the body of a create; what is wrong with the body makes it a failed one."""
        now, model = self.clock(), self.models[body["model"]]
        task = intake.new_task(body, model, task_id=self.new_id(), request_id=request_id, now=now)
        self._pace.set(task, self._random)
        intake.apply(effect or Effect(), task)
        self.tasks[task.id] = task
        self._order.append(task)
        fault = checks.first_fault(body, model)
        if fault is None and not self.edit:
            fault = intake.measure(task, model, store=self.store, ready_seconds=self._clip.seconds)
        if fault is not None:
            task.scheduled_at = now
            self._fail(task, now + REFUSED_AFTER, fault)
            return task
        if self.edit:
            put(self.store, _request_key(task), json.dumps(body).encode())
        self._schedules[model.name].add(task)
        self._note(task, now)
        return task

    def queue_is_full(self, model: str) -> bool:
        """Say whether no further task of a model would be taken."""
        return self._schedules[model].queued >= self.limits[model].queued

    def cancel(self, task: Task) -> bool:
        """Cancel a task; False when it does not wait any more."""
        now = self.advance()
        if task.status is not Status.PENDING:
            return False
        self._schedules[task.model].remove(task, now)
        task.status = Status.CANCELED
        self._close(task, now)
        return True

    def tasks_between(self, start_at: float, end_at: float) -> list[Task]:
        """Return the tasks that were made in a span of time, both ends included, oldest first."""
        first = bisect_left(self._order, start_at, key=lambda task: task.created_at)
        return self._order[first : bisect_right(self._order, end_at, key=lambda task: task.created_at)]

    # Editing, done by the host

    def work(self) -> list[Work]:
        """Hand out the tasks that have begun to run and wait for their edit, each once."""
        begun, self._work = [self.tasks[task_id] for task_id in self._work], []
        return [self._work_of(task) for task in begun if not task.ended]

    def finish(self, task_id: str, key: str, *, input_seconds: float, output_seconds: float) -> None:
        """Take the result of an edit, an object of the store; the task ends now, or when its time is over."""
        task, now = self.tasks[task_id], self.advance()
        if not task.ended:
            task.result, task.worked = key, True
            task.input_seconds, task.output_seconds = input_seconds, output_seconds
            self._note(task, now)
            self._schedules[task.model].worked(task, now)

    def fail(self, task_id: str, fault: checks.Fault) -> None:
        """End a running task at once: its media cannot be used."""
        task, now = self.tasks[task_id], self.advance()
        if self._schedules[task.model].remove(task, now):
            self._fail(task, now, fault)

    def task_starts(self, task: Task, at: float) -> None:
        """Begin a task; called by its schedule."""
        task.status, task.scheduled_at, task.due_at = Status.RUNNING, at, at + task.seconds
        task.worked = not self.edit
        if self.edit:
            self._work.append(task.id)
        self._note(task, at)

    def task_ends(self, task: Task, at: float) -> None:
        """End a task that ran its time and has its result; called by its schedule."""
        if task.fate:
            self._fail(task, at, checks.Fault(*task.fate))
            return
        task.status = Status.SUCCEEDED
        statements.bill(task, self.models[task.model], self.region)
        self._close(task, at)

    # Uploads

    def keep_upload(self, key: str, model: str) -> None:
        """Note an upload whose bytes the store has already."""
        now = self.clock()
        self.shelf.add(Upload(key, model, now + UPLOAD_SECONDS))
        self._history.add("upload", now, key=key, model=model, until=now + UPLOAD_SECONDS)

    # What is known of it all

    @property
    def history(self) -> list[dict[str, Any]]:
        """What happened so far, oldest first; only ever appended to."""
        return self._history.lines

    def strike(self, call: Call) -> Effect:
        """Say which scripted faults hit a call; ask once for each call."""
        task = self.tasks.get(call.task_id or call.result.removesuffix(".mp4"))
        prompt = task.prompt if task else intake.prompt_of(call.body)
        return self.faults.strike(call.kind, prompt=prompt, at_seconds=self.clock() - self.started_at)

    def count(self, call: Call, answer: Answer) -> None:
        """Note a call and its answer."""
        self.calls[call.kind.value][answer.status] += 1
        facts = {"code": answer.code, "request_id": answer.request_id, "task_id": answer.task_id}
        said = {name: value for name, value in facts.items() if value}
        self._history.add("call", self.clock(), kind=call.kind.value, status=answer.status, **said)

    def warn(self, text: str) -> None:
        """Note something that the reader of the statement should know."""
        self.warnings.append(text)
        self._history.add("warning", self.clock(), text=text)

    def statement(self) -> dict[str, JSON]:
        """Return the account statement as a JSON object."""
        self.advance()
        return statements.statement(
            account=self.id,
            tasks=self._order,
            calls=self.calls,
            peaks={
                "peak_running": max((each.peak_running for each in self._schedules.values()), default=0),
                **self.gate.peaks(),
            },
            warnings=self.warnings,
        )

    def new_id(self) -> str:
        """Return a fresh UUID."""
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    # Across runs

    def dump(self) -> str:
        """Return what happened since the last dump, as JSON lines to append to a file."""
        return self._history.dump()

    def load(self, lines: Iterable[str]) -> None:
        """Become the account that these dumped lines tell of; only for an account that was just made.

        A torn last line is left away; raises `SettingsError` for damage anywhere else. Without lines nothing changes.
        """
        told = History()
        for line in told.load(lines):
            self._replay(line)
        if not told.lines:
            return
        self._history = told
        self._order = sorted(self.tasks.values(), key=lambda task: task.created_at)
        if self._seed is not None:  # the same ids must not come again
            self._random = random.Random(f"{self._seed}/{len(told.lines)}")  # noqa: S311
        for task in self._order:
            self._resume(task)

    def _replay(self, line: Mapping[str, Any]) -> None:
        match line["is"]:
            case "account":
                self.id, self.secret = line["id"], line["secret"]
            case "task":
                task = Task.from_line(line["task"])
                self.tasks[task.id] = task
            case "call":
                self.calls[line["kind"]][line["status"]] += 1
            case "warning":
                self.warnings.append(line["text"])
            case "upload":
                self.shelf.add(Upload(line["key"], line["model"], line["until"]))

    def _resume(self, task: Task) -> None:
        """Put a loaded task back where it was."""
        if task.ended and task.result:
            self.shelf.expire(task.result, task.link_until)
        elif task.status is Status.PENDING:
            self._schedules[task.model].add(task)
        elif task.status is Status.RUNNING:
            self._schedules[task.model].restore(task)
            self._work += [] if task.worked else [task.id]

    def _work_of(self, task: Task) -> Work:
        return Work(task.id, json.loads(get(self.store, _request_key(task))), self.models[task.model])

    def _fail(self, task: Task, at: float, fault: checks.Fault) -> None:
        task.status, task.code, task.message = Status.FAILED, fault.code, fault.message
        self._close(task, at)

    def _close(self, task: Task, at: float) -> None:
        task.ended_at = at
        self._note(task, at)
        self.store.delete(_request_key(task))
        if task.result:
            self.shelf.expire(task.result, task.link_until)

    def _note(self, task: Task, at: float) -> None:
        self._history.add("task", at, task=task.to_line())


def _request_key(task: Task) -> str:
    return f"requests/{task.id}"
