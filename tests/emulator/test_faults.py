"""Fault scripts: how they are read, what they hit, and what a client in memory sees of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trio

from wanrun.emulator import Faults, load_faults, ready_clip
from wanrun.emulator.calls import Kind
from wanrun.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trio.testing import MockClock

READY = ready_clip().data


def script(on: str, do: dict[str, Any], **conditions: Any) -> Faults:
    """Return a script of one fault."""
    return Faults({"faults": [{"on": on, "do": do, **conditions}]})


def test_a_script_is_read_from_yaml(tmp_path: Path) -> None:
    """Calls, conditions and effects as written."""
    path = tmp_path / "faults.yaml"
    path.write_text("faults:\n  - {on: [create, query], nth: 2, do: {status: 429, code: Throttling}}\n")

    faults = load_faults(path)

    assert [faults.strike(Kind.CREATE).status for _ in range(3)] == [None, 429, None]


BAD: dict[str, tuple[str, str]] = {
    "no list": ("faults: 5", "faults: 5 is not of type 'array'"),
    "call": ("faults: [{on: creat, do: {status: 500}}]", "faults[0].on"),
    "key": (
        "faults: [{on: create, nht: 2, do: {status: 500}}]",
        'faults[0]: unknown key "nht"; allowed: between, do, every, nth, on, probability, prompt, times',
    ),
    "effect": ("faults: [{on: create, do: {stauts: 500}}]", 'faults[0].do: unknown key "stauts"'),
    "value": ("faults: [{on: create, do: {status: 200}}]", "faults[0].do.status: 200 is less than"),
    "place": (
        "faults: [{on: query, do: {lag_seconds: 5}}]",
        "faults[0].do.lag_seconds is for list only; narrow `on` to that",
    ),
    "yaml": ("faults: [", "is no YAML"),
    "empty": ("", "'faults' is a required property"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_wrong_script_is_refused_with_the_place(tmp_path: Path, name: str) -> None:
    """The message names the file, the entry and what is allowed."""
    text, message = BAD[name]
    path = tmp_path / "faults.yaml"
    path.write_text(text)

    with pytest.raises(SettingsError) as caught:
        load_faults(path)

    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)


def test_a_missing_script_is_said(tmp_path: Path) -> None:
    """A file that is not there is a setting to mend."""
    with pytest.raises(SettingsError, match=r"none\.yaml: cannot be read"):
        load_faults(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("conditions", "hits"),
    [
        ({}, [1, 2, 3, 4, 5, 6]),
        ({"nth": 2}, [2]),
        ({"nth": [1, 4]}, [1, 4]),
        ({"every": 3}, [3, 6]),
        ({"times": 2}, [1, 2]),
        ({"every": 2, "times": 1}, [2]),
        ({"probability": 0}, []),
        ({"between": [2, 4]}, [3, 4]),
        ({"prompt": "b"}, [2, 4, 6]),
    ],
    ids=str,
)
def test_conditions_choose_calls(conditions: dict[str, Any], hits: list[int]) -> None:
    """Six creates, a second apart, prompts a and b in turn."""
    faults = script("create", {"status": 500}, **conditions)

    struck = [faults.strike(Kind.CREATE, prompt="ab"[n % 2], at_seconds=float(n)).status == 500 for n in range(6)]

    assert [number for number, hit in enumerate(struck, start=1) if hit] == hits


def test_chance_repeats_with_the_seed() -> None:
    """About half of a thousand, and the same half again."""

    def struck(seed: int) -> list[bool]:
        entry = {"on": "any", "probability": 0.5, "do": {"garbage": True}}
        faults = Faults({"seed": seed, "faults": [entry]})
        return [faults.strike(Kind.QUERY).garbage for _ in range(1000)]

    assert 400 < sum(struck(1)) < 600
    assert struck(1) == struck(1)
    assert struck(1) != struck(2)


async def test_a_status_is_answered_and_nothing_is_done(
    open_service: Callable[..., Any], autojump_clock: MockClock
) -> None:
    """Status, code, message and Retry-After are the script's."""
    effect = {"status": 503, "code": "ModelUnavailable", "message": "Off.", "retry_after": 7}
    service = open_service(faults=script("create", effect, nth=1))

    response = await service.create()

    assert response.status_code == 503
    assert response.json()["code"] == "ModelUnavailable"
    assert response.headers["Retry-After"] == "7"
    assert service.account.tasks == {}


@pytest.mark.parametrize(
    ("effect", "error", "made"),
    [
        ({"reset": "connect"}, httpx.ConnectError, 0),
        ({"reset": "before"}, httpx.ReadError, 0),
        ({"reset": "after"}, httpx.ReadError, 1),
        ({"lose_reply": True}, httpx.ReadTimeout, 1),
        ({"latency_seconds": 60}, httpx.ReadTimeout, 1),
        ({"cut_after_bytes": 10}, httpx.RemoteProtocolError, 1),
    ],
    ids=str,
)
async def test_a_broken_create_raises_and_may_have_made_a_task(
    open_service: Callable[..., Any],
    autojump_clock: MockClock,
    effect: dict[str, Any],
    error: type[Exception],
    made: int,
) -> None:
    """What the client cannot know, the account does."""
    service = open_service(faults=script("create", effect))

    with pytest.raises(error):
        await service.create()

    assert len(service.account.tasks) == made


