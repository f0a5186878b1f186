"""The service's table of errors, row by row, as its documentation lists them: what a create, a query and a failed task
with each of them mean to the real client.

The rows are written down from the documentation, not from `wanrun.client.codes`; the last column is what to do:
`no` fails again unchanged, `once` may pass at a second try, `retry` passes, `stop` would hit every job.
"""

from __future__ import annotations

import httpx
import pytest
from client_parts import BODY, PATH, TASK, client_of, error_of

from wanrun.client import PolicyExpired, Verdict, failed_task_verdict
from wanrun.errors import JobRefused, KeyRefused, ServiceError, Throttled, Unavailable, Unsure

TABLE = """
400 | InvalidParameter | Required body invalid, please check the request body format. | no
400 | InvalidParameter | url error, please check url! | no
400 | InvalidParameter | Field required: input.media | no
400 | InvalidParameter | Field required: input.media.0.type | no
400 | InvalidParameter | The size is not match 16*16 | no
400 | InvalidParameter | Model not exist. | stop
404 | InvalidParameter | Model not exist. | stop
400 | InvalidParameter | Failed to download https://example.com/in/clip-001.mp4 | once
400 | InvalidParameter.DataInspection | Unable to download the media resource during the data inspection process. | once
400 | InvalidParameter.DataInspection | Download the media resource timed out during the data inspection process. | once
400 | InvalidParameter.DataInspection | Failed to find the requested media resource during the data inspection. | once
400 | invalid_parameter_error | The URL cannot be resolved | no
400 | InvalidURL | Invalid URL provided | no
400 | InvalidURL | Required URL is missing or invalid | no
400 | InvalidURL.ConnectionRefused | Connection refused | once
400 | InvalidURL.Timeout | Timeout | once
400 | InvalidFile.DownloadFailed | Download failed | once
400 | InvalidFile.Format | no such format | no
400 | InvalidFile.Openerror | cannot be opened | no
400 | InvalidFile.Size | too large | no
400 | InvalidFile.Duration | too long | no
400 | InvalidFile.Resolution | too small | no
400 | InvalidFile.FPS | fps must be 15 to 60 | no
400 | InvalidFile.AspectRatio | too wide | no
400 | InvalidFile.ImageSize | too large | no
400 | InvalidImage.FileFormat | no such format | no
400 | InvalidImageFormat | no such format | no
400 | InvalidImageResolution | too small | no
400 | BadRequest.EmptyInput | empty | no
400 | BadRequest.EmptyParameters | empty | no
400 | BadRequest.EmptyModel | empty | no
400 | BadRequest.IllegalInput | illegal | no
400 | BadRequest.UnsupportedFileFormat | no such format | no
400 | BadRequest.TooLarge | too large | no
400 | BadRequest.InputDownloadFailed | Download failed | once
400 | Arrearage | Access denied, please make sure your account is in good standing. | stop
400 | DataInspectionFailed | Input data may contain inappropriate content. | no
400 | DataInspectionFailed | Output data may contain inappropriate content. | no
400 | data_inspection_failed | Input or output data may contain inappropriate content. | no
400 | IPInfringementSuspect | suspected | no
400 | CustomRoleBlocked | blocked | no
400 | FaqRuleBlocked | blocked | no
400 | UnsupportedOperation | Failed to cancel the task, please confirm if the task is in PENDING status. | no
401 | InvalidApiKey | No API-key provided. | stop
401 | InvalidApiKey | Invalid API-key provided. | stop
401 | invalid_api_key | Incorrect API key provided | stop
401 | NOT AUTHORIZED | not authorized | stop
403 | AccessDenied | current user api does not support synchronous calls. | stop
403 | AccessDenied | current user api does not support asynchronous calls. | stop
403 | AccessDenied.Unpurchased | not activated | stop
403 | Model.AccessDenied | no right | stop
403 | Workspace.AccessDenied | no right | stop
403 | App.AccessDenied | no right | stop
403 | Endpoint.AccessDenied | retired | stop
403 | AllocationQuota.FreeTierOnly | The free tier of the model has been exhausted. | stop
404 | ModelNotFound | no such model | stop
404 | model_not_found | no such model | stop
404 | WorkSpaceNotFound | no such workspace | stop
404 | NotFound | not found | stop
409 | Conflict | conflict | no
429 | Throttling | Requests throttling triggered. | retry
429 | Throttling | Too many requests in route. Please try again later. | retry
429 | Throttling.RateQuota | Requests rate limit exceeded, please try again later. | retry
429 | LimitRequests | You have exceeded your request limit. | retry
429 | limit_requests | You exceeded your current requests list. | retry
429 | Throttling.BurstRate | Request rate increased too quickly. | retry
429 | limit_burst_rate | Request rate increased too quickly. | retry
429 | Throttling.AllocationQuota | Allocated quota exceeded, please increase your quota limit. | retry
429 | insufficient_quota | Allocated quota exceeded, please increase your quota limit. | retry
429 | Throttling.AllocationQuota | Free allocated quota exceeded. | stop
429 | CommodityNotPurchased | not purchased | stop
429 | PrepaidBillOverdue | overdue | stop
429 | PostpaidBillOverdue | overdue | stop
500 | InternalError | Internal server error. | retry
500 | internal_error | Internal server error. | retry
500 | SystemError | system error | retry
500 | ModelServiceFailed | failed | retry
500 | InternalError.Algo | inference error | once
500 | InternalError.FileUpload | the result could not be stored | retry
500 | InternalError.Upload | the result could not be stored | retry
500 | InternalError.Timeout | no result within 3 h | once
500 | RequestTimeOut | over 300 s | retry
500 | ResponseTimeout | over 300 s | retry
500 | RewriteFailed | prompt rewriting failed | retry
500 | ModelServingError | Too many requests. Your requests are being throttled due to system capacity limits. | retry
503 | ModelServingError | Too many requests. Your requests are being throttled due to system capacity limits. | retry
503 | ModelUnavailable | temporarily off | retry
"""

