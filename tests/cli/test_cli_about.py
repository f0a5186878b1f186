"""`wanrun schema`, `wanrun plugins` and `wanrun doctor`: what is installed, and whether it would work."""

from __future__ import annotations

import json
import re
import threading
import time
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cli_parts import FAST
from jsonschema import Draft202012Validator

from wanrun import api
from wanrun.models import schemas_folder
from wanrun.types import Job, Position

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cli_parts import Project, Said

    Install = Callable[..., None]

pytestmark = pytest.mark.slow

KEY = "sk-" + "k" * 32
DEAD = "http://127.0.0.1:9/api/v1"
VAULT = """
    from wanrun import SourceKind, hookimpl

    @hookimpl
    def wanrun_sources():
        properties = {
            "id": {"type": "string", "description": "The number of the clip.", "examples": ["a-1"]},
            "copies": {"type": ["integer", "null"], "description": "How many.", "default": 1},
            "size": {"enum": ["small", "large"], "description": "Which one."},
        }
        options = {"type": "object", "additionalProperties": False, "required": ["id"], "properties": properties}
        return {"vault": SourceKind(options=options, build=object, short="id")}

    @hookimpl
    def wanrun_observers():
        raise RuntimeError("asked only by runs")
"""


LOUD = "raise RuntimeError('imported')"


@pytest.fixture
def install(install_module: Install) -> Install:
    """Install a distribution with one plugin."""
    return lambda name, code: install_module(
        name, code, module=f"plug_{name}", entry_point=f"[wanrun]\n{name} = plug_{name}"
    )


def test_every_name_of_the_library_is_there() -> None:
    """What is imported when it is first used is spelt right."""
    assert all(getattr(api, name) is not None for name in api.__all__)


# schema


