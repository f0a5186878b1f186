"""Whatever the service answers becomes one of our dataclasses or a typed error."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wanrun.client.answers import TaskStatus, parse_created, parse_page, parse_refusal, parse_task, parse_usage
from wanrun.client.fields import Unreadable, link_expires_at, milliseconds_at, time_at
from wanrun.client.policy import parse_policy
from wanrun.client.reading import MAX_DEPTH, MAX_RETRY_AFTER_SECONDS, read_json, retry_after_seconds
from wanrun.client.text import bare, clean, whole
from wanrun.client.upload import read_store_error
from wanrun.types import Usage

if TYPE_CHECKING:
    from collections.abc import Callable

TASK = "00000000-0000-4000-8000-000000000001"
REQUEST = "10000000-0000-4000-8000-000000000001"

POLICY = {
    "policy": "cG9saWN5LXBsYWNlaG9sZGVy",
    "signature": "signature-placeholder",
    "upload_dir": "dashscope-instant/example-hash/2026-11-02/example-id",
    "upload_host": "https://upload.example.com",
    "expire_in_seconds": 300,
    "max_file_size_mb": 100,
    "capacity_limit_mb": 999999999,
    "oss_access_key_id": "oss-access-key-id-placeholder",
    "x_oss_object_acl": "private",
    "x_oss_forbid_overwrite": "true",
}


def answer(**output: object) -> dict[str, object]:
    """Return the body of a query's answer."""
    return {"request_id": REQUEST, "output": {"task_id": TASK, **output}}


def test_a_succeeded_task_is_read_in_full() -> None:
    """Times are in the service's zone, the link knows its end, usage is in seconds."""
    body = answer(
        task_status="SUCCEEDED",
        submit_time="2026-11-02 10:00:00.123",
        scheduled_time="2026-11-02 10:00:12.456",
        end_time="2026-11-02 10:04:31.789",
        orig_prompt="Replace the coat with the one in the reference picture.",
        video_url="https://example.com/out/clip-001.mp4?Expires=1793671471",
    ) | {
        "usage": {
            "duration": 10.04,
            "input_video_duration": 5.02,
            "output_video_duration": 5.02,
            "video_count": 1,
            "SR": 720,
        }
    }

    task = parse_task(body, asked=TASK)

    assert (task.task_id, task.status, task.raw_status) == (TASK, TaskStatus.SUCCEEDED, "SUCCEEDED")
    assert task.request_id == REQUEST
    assert task.submitted_at == datetime(2026, 11, 2, 2, 0, 0, 123000, tzinfo=UTC).timestamp()
    assert task.scheduled_at == datetime(2026, 11, 2, 2, 0, 12, 456000, tzinfo=UTC).timestamp()
    assert task.ended_at == datetime(2026, 11, 2, 2, 4, 31, 789000, tzinfo=UTC).timestamp()
    assert task.link == "https://example.com/out/clip-001.mp4?Expires=1793671471"
    assert task.link_expires_at == 1793671471
    assert int(task.ended_at or 0) + 86400 == task.link_expires_at
    assert task.usage == Usage(10.04, 5.02, 5.02, 720)
    assert task.orig_prompt == "Replace the coat with the one in the reference picture."
    assert (task.code, task.message) == (None, None)
    assert "Expires" not in repr(task)


def test_a_failed_task_says_why() -> None:
    """Code and message, the message without a link's query."""
    message = "Failed to download https://example.com/a.mp4?Signature=hidden today"

    task = parse_task(answer(task_status="FAILED", code="InvalidParameter", message=message), asked=TASK)

    assert task.status is TaskStatus.FAILED
    assert task.code == "InvalidParameter"
    assert task.message == "Failed to download https://example.com/a.mp4 today"


