"""Turns the options of an OSS sink or source into the place of one object, which says where requests go."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from wanrun import SinkError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wanrun import Job, SinkRef
    from wanrun.types import JSON

SUFFIX = ".mp4"  #: a key ends with it, which is what the file is
MAX_KEY_BYTES = 1023
PREFIX = "wanrun-staging/"
RESERVED = "wanrun-"  #: starts the names of the metadata that are ours
NAMED = frozenset({"internal", "accelerate"})  #: endpoints that have a name
LOOPBACK_HOSTS = frozenset(
    {"localhost", "127.0.0.1", "::1"}
)  #: plain http is for this machine only, as for the service

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_HOST = re.compile(r"[A-Za-z0-9._:-]+")


@dataclass(frozen=True, slots=True)
class Place:
    """One object, and how to get to its bucket."""

    bucket: str
    key: str
    region: str
    endpoint: str | None  #: `internal`, `accelerate` or a URL; None: the region's own
    custom_domain: bool  #: the endpoint is a domain that is bound to the bucket
    version: str | None = None  #: of the object, where a bucket keeps several

    def __str__(self) -> str:
        """Return the place as people and receipts name it."""
        return f"oss://{self.bucket}/{self.key}"

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine, as a test's is: the bucket is named in the path, and no proxy is asked."""
        return self.endpoint is not None and _host_of(self.endpoint) in LOOPBACK_HOSTS

    @property
    def for_links(self) -> Place:
        """The same object by a way that is open to those who get a link to it."""
        return replace(self, endpoint=None) if self.endpoint == "internal" else self

    @property
    def host(self) -> str:
        """The host that requests go to, without the bucket's name, for messages."""
        if self.endpoint is None:
            return f"oss-{self.region}.aliyuncs.com"
        if self.endpoint == "internal":
            return f"oss-{self.region}-internal.aliyuncs.com"
        return "oss-accelerate.aliyuncs.com" if self.endpoint == "accelerate" else _host_of(self.endpoint) or "?"


def place_of(sink: SinkRef, job: Job) -> Place:
    """Return the place that a sink's options give a job's file; raises `SinkError` for one that cannot be."""
    key = str(sink.options.get("key", f"{job.spec}/{job.id}{SUFFIX}"))
    if not key.endswith(SUFFIX):
        raise SinkError(f"{_shown(key)}: the key of a result ends with {SUFFIX}")
    return _place(sink.options, key)


def object_of(options: Mapping[str, JSON]) -> Place:
    """Return the object that a source's options name; raises `SinkError` for one that cannot be."""
    version = options.get("version")
    return replace(_place(options, str(options["key"])), version=None if version is None else str(version))


def staged_at(options: Mapping[str, JSON], name: str) -> Place:
    """Return the object that a file becomes on its way to the service; raises `SinkError` for one that cannot be."""
    return _place(options, f"{options.get('prefix', PREFIX)}{name}")


def beginning(options: Mapping[str, JSON], prefix: str = PREFIX) -> Place:
    """Return the place whose key all those begin with that options, or else the prefix, put below one."""
    prefix = str(options.get("prefix", prefix))
    return replace(_place(options, prefix.removesuffix("/")), key=prefix)


def _place(options: Mapping[str, JSON], key: str) -> Place:
    endpoint = str(options["endpoint"]) if "endpoint" in options else None
    if endpoint is not None and endpoint not in NAMED:
        _check_endpoint(endpoint)
    custom_domain = bool(options.get("custom_domain", False))
    if custom_domain and (endpoint is None or endpoint in NAMED):
        raise SinkError('custom_domain needs that domain as its endpoint, such as "https://media.example.com"')
    if reason := _objection(key):
        raise SinkError(f"{_shown(key)}: {reason}")
    return Place(str(options["bucket"]), key, str(options["region"]), endpoint, custom_domain)


def own_metadata(options: Mapping[str, JSON]) -> dict[str, str]:
    """Return the metadata that a spec asks for; raises `SinkError` for a name that is ours."""
    given = options.get("metadata", {})
    assert isinstance(given, dict)
    for name in given:
        if name.startswith(RESERVED):
            raise SinkError(f"metadata.{name}: names that start with {RESERVED} are wanrun's own; choose another")
    return {name: str(value) for name, value in given.items()}


@lru_cache(maxsize=64)
def _check_endpoint(endpoint: str) -> None:
    """Raise `SinkError` for a URL that is not one: requests that are signed with the key go there."""
    host = _host_of(endpoint)
    if host is None:
        raise SinkError(f"{_bare(endpoint)}: not an endpoint; write it like https://oss-cn-hangzhou.aliyuncs.com")
    parts = urlsplit(endpoint)
    if parts.path not in ("", "/") or parts.query or parts.fragment or "@" in parts.netloc:
        raise SinkError(
            f"{_bare(endpoint)}: an endpoint has a host and no user, path or query; the bucket has its own key"
        )
    if parts.scheme != "https" and host not in LOOPBACK_HOSTS:
        raise SinkError(f"{_bare(endpoint)}: an endpoint is https; plain http is for this machine only")


def _host_of(endpoint: str) -> str | None:
    """Return the host of a URL; None where it has none that every reader would understand."""
    try:
        parts = urlsplit(endpoint)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return None
    odd = _CONTROL.search(endpoint) or "\\" in endpoint or " " in endpoint
    return host if host and parts.scheme in ("http", "https") and not odd and _HOST.fullmatch(host) else None


def _objection(key: str) -> str | None:
    """Say why a key is none that every tool can handle."""
    if key.startswith(("/", "\\")) or any(part in ("", ".", "..") for part in key.split("/")):
        return "write a key's parts between single slashes, none of them . or .., and no slash at its start"
    if "\\" in key or _CONTROL.search(key):
        return "a key has no backslashes or control characters"
    if len(key.encode()) > MAX_KEY_BYTES:
        return f"a key has at most {MAX_KEY_BYTES} bytes"
    return None


def _shown(key: str) -> str:
    return _CONTROL.sub("?", key)[:100]


def _bare(endpoint: str) -> str:
    """Return an endpoint without what might be a password or a signature."""
    return _shown(re.split(r"[?#]", endpoint)[0].rpartition("@")[2])
