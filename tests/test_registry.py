"""What `registry` promises: everything installed is offered, and a bad plugin is named with its package and version."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from wanrun import (
    Event,
    EventName,
    Job,
    MediaRef,
    MediaUrl,
    Objection,
    Position,
    SinkKind,
    SourceError,
    SourceKind,
    Submission,
    hookimpl,
)
from wanrun.errors import MissingExtra, PluginError
from wanrun.models import schemas_folder
from wanrun.registry import load_catalog

if TYPE_CHECKING:
    from collections.abc import Callable

    from wanrun import Delivery, Notice, SinkRef

    Install = Callable[..., None]

OPTIONS = {"type": "object", "properties": {"path": {"type": "string", "description": "A path."}}}

GOOD = """
    from wanrun import SourceKind, hookimpl

    @hookimpl
    def wanrun_sources():
        options = {"type": "object", "properties": {"id": {"type": "string", "description": "An id."}}}
        return {"vault": SourceKind(options=options, build=object, short="id")}
"""


@pytest.fixture
def install(install_module: Install) -> Install:
    """Install a distribution with one plugin."""

    def install(name: str, code: str, *, version: str = "1.2", point: str = "plug") -> None:
        entry_point = f"[wanrun]\n{point} = plug_{name}"
        install_module(name, code, module=f"plug_{name}", entry_point=entry_point, version=version)

    return install


def plugin(**hooks: Callable[[], Any]) -> object:
    """Return a plugin object whose functions are hooks."""
    return SimpleNamespace(**{name: _renamed(name, function) for name, function in hooks.items()}, __name__="mine")


def _renamed(name: str, function: Callable[[], Any]) -> Callable[[], Any]:
    function.__name__ = name
    return hookimpl(function)


def sources(**kinds: object) -> object:
    return plugin(wanrun_sources=lambda: kinds)


def test_the_built_in_plugins_come_by_entry_points() -> None:
    """Our own plugins are found as anybody's are, and sorted by name."""
    catalog = load_catalog()

    assert list(catalog.sources) == ["file", "http", "job", "oss", "url"]
    assert list(catalog.sinks) == ["folder", "oss", "slack"]
    assert list(catalog.models) == ["wan2.7-videoedit"]
    assert catalog.observers() == []


@pytest.mark.parametrize(
    "token",
    [
        {"type": "integer", "writeOnly": True},
        {"anyOf": [{"type": "string", "writeOnly": True}]},
        {"type": "object", "patternProperties": {"x": {"type": "string", "writeOnly": True}}},
        {"type": "object", "writeOnly": True},
    ],
    ids=["a number", "a choice", "a pattern", "a mapping"],
)
def test_a_secret_that_no_spec_could_give_is_the_plugin_s_mistake(token: dict[str, Any]) -> None:
    """Only texts can be secrets, and a spec's check has to see at a glance which are."""
    options: Any = {"type": "object", "properties": {"token": {"description": "A token.", **token}}}

    with pytest.raises(PluginError, match=r'a secret of its source "safe" is described as .* writeOnly is for options'):
        load_catalog(plugins=[sources(safe=SourceKind(options=options, build=cast("Any", object)))])


def test_without_entry_points_only_what_the_core_has_is_there() -> None:
    """Tests and programs can say exactly what there is."""
    catalog = load_catalog(entry_points=False)

    assert (list(catalog.sources), catalog.sinks, list(catalog.models)) == (["job"], {}, ["wan2.7-videoedit"])


def test_an_installed_plugin_is_found(install: Install) -> None:
    """A distribution with an entry point offers its kinds beside ours."""
    install("good", GOOD)

    assert list(load_catalog().sources) == ["file", "http", "job", "oss", "url", "vault"]