ROWS = [tuple(cell.strip() for cell in line.split(" | ")) for line in TABLE.strip().splitlines()]
IDS = [" ".join(row[:2]) + f" {number}" for number, row in enumerate(ROWS)]
EACH = pytest.mark.parametrize(("status", "code", "message", "what"), ROWS, ids=IDS)


def answer(status: str, code: str, message: str) -> httpx.Response:
    """Return an error as the service words it."""
    return httpx.Response(int(status), json={"code": code, "message": message, "request_id": "r-1"})


def family(status: str, what: str) -> type[ServiceError]:
    """Return what a call that costs nothing raises."""
    if what == "stop":
        return KeyRefused
    if status == "429":
        return Throttled
    return Unavailable if int(status) >= 500 else JobRefused


@EACH
async def test_a_query_is_answered_by_it(status: str, code: str, message: str, what: str) -> None:
    """Stop, give the job up, wait because of too many calls, or wait because of a fault: each row is one of these."""
    async with client_of(answer(status, code, message)) as client:
        error = await error_of(client.query(TASK))

    assert type(error) is family(status, what)
    assert (error.status, error.code, error.request_id) == (int(status), code, "r-1")
    assert message in error.message


@EACH
async def test_a_create_is_answered_by_it(status: str, code: str, message: str, what: str) -> None:
    """The same, except that after any 5xx a task may exist: that is never simply sent again."""
    async with client_of(answer(status, code, message)) as client:
        error = await error_of(client.create(BODY, path=PATH))

    assert type(error) is (Unsure if int(status) >= 500 else family(status, what))
    assert error.request_id == "r-1"


@EACH
async def test_a_task_has_failed_with_it(status: str, code: str, message: str, what: str) -> None:
    """A task that failed was not billed: the same words say whether another one may do better."""
    output = {"task_id": TASK, "task_status": "FAILED", "code": code, "message": message}
    async with client_of(httpx.Response(200, json={"request_id": "r-2", "output": output})) as client:
        task = await client.query(TASK)

    assert (task.status, task.code, task.message) == ("FAILED", code, message)
    assert failed_task_verdict(task.code, task.message or "") is Verdict(what)


async def test_an_upload_policy_that_has_expired_is_renewed() -> None:
    """The one row of its own family; at a create it would prove nothing, so that stays unsure."""
    expired = ("403", "AccessDenied", "Invalid according to Policy: Policy expired.")
    async with client_of(answer(*expired)) as client:
        upload, create = await error_of(client.upload_policy("m")), await error_of(client.create(BODY, path=PATH))

    assert (type(upload), type(create)) == (PolicyExpired, Unsure)


@pytest.mark.parametrize("wrap", [True, False], ids=["wrapped", "flat"])
async def test_either_shape_of_an_error_says_the_same(wrap: bool) -> None:
    """The service's newer endpoints wrap an error in `error`."""
    body = {"code": "Arrearage", "message": "pay"}
    async with client_of(httpx.Response(400, json={"error": body} if wrap else body)) as client:
        error = await error_of(client.query(TASK))

    assert (type(error), error.code) == (KeyRefused, "Arrearage")
