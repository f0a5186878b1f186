"""What has changed between a job as it was submitted and as it is now: facts to keep with an attempt, and their diff.

The facts are for people: they decide nothing, and what an older wanrun did not keep is left out of the diff.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from wanrun.chains import upstream_of
from wanrun.text import one_line, without_queries
from wanrun.types import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from wanrun.types import JSON, Identity, Job, MediaRef

NAME_CHARACTERS = 200  #: of a medium's name that are kept
CONTEXT_WORDS = 3  #: shown around a change of a text
SHOWN_CHARACTERS = 240  #: of one change as a line
ABSENT = "(not set)"
RESULT_OF = "the result of "  #: a job, as an input


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is not as it was; None where there is, or was, nothing."""

    what: str  #: prompt, negative_prompt, model, parameters.NAME, or a media type
    before: JSON
    after: JSON

    def __str__(self) -> str:
        if self.what in _TEXTS and isinstance(self.before, str) and isinstance(self.after, str):
            return _cut(f"{self.what}: {_word_diff(self.before, self.after)}")
        if self.what in _TEXTS or self.before is None or self.after is None:
            return _cut(f"{self.what}: {_shown(self.before)} -> {_shown(self.after)}")
        if self.before == self.after:
            is_result = str(self.after).startswith(RESULT_OF)  # whose bytes nobody knows yet
            return _cut(f"{self.what}: {_shown(self.after)} {'is another one' if is_result else 'has other bytes'}")
        return _cut(f"{self.what}: {_shown(self.before)} -> {_shown(self.after)}")


_TEXTS = ("prompt", "negative_prompt")


def facts_of_job(job: Job, identities: Sequence[Identity]) -> dict[str, JSON]:
    """Return what a later plan can show of this version of a job; no secrets, and no query of a link."""
    media: list[JSON] = [
        {"type": ref.type, "name": medium_name(ref) + _wish(identity), "mark": _mark(identity)}
        for ref, identity in zip(job.media, identities, strict=True)
    ]
    return {
        "model": job.model,
        "prompt": job.prompt,
        "negative_prompt": job.negative_prompt,
        "parameters": dict(job.parameters),
        "media": media,
    }


def medium_name(ref: MediaRef) -> str:
    """Return what a spec calls a medium: its path, or its link without the query."""
    if (upstream := upstream_of(ref)) is not None:
        return f"{RESULT_OF}{upstream}"
    texts = [value for value in ref.options.values() if isinstance(value, str) and not isinstance(value, Secret)]
    name = next((ref.options[key] for key in ("path", "url") if isinstance(ref.options.get(key), str)), None)
    if isinstance(name, Secret) or not isinstance(name, str):
        name = next(iter(texts), ref.kind)
    if name.startswith("data:"):
        name = name.partition(",")[0] + ",..."
    return one_line(without_queries(name))[:NAME_CHARACTERS]


def _wish(identity: Identity) -> str:
    """Return what is asked to be made of a file, which is a part of what it is: ` (trim=0-10)`."""
    wish, found, _ = identity.key.partition(":sha256:")
    return f" ({wish})" if found else ""


def _mark(identity: Identity) -> str:
    """Return what tells one input from another, and nothing about a link that may be signed."""
    return hashlib.sha256(identity.key.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def changes(before: Mapping[str, JSON], after: Mapping[str, JSON]) -> tuple[Change, ...]:
    """Return how two versions of a job differ, by what `facts_of_job` said of them; what one lacks is left out."""
    found = [
        Change(what, before[what], after[what])
        for what in ("model", *_TEXTS)
        if what in before and what in after and before[what] != after[what]
    ]
    old, new = before.get("parameters"), after.get("parameters")
    if isinstance(old, dict) and isinstance(new, dict):
        names = [*new, *(name for name in old if name not in new)]
        found += [Change(f"parameters.{n}", old.get(n), new.get(n)) for n in names if old.get(n) != new.get(n)]
    if isinstance(before.get("media"), list) and isinstance(after.get("media"), list):
        found += _media_changes(_media(before["media"]), _media(after["media"]))
    return tuple(found)


_Medium = tuple[str, str, str]  # type, name, mark


def _media(value: JSON) -> list[_Medium]:
    media = value if isinstance(value, list) else []
    return [
        (str(each.get("type")), str(each.get("name")), str(each.get("mark")))
        for each in media
        if isinstance(each, dict)
    ]


def _media_changes(before: list[_Medium], after: list[_Medium]) -> Iterator[Change]:
    """Yield what was put in place of what, type by type; a medium that is only called otherwise is the same one."""
    gone, come = _without(before, after), _without(after, before)
    for type_ in dict.fromkeys([each[0] for each in (*before, *after)]):
        old, new = ([name for kind, name, _ in media if kind == type_] for media in (gone, come))
        for at in range(max(len(old), len(new))):
            yield Change(type_, old[at] if at < len(old) else None, new[at] if at < len(new) else None)
    if not gone and not come and [(a, c) for a, _, c in before] != [(a, c) for a, _, c in after]:
        yield Change("media", ", ".join(name for _, name, _ in before), ", ".join(name for _, name, _ in after))


def _without(media: list[_Medium], others: list[_Medium]) -> list[_Medium]:
    """Return the media that are not among others, each as often as it is there more."""
    left, rest = Counter((type_, mark) for type_, _, mark in others), []
    for each in media:
        if left[each[0], each[2]]:
            left[each[0], each[2]] -= 1
        else:
            rest.append(each)
    return rest


def _word_diff(before: str, after: str) -> str:
    """Return two texts as one, with what went in [-...-] and what came in {+...+}; far from a change it is left out."""
    old, new = before.split(), after.split()
    if old == new:
        return "only blanks differ"
    steps = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    parts = []
    for number, (step, a, b, c, d) in enumerate(steps):
        if step == "equal":
            parts.append(_context(new[c:d], first=number == 0, last=number == len(steps) - 1))
            continue
        parts += [f"[-{' '.join(old[a:b])}-]"] if b > a else []
        parts += [f"{{+{' '.join(new[c:d])}+}}"] if d > c else []
    return " ".join(parts)


def _context(words: list[str], *, first: bool, last: bool) -> str:
    head = [] if first else words[:CONTEXT_WORDS]
    tail = [] if last else words[-CONTEXT_WORDS:]
    if len(words) <= len(head) + len(tail):
        return " ".join(words)
    return " ".join([*head, "...", *tail])


def _shown(value: JSON) -> str:
    if value is None:
        return ABSENT
    return str(value).lower() if isinstance(value, bool) else str(value)


def _cut(text: str) -> str:
    text = one_line(text)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 3]}..."
