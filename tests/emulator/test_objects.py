"""Uploads by policy and results behind links, as object storage does them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
from fastcrc import crc64

from wanrun.emulator import ready_clip
from wanrun.emulator.forms import BadForm, FormReader
from wanrun.emulator.store import MemoryStore, get

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock

READY = ready_clip().data
NOT_FOUND = "Failed to find the requested media resource during the data inspection process."


async def test_a_policy_has_the_documented_fields(open_service: Callable[..., Any], autojump_clock: MockClock) -> None:
    """Five minutes, 100 MB, and a folder of its own."""
    service = open_service(origin="http://127.0.0.1:8080")

    policy, other = await service.policy(), await service.policy()

    assert policy["upload_dir"].startswith("dashscope-instant/")
    assert policy["upload_dir"] != other["upload_dir"]
    assert policy["upload_host"].startswith("http://127.0.0.1:8080/")
    known = {
        "expire_in_seconds": 300,
        "max_file_size_mb": 100,
        "capacity_limit_mb": 999999999,
        "x_oss_object_acl": "private",
        "x_oss_forbid_overwrite": "true",
    }
    assert {name: policy[name] for name in known} == known
    assert {"policy", "signature", "oss_access_key_id"} < set(policy)


async def test_an_upload_is_answered_with_nothing_and_kept_whole(
    open_service: Callable[..., Any], autojump_clock: MockClock, street: bytes
) -> None:
    """The status is the one asked for, the checksum that of the bytes."""
    service = open_service()
    policy = await service.policy()

    response = await service.upload(street, policy)

    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["x-oss-hash-crc64ecma"] == str(crc64.xz(street))
    assert get(service.account.store, f"{policy['upload_dir']}/a.mp4") == street


async def test_one_policy_serves_several_files(open_service: Callable[..., Any], autojump_clock: MockClock) -> None:
    """While it is valid, under names of their own."""
    service = open_service()
    policy = await service.policy()

    statuses = [(await service.upload(b"x", policy, name)).status_code for name in ("a.mp4", "b.mp4", "a.mp4")]

    assert statuses == [200, 200, 409]


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        ({"Signature": "forged"}, 403, "SignatureDoesNotMatch"),
        ({"policy": "e30="}, 403, "SignatureDoesNotMatch"),
        ({"OSSAccessKeyId": "other"}, 403, "InvalidAccessKeyId"),
        ({"key": "elsewhere/a.mp4"}, 403, "Policy Condition failed"),
        ({"x-oss-forbid-overwrite": "false"}, 403, "Policy Condition failed"),
        ({"x-oss-object-acl": "public-read"}, 403, "Policy Condition failed"),
    ],
    ids=str,
)
async def test_an_upload_that_its_policy_does_not_allow_is_refused(
    open_service: Callable[..., Any], autojump_clock: MockClock, change: dict[str, str], status: int, said: str
) -> None:
    """The answer is XML, and nothing is kept."""
    service = open_service()

    response = await service.upload(b"x", await service.policy(), change=change)

    assert response.status_code == status
    assert said in response.text
    assert response.text.startswith("<?xml")


async def test_a_policy_expires(open_service: Callable[..., Any], autojump_clock: MockClock) -> None:
    """After five minutes a new one is needed."""
    service = open_service()
    policy = await service.policy()
    await trio.sleep(300)

    response = await service.upload(b"x", policy)

    assert response.status_code == 403
    assert "Invalid according to Policy: Policy expired." in response.text


async def test_a_policy_needs_a_model_that_exists(open_service: Callable[..., Any], autojump_clock: MockClock) -> None:
    """Uploads are bound to a model."""
    response = await open_service().api.get("/uploads", params={"action": "getPolicy", "model": "wan9"})

    assert response.status_code == 404


async def test_an_uploaded_video_needs_the_resolve_header(
    open_service: Callable[..., Any], autojump_clock: MockClock, street: bytes
) -> None:
    """Without it the create is refused at once, as documented."""
    service = open_service()
    media = [{"type": "video", "url": await service.uploaded(street)}]
    body = {"model": "wan2.7-videoedit", "input": {"media": media}}

    refused = await service.send(body, **{"X-DashScope-OssResourceResolve": ""})
    taken = await service.send(body)

    assert refused.status_code == 400
    assert refused.json()["code"] == "InvalidParameter.DataInspection"
    assert refused.json()["message"] == NOT_FOUND
    assert taken.status_code == 200


async def test_an_uploaded_video_lives_for_two_days(
    open_service: Callable[..., Any], autojump_clock: MockClock, street: bytes
) -> None:
    """48 h after the upload the URL is refused, and the bytes are gone."""
    service = open_service()
    url = await service.uploaded(street)

    await trio.sleep(48 * 3600 - 1)
    before = await service.create(url=url)
    await trio.sleep(1)
    after = await service.create(url=url)

    assert (before.status_code, after.status_code) == (200, 400)
    assert service.account.store.info(url.removeprefix("oss://")) is None


async def test_an_url_of_another_account_is_refused(
    open_service: Callable[..., Any], autojump_clock: MockClock, street: bytes
) -> None:
    """What one account uploaded, another one cannot use."""
    url = await open_service().uploaded(street)

    assert (await open_service(seed=2).create(url=url)).status_code == 400


async def done(service: Any) -> str:
    """Make a task, let it end and return its link."""
    task_id = await service.made()
    await trio.sleep(100)
    return str((await service.output(task_id))["video_url"])


async def test_a_result_is_had_without_a_key(open_service: Callable[..., Any], autojump_clock: MockClock) -> None:
    """A plain GET returns the video with its length and its checksum."""
    service = open_service()

    response = await service.plain.get(await done(service))

    assert response.status_code == 200
    assert response.content == READY
    assert response.headers["Content-Length"] == str(len(READY))
    assert response.headers["Content-Type"] == "video/mp4"
    assert response.headers["x-oss-hash-crc64ecma"] == str(crc64.xz(READY))


async def test_a_result_is_refused_to_one_who_sends_a_key(
    open_service: Callable[..., Any], autojump_clock: MockClock
) -> None:
    """Object storage takes one way of proving leave, and the link is one already."""
    service = open_service()

    response = await service.api.get(await done(service))

    assert response.status_code == 400
    assert "<Code>InvalidArgument</Code>" in response.text


async def test_a_link_dies_a_day_after_the_end(open_service: Callable[..., Any], autojump_clock: MockClock) -> None:
    """It ended at 10:01:01; querying it again does not sign it anew."""
    service = open_service()
    task_id = await service.made()
    await trio.sleep(100)
    first = (await service.output(task_id))["video_url"]
    await trio.sleep(24 * 3600 - 100 + 60)  # the task is forgotten a minute before its file

    before = await service.plain.get(first)
    await trio.sleep(1)
    after = await service.plain.get(first)

    assert before.status_code == 200
    assert (after.status_code, "Request has expired." in after.text) == (403, True)


async def test_a_link_cannot_be_made_to_live_longer(
    open_service: Callable[..., Any], autojump_clock: MockClock
) -> None:
    """Its date is signed."""
    service = open_service()
    link = (await done(service)).replace("Expires=1", "Expires=2")

    assert (await service.plain.get(link)).status_code == 403


@pytest.mark.parametrize(
    ("asked", "status", "start", "end"),
    [
        ("bytes=0-9", 206, 0, 10),
        ("bytes=100-", 206, 100, len(READY)),
        ("bytes=-7", 206, len(READY) - 7, len(READY)),
        (f"bytes={len(READY)}-", 200, 0, len(READY)),
        (f"bytes=0-{len(READY)}", 200, 0, len(READY)),
        ("bytes=9-3", 200, 0, len(READY)),
        ("lines=1-2", 200, 0, len(READY)),
    ],
)
async def test_a_range_is_served_and_one_that_makes_no_sense_gets_everything(
    open_service: Callable[..., Any], autojump_clock: MockClock, asked: str, status: int, start: int, end: int
) -> None:
    """Out of range is 200 with the whole object, which is object storage's way."""
    service = open_service()

    response = await service.plain.get(await done(service), headers={"Range": asked})

    assert response.status_code == status
    assert response.content == READY[start:end]
    wanted = f"bytes {start}-{end - 1}/{len(READY)}" if status == 206 else None
    assert response.headers.get("Content-Range") == wanted


