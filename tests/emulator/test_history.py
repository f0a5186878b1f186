"""An account lasts: what it dumps, another one becomes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import trio

from wanrun.emulator import Account, Faults
from wanrun.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock


def reborn(account: Account, text: str, **settings: Any) -> Account:
    """Return the account that a later process would open."""
    again = Account(clock=account.clock, store=account.store, seconds=60.0, **settings)
    again.load(text.splitlines(keepends=True))
    return again


async def test_an_account_goes_on_where_it_was_left(
    open_service: Callable[..., Any], autojump_clock: MockClock
) -> None:
    """Done, running, waiting and cancelled tasks, uploads, calls and the id come back; nothing is billed twice."""
    service = open_service(seed=None)
    url = await service.uploaded(b"bytes")
    for number in range(4):
        await service.made(str(number))
        await trio.sleep(15)
    waiting = [await service.made(f"late {number}") for number in range(4)]
    await service.api.post(f"/tasks/{waiting[-1]}/cancel")
    account = service.account
    account.advance()

    again = reborn(account, account.dump())
    await trio.sleep(1000)

    for each in (account, again):
        each.advance()
    assert again.id == account.id
    assert again.shelf.find(url, "wan2.7-videoedit") is not None
    assert {task.id: task.to_line() for task in again.tasks.values()} == {
        task.id: task.to_line() for task in account.tasks.values()
    }
    assert again.statement()["cost"] == account.statement()["cost"]
    assert again.calls == account.calls


async def test_a_dump_holds_only_what_is_new(open_service: Callable[..., Any], autojump_clock: MockClock) -> None:
    """Appended one after the other the dumps are the whole history."""
    service = open_service()
    dumps = []
    for number in range(3):
        await service.made(str(number))
        dumps.append(service.account.dump())

    lines = [json.loads(line) for line in "".join(dumps).splitlines()]

    assert service.account.dump() == ""
    assert lines == service.account.history
    assert [line["is"] for line in lines] == ["account", *["task", "call"] * 3]


async def test_a_torn_last_line_is_left_away(open_service: Callable[..., Any], autojump_clock: MockClock) -> None:
    """A kill in the middle of a write costs what that line said and no more."""
    service = open_service()
    await service.made("one")
    kept = service.account.dump()
    await service.made("two")
    torn = service.account.dump()[:40]

    again = reborn(service.account, kept + torn)

    assert [task.prompt for task in again.tasks.values()] == ["one"]


async def test_damage_in_the_middle_is_said(open_service: Callable[..., Any], autojump_clock: MockClock) -> None:
    """An account with a hole in it could hide a bill."""
    service = open_service()
    await service.made()
    first, *rest = service.account.dump().splitlines(keepends=True)

    with pytest.raises(SettingsError, match="line 2 of the emulator's history is damaged"):
        reborn(service.account, first + "{rubbish}\n" + "".join(rest))


async def test_ids_of_a_seeded_account_do_not_come_again(
    open_service: Callable[..., Any], autojump_clock: MockClock
) -> None:
    """A seed repeats a simulation, not a later run of the same account."""
    service = open_service(seed=5)
    first = await service.made()
    again = reborn(service.account, service.account.dump(), seed=5)

    task = again.create({"model": "wan2.7-videoedit", "input": {"media": []}}, request_id="r")

    assert task.id != first


async def test_work_is_handed_out_once_and_again_after_a_restart(
    open_service: Callable[..., Any], autojump_clock: MockClock
) -> None:
    """A host that was killed while it edited gets the same task again, and the task waits for it."""
    service = open_service(edit=True, seconds=5.0)
    task_id = await service.made("edit me", resolution="720P")
    await trio.sleep(2)
    service.account.advance()
    given = service.account.work()

    again = reborn(service.account, service.account.dump(), edit=True)
    await trio.sleep(100)
    again.advance()
    once_more = again.work()
    status = again.tasks[task_id].status
    again.finish(task_id, "results/x", input_seconds=4.0, output_seconds=4.0)

    assert [work.task_id for work in given] == [work.task_id for work in once_more] == [task_id]
    assert once_more[0].body["input"]["prompt"] == "edit me"
    assert service.account.work() == []
    assert status == "RUNNING"
    task = again.tasks[task_id]
    assert (task.status, task.billed_seconds, task.ended_at) == ("SUCCEEDED", 8.0, again.clock())


async def test_a_statement_says_what_was_asked_and_what_came_of_it(
    open_service: Callable[..., Any], autojump_clock: MockClock
) -> None:
    """Calls by kind and status, and each task with its prompt, state and request."""
    script = {"faults": [{"on": "create", "nth": 1, "do": {"status": 500}}]}
    service = open_service(faults=Faults(script))
    await service.create("lost")
    response = (await service.create("kept", resolution="720P")).json()
    await trio.sleep(100)
    await service.output(response["output"]["task_id"])

    statement = service.account.statement()

    assert json.loads(json.dumps(statement)) == statement
    assert statement["calls"] == {"create": {"200": 1, "500": 1}, "query": {"200": 1}}
    assert [(task["prompt"], task["state"], task["request_id"]) for task in statement["tasks"]] == [
        ("kept", "SUCCEEDED", response["request_id"])
    ]
