"""The nouns that everything shares: jobs and what they name, states and actions, artifacts and receipts.

Frozen, without behaviour and without I/O; nothing here imports another part of wanrun.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NoReturn, Self, SupportsIndex, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from decimal import Decimal

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"

HIDDEN = "***"  #: what stands wherever a secret would

NO_OPTIONS: Mapping[str, JSON] = MappingProxyType({})


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a text file; line and column count from 1."""

    path: Path
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True, order=True)
class Related:
    """Another place that a problem names, and what stands there."""

    position: Position
    message: str


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong with what the user wrote, at the place where it is wrong."""

    position: Position
    message: str
    rule: str = "other"  #: the id of the rule that is broken, one of `wanrun.rules`
    whole: bool = False  #: it is about a whole list or mapping, of which the position is only the start
    foreign: bool = False  #: its place is in a file that may be any one, such as a table: no line of it is shown
    related: tuple[Related, ...] = ()  #: the other places that the message names, in its order

    def __str__(self) -> str:
        return f"{self.position}: {self.message}"


class Secret(str):
    """A value that may reach its own service and nothing else: for all the world it is the text `***`.

    Whatever prints, formats, joins or serialises it gets that text; only `reveal` gives the value.
    """

    __slots__ = ("_value",)
    _value: str

    def __new__(cls, value: str) -> Self:
        made = super().__new__(cls, HIDDEN)
        made._value = value
        return made

    def reveal(self) -> str:
        """Return the value itself, for the one header or call that needs it."""
        return self._value

    def __repr__(self) -> str:
        return HIDDEN

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and type(self) is type(other) and self._value == other._value

    def __ne__(self, other: object) -> bool:
        return not self == other  # str has one of its own

    __hash__ = str.__hash__

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError("a secret is not pickled")


@dataclass(frozen=True, slots=True)
class SecretName:
    """The name by which a spec calls a secret: `${{ secret.NAME }}`."""

    name: str


class SecretTemplate(Secret):
    """What a spec has in an option that takes a secret: names and text around them, before anything is looked up.

    Plan and fingerprint see this, so that neither depends on a value; `prepare` and `deliver` get a `Secret`.
    """

    __slots__ = ("parts", "position")
    parts: tuple[str | SecretName, ...]
    position: Position | None  #: where it is written; None until its file is known

    def __new__(cls, parts: Iterable[str | SecretName], position: Position | None = None) -> Self:
        made = super().__new__(cls, "")
        made.parts, made.position = tuple(parts), position
        return made

    def reveal(self) -> NoReturn:
        """Raise: no value is known yet."""
        raise RuntimeError("a secret can be revealed in prepare and deliver only")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretTemplate) and self.parts == other.parts

    def __hash__(self) -> int:
        return hash(self.parts)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the secrets in it, as often as they stand there."""
        return tuple(part.name for part in self.parts if isinstance(part, SecretName))


class State(StrEnum):
    """Where a job stands, for plan, status, messages and JSON alike."""

    NEW = "new"  #: no entry for this address and fingerprint
    CHANGED = "changed"  #: as new, but the address had another fingerprint before
    MOVED = "moved"  #: the entry of another address is taken over
    UNSURE = "unsure"  #: a create whose reply is missing
    IN_FLIGHT = "in flight"  #: the task is known, its result not yet in the artifact store
    TO_DELIVER = "to deliver"  #: the artifact is here, some sink has no receipt
    DONE = "done"  #: every sink has its receipt
    FAILED = "failed"  #: refused, failed or never prepared; not billed
    HELD = "held"  #: wanrun cannot decide without risking a second payment
    BLOCKED = "blocked"  #: the job it chains from cannot give it an input
    LOST = "lost"  #: paid and no longer to be had, or abandoned by a person


class Action(StrEnum):
    """What a run would do for one job."""

    SUBMIT = "submit"
    RESUME = "resume"
    DELIVER = "deliver"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class MediaRef:
    """One media item of a job as the spec names it: `- video: {file: clip.mp4}`."""

    type: str  #: the model's media type, such as `video` or `reference_image`
    kind: str  #: the kind of source, such as `file`
    options: Mapping[str, JSON]  #: the source's options, defaults not filled in; a `Secret` where one may stand
    folder: Path  #: of the file that names it, absolute; relative paths start here
    position: Position
    case: str = field(default="", compare=False)  #: the combination or row that made it, for messages
    related: tuple[Related, ...] = field(default=(), compare=False)  #: the places that `case` names


@dataclass(frozen=True, slots=True)
class Fitting:
    """What a spec asks to be made of a local file before the service gets it."""

    trim: tuple[Decimal, Decimal] | None = None  #: the seconds to keep, from and to
    fit: bool = False  #: cut, cropped, scaled and written anew as far as the model's limits need it

    @property
    def key(self) -> str:
        """What tells inputs of the same bytes apart: `trim=0-10,fit`; equal wishes have equal keys."""
        trim = "trim={:f}-{:f}".format(*(each.normalize() for each in self.trim)) if self.trim else ""
        return ",".join(filter(None, (trim, "fit" if self.fit else "")))


