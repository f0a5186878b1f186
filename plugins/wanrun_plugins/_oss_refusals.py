"""What OSS refuses, as errors that say what to do; no words of the SDK's own, since they quote whole requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alibabacloud_oss_v2 import exceptions

from wanrun import SinkError

if TYPE_CHECKING:
    from wanrun_plugins._oss_keys import AccessKey
    from wanrun_plugins._oss_places import Place

EXISTS = frozenset({"FileAlreadyExists", "ObjectAlreadyExists"})

#: What to do, by code; `{key}` is where the key comes from, `{place}` the object, `{actions}` what the errand takes.
_ADVICE = {
    "InvalidAccessKeyId": "OSS does not know the key of {key}; give one that exists and is enabled",
    "SignatureDoesNotMatch": "the secret of {key} is not that of its id; give both of one key",
    "SecurityTokenExpired": "the temporary key of {key} has expired; get a new one",
    "InvalidSecurityToken": "the token of {key} is none that OSS knows; get a new one",
    "RequestTimeTooSkewed": "this machine's clock is off by more than 15 minutes; set it",
    "AccessDenied": "the key of {key} may not do this; allow it {actions} on {place}",
    "NoSuchBucket": 'there is no bucket "{bucket}" at {host}; make it, or correct bucket and region',
    "UserDisable": "the account is disabled, mostly for overdue payment; see to that",
    "InvalidStorageClass": "the bucket does not take this storage_class; choose another",
    "InvalidObjectName": "OSS does not take this key; choose another",
    "MetadataTooLarge": "metadata is more than 8 KB together; make it less",
    "KmsServiceNotEnabled": "the bucket encrypts with KMS, which the account has not enabled; enable it",
}


@dataclass(frozen=True, slots=True)
class Errand:
    """What calls are made for."""

    actions: str  #: that the key must be allowed
    meanwhile: str  #: what is the matter with the job, in words that calm
    again: str  #: what to type once it is mended


DELIVERY = Errand(
    actions="oss:PutObject, oss:GetObject, oss:ListParts and oss:AbortMultipartUpload",
    meanwhile="the result is kept in the artifact store",
    again="run again",
)
READING = Errand(
    actions="oss:GetObject", meanwhile="nothing was paid for this job", again="run again with --retry-failed"
)
KEEPING = Errand(
    actions="oss:PutObject and oss:GetObject", meanwhile="nothing was submitted with it", again="run again"
)
CARRYING = Errand(
    actions="oss:ListObjects, oss:GetObject, oss:PutObject and oss:DeleteObject",
    meanwhile="nothing hangs between here and there that doing it again does not settle",
    again="do it again",
)
CLEANING = Errand(
    actions="oss:ListObjects, oss:GetObject and oss:DeleteObject", meanwhile="it stays there", again="clean again"
)


class Refused(SinkError):
    """OSS said no, or could not be reached; carries what it said as `status` and `code`."""

    def __init__(self, message: str, *, status: int = 0, code: str = "") -> None:
        super().__init__(message)
        self.status, self.code = status, code


def refusal_of(exc: Exception, what: str, place: Place, key: AccessKey, errand: Errand) -> Refused:
    """Return the error that says why a call failed and what to do about it."""
    said: Any = exc.unwrap() if isinstance(exc, exceptions.OperationError) else exc
    if not isinstance(said, exceptions.ServiceError):
        return Refused(f"{place}: cannot {what}: {_unreachable(said, place)}; {errand.meanwhile}, {errand.again}")
    status, code = int(said.status_code), str(said.code or "")
    request = f", request {said.request_id}" if said.request_id else ""
    advice = _advice(said, code, status, place, key, errand)
    return Refused(
        f"{place}: cannot {what}: {advice} and {errand.again}; {errand.meanwhile} ({status} {code}{request})",
        status=status,
        code=code,
    )


def _advice(said: Any, code: str, status: int, place: Place, key: AccessKey, errand: Errand) -> str:
    endpoint = str((said.error_fileds or {}).get("Endpoint") or "")
    if code == "AccessDenied" and endpoint:
        return f'the bucket "{place.bucket}" is elsewhere, at {endpoint[:80]}; correct region'
    if code == "InvalidArgument" and "region" in str(said.message):
        return f"{place.host} is not in the region {place.region}; correct region or endpoint"
    if code == "BadErrorResponse":
        return f"what answered in place of {place.host} is no OSS; see to network, proxy and endpoint"
    if code in _ADVICE:
        return _ADVICE[code].format(
            key=key.origin, place=place, bucket=place.bucket, host=place.host, actions=errand.actions
        )
    if status >= 500 or status in (408, 429):
        return f"OSS is busy or has a fault of its own ({_first_line(said.message)}); wait a little"
    return f"OSS refused it ({_first_line(said.message)}); mend that"


def _unreachable(said: Any, place: Place) -> str:
    if isinstance(said, exceptions.InconsistentError):
        return "what arrived has another checksum than what was sent"
    if not isinstance(said, exceptions.RequestError | exceptions.ResponseError):
        return f"what {place.host} answered is of no use ({type(said).__name__}); see to network, proxy and endpoint"
    cause = said.unwrap()
    name = type(cause).__name__
    if name == "SSLError":
        return f"the certificate of {place.host} cannot be trusted; see that SSL_CERT_FILE names your own authority"
    if "Timeout" in name:
        return f"{place.host} did not answer in time"
    return f"{place.host} cannot be reached, or broke the connection ({name}); see to network and endpoint"


def _first_line(message: object) -> str:
    return next(iter(str(message or "no reason given").splitlines()), "no reason given")[:200]