@pytest.mark.parametrize(
    ("word", "status", "terminal"),
    [
        ("PENDING", TaskStatus.PENDING, False),
        ("RUNNING", TaskStatus.RUNNING, False),
        ("SUSPENDED", TaskStatus.SUSPENDED, False),
        ("SUCCEEDED", TaskStatus.SUCCEEDED, True),
        ("FAILED", TaskStatus.FAILED, True),
        ("CANCELED", TaskStatus.CANCELED, True),
        ("UNKNOWN", TaskStatus.UNKNOWN, True),
        ("RESTING", TaskStatus.UNHEARD, False),
        ("unheard", TaskStatus.UNHEARD, False),
    ],
)
def test_a_status_is_known_or_kept_as_it_came(word: str, status: TaskStatus, terminal: bool) -> None:
    """A word that nobody told us of is not an end."""
    task = parse_task(answer(task_status=word), asked=TASK)

    assert (task.status, task.raw_status, task.status.terminal) == (status, word, terminal)


def test_an_answer_about_another_task_is_not_taken_for_ours() -> None:
    """The id in the answer, when there is one, is the one that was asked for."""
    with pytest.raises(Unreadable):
        parse_task(answer(task_status="SUCCEEDED"), asked="another")


@pytest.mark.parametrize(
    ("usage", "read"),
    [
        ({"duration": 10.04, "SR": "720"}, Usage(10.04, None, None, 720)),
        ({"duration": "10.04", "SR": 1080}, Usage(10.04, None, None, 1080)),
        ({"input_video_duration": 5, "output_video_duration": 4}, Usage(9.0, 5.0, 4.0, None)),
        ({"duration": float("inf")}, None),
        ({"duration": -1}, None),
        ({"duration": True}, None),
        ({}, None),
        (None, None),
    ],
)
def test_usage_is_read_leniently_or_not_at_all(usage: object, read: Usage | None) -> None:
    """Numbers may be texts; what cannot be billed seconds is not made up."""
    assert parse_usage(usage) == read


def test_a_created_task_is_read() -> None:
    """Its id and the request's, which the list call shows again."""
    made = parse_created({"output": {"task_status": "PENDING", "task_id": TASK}, "request_id": REQUEST})

    assert (made.task_id, made.request_id, made.status) == (TASK, REQUEST, TaskStatus.PENDING)


@pytest.mark.parametrize("task_id", [None, "", 5, "../x", "a/b", "a b", "x" * 200])
def test_a_create_that_names_no_usable_task_is_unreadable(task_id: object) -> None:
    """An id that could not stand in a URL is none."""
    with pytest.raises(Unreadable):
        parse_created({"output": {"task_status": "PENDING", "task_id": task_id}})


def test_a_page_of_the_list_is_read() -> None:
    """Rows carry epoch milliseconds and the id of the create."""
    row = {
        "api_key_id": "1001",
        "gmt_create": 1793584830000,
        "start_time": 1793584841000,
        "end_time": 1793584844500,
        "model_name": "wan2.7-videoedit",
        "region": "cn-beijing",
        "request_id": REQUEST,
        "status": "FAILED",
        "task_id": TASK,
    }

    page = parse_page(
        {"total": 3, "total_page": 1, "page_no": 1, "page_size": 10, "data": [row, {"task_id": "b"}]}, page_size=10
    )

    assert (page.total, page.total_pages, page.page_no) == (3, 1, 1)
    first, second = page.rows
    assert (first.task_id, first.status, first.request_id) == (TASK, TaskStatus.FAILED, REQUEST)
    assert (first.created_at, first.started_at, first.ended_at) == (1793584830.0, 1793584841.0, 1793584844.5)
    assert (first.model, first.region, first.api_key_id) == ("wan2.7-videoedit", "cn-beijing", "1001")
    assert (second.task_id, second.status, second.created_at) == ("b", TaskStatus.UNHEARD, None)


def test_an_empty_account_is_an_empty_page() -> None:
    """No tasks are an answer too."""
    page = parse_page({"total": 0, "total_page": 0, "page_no": 1, "page_size": 10, "data": []}, page_size=10)

    assert (page.rows, page.total) == ((), 0)