def test_loading_imports_nothing_heavy() -> None:
    """No event loop, HTTP client, codec or validator is loaded to know what is installed."""
    code = """
        import sys, wanrun.registry
        catalog = wanrun.registry.load_catalog()
        catalog.source("file"), catalog.sink("oss")
        heavy = {"trio", "httpx", "av", "puremagic", "h11", "jsonschema", "alibabacloud_oss_v2", "requests"}
        print(sorted(heavy & set(sys.modules)))
    """

    printed = subprocess.run([sys.executable, "-c", dedent(code)], capture_output=True, text=True, check=True).stdout

    assert printed == "[]\n"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        pytest.param(
            "import nothing_like_this",
            "cannot import plug_bad: ModuleNotFoundError: No module named 'nothing_like_this'",
            id="a missing import",
        ),
        pytest.param("1 / 0", "cannot import plug_bad: ZeroDivisionError: division by zero", id="a failing import"),
        pytest.param("x = 1", "it offers nothing: mark its functions with wanrun.hookimpl", id="no hooks"),
        pytest.param(
            "import wanrun\n@wanrun.hookimpl\ndef wanrun_sorces(): return {}",
            'there is no hook "wanrun_sorces"; did you mean "wanrun_sources"?',
            id="a misspelt hook",
        ),
        pytest.param(
            "import wanrun\n@wanrun.hookimpl\ndef wanrun_sources(config): return {}",
            "hookimpl definition: wanrun_sources(config); Argument(s) {'config'} are declared",
            id="an unknown argument",
        ),
        pytest.param(
            "import wanrun\n@wanrun.hookimpl\ndef wanrun_sinks(): raise OSError('no disk\\nmore')",
            "its wanrun_sinks failed: OSError: no disk",
            id="a failing hook",
        ),
        pytest.param(
            "import wanrun\n@wanrun.hookimpl\ndef wanrun_sources(): return ['file']",
            "its wanrun_sources returned ['file']; return a mapping from name to kind",
            id="a list",
        ),
        pytest.param(
            "import wanrun\n@wanrun.hookimpl\ndef wanrun_models(): return {'name': 'wan9'}",
            "it offers 'name' as a model; offer the content of a model file, with a name",
            id="one model, not a list",
        ),
    ],
)
def test_a_broken_plugin_is_named_with_package_and_version(install: Install, code: str, message: str) -> None:
    """The reader learns which package to mend or remove."""
    install("bad", code, version="3.4")

    with pytest.raises(PluginError) as raised:
        load_catalog()

    assert str(raised.value).startswith(f"plugin plug (bad 3.4): {message}")
    assert (raised.value.plugin, raised.value.package) == ("plug", "bad 3.4")


def test_a_kind_that_two_plugins_offer_cites_both(install: Install) -> None:
    """Neither wins silently, and the message is the same in whatever order they were installed."""
    install("one", GOOD, point="first")
    install("two", GOOD, point="second", version="2.0")

    with pytest.raises(PluginError) as raised:
        load_catalog()

    assert str(raised.value) == (
        'plugin second (two 2.0): it offers the source "vault", which first (one 1.2) offers already; '
        "remove one of the two"
    )


def test_a_plugin_cannot_replace_a_built_in_kind() -> None:
    """A second `file` cites ours with the version of wanrun."""
    mine = sources(file=SourceKind(options=OPTIONS, build=object))

    with pytest.raises(PluginError, match=r'the source "file", which file \(wanrun .+\) offers already') as raised:
        load_catalog(plugins=[mine])

    assert "mine (given by the program)" in str(raised.value)


def test_a_module_under_two_entry_points_is_refused(install: Install) -> None:
    """Registering one object twice is a mistake of the package."""
    install("one", GOOD)

    with pytest.raises(PluginError, match="registered twice"):
        load_catalog(plugins=[__import__("plug_one")])


def test_the_name_job_belongs_to_the_core() -> None:
    """`{job: id}` is a chain and never a plugin's."""
    with pytest.raises(PluginError, match=r'the source "job", which wanrun \(the core\) offers already'):
        load_catalog(plugins=[sources(job=SourceKind(options=OPTIONS, build=object))])


def kind(**changes: Any) -> SourceKind:
    return SourceKind(**{"options": OPTIONS, "build": object} | changes)


