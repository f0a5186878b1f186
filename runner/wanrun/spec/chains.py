"""Chains between the jobs of all specs of one call: what `{job: ID}` names has to be there, and not lead back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wanrun import rules
from wanrun.chains import upstream_of
from wanrun.spec.words import did_you_mean, nearest, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from wanrun.rules import Sentence
    from wanrun.spec.kinds import Tell
    from wanrun.types import MediaRef, Position


@dataclass(frozen=True, slots=True)
class _Chain:
    """One reference of one job to another; in a matrix, many stand at one place."""

    job: str  #: address
    upstream: str  #: address
    at: Position
    tell: Tell


@dataclass(slots=True)
class Chains:
    """The chains of one call's specs, gathered while they are read and checked when all have been."""

    _chains: list[_Chain] = field(default_factory=list)
    _ids: dict[str, Collection[str]] = field(default_factory=dict)  # of each spec
    _partial: set[str] = field(default_factory=set)  # specs some of whose jobs could not be read
    _all_read: bool = True

    def note(self, job: str, media: Iterable[MediaRef], tell: Tell) -> None:
        """Take note of what a job, by its address, chains from; `tell` reports on its media."""
        for ref in media:
            if (upstream := upstream_of(ref)) is not None:
                self._chains.append(_Chain(job, upstream, ref.position, tell))

    def read(self, spec: str, ids: Collection[str], *, whole: bool) -> None:
        """Take note of the jobs of a spec; `whole`: it has no others, which could not be made out."""
        self._ids[spec] = ids
        if not whole:
            self._partial.add(spec)

    def unread(self) -> None:
        """Take note that a spec could not be read at all, so that anything may be in it."""
        self._all_read = False

    def check(self) -> None:
        """Report chains that lead nowhere, or back to where they start."""
        _tell_each(self._chains, self._unknown)
        circles = {circle[0]: circle for circle in self._circles()}
        _tell_each([chain for chain in self._chains if chain in circles], lambda chain: _words(circles[chain]))

    def _unknown(self, chain: _Chain) -> Sentence | None:
        """Say what is wrong with the name of a job; None where nothing is, or nobody can know."""
        spec, _, job = chain.upstream.partition("/")
        if spec not in self._ids:
            if not self._all_read:
                return None
            near = nearest(spec, self._ids)
            advice = f'did you mean "{near}"?' if near else "name its file, too"
            return rules.UNKNOWN_JOB(f"no spec of this command is called {shown(spec)}; {advice}")
        if job in self._ids[spec] or spec in self._partial:
            return None
        own = spec == chain.job.partition("/")[0]
        elsewhere = [other for other, ids in self._ids.items() if job in ids] if own else []
        if elsewhere:
            words = f'there is no job {shown(job)} in this spec; write "{elsewhere[0]}/{job}" for that of another one'
            return rules.UNKNOWN_JOB(words)
        where = "this spec" if own else f"the spec {shown(spec)}"
        near = did_you_mean(job, self._ids[spec], "there are")
        return rules.UNKNOWN_JOB(f"there is no job {shown(job)} in {where}{near}")

    def _circles(self) -> Iterator[list[_Chain]]:
        """Yield the chains of each circle, from the job in it on that comes first in the specs."""
        leaving: dict[str, list[_Chain]] = {}
        for chain in self._chains:
            leaving.setdefault(chain.job, []).append(chain)
        rank = {job: number for number, job in enumerate(leaving)}
        over: set[str] = set()
        for start in leaving:
            for circle in _circles_from(start, leaving, over):
                turn = min(range(len(circle)), key=lambda step: rank[circle[step].job])
                yield circle[turn:] + circle[:turn]


def _circles_from(start: str, leaving: Mapping[str, list[_Chain]], over: set[str]) -> Iterator[list[_Chain]]:
    """Follow chains from a job on, but not from what is `over`, and yield the way round whenever it closes."""
    path: list[_Chain] = []
    depth = {start: 0}  # of the jobs on the path
    ways = [iter(leaving[start] if start not in over else ())]
    while ways:
        chain = next(ways[-1], None)
        if chain is None:
            ways.pop()
            job = path.pop().upstream if path else start
            del depth[job]
            over.add(job)
        elif chain.upstream in depth:
            yield [*path[depth[chain.upstream] :], chain]
        elif chain.upstream not in over:
            path.append(chain)
            depth[chain.upstream] = len(path)
            ways.append(iter(leaving.get(chain.upstream, ())))


def _tell_each(chains: Iterable[_Chain], fault_of: Callable[[_Chain], Sentence | None]) -> None:
    """Report what is wrong, once for each place: what combinations of a matrix share is worded by the first."""
    first: dict[Position, Sentence] = {}
    for chain in chains:
        if (fault := fault_of(chain)) is not None:
            chain.tell(chain.at, first.setdefault(chain.at, fault))


def _words(circle: list[_Chain]) -> Sentence:
    addresses = [circle[0].job, *(chain.upstream for chain in circle)]
    specs = {address.partition("/")[0] for address in addresses}
    names = [address.partition("/")[2] for address in addresses] if len(specs) == 1 else addresses
    words = f"this chain leads back to itself: {' -> '.join(names)}; take one of its references out"
    return rules.CHAIN_CIRCLE(words)
