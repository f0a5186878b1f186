"""What the table `[allow]` of the settings lets specs use, and every use of something else, where it is written.

It is for specs that are written by people who may not decide everything, such as those of a stranger's pull request.
Plugins are not looked at here: one that is not allowed is never imported.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from wanrun import rules
from wanrun.rules import rule_of
from wanrun.types import Problem, SecretTemplate
from wanrun.vault import templates_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from wanrun.catalog import Catalog
    from wanrun.rules import Sentence
    from wanrun.settings import Allow
    from wanrun.types import JSON, Job, MediaRef, Position, SinkRef

_LINK = re.compile(r"https?:", re.IGNORECASE)
_AMBIGUOUS = re.compile(r"[\\\s\x00-\x20]")  #: where readers of links disagree about the end of the host
_PLAIN_HOST = re.compile(r"[a-z0-9_.-]+|[0-9a-f:.]+")  #: all others are names to some readers, and several to others
_UNTOLD = "{secret}"  #: stands for what a secret will hold; no host has such characters
#: What follows a secret may be more of its link's host, or another one.
_LED_ON = re.compile(r"\{secret\}[^/?#\s]*[.@\\]")
_OWN = "job"  #: the core's own source: a chain, which leads to nothing that the spec does not have anyway


def forbidden_in(jobs: Iterable[Job], told: Iterable[SinkRef], allow: Allow) -> list[Problem]:
    """Return what jobs, and the sinks that are told of events, use that is not allowed, each once."""
    refs: dict[int, tuple[str, MediaRef | SinkRef]] = {id(ref): ("sink", ref) for ref in told}
    for job in jobs:
        refs |= {id(ref): ("source", ref) for ref in job.media}
        refs |= {id(ref): ("sink", ref) for ref in job.sinks}
    found = [problem for sort, ref in refs.values() for problem in _forbidden(sort, ref, allow)]
    return list(dict.fromkeys(found))


def is_kind_allowed(sort: str, kind: str, allow: Allow) -> bool:
    """Say whether specs may use a kind of `source` or `sink`."""
    return allow.kinds is None or kind in allow.kinds or (sort, kind) == ("source", _OWN)


def narrowed(catalog: Catalog, allow: Allow) -> Catalog:
    """Return a catalog without the kinds that specs may not use."""
    return replace(
        catalog,
        sources={name: kind for name, kind in catalog.sources.items() if is_kind_allowed("source", name, allow)},
        sinks={name: kind for name, kind in catalog.sinks.items() if is_kind_allowed("sink", name, allow)},
    )


def has_only(name: str, allowed: tuple[str, ...]) -> str:
    """Return what a list of `[allow]` has, as a clause."""
    return f"[allow] in the settings has the {name} {', '.join(allowed)}" if allowed else f"[allow] has no {name}"


def _forbidden(sort: str, ref: MediaRef | SinkRef, allow: Allow) -> Iterator[Problem]:
    if allow.kinds is not None and not is_kind_allowed(sort, ref.kind, allow):
        words = f'the {sort} "{ref.kind}" is not allowed; {has_only("kinds", allow.kinds)}'
        yield _problem(ref.position, rules.KIND_NOT_ALLOWED(words))
        return
    if allow.hosts is not None:
        for link in _links_in(ref.options):
            host = _host(link)
            if host is None or not _is_allowed(host, allow.hosts):
                whose = "a host that cannot be told for sure" if host is None else host
                words = f"a link to {whose} is not allowed; {has_only('hosts', allow.hosts)}"
                yield _problem(ref.position, rules.HOST_NOT_ALLOWED(words))
    if allow.secrets is not None:
        for template in templates_in(ref.options):
            for name in template.names:
                if name not in allow.secrets:
                    words = f"the secret {name} is not allowed; {has_only('secrets', allow.secrets)}"
                    yield _problem(template.position or ref.position, rules.SECRET_NOT_ALLOWED(words))


def _problem(at: Position, sentence: Sentence) -> Problem:
    return Problem(at, str(sentence), rule_of(sentence).id)


def _links_in(value: Mapping[str, JSON] | JSON) -> Iterator[str]:
    """Yield the links among options, with a mark for each secret in them.

    What a secret itself holds is not known, and whoever names it must be allowed to; what it is sent to is written. It
    may be a link that the text behind it leads elsewhere.
    """
    if isinstance(value, SecretTemplate):
        value = "".join(part if isinstance(part, str) else _UNTOLD for part in value.parts)
        if _LED_ON.match(value.lstrip()):
            yield value
    if isinstance(value, str):
        if _LINK.match(value.lstrip()):
            yield value
    elif isinstance(value, list):
        for item in value:
            yield from _links_in(item)
    elif value is not None and not isinstance(value, bool | int | float):
        for item in value.values():
            yield from _links_in(item)


def _host(link: str) -> str | None:
    """Return the host that a link leads to; None where one reader may take it for another than the next."""
    try:
        parts = urlsplit(link)
        host = parts.hostname
    except ValueError:
        return None
    is_plain = link.partition(":")[2].startswith("//") and "@" not in parts.netloc
    if not host or not is_plain or _AMBIGUOUS.search(link.partition("?")[0]):
        return None
    return host.rstrip(".") if _PLAIN_HOST.fullmatch(host) else None


def _is_allowed(host: str, hosts: Iterable[str]) -> bool:
    return any(host.endswith(name[1:]) if name.startswith("*.") else host == name.strip("[]") for name in hosts)
