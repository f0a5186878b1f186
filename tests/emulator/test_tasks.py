"""Create, query, list and cancel, by the documented bodies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx
    from trio.testing import MockClock

VIDEO = {"type": "video", "url": "https://example.com/in/clip-001.mp4"}
IMAGE = {"type": "reference_image", "url": "https://example.com/in/coat.png"}
CREATE = "/services/aigc/video-generation/video-synthesis"
CANNOT_CANCEL = {
    "code": "UnsupportedOperation",
    "message": "Failed to cancel the task, please confirm if the task is in PENDING status.",
}


def said(response: httpx.Response) -> dict[str, Any]:
    """Return a body without its request id, which is new each time."""
    body = dict(response.json())
    assert body.pop("request_id")
    return body


async def test_create_answers_with_a_pending_task(open_service: Callable[..., Any], autojump_clock: MockClock) -> None:
    """The body is the documented one, and the account says who it is."""
    service = open_service()

    response = await service.create()

    task_id = response.json()["output"]["task_id"]
    assert response.status_code == 200
    assert said(response) == {"output": {"task_status": "PENDING", "task_id": task_id}}
    assert response.headers["X-Wanrun-Emulator"] == service.account.id


async def test_a_task_goes_from_pending_over_running_to_succeeded(
    open_service: Callable[..., Any], autojump_clock: MockClock
) -> None:
    """Each state shows the fields that are documented for it, times in UTC+8."""
    service = open_service(origin="http://127.0.0.1:8080")
    task_id = await service.made("Make it clay.", resolution="720P")

    pending = await service.api.get(f"/tasks/{task_id}")
    await trio.sleep(2)
    running = await service.api.get(f"/tasks/{task_id}")
    await trio.sleep(60)
    done = await service.api.get(f"/tasks/{task_id}")

    known = {"task_id": task_id, "submit_time": "2026-11-02 10:00:00.000"}
    assert said(pending) == {"output": known | {"task_status": "PENDING"}}
    known["scheduled_time"] = "2026-11-02 10:00:01.000"
    assert said(running) == {"output": known | {"task_status": "RUNNING"}}
    known |= {"task_status": "SUCCEEDED", "end_time": "2026-11-02 10:01:01.000", "orig_prompt": "Make it clay."}
    link = done.json()["output"]["video_url"]
    assert link.startswith("http://127.0.0.1:8080/")
    assert "Expires=1793671261" in link
    assert said(done) == {
        "output": known | {"video_url": link},
        "usage": {
            "duration": 4.0,
            "input_video_duration": 2.0,
            "output_video_duration": 2.0,
            "video_count": 1,
            "SR": 720,
        },
    }


async def test_a_task_that_nobody_made_is_unknown(open_service: Callable[..., Any], autojump_clock: MockClock) -> None:
    """The answer is 200 with UNKNOWN, as for one that is too old."""
    task_id = "00000000-0000-4000-8000-000000000001"

    response = await open_service().api.get(f"/tasks/{task_id}")

    assert response.status_code == 200
    assert said(response) == {"output": {"task_id": task_id, "task_status": "UNKNOWN"}}


async def test_a_task_id_that_is_none_is_refused(open_service: Callable[..., Any], autojump_clock: MockClock) -> None:
    """The query itself fails, with the flat body."""
    response = await open_service().api.get("/tasks/hello")

    assert response.status_code == 400
    assert response.json()["code"] == "InvalidParameter"


async def test_a_task_is_forgotten_after_a_day(open_service: Callable[..., Any], autojump_clock: MockClock) -> None:
    """24 h after it was made a query says UNKNOWN, and the list leaves it away."""
    service = open_service()
    task_id = await service.made()

    await trio.sleep(24 * 3600 - 1)
    before = (await service.output(task_id))["task_status"]
    await trio.sleep(1)

    assert before == "SUCCEEDED"
    assert await service.output(task_id) == {"task_id": task_id, "task_status": "UNKNOWN"}
    assert (await service.api.get("/tasks")).json()["total"] == 0


async def test_what_is_too_long_is_cut_off_silently(
    open_service: Callable[..., Any], autojump_clock: MockClock
) -> None:
    """A prompt keeps its first 5000 characters."""
    service = open_service()
    task_id = await service.made("字" * 6000)
    await trio.sleep(100)

    assert (await service.output(task_id))["orig_prompt"] == "字" * 5000


REFUSED: dict[str, tuple[dict[str, str], str, Any, int, str, str]] = {
    # headers, Authorization, body, status, code, message
    "no key": ({}, "", {}, 401, "InvalidApiKey", "No API-key provided."),
    "no bearer": ({}, "Basic sk-1", {}, 401, "InvalidApiKey", "Invalid API-key provided."),
    "wrong key": ({}, "Bearer sk-bad", {}, 401, "InvalidApiKey", "Invalid API-key provided."),
    "no key at all": ({}, "Bearer hello", {}, 401, "InvalidApiKey", "Invalid API-key provided."),
    "not asynchronous": (
        {"X-DashScope-Async": ""},
        "Bearer sk-1",
        {"model": "wan2.7-videoedit"},
        403,
        "AccessDenied",
        "current user api does not support synchronous calls.",
    ),
    "no object": (
        {},
        "Bearer sk-1",
        [],
        400,
        "InvalidParameter",
        "Required body invalid, please check the request body format.",
    ),
    "unknown model": ({}, "Bearer sk-1", {"model": "wan9"}, 404, "InvalidParameter", "Model not exist."),
    "no model": ({}, "Bearer sk-1", {}, 400, "BadRequest.EmptyModel", "Required parameter model is missing."),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_create_is_refused_at_once_for(
    open_service: Callable[..., Any], autojump_clock: MockClock, name: str
) -> None:
    """Key, header, JSON and model are looked at before a task is made."""
    headers, key, body, status, code, message = REFUSED[name]
    service = open_service(refused_keys={"sk-bad"})
    service.api.headers["Authorization"] = key

    response = await service.send(body, **headers)

    assert response.status_code == status
    assert said(response) == {"code": code, "message": message}
    assert service.account.tasks == {}


async def test_a_body_that_is_no_json_is_refused(open_service: Callable[..., Any], autojump_clock: MockClock) -> None:
    """The message is the documented one."""
    response = await open_service().api.post(CREATE, content=b"{", headers={"X-DashScope-Async": "enable"})

    assert response.status_code == 400
    assert response.json()["message"] == "Required body invalid, please check the request body format."


async def test_only_named_keys_work_when_keys_are_named(
    open_service: Callable[..., Any], autojump_clock: MockClock
) -> None:
    """`keys` is a closed list."""
    assert (await open_service(key="sk-one", keys={"sk-one"}).create()).status_code == 200
    assert (await open_service(key="sk-two", keys={"sk-one"}).create()).status_code == 401


BAD_BODIES: dict[str, tuple[dict[str, Any], str, str]] = {
    "no input": ({}, "InvalidParameter", "Field required: input"),
    "no media": ({"input": {"prompt": "x"}}, "InvalidParameter", "Field required: input.media"),
    "no type": (
        {"input": {"media": [{"url": "https://example.com/a.mp4"}]}},
        "InvalidParameter",
        "Field required: input.media.0.type",
    ),
    "no url": (
        {"input": {"media": [VIDEO, {"type": "reference_image"}]}},
        "InvalidParameter",
        "Field required: input.media.1.url",
    ),
    "two videos": (
        {"input": {"media": [VIDEO, VIDEO]}},
        "InvalidParameter",
        "The number of video in input.media should be 1 to 1, got 2",
    ),
    "five images": (
        {"input": {"media": [VIDEO, *[IMAGE] * 5]}},
        "InvalidParameter",
        "The number of reference_image in input.media should be 0 to 4, got 5",
    ),
    "video as data": (
        {"input": {"media": [{"type": "video", "url": "data:video/mp4;base64,AAAA"}]}},
        "InvalidParameter",
        "A data URL is not supported: input.media.0.url",
    ),
    "a path": (
        {"input": {"media": [{"type": "video", "url": "clip.mp4"}]}},
        "InvalidURL",
        "Required URL is missing or invalid: input.media.0.url",
    ),
    "small p": (
        {"input": {"media": [VIDEO]}, "parameters": {"resolution": "720p"}},
        "InvalidParameter",
        "resolution is out of range: parameters.resolution",
    ),
    "one second": (
        {"input": {"media": [VIDEO]}, "parameters": {"duration": 1}},
        "InvalidParameter",
        "duration is out of range: parameters.duration",
    ),
    "input is text": ({"input": "x"}, "InvalidParameter", "Input should be a valid dictionary: input"),
    "prompt is a number": (
        {"input": {"prompt": 5, "media": [VIDEO]}},
        "InvalidParameter",
        "Input should be a valid string: input.prompt",
    ),
}


@pytest.mark.parametrize("name", BAD_BODIES)
async def test_create_takes_a_bad_body_and_the_first_query_shows_it_failed(
    open_service: Callable[..., Any], autojump_clock: MockClock, name: str
) -> None:
    """Validation is asynchronous, and what failed is not billed and takes no place."""
    body, code, message = BAD_BODIES[name]
    service = open_service()

    response = await service.send({"model": "wan2.7-videoedit", **body})
    output = await service.output(response.json()["output"]["task_id"])

    assert response.status_code == 200
    assert response.json()["output"]["task_status"] == "PENDING"
    assert (output["task_status"], output["code"], output["message"]) == ("FAILED", code, message)
    assert service.account.statement()["tasks_billed"] == 0
    assert service.account.statement()["peak_running"] == 0


async def test_unknown_parameters_are_passed_over(open_service: Callable[..., Any], autojump_clock: MockClock) -> None:
    """Nobody has seen the service mind them."""
    service = open_service()
    task_id = await service.made(sharpness=11)
    await trio.sleep(100)

    assert (await service.output(task_id))["task_status"] == "SUCCEEDED"


@pytest.mark.parametrize("path", ["/tasks", "/tasks/00000000-0000-4000-8000-000000000001"])
async def test_reading_with_the_async_header_is_refused(
    open_service: Callable[..., Any], autojump_clock: MockClock, path: str
) -> None:
    """The header belongs to the create alone."""
    response = await open_service().api.get(path, headers={"X-DashScope-Async": "enable"})

    assert response.status_code == 403
    assert said(response) == {
        "code": "AccessDenied",
        "message": "current user api does not support asynchronous calls.",
    }


async def test_the_empty_list_is_the_documented_one(
    open_service: Callable[..., Any], autojump_clock: MockClock
) -> None:
    """Page 1 of 0, ten rows a page."""
    response = await open_service().api.get("/tasks/")

    assert said(response) == {"total": 0, "total_page": 0, "page_no": 1, "page_size": 10, "data": []}


async def test_the_list_shows_the_newest_first_and_no_results(
    open_service: Callable[..., Any], autojump_clock: MockClock
) -> None:
    """A row has the submit request's id and times in milliseconds, and neither link nor prompt."""
    service = open_service(region="beijing")
    first = (await service.create("one")).json()
    await trio.sleep(2)
    second = (await service.create("two")).json()

    page = (await service.api.get("/tasks")).json()

    assert [row["task_id"] for row in page["data"]] == [second["output"]["task_id"], first["output"]["task_id"]]
    assert page["data"][1] == {
        "api_key_id": "1001",
        "caller_parent_id": "2001",
        "caller_uid": "2001",
        "gmt_create": 1793584800000,
        "start_time": 1793584801000,
        "model_name": "wan2.7-videoedit",
        "region": "cn-beijing",
        "request_id": first["request_id"],
        "status": "RUNNING",
        "task_id": first["output"]["task_id"],
        "user_api_unique_key": "apikey:v1:aigc:video-generation:video-synthesis:wan2.7-videoedit",
    }


