"""The SDK's 2.x client, which raises where 1.x answers."""

from __future__ import annotations

import asyncio
import json
import shutil
from typing import TYPE_CHECKING, Any

import dashscope
import httpx
import pytest
from dashscope.common.error import UploadFileException
from dashscope.v2 import errors
from referee_parts import BUSY, FULL, KEY, LONG_SECONDS, MEDIA, MODEL, NOBODYS, ONE_PLACE, Served

from wanrun.emulator import ready_clip
from wanrun.emulator.calls import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from dashscope.v2.resources.videos import VideoJobs

pytestmark = pytest.mark.slow

FAR = [
    {"type": "video", "url": "https://example.com/in/clip-001.mp4"},
    {"type": "reference_image", "url": "https://example.com/in/coat.png"},
]
NO_CANCEL = "Failed to cancel the task, please confirm if the task is in PENDING status."


@pytest.fixture
def open_client() -> Iterator[Callable[..., dashscope.Client]]:
    """Return a function that opens a client of an emulator; it does not retry unless asked to."""
    opened = []

    def open_one(served: Served, **settings: Any) -> dashscope.Client:
        opened.append(dashscope.Client(base_url=served.url, **{"api_key": KEY, "max_retries": 0} | settings))
        return opened[-1]

    yield open_one
    for client in opened:
        client.close()


@pytest.fixture
def jobs_of(open_client: Callable[..., dashscope.Client]) -> Callable[..., VideoJobs]:
    """Return a function that gives the video tasks of an emulator."""
    return lambda served, **settings: open_client(served, **settings).videos.jobs


def test_a_task_is_made_waited_for_and_downloaded(
    open_emulator: Callable[..., Served], open_client: Callable[..., dashscope.Client]
) -> None:
    """`generate` does the first two, and its link needs no key."""
    served = open_emulator(seconds=0.05)

    job = open_client(served).videos.generate(
        model=MODEL, prompt="Turn it into clay.", media=FAR, resolution="720P", poll_interval=0.02
    )

    assert (job.succeeded, job.usage.duration, job.usage.SR) == (True, 4.0, 720)
    assert job.submitted_at < job.finished_at
    assert httpx.get(job.video_url, trust_env=False).content == ready_clip().data


@pytest.mark.parametrize("scheme", ["file://", ""])
def test_files_are_uploaded_and_named_in_the_create(
    open_emulator: Callable[..., Served], jobs_of: Callable[..., VideoJobs], scheme: str
) -> None:
    """Video and picture arrive byte for byte, by URI or by path, and the SDK asks to resolve their addresses."""
    served = open_emulator()
    files = {"video": MEDIA / "street.mp4", "reference_image": MEDIA / "coat.png"}

    made = jobs_of(served).create(model=MODEL, media=[{"type": t, "url": f"{scheme}{p}"} for t, p in files.items()])
    [call] = served.heard(Kind.CREATE)
    media = json.loads(call.body)["input"]["media"]

    assert [item["type"] for item in media] == list(files)
    assert [served.stored(item["url"]) for item in media] == [path.read_bytes() for path in files.values()]
    assert call.headers["x-dashscope-ossresourceresolve"] == "enable"
    assert jobs_of(served).fetch(made.task_id).usage.input_video_duration == 4.0


def test_one_policy_takes_a_name_once(
    open_emulator: Callable[..., Served], jobs_of: Callable[..., VideoJobs], tmp_path: Path
) -> None:
    """The SDK uploads both files under one policy by their own names: the second is refused, nothing is made."""
    served = open_emulator()
    urls = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        urls.append(f"file://{shutil.copy(MEDIA / 'coat.png', tmp_path / folder)}")

    with pytest.raises(UploadFileException, match="FileAlreadyExists"):
        jobs_of(served).create(model=MODEL, media=[FAR[0], *({"type": "reference_image", "url": url} for url in urls)])

    assert served.heard(Kind.CREATE) == []


REFUSALS = {
    "wrong key": ({"api_key": "nobody's"}, errors.AuthenticationError, 401, "InvalidApiKey"),
    "no such model": ({"model": "wan9"}, errors.BadRequestError, 404, "InvalidParameter"),
    "no model": ({"model": ""}, errors.BadRequestError, 400, "BadRequest.EmptyModel"),
    "another's upload": (
        {"media": [{"type": "video", "url": "oss://dashscope-instant/x/a.mp4"}]},
        errors.BadRequestError,
        400,
        "InvalidParameter.DataInspection",
    ),
}