@dataclass(frozen=True, slots=True)
class Fitted:
    """What is made of one local file of a job before the service gets it."""

    type: str  #: the media type
    file: str  #: as the spec names it
    change: str  #: in words: `cut to 0-10 s, scaled to 4096 x 2304`


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Where a sink that writes files writes instead of its own places, with `--emulator`."""

    root: Path  #: absolute; nothing is written outside
    folder: Path  #: in it; stands for the folder where relative paths start


@dataclass(frozen=True, slots=True)
class SinkRef:
    """One sink of a job with its options, templates already filled in."""

    name: str  #: the name the spec gives it
    kind: str  #: the kind of sink, such as `folder`
    options: Mapping[str, JSON]  #: a `Secret` where one may stand
    folder: Path  #: of the file that names it, absolute; relative paths start here
    position: Position
    sandbox: Sandbox | None = None  #: when set (`--emulator`), a sink that writes files writes there only


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """How many more tasks a job gets by itself after one that failed and was not billed."""

    service_fault: int = 2  #: after faults of the service, in the job's whole life as it stands


@dataclass(frozen=True, slots=True)
class Job:
    """One edit that a spec asks for, named by its address; ours, and it outlives runs."""

    spec: str
    id: str
    spec_path: Path  #: absolute
    position: Position
    model: str
    provider: str
    prompt: str | None
    negative_prompt: str | None
    media: tuple[MediaRef, ...]
    parameters: Mapping[str, JSON]  #: as written, after merging; model defaults are not filled in
    sinks: tuple[SinkRef, ...]
    retries: Retries = Retries()
    tags: tuple[str, ...] = ()  #: what `--tag` selects by
    case: str = field(default="", compare=False)  #: its combination or row, for messages; empty for the only one

    @property
    def address(self) -> str:
        """How people name the job: `spec/id`."""
        return f"{self.spec}/{self.id}"


@dataclass(frozen=True, slots=True)
class Identity:
    """What a media reference is, without network and without secrets."""

    key: str  #: equal keys are equal inputs: `sha256:...` for bytes, `url:...` for links
    bytes: int | None = None  #: size, when it is known
    mime: str | None = None


@dataclass(frozen=True, slots=True)
class MediaUrl:
    """A media reference as the service can read it."""

    url: str
    expires_at: float | None = None  #: epoch seconds; None: not known to expire


@dataclass(frozen=True, slots=True, kw_only=True)
class Staging:
    """One local file on its way to the operator's own store, from where the service reads it."""

    path: Path
    key: str  #: `sha256:...` of the bytes that must arrive
    mime: str
    options: Mapping[str, JSON]  #: of the table `[staging.KIND]`


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedFile:
    """One file that was put into the operator's own store on its way to the service, as that store has it now."""

    name: str  #: what the store calls it, with the place: `oss://bucket/prefix/....mp4`
    key: str  #: `sha256:...`, as `Staging.key` was
    bytes: int
    until: float  #: epoch seconds; after it no link to the file that was ever given can still be read


@dataclass(frozen=True, slots=True)
class Usage:
    """What a finished task used; seconds as the service counts them (`usage` of a query)."""

    billed_seconds: float
    input_seconds: float | None = None
    output_seconds: float | None = None
    resolution: int | None = None  #: `SR`: 720 or 1080


@dataclass(frozen=True, slots=True)
class Artifact:
    """The file that a task made, in the artifact store."""

    path: Path
    sha256: str
    bytes: int
    suffix: str  #: from our own list, with its dot: `.mp4`

    def is_there(self) -> bool:
        """Say whether the file is in the store with the size it should have."""
        return self.path.is_file() and self.path.stat().st_size == self.bytes


@dataclass(frozen=True, slots=True)
class Delivery:
    """One artifact on its way to one sink: all that a sink needs to know of it."""

    artifact: Artifact
    sink: SinkRef
    job: Job
    fingerprint: str
    task_id: str
    usage: Usage | None
    may_replace: frozenset[str] = frozenset()  #: checksums that this address delivered to this place before
    account: str | None = None  #: who made it: `service`, or `emulator:ID`
    fitted: tuple[Fitted, ...] = ()  #: what was made of its local files before the service got them


@dataclass(frozen=True, slots=True)
class Link:
    """An address by which whoever has it can read what was delivered, such as a signed one.

    It is kept with the receipt, shown when a person asks for it, and in nothing else that is printed or handed on.
    """

    url: str = field(repr=False)
    until: float | None = None  #: epoch seconds; None: not known to expire


@dataclass(frozen=True, slots=True)
class Receipt:
    """A sink's answer: where the artifact now is, and what is there."""

    place: str
    bytes: int
    sha256: str
    details: Mapping[str, JSON] = field(default_factory=lambda: NO_OPTIONS)
    link: Link | None = None  #: to what was delivered; never in `details`, which are no secret
