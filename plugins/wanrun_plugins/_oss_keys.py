"""The access key for OSS: from the options, the environment, or the file that Alibaba Cloud's own tools read.

A spec names neither a file nor a variable: which key a machine has is for whoever runs it to say.
"""

from __future__ import annotations

import configparser
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from wanrun import Secret, SinkError
from wanrun.redaction import hide

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wanrun.types import JSON

ID, SECRET, TOKEN = "OSS_ACCESS_KEY_ID", "OSS_ACCESS_KEY_SECRET", "OSS_SESSION_TOKEN"  # their names
FILE = "ALIBABA_CLOUD_CREDENTIALS_FILE"
FILES = ("~/.alibabacloud/credentials.ini", "~/.alibabacloud/credentials")  #: where it is unless the variable says
TYPES = ("access_key", "sts")


@dataclass(frozen=True, slots=True)
class AccessKey:
    """An access key, and where it comes from, for messages; only `id` may be shown."""

    id: str = field(repr=False)
    secret: str = field(repr=False)
    token: str | None = field(repr=False)  #: of temporary credentials
    origin: str


def check_key_options(options: Mapping[str, JSON]) -> None:
    """Raise `SinkError` for options that give half a key, or two of them."""
    pair = {"access_key_id", "access_key_secret"} & options.keys()
    if len(pair) == 1:
        missing = ({"access_key_id", "access_key_secret"} - pair).pop()
        raise SinkError(f"{pair.pop()} needs {missing} beside it")
    if "security_token" in options and not pair:
        raise SinkError("security_token needs the access_key_id and access_key_secret that it belongs to")
    if pair and "profile" in options:
        raise SinkError("give access_key_id and access_key_secret, or a profile, not both")
    if pair and "link_hours" in options:
        raise SinkError(
            "a link holds the id of the key that signs it, and the ledger keeps no secrets: for link_hours give the "
            f"key by {ID} and {SECRET}, or by a profile"
        )


def key_of(options: Mapping[str, JSON], environ: Mapping[str, str]) -> AccessKey:
    """Return the key to use; raises `SinkError` that says where it was looked for."""
    found = _of_options(options) or _of_environment(options, environ) or _of_file(options, environ)
    for value in filter(None, (found.secret, found.token)):
        hide(value)
    if found.token is not None and "link_hours" in options:
        raise SinkError(
            f"the key of {found.origin} is a temporary one: a link would hold its token, and end with it; "
            "leave out link_hours, or use a key that lasts"
        )
    return found


def check_lasting(key: AccessKey) -> None:
    """Raise `SinkError` for a key whose links may end while a job waits."""
    if key.token is not None:
        raise SinkError(
            f"the key of {key.origin} is a temporary one: a link that it signs may end while the job waits in the "
            "service's queue; give a key that lasts"
        )


def _of_options(options: Mapping[str, JSON]) -> AccessKey | None:
    if "access_key_id" not in options:
        return None
    token = options.get("security_token")
    return AccessKey(
        _revealed(options["access_key_id"]),
        _revealed(options["access_key_secret"]),
        None if token is None else _revealed(token),
        "the spec",
    )


def _revealed(value: JSON) -> str:
    return value.reveal() if isinstance(value, Secret) else str(value)


def _of_environment(options: Mapping[str, JSON], environ: Mapping[str, str]) -> AccessKey | None:
    id_, secret = environ.get(ID, "").strip(), environ.get(SECRET, "").strip()
    if "profile" in options or not (id_ or secret):
        return None
    if not id_ or not secret:
        raise SinkError(f"{ID} and {SECRET} go together, and {SECRET if id_ else ID} is not set")
    return AccessKey(id_, secret, environ.get(TOKEN, "").strip() or None, ID)


def _of_file(options: Mapping[str, JSON], environ: Mapping[str, str]) -> AccessKey:
    path, named = _file(environ), "profile" in options
    profile = str(options.get("profile", "default"))
    if path is None:
        looked = "" if named else f"set {ID} and {SECRET}, or "
        raise SinkError(f"no access key for OSS: {looked}make {FILES[0]} with a profile [{profile}]")
    return _of_profile(_read(path), profile, path)


def _file(environ: Mapping[str, str]) -> Path | None:
    if named := environ.get(FILE):
        return Path(named)
    return next((path for path in (Path(name).expanduser() for name in FILES) if path.is_file()), None)


def _read(path: Path) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise SinkError(f"{path}: {exc.strerror}; the access key for OSS cannot be read") from exc
    except (configparser.Error, UnicodeError):
        raise SinkError(f"{path}: not a file of credentials; write [default] and name = value below it") from None
    return parser


def _of_profile(parser: configparser.RawConfigParser, profile: str, path: Path) -> AccessKey:
    if not parser.has_section(profile):
        raise SinkError(f"{path} has no profile [{profile}]")
    values = {name: value.strip() for name, value in parser.items(profile)}
    origin = f"[{profile}] in {path}"
    if (kind := values.get("type", TYPES[0])) not in TYPES:
        raise SinkError(f"{origin} has the type {kind[:40]}; give one of the type {' or '.join(TYPES)}")
    wanted = ["access_key_id", "access_key_secret", *(["security_token"] if kind == "sts" else [])]
    if missing := [name for name in wanted if not values.get(name)]:
        raise SinkError(f"{origin} lacks {missing[0]}")
    token = values["security_token"] if kind == "sts" else None
    return AccessKey(values["access_key_id"], values["access_key_secret"], token, origin)
