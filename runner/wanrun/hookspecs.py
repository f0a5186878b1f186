"""The hooks that plugins implement, and the protocols of what they offer.

Hooks are few, synchronous, and only *offer* things; the objects they offer do the work. They stand here in the order
of a run. Everything an author needs is re-exported by `wanrun` itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ParamSpec, Protocol, TypeVar, runtime_checkable

import pluggy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping
    from decimal import Decimal
    from pathlib import Path

    from wanrun.events import Event
    from wanrun.notices import Notice
    from wanrun.types import JSON, Delivery, Identity, Job, MediaRef, MediaUrl, Receipt, SinkRef

PROJECT = "wanrun"
CALL_SECONDS = 600.0  #: that one call of what a plugin offers may take, unless its kind says otherwise
API_VERSION = 1  #: a hook or protocol changes only after one release that warns

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

P = ParamSpec("P")
T = TypeVar("T")


class PrepareContext(Protocol):
    """What the core lends to a source while it prepares one media reference."""

    #: Characters of `data:` URL that this job may still put into its create body; a source asks before it inlines.
    inline_bytes_left: int

    #: What `identify` said of the reference for the plan; other bytes than these must not be handed over.
    identity: Identity

    async def upload(self, path: Path, *, key: str, mime: str) -> MediaUrl:
        """Upload a file to the service's temporary store, once per `key`, however many jobs use it.

        `key` is the `Identity.key` of the bytes; bytes that no longer hash to it fail the job (`SourceError`).
        Raises `ServiceError` when the service refuses or stays unreachable.
        """
        ...

    async def fitted(self, path: Path) -> Path:
        """Return the file that is made of this one as the source's `fitting` asks, or itself where it fits already.

        It is made once, by the core, in a process of its own. Only for references whose `identify` gave a key of
        the form `WISH:sha256:...`, of the bytes as they are. Raises `SourceError` when it cannot be made.
        """
        ...

    async def to_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking function outside the event loop and return what it returns."""
        ...


@runtime_checkable
class Source(Protocol):
    """Turns a media reference of a spec into something the service can read.

    One that can have its local files cut and scaled also has `fitting(ref) -> Fitting | None`, which says what a
    reference asks for, without reading anything, and has it made by `PrepareContext.fitted`.

    One whose kind has options for `staging` also has `async stage(file: Staging, ctx: DeliverContext) -> MediaUrl`: it
    puts a file into the operator's own store, unless the same bytes are there, and returns a link that the service can
    read for a day at least. It raises `wanrun.errors.Unavailable` for what passes, `ServiceError` for what stops all.

    One that needs more than its options, such as an access key of the environment, may have `check(options) -> None`:
    it raises `SourceError` with what is missing and where that is looked for. It is called by a run before anything is
    submitted, with secrets, and by `wanrun doctor`, with the options of a spec or of `[staging.KIND]`, and asks nobody.

    For `wanrun clean` it may have two more, which raise the same. `async staged(options, ctx) -> Sequence[StagedFile]`,
    with the options of `[staging.KIND]`, returns what `stage` has put there: nothing that is not surely its own, and
    of each file when it is needed by nobody any more. `async unstage(file: StagedFile, options, ctx) -> bool` removes
    one, unless it has been put there anew meanwhile, and says whether it is gone. That no job of the ledger refers to
    it has been seen to.
    """

    def locate(self, ref: MediaRef) -> Path | None:
        """Return the local file that the reference names, or None when it names none; reads nothing but its entry.

        Called at `validate`, which then checks the file against the model's limits. Raises `SourceError` when there
        is no such file.
        """
        ...

    def identify(self, ref: MediaRef) -> Identity:
        """Say what the reference is, without network and without secrets; called for plan and fingerprint.

        Raises `SourceError` when it cannot be known, such as for a missing file.
        """
        ...

    def prepare(self, ref: MediaRef, ctx: PrepareContext) -> MediaUrl | Awaitable[MediaUrl]:
        """Make the reference readable for the service and return its URL; may be called again after a crash.

        Raises `SourceError` when this job cannot be prepared. It runs in a thread with an event loop of its own, as
        does `stage`, and may run beside itself: no two calls share a client or a connection. Written as a plain
        function, which is cheaper, it runs in a thread and may block, and has no use for what `ctx` does. After
        `seconds` of the kind it is cancelled, and its job fails.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceKind:
    """A kind of source: what a spec may write under its name, and how to build the one that reads it.

    An option of `"type": "string"` with `"writeOnly": true` takes secrets: `prepare` gets it as a `Secret` with its
    value, and everything else as one that tells nothing.
    """

    options: Mapping[str, JSON]  #: JSON Schema (2020-12) of the options, an object schema
    build: Callable[[], Source]  #: called when a spec uses the kind; import heavy things here
    short: str | None = None  #: the option that a bare string stands for: `{file: a.png}` is `{file: {path: a.png}}`
    by_content: bool = (
        False  #: `identify` goes by the options and the bytes that `locate` names alone: kept while both stay
    )
    staging: Mapping[str, JSON] | None = None  #: JSON Schema of `[staging.KIND]` in `wanrun.toml`, if it can `stage`
    seconds: float = CALL_SECONDS  #: that one `prepare` or `stage` may take, without what the core does for it
    remote: bool = False  #: `prepare` asks others, or needs secrets: with `--emulator` a link to nowhere stands in


class DeliverContext(Protocol):
    """What the core lends to a sink while it delivers one artifact."""

    async def to_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking function outside the event loop and return what it returns."""
        ...


