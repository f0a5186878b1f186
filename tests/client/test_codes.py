"""Every documented code has its family and its verdict, in either spelling, whatever the status around it."""

from __future__ import annotations

import pytest

from wanrun.client import PolicyExpired, Verdict, failed_task_verdict, family_of
from wanrun.client.codes import TABLE
from wanrun.errors import JobRefused, KeyRefused, ServiceError, Throttled, Unavailable

NO, ONCE, RETRY, STOP = Verdict.NO, Verdict.ONCE, Verdict.RETRY, Verdict.STOP

ROWS: list[tuple[int, str, str, type[ServiceError], Verdict]] = [
    (400, "InvalidParameter", "Required body invalid, please check the request body format.", JobRefused, NO),
    (400, "InvalidParameter", "url error, please check url!", JobRefused, NO),
    (400, "InvalidParameter", "Field required: input.media", JobRefused, NO),
    (400, "InvalidParameter", "The size is not match 0000*0000", JobRefused, NO),
    (400, "InvalidParameter", "Model not exist.", KeyRefused, STOP),
    (404, "InvalidParameter", "Model not exist", KeyRefused, STOP),
    (400, "InvalidParameter", "Failed to download https://example.com/a.mp4", JobRefused, ONCE),
    (400, "InvalidParameter.DataInspection", "Unable to download the media resource …", JobRefused, ONCE),
    (400, "invalid_parameter_error", "", JobRefused, NO),
    (400, "InvalidURL", "Invalid URL provided", JobRefused, NO),
    (400, "InvalidURL.ConnectionRefused", "", JobRefused, ONCE),
    (400, "InvalidURL.Timeout", "", JobRefused, ONCE),
    (400, "InvalidFile.DownloadFailed", "", JobRefused, ONCE),
    (400, "InvalidFile.Format", "", JobRefused, NO),
    (400, "InvalidFile.Openerror", "", JobRefused, NO),
    (400, "InvalidFile.Size", "", JobRefused, NO),
    (400, "InvalidFile.Duration", "", JobRefused, NO),
    (400, "InvalidFile.Resolution", "", JobRefused, NO),
    (400, "InvalidFile.FPS", "", JobRefused, NO),
    (400, "InvalidFile.AspectRatio", "", JobRefused, NO),
    (400, "InvalidFile.ImageSize", "", JobRefused, NO),
    (400, "InvalidImage.FileFormat", "", JobRefused, NO),
    (400, "InvalidImageFormat", "", JobRefused, NO),
    (400, "InvalidImageResolution", "", JobRefused, NO),
    (400, "BadRequest.EmptyInput", "", JobRefused, NO),
    (400, "BadRequest.EmptyParameters", "", JobRefused, NO),
    (400, "BadRequest.EmptyModel", "", JobRefused, NO),
    (400, "BadRequest.IllegalInput", "", JobRefused, NO),
    (400, "BadRequest.UnsupportedFileFormat", "", JobRefused, NO),
    (400, "BadRequest.TooLarge", "", JobRefused, NO),
    (400, "BadRequest.InputDownloadFailed", "", JobRefused, ONCE),
    (400, "Arrearage", "Access denied, please make sure your account is in good standing.", KeyRefused, STOP),
    (400, "DataInspectionFailed", "Input data may contain inappropriate content.", JobRefused, NO),
    (400, "data_inspection_failed", "Output data may contain inappropriate content.", JobRefused, NO),
    (400, "IPInfringementSuspect", "", JobRefused, NO),
    (400, "CustomRoleBlocked", "", JobRefused, NO),
    (400, "FaqRuleBlocked", "", JobRefused, NO),
    (400, "UnsupportedOperation", "Failed to cancel the task, please confirm …", JobRefused, NO),
    (401, "InvalidApiKey", "Invalid API-key provided.", KeyRefused, STOP),
    (401, "invalid_api_key", "Incorrect API key provided", KeyRefused, STOP),
    (401, "NOT AUTHORIZED", "", KeyRefused, STOP),
    (403, "AccessDenied", "current user api does not support synchronous calls.", KeyRefused, STOP),
    (403, "AccessDenied", "current user api does not support asynchronous calls.", KeyRefused, STOP),
    (403, "AccessDenied", "Invalid according to Policy: Policy expired.", PolicyExpired, ONCE),
    (403, "AccessDenied.Unpurchased", "", KeyRefused, STOP),
    (403, "Model.AccessDenied", "", KeyRefused, STOP),
    (403, "Workspace.AccessDenied", "", KeyRefused, STOP),
    (403, "App.AccessDenied", "", KeyRefused, STOP),
    (403, "Endpoint.AccessDenied", "", KeyRefused, STOP),
    (403, "AllocationQuota.FreeTierOnly", "The free tier of the model has been exhausted.", KeyRefused, STOP),
    (404, "ModelNotFound", "", KeyRefused, STOP),
    (404, "model_not_found", "", KeyRefused, STOP),
    (404, "WorkSpaceNotFound", "", KeyRefused, STOP),
    (404, "NotFound", "", KeyRefused, STOP),
    (409, "Conflict", "", JobRefused, NO),
    (429, "Throttling", "Requests throttling triggered.", Throttled, RETRY),
    (429, "Throttling.RateQuota", "Requests rate limit exceeded, please try again later.", Throttled, RETRY),
    (429, "LimitRequests", "You have exceeded your request limit.", Throttled, RETRY),
    (429, "limit_requests", "You exceeded your current requests list.", Throttled, RETRY),
    (429, "Throttling.BurstRate", "Request rate increased too quickly.", Throttled, RETRY),
    (429, "limit_burst_rate", "", Throttled, RETRY),
    (
        429,
        "Throttling.AllocationQuota",
        "Allocated quota exceeded, please increase …",
        Throttled,
        RETRY,
    ),
    (429, "insufficient_quota", "Allocated quota exceeded, please increase …", Throttled, RETRY),
    (429, "Throttling.AllocationQuota", "Free allocated quota exceeded.", KeyRefused, STOP),
    (429, "insufficient_quota", "Free allocated quota exceeded", KeyRefused, STOP),
    (429, "CommodityNotPurchased", "", KeyRefused, STOP),
    (429, "PrepaidBillOverdue", "", KeyRefused, STOP),
    (429, "PostpaidBillOverdue", "", KeyRefused, STOP),
    (500, "InternalError", "", Unavailable, RETRY),
    (500, "internal_error", "", Unavailable, RETRY),
    (500, "SystemError", "", Unavailable, RETRY),
    (500, "ModelServiceFailed", "", Unavailable, RETRY),
    (500, "InternalError.Algo", "inference error", Unavailable, ONCE),
    (500, "InternalError.FileUpload", "", Unavailable, RETRY),
    (500, "InternalError.Upload", "", Unavailable, RETRY),
    (500, "InternalError.Timeout", "", Unavailable, ONCE),
    (500, "RequestTimeOut", "", Unavailable, RETRY),
    (500, "ResponseTimeout", "", Unavailable, RETRY),
    (500, "RewriteFailed", "", Unavailable, RETRY),
    (500, "ModelServingError", "Too many requests. Your requests are being throttled …", Unavailable, RETRY),
    (503, "ModelServingError", "Too many requests. Your requests are being throttled …", Unavailable, RETRY),
    (503, "ModelUnavailable", "", Unavailable, RETRY),
]


