"""Bugs for the judge to find: each replaces one function of the program by one that forgets what matters."""

from __future__ import annotations

import importlib
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from wanrun.chains import upstream_of
from wanrun.client import Client
from wanrun.engine.evidence import Decision, Step, decide
from wanrun.engine.upstream import Chains
from wanrun.errors import Unavailable, Unsure
from wanrun.ledger import Ledger
from wanrun.types import Identity
from wanrun_plugins.folder import FolderSink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from wanrun.engine.evidence import Candidate, Circumstances
    from wanrun.engine.work import OpenJob
    from wanrun.ledger import Entry
    from wanrun.plan import Plan
    from wanrun.types import MediaRef


@contextmanager
def no_intent_row() -> Iterator[None]:
    """Let an attempt be on disk only once its answer is: what dies before leaves no trace of it."""
    intend, answer, interrupted = Ledger.intend, Ledger._answer, Ledger.interrupted
    unwritten: set[int] = set()

    def buggy_intend(self: Ledger, *args: Any, **kwargs: Any) -> int:
        attempt = intend(self, *args, **kwargs)
        unwritten.add(attempt)
        return attempt

    def buggy_answer(self: Ledger, attempt: int, *args: Any, **kwargs: Any) -> None:
        unwritten.discard(attempt)
        answer(self, attempt, *args, **kwargs)

    def buggy_interrupted(self: Ledger, *args: Any, **kwargs: Any) -> Any:
        for attempt in unwritten:
            self._write("DELETE FROM attempts WHERE id = :id AND state = 'intended'", id=attempt)
        unwritten.clear()
        return interrupted(self, *args, **kwargs)

    with (
        patch.object(Ledger, "intend", buggy_intend),
        patch.object(Ledger, "_answer", buggy_answer),
        patch.object(Ledger, "interrupted", buggy_interrupted),
    ):
        yield


@contextmanager
def resend_on_timeout() -> Iterator[None]:
    """Take a create without an answer for one that was not sent."""
    create = Client.create

    async def buggy(self: Client, *args: Any, **kwargs: Any) -> Any:
        try:
            return await create(self, *args, **kwargs)
        except Unsure as exc:
            raise Unavailable(str(exc)) from exc

    with patch.object(Client, "create", buggy):
        yield


@contextmanager
def rename_before_fsync() -> Iterator[None]:
    """Give a file its name in the user's folder before its bytes are on disk."""

    def buggy(self: FolderSink, folder: Any, name: str, chunks: Iterable[bytes], before: object) -> None:
        temporary = f".wanrun-{os.urandom(8).hex()}.part"
        with folder.create_file(temporary) as file:
            file.writelines(chunks)
            file.flush()
            folder.rename(temporary, name)
            os.fsync(file.fileno())

    with patch.object(FolderSink, "_write", buggy):
        yield


@contextmanager
def adopt_the_first_candidate() -> Iterator[None]:
    """Take whatever task is of the right time for the one that a create without an answer made."""

    def buggy(found: Sequence[Candidate], now: Circumstances) -> Decision:
        return Decision(Step.ADOPT, "the first one", found[0].row) if found else decide(found, now)

    with patch.object(importlib.import_module("wanrun.engine.reconcile"), "decide", buggy):
        yield


@contextmanager
def forget_the_reservation() -> Iterator[None]:
    """Count only what tasks have cost, and not what those in flight may cost."""
    with patch.object(Ledger, "reserve", lambda *_args, **_kwargs: None):
        yield


@contextmanager
def chained_by_the_take() -> Iterator[None]:
    """Know a chained job by the task whose result it is made from: another one whenever the job above was fetched."""
    batch, plan = importlib.import_module("wanrun.batch"), importlib.import_module("wanrun.plan")
    make_plan = batch.make_plan

    def buggy(jobs: Any, identities: Any, entries: Iterable[Entry], **options: Any) -> Plan:
        entries = list(entries)
        takes = {entry.fingerprint: entry.result.id for entry in entries if entry.result is not None}

        def by_the_take(fingerprint: str) -> Identity:
            return Identity(f"job:{fingerprint} {takes.get(fingerprint)}")

        with patch.object(plan, "result_identity", by_the_take):
            planned: Plan = make_plan(jobs, identities, entries, **options)
            return planned

    with patch.object(batch, "make_plan", buggy):
        yield


@contextmanager
def chained_by_the_name() -> Iterator[None]:
    """Know a chained job by the name of the job above it: the same one when that asks for something else."""
    plan = importlib.import_module("wanrun.plan")
    identity = plan._identity

    def buggy(ref: MediaRef, identities: Any, marks: Any) -> Any:
        upstream = upstream_of(ref)
        return identity(ref, identities, marks) if upstream is None else Identity(f"job:{upstream}")

    with patch.object(plan, "_identity", buggy):
        yield


@contextmanager
def no_wait_for_one_more_take() -> Iterator[None]:
    """Hand on the result that is there, although a person wants another one and it is on its way."""
    awaited = Chains._awaited

    def buggy(self: Chains, job: OpenJob) -> list[int]:
        return [entry for entry in awaited(self, job) if not self._has_result(entry)]

    with patch.object(Chains, "_awaited", buggy):
        yield


BUGS: dict[str, Callable[[], Any]] = {
    "no intent row": no_intent_row,
    "resend on timeout": resend_on_timeout,
    "adopt the first candidate": adopt_the_first_candidate,
    "rename before fsync": rename_before_fsync,
    "forget the reservation": forget_the_reservation,
    "chained by the take": chained_by_the_take,
    "chained by the name": chained_by_the_name,
    "no wait for one more take": no_wait_for_one_more_take,
}