@runtime_checkable
class Sink(Protocol):
    """Keeps artifacts somewhere. The same object may be a `Notifier` besides.

    One that needs more than its options, such as an access key of the environment, may have `check(options) -> None`:
    it raises `SinkError` with what is missing and where that is looked for. It is called, with secrets, by a run that
    has something to submit, before it does, and asks nobody.
    """

    def place(self, sink: SinkRef, job: Job) -> str:
        """Name the place that these options give this job's artifact, without network or secrets; asked at `validate`.

        Two jobs with one place are a problem of the spec. Raises `SinkError` when the options lead nowhere allowed.
        """
        ...

    def deliver(self, delivery: Delivery, ctx: DeliverContext) -> Receipt | Awaitable[Receipt]:
        """Put the artifact at its place and return where it is; called again after a crash, so it must be idempotent.

        The same bytes at the place are success; other bytes are `SinkConflict` unless their checksum is in
        `delivery.may_replace`. Raises `SinkError` for what another try may mend. It runs in a thread with an event
        loop of its own and may run beside itself: no two calls share a client or a connection. Written as a plain
        function, which is cheaper, it runs in a thread and may block. After `seconds` of the kind it is cancelled and
        tried again; one that does not end then, as a plain one never does, is left alone until the next run.
        """
        ...


class NotifyContext(Protocol):
    """What the core lends to a sink while it passes one notice on."""

    @property
    def seconds(self) -> float:
        """What the call may take; then it is given up and counts as failed."""
        ...

    @property
    def remembered(self) -> str | None:
        """What was remembered last for this destination, by this run or an earlier one; None: nothing yet."""
        ...

    def remember(self, text: str) -> None:
        """Keep a short text for the notices that follow, such as the id of a message that they are to change.

        It is in the ledger once `notify` has returned or failed, and may be lost if the process dies before. It is no
        place for secrets.
        """
        ...

    async def to_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking function outside the event loop and return what it returns."""
        ...


@runtime_checkable
class Notifier(Protocol):
    """Hears of what happens, for people: a chat, a pager, a mailbox. A spec names it in `notify`."""

    async def notify(self, notice: Notice, ctx: NotifyContext) -> None:
        """Pass one notice on to `notice.sink`, or raise `SinkError` with what is wrong; anything else is a bug.

        What it returns is of no matter. It may be called again with the same facts: after a failure, and after a
        crash. As `deliver` it runs in a thread with an event loop of its own, and may run beside it and itself.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkKind:
    """A kind of sink: what a spec may write under its name, and how to build the one that delivers or notifies.

    An option of `"type": "string"` with `"writeOnly": true` takes secrets: `deliver` and `notify` get it as a
    `Secret` with its value, and everything else as one that tells nothing.
    """

    options: Mapping[str, JSON]  #: JSON Schema (2020-12) of the options, an object schema
    build: Callable[[], Sink | Notifier]  #: called when a spec uses the kind; import heavy things here
    short: str | None = None  #: the option that a bare string stands for
    seconds: float = CALL_SECONDS  #: that one `deliver` may take
    local: bool = False  #: writes files of this machine only and honours `SinkRef.sandbox`, so `--emulator` may use it


class Observer(Protocol):
    """Hears of every event of a run, in order."""

    def __call__(self, event: Event) -> None:
        """Take note of one event; must return at once. What it raises is reported and does not stop the run."""
        ...


@hookspec
def wanrun_sources() -> Mapping[str, SourceKind]:
    """Offer kinds of source, by the one key that a spec writes: `{file: ...}`.

    Called once, before any spec is checked. Return a mapping from name to a `SourceKind`; open no files or
    connections yet. A name that two plugins offer is an error that cites both. See `wanrun_plugins.http` for a
    short one.
    """
    raise NotImplementedError


