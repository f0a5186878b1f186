"""The fingerprint of a job: a hash of what decides its result, and of nothing else.

Never paths, times, sinks or ids, and never a temporary URL. An upgrade of wanrun must not turn a done job into a
changed one, so the canonical form below is fixed; another one gets another version in front.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from typing import TYPE_CHECKING

from wanrun.types import SecretName, SecretTemplate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wanrun.types import JSON, Identity, Job, MediaRef, SinkRef

FINGERPRINT_VERSION = "1"
_AS_THEY_ARE = frozenset({str, int, bool, type(None)})
PROMPT_CHARACTERS = 5000  #: of a prompt that the service keeps, and so echoes


def fingerprint(job: Job, identities: Sequence[Identity]) -> str:
    """Return the fingerprint of a job whose media, in the spec's order, have these identities."""
    media = [[ref.type, identity.key] for ref, identity in zip(job.media, identities, strict=True)]
    return f"{FINGERPRINT_VERSION}:" + digest(
        {
            "model": job.model,
            "prompt": job.prompt,
            "negative_prompt": job.negative_prompt,
            "parameters": dict(job.parameters),
            "media": media,  # type: ignore[dict-item]  # list is invariant; these are JSON
        }
    )


def prompt_key(job: Job) -> str:
    """Return what creates must differ in to be told apart by what the service echoes: model and prompt as kept."""
    return digest({"model": job.model, "prompt": (job.prompt or "")[:PROMPT_CHARACTERS]})


def media_key(ref: MediaRef) -> str:
    """Return what two references that are certainly the same input have in common."""
    try:
        return _media_key(ref.kind, str(ref.folder), *((name, type(each), each) for name, each in ref.options.items()))
    except TypeError:  # an option that is a list or a mapping
        return digest({"kind": ref.kind, "options": dict(ref.options), "folder": str(ref.folder)})


@lru_cache(maxsize=1 << 15)
def _media_key(kind: str, folder: str, *options: tuple[str, type, JSON]) -> str:
    """Do it once for a reference that is looked at again and again; `True` and 1 are equal, and their types are not."""
    return digest({"kind": kind, "options": {name: each for name, _, each in options}, "folder": folder})


def options_digest(sink: SinkRef, place: str) -> str:
    """Return the identity of a delivery's destination: its kind, resolved options and place; not the sink's name.

    Secrets count by their names: one with a new value does not make another destination.
    """
    return digest({"kind": sink.kind, "options": dict(sink.options), "place": place})


def digest(value: Mapping[str, JSON]) -> str:
    """Return the SHA-256, in hex, of a mapping's canonical JSON: sorted keys, no spaces, whole floats as integers."""
    text = _CANONICAL.encode(_whole(value))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


_CANONICAL = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _whole(value: object) -> object:
    """Return a value with its whole floats as integers; what is as it should be is mostly not even asked."""
    if type(value) in _AS_THEY_ARE:  # a secret is a text too, but of another type
        return value
    if isinstance(value, SecretTemplate):  # by its names, so that one with a new value is the same
        return {"secret": [{"name": part.name} if isinstance(part, SecretName) else part for part in value.parts]}
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: item if type(item) in _AS_THEY_ARE else _whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [item if type(item) in _AS_THEY_ARE else _whole(item) for item in value]
    return value
