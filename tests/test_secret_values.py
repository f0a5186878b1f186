"""Secrets in use: looked up when they are needed and not before, handed to the plugin that takes them, and kept."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from simulation import HEAD, states
from wanrun import Identity, MediaUrl, Receipt, Secret, SinkError, SinkKind, SourceKind, api, hookimpl
from wanrun.errors import ExitCode, SettingsError, SpecError
from wanrun.registry import load_catalog
from wanrun.types import SecretName, SecretTemplate
from wanrun.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock

    from simulation import Simulation
    from wanrun import DeliverContext, Delivery, Job, MediaRef, PrepareContext, SinkRef

    Simulate = Callable[..., Simulation]

TEXT = {"type": "string", "description": "A text."}
SECRET = {**TEXT, "writeOnly": True}
OPTIONS = {"type": "object", "additionalProperties": False, "properties": {"id": TEXT, "token": SECRET}}
SPEC = """\
sinks:
  chat: {chat: {id: "${{ job.id }}", token: "Bearer ${{ secret.CHAT_TOKEN }}"}}
jobs:
  - {id: one, prompt: a, media: [{video: {safe: {id: clip, token: "${{ secret.SAFE_PIN }}"}}}]}
"""
VALUES = {"CHAT_TOKEN": "chat-canary-1", "SAFE_PIN": "pin-canary-1"}


class Plugin:
    """A source and a sink that take a secret each, and remember what they were given."""

    def __init__(self) -> None:
        self.given: list[str] = []
        self.fails = False

    @hookimpl
    def wanrun_sources(self) -> dict[str, SourceKind]:
        """Offer `safe`."""
        return {"safe": SourceKind(options=OPTIONS, build=lambda: Safe(self))}

    @hookimpl
    def wanrun_sinks(self) -> dict[str, SinkKind]:
        """Offer `chat`."""
        return {"chat": SinkKind(options=OPTIONS, build=lambda: Chat(self))}

    def take(self, token: object) -> None:
        """Take note of a secret."""
        assert isinstance(token, Secret)
        self.given.append(token.reveal())


@dataclass
class Safe:
    """A source that opens with a secret."""

    plugin: Plugin

    def locate(self, ref: MediaRef) -> Path | None:
        """Name no file."""
        return None

    def identify(self, ref: MediaRef) -> Identity:
        """Return the id; the secret tells nothing."""
        assert str(ref.options["token"]) == "***"
        return Identity(f"url:{ref.options['id']}")

    async def prepare(self, ref: MediaRef, ctx: PrepareContext) -> MediaUrl:
        """Open."""
        self.plugin.take(ref.options["token"])
        return MediaUrl("https://example.com/clip.mp4")


@dataclass
class Chat:
    """A sink that posts with a secret."""

    plugin: Plugin

    def place(self, sink: SinkRef, job: Job) -> str:
        """Return the id; the secret tells nothing."""
        assert f"{sink.options['token']}" == "***"
        return f"chat:{sink.options['id']}"

    async def deliver(self, delivery: Delivery, ctx: DeliverContext) -> Receipt:
        """Post."""
        self.plugin.take(delivery.sink.options["token"])
        if self.plugin.fails:
            raise SinkError("the chat is away")
        artifact = delivery.artifact
        return Receipt("chat", artifact.bytes, artifact.sha256, {"token": delivery.sink.options["token"]})


@pytest.fixture
def plugin() -> Plugin:
    """A plugin that takes secrets."""
    return Plugin()


@pytest.fixture
async def sim(simulate: Simulate, autojump_clock: MockClock) -> Simulation:
    """A project with secrets in its environment; a test that uses it takes `autojump_clock` too."""
    sim = simulate()
    sim.environ = dict(VALUES)
    return sim


async def test_plugins_get_values_and_nothing_else_does(
    sim: Simulation, plugin: Plugin, autojump_clock: MockClock
) -> None:
    """In prepare and deliver only; a receipt that holds the secret is recorded without its value."""
    outcome = await sim.run(sim.spec(SPEC), catalog=load_catalog(plugins=[plugin]))

    assert outcome.exit_code == 0
    assert plugin.given == ["pin-canary-1", "Bearer chat-canary-1"]
    with sim.ledger() as ledger:
        (row,) = ledger._read("SELECT receipt FROM deliveries")
    assert json.loads(row["receipt"])["token"] == "***"


async def test_a_new_value_delivers_nothing_again(sim: Simulation, plugin: Plugin, autojump_clock: MockClock) -> None:
    """A rotated secret is the same secret; another name is another destination."""
    catalog = load_catalog(plugins=[plugin])
    await sim.run(sim.spec(SPEC), catalog=catalog)
    sim.environ = {name: f"{value}-rotated" for name, value in VALUES.items()} | {"OTHER": "other-canary-1"}

    rotated = await sim.run(sim.spec(SPEC), catalog=catalog)
    renamed = await sim.run(sim.spec(SPEC.replace("CHAT_TOKEN", "OTHER")), catalog=catalog)

    assert (rotated.exit_code, renamed.exit_code, sim.made) == (0, 0, 1)
    assert plugin.given == ["pin-canary-1", "Bearer chat-canary-1", "Bearer other-canary-1"]


async def test_missing_secrets_are_all_named_before_anything_is_submitted(
    sim: Simulation, plugin: Plugin, autojump_clock: MockClock
) -> None:
    """Each where the spec names it; nothing is asked of the service."""
    sim.environ = {"CHAT_TOKEN": "  "}
    spec = sim.spec(SPEC)

    with pytest.raises(SpecError) as caught:
        await sim.run(spec, catalog=load_catalog(plugins=[plugin]))

    assert caught.value.exit_code is ExitCode.INVALID
    assert [str(problem).removeprefix(f"{sim.folder}/") for problem in caught.value.problems] == [
        "batch.yaml:4:45: there is no secret CHAT_TOKEN: the environment variable CHAT_TOKEN is missing or empty",
        "batch.yaml:6:67: there is no secret SAFE_PIN: the environment variable SAFE_PIN is missing or empty",
    ]
    assert (sim.made, plugin.given) == (0, [])


async def test_only_what_is_still_to_be_done_needs_its_secrets(
    sim: Simulation, plugin: Plugin, autojump_clock: MockClock
) -> None:
    """A delivery that failed needs the sink's secret again, not the source's; a job that is done needs none."""
    catalog = load_catalog(plugins=[plugin])
    plugin.fails = True
    await sim.run(sim.spec(SPEC), catalog=catalog)
    plugin.fails = False

    sim.environ = {"SAFE_PIN": "pin-canary-1"}
    with pytest.raises(SpecError, match="there is no secret CHAT_TOKEN"):
        await sim.run(sim.spec(SPEC), catalog=catalog)
    sim.environ = {"CHAT_TOKEN": "chat-canary-1"}
    delivered = await sim.run(sim.spec(SPEC), catalog=catalog)
    sim.environ = {}
    nothing = await sim.run(sim.spec(SPEC), catalog=catalog)

    assert (delivered.exit_code, nothing.exit_code, sim.made) == (0, 0, 1)


async def test_what_is_paid_for_is_fetched_before_a_secret_is_missed(
    sim: Simulation, plugin: Plugin, autojump_clock: MockClock
) -> None:
    """A job in flight is brought home without its sink's secret, and its delivery says what it lacks."""
    catalog = load_catalog(plugins=[plugin])
    spec = sim.spec(SPEC)
    sim.faults({"on": ["query", "list"], "do": {"status": 503}})
    stopped = await sim.run(spec, catalog=catalog)
    sim.faults()
    sim.environ = {}

    outcome = await sim.run(spec, catalog=catalog)

    assert (stopped.exit_code, states(stopped)) == (3, {"one": "in flight"})
    assert (outcome.exit_code, states(outcome)) == (3, {"one": "to deliver"})
    (failed,) = sim.named("delivery_failed")
    assert str(failed.data["message"]).startswith("there is no secret CHAT_TOKEN")