@hookspec
def wanrun_models() -> Iterable[Mapping[str, JSON]]:
    """Offer more models of the service, each as the content of a model file.

    Called once, before any spec is checked. Return one mapping a model, in the form of
    `schemas/models/wan2.7-videoedit.json`. A name that is taken is an error that cites both.
    """
    raise NotImplementedError


@hookspec
def wanrun_sinks() -> Mapping[str, SinkKind]:
    """Offer kinds of sink, by the one key that a spec writes: `{folder: ...}`.

    Called once, before any spec is checked. Return a mapping from name to a `SinkKind`; open no files or connections
    yet. A name that two plugins offer is an error that cites both. See `wanrun_plugins.folder` for the built-in one.

    What a kind builds has `place` and `deliver` (a `Sink`, which jobs name in `sinks`), or `notify` (a `Notifier`,
    which a spec names in `notify`), or all three. A notifier hears of what has happened since it heard last: trouble
    within minutes, all the rest at the end of the run, and of each fact once, over all runs, unless a run dies in
    between. Its failure is a note and an event, and what it was to be told goes with the next message. Only
    `run_progress` comes again and again: it is for those that change what they have said.
    """
    raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """One job that a run would submit, as a policy sees it."""

    job: Job
    identities: tuple[Identity, ...]  #: of its media, in the job's order
    seconds: Decimal | None  #: that it is billed for at most; None where the model sets no bound
    cost: Decimal | None  #: that it costs at most; None where no price is known
    currency: str | None  #: of the cost, such as CNY
    again: bool  #: a person asked for one more take of what is there already


@dataclass(frozen=True, slots=True, kw_only=True)
class Objection:
    """What a policy has against a submission."""

    message: str  #: one clause for people, such as "prompts name no brands; leave out Acme"
    veto: bool = True  #: False: it is said, and the job is submitted all the same


@hookspec
def wanrun_check_job(submission: Submission) -> Objection | Iterable[Objection] | None:
    """Say what a policy has against a job, such as a rule for prompts or a limit on what one job may cost.

    Called once for each job that a run would submit, by `plan` to show it and by `run` before anything is submitted;
    never for what is done or under way. Return an `Objection`, several, or None. One veto stops the run with exit
    code 2, at the job's line. Needs no network and no secrets, changes nothing, and answers at once: a batch may have
    ten thousand jobs.
    """
    raise NotImplementedError


@hookspec
def wanrun_observers() -> Iterable[Observer]:
    """Offer callables that hear of every event: metrics, traces, dashboards.

    Called once per run, before its first event. Return any number of callables taking one `Event`; an observer keeps
    no reference to the engine and must not block.
    """
    raise NotImplementedError


@runtime_checkable
class LedgerStore(Protocol):
    """Keeps a ledger where several machines reach it: objects under short names, of which none is written twice.

    All of it blocks; there is one call at a time. Two things are promised to whoever pays with the ledger: of two that
    create one name at once, one is told that it is taken, and a name that was created is in every list from then on.
    A store that cannot promise both must not be offered. Each method raises `SinkError` for what passes, and
    `WanrunError` for what a person has to mend first.
    """

    def place(self) -> str:
        """Name the store for people, without network or secrets."""
        ...

    def names(self) -> Iterable[str]:
        """Return all names that are there; those that the core did not create do no harm."""
        ...

    def read(self, name: str, to: Path) -> None:
        """Write what is kept under a name to a file, whole."""
        ...

    def create(self, name: str, path: Path) -> bool:
        """Keep a file under a name that is not taken, in one step; return whether its bytes are there now.

        False: the name is taken by other bytes. The very same bytes are success, so that a lost answer does no harm.
        """
        ...

    def remove(self, name: str) -> None:
        """Remove what is kept under a name, to save space; nothing hangs on it, and what is gone is as good."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerStoreKind:
    """A kind of ledger store: what `[ledger_store.KIND]` in `wanrun.toml` may hold, and how to build one from it."""

    options: Mapping[str, JSON]  #: JSON Schema (2020-12) of the options, an object schema
    build: Callable[[Mapping[str, JSON]], LedgerStore]  #: called with options that fit; import heavy things here


@hookspec
def wanrun_ledger_stores() -> Mapping[str, LedgerStoreKind]:
    """Offer kinds of ledger store, by the name of their table in `wanrun.toml`: `[ledger_store.oss]`.

    Called once, before any spec is checked. Return a mapping from name to a `LedgerStoreKind`; open no files or
    connections yet. A name that two plugins offer is an error that cites both. What a kind builds is used by
    `wanrun ledger export --store`, `import --store` and `doctor`, never by a run. See `wanrun_plugins.oss` for the
    built-in one.
    """
    raise NotImplementedError