async def test_pages_of_the_list_hold_each_task_once(
    open_service: Callable[..., Any], autojump_clock: MockClock
) -> None:
    """Seven tasks, three a page, newest first."""
    service = open_service()
    made = []
    for number in range(7):
        made.append(await service.made(str(number)))
        await trio.sleep(0.5)

    pages = [(await service.api.get("/tasks", params={"page_no": n, "page_size": 3})).json() for n in (1, 2, 3, 4)]

    assert [page["total_page"] for page in pages] == [3] * 4
    assert [row["task_id"] for page in pages for row in page["data"]] == made[::-1]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"status": "SUCCEEDED"}, ["old"]),
        ({"status": "PENDING"}, ["new"]),
        ({"model_name": "wan2.7-videoedit"}, ["new", "old"]),
        ({"model_name": "wan2.7-t2v"}, []),
        ({"start_time": "20261102101000"}, ["new"]),
        ({"end_time": "20261102101000"}, ["old"]),
        ({"start_time": "20261102095900", "end_time": "20261102103000"}, ["new", "old"]),
    ],
    ids=str,
)
async def test_the_list_filters(
    open_service: Callable[..., Any], autojump_clock: MockClock, query: dict[str, str], found: list[str]
) -> None:
    """One given end of the window is enough to place its 24 hours."""
    service = open_service()
    names = {await service.made("old"): "old"}
    await trio.sleep(1200)
    names[await service.made("new")] = "new"

    page = (await service.api.get("/tasks", params=query)).json()

    assert [names[row["task_id"]] for row in page["data"]] == found


