"""Who may ask: signatures of version 4, in the header or in the query; nothing else is let in.

Everything is computed again from what came over the wire, never from what a client says that it has signed.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from oss_server.refusals import Refusal, bad, denied

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SKEW_SECONDS = 15 * 60
MAX_LIFE_SECONDS = 7 * 24 * 3600
ALGORITHM = "OSS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"

_FIELD = re.compile(r"\s*(Credential|AdditionalHeaders|Signature)=([^,\s]+)\s*")
_STAMP = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True)
class Key:
    """An access key that the server knows; with a token, a temporary one."""

    id: str
    secret: str
    token: str | None = None


@dataclass(frozen=True)
class Asked:
    """What a signature is about."""

    method: str
    resource: str  #: `/bucket/key`, decoded
    query: tuple[tuple[str, str], ...]  #: decoded
    headers: Mapping[str, str]  #: names in lower case


@dataclass(frozen=True)
class _Claim:
    """What a request says of its signature."""

    credential: str
    signature: str
    stamp: str
    additional: tuple[str, ...]
    token: str | None
    life_seconds: int | None = None  #: of a signed link


def check(asked: Asked, keys: Iterable[Key], *, region: str, now: float) -> None:
    """Raise a `Refusal` unless one of these keys has signed just this, in time, for this region."""
    claim = _claim(asked)
    id_, date, named_region, product, suffix = _scope(claim.credential)
    if (product, suffix) != ("oss", "aliyun_v4_request"):
        raise bad("Invalid Credential in Authorization header.", ec="0002-00000213")
    key = next((key for key in keys if key.id == id_), None)
    if key is None or key.token != claim.token:
        raise Refusal(
            403, "InvalidAccessKeyId", "The OSS Access Key Id you provided does not exist in our records.", ec="0002-31"
        )
    _check_time(claim, date, now)
    if named_region != region:
        raise bad("Invalid signing region in Authorization header.", ec="0002-00000218", Region=region)
    wanted = _signature(asked, claim, key.secret, f"{date}/{named_region}/oss/aliyun_v4_request")
    if not hmac.compare_digest(wanted, claim.signature):
        raise Refusal(
            403,
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided.",
            ec="0002-00000201",
            OSSAccessKeyId=id_,
        )


def _claim(asked: Asked) -> _Claim:
    query, header = dict(asked.query), asked.headers.get("authorization")
    if header is not None and "x-oss-signature" in query:
        raise bad("Both a signature in the header and one in the query.")
    if header is not None:
        return _claim_of_header(header, asked.headers)
    if "x-oss-signature" in query:
        return _claim_of_query(query)
    if "Signature" in query:
        raise denied("Signature version 1 is not supported.", ec="0002-00000080")
    raise denied("Anonymous access is forbidden for this operation.", ec="0003-00000001")


def _claim_of_header(header: str, headers: Mapping[str, str]) -> _Claim:
    if header.startswith("OSS "):
        raise denied("Signature version 1 is not supported.", ec="0002-00000080")
    algorithm, _, rest = header.partition(" ")
    fields = [_FIELD.fullmatch(part) for part in rest.split(",")]
    if algorithm != ALGORITHM or not all(fields):
        raise bad("Authorization header is invalid.", ec="0002-00000201")
    found = {field[1]: field[2] for field in fields if field}
    if not {"Credential", "Signature"} <= found.keys():
        raise bad("Authorization header is invalid.", ec="0002-00000202")
    if headers.get("x-oss-content-sha256") != UNSIGNED:
        raise bad("Invalid x-oss-content-sha256 header.", ec="0002-00000204")
    stamp = headers.get("x-oss-date")
    if stamp is None:
        raise denied("OSS authentication requires a valid Date.", ec="0002-00000205")
    additional = tuple(found.get("AdditionalHeaders", "").split(";")) if "AdditionalHeaders" in found else ()
    token = headers.get("x-oss-security-token")
    return _Claim(found["Credential"], found["Signature"], stamp, additional, token)


def _claim_of_query(query: Mapping[str, str]) -> _Claim:
    if query.get("x-oss-signature-version") != ALGORITHM:
        raise bad("Invalid x-oss-signature-version.", ec="0002-00000220")
    missing = {"x-oss-credential", "x-oss-date", "x-oss-expires"} - query.keys()
    if missing:
        raise bad(f"The query lacks {', '.join(sorted(missing))}.", ec="0002-00000221")
    life = query["x-oss-expires"]
    if not life.isdigit() or not 1 <= int(life) <= MAX_LIFE_SECONDS:
        raise bad("Invalid x-oss-expires: from 1 to 604800 seconds.", ec="0002-00000222")
    named = query.get("x-oss-additional-headers", "")
    return _Claim(
        query["x-oss-credential"],
        query["x-oss-signature"],
        query["x-oss-date"],
        tuple(named.split(";")) if named else (),
        query.get("x-oss-security-token"),
        int(life),
    )


def _scope(credential: str) -> tuple[str, str, str, str, str]:
    parts = credential.split("/")
    if len(parts) != 5:
        raise bad("Invalid Credential in Authorization header.", ec="0002-00000206")
    id_, date, region, product, suffix = parts
    return id_, date, region, product, suffix


def _check_time(claim: _Claim, date: str, now: float) -> None:
    try:
        at = datetime.strptime(claim.stamp, _STAMP).replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise denied("OSS authentication requires a valid Date.", ec="0002-00000205") from None
    if claim.stamp[:8] != date:
        raise bad("The date in Credential is not that of x-oss-date.", ec="0002-00000207")
    late = at - now < -SKEW_SECONDS
    if at - now > SKEW_SECONDS or (late and claim.life_seconds is None):
        raise Refusal(
            403,
            "RequestTimeTooSkewed",
            "The difference between the request time and the current time is too large.",
            ec="0002-00000504",
            ServerTime=datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        )
    if claim.life_seconds is not None and now > at + claim.life_seconds:
        raise denied("Request has expired.", ec="0002-00000069")


def _signature(asked: Asked, claim: _Claim, secret: str, scope: str) -> str:
    canonical = hashlib.sha256(_canonical(asked, claim.additional).encode()).hexdigest()
    text = f"{ALGORITHM}\n{claim.stamp}\n{scope}\n{canonical}"
    signing = f"aliyun_v4{secret}".encode()
    for part in scope.split("/"):
        signing = hmac.digest(signing, part.encode(), "sha256")
    return hmac.digest(signing, text.encode(), "sha256").hex()


def _canonical(asked: Asked, additional: tuple[str, ...]) -> str:
    if list(additional) != sorted({name.lower() for name in additional}):
        raise bad("AdditionalHeaders must be in lower case, sorted, each once.", ec="0002-00000208")
    if missing := [name for name in additional if name not in asked.headers]:
        raise bad(f"An additional header is not there: {missing[0]}.", ec="0002-00000209")
    pairs = sorted(
        (quote(name, safe="-_.~"), quote(value, safe="-_.~"))
        for name, value in asked.query
        if name != "x-oss-signature"
    )
    query = "&".join(f"{name}={value}" if value else name for name, value in pairs)
    signed = {name: value.strip() for name, value in asked.headers.items() if _is_signed(name, additional)}
    headers = "".join(f"{name}:{signed[name]}\n" for name in sorted(signed))
    path = quote(asked.resource, safe="/-_.~")
    return f"{asked.method}\n{path}\n{query}\n{headers}\n{';'.join(additional)}\n{UNSIGNED}"


def _is_signed(name: str, additional: tuple[str, ...]) -> bool:
    return name.startswith("x-oss-") or name in ("content-type", "content-md5") or name in additional


def pairs_of(query: str) -> tuple[tuple[str, str], ...]:
    """Return a raw query as decoded pairs; a plus is a plus, as OSS reads it."""
    pairs = (pair.partition("=") for pair in query.split("&") if pair)
    return tuple((unquote(name), unquote(value)) for name, _, value in pairs)