@pytest.mark.parametrize(
    ("status", "code", "message", "family", "verdict"), ROWS, ids=[f"{row[0]}-{row[1]}-{row[2][:20]}" for row in ROWS]
)
def test_each_documented_code_has_its_family_and_verdict(
    status: int, code: str, message: str, family: type[ServiceError], verdict: Verdict
) -> None:
    """A row of the service's error table says what a call raises and what a failed task is worth."""
    assert family_of(status, code, message) is family
    assert failed_task_verdict(code, message) is verdict


def test_no_row_of_the_table_goes_untested() -> None:
    """The test's rows and the table name the same codes."""

    def plain(code: str) -> str:
        return code.replace("_", "").lower()

    assert {plain(code) for code in TABLE} == {plain(row[1]) for row in ROWS} - {""}


@pytest.mark.parametrize("status", [200, 400, 403, 500])
def test_the_code_decides_before_the_status(status: int) -> None:
    """The service sends one code with several statuses; the code is what it means."""
    assert family_of(status, "InvalidApiKey") is KeyRefused
    assert family_of(status, "Throttling.RateQuota") is Throttled


@pytest.mark.parametrize(
    ("status", "family"),
    [
        (302, Unavailable),
        (400, JobRefused),
        (401, KeyRefused),
        (403, KeyRefused),
        (404, KeyRefused),
        (408, Unavailable),
        (409, JobRefused),
        (422, JobRefused),
        (429, Throttled),
        (500, Unavailable),
        (502, Unavailable),
        (503, Unavailable),
        (504, Unavailable),
    ],
)
@pytest.mark.parametrize("code", [None, "NeverHeardOf"])
def test_without_a_known_code_the_status_decides(status: int, code: str | None, family: type[ServiceError]) -> None:
    """5xx and 429 may pass, access is for a person, every other 4xx is about the job."""
    assert family_of(status, code) is family


def test_a_429_is_throttling_whatever_fault_its_code_names() -> None:
    """A call that was turned away made nothing, so even a create may wait and go on."""
    assert family_of(429, "ModelServingError", "Too many requests.") is Throttled


@pytest.mark.parametrize(
    ("code", "family", "verdict"),
    [
        ("InternalError.Brandnew", Unavailable, RETRY),
        ("Throttling.Brandnew", Throttled, RETRY),
        ("InvalidParameter.Brandnew", JobRefused, NO),
        ("AccessDenied.Brandnew", KeyRefused, STOP),
    ],
)
def test_an_unlisted_kind_of_a_code_counts_as_the_code(code: str, family: type[ServiceError], verdict: Verdict) -> None:
    """The part before the dot is enough to know what to do."""
    assert family_of(400, code) is family
    assert failed_task_verdict(code) is verdict


@pytest.mark.parametrize("code", [None, "", "NeverHeardOf"])
def test_a_failed_task_with_an_unknown_code_is_not_tried_again(code: str | None) -> None:
    """Nothing says that another task would do better."""
    assert failed_task_verdict(code) is NO
