"""The errors that a user can meet, as one tree; each family answers *what now?*.

    WanrunError              the reader can mend it; only `cli` catches it
      SpecError              stop before anything is submitted; carries every problem
      SettingsError          stop: `wanrun.toml`, a flag or the environment is wrong
      PluginError            stop, naming plugin and package
      MissingExtra           stop: says what to install
      SourceError            this job cannot be prepared; its siblings go on
      SinkError              this delivery did not happen; tried again
        SinkConflict         other bytes are at the place already; not tried again
      LedgerError            stop, naming the file
        LedgerBusy           another run holds it
      ServiceError           the service said no; carries status, code, request id
        KeyRefused           stop the run            (401, 403; arrears)
        JobRefused           give up on this job     (400, moderation, task failed)
        Throttled            wait, then go on        (429; carries the seconds to wait)
        Unavailable          wait, then go on        (5xx, timeouts, broken connections;
                                                     from a create only what was surely not sent)
        Unsure               create only: whether a task was made is not known; never sent again
        LinkExpired          ask for a fresh link; past its time the job is lost

Anything that is not a `WanrunError` is our bug and keeps its traceback.
"""

from __future__ import annotations

import errno
from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from wanrun.types import Problem


class ExitCode(IntEnum):
    """What a process says when it ends; JSON output carries the name too."""

    OK = 0  #: every job is done
    ATTENTION = 1  #: a job failed, is held or blocked: a person must look
    INVALID = 2  #: the spec, the settings or the call is wrong
    UNFINISHED = 3  #: running again will move it
    STOPPED_BY_SERVICE = 4  #: key, arrears, access
    STOPPED_BY_BUDGET = 5
    CHANGES = 6  #: `plan --exit-code`: something to do
    LOST = 7  #: a result that was paid for is lost or abandoned
    BUG = 70
    HUNG_UP = 129
    INTERRUPTED = 130
    TERMINATED = 143


_QUOTA = getattr(errno, "EDQUOT", errno.ENOSPC)  # Windows has none
PASSING = frozenset({errno.ENOSPC, _QUOTA, errno.EIO})  #: what the same command gets over once the disk is well
_ADVICE = {
    errno.EIO: "see that the disk is well, then run again",
    errno.EACCES: "make it writable",
    errno.EPERM: "make it writable",
    errno.EROFS: "make it writable",
    _QUOTA: "free space or raise the quota, then run again",
    errno.ENOSPC: "free space, then run again",
}


def disk_advice(exc: OSError) -> str:
    """Return what a person does about a file or folder that the system would not let us use."""
    return _ADVICE.get(exc.errno or 0, "mend that, then run again")


class WanrunError(Exception):
    """Something the reader of the message can mend."""

    exit_code = ExitCode.INVALID


class SpecError(WanrunError):
    """One or more specs say something they may not say."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class SettingsError(WanrunError):
    """`wanrun.toml`, a flag or the environment says something it may not say."""


class PluginError(WanrunError):
    """A plugin cannot be loaded or offers something unusable."""

    def __init__(self, message: str, *, plugin: str, package: str) -> None:
        super().__init__(f"plugin {plugin} ({package}): {message}")
        self.plugin, self.package, self.reason = plugin, package, message


class MissingExtra(WanrunError):
    """An optional dependency is needed and not installed; `extra` of `package` brings it."""

    def __init__(self, purpose: str, *, extra: str, package: str = "wanrun", hint: str = "") -> None:
        super().__init__(f'{purpose}: pip install "{package}[{extra}]"{hint}')
        self.extra = extra


class SourceError(WanrunError):
    """A media reference cannot be turned into something the service can read."""

    exit_code = ExitCode.ATTENTION


class SinkError(WanrunError):
    """A delivery did not happen; another try may succeed."""

    exit_code = ExitCode.UNFINISHED


class SinkConflict(SinkError):
    """Other bytes are already at the place; a person decides."""

    exit_code = ExitCode.ATTENTION


class LedgerError(WanrunError):
    """The ledger cannot be read or written."""

    is_busy = False  #: somebody else was using the file just then
    is_corrupt = False  #: SQLite found the file damaged
    is_foreign = False  #: SQLite found that the file is no database

    @classmethod
    def of(cls, path: object, exc: OSError) -> Self:
        """Return the error of a file that the system would not let us use; running again helps if it may pass."""
        error = cls(f"{path}: {exc.strerror}; wanrun keeps its ledger and artifacts there: {disk_advice(exc)}")
        error.exit_code = ExitCode.UNFINISHED if exc.errno in PASSING else ExitCode.INVALID
        return error


class LedgerBusy(LedgerError):
    """Another run holds the ledger."""

    exit_code = ExitCode.UNFINISHED
    holder = "pid unknown"  #: who it is, in words


class ServiceError(WanrunError):
    """The service said no, or said nothing."""

    exit_code = ExitCode.UNFINISHED

    def __init__(
        self, message: str, *, status: int | None = None, code: str | None = None, request_id: str | None = None
    ) -> None:
        super().__init__(message)
        self.message, self.status, self.code, self.request_id = message, status, code, request_id

    def __str__(self) -> str:
        facts = [str(self.status) if self.status else "", self.code or ""]
        facts.append(f"request {self.request_id}" if self.request_id else "")
        known = ", ".join(filter(None, facts))
        return f"{self.message} ({known})" if known else self.message


class KeyRefused(ServiceError):
    """The account, key or workspace may not do this; every further call would be refused too."""

    exit_code = ExitCode.STOPPED_BY_SERVICE


class JobRefused(ServiceError):
    """The service will not do this job as it stands."""

    exit_code = ExitCode.ATTENTION


class Throttled(ServiceError):
    """Too many calls; `retry_after_seconds` is the service's own word, when it gave one."""

    def __init__(
        self,
        message: str,
        *,
        retry_after_seconds: float | None = None,
        status: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message, status=status, code=code, request_id=request_id)
        self.retry_after_seconds = retry_after_seconds


class Unavailable(ServiceError):
    """The service cannot be reached or has a fault of its own; waiting may help."""


class Unsure(ServiceError):
    """A create got no usable answer: a task may exist and cost money. Never sent again."""


class LinkExpired(ServiceError):
    """The link to a result no longer works."""


@contextmanager
def plain_errors() -> Iterator[None]:
    """Let what the reader can mend out of a nursery's group, as one error, if the group holds nothing else."""
    try:
        yield
    except BaseExceptionGroup as group:
        if (error := plain_error(group)) is group:
            raise
        raise error from group


def plain_error(exc: BaseException) -> BaseException:
    """Return what the reader can mend in a nursery's group, as one error; of anything else, itself."""
    mendable, rest = exc.split(WanrunError) if isinstance(exc, BaseExceptionGroup) else (None, exc)
    if rest is not None or mendable is None:
        return exc
    leaves = _leaves(mendable)
    if len(leaves) > 1:  # each may name what a person has to do
        leaves[0].args = ("\n".join(dict.fromkeys(map(str, leaves))), *leaves[0].args[1:])
    return leaves[0]


def _leaves(group: BaseExceptionGroup[WanrunError]) -> list[WanrunError]:
    found: list[WanrunError] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
