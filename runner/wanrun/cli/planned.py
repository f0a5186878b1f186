"""A forecast in the words that a terminal and a pull request share."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from wanrun.changes import medium_name
from wanrun.words import megabytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from decimal import Decimal

    from wanrun import api
    from wanrun.forecast import Duration, Rate, Sum
    from wanrun.media import MediaFacts
    from wanrun.types import MediaRef


def action_counts(found: api.Forecast) -> Mapping[str, int]:
    """Return how many jobs have each action that occurs, in the order of the jobs."""
    return Counter(job.planned.action.value for job in found.jobs)


def state_counts(found: api.Forecast) -> Mapping[str, int]:
    """Return how many jobs are in each state that occurs, in the order of the jobs."""
    return Counter(job.planned.state.value for job in found.jobs)


def money_words(each: Sum) -> str:
    """Return what some jobs cost at most: `44.26 CNY`, or `nothing`."""
    return " and ".join(str(money) for money in each.cost.values()) or "nothing"


def seconds_words(seconds: Decimal) -> str:
    """Return seconds that are billed, without zeros that say nothing."""
    return f"{seconds.normalize():f} s" if seconds else "0 s"


def medium_words(ref: MediaRef, facts: MediaFacts) -> str:
    """Return what is known of a file: `clip.mp4 (5.0 s, 1280 x 720, 1.2 MB)`."""
    parts = [f"{facts.seconds:.1f} s"] if facts.seconds is not None else []
    parts += [f"{facts.width} x {facts.height}"] if facts.width is not None else []
    return f"{medium_name(ref)} ({', '.join([*parts, megabytes(facts.bytes)])})"


def price_words(rates: Iterable[Rate]) -> str:
    """Return where the money comes from: `prices of 2026-11-22 (singapore)`."""
    known = dict.fromkeys((rate.price.as_of or "an unknown day", rate.price.region) for rate in rates)
    return "prices of " + ", ".join(f"{as_of} ({region})" for as_of, region in known)


def duration_words(each: Duration) -> str:
    """Return how long a provider may be busy, and by what that is reckoned."""
    if each.known_tasks:
        span = f"about {_span(each.most_seconds)}"
        basis = f"as its latest {each.known_tasks} tasks took"
    else:
        least, most = _span(each.least_seconds), _span(each.most_seconds)
        span = f"about {least} to {most}" if least != most else f"about {most}"
        basis = "at 1 to 5 min a task, as is usual"
    tasks = f"{each.tasks} task{'s' if each.tasks > 1 else ''}"
    return f"{each.provider}: {span} for {tasks}, {each.at_once} at once, {basis}"


def _span(seconds: float) -> str:
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
