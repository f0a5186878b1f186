"""Chains: media that are another job's result, `{job: ID}`. The core's own source, and no plugin's.

What a chain is called, which jobs it joins and in what order those come. Whether the other job can give its result
is said by `chained` for a plan and by `engine.upstream` in a run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from wanrun.errors import SourceError
from wanrun.hookspecs import SourceKind
from wanrun.types import Identity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from wanrun.hookspecs import PrepareContext
    from wanrun.types import JSON, Job, MediaRef

KIND = "job"
FORMAT = "mp4"  #: of every result, as model files call it
OPTIONS: dict[str, JSON] = {
    "type": "object",
    "required": ["id"],
    "additionalProperties": False,
    "properties": {
        "id": {
            "type": "string",
            "minLength": 1,
            "description": "The job whose result is the input: the id of a job of this spec, or spec/id for one of "
            "another spec of the same command.",
            "examples": ["change-clothes", "spring-campaign/change-clothes"],
        },
    },
}


class _Result:
    """Stands in the catalog for what the plan and the engine do by themselves: they know the other jobs."""

    def locate(self, ref: MediaRef) -> None:
        """Name no file: the result may not be made yet."""

    def identify(self, ref: MediaRef) -> NoReturn:
        """Fail: what a result is depends on the job that makes it, which a reference alone does not know."""
        raise SourceError(f"{ref.options['id']}: the result of a job is known by that job's fingerprint")

    async def prepare(self, ref: MediaRef, ctx: PrepareContext) -> NoReturn:
        """Fail as `identify` does."""
        self.identify(ref)


CHAIN = SourceKind(options=OPTIONS, build=_Result, short="id")


def upstream_of(ref: MediaRef) -> str | None:
    """Return the address of the job whose result a reference names; None where it names something else."""
    return str(ref.options["id"]) if ref.kind == KIND else None


def upstreams(job: Job) -> tuple[str, ...]:
    """Return the addresses of the jobs that a job chains from, in the order of its media."""
    return tuple(dict.fromkeys(address for ref in job.media if (address := upstream_of(ref)) is not None))


def result_identity(fingerprint: str) -> Identity:
    """Say what the result of a job with this fingerprint is as an input; its link or file may be any."""
    return Identity(f"{KIND}:{fingerprint}")


def in_order(jobs: Iterable[Job]) -> list[Job]:
    """Return jobs with each behind those that it chains from, and otherwise as they come."""
    jobs = list(jobs)
    if not any(ref.kind == KIND for job in jobs for ref in job.media):  # most specs, and there may be many jobs
        return jobs
    known = {job.address: job for job in jobs}
    return [known[address] for address in addresses_in_order({each: upstreams(job) for each, job in known.items()})]


def addresses_in_order(chains_from: Mapping[str, Sequence[str]]) -> list[str]:
    """Return addresses, given with those that each chains from, each behind these; a circle is cut somewhere."""
    entered: set[str] = set()
    ordered: dict[str, None] = {}
    for address in chains_from:
        path = [address]
        while path:
            last = path[-1]
            if last in entered:  # all that it chains from is in order
                ordered.setdefault(path.pop())
            else:
                entered.add(last)
                path += [each for each in reversed(chains_from[last]) if each in chains_from and each not in entered]
    return list(ordered)


def depths(jobs: Iterable[Job]) -> dict[str, int]:
    """Return, by address, how many of these jobs have to be made one after the other for each, itself included."""
    found: dict[str, int] = {}
    for job in in_order(jobs):
        found[job.address] = 1 + max((found.get(each, 0) for each in upstreams(job)), default=0)
    return found
