"""Power cuts: what a disk may hold of the ledger at any instant, by what the process wrote and what it synced."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chaos.parts import Found, Table
from chaos.points import recorded
from chaos.stories import story
from chaos.strace import Op, why_not
from chaos.syscalls import scratch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from wanrun.types import JSON

SECTOR_BYTES = 512  #: that a disk writes whole or not at all
TITLE = "Power cuts"
HOW = """\
A kill leaves what the process wrote; a power cut leaves what it synced, and of the rest whatever the disk had got to.
strace records each write and each sync of the ledger while two jobs go through it, and after each of them the file and
its journal are put together as a disk may hold them: nothing of what was not synced, all of it, or any part of its
sectors in any order; new files without a synced folder may be missing. The ledger is opened on each of these: what was
acknowledged by then has to be there, and SQLite has to find the file sound. The same without syncs shows that it would
be noticed."""


@dataclass(frozen=True)
class Size:
    """How many disks are made at each write and sync, beside the two with nothing and all of what is not synced."""

    step: int  #: every so manyth write or sync
    by_chance: int
    seed: int = 1


CI = Size(step=1, by_chance=2)
FULL = Size(step=1, by_chance=25)


@dataclass
class File:
    """What is surely on the disk of a file, and what came since its last sync."""

    durable: bytes = b""
    named: bool = False  #: its folder was synced since it was made
    pending: list[Op] = field(default_factory=list)

    def sync(self) -> None:
        """Put everything on the disk."""
        content = bytearray(self.durable)
        for op in self.pending:
            _apply(content, op)
        self.durable, self.pending = bytes(content), []

    def cut(self, kept: float, chances: random.Random) -> bytes:
        """Return what is left when each sector that is not synced got there with a chance of `kept`."""
        content = bytearray(self.durable)
        for op in self.pending:
            for sector in _sectors(op):
                if chances.random() < kept:
                    _apply(content, sector)
        return bytes(content)


def measure(size: Size) -> dict[str, JSON]:
    """Cut the power of the ledger, and of one that does not sync."""
    if reason := why_not():
        return {"not_measured": reason}
    return {"ledger": cut_everywhere("ledger", size), "without syncs": cut_everywhere("careless", size)}


def tables(found: Found) -> Iterator[Table]:
    """Return how many disks were looked at, and how many had lost something."""
    if "not_measured" in found:
        yield Table(["not measured", ""], [[found["not_measured"], ""]])
        return
    rows = [[name, found[name]["instants"], found[name]["disks"], found[name]["bad"]] for name in _names(found)]
    yield Table(["", "instants", "disks looked at", "**facts lost or file damaged**"], rows)


def _names(found: Found) -> list[str]:
    return [name for name in found if isinstance(found[name], dict) and "disks" in found[name]]


def cut_everywhere(name: str, size: Size) -> dict[str, JSON]:
    """Play a story once, then look at every disk that a power cut at each instant could leave."""
    chances = random.Random(size.seed)
    with scratch() as folder:
        ops = recorded(name, folder)
        problems: list[str] = []
        disks = instants = bad = 0
        for number, (files, acks) in enumerate(_instants(ops)):
            if number % size.step:
                continue
            instants += 1
            for kept in (0.0, 1.0, *(chances.random() for _ in range(size.by_chance))):
                disks += 1
                found = _look(name, folder / f"disk-{disks}", files, acks, kept, chances)
                bad += bool(found)
                problems += [f"after {number} writes and syncs, {kept:.2f} kept: {problem}" for problem in found]
    return {"instants": instants, "disks": disks, "bad": bad, "problems": list(problems[:20])}


def _instants(ops: Sequence[Op]) -> Iterator[tuple[dict[str, File], list[str]]]:
    """Yield what is on the disk, and was acknowledged, before the first and after each write and sync."""
    files: dict[str, File] = {}
    acks: list[str] = []
    for op in ops:
        if op.what == "ack":
            acks.append(op.name)
            continue
        if op.what == "make":
            files.setdefault(op.name, File())
        elif op.what == "sync folder":
            for file in files.values():
                file.named = True
        elif op.what == "sync":
            files[op.name].sync()
        else:
            files[op.name].pending.append(op)
        yield files, acks


def _look(
    name: str, disk: Path, files: dict[str, File], acks: list[str], kept: float, chances: random.Random
) -> list[str]:
    disk.mkdir()
    for each, file in files.items():
        if file.named or chances.random() < kept:
            (disk / each).write_bytes(file.cut(kept, chances))
    try:
        return story(name).problems(disk, [ack for ack in acks if ack != "opened"])
    except Exception as exc:  # whatever damage does to a reader, it is damage
        return [f"cannot be read: {exc!r}"]


def _sectors(op: Op) -> Iterator[Op]:
    """Yield a write in the pieces that a disk writes whole; a change of length is one."""
    if op.what != "write":
        yield op
        return
    start = 0
    while start < len(op.content):
        end = min(len(op.content), (op.offset + start) // SECTOR_BYTES * SECTOR_BYTES + SECTOR_BYTES - op.offset)
        yield Op("write", op.name, op.offset + start, op.content[start:end])
        start = end


def _apply(content: bytearray, op: Op) -> None:
    if op.what == "length":
        del content[op.offset :]
        content.extend(bytes(op.offset - len(content)))
        return
    content.extend(bytes(max(0, op.offset - len(content))))
    content[op.offset : op.offset + len(op.content)] = op.content
