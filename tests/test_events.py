"""The events' schema says exactly what the engine tells: no name, no field more or less."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio
from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError

from chat import Chat
from simulation import Simulation, states
from wanrun import Notice, SinkError
from wanrun.events import Event, EventName
from wanrun.notices import NoticeName
from wanrun.registry import load_catalog
from wanrun.types import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock

    from wanrun.catalog import Catalog

SCHEMA = json.loads((Path(__file__).parents[1] / "schemas" / "events.schema.json").read_text(encoding="utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA, format_checker=FormatChecker())
DAY_SECONDS = 24 * 3600

TROUBLE: list[dict[str, Any]] = [
    {"on": "create", "prompt": "of refused", "do": {"status": 400, "code": "InvalidParameter", "message": "no"}},
    {"on": "create", "prompt": "of failed", "do": {"fail": {"code": "DataInspectionFailed", "message": "no\nnever"}}},
    {"on": "create", "prompt": "of anew", "times": 1, "do": {"fail": {"code": "InternalError", "message": "again"}}},
    {"on": "create", "prompt": "of found", "do": {"reset": "after"}},
    {"on": "create", "prompt": "of held", "do": {"reset": "after", "unknown_after_seconds": 0}},
    {"on": "query", "nth": 1, "do": {"status": 429, "retry_after": 3}},
]
SPEC = """\
sinks:
  disk: {folder: {path: out, name: "${{ job.id }}.mp4"}}
  lobby: {chat: lobby}
  cellar: {chat: cellar}
notify:
  - {to: lobby, events: [run_finished]}
  - {to: cellar, events: [run_finished]}
jobs:
""" + "".join(
    f"  - {{id: {name}, prompt: prompt of {name}, media: [{{video: https://example.com/{name}.mp4}}]}}\n"
    for name in ("fine", "refused", "failed", "anew", "held", "taken")
)
SPEC += "  - {id: below, prompt: prompt of below, media: [{video: {job: failed}}]}\n"


def names_in(schema: dict[str, Any]) -> list[str]:
    """Return the names of events in the order of the schema."""
    return [kind["$ref"].rpartition("/")[2] for kind in schema["oneOf"]]


def with_chat() -> Catalog:
    """Return what is installed, and a chat in whose cellar nobody hears a thing."""
    chat = Chat()

    async def act(notice: Notice) -> None:
        if notice.sink.options["room"] == "cellar":
            raise SinkError("nobody is there")

    chat.act = act
    return load_catalog(plugins=[chat])


def line(event: Event) -> dict[str, Any]:
    """Return an event as a reader of `--events` gets it."""
    return dict(json.loads(json.dumps(event.to_json())))


def test_the_schema_lists_every_event_and_no_other() -> None:
    """The closed list is the same in code and schema, in one order."""
    assert names_in(SCHEMA) == [name.value for name in EventName]
    assert all(SCHEMA["$defs"][name]["properties"]["event"]["const"] == name for name in names_in(SCHEMA))


def test_the_schema_is_one_and_its_examples_fit_it() -> None:
    """Each kind of event is described in full sentences, with an example that is valid."""
    Draft202012Validator.check_schema(SCHEMA)

    for name in names_in(SCHEMA):
        kind = SCHEMA["$defs"][name]
        assert kind["description"].endswith(".")
        assert kind["examples"]
        for example in kind["examples"]:
            VALIDATOR.validate(example)


def test_every_field_is_described() -> None:
    """The schema is the reference, so no field goes without a sentence and an example."""
    for name in names_in(SCHEMA):
        for field, rule in SCHEMA["$defs"][name]["properties"].items():
            rule = SCHEMA["$defs"][rule["$ref"].rpartition("/")[2]] if "$ref" in rule else rule
            assert rule["description"].endswith("."), f"{name}.{field}"
            assert field == "event" or rule["examples"], f"{name}.{field}"


def test_the_states_are_those_of_jobs() -> None:
    """`run_finished` counts jobs by the states that plan and status print."""
    listed = SCHEMA["$defs"]["run_finished"]["properties"]["states"]["propertyNames"]["enum"]

    assert listed == [state.value for state in State]


def test_what_can_be_told_is_what_specs_can_ask_for() -> None:
    """`notified` and `notify_failed` use the names of the spec's `notify`."""
    assert SCHEMA["$defs"]["told"]["items"]["enum"] == [name.value for name in NoticeName]


@pytest.mark.parametrize("change", [{"more": 1}, {"event": "job_eaten"}, {"job": None}, {"at": "yesterday"}], ids=str)
def test_what_is_no_event_is_refused(change: dict[str, Any]) -> None:
    """An unknown field or name, a missing one, or a wrong type is not let through."""
    example = SCHEMA["$defs"]["job_running"]["examples"][0] | change

    with pytest.raises(ValidationError):
        VALIDATOR.validate(example)


async def test_every_event_of_a_hard_life_fits_the_schema(
    simulate: Callable[..., Simulation], autojump_clock: MockClock
) -> None:
    """Runs with every kind of trouble tell every event there is, each as the schema says."""
    sim = simulate(faults=TROUBLE, refused_keys=["sk-wrong"])
    (sim.folder / "out").mkdir()

    def take_its_place(event: Event) -> None:
        sim.events.append(event)
        if event.name == "job_submitted" and event.job == "batch/taken":
            (sim.folder / "out" / "taken.mp4").write_bytes(b"somebody else's")

    await sim.run(sim.clips("early", name="key.yaml"), key="sk-wrong")
    await sim.run(sim.clips("found", name="found.yaml"))
    await sim.run(sim.spec(SPEC), observe=take_its_place, catalog=with_chat())
    lost = sim.clips("late", name="late.yaml")
    with trio.move_on_after(20):
        await sim.run(lost)
    await trio.sleep(0.9 * DAY_SECONDS)
    sim.faults({"on": "download", "do": {"status": 503}})
    await sim.run(lost)
    await trio.sleep(2 * DAY_SECONDS)

    outcome = await sim.run(lost)

    assert states(outcome) == {"late": "lost"}
    assert {event.name for event in sim.events} == set(EventName)
    for event in sim.events:
        VALIDATOR.validate(line(event))


async def test_the_ledger_keeps_every_event(simulate: Callable[..., Simulation], autojump_clock: MockClock) -> None:
    """What observers hear is what the ledger's table holds, in that order and by the same schema."""
    sim = simulate(faults=TROUBLE)
    await sim.run(sim.spec(SPEC), catalog=with_chat())

    with sim.ledger() as ledger:
        rows = ledger.events()

    stored = [Event(EventName(row["name"]), row["at"], row["run"], row["job"], row["data"]) for row in rows]  # type: ignore[arg-type]  # JSON
    assert [line(event) for event in stored] == [line(event) for event in sim.events]
    for event in stored:
        VALIDATOR.validate(line(event))


async def test_a_run_begins_and_ends_with_its_own_events(
    simulate: Callable[..., Simulation], autojump_clock: MockClock
) -> None:
    """The first event counts the jobs, the last one says how they stand; both are there when nothing is to do."""
    sim = simulate()
    spec = sim.clips("one", "two")
    await sim.run(spec)
    sim.events.clear()

    outcome = await sim.run(spec)

    assert [event.name.value for event in sim.events] == ["run_started", "run_finished"]
    assert dict(sim.events[0].data) == {"jobs": 2, "open": 0}
    assert dict(sim.events[1].data) == {"exit_code": 0, "states": {"done": 2}}
    assert {event.run for event in sim.events} == {outcome.run}
