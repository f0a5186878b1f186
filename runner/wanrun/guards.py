"""Stands between the core and what plugins build: their mistakes become `PluginError`, naming plugin and package."""

from __future__ import annotations

import math
from dataclasses import dataclass
from inspect import isawaitable, iscoroutinefunction
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar, runtime_checkable

from wanrun.errors import PluginError, WanrunError, plain_error
from wanrun.hookspecs import LedgerStore, Notifier, Sink, Source
from wanrun.redaction import redacted
from wanrun.text import without_queries
from wanrun.types import Fitting, Identity, Link, MediaUrl, Receipt, StagedFile

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping
    from types import TracebackType, UnionType

    from wanrun.hookspecs import DeliverContext, NotifyContext, PrepareContext
    from wanrun.notices import Notice
    from wanrun.types import JSON, Delivery, Job, MediaRef, SinkRef, Staging

_TIME = (float | int | None, "epoch seconds, or None")

#: What the core goes by in an answer: field, type, and the type as a message calls it.
_FACTS: dict[type, dict[str, tuple[type | UnionType, str]]] = {
    Identity: {"key": (str, "a text")},
    MediaUrl: {"url": (str, "a text"), "expires_at": _TIME},
    Link: {"url": (str, "a text"), "until": _TIME},
    Receipt: {"place": (str, "a text"), "bytes": (int, "a whole number"), "sha256": (str, "a text")},
    StagedFile: {
        "name": (str, "a text"),
        "key": (str, "a text"),
        "bytes": (int, "a whole number"),
        "until": (float, "a float, in epoch seconds"),
    },
}

ASYNCIO = "asyncio.exceptions"  #: its CancelledError is no Exception; not imported only to be told so

T = TypeVar("T")
Made = TypeVar("Made", Source, Sink, Notifier, LedgerStore)


@dataclass(frozen=True, order=True)
class Origin:
    """Where an offer comes from: the plugin, and the package and version that installed it."""

    plugin: str
    package: str

    def __str__(self) -> str:
        return f"{self.plugin} ({self.package})"

    def error(self, message: str) -> PluginError:
        """Return the error that says what is wrong with this plugin."""
        return PluginError(message, plugin=self.plugin, package=self.package)

    def guard(self, *what: str) -> _Guard:
        """Turn what foreign code raises into a `PluginError`; errors that explain themselves pass."""
        return _Guard(self, what)


class _Guard:
    """The boundary to foreign code; no generator, since every place of every job is asked for through one."""

    __slots__ = ("_origin", "_what")

    def __init__(self, origin: Origin, what: tuple[str, ...]) -> None:
        self._origin, self._what = origin, what

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if exc is None:
            return
        error = plain_error(exc)  # which may come out of a nursery of the plugin's own
        if error is not exc:
            raise error from exc
        is_theirs = isinstance(exc, Exception | SystemExit) or type(exc).__module__ == ASYNCIO
        if is_theirs and not isinstance(exc, WanrunError):
            raise self._origin.error(f"{' '.join(self._what)}: {said(exc)}") from exc


async def given(answer: Awaitable[T] | T) -> T:
    """Return what a method of a plugin gives, which is awaited unless the method is a plain function."""
    return await answer if isawaitable(answer) else answer


def said(exc: BaseException) -> str:
    """Return an error of foreign code as one line: its class and what it says first, without the queries of links."""
    first = without_queries(next(iter(redacted(str(exc)).splitlines()), ""), "?...")
    return f"{type(exc).__name__}: {first}" if first else type(exc).__name__


class Guarded(Generic[Made]):
    """What a plugin has built, with its mistakes blamed on the plugin."""

    def __init__(self, made: Made, label: str, origin: Origin) -> None:
        self._made: Made = made
        self._label, self._origin = label, origin

    def is_plain(self, method: str) -> bool:
        """Say whether a method that may be awaited is a plain function: it ends, or blocks its thread."""
        return not iscoroutinefunction(getattr(self._made, method))

    def error(self, words: str) -> PluginError:
        """Return the error that says what is wrong with it, in words that go on behind its name."""
        return self._origin.error(f"{self._label} {words}")

    def _guard(self, method: str) -> _Guard:
        return self._origin.guard(self._label, "failed in", method)

    def _answer(self, answer: object, expected: type[T], method: str) -> T:
        if not isinstance(answer, expected):
            wanted = f"wanrun.{expected.__name__}" if expected.__module__.startswith("wanrun") else expected.__name__
            given = type(answer).__name__  # not the answer itself, which may hold a signed link
            raise self.error(f"answered {method} with a {given}; it must be a {wanted}")
        for name, (kind, wanted) in _FACTS.get(expected, {}).items():
            if odd := _oddity(getattr(answer, name), kind):
                raise self.error(f"answered {method}, but its {name} {odd}; it must be {wanted}")
        return answer

    @property
    def checks(self) -> bool:
        """Whether it can say what it lacks before anything is paid."""
        return hasattr(self._made, "check")

    def check(self, options: Mapping[str, JSON]) -> None:
        """As the `check` of a source or sink; a kind without one lacks nothing."""
        if self.checks:
            with self._guard("check"):
                self._made.check(options)  # type: ignore[attr-defined]  # not every one has it


def _oddity(fact: object, kind: type | UnionType) -> str:
    if isinstance(fact, float) and not math.isfinite(fact):
        return f"is {fact}"
    if isinstance(fact, kind) and fact != "":
        return ""
    return "is empty" if fact == "" else f"is a {type(fact).__name__}"