@pytest.mark.parametrize(
    ("name", "offered", "message"),
    [
        pytest.param("File", kind(), "it offers a source called 'File'; use a-z", id="a capital"),
        pytest.param("a b", kind(), "it offers a source called 'a b'", id="a blank"),
        pytest.param("x", object, 'its source "x" is .*; offer a wanrun.SourceKind', id="no kind"),
        pytest.param("x", kind(options=[]), r"the schema of its source \"x\" is \[\]", id="no schema"),
        pytest.param("x", kind(options={"type": "string"}), 'need "type": "object"', id="not of objects"),
        pytest.param("x", kind(options={"type": "objet"}), "is wrong at", id="not valid"),
        pytest.param(
            "x",
            kind(options={"type": "object", "properties": {"p": {"type": "string"}}}),
            'the option "p" of its source "x" has no description',
            id="no description",
        ),
        pytest.param("x", kind(short="url"), 'the short form "url", which is not one of its options', id="short form"),
        pytest.param(
            "x",
            kind(options=OPTIONS | {"allOf": [{"$ref": "https://example.com/x.json"}]}),
            "refers to 'https://example.com/x.json'; keep what it needs inside it",
            id="a remote reference",
        ),
        pytest.param(
            "x",
            kind(options=OPTIONS | {"$schema": "http://json-schema.org/draft-07/schema#"}),
            "not of draft 2020-12",
            id="an old draft",
        ),
    ],
)
def test_an_unusable_kind_is_refused_before_any_spec_is_read(name: str, offered: object, message: str) -> None:
    """Names, types and option schemas are checked when they are offered."""
    with pytest.raises(PluginError, match=message):
        load_catalog(plugins=[sources(**{name: offered})], entry_points=False)


def test_a_model_of_a_plugin_is_one_more_model() -> None:
    """A sibling is its model file's content."""
    data = json.loads((schemas_folder() / "models" / "wan2.7-videoedit.json").read_text("utf-8"))
    sibling = plugin(wanrun_models=lambda: [data | {"name": "wan9-videoedit"}])

    assert list(load_catalog(plugins=[sibling]).models) == ["wan2.7-videoedit", "wan9-videoedit"]


def test_a_model_that_lacks_figures_is_refused() -> None:
    """A model file with a hole names the plugin, not a traceback."""
    with pytest.raises(PluginError, match='its model "wan9" is not described as a model file is: KeyError'):
        load_catalog(plugins=[plugin(wanrun_models=lambda: iter([{"name": "wan9"}]))])


def test_a_model_cannot_take_the_name_of_one_of_ours() -> None:
    """Prices and limits come from one place."""
    data = json.loads((schemas_folder() / "models" / "wan2.7-videoedit.json").read_text("utf-8"))

    with pytest.raises(PluginError, match=r'the model "wan2.7-videoedit", which wanrun \(the core\) offers already'):
        load_catalog(plugins=[plugin(wanrun_models=lambda: [data])])


def test_observers_are_asked_for_once_per_run() -> None:
    """Each run gets observers of its own."""
    heard: list[Event] = []
    asked: list[int] = []

    def observers() -> list[Callable[[Event], None]]:
        asked.append(1)
        return [heard.append]

    catalog = load_catalog(plugins=[plugin(wanrun_observers=observers)])
    event = Event(EventName.RUN_STARTED, at=0.0, run="r1")
    for observer in catalog.observers():
        observer(event)

    assert heard == [event]
    assert len(asked) == 1
    assert len(catalog.observers()) == 1


@pytest.mark.parametrize("offered", [None, 3, ["no"]], ids=["nothing", "a number", "words"])
def test_observers_that_cannot_be_called_are_refused(offered: object) -> None:
    """None offers nothing; all else must be callables."""
    catalog = load_catalog(plugins=[plugin(wanrun_observers=lambda: offered)])

    if offered is None:
        assert catalog.observers() == []
    else:
        with pytest.raises(PluginError, match="wanrun_observers"):
            catalog.observers()


SHOT = Submission(
    job=Job("hero", "shot", Path("/a.yaml"), Position(Path("/a.yaml"), 3, 3), "m", "default", "clay", None, (), {}, ()),
    identities=(),
    seconds=None,
    cost=None,
    currency=None,
    again=False,
)


