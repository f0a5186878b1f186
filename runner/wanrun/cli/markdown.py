"""A forecast as a comment for a pull request: short, the rest folded away, and safe whatever a spec holds.

Foreign text stands in `<code>` with every character that could mean something as a number, so that it makes no
markup, no link and no mention of a person. What does not fit into a comment is counted instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wanrun.cli.output import counted
from wanrun.cli.planned import (
    action_counts,
    duration_words,
    medium_words,
    money_words,
    price_words,
    seconds_words,
    state_counts,
)
from wanrun.policy import against
from wanrun.redaction import redacted
from wanrun.text import one_line
from wanrun.types import Action, State

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from wanrun import api
    from wanrun.types import Problem

MOST_BYTES = 60_000  #: of a comment; the service that takes it has a limit of 65,536 characters
SECTION_BYTES = 25_000  #: of one folded part, so that none crowds out the others
CELL_CHARACTERS = 300  #: of foreign text in one place
SHOWN = 20  #: obstacles and specs
PROBLEMS_SHOWN = 25  #: each has two cells of foreign text, and a character of it may become five


def page(found: api.Forecast) -> str:
    """Return the comment."""
    text = "\n\n".join([_head(found), *_obstacles(found)])
    for part in (_specs(found), _submissions(found), _others(found), _notes(found)):
        if part and len((text + part).encode()) < MOST_BYTES:
            text += f"\n\n{part}"
    return text


def problems_page(problems: Sequence[Problem]) -> str:
    """Return the comment in place of a plan's for specs that have problems."""
    rows = [(_code(str(each.position)), _code(each.message), f"`{each.rule}`") for each in problems[:PROBLEMS_SHOWN]]
    table = _table(["place", "problem", "rule"], rows)
    more = f"\n\nand {len(problems) - PROBLEMS_SHOWN} more" if len(problems) > PROBLEMS_SHOWN else ""
    return f"### wanrun: {counted(len(problems), 'problem')}\n\n{table}{more}"


def _head(found: api.Forecast) -> str:
    total = found.total
    if not found.has_work:
        return f"### wanrun: nothing to do\n\n{_counts(found)}."
    cost = f", at most {money_words(total)}" if total.submit else ""
    lines = [f"### wanrun: {counted(total.submit, 'job')} to submit{cost}", f"{_counts(found)}."]
    facts = [price_words(found.rates)] if found.rates else []
    facts += [f"at most {seconds_words(total.seconds)} billed"] if total.submit else []
    lines += ["; ".join(facts) + "."] if facts else []
    lines += [f"{_escaped(duration_words(each))}." for each in found.durations[:SHOWN]]
    return "\n\n".join([lines[0], "<br>\n".join(lines[1:])])


def _counts(found: api.Forecast) -> str:
    states = ", ".join(f"{count} {state}" for state, count in state_counts(found).items())
    actions = ", ".join(f"{count} {action}" for action, count in action_counts(found).items())
    return f"{counted(len(found.jobs), 'job')}: {states or 'none'} ({actions or 'nothing'})"


def _obstacles(found: api.Forecast) -> Iterator[str]:
    if not found.obstacles:
        return
    lines = ["**What would stop a run:**", ""]
    for each in found.obstacles[:SHOWN]:
        where = f"`{each.job}`: " if each.job is not None else ""
        lines.append(f"- {each.what}: {where}{_code(each.words)}")
    if len(found.obstacles) > SHOWN:
        lines.append(f"- and {len(found.obstacles) - SHOWN} more")
    yield "\n".join(lines)


def _specs(found: api.Forecast) -> str:
    rows = [
        (f"`{name}`", str(each.jobs), str(each.submit), seconds_words(each.seconds), money_words(each))
        for name, each in found.specs.items()
    ]
    table = _table(["spec", "jobs", "to submit", "billed at most", "at most"], rows[:SHOWN])
    return f"{table}\n\nand {len(rows) - SHOWN} more specs" if len(rows) > SHOWN else table


def _submissions(found: api.Forecast) -> str:
    """Return what is to be paid for, each job with what has changed and what its media are."""
    rows = [
        (
            f"`{job.address}`",
            job.planned.state.value,
            str(job.planned.cost) if job.planned.cost is not None else "?",
            "<br>".join(_details(job)),
        )
        for job in found.jobs
        if job.submits
    ]
    return _folded(f"{counted(len(rows), 'job')} to submit", ["job", "state", "at most", "what"], rows)


def _details(job: api.JobForecast) -> Iterator[str]:
    if job.planned.why:
        yield _code(job.planned.why)
    if job.changes is not None:
        yield from (_code(str(change)) for change in job.changes)
    elif job.planned.state is State.CHANGED:
        yield "changed"
    for ref, facts in zip(job.planned.job.media, job.media, strict=True):
        if facts is not None:
            yield _code(medium_words(ref, facts))
    yield from (_code(f"{each.file} {each.change}") for each in job.planned.fitted)
    for plugin, objection in job.objections:
        yield f"**{'veto' if objection.veto else 'warning'}**: {_code(against(plugin, objection))}"
    if job.occupied is not None:
        yield _code(job.occupied)


def _others(found: api.Forecast) -> str:
    rows = [
        (f"`{job.address}`", job.planned.state.value, job.planned.action.value, _code(job.planned.why))
        for job in found.jobs
        if not job.submits and not (job.planned.state is State.DONE and job.planned.action is Action.NOTHING)
    ]
    return _folded(f"{counted(len(rows), 'other job')}", ["job", "state", "action", "why"], rows)


def _notes(found: api.Forecast) -> str:
    return _folded(counted(len(found.notes), "note"), ["note"], [(_code(note),) for note in found.notes])


def _folded(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table that opens at a click, with as many rows as there is room for; empty without any."""
    if not rows:
        return ""
    kept, room = 0, SECTION_BYTES
    for row in rows:
        room -= len(" | ".join(row).encode()) + 6
        if room < 0:
            break
        kept += 1
    more = f"\n\nand {len(rows) - kept} more: `wanrun plan` lists them" if kept < len(rows) else ""
    body = _table(heads, rows[:kept]) if kept else ""
    return f"<details><summary>{title}</summary>\n\n{body}{more}\n\n</details>"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _code(text: str) -> str:
    """Return foreign text as code that is nothing but text."""
    text = one_line(redacted(text))
    if len(text) > CELL_CHARACTERS:
        text = f"{text[: CELL_CHARACTERS - 3]}..."
    return f"<code>{_escaped(text)}</code>" if text else ""


def _escaped(text: str) -> str:
    return "".join(
        each if each.isalnum() or each in " ,." or not each.isascii() else f"&#{ord(each)};" for each in text
    )
