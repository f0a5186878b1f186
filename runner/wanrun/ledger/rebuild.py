"""A new ledger from sidecars: what they say is checked against the files, put together by task, and recorded.

What was delivered is in it again, and paid for; what was in flight, failed or held is not, since no sidecar knows it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from wanrun.copies import copy_artifact, is_whole
from wanrun.fingerprint import digest, options_digest, prompt_key
from wanrun.ledger.rows import AttemptState, DeliveryRow
from wanrun.ledger.sidecars import BadSidecar, Rescued, Sidecar, read_sidecar, sidecar_files
from wanrun.types import Artifact, Job, Position, Receipt, SinkRef

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from wanrun.ledger.store import Ledger

SUFFIX = ".mp4"  #: of every artifact
_ANOTHER = "it is the result of another take; a later one followed"


@dataclass(frozen=True, slots=True)
class Trouble:
    """A sidecar that is not in the ledger, or not as it stands, and why."""

    path: Path
    why: str


@dataclass(slots=True, kw_only=True)
class Rebuilt:
    """What a rebuilt ledger holds, and what it could not take."""

    ledger: Path
    account: str | None = None
    jobs: int = 0
    tasks: int = 0
    deliveries: int = 0
    copied_bytes: int = 0  #: into the artifact store
    rescued: int = 0  #: sidecars of rescued results, which belong to no job
    troubles: list[Trouble] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Found:
    """A sidecar with what is known of its file."""

    sidecar: Sidecar
    at: float  #: epoch seconds, when the file was written
    is_there: bool  #: the file is beside it, and it is the one that was delivered


class Clock:
    """The time that a ledger in the making is told: that of what it is about."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        """Return it, in epoch seconds."""
        return self.at


class Rebuilding:
    """One reconstruction; `ledger` is empty and told the time by `clock`, `artifacts` is the store beside it."""

    def __init__(
        self, ledger: Ledger, clock: Clock, artifacts: Path, *, recorded: Callable[[Path], str], made: Rebuilt
    ) -> None:
        self._ledger, self._clock, self._artifacts = ledger, clock, artifacts
        self._recorded, self._made = recorded, made
        self._keys: dict[tuple[str, str], int] = {}  # address and fingerprint -> entry

    def carry_out(self, folders: Iterable[Path]) -> None:
        """Read all sidecars below the folders and record what they prove; raises OSError when a disk does not work.

        What the sidecars say that is not so is in `Rebuilt.troubles`.
        """
        sidecars = list(self._of_one_account(list(self._read(folders))))
        tasks: dict[str, list[Sidecar]] = defaultdict(list)
        for sidecar in sidecars:
            tasks[sidecar.task_id].append(sidecar)
        agreed = [self._looked_at(group) for group in tasks.values() if self._agree(group)]
        with self._ledger.transaction():
            if self._made.account is not None:
                self._ledger.belong_to(self._made.account)
            for group in sorted(filter(None, agreed), key=lambda group: group[-1].at):
                self._record(group)
        self._made.jobs = len({entry.address for entry in self._ledger.entries()})

    def _trouble(self, sidecar: Sidecar | Path, why: str) -> None:
        self._made.troubles.append(Trouble(sidecar if isinstance(sidecar, Path) else sidecar.path, why))

    # Reading

    def _read(self, folders: Iterable[Path]) -> Iterator[Sidecar]:
        for path in sidecar_files(folders):
            try:
                str(path).encode()
                yield read_sidecar(path)
            except UnicodeEncodeError:
                self._trouble(path, "its name or a folder's is not UTF-8, and cannot be recorded; rename it")
            except Rescued:
                self._made.rescued += 1
            except BadSidecar as exc:
                self._trouble(path, str(exc))
            except OSError as exc:
                self._trouble(path, f"it cannot be read ({exc.strerror})")

    def _of_one_account(self, sidecars: list[Sidecar]) -> Iterator[Sidecar]:
        """Yield the sidecars of the account that most are of, the service itself before any emulator."""
        counts = Counter(sidecar.account for sidecar in sidecars if sidecar.account is not None)
        account = max(counts, key=lambda each: (each == "service", counts[each], each), default=None)
        self._made.account = account
        for sidecar in sidecars:
            if sidecar.account in (None, account):
                yield sidecar
            else:
                self._trouble(sidecar, f"it belongs to {sidecar.account}, and this ledger to {account}")

    def _agree(self, group: list[Sidecar]) -> bool:
        """Say whether the sidecars of one task tell the same of it; its address may have changed."""
        told = {(each.fingerprint, each.sha256, each.bytes, each.model, each.provider, each.usage) for each in group}
        if len(told) == 1:
            return True
        for each in group:
            others = ", ".join(other.path.name for other in group if other is not each)
            self._trouble(each, f"it says something else of task {each.task_id} than {others}")
        return False

    # The files

    def _looked_at(self, group: list[Sidecar]) -> list[_Found]:
        """Return the sidecars of one task, oldest first, with its artifact in the store; none if it is nowhere."""
        found, doubts = [], {}
        for sidecar in group:
            doubt = self._doubt(sidecar)
            if doubt is not None:
                doubts[sidecar.path] = doubt
            found.append(_Found(sidecar, _written_at(sidecar), doubt is None))
        kept = any(each.is_there for each in found) or is_whole(self._kept(group[0]))
        words = "only its delivery there is left out" if kept else "it is left out: a run would pay for it again"
        for path, doubt in doubts.items():
            self._trouble(path, f"{doubt}; {words}")
        return sorted(found, key=lambda each: each.at) if kept else []

    def _doubt(self, sidecar: Sidecar) -> str | None:
        """Copy the file beside a sidecar into the store, if it is what was delivered; else return why it is not."""
        result, kept = sidecar.result, self._kept(sidecar)
        delivered = Artifact(result, sidecar.sha256, sidecar.bytes, SUFFIX)
        try:
            if not result.is_file():
                return f"{result.name} is not beside it"
            if not delivered.is_there():
                return f"{result.name} has another size than what was delivered"
            if not is_whole(delivered):
                return f"{result.name} has another checksum than what was delivered"
        except OSError as exc:
            return f"{result.name} cannot be read ({exc.strerror})"
        if not is_whole(kept):  # an error of the store ends it all
            copy_artifact(delivered, self._artifacts)
            self._made.copied_bytes += sidecar.bytes
        return None

    def _kept(self, sidecar: Sidecar) -> Artifact:
        return Artifact(self._artifacts / f"{sidecar.sha256}{SUFFIX}", sidecar.sha256, sidecar.bytes, SUFFIX)

    # The ledger

    def _record(self, group: list[_Found]) -> None:
        """Record one task, and every place where its result is."""
        first = group[0].sidecar
        self._clock.at = group[0].at
        entry = self._enter(first)
        if (before := self._ledger.entry(entry).attempt) is not None:
            self._ledger.ended(before.id, AttemptState.DISMISSED, _ANOTHER)
        attempt = self._ledger.intend(entry, prompt_key=prompt_key(_job(first)), asked={"job": dict(first.words)})
        self._ledger.accepted(attempt, task_id=first.task_id, request_id=None)
        self._ledger.succeeded(attempt, usage=first.usage, started_at=None, ended_at=None)
        self._ledger.fetched(attempt, self._kept(first))
        self._made.tasks += 1
        for each in group:
            self._clock.at = each.at
            self._move(entry, each.sidecar)
            if each.is_there:
                self._deliver(entry, each.sidecar)

    def _enter(self, sidecar: Sidecar) -> int:
        entry = self._ledger.enter(_job(sidecar), fingerprint=sidecar.fingerprint, spec_path=self._spec_path(sidecar))
        self._keys[sidecar.address, sidecar.fingerprint] = entry
        return entry

    def _move(self, entry: int, sidecar: Sidecar) -> None:
        """Let an entry go on under the address of a later sidecar, unless another take is entered there."""
        owner = self._keys.setdefault((sidecar.address, sidecar.fingerprint), entry)
        if owner == entry and self._ledger.entry(entry).address != sidecar.address:
            self._ledger.move(entry, address=sidecar.address, spec_path=self._spec_path(sidecar))
        self._ledger.wanted(entry)

    def _spec_path(self, sidecar: Sidecar) -> str:
        """Return how the ledger names the spec; where nobody knows, as one that is gone, so that the job may move."""
        path = sidecar.spec_path
        return f"{sidecar.spec} (its path is not known)" if path is None else self._recorded(path)

    def _deliver(self, entry: int, sidecar: Sidecar) -> None:
        place = self._recorded(sidecar.result)
        row = DeliveryRow(
            entry=entry,
            artifact_sha256=sidecar.sha256,
            options_digest=_options_digest(sidecar, place),
            sink=sidecar.sink or "?",
            place=place,
            state="delivered",
            message=None,
        )
        self._ledger.delivered(row, Receipt(str(sidecar.result), sidecar.bytes, sidecar.sha256))
        self._made.deliveries += 1


def _options_digest(sidecar: Sidecar, place: str) -> str:
    """Return the identity of the destination; of an older sidecar one of its own, and the next run looks there."""
    if sidecar.kind is None:
        return digest({"place": place})
    sink = SinkRef(sidecar.sink or "", sidecar.kind, sidecar.options, sidecar.path.parent, Position(sidecar.path, 1, 1))
    return options_digest(sink, place)


def _job(sidecar: Sidecar) -> Job:
    """Return what the ledger needs to know of the job."""
    return Job(
        spec=sidecar.spec,
        id=sidecar.job,
        spec_path=sidecar.spec_path or sidecar.path,
        position=Position(sidecar.path, 1, 1),
        model=sidecar.model,
        provider=sidecar.provider,
        prompt=sidecar.prompt,
        negative_prompt=None,
        media=(),
        parameters={},
        sinks=(),
    )


def _written_at(sidecar: Sidecar) -> float:
    """Return when a result was written, as far as its file or its sidecar tells."""
    path = sidecar.result if sidecar.result.is_file() else sidecar.path
    return path.stat().st_mtime