@pytest.mark.parametrize("args", [(), ("--events",), ("--model", "wan2.7-videoedit")], ids=lambda args: " ".join(args))
def test_every_schema_is_valid(project: Project, args: tuple[str, ...]) -> None:
    """Draft 2020-12, said by the schema itself, in either format."""
    said = project.wanrun("schema", *args)

    assert (said.exit_code, said.stderr) == (0, "")
    assert said.json["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(said.json)
    assert project.wanrun("schema", *args, "--format", "json").stdout == said.stdout


def test_the_schema_of_specs_has_every_plugin_s_options(project: Project, install: Install) -> None:
    """What a third party offers is completed in an editor like anything else."""
    install("vault", VAULT)

    printed = Draft202012Validator(project.wanrun("schema").json)

    def spec(**options: object) -> dict[str, Any]:
        job = {"id": "a", "model": "wan2.7-videoedit", "prompt": "x", "media": [{"video": {"vault": options}}]}
        return {"version": 1, "jobs": [job]}

    assert printed.is_valid(spec(id="a-1", size="small"))
    assert not printed.is_valid(spec(id="a-1", size="medium"))


def test_the_schema_of_bases_takes_what_a_spec_extends(project: Project) -> None:
    """For the editor that shows such a file: defaults and sinks as in specs, and no jobs."""
    printed = Draft202012Validator(project.wanrun("schema", "--base").json)
    base = {"version": 1, "defaults": {"parameters": {"seed": 5}}, "sinks": {"disk": {"folder": "out"}}}

    assert printed.is_valid(base)
    assert not printed.is_valid({**base, "jobs": []})
    assert not printed.is_valid({**base, "sinks": {"disk": {"fodler": "out"}}})


def test_the_schema_of_events_is_the_one_that_ships(project: Project) -> None:
    """The file that README names, byte for byte in its content."""
    shipped = json.loads((schemas_folder() / "events.schema.json").read_text(encoding="utf-8"))

    assert project.wanrun("schema", "--events").json == shipped


def test_the_schema_of_a_model_says_what_a_job_may_ask(project: Project) -> None:
    """Prompt and parameters with their ranges."""
    schema = project.wanrun("schema", "--model", "wan2.7-videoedit").json

    assert schema["title"] == "wan2.7-videoedit"
    assert "resolution" in schema["properties"]["parameters"]["properties"]


def test_a_model_that_nobody_offers_is_named(project: Project) -> None:
    """Exit code 2, with the nearest."""
    said = project.wanrun("schema", "--model", "wan2.7-videoedt")

    assert said.exit_code == 2
    assert said.stderr == (
        'no plugin offers the model "wan2.7-videoedt"; did you mean "wan2.7-videoedit"? installed: wan2.7-videoedit\n'
    )


def test_the_schema_has_what_a_project_allows(project: Project, install: Install) -> None:
    """Neither kinds nor plugins that its specs may not use, so that an editor offers what `validate` takes."""
    install("loud", LOUD)
    project.write("wanrun.toml", '[allow]\nkinds = ["file", "http", "folder"]\nplugins = ["http", "folder"]\n')
    project.write("open.toml", "")

    found = project.wanrun("schema")
    open_one = project.wanrun("schema", "--config", "open.toml")

    definitions = found.json["$defs"]
    assert found.exit_code == 0, found
    assert list(definitions["media_value"]["properties"]) == ["http", "job"]
    assert list(definitions["sink"]["properties"]) == ["folder"]
    assert (open_one.exit_code, "plugin loud (loud 1.2)" in open_one.stderr) == (2, True), open_one


# plugins


def test_what_a_project_does_not_allow_is_marked(project: Project, install: Install) -> None:
    """A plugin is not even imported, whatever it would do; kinds of others are named; in either format."""
    install("loud", LOUD)
    project.write("wanrun.toml", '[allow]\nkinds = ["http", "folder"]\nplugins = ["file", "http", "folder"]\n')

    said = project.wanrun("plugins")
    found = {each["plugin"]: each for each in project.wanrun("plugins", "--format", "json").json["plugins"]}
    kind = project.wanrun("plugins", "url")
    unknown = project.wanrun("plugins", "siren")

    rows = {line.split()[0]: line.split(maxsplit=3)[3] for line in said.stdout.splitlines()}
    assert (said.exit_code, said.stderr) == (0, ""), said
    assert rows["loud"] == "not allowed here ([allow] in the settings), and not imported"
    assert rows["http"] == "sources http, url; not allowed here ([allow] in the settings): url"
    assert rows["wanrun"] == "source job; model wan2.7-videoedit"
    assert (found["loud"]["allowed"], found["http"]["allowed"]) == (False, True)
    assert (found["loud"]["problem"], found["http"]["kinds_not_allowed"]) == (None, ["url"])
    assert kind.stdout.splitlines()[1] == "not allowed here ([allow] in the settings)"
    assert unknown.exit_code == 2
    assert "; loud is not allowed here ([allow] in the settings)" in unknown.stderr


def test_the_installed_plugins_are_shown(project: Project, install: Install) -> None:
    """With package, version and what each offers; what is for runs only is not called."""
    install("vault", VAULT)

    said = project.wanrun("plugins")

    assert (said.exit_code, said.stderr) == (0, ""), said
    rows = [line.split(maxsplit=3) for line in said.stdout.splitlines()]
    assert rows[0][0] == "wanrun"
    assert rows[0][3] == "source job; model wan2.7-videoedit"
    assert rows[-1] == ["vault", "vault", "1.2", "source vault; hears of events"]


def test_the_installed_plugins_are_shown_to_programs(project: Project) -> None:
    """The built-in ones are plugins like any other."""
    found = {plugin["plugin"]: plugin for plugin in project.wanrun("plugins", "--format", "json").json["plugins"]}

    assert found["folder"]["sinks"] == ["folder"]
    assert found["http"]["sources"] == ["http", "url"]
    assert found["wanrun"]["models"] == ["wan2.7-videoedit"]
    assert {plugin["problem"] for plugin in found.values()} == {None}


def test_a_kind_is_shown_with_its_options(project: Project, install: Install) -> None:
    """Types, defaults, descriptions, examples, what is required, and the short form."""
    install("vault", VAULT)

    said = project.wanrun("plugins", "vault")

    assert said.exit_code == 0, said
    assert said.stdout.splitlines() == [
        "source vault, of vault (vault 1.2)",
        "{vault: TEXT} is short for {vault: {id: TEXT}}",
        "",
        "  id: string, required",
        "      The number of the clip.",
        "      for example a-1",
        "",
        "  copies: integer or null, default 1",
        "      How many.",
        "",
        "  size: one of small, large",
        "      Which one.",
    ]


@pytest.mark.parametrize("kind", ["file", "http", "folder"])
def test_every_built_in_kind_explains_itself(project: Project, kind: str) -> None:
    """Each option has a sentence; JSON has the schema that specs are checked by."""
    said = project.wanrun("plugins", kind)
    (described,) = project.wanrun("plugins", kind, "--format", "json").json["kinds"]

    assert said.exit_code == 0
    assert (described["kind"], described["package"]) == (kind, "wanrun")
    Draft202012Validator.check_schema(described["options"])
    for name, option in described["options"]["properties"].items():
        assert f"  {name}: " in said.stdout
        assert option["description"] in said.stdout


DEEP = """
    from wanrun import SinkKind, hookimpl

    def option(type_, **more):
        return {"type": type_, "description": "What it is.", **more}

    @hookimpl
    def wanrun_sinks():
        login = {"user": option("string"), "token": option("string", writeOnly=True)}
        properties = {
            "login": option("object", properties=login, required=["user"]),
            "headers": option("object", additionalProperties={"type": "string", "writeOnly": True}),
            "sizes": option("array", items={"type": "integer"}),
            "retries": option("integer", minimum=0, maximum=5, default=2),
        }
        return {"deep": SinkKind(options={"type": "object", "properties": properties}, build=object)}

    @hookimpl
    def wanrun_sources():
        return {}
"""


def test_options_within_options_and_secrets_are_shown(project: Project, install: Install) -> None:
    """Each by the way that leads to it; programs get the ways to what takes secrets."""
    install("vaults", DEEP)

    said = project.wanrun("plugins", "vaults")
    (kind,) = project.wanrun("plugins", "vaults", "--format", "json").json["kinds"]

    assert [line.strip() for line in said.stdout.splitlines() if line.startswith("  ") and line[2] != " "] == [
        "login: object",
        "login.user: string, required",
        "login.token: string, may be a secret",
        "headers: object, what is in it may be secrets",
        "sizes: list of integer",
        "retries: integer from 0 to 5, default 2",
    ]
    assert (kind["kind"], kind["secrets"]) == ("deep", ["login.token", "headers.*"])


def test_a_plugin_s_name_shows_all_that_it_offers(project: Project, install: Install) -> None:
    """Every kind of it; of one without kinds, in a line, what else it does; a broken one is named."""
    install("ears", "import wanrun\n@wanrun.hookimpl\ndef wanrun_observers(): return []\n")

    both = project.wanrun("plugins", "wanrun")
    ears = project.wanrun("plugins", "ears")
    install("broken", "1 / 0")
    broken = project.wanrun("plugins", "broken")

    assert both.stdout.startswith("source job, of wanrun (wanrun ")
    assert ears.stdout.split(maxsplit=3)[3] == "hears of events\n"
    assert broken.exit_code == 2
    assert (
        broken.stderr == "plugin broken (broken 1.2): cannot import plug_broken: ZeroDivisionError: division by zero\n"
    )


def test_a_plugin_that_is_switched_off_is_not_imported(project: Project, install: Install) -> None:
    """Not by any command, though it would fail; a spec that needs it is told at its line, and a wrong name is named."""
    install("loud", LOUD)
    jobs = "defaults: {model: wan2.7-videoedit}\njobs: [{id: a, media: [{video: https://example.com/a.mp4}]}]\n"
    spec = project.write("s.yaml", f"version: 1\n{jobs}")
    used = project.write("u.yaml", f"version: 1\nsinks: {{x: {{loud: 1}}, y: {{lout: 1}}}}\n{jobs}")

    broken = project.wanrun("validate", spec)
    fine = project.wanrun("validate", spec, "--no-plugin", "loud")
    told = project.wanrun("validate", used, "--no-plugin", "loud", "--no-plugin", "http")
    listed = project.wanrun("plugins", "--no-plugin", "loud", "--format", "json").json["plugins"]
    asked = project.wanrun("plugins", "loud", "--no-plugin", "loud")
    near = project.wanrun("plan", spec, "--no-plugin", "lod")
    run = project.wanrun("run", spec, "--no-plugin", "loud", *FAST)

    assert (broken.exit_code, fine.exit_code, fine.stdout) == (2, 0, "1 job in 1 spec; no problems\n"), fine
    assert told.stderr.splitlines()[:3] == [
        'u.yaml:2:13: the sink "loud" cannot be used: the plugin loud is switched off by --no-plugin; '
        "in use: folder, oss, slack",
        'u.yaml:2:27: no plugin in use offers the sink "lout"; in use: folder, oss, slack; http is switched off by '
        "--no-plugin; loud is switched off by --no-plugin",
        'u.yaml:4:32: the source "http" cannot be used: the plugin http is switched off by --no-plugin; '
        "in use: file, job, oss",
    ]
    assert {each["plugin"]: each["off"] for each in listed}["loud"] == "switched off by --no-plugin"
    assert (asked.exit_code, asked.stderr) == (
        2,
        "what the plugin loud offers is not known: it is switched off by --no-plugin, and not imported\n",
    )
    assert near.exit_code == 2
    assert near.stderr.startswith(
        'no plugin is called "lod" (named by --no-plugin); did you mean "loud"? installed: file'
    )
    assert run.exit_code == 0, run


def test_a_kind_that_nobody_offers_is_named(project: Project) -> None:
    """Exit code 2, with the nearest."""
    said = project.wanrun("plugins", "foldr")

    assert (said.exit_code, said.stdout) == (2, "")
    assert said.stderr.startswith('no plugin offers the kind "foldr"; did you mean "folder"? installed: ')


def test_a_broken_plugin_is_named_and_the_others_are_shown(project: Project, install: Install) -> None:
    """Exit code 2 with its package and what is wrong, in either format."""
    install("broken", "import nothing_like_this")
    install("vault", VAULT)

    said = project.wanrun("plugins")
    found = project.wanrun("plugins", "--format", "json")

    why = "cannot import plug_broken: ModuleNotFoundError: No module named 'nothing_like_this'"
    assert said.exit_code == found.exit_code == 2
    assert said.stderr == f"plugin broken (broken 1.2): {why}\n"
    assert "source vault" in said.stdout
    assert "cannot be used" in said.stdout
    assert [plugin["problem"] for plugin in found.json["plugins"] if plugin["plugin"] == "broken"] == [why]


def test_two_plugins_that_quarrel_are_named(project: Project, install: Install) -> None:
    """Each works by itself, but not both."""
    install("vault", VAULT)
    install("second", VAULT)

    said = project.wanrun("plugins")

    assert said.exit_code == 2, said
    assert 'it offers the source "vault", which' in said.stderr


# doctor


def doctor(project: Project, *args: str) -> tuple[Said, dict[str, tuple[str, str]]]:
    """Return what the check-up prints, and its findings: what it is about -> verdict and words."""
    said = project.wanrun("doctor", *args)
    found = project.wanrun("doctor", *args, "--format", "json")
    assert found.exit_code == said.exit_code == found.json["exit_code"]
    findings = found.json["findings"]
    for finding in findings:
        words = finding["words"].partition(" (")[0]  # behind it there may be the id of a request
        assert re.sub(r"\d+", "N", words) in re.sub(r"\d+", "N", said.stdout)  # a second may have gone by
        assert finding["advice"] in said.stdout
    return said, {each["about"]: (each["verdict"], f"{each['words']}; {each['advice']}") for each in findings}


def held_job(project: Project) -> None:
    """Let the project's ledger have a job whose create got no answer."""
    path = Path("/specs/batch.yaml")
    job = Job("batch", "gone", path, Position(path, 1, 1), "wan2.7-videoedit", "default", None, None, (), {}, ())
    with project.ledger() as ledger:
        entry = ledger.enter(job, fingerprint="f", spec_path=str(path))
        attempt = ledger.intend(entry, prompt_key="p")
        ledger.held(attempt, "no answer", {"why": "no answer", "candidates": []})


@contextmanager
def service(**headers: str) -> Iterator[str]:
    """Serve an empty list of tasks on loopback, with these headers, and give the base URL."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b'{"total": 0, "data": []}'
            self.send_response_only(200)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/api/v1"
        server.shutdown()
        thread.join()


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> str:
    """Set an API key of 35 characters."""
    monkeypatch.setenv("DASHSCOPE_API_KEY", KEY)
    return KEY


def test_a_sound_project_is_all_fine(project: Project, key: str) -> None:
    """Every part is looked at, with one list call; the key is never printed."""
    with project.emulator() as url:
        said, found = doctor(project, "--base-url", url)
        calls: Any = project.statement(url)["calls"]

    assert (said.exit_code, said.stdout.splitlines()[-1]) == (0, "all fine"), said
    assert {verdict for verdict, _ in found.values()} == {"ok"}
    assert {"python", "sqlite", "PyAV", "plugin folder", "project root", "settings", "ledger", "clock"} <= set(found)
    assert found["project root"][1].startswith(f"{project.folder} (it has wanrun.toml)")
    assert found["key"][1].startswith("DASHSCOPE_API_KEY is set, 35 characters")
    assert found["service"][1].startswith("the key is accepted; 0 tasks in the last 24 h")
    assert key not in said.all
    assert calls == {"list": {"200": 2}}  # printed twice


def test_what_specs_may_use_is_shown(project: Project, install: Install, key: str) -> None:
    """With names in the lists that are nothing's, and the plugins that are not imported; nobody has to do anything."""
    install("loud", LOUD)
    lists = 'kinds = ["flie", "http"]\nplugins = ["file", "http", "folder", "vault"]\nsecrets = []\n'
    project.write("wanrun.toml", f"[allow]\n{lists}")

    said = project.wanrun("doctor", "--emulator")
    open_one = project.wanrun("doctor", "--emulator", "--config", project.write("open.toml", ""))

    assert said.exit_code == 0, said
    lines = [line.split(maxsplit=2) for line in said.stdout.splitlines() if "allow" in line]
    words = [" ".join(line) for line in lines]
    assert "ok allow specs may use only: secrets none; kinds flie, http; plugins file, http, folder, vault" in words
    assert any(each.startswith("note allow [allow] has plugins that are not installed: vault; there") for each in words)
    known = "file, folder, http, job, url"
    assert f"note allow [allow] has kinds that no allowed plugin offers: flie; there are {known}" in words
    assert any("plugin loud" in each and "([allow] in the settings); it is not imported" in each for each in words)
    assert (open_one.exit_code, "allow" in open_one.stdout) == (2, False), open_one


def test_a_finished_project_says_what_its_ledger_has(project: Project) -> None:
    """Whose it is, and its jobs by state; with --emulator it is the embedded one's."""
    project.wanrun(project.spec("one", "two"), *FAST)

    said, found = doctor(project, *FAST)

    assert said.exit_code == 0, said
    assert ".wanrun/emulator/ledger.db belongs to the emulator account " in found["ledger"][1]
    assert "; sound; 2 done" in found["ledger"][1]
    assert found["key"][1].startswith("none needed")
    assert "2 tasks in the last 24 h" in found["service"][1]


@pytest.mark.parametrize(
    ("text", "args", "environ", "words"),
    [
        ("", (), {}, "base URL https://dashscope-intl.aliyuncs.com/api/v1 (region singapore, by default)"),
        ("", (), {"DASHSCOPE_HTTP_BASE_URL": DEAD}, f"base URL {DEAD} (from DASHSCOPE_HTTP_BASE_URL)"),
        ("", ("--base-url", DEAD), {}, f"base URL {DEAD} (from --base-url)"),
        (
            'workspace = "ws-1"\n',
            (),
            {},
            "base URL https://ws-1.ap-southeast-1.maas.aliyuncs.com/api/v1 (workspace ws-1 in ",
        ),
        (f'base_url = "{DEAD}"\n', (), {}, f"base URL {DEAD} (base_url in "),
    ],
    ids=["default", "variable", "option", "workspace", "file"],
)
def test_the_base_url_says_where_it_comes_from(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    args: tuple[str, ...],
    environ: dict[str, str],
    words: str,
) -> None:
    """Five places can decide it; without a key nothing is asked there."""
    project.write("wanrun.toml", f"[providers.default]\n{text}")
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    said = project.wanrun("doctor", *args)

    assert said.exit_code == 2
    assert words in said.stdout
    assert "problem  key" in said.stdout
    assert "set DASHSCOPE_API_KEY" in said.stdout


def test_every_setting_says_where_it_comes_from(project: Project, key: str) -> None:
    """From the file, or by default."""
    project.write("wanrun.toml", "[providers.default]\npoll_seconds = 7\nlimits = {creates_per_second = 3}\n")

    found = project.wanrun("doctor", "--base-url", DEAD, "--format", "json").json["findings"]

    (settings,) = [each["facts"]["settings"] for each in found if "settings" in each["facts"]]
    file = str(project.folder / "wanrun.toml")
    assert settings["poll_seconds"] == {"value": 7, "from": file}
    assert settings["limits.creates_per_second"] == {"value": 3, "from": file}
    assert settings["patience_seconds"] == {"value": 120, "from": "default"}


def test_wrong_settings_are_a_problem_and_not_the_end(project: Project) -> None:
    """Exit code 2 names file and key, below what could be looked at."""
    project.write("wanrun.toml", "[providers.default]\npoll = 3\n")

    said, found = doctor(project)

    assert said.exit_code == 2
    assert found["python"][0] == "ok"
    assert 'unknown key "providers.default.poll"' in found["settings"][1]
    assert said.stdout.endswith("\n1 problem\n")


def test_a_refused_key_is_a_problem(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 4 says what to look at; the key is not shown."""
    monkeypatch.setenv("DASHSCOPE_API_KEY", "not-a-key-of-this-account")
    with project.emulator() as url:
        said, found = doctor(project, "--base-url", url)

    assert said.exit_code == 4, said
    assert found["service"][1].startswith("the key is refused: ")
    assert "look at DASHSCOPE_API_KEY and the base URL http://127.0.0.1" in found["service"][1]
    assert "not-a-key" not in said.all


def test_a_service_out_of_reach_is_a_problem(project: Project, key: str) -> None:
    """Exit code 3, at once: a person waits for the answer."""
    said, found = doctor(project, "--base-url", DEAD)

    assert said.exit_code == 3
    assert "no whole answer from 127.0.0.1:9" in found["service"][1]
    assert "clock" not in found


@pytest.mark.parametrize(
    ("skew", "verdict", "words"),
    [(-3600, "warning", "behind"), (300, "warning", "ahead of"), (10, "ok", "within 30 s")],
    ids=["behind", "ahead", "near enough"],
)
def test_clocks_that_differ_are_said(
    project: Project, key: str, skew: float, verdict: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than half a minute is a warning: links and stamps would be misjudged."""
    with service(Date=formatdate(time.time() - skew, usegmt=True)) as url:
        said, found = doctor(project, "--base-url", url)

    assert found["clock"][0] == verdict
    assert words in found["clock"][1]
    assert said.exit_code == (1 if verdict == "warning" else 0)


def test_a_service_without_a_clock_is_only_noted(project: Project, key: str) -> None:
    """A note is no reason for an exit code."""
    with service() as url:
        said, found = doctor(project, "--base-url", url)

    assert (said.exit_code, found["clock"][0]) == (0, "note")


def test_a_held_job_is_a_warning(project: Project, key: str) -> None:
    """Exit code 1: a person must look."""
    held_job(project)

    with service() as url:
        said, found = doctor(project, "--base-url", url)

    assert said.exit_code == 1
    assert found["jobs"] == ("warning", "1 held: batch/gone; wanrun status, with the same options, says what to do")
    assert said.stdout.endswith("\n1 warning\n")


def test_a_damaged_ledger_is_a_problem(project: Project, key: str) -> None:
    """Exit code 2 says never to delete it."""
    held_job(project)
    path = project.folder / ".wanrun/ledger.db"
    content = bytearray(path.read_bytes())
    content[4096 * 2 : 4096 * 2 + 400] = b"\xff" * 400
    path.write_bytes(content)

    with service() as url:
        said, found = doctor(project, "--base-url", url)

    assert said.exit_code == 2, said
    assert found["ledger"][0] == "problem"
    assert ".wanrun/ledger.db" in found["ledger"][1]


def test_a_ledger_of_another_service_is_a_problem(project: Project, key: str) -> None:
    """Exit code 2: a run would be refused."""
    with project.ledger() as ledger:
        ledger.belong_to("emulator:another")

    with service() as url:
        said, found = doctor(project, "--base-url", url)

    assert said.exit_code == 2
    assert found["ledger"][1].startswith("another service answers than the one that the ledger belongs to")


def test_a_broken_plugin_is_a_problem(project: Project, install: Install, key: str) -> None:
    """Exit code 2 names the package; the rest is looked at all the same."""
    install("broken", "1 / 0")

    with service() as url:
        said, found = doctor(project, "--base-url", url)

    assert said.exit_code == 2
    assert "ZeroDivisionError" in found["plugin broken"][1]
    assert found["service"][0] == "ok"


def test_every_provider_is_looked_at_or_one(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that wanrun.toml describes, each with its own key and address; one that it does not is an error."""
    monkeypatch.setenv("KEY_A", "sk-any-a")
    with service() as url:
        place = f'base_url = "{url}"\napi_key_env = "KEY_'
        project.write("wanrun.toml", f'[providers.a]\n{place}A"\n[providers.b]\n{place}B"\n')
        said, found = doctor(project)
        one, of_a = doctor(project, "--provider", "a")
        none, _ = doctor(project, "--provider", "c")

    assert (said.exit_code, one.exit_code, none.exit_code) == (2, 0, 2)
    assert found["service of a"][0] == "ok"
    assert found["key of b"][1].startswith("no API key: set KEY_B")
    assert "key of b" not in of_a
    assert 'describes no provider "c"; there are a, b, default' in none.stdout


def test_what_is_looked_at_is_not_changed(project: Project, key: str) -> None:
    """No ledger, no folder, no file appears."""
    before = sorted(project.folder.rglob("*"))

    with service() as url:
        doctor(project, "--base-url", url)

    assert sorted(project.folder.rglob("*")) == before