async def test_a_folder_of_secrets_takes_the_place_of_the_environment(
    sim: Simulation, plugin: Plugin, autojump_clock: MockClock
) -> None:
    """Files that are mounted, one a secret; the line break that an editor leaves at the end is none of it."""
    sim.settings('[secrets]\nfolder = "mounted"\n')
    (sim.folder / "mounted").mkdir()
    (sim.folder / "mounted" / "CHAT_TOKEN").write_text("from-a-file\n")
    spec = sim.spec(SPEC)

    with pytest.raises(SpecError) as caught:
        await sim.run(spec, catalog=load_catalog(plugins=[plugin]))
    (sim.folder / "mounted" / "SAFE_PIN").write_text("two\nlines\r\n")
    outcome = await sim.run(spec, catalog=load_catalog(plugins=[plugin]))

    assert str(caught.value).endswith(
        f": there is no secret SAFE_PIN: the file {sim.folder}/mounted/SAFE_PIN is missing or empty"
    )
    assert outcome.exit_code == 0
    assert plugin.given == ["two\nlines", "Bearer from-a-file"]


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"\xff\xfe-canary", "is not UTF-8 text"), (b"canary" * 20_000, "has more than 64 KiB"), (None, "Is a directory")],
    ids=["no text", "too long", "a folder"],
)
def test_a_mounted_file_that_is_no_secret_is_named(tmp_path: Path, content: bytes | None, message: str) -> None:
    """By its path, never by what it holds."""
    path = tmp_path / "TOKEN"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)

    with pytest.raises(SettingsError) as caught:
        Vault({}, tmp_path).opened({"token": SecretTemplate([SecretName("TOKEN")])})

    assert str(path) in str(caught.value)
    assert message in str(caught.value)
    assert "canary" not in str(caught.value)


