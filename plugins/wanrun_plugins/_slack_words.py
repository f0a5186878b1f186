"""How a notice reads in Slack: blocks of plain text, in which nothing that others wrote is markup. Sends nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wanrun import NoticeName, State
from wanrun.text import one_line, without_queries

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from wanrun import Notice, NoticeJob
    from wanrun.types import JSON

HEADER_CHARACTERS = 150  #: Slack's limits
SECTION_CHARACTERS = 3000
FALLBACK_CHARACTERS = 300  #: of what a phone shows
LINE_CHARACTERS = 400  #: of one job
LINES_SHOWN = 20  #: of one group
REASONS_SHOWN = 5
SPECS_SHOWN = 3
BAR_CELLS = 20
_MORE_CHARACTERS = 100  #: kept free in a group for how many more there are

#: What has happened to jobs, in the order in which a person wants to read it.
_GROUPS = {
    NoticeName.JOB_LOST: "Lost, though paid for",
    NoticeName.JOB_HELD: "Held: a person has to decide",
    NoticeName.JOB_FAILED: "Failed",
    NoticeName.DELIVERY_FAILED: "Not delivered",
    NoticeName.RESULT_EXPIRING: "Not fetched yet, and soon gone",
    NoticeName.JOB_DONE: "Done",
}
_FINE, _GOES_ON, _LATER, _TROUBLE = "✅", "▶️", "⏸️", "⚠️"
_ENDS = {0: _FINE, 3: _LATER}  #: by the exit code; every other one needs a person
#: What a follower of the run may want to know, and nobody has to.
_CALM = frozenset({NoticeName.RUN_STARTED, NoticeName.RUN_PROGRESS, NoticeName.JOB_DONE})
#: Slack looks for nothing but these; a text in which they are entities mentions nobody and links nowhere.
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
#: No preview of links either.
_NOTHING_ADDED: dict[str, JSON] = {"unfurl_links": False, "unfurl_media": False, "mrkdwn": False}


def message(notice: Notice) -> dict[str, JSON]:
    """Return all of a notice as one message."""
    blocks = [*_header(f"{_sign(notice)} {notice.title}")]
    blocks += [_section(_fit(f"Stopped: {reason}", SECTION_CHARACTERS)) for reason in notice.reasons[:REASONS_SHOWN]]
    for name, heading in _GROUPS.items():
        if mine := [job for job in notice.jobs if job.name is name]:
            blocks.append(_section(_group(heading, mine)))
    return _payload(notice.title, [*blocks, _footer(notice)])


def standing(notice: Notice) -> dict[str, JSON]:
    """Return how the jobs of a run stand, for the one message that is changed while it goes on."""
    if notice.exit_code is None:
        title = f"{_GOES_ON} {_whose(notice)}Running: {_specs(notice)}"
    else:
        title = f"{_ENDS.get(notice.exit_code, _TROUBLE)} {_whose(notice)}Ended: {_specs(notice)}"
    text = f"{_bar(notice.counts)}\n{_others(notice.counts)}"
    return _payload(title, [*_header(title), _section(text), _footer(notice)])


def abandoned(run: str, notice: Notice) -> dict[str, JSON]:
    """Return what the message of a run says in the end that died before it could say how it ended."""
    title = f"{_LATER} {_whose(notice)}Ended without a word: {_specs(notice)}"
    return _payload(title, [*_header(title), _context(f"run {run}, after which comes run {notice.run}")])


def needs_people(notice: Notice) -> bool:
    """Say whether a notice is for the whole channel, not only for those who follow the run."""
    return not _CALM.issuperset(notice.names)


def _sign(notice: Notice) -> str:
    if notice.exit_code is not None:
        return _ENDS.get(notice.exit_code, _TROUBLE)
    return _TROUBLE if needs_people(notice) else _GOES_ON


def _whose(notice: Notice) -> str:
    return "emulator: " if _is_emulated(notice) else ""


def _is_emulated(notice: Notice) -> bool:
    return notice.account is not None and notice.account.startswith("emulator:")


def _specs(notice: Notice) -> str:
    more = len(notice.specs) - SPECS_SHOWN
    return ", ".join(notice.specs[:SPECS_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _group(heading: str, jobs: Sequence[NoticeJob]) -> str:
    """Return the text of a section: as many lines as there is room for, and how many more there are."""
    lines, left = [f"{heading} ({len(jobs)})"], SECTION_CHARACTERS - _MORE_CHARACTERS
    for shown, job in enumerate(jobs):
        line = _fit(_line(job), LINE_CHARACTERS)
        left -= _size(line) + 1
        if shown == LINES_SHOWN or left < 0:
            lines.append(f"… and {len(jobs) - shown} more: wanrun status")
            break
        lines.append(line)
    return "\n".join(lines)


def _line(job: NoticeJob) -> str:
    more = ", ".join(job.places) or job.message
    return f"• {job.address}: {more}" if more else f"• {job.address}"


def _bar(counts: Mapping[State, int]) -> str:
    total, done = sum(counts.values()), counts.get(State.DONE, 0)
    full = BAR_CELLS * done // total if total else 0
    return f"{'█' * full}{'░' * (BAR_CELLS - full)} {done} of {total} done"


def _others(counts: Mapping[State, int]) -> str:
    others = [f"{count} {state}" for state, count in counts.items() if state is not State.DONE]
    return ", ".join(others) or "nothing is left to do"


def _footer(notice: Notice) -> dict[str, JSON]:
    money = ", ".join(_money(notice))
    label = "at the service this would be" if _is_emulated(notice) else "by this run"
    return _context(f"{label}: {money} · run {notice.run}" if money else f"run {notice.run}")


def _money(notice: Notice) -> Iterator[str]:
    for currency, cost in notice.cost.items():
        reserved = notice.reserved.get(currency)
        if cost or reserved:
            yield f"{cost:.2f} {currency}" + (f" and up to {reserved:.2f} {currency} more" if reserved else "")


# Blocks, of texts that fit and are escaped


def _payload(title: str, blocks: Sequence[dict[str, JSON]]) -> dict[str, JSON]:
    """Return a message; its `text` is what notifications show."""
    return {"text": _fit(title, FALLBACK_CHARACTERS), "blocks": [*blocks], **_NOTHING_ADDED}


def _header(text: str) -> Iterator[dict[str, JSON]]:
    """Yield a title, and all of it as a text where that has no room."""
    title = _fit(text, HEADER_CHARACTERS)
    yield {"type": "header", "text": _plain(title)}
    if (whole := _fit(text, SECTION_CHARACTERS)) != title:
        yield _section(whole)


def _section(text: str) -> dict[str, JSON]:
    return {"type": "section", "text": _plain(text)}


def _context(text: str) -> dict[str, JSON]:
    return {"type": "context", "elements": [_plain(_fit(text, SECTION_CHARACTERS))]}


def _plain(text: str) -> dict[str, JSON]:
    return {"type": "plain_text", "text": text, "emoji": False}


def _fit(text: str, most: int) -> str:
    """Return a text as one line without what opens links, escaped, and cut to what there is room for."""
    line = one_line(without_queries(text))
    if _size(line.translate(_ENTITIES)) <= most:
        return line.translate(_ENTITIES)
    kept, left = [], most - 1
    for piece in (character.translate(_ENTITIES) for character in line):  # no entity is cut in two
        left -= _size(piece)
        if left < 0:
            break
        kept.append(piece)
    return f"{''.join(kept)}…"


def _size(text: str) -> int:
    """Return the length of a text where some count every character beyond the first plane twice."""
    return len(text) + sum(character > "\uffff" for character in text)