class GuardedSource(Guarded[Source]):
    """A plugin's source whose mistakes name the plugin."""

    def locate(self, ref: MediaRef) -> Path | None:
        """As `Source.locate`."""
        with self._guard("locate"):
            path = self._made.locate(ref)
        return None if path is None else self._answer(path, Path, "locate")

    def identify(self, ref: MediaRef) -> Identity:
        """As `Source.identify`."""
        with self._guard("identify"):
            identity = self._made.identify(ref)
        return self._answer(identity, Identity, "identify")

    def fitting(self, ref: MediaRef) -> Fitting | None:
        """Return what a reference asks to be made of its file; None also of a source that makes nothing of files."""
        asks = getattr(self._made, "fitting", None)
        if asks is None:
            return None
        with self._guard("fitting"):
            fitting = asks(ref)
        return None if fitting is None else self._answer(fitting, Fitting, "fitting")

    async def prepare(self, ref: MediaRef, ctx: PrepareContext) -> MediaUrl:
        """As `Source.prepare`."""
        with self._guard("prepare"):
            media = await given(self._made.prepare(ref, ctx))
        return self._answer(media, MediaUrl, "prepare")

    async def stage(self, file: Staging, ctx: DeliverContext) -> MediaUrl:
        """As a source's `stage`; raises `PluginError` for one that has none."""
        with self._guard("stage"):
            media = await self._made.stage(file, ctx)  # type: ignore[attr-defined]  # not every source has it
        return self._answer(media, MediaUrl, "stage")

    @property
    def can_unstage(self) -> bool:
        """Whether what it has put into a store of one's own can be listed and removed."""
        return all(hasattr(self._made, name) for name in ("staged", "unstage"))

    async def staged(self, options: Mapping[str, JSON], ctx: DeliverContext) -> list[StagedFile]:
        """As a source's `staged`."""
        with self._guard("staged"):
            found = list(await self._made.staged(options, ctx))  # type: ignore[attr-defined]  # see `can_unstage`
        return [self._answer(each, StagedFile, "staged") for each in found]

    async def unstage(self, file: StagedFile, options: Mapping[str, JSON], ctx: DeliverContext) -> bool:
        """As a source's `unstage`."""
        with self._guard("unstage"):
            is_gone = await self._made.unstage(file, options, ctx)  # type: ignore[attr-defined]  # see `can_unstage`
        return self._answer(is_gone, bool, "unstage")


class GuardedSink(Guarded[Sink]):
    """A plugin's sink whose mistakes name the plugin; a place is asked for once, since a plan needs it often."""

    def __init__(self, made: Sink, label: str, origin: Origin) -> None:
        super().__init__(made, label, origin)
        self._places: dict[tuple[int, int], tuple[SinkRef, Job, str]] = {}

    def place(self, sink: SinkRef, job: Job) -> str:
        """As `Sink.place`."""
        known = self._places.get((id(sink), id(job)))
        if known is not None:
            return known[2]
        with self._guard("place"):
            place = self._made.place(sink, job)
        place = self._answer(place, str, "place")
        self._places[id(sink), id(job)] = (sink, job, place)  # both are kept, so no other object gets their ids
        return place

    async def deliver(self, delivery: Delivery, ctx: DeliverContext) -> Receipt:
        """As `Sink.deliver`."""
        with self._guard("deliver"):
            receipt = await given(self._made.deliver(delivery, ctx))
        if isinstance(receipt, Receipt) and receipt.link is not None:
            self._answer(receipt.link, Link, "deliver")
        return self._answer(receipt, Receipt, "deliver")


class GuardedNotifier(Guarded[Notifier]):
    """A plugin's notifier whose mistakes name the plugin."""

    async def notify(self, notice: Notice, ctx: NotifyContext) -> None:
        """As `Notifier.notify`."""
        with self._guard("notify"):
            await self._made.notify(notice, ctx)


class GuardedLedgerStore(Guarded[LedgerStore]):
    """A plugin's ledger store whose mistakes name the plugin."""

    def place(self) -> str:
        """As `LedgerStore.place`."""
        with self._guard("place"):
            place = self._made.place()
        return self._answer(place, str, "place")

    def names(self) -> list[str]:
        """As `LedgerStore.names`."""
        with self._guard("names"):
            names = list(self._made.names())
        return [self._answer(name, str, "names") for name in names]

    def read(self, name: str, to: Path) -> None:
        """As `LedgerStore.read`."""
        with self._guard("read"):
            self._made.read(name, to)

    def create(self, name: str, path: Path) -> bool:
        """As `LedgerStore.create`."""
        with self._guard("create"):
            is_there = self._made.create(name, path)
        return self._answer(is_there, bool, "create")

    def remove(self, name: str) -> None:
        """As `LedgerStore.remove`."""
        with self._guard("remove"):
            self._made.remove(name)


@runtime_checkable
class NotifyingSink(Sink, Notifier, Protocol):
    """Both in one object."""


class GuardedNotifyingSink(GuardedSink):
    """A plugin's sink that is a notifier too."""

    def __init__(self, made: NotifyingSink, label: str, origin: Origin) -> None:
        super().__init__(made, label, origin)
        self._notifier = GuardedNotifier(made, label, origin)

    async def notify(self, notice: Notice, ctx: NotifyContext) -> None:
        """As `Notifier.notify`."""
        await self._notifier.notify(notice, ctx)


def guarded_sink(made: object, label: str, origin: Origin) -> Sink | Notifier:
    """Return what a kind of sink has built with its mistakes blamed on the plugin, able to do what it can do."""
    if isinstance(made, NotifyingSink):
        return GuardedNotifyingSink(made, label, origin)
    if isinstance(made, Sink):
        return GuardedSink(made, label, origin)
    if isinstance(made, Notifier):
        return GuardedNotifier(made, label, origin)
    raise origin.error(f"{label} builds {made!r:.60}, which is neither a wanrun.Sink nor a wanrun.Notifier")
