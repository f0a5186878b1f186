"""The client and the emulator's account understand each other: every call, in virtual time, without a socket."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trio

from wanrun.client import (
    CancelTooLate,
    Client,
    Download,
    PolicyExpired,
    ServiceIdentity,
    TaskStatus,
    Verdict,
    endpoint_for,
    failed_task_verdict,
)
from wanrun.emulator import Account, Faults, account_transport, virtual_clock
from wanrun.errors import KeyRefused, LinkExpired, ServiceError, SourceError, Throttled, Unavailable, Unsure
from wanrun.types import Secret

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trio.testing import MockClock

MODEL = "wan2.7-videoedit"
NOBODY = "00000000-0000-4000-8000-000000000009"  #: a task that was never made
PATH = "/services/aigc/video-generation/video-synthesis"


def body(prompt: str = "Turn it into clay.", url: str = "https://example.com/a.mp4") -> dict[str, Any]:
    """Return the body of a create."""
    return {"model": MODEL, "input": {"prompt": prompt, "media": [{"type": "video", "url": url}]}}


def opened(*faults: dict[str, Any], key: str = "sk-test", **settings: Any) -> tuple[Account, Client]:
    """Return an account in virtual time and a client of it."""
    account = Account(clock=virtual_clock(), seed=1, seconds=60.0, faults=Faults({"faults": list(faults)}), **settings)

    async def inline(function: Callable[[], Any], /) -> Any:
        return function()  # a thread would let the virtual clock jump meanwhile

    endpoint = endpoint_for(base_url="http://127.0.0.1/api/v1")
    transport = account_transport(account)
    return account, Client(endpoint, Secret(key), transport=transport, now=account.clock, in_thread=inline)


async def test_a_task_goes_from_create_to_its_film(autojump_clock: MockClock) -> None:
    """Create, query, list, download: what one says the other understands."""
    account, client = opened()

    async with client:
        made = await client.create(body(), path=PATH)
        waiting = await client.query(made.task_id)
        await trio.sleep(400)
        done = await client.query(made.task_id)
        page = await client.list_tasks(model=MODEL)
        assert done.link is not None
        async with client.download(done.link) as download:
            film = b"".join([chunk async for chunk in download.chunks])

    assert (made.status, waiting.status, done.status) == (
        TaskStatus.PENDING,
        TaskStatus.PENDING,
        TaskStatus.SUCCEEDED,
    )
    assert waiting.submitted_at == pytest.approx(account.started_at, abs=5)
    assert done.submitted_at == waiting.submitted_at
    assert done.ended_at is not None
    assert done.link_expires_at == pytest.approx(done.ended_at + 86400, abs=1)
    assert done.orig_prompt == "Turn it into clay."
    assert done.usage is not None
    assert done.usage.billed_seconds > 0
    (row,) = page.rows
    assert (row.task_id, row.request_id, row.model) == (made.task_id, made.request_id, MODEL)
    assert row.created_at == pytest.approx(done.submitted_at, abs=0.01)
    assert download.total_bytes == len(film)
    assert b"ftyp" in film[:16]
    assert client.identity == ServiceIdentity(account.id)


async def test_a_download_resumes_by_range(autojump_clock: MockClock) -> None:
    """The store of the account proves that it goes on with the same file."""
    _, client = opened({"on": "download", "nth": 1, "do": {"cut_after_bytes": 1000}})
    pieces: list[bytes] = []

    async with client:
        link = await finished_link(client)
        async with client.download(link) as first:
            with pytest.raises(Unavailable):
                await collect(first, pieces)
        begun = b"".join(pieces)
        async with client.download(link, offset=len(begun), etag=first.etag) as second:
            assert second.offset == len(begun)
            rest = b"".join([chunk async for chunk in second.chunks])
        async with client.download(link) as whole:
            assert begun + rest == b"".join([chunk async for chunk in whole.chunks])


async def collect(download: Download, pieces: list[bytes]) -> None:
    """Gather what comes, as long as it comes."""
    async for chunk in download.chunks:
        pieces.append(chunk)


async def test_a_link_ends_when_it_says(autojump_clock: MockClock) -> None:
    """After its 24 hours it is gone."""
    _, client = opened()

    async with client:
        link = await finished_link(client)
        await trio.sleep(25 * 3600)
        with pytest.raises(LinkExpired):
            async with client.download(link):
                pass


async def finished_link(client: Client) -> str:
    """Return the link of a new task that has succeeded."""
    made = await client.create(body(), path=PATH)
    await trio.sleep(400)
    link = (await client.query(made.task_id)).link
    assert link is not None
    return link


async def test_a_broken_body_fails_its_task_and_not_the_create(autojump_clock: MockClock) -> None:
    """The service looks at bodies later; the table says what the code is worth."""
    _, client = opened()

    async with client:
        made = await client.create({"model": MODEL, "input": {"prompt": "x"}}, path=PATH)
        await trio.sleep(5)
        failed = await client.query(made.task_id)

    assert failed.status is TaskStatus.FAILED
    assert failed.code == "InvalidParameter"
    assert failed_task_verdict(failed.code, failed.message or "") is Verdict.NO


async def test_a_waiting_task_is_cancelled_and_a_running_one_is_not(autojump_clock: MockClock) -> None:
    """The answer alone does not tell; the query does."""
    _, client = opened()

    async with client:
        first = await client.create(body("one"), path=PATH)
        await client.cancel(first.task_id)
        assert (await client.query(first.task_id)).status is TaskStatus.CANCELED
        second = await client.create(body("two"), path=PATH)
        await trio.sleep(10)
        with pytest.raises(CancelTooLate):
            await client.cancel(second.task_id)


async def test_an_unknown_task_is_unknown_and_no_error(autojump_clock: MockClock) -> None:
    """The service answers 200 for what it does not know."""
    _, client = opened()

    async with client:
        assert (await client.query(NOBODY)).status is TaskStatus.UNKNOWN


async def test_a_file_is_uploaded_and_used(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The account stores it under the policy's folder, and a create may name it."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"film" * 1000)
    _, client = opened()

    async with client:
        policy = await client.upload_policy(MODEL)
        done = await client.upload(policy, path, name="clip-1.mp4", mime="video/mp4")
        made = await client.create(body(url=done.url), path=PATH)
        await trio.sleep(400)
        assert (await client.query(made.task_id)).status is TaskStatus.SUCCEEDED

    assert done.url == f"oss://{policy.upload_dir}/clip-1.mp4"
    assert done.sha256 == hashlib.sha256(b"film" * 1000).hexdigest()


async def test_an_old_policy_asks_to_be_renewed(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The store says so in XML; a new policy works."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"film")
    account, client = opened()

    async with client:
        policy = await client.upload_policy(MODEL)
        await trio.sleep(policy.expires_in_seconds + 1)
        assert policy.expires_at < account.clock()
        with pytest.raises(PolicyExpired):
            await client.upload(policy, path, name="clip.mp4", mime="video/mp4")
        await client.upload(await client.upload_policy(MODEL), path, name="clip.mp4", mime="video/mp4")


async def test_a_file_that_cannot_be_read_uploads_nothing(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The job's own fault, said before anything is sent."""
    account, client = opened()

    async with client:
        policy = await client.upload_policy(MODEL)
        with pytest.raises(SourceError):
            await client.upload(policy, tmp_path / "none.mp4", name="none.mp4", mime="video/mp4")

    assert "upload" not in account.statement()["calls"]