def test_an_environment_variable_that_is_no_text_is_named() -> None:
    """Bytes that are no UTF-8 reach Python as half characters."""
    with pytest.raises(SettingsError, match="the environment variable TOKEN is not UTF-8 text"):
        Vault({"TOKEN": "canary-\udcff"}).opened({"token": SecretTemplate([SecretName("TOKEN")])})


async def test_no_spec_can_send_an_api_key_to_a_sink(
    sim: Simulation, plugin: Plugin, autojump_clock: MockClock
) -> None:
    """The variables that hold keys are no secrets of a spec: a key goes to the service only."""
    sim.settings('[providers.lab]\napi_key_env = "LAB_KEY"\n')
    sim.environ = VALUES | {"LAB_KEY": "sk-lab-canary"}
    for name in ("DASHSCOPE_API_KEY", "LAB_KEY"):
        with pytest.raises(SpecError, match=f"{name} is an API key, which goes to the service only"):
            await sim.run(sim.spec(SPEC.replace("CHAT_TOKEN", name)), catalog=load_catalog(plugins=[plugin]))


class Locked(dict[str, str]):
    """An environment in which nobody may look for a secret."""

    def get(self, key: str, default: Any = None) -> Any:
        """Find nothing, and refuse to look for a secret."""
        assert key not in VALUES
        return default


def test_checking_and_planning_look_up_nothing(tmp_path: Path, install: Callable[[], None]) -> None:
    """Neither needs a secret to be there, nor knows its value afterwards."""
    install()
    (tmp_path / ".wanrun").mkdir()
    (tmp_path / "batch.yaml").write_text(HEAD + SPEC)
    setup = api.Setup(folder=tmp_path, environ=Locked())

    batch = api.load([tmp_path / "batch.yaml"], setup)
    planned = api.plan([tmp_path / "batch.yaml"], setup)

    assert (len(batch.jobs), len(planned.jobs)) == (1, 1)
    assert isinstance(planned.jobs[0].destinations[0].sink.options["token"], SecretTemplate)


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """A function that installs the plugin above, as pip would."""

    def install_it() -> None:
        info = tmp_path / "site" / "vaults-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: vaults\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[wanrun]\nvaults = {__name__}:INSTALLED\n")
        monkeypatch.syspath_prepend(str(tmp_path / "site"))

    return install_it


INSTALLED = Plugin()


async def test_a_plugin_that_looks_too_early_is_told_so(
    sim: Simulation, plugin: Plugin, autojump_clock: MockClock
) -> None:
    """At place and identify there is no value yet."""

    class Early(Chat):
        def place(self, sink: SinkRef, job: Job) -> str:
            return sink.options["token"].reveal()  # type: ignore[union-attr]  # what a hasty author writes

    class Hasty(Plugin):
        @hookimpl
        def wanrun_sinks(self) -> dict[str, SinkKind]:
            return {"chat": SinkKind(options=OPTIONS, build=lambda: Early(self))}

    with pytest.raises(SpecError, match="a secret can be revealed in prepare and deliver only"):
        await sim.run(sim.spec(SPEC), catalog=load_catalog(plugins=[Hasty()]))


@dataclass
class Holder:
    """Something that holds a secret, as plugins' own objects do."""

    token: Secret


@pytest.mark.parametrize("secret", [Secret("canary"), SecretTemplate(["canary"])], ids=["value", "template"])
def test_a_secret_shows_itself_nowhere(secret: Secret) -> None:
    """Printed, formatted, joined, encoded, as JSON, in a dataclass or copied: three stars each time."""
    shown = [
        str(secret),
        repr(secret),
        f"{secret}",
        f"{secret!r}",
        format(secret, ">9").strip(),
        "%s" % secret,  # noqa: UP031  # one of the ways
        "".join([secret]),
        json.loads(json.dumps({"a": secret}))["a"],
        secret.encode().decode(),
        str(copy.deepcopy(secret)),
        asdict(Holder(secret))["token"],
    ]

    assert {str(each) for each in shown} == {"***"}
    assert repr(Holder(secret)) == "Holder(token=***)"
    assert "canary" not in repr([secret.__reduce__, vars(Holder(secret))])
    with pytest.raises(TypeError, match="a secret is not pickled"):
        pickle.dumps(secret)


def test_secrets_are_equal_by_value() -> None:
    """So that comparing two of them says what it seems to say; no text equals one."""
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "***"
    assert Secret("a") != "a"
    assert {SecretTemplate([SecretName("A")]), SecretTemplate([SecretName("A")])} == {SecretTemplate([SecretName("A")])}