async def test_if_match_guards_a_resumed_download(open_service: Callable[..., Any], autojump_clock: MockClock) -> None:
    """The right tag passes, another one is 412."""
    service = open_service()
    link = await done(service)
    tag = (await service.plain.head(link)).headers["ETag"]

    right = await service.plain.get(link, headers={"If-Match": tag, "Range": "bytes=5-"})
    wrong = await service.plain.get(link, headers={"If-Match": '"x"', "Range": "bytes=5-"})

    assert (right.status_code, wrong.status_code) == (206, 412)


FORM = (
    b'--XX\r\nContent-Disposition: form-data; name="key"\r\n\r\na/b.mp4\r\n'
    b'--XX\r\nContent-Disposition: form-data; name="empty"\r\n\r\n\r\n'
    b'--XX\r\nContent-Disposition: form-data; name="file"; filename="b.mp4"\r\nContent-Type: video/mp4\r\n\r\n'
    b"one\r\n--X\r\ntwo\r\n--XX--\r\n"
)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, len(FORM)])
def test_a_form_is_read_in_pieces_of_any_size(size: int) -> None:
    """What looks nearly like a boundary belongs to the file."""
    store = MemoryStore()
    reader = FormReader("multipart/form-data; boundary=XX", store.stage)

    for start in range(0, len(FORM), size):
        reader.feed(FORM[start : start + size])
    form = reader.finish()

    assert form.fields == {"key": "a/b.mp4", "empty": ""}
    assert form.file_name == "b.mp4"
    assert form.file is not None
    store.keep(form.file, "k")
    assert get(store, "k") == b"one\r\n--X\r\ntwo"


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b"{}"),
        ("multipart/form-data", b""),
        ("multipart/form-data; boundary=XX", FORM[:-8]),
        ("multipart/form-data; boundary=XX", FORM[:60] + b"x" * 70_000),
    ],
    ids=["json", "no boundary", "torn", "endless field"],
)
def test_what_is_no_form_is_refused(content_type: str, body: bytes) -> None:
    """Nothing is kept of it."""

    def read() -> None:
        reader = FormReader(content_type, MemoryStore().stage)
        reader.feed(body)
        reader.finish()

    with pytest.raises(BadForm):
        read()