async def test_the_list_finds_one_task_by_its_id(open_service: Callable[..., Any], autojump_clock: MockClock) -> None:
    """The filter is exact."""
    service = open_service()
    task_id, _ = await service.made("one"), await service.made("two")

    page = (await service.api.get("/tasks", params={"task_id": task_id})).json()

    assert [row["task_id"] for row in page["data"]] == [task_id]


@pytest.mark.parametrize(
    "query",
    [
        {"start_time": "yesterday"},
        {"start_time": "20261101000000", "end_time": "20261103000000"},
        {"page_no": "0"},
        {"page_size": "x"},
        {"page_size": "101"},
    ],
    ids=str,
)
async def test_the_list_refuses(
    open_service: Callable[..., Any], autojump_clock: MockClock, query: dict[str, str]
) -> None:
    """Windows longer than a day and numbers that are none."""
    response = await open_service().api.get("/tasks", params=query)

    assert response.status_code == 400
    assert response.json()["code"] == "InvalidParameter"


async def test_a_pending_task_can_be_cancelled(open_service: Callable[..., Any], autojump_clock: MockClock) -> None:
    """The answer is a request id alone, the task CANCELED, and it costs nothing."""
    service = open_service()
    task_id = await service.made()

    response = await service.api.post(f"/tasks/{task_id}/cancel")
    await trio.sleep(1000)

    assert response.status_code == 200
    assert said(response) == {}
    assert await service.output(task_id) == {"task_id": task_id, "task_status": "CANCELED"}
    assert service.account.statement()["billed_seconds"] == 0


