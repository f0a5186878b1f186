"""Deliver: give each artifact to every sink of its job that has no receipt yet; a sink that fails harms no other."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import trio

from wanrun.engine.calls import CallContext, CallTime, Overdue
from wanrun.errors import ExitCode, SinkConflict, SinkError, WanrunError
from wanrun.events import EventName
from wanrun.guards import GuardedSink, given
from wanrun.ledger import DeliveryRow
from wanrun.ledger.deliveries import facts_of
from wanrun.plan import Destination, is_delivered
from wanrun.rehearsal import Rehearsal
from wanrun.types import Delivery

if TYPE_CHECKING:
    from wanrun.engine.work import OpenJob, Work
    from wanrun.hookspecs import Sink
    from wanrun.ledger import Attempt
    from wanrun.plan import PlannedJob
    from wanrun.types import Receipt

DELIVERIES_AT_ONCE = 4  #: to one sink of a spec
TRIES = 3
FIRST_PAUSE_SECONDS = 1.0
_NO_FILE = "put the file back from where it was delivered before, or pay for another take with --again"


class _Gone(SinkError):
    """There is nothing to deliver any more, until a person puts it back."""

    exit_code = ExitCode.ATTENTION


async def deliver_artifacts(work: Work) -> None:
    """Deliver until this run has nothing open; to each sink a few at once, so that none waits for another."""
    queues: dict[tuple[str, str], trio.MemorySendChannel[tuple[_Result, Destination]]] = {}  # by kind and name of sink
    async with trio.open_nursery() as nursery:
        async for job in work.deliver_queue:
            result = _result(work, job)
            for goal in tuple(result.missing):
                key = (goal.sink.kind, goal.sink.name)
                if key not in queues:
                    queues[key], queue = trio.open_memory_channel[tuple[_Result, Destination]](math.inf)
                    for _ in range(DELIVERIES_AT_ONCE):
                        nursery.start_soon(_deliver_to_one, work, queue)
                queues[key].send_nowait((result, goal))
        for waiting in queues.values():
            waiting.close()


@dataclass(slots=True)
class _Result:
    """A job whose artifact is delivered."""

    job: OpenJob
    planned: PlannedJob
    attempt: Attempt
    missing: list[Destination]  #: that have no receipt
    left: int  #: deliveries that have not ended


def _result(work: Work, job: OpenJob) -> _Result:
    """Return a job with what it lacks; one that lacks nothing is done."""
    entry = work.ledger.entry(job.entry)
    assert job.planned is not None
    assert entry.attempt is not None
    missing = [goal for goal in job.planned.destinations if not is_delivered(entry, goal)]
    if not missing:
        work.emit(EventName.JOB_DONE, job)
        work.settle(job)
    return _Result(job, job.planned, entry.attempt, missing, len(missing))


async def _deliver_to_one(work: Work, queue: trio.MemoryReceiveChannel[tuple[_Result, Destination]]) -> None:
    async for result, goal in queue:
        await _deliver(work, result, goal)
        result.left -= 1
        if not result.left:
            work.settle(result.job)


async def _deliver(work: Work, result: _Result, destination: Destination) -> None:
    """Deliver to one sink and record what came of it, with the job's end if nothing is missing then."""
    job, attempt = result.job, result.attempt
    artifact = attempt.artifact(work.artifacts)
    row = DeliveryRow(
        entry=job.entry,
        artifact_sha256=artifact.sha256,
        options_digest=destination.digest,
        sink=destination.sink.name,
        place=destination.recorded,
        state="delivered",
        message=None,
    )
    delivery = Delivery(
        artifact=artifact,
        sink=destination.sink,
        job=result.planned.job,
        fingerprint=result.planned.fingerprint,
        task_id=attempt.task_id or "",
        usage=attempt.usage,
        may_replace=work.ledger.delivered_to(destination.recorded, address=job.address),
        account=work.ledger.account,
        fitted=result.planned.fitted,
    )
    if delivery.may_replace - {artifact.sha256}:
        work.ledger.gives_way(row)
    try:
        if not artifact.is_there():
            raise _Gone(f"{artifact.path} is gone, and so is the result at the service; {_NO_FILE}")
        await work.on_disk()  # a sink may take its time, or hang: what is here is on record before
        receipt = await _try(work, delivery)
    except SinkError as exc:
        _undelivered(work, job, row, exc)
        return
    result.missing.remove(destination)
    with work.recording_soon():
        work.ledger.delivered(row, receipt)
        work.emit(EventName.DELIVERED, job, sink=row.sink, place=receipt.place, bytes=receipt.bytes)
        if not result.missing:
            work.emit(EventName.JOB_DONE, job)


def _undelivered(work: Work, job: OpenJob, row: DeliveryRow, exc: SinkError) -> None:
    state = "conflict" if exc.exit_code is ExitCode.ATTENTION else "failed"
    failed = DeliveryRow(row.entry, row.artifact_sha256, row.options_digest, row.sink, row.place, state, str(exc))
    with work.ledger.transaction():
        work.ledger.undelivered(failed)
        work.emit(
            EventName.DELIVERY_FAILED, job, sink=row.sink, message=str(exc), conflict=isinstance(exc, SinkConflict)
        )


def _with_secrets(delivery: Delivery, work: Work) -> Delivery:
    """Return a delivery whose sink has its secrets, looked up just now; a rehearsal has no use for them."""
    sink = delivery.sink
    if isinstance(work.catalog.sink(sink.kind), Rehearsal):
        return delivery
    return replace(delivery, sink=replace(sink, options=work.vault.opened(sink.options)))


async def _try(work: Work, delivery: Delivery) -> Receipt:
    sink = work.catalog.sink(delivery.sink.kind)
    tries = 0
    while True:
        tries += 1
        try:
            receipt = await _call(work, sink, _with_secrets(delivery, work))
            json.dumps({"place": receipt.place, **facts_of(receipt)}).encode()  # it has to be recorded
            return receipt
        except SinkConflict:
            raise
        except SinkError:
            if tries == TRIES:
                raise
        except Overdue as exc:
            if exc.is_left or tries == TRIES:
                raise SinkError(str(exc)) from exc
        except WanrunError as exc:  # a plugin's bug, as its guard words it: this delivery's failure, not the run's
            raise SinkError(str(exc)) from exc
        except (TypeError, ValueError) as exc:
            raise SinkError(f"the sink {delivery.sink.kind} gave a receipt that cannot be recorded: {exc}") from exc
        await trio.sleep(FIRST_PAUSE_SECONDS * 2 ** (tries - 1) * work.world.random.uniform(0.5, 1.0))


async def _call(work: Work, sink: Sink, delivery: Delivery) -> Receipt:
    context = CallContext(work.world)
    if not isinstance(sink, GuardedSink):
        return await given(sink.deliver(delivery, context))  # a rehearsal
    time = CallTime(work.catalog.sinks[delivery.sink.kind].seconds)
    return await work.calls.make(sink, "deliver", lambda: sink.deliver(delivery, context), time, to=delivery.sink.name)