def policy(answer: object) -> object:
    """Return a plugin that gives one answer about every job."""

    def check(submission: Submission) -> object:
        assert submission is SHOT
        return answer

    return plugin(wanrun_check_job=check)


@pytest.mark.parametrize(
    ("answer", "messages"),
    [
        (None, []),
        ([], []),
        (Objection(message="no"), ["no"]),
        ([Objection(message="no"), Objection(message="hm", veto=False)], ["no", "hm"]),
    ],
    ids=["nothing", "none", "one", "two"],
)
def test_a_policy_is_asked_about_a_job(answer: object, messages: list[str]) -> None:
    """One objection, several or none, each with the plugin it comes from."""
    said = load_catalog(plugins=[policy(answer)]).check_job(SHOT)

    assert [(plugin, objection.message) for plugin, objection in said] == [
        ("mine (given by the program)", message) for message in messages
    ]


def test_without_a_policy_nothing_is_asked() -> None:
    """Nobody objects where there is no such plugin."""
    assert load_catalog().check_job(SHOT) == []


@pytest.mark.parametrize(
    "answer",
    [True, "no", ["no"], Objection(message=""), Objection(message=None)],
    ids=ascii,  # type: ignore[arg-type]
)
def test_an_answer_of_a_policy_that_is_none_is_refused(answer: object) -> None:
    """What cannot be read as an objection is not taken for consent."""
    with pytest.raises(PluginError, match="its wanrun_check_job returned"):
        load_catalog(plugins=[policy(answer)]).check_job(SHOT)


class Odd:
    """A source with a mistake in every method."""

    def locate(self, ref: MediaRef) -> Any:
        if ref.type == "gone":
            raise SourceError("gone")
        return "a string"

    def identify(self, ref: MediaRef) -> Any:
        return {}["key"]

    async def prepare(self, ref: MediaRef, ctx: Any) -> Any:
        return None


REF = MediaRef("video", "odd", {}, Path("/specs"), Position(Path("/specs/a.yaml"), 1, 1))


async def test_mistakes_of_a_source_name_the_plugin() -> None:
    """Whatever a plugin's object raises or answers, the user reads whose it is."""
    source = load_catalog(plugins=[sources(odd=kind(build=Odd))]).source("odd")

    with pytest.raises(PluginError, match='its source "odd" answered locate with a str; it must be a Path'):
        source.locate(REF)
    with pytest.raises(PluginError, match='its source "odd" failed in identify: KeyError'):
        source.identify(REF)
    with pytest.raises(PluginError, match=r'its source "odd" answered prepare with a NoneType; it must be a wanrun'):
        await source.prepare(REF, SimpleNamespace())


@pytest.mark.parametrize(
    ("answer", "odd"),
    [
        (MediaUrl(""), "its url is empty; it must be a text"),
        (MediaUrl(cast("Any", 5)), "its url is a int; it must be a text"),
        (
            MediaUrl("https://example.com/a.mp4", cast("Any", "soon")),
            "its expires_at is a str; it must be epoch seconds",
        ),
    ],
    ids=["empty", "a number", "no time"],
)
async def test_an_answer_of_a_plugin_holds_what_its_type_promises(answer: MediaUrl, odd: str) -> None:
    """A link that is none is the plugin's mistake, found before anything is sent."""

    class Dim(Odd):
        async def prepare(self, ref: MediaRef, ctx: Any) -> Any:
            return answer

    source = load_catalog(plugins=[sources(dim=kind(build=Dim))]).source("dim")

    with pytest.raises(PluginError, match=odd):
        await source.prepare(REF, SimpleNamespace())


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (ExceptionGroup("nursery", [SourceError("no such reel")]), "^no such reel$"),
        (ExceptionGroup("nursery", [KeyError("reel")]), "failed in prepare: ExceptionGroup"),
        (SystemExit(3), "failed in prepare: SystemExit: 3"),
        (asyncio.CancelledError("by whom"), "failed in prepare: CancelledError: by whom"),
    ],
    ids=["its own words", "a mistake", "an exit", "a cancelled task of asyncio"],
)
async def test_what_leaves_a_plugins_nursery_is_told_like_anything_else(fault: BaseException, told: str) -> None:
    """An error that explains itself is taken out of its group; nothing that a plugin does ends the program."""

    class Grouped(Odd):
        async def prepare(self, ref: MediaRef, ctx: Any) -> Any:
            raise fault

    source = load_catalog(plugins=[sources(grouped=kind(build=Grouped))]).source("grouped")

    with pytest.raises((SourceError, PluginError), match=told):
        await source.prepare(REF, SimpleNamespace())