@pytest.mark.parametrize("after", [2, 1000], ids=["running", "done"])
async def test_a_task_that_has_begun_cannot_be_cancelled(
    open_service: Callable[..., Any], autojump_clock: MockClock, after: float
) -> None:
    """The refusal is the documented one, and the task goes on."""
    service = open_service()
    task_id = await service.made()
    await trio.sleep(after)

    response = await service.api.post(f"/tasks/{task_id}/cancel")
    await trio.sleep(1000)

    assert response.status_code == 400
    assert said(response) == CANNOT_CANCEL
    assert (await service.output(task_id))["task_status"] == "SUCCEEDED"


async def test_a_task_that_nobody_made_cannot_be_cancelled(
    open_service: Callable[..., Any], autojump_clock: MockClock
) -> None:
    """It is refused like one that has begun."""
    response = await open_service().api.post("/tasks/00000000-0000-4000-8000-000000000001/cancel")

    assert response.status_code == 400
    assert said(response) == CANNOT_CANCEL


async def test_a_slash_at_the_end_of_a_path_changes_nothing(
    open_service: Callable[..., Any], autojump_clock: MockClock
) -> None:
    """The official SDK's asyncio classes write one when they query and cancel."""
    service = open_service()
    task_id = await service.made()

    queried = await service.api.get(f"/tasks/{task_id}/")
    cancelled = await service.api.post(f"/tasks/{task_id}/cancel/")

    assert queried.json()["output"]["task_id"] == task_id
    assert cancelled.status_code == 200
    assert (await service.output(task_id))["task_status"] == "CANCELED"


async def test_a_cancel_has_to_be_posted(open_service: Callable[..., Any], autojump_clock: MockClock) -> None:
    """An old SDK's asyncio class sends GET, and must not hear of success."""
    service = open_service()
    task_id = await service.made()

    response = await service.api.get(f"/tasks/{task_id}/cancel")

    assert response.status_code == 404
    assert (await service.output(task_id))["task_status"] == "PENDING"


async def test_a_path_that_the_service_does_not_know_is_not_found(
    open_service: Callable[..., Any], autojump_clock: MockClock
) -> None:
    """The body is flat, like every error's."""
    response = await open_service().api.get("/models/secret")

    assert response.status_code == 404
    assert response.json()["code"] == "NotFound"