@pytest.mark.parametrize(("more", "error", "status", "code"), REFUSALS.values(), ids=REFUSALS)
def test_a_refused_create_is_raised(
    open_emulator: Callable[..., Served],
    jobs_of: Callable[..., VideoJobs],
    more: dict[str, Any],
    error: type[errors.APIStatusError],
    status: int,
    code: str,
) -> None:
    """As the class that the SDK has for it, with status, code and request id."""
    served = open_emulator()

    with pytest.raises(error) as caught:
        jobs_of(served).create(**{"model": MODEL, "prompt": "Turn it into clay.", "media": FAR} | more)

    assert (caught.value.status_code, caught.value.code) == (status, code)
    assert caught.value.request_id


def test_a_body_that_is_no_json_is_raised(
    open_emulator: Callable[..., Served], open_client: Callable[..., dashscope.Client]
) -> None:
    """With the service's own words for it."""
    transport = open_client(open_emulator()).transport
    path, headers = "/services/aigc/video-generation/video-synthesis", {"X-DashScope-Async": "enable"}

    with pytest.raises(errors.BadRequestError, match="Required body invalid, please check the request body format"):
        errors.check_response(transport.request("POST", path, content=b"{media:", headers=headers))


CALLS: dict[str, Callable[[VideoJobs], object]] = {
    "create": lambda jobs: jobs.create(model=MODEL, media=FAR),
    "fetch": lambda jobs: jobs.fetch(NOBODYS),
    "list": lambda jobs: jobs.list(),
    "cancel": lambda jobs: jobs.cancel(NOBODYS),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_throttled_call_is_raised(
    open_emulator: Callable[..., Served], jobs_of: Callable[..., VideoJobs], call: Callable[[VideoJobs], object]
) -> None:
    """As the error that tells users of the SDK to slow down."""
    with pytest.raises(errors.RateLimitError, match="Requests rate limit exceeded") as caught:
        call(jobs_of(open_emulator(limits=BUSY)))

    assert (caught.value.status_code, caught.value.code) == (429, "Throttling.RateQuota")


def test_a_full_queue_is_raised(open_emulator: Callable[..., Served], jobs_of: Callable[..., VideoJobs]) -> None:
    """As a quota that is used up."""
    with pytest.raises(errors.RateLimitError) as caught:
        jobs_of(open_emulator(limits=FULL)).create(model=MODEL, media=FAR)

    assert caught.value.code == "Throttling.AllocationQuota"


@pytest.mark.parametrize("status", [429, 503])
def test_the_sdk_comes_back_when_it_is_told_to(
    open_emulator: Callable[..., Served], jobs_of: Callable[..., VideoJobs], status: int
) -> None:
    """It reads `Retry-After`, and its second try makes the one task."""
    served = open_emulator({"on": "create", "nth": 1, "do": {"status": status, "retry_after": 0.01}})
    jobs = jobs_of(served, max_retries=1)

    jobs.create(model=MODEL, media=FAR)

    assert len(served.heard(Kind.CREATE)) == 2
    assert jobs.list().total == 1


def test_a_lost_answer_makes_the_sdk_pay_twice(
    open_emulator: Callable[..., Served], jobs_of: Callable[..., VideoJobs]
) -> None:
    """The connection breaks after the task was made; the SDK's retry makes another one."""
    served = open_emulator({"on": "create", "nth": 1, "do": {"reset": "after"}})
    jobs = jobs_of(served, max_retries=1)

    jobs.create(model=MODEL, media=FAR)

    assert jobs.list().total == 2


FAILURES = {
    "no media": ({"media": None}, errors.BadRequestError, "InvalidParameter", "Field required: input.media"),
    "bad value": ({"resolution": "4K"}, errors.BadRequestError, "InvalidParameter", "resolution is out of range"),
    "moderated": (
        {"prompt": "doomed"},
        errors.ContentFilterError,
        "DataInspectionFailed",
        "Output data may contain inappropriate content.",
    ),
}


@pytest.mark.parametrize(("more", "error", "code", "message"), FAILURES.values(), ids=FAILURES)
def test_a_failed_task_is_raised_by_the_fetch(
    open_emulator: Callable[..., Served],
    jobs_of: Callable[..., VideoJobs],
    more: dict[str, Any],
    error: type[errors.APIStatusError],
    code: str,
    message: str,
) -> None:
    """The create was taken; code and message come from the task, under status 200."""
    doom = {"code": "DataInspectionFailed", "message": "Output data may contain inappropriate content."}
    jobs = jobs_of(open_emulator({"on": "create", "prompt": "doomed", "do": {"fail": doom}}))
    made = jobs.create(**{"model": MODEL, "prompt": "Turn it into clay.", "media": FAR} | more)

    with pytest.raises(error, match=message) as caught:
        jobs.wait(made, poll_interval=0.01)

    assert made.status == "PENDING"
    assert (caught.value.status_code, caught.value.code) == (200, code)


def test_a_task_that_nobody_made_is_unknown(
    open_emulator: Callable[..., Served], jobs_of: Callable[..., VideoJobs]
) -> None:
    """Which ends a wait without an error."""
    jobs = jobs_of(open_emulator())

    assert jobs.fetch(NOBODYS).status == "UNKNOWN"
    assert jobs.wait(NOBODYS).status == "UNKNOWN"


def test_a_malformed_id_is_raised(open_emulator: Callable[..., Served], jobs_of: Callable[..., VideoJobs]) -> None:
    """An id that cannot be one is refused, not unknown."""
    with pytest.raises(errors.BadRequestError) as caught:
        jobs_of(open_emulator()).fetch("task-1")

    assert (caught.value.status_code, caught.value.code) == (400, "InvalidParameter")


def test_only_a_waiting_task_is_cancelled(
    open_emulator: Callable[..., Served], jobs_of: Callable[..., VideoJobs]
) -> None:
    """The one that runs, and one that nobody made, are refused; waiting for the cancelled one is an error."""
    jobs = jobs_of(open_emulator(limits=ONE_PLACE, seconds=LONG_SECONDS))
    running, waiting = (jobs.create(model=MODEL, media=FAR) for _ in range(2))

    jobs.cancel(waiting.task_id)
    for task_id in (running.task_id, NOBODYS):
        with pytest.raises(errors.BadRequestError, match=NO_CANCEL):
            jobs.cancel(task_id)

    assert [jobs.fetch(job.task_id).status for job in (running, waiting)] == ["RUNNING", "CANCELED"]
    with pytest.raises(errors.DashScopeError, match="was canceled while waiting"):
        jobs.wait(waiting.task_id)


def test_the_list_is_counted_and_filtered(
    open_emulator: Callable[..., Served], open_client: Callable[..., dashscope.Client]
) -> None:
    """The rows are under `data`, as documented, where 2.0.2 does not look for them: it shows their number alone."""
    client = open_client(open_emulator())
    jobs = client.videos.jobs
    made = [jobs.create(model=MODEL, media=FAR).task_id for _ in range(3)]

    pages = [jobs.list(), jobs.list(page_size=2), jobs.list(status="FAILED"), jobs.list(model_name=MODEL)]
    rows = client.transport.request("GET", "/tasks").json()["data"]

    assert [page.total for page in pages] == [3, 3, 0, 3]
    assert [page.page_size for page in pages] == [10, 2, 10, 10]
    assert [page.tasks for page in pages] == [[]] * 4
    assert [row["task_id"] for row in rows] == made[::-1]


def test_the_asyncio_client_does_all_of_it(open_emulator: Callable[..., Served]) -> None:
    """Upload, create, wait, list, and a cancel that comes too late."""
    served = open_emulator(seconds=0.05)

    async def story() -> tuple[Any, int]:
        async with dashscope.AsyncClient(api_key=KEY, base_url=served.url, max_retries=0) as client:
            media = [{"type": "video", "url": f"file://{MEDIA / 'street.mp4'}"}]
            job = await client.videos.generate(model=MODEL, media=media, poll_interval=0.02)
            with pytest.raises(errors.BadRequestError, match=NO_CANCEL):
                await client.videos.jobs.cancel(job.task_id)
            return job, (await client.videos.jobs.list()).total

    job, total = asyncio.run(story())

    assert (job.succeeded, job.usage.input_video_duration, total) == (True, 4.0, 1)