class OddSink:
    """A sink with a mistake in every method."""

    def place(self, sink: SinkRef, job: Job) -> Any:
        return None

    async def deliver(self, delivery: Delivery, ctx: Any) -> Any:
        raise AttributeError("no bucket at https://example.com/b?Signature=s3cr3t")


async def test_mistakes_of_a_sink_name_the_plugin() -> None:
    """Sinks are guarded as sources are."""
    odd = plugin(wanrun_sinks=lambda: {"odd": SinkKind(options=OPTIONS, build=OddSink)})
    sink = load_catalog(plugins=[odd]).sink("odd")
    anything: Any = SimpleNamespace()

    with pytest.raises(PluginError, match='its sink "odd" answered place with a NoneType; it must be a str'):
        sink.place(anything, anything)
    with pytest.raises(PluginError, match='its sink "odd" failed in deliver: AttributeError: no bucket') as raised:
        await sink.deliver(anything, anything)

    assert str(raised.value).endswith("https://example.com/b?...")


class OddNotifier:
    """A notifier that forgot to be async."""

    def notify(self, notice: Notice, ctx: Any) -> Any:
        return "sent"


class Both(OddSink):
    """A sink that takes files and hears of events."""

    async def notify(self, notice: Notice, ctx: Any) -> Any:
        return 404


async def test_a_kind_of_sink_may_take_files_hear_of_events_or_both() -> None:
    """By the methods of what it builds; mistakes of `notify` name the plugin, and what it returns is of no matter."""
    builds: dict[str, Any] = {"files": OddSink, "events": OddNotifier, "both": Both, "nothing": object}
    kinds = {name: SinkKind(options=OPTIONS, build=build) for name, build in builds.items()}
    catalog = load_catalog(plugins=[plugin(wanrun_sinks=lambda: kinds)])
    anything: Any = SimpleNamespace()
    heard = {name: catalog.notifier(name) for name in ("files", "events", "both")}

    assert [catalog.takes_files(name) for name in heard] == [True, False, True]
    assert heard["files"] is None
    assert heard["events"] is not None
    assert heard["both"] is not None
    await heard["both"].notify(anything, anything)
    with pytest.raises(PluginError, match='its sink "events" failed in notify: TypeError'):
        await heard["events"].notify(anything, anything)
    with pytest.raises(PluginError, match=r"which is neither a wanrun\.Sink nor a wanrun\.Notifier"):
        catalog.notifier("nothing")


def test_errors_that_explain_themselves_pass() -> None:
    """A `SourceError` is the plugin's own word to the user."""
    source = load_catalog(plugins=[sources(odd=kind(build=Odd))]).source("odd")

    with pytest.raises(SourceError, match=r"^gone$"):
        source.locate(MediaRef("gone", "odd", {}, REF.folder, REF.position))


def test_a_factory_that_fails_is_the_plugins_fault() -> None:
    """Building happens at first use, and its failure is a `PluginError` too."""

    def broken() -> Any:
        raise RuntimeError("no driver")

    def lacking() -> Any:
        raise MissingExtra("the vault source needs its client", extra="vault")

    catalog = load_catalog(plugins=[sources(a=kind(build=broken), b=kind(), c=kind(build=lacking))])

    with pytest.raises(PluginError, match='its source "a" cannot be built: RuntimeError: no driver'):
        catalog.source("a")
    with pytest.raises(PluginError, match=r'its source "b" builds <object .*>, which is not a wanrun\.Source'):
        catalog.source("b")
    with pytest.raises(MissingExtra, match="pip install"):
        catalog.source("c")
