"""Which sinks of a spec hear of events, of which, and where results go then."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from spec_kinds import TEXT, options

from wanrun.errors import PluginError
from wanrun.hookspecs import SinkKind
from wanrun.notices import NoticeName
from wanrun.spec.structure import core_schema
from wanrun.types import SecretName, SecretTemplate

if TYPE_CHECKING:
    from collections.abc import Callable

    from wanrun.catalog import Catalog
    from wanrun.spec import Loaded

    Load = Callable[[str], Loaded]

JOB = "{id: a, model: wan2.7-videoedit, prompt: p, media: [{video: clip.mp4}]}"


class Both:
    """A sink that takes files and hears of events."""

    def place(self, sink: Any, job: Any) -> str:
        """Return what the spec says."""
        return f"{sink.options['to']}/{job.id}"

    async def deliver(self, delivery: Any, ctx: Any) -> Any:
        """Fail: loading a spec may not deliver."""
        raise AssertionError("a sink was called")

    async def notify(self, notice: Any, ctx: Any) -> None:
        """Fail: loading a spec may not notify."""
        raise AssertionError("a sink was called")


def broken() -> Any:
    """Fail to be built."""
    raise PluginError("no driver", plugin="p", package="q")


@pytest.fixture
def catalog(catalog: Catalog) -> Catalog:
    """The tests' own kinds, with one that can do both, and one that cannot be built."""
    taking = options(to=TEXT, token={**TEXT, "writeOnly": True})
    more = {"drive": SinkKind(options=taking, build=Both), "ruin": SinkKind(options=options(), build=broken)}
    return replace(catalog, sinks={**catalog.sinks, **more})


def spec(sinks: str, notify: str, job: str = JOB) -> str:
    """Return a spec."""
    return f"version: 1\nvars: {{n: '112'}}\nsinks: {{{sinks}}}\nnotify: [{notify}]\njobs:\n  - {job}\n"


def sinks_of(loaded: Loaded) -> list[tuple[str, str]]:
    """Return name and kind of the sinks that get the job's result."""
    assert loaded.problems == ()
    return [(sink.name, sink.kind) for sink in loaded.jobs[0].sinks]


def told(loaded: Loaded) -> list[tuple[str, dict[str, Any], set[str]]]:
    """Return who hears of what: name and options of the sink, and the events."""
    assert loaded.problems == ()
    return [(each.sink.name, dict(each.sink.options), {*each.names}) for each in loaded.specs[0].notify]


def test_who_is_told_gets_no_files_unless_a_job_says_so(load_text: Load) -> None:
    """Jobs without `sinks` have those that `notify` does not name and that take files."""
    sinks = "disk: {folder: out}, team: {pager: '112'}, spare: {pager: '113'}, box: {drive: {to: x}}"
    notify = "{to: team, events: [job_failed]}, {to: box, events: [run_finished]}"

    assert sinks_of(load_text(spec(sinks, notify))) == [("disk", "folder")]
    named = JOB.replace("id: a", "id: a, sinks: [box]")
    assert sinks_of(load_text(spec(sinks, notify, named))) == [("box", "drive")]


@pytest.mark.parametrize("sinks", ["team: {pager: '112'}", "team: {drive: {to: x}}", "out: {pager: '112'}"])
def test_results_go_to_the_usual_folder_when_all_sinks_only_hear(load_text: Load, sinks: str) -> None:
    """As without any sinks: that somebody is told does not move a file."""
    notify = f"{{to: {sinks.partition(':')[0]}, events: [job_failed]}}"

    assert sinks_of(load_text(spec(sinks, notify))) == [("out", "folder")]


def test_options_are_filled_in_and_secrets_stay_names(load_text: Load) -> None:
    """Vars, the spec's name, and secrets, which nobody has looked up."""
    sinks = 'box: {drive: {to: "${{ spec.name }}/${{ vars.n }}", token: "${{ secret.T }}"}}'

    found = told(load_text(spec(sinks, "{to: box, events: [job_failed, run_finished]}")))

    options = {"to": "hero/112", "token": SecretTemplate([SecretName("T")])}
    assert found == [("box", options, {NoticeName.JOB_FAILED, NoticeName.RUN_FINISHED})]


def test_a_sink_that_cannot_be_built_is_reported_where_it_is_named(load_text: Load) -> None:
    """At the name in `notify`, in the plugin's own words."""
    (problem,) = load_text(spec("team: {ruin: {}}, disk: {folder: out}", "{to: team, events: [job_failed]}")).problems

    assert str(problem).endswith("hero.yaml:4:15: sinks.team: plugin p (q): no driver")


def test_the_schema_describes_every_event_that_can_be_asked_for() -> None:
    """The closed list is the same in code and schema, in one order, each with a sentence."""
    choices: Any = core_schema()["$defs"]["notify_event"]["oneOf"]  # type: ignore[index,call-overload]  # JSON

    assert [choice["const"] for choice in choices] == [name.value for name in NoticeName]
    assert all(choice["description"].endswith(".") for choice in choices)
