"""The one table of the service's error codes: what each means for a call, and for a task that failed with it.

The code decides first, then words of the message where one code means several things, then the HTTP status.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from wanrun.errors import JobRefused, KeyRefused, ServiceError, Throttled, Unavailable


class PolicyExpired(Unavailable):
    """The permission to upload is too old; ask for a new one, once."""


class CancelTooLate(JobRefused):
    """The task is not waiting any more, so it cannot be cancelled; a query says how it stands."""


class Verdict(StrEnum):
    """Whether another task for the same job may do better than one that failed; failed tasks are not billed."""

    NO = "no"  #: fails again unchanged
    ONCE = "once"  #: may pass at a second try
    RETRY = "retry"  #: a fault of the service: bounded backoff
    STOP = "stop"  #: every job would meet it: stop the run


@dataclass(frozen=True, slots=True)
class Row:
    """What a code means, if the message `says` so (in small letters; None: whatever it says)."""

    family: type[ServiceError]
    verdict: Verdict
    says: str | None = None


_NO = Row(JobRefused, Verdict.NO)
_NO_MEDIA = Row(JobRefused, Verdict.ONCE)  # could not be fetched just now
_STOP = Row(KeyRefused, Verdict.STOP)
_WAIT = Row(Throttled, Verdict.RETRY)
_FAULT = Row(Unavailable, Verdict.RETRY)
_FAULT_ONCE = Row(Unavailable, Verdict.ONCE)

#: Rows of one code stand in the order in which they are tried.
TABLE: dict[str, tuple[Row, ...]] = {
    # the request
    "InvalidParameter": (
        Row(KeyRefused, Verdict.STOP, says="model not exist"),
        Row(JobRefused, Verdict.ONCE, says="failed to download"),
        _NO,
    ),
    "InvalidParameter.DataInspection": (_NO_MEDIA,),
    "invalid_parameter_error": (_NO,),
    "InvalidURL": (_NO,),
    "InvalidURL.ConnectionRefused": (_NO_MEDIA,),
    "InvalidURL.Timeout": (_NO_MEDIA,),
    "InvalidFile.DownloadFailed": (_NO_MEDIA,),
    "InvalidFile.Format": (_NO,),
    "InvalidFile.Openerror": (_NO,),
    "InvalidFile.Size": (_NO,),
    "InvalidFile.Duration": (_NO,),
    "InvalidFile.Resolution": (_NO,),
    "InvalidFile.FPS": (_NO,),
    "InvalidFile.AspectRatio": (_NO,),
    "InvalidFile.ImageSize": (_NO,),
    "InvalidImage.FileFormat": (_NO,),
    "InvalidImageFormat": (_NO,),
    "InvalidImageResolution": (_NO,),
    "BadRequest.EmptyInput": (_NO,),
    "BadRequest.EmptyParameters": (_NO,),
    "BadRequest.EmptyModel": (_NO,),
    "BadRequest.IllegalInput": (_NO,),
    "BadRequest.UnsupportedFileFormat": (_NO,),
    "BadRequest.TooLarge": (_NO,),
    "BadRequest.InputDownloadFailed": (_NO_MEDIA,),
    "UnsupportedOperation": (_NO,),
    "Conflict": (_NO,),
    # moderation
    "DataInspectionFailed": (_NO,),
    "IPInfringementSuspect": (_NO,),
    "CustomRoleBlocked": (_NO,),
    "FaqRuleBlocked": (_NO,),
    # account, key, workspace
    "Arrearage": (_STOP,),
    "InvalidApiKey": (_STOP,),
    "NOT AUTHORIZED": (_STOP,),
    "AccessDenied": (Row(PolicyExpired, Verdict.ONCE, says="policy expired"), _STOP),
    "AccessDenied.Unpurchased": (_STOP,),
    "Model.AccessDenied": (_STOP,),
    "Workspace.AccessDenied": (_STOP,),
    "App.AccessDenied": (_STOP,),
    "Endpoint.AccessDenied": (_STOP,),
    "AllocationQuota.FreeTierOnly": (_STOP,),
    "ModelNotFound": (_STOP,),
    "WorkSpaceNotFound": (_STOP,),
    "NotFound": (_STOP,),
    "CommodityNotPurchased": (_STOP,),
    "PrepaidBillOverdue": (_STOP,),
    "PostpaidBillOverdue": (_STOP,),
    # too many calls
    "Throttling": (_WAIT,),
    "Throttling.RateQuota": (_WAIT,),
    "LimitRequests": (_WAIT,),
    "Throttling.BurstRate": (_WAIT,),
    "limit_burst_rate": (_WAIT,),
    "Throttling.AllocationQuota": (Row(KeyRefused, Verdict.STOP, says="free allocated quota exceeded"), _WAIT),
    "insufficient_quota": (Row(KeyRefused, Verdict.STOP, says="free allocated quota exceeded"), _WAIT),
    # faults of the service
    "InternalError": (_FAULT,),
    "InternalError.Algo": (_FAULT_ONCE,),
    "InternalError.FileUpload": (_FAULT,),
    "InternalError.Upload": (_FAULT,),
    "InternalError.Timeout": (_FAULT_ONCE,),
    "SystemError": (_FAULT,),
    "ModelServiceFailed": (_FAULT,),
    "RequestTimeOut": (_FAULT,),
    "ResponseTimeout": (_FAULT,),
    "RewriteFailed": (_FAULT,),
    "ModelServingError": (_FAULT,),
    "ModelUnavailable": (_FAULT,),
}


def family_of(status: int, code: str | None, message: str = "") -> type[ServiceError]:
    """Return the error that an HTTP answer stands for; what a create makes of it is the client's to say."""
    row = _row(code, message)
    if status == 429:  # whatever its code: this call was turned away, and only billing makes waiting useless
        return KeyRefused if row is not None and row.family is KeyRefused else Throttled
    return row.family if row is not None else _family_of_status(status)


def failed_task_verdict(code: str | None, message: str = "") -> Verdict:
    """Say what another task for the job may bring, after one that failed; an unknown code is `NO`."""
    row = _row(code, message)
    return row.verdict if row is not None else Verdict.NO


def _family_of_status(status: int) -> type[ServiceError]:
    if status in (401, 402, 403, 404):
        return KeyRefused
    if 400 <= status < 500 and status not in (408, 425):
        return JobRefused
    return Unavailable


def _row(code: str | None, message: str) -> Row | None:
    plain, said = _plain(code or ""), message.casefold()
    rows = _ROWS.get(plain) or _ROWS.get(
        plain.partition(".")[0], ()
    )  # an unlisted `InternalError.X` is an InternalError
    return next((row for row in rows if row.says is None or row.says in said), None)


def _plain(code: str) -> str:
    """Return one spelling for a code: the service writes `InvalidApiKey` here and `invalid_api_key` there."""
    return re.sub(r"[\s_]", "", code).casefold()


_ROWS = {_plain(code): rows for code, rows in TABLE.items()}