def test_missing_page_counts_are_worked_out() -> None:
    """250 tasks at 100 a page are 3 pages."""
    assert parse_page({"total": "250", "data": []}, page_size=100).total_pages == 3


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        {"data": []},
        {"total": 3},
        {"total": 1, "data": "x"},
        {"total": 1, "data": [{"status": "RUNNING"}]},
    ],
)
def test_an_unreadable_page_never_looks_like_an_empty_account(body: object) -> None:
    """Whoever searches for a lost task would pay for it again."""
    with pytest.raises(Unreadable):
        parse_page(body, page_size=10)


def test_an_upload_policy_is_read_leniently() -> None:
    """Its numbers may be texts, its switch a boolean, its folder may end with a slash."""
    lenient = POLICY | {
        "expire_in_seconds": "300",
        "max_file_size_mb": "100",
        "x_oss_forbid_overwrite": True,
        "upload_dir": "dashscope-instant/x/",
    }

    policy = parse_policy({"data": lenient}, fetched_at=1000.0)

    assert (policy.expires_in_seconds, policy.expires_at, policy.max_file_bytes) == (300, 1300, 100 * 1024 * 1024)
    assert (policy.forbid_overwrite, policy.upload_dir) == ("true", "dashscope-instant/x")
    assert "signature-placeholder" not in repr(policy)


@pytest.mark.parametrize(
    "odd",
    [
        {"policy": None},
        {"signature": ""},
        {"upload_dir": "a\r\nb"},
        {"upload_dir": "/"},
        {"upload_host": "http://upload.example.com"},
        {"upload_host": "https://user:pass@upload.example.com"},
        {"upload_host": "upload.example.com"},
        {"upload_host": "https://[/"},
        {"oss_access_key_id": 5},
    ],
)
def test_a_policy_that_cannot_be_used_is_unreadable(odd: dict[str, object]) -> None:
    """Nothing is uploaded without TLS, or with a form that a header could be smuggled into."""
    with pytest.raises(Unreadable):
        parse_policy({"data": POLICY | odd}, fetched_at=0.0)


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ({"code": "Arrearage", "message": "Access denied."}, "Arrearage", "Access denied."),
        ({"code": "Arrearage", "msg": "Access denied."}, "Arrearage", "Access denied."),
        ({"error": {"code": "model_not_found", "message": "No."}}, "model_not_found", "No."),
        ({"code": 42}, "42", None),
        ({"message": ["no text"]}, None, None),
        ("text", None, None),
        (None, None, None),
    ],
)
def test_an_error_is_read_in_all_its_shapes(body: object, code: str | None, message: str | None) -> None:
    """Flat or wrapped, `message` or `msg`, or nothing of use."""
    said = parse_refusal(body)

    assert (said.code, said.message) == (code, message)


def test_the_stores_xml_error_is_read_by_its_tags() -> None:
    """Nothing else of the document matters."""
    xml = "<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>Policy expired.</Message></Error>"

    assert read_store_error(xml) == {"code": "AccessDenied", "message": "Policy expired."}
    assert read_store_error("<html>no</html>") is None