async def test_a_refused_key_stops_everything() -> None:
    """Whichever call it was."""
    _, client = opened(key="sk-other", keys={"sk-test"})

    async with client:
        calls = (
            client.create(body(), path=PATH),
            client.query(NOBODY),
            client.list_tasks(),
            client.cancel(NOBODY),
            client.upload_policy(MODEL),
        )
        for call in calls:
            with pytest.raises(KeyRefused):
                await call


async def test_a_wrong_model_or_path_stops_the_run() -> None:
    """Every job would meet it."""
    _, client = opened()

    async with client:
        with pytest.raises(KeyRefused, match="Model not exist"):
            await client.create(body() | {"model": "wan-none"}, path=PATH)


async def test_the_sixth_create_in_a_second_is_throttled(autojump_clock: MockClock) -> None:
    """With the account's own word on how long to wait."""
    account, client = opened(retry_after=2.0)

    async with client:
        for number in range(5):
            await client.create(body(f"number {number}"), path=PATH)
        with pytest.raises(Throttled) as caught:
            await client.create(body("one more"), path=PATH)

    assert caught.value.retry_after_seconds == 2.0
    assert len(account.tasks) == 5


@pytest.mark.parametrize(
    ("do", "family", "made"),
    [
        ({"reset": "connect"}, Unavailable, 0),
        ({"reset": "before"}, Unsure, 0),
        ({"reset": "after"}, Unsure, 1),
        ({"lose_reply": True}, Unsure, 1),
        ({"garbage": True}, Unsure, 1),
        ({"cut_after_bytes": 20}, Unsure, 1),
        ({"bytes_per_second": 1}, Unsure, 1),
        ({"latency_seconds": 90}, Unsure, None),
        ({"status": 500}, Unsure, 0),
        ({"status": 503, "code": "ModelServingError"}, Unsure, 0),
        ({"status": 400, "code": "Arrearage"}, KeyRefused, 0),
        ({"status": 429, "code": "Throttling", "retry_after": 3}, Throttled, 0),
    ],
    ids=repr,
)
async def test_faults_of_a_create_say_whether_a_task_may_exist(
    do: dict[str, Any], family: type[ServiceError], made: int | None, autojump_clock: MockClock
) -> None:
    """Wherever a task was made without our hearing of it, the error is `Unsure`."""
    account, client = opened({"on": "create", "do": do})

    async with client:
        with pytest.raises(family) as caught:
            await client.create(body(), path=PATH)

    assert type(caught.value) is family
    assert made is None or len(account.tasks) == made


@pytest.mark.parametrize(
    "do",
    [{"reset": "after"}, {"lose_reply": True}, {"garbage": True}, {"cut_after_bytes": 20}, {"status": 502}],
    ids=repr,
)
async def test_faults_of_the_other_calls_may_pass(do: dict[str, Any], autojump_clock: MockClock) -> None:
    """Each of them is simply made again."""
    _, client = opened({"on": ["query", "list", "policy"], "nth": 1, "do": do})

    async with client:
        with pytest.raises(Unavailable):
            await client.query(NOBODY)
        assert (await client.query(NOBODY)).status is TaskStatus.UNKNOWN


async def test_a_broken_transport_is_never_a_surprise() -> None:
    """What a transport raises beside httpx's own errors is one of our families too."""

    async def handler(request: httpx.Request) -> httpx.Response:
        await trio.lowlevel.checkpoint()
        raise OSError("the cable is out")

    endpoint = endpoint_for(base_url="http://127.0.0.1/api/v1")
    async with Client(endpoint, Secret("sk-test"), transport=httpx.MockTransport(handler)) as client:
        with pytest.raises(Unavailable, match="the cable is out"):
            await client.query(NOBODY)