async def test_a_lost_reply_costs_the_client_its_whole_timeout(
    open_service: Callable[..., Any], autojump_clock: MockClock
) -> None:
    """Five seconds are httpx's own."""
    service = open_service(faults=script("create", {"lose_reply": True}))

    with pytest.raises(httpx.ReadTimeout):
        await service.create()

    assert trio.current_time() == pytest.approx(5)


async def test_latency_is_waited_for(open_service: Callable[..., Any], autojump_clock: MockClock) -> None:
    """Within the client's patience the answer comes late and whole."""
    service = open_service(faults=script("query", {"latency_seconds": 3}))
    task_id = await service.made()

    await service.output(task_id)

    assert trio.current_time() == pytest.approx(3)


async def test_garbage_is_a_200_that_nobody_can_read(
    open_service: Callable[..., Any], autojump_clock: MockClock
) -> None:
    """The task was made all the same."""
    service = open_service(faults=script("create", {"garbage": True}))

    response = await service.create()

    assert response.status_code == 200
    assert response.text.startswith("<html>")
    assert len(service.account.tasks) == 1


async def test_a_lagging_list_shows_a_task_later(open_service: Callable[..., Any], autojump_clock: MockClock) -> None:
    """Rows younger than the lag are missing from rows and total alike."""
    service = open_service(faults=script("list", {"lag_seconds": 10}))
    await service.made()

    await trio.sleep(9)
    early = (await service.api.get("/tasks")).json()["total"]
    await trio.sleep(1)
    late = (await service.api.get("/tasks")).json()["total"]

    assert (early, late) == (0, 1)


async def test_a_task_can_be_made_to_fail(open_service: Callable[..., Any], autojump_clock: MockClock) -> None:
    """With the code and message of the script, at its end, unbilled; its sibling is well."""
    fate = {"fail": {"code": "DataInspectionFailed", "message": "Output data may contain inappropriate content."}}
    service = open_service(faults=script("create", fate, prompt="bad"))
    bad, good = await service.made("a bad one"), await service.made("a good one")

    await trio.sleep(100)

    output = await service.output(bad)
    assert (output["task_status"], output["code"]) == ("FAILED", "DataInspectionFailed")
    assert (await service.output(good))["task_status"] == "SUCCEEDED"
    assert service.account.statement()["tasks_billed"] == 1


async def test_a_task_can_become_unknown(open_service: Callable[..., Any], autojump_clock: MockClock) -> None:
    """The service has forgotten it early."""
    service = open_service(faults=script("create", {"unknown_after_seconds": 30}))
    task_id = await service.made()

    await trio.sleep(29)
    before = (await service.output(task_id))["task_status"]
    await trio.sleep(1)

    assert before == "RUNNING"
    assert (await service.output(task_id))["task_status"] == "UNKNOWN"


async def test_a_link_can_die_early(open_service: Callable[..., Any], autojump_clock: MockClock) -> None:
    """Ten seconds after the end it is over."""
    service = open_service(faults=script("create", {"link_seconds": 10}))
    task_id = await service.made()
    await trio.sleep(65)
    link = (await service.output(task_id))["video_url"]

    first = await service.plain.get(link)
    await trio.sleep(10)

    assert first.status_code == 200
    assert (await service.plain.get(link)).status_code == 403


async def finished(service: Any) -> str:
    """Make a task, let it end and return its link."""
    task_id = await service.made()
    await trio.sleep(100)
    return str((await service.output(task_id))["video_url"])


async def collect(client: httpx.AsyncClient, link: str, into: bytearray) -> None:
    """Download and keep what came, however it ended."""
    async with client.stream("GET", link) as response:
        async for piece in response.aiter_bytes():
            into += piece


async def test_a_cut_download_goes_on_with_a_range(open_service: Callable[..., Any], autojump_clock: MockClock) -> None:
    """The first try ends after 1000 bytes, the second one asks for the rest."""
    service = open_service(faults=script("download", {"cut_after_bytes": 1000}, nth=1))
    link, got = await finished(service), bytearray()

    with pytest.raises(httpx.RemoteProtocolError):
        await collect(service.plain, link, got)
    rest = await service.plain.get(link, headers={"Range": f"bytes={len(got)}-"})

    assert len(got) == 1000
    assert bytes(got) + rest.content == READY


async def test_a_corrupt_download_has_the_right_length_and_wrong_bytes(
    open_service: Callable[..., Any], autojump_clock: MockClock
) -> None:
    """The checksum still is that of the right ones."""
    service = open_service(faults=script("download", {"corrupt": True}))

    response = await service.plain.get(await finished(service))

    assert len(response.content) == len(READY)
    assert response.content != READY


async def test_a_download_can_drip(open_service: Callable[..., Any], autojump_clock: MockClock) -> None:
    """At 1000 bytes a second it takes as long as it should, without a read timeout."""
    service = open_service(faults=script("download", {"bytes_per_second": 1000}))
    link = await finished(service)
    began = trio.current_time()

    response = await service.plain.get(link)

    assert response.content == READY
    assert trio.current_time() - began == pytest.approx(len(READY) / 1000, rel=0.01)