@pytest.mark.parametrize(
    ("link", "at"),
    [
        ("https://example.com/a.mp4?Expires=1793671471&Signature=x", 1793671471),
        ("https://example.com/a.mp4?x-oss-date=20261102T020000Z&x-oss-expires=86400", 1793671200),
        ("https://example.com/a.mp4?X-Amz-Date=20261102T020000Z&X-Amz-Expires=3600", 1793588400),
        ("https://example.com/a.mp4?X-Amz-Date=soon&X-Amz-Expires=3600", None),
        ("https://example.com/a.mp4?Expires=never", None),
        ("https://example.com/a.mp4", None),
        ("https://[", None),
    ],
)
def test_a_signed_link_says_when_it_ends(link: str, at: float | None) -> None:
    """In each of the three ways in which links are signed."""
    assert link_expires_at(link) == at


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (None, None),
        ("", None),
        ("7", 7),
        ("1.5", 1.5),
        ("-3", None),
        ("999999", MAX_RETRY_AFTER_SECONDS),
        ("Mon, 02 Nov 2026 02:00:30 GMT", 30),
        ("Mon, 02 Nov 2026 01:00:00 GMT", 0),
        ("soon", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_date_and_bounded(said: str | None, seconds: float | None) -> None:
    """A server cannot send a run to sleep for days."""
    now = datetime(2026, 11, 2, 2, 0, 0, tzinfo=UTC).timestamp()

    assert retry_after_seconds(said, now=now) == seconds


@pytest.mark.parametrize("text", ["", "no", "{", "NaN", '{"a": Infinity}', "[" * 100_000, "9" * 5000])
def test_what_is_no_json_is_nothing(text: str) -> None:
    """Not an exception and not a guess."""
    assert read_json(text) is None


def test_json_is_read_to_a_depth_of_64() -> None:
    """Deeper than any answer of the service is no answer."""
    assert read_json("[" * MAX_DEPTH + "]" * MAX_DEPTH) is not None
    assert read_json("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1)) is None


@pytest.mark.parametrize(
    ("foreign", "shown"),
    [
        ("two\nlines\tof  text ", "two lines of text"),
        ("\x1b[31mred\x1b[0m \x9b1mbold\x07", "[31mred[0m 1mbold"),
        ("safe‮gpj.exe​⁦", "safegpj.exe"),
        ("see https://u:p@example.com/a?Signature=x#y.", "see https://example.com/a"),
        ("OSS://b/k?x=1, and http://h/#f", "OSS://b/k and http://h/"),
        ("\ud800alone", "alone"),
        ("x" * 600, "x" * 499 + "…"),
    ],
)
def test_foreign_text_becomes_one_harmless_line(foreign: str, shown: str) -> None:
    """No control characters, no bidi, no queries, not too long."""
    assert clean(foreign) == shown


def test_a_bare_link_opens_nothing() -> None:
    """What signs it is gone."""
    assert bare("https://u:p@example.com/out/a.mp4?Signature=x") == "https://example.com/out/a.mp4"


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
NAMES = [*POLICY, "output", "task_id", "task_status", "usage", "data", "total", "status", "gmt_create", "code"]
NAMES += ["message", "error", "request_id", "duration", "SR", "submit_time", "end_time", "video_url", "total_page"]
NEARLY = st.recursive(
    ANY_JSON | st.sampled_from([TASK, "SUCCEEDED", 0, 1, 1e308, -1, "https://example.com", "2026-11-02 10:00:00.1"]),
    lambda inner: st.dictionaries(st.sampled_from(NAMES), inner, max_size=6) | st.lists(inner, max_size=2),
    max_leaves=20,
)
PARSERS: dict[str, Callable[[object], object]] = {
    "created": parse_created,
    "task": lambda body: parse_task(body, asked=TASK),
    "page": lambda body: parse_page(body, page_size=100),
    "policy": lambda body: parse_policy(body, fetched_at=0.0),
    "refusal": parse_refusal,
    "usage": parse_usage,
}


@pytest.mark.slow
@pytest.mark.parametrize("parser", PARSERS.values(), ids=PARSERS)
@given(body=NEARLY)
def test_no_answer_breaks_a_parser(parser: Callable[[object], object], body: object) -> None:
    """Each gives its dataclass or says `Unreadable`."""
    with suppress(Unreadable):
        parser(body)


@given(foreign=st.text())
@example(foreign="0\x1f")
def test_no_text_breaks_the_readers_of_texts(foreign: str) -> None:
    """Whatever stands where a time, a link or a message should."""
    assert clean(foreign).isprintable()
    whole(foreign).encode()
    time_at(foreign)
    milliseconds_at(foreign)
    link_expires_at(f"https://example.com/?Expires={foreign}&x-oss-date={foreign}&x-oss-expires={foreign}")
    read_json(foreign)
    retry_after_seconds(foreign, now=0.0)
    read_store_error(foreign)
