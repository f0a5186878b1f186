"""`[allow]` in the settings: what is not in a list that is given is refused where a spec uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from wanrun import Identity, SinkKind, SourceKind, hookimpl
from wanrun.batch import load_batch
from wanrun.errors import SettingsError, SpecError
from wanrun.project import Setup, open_project
from wanrun.registry import load_catalog
from wanrun.settings import load_settings

if TYPE_CHECKING:
    from pathlib import Path

    from wanrun import MediaRef, MediaUrl, PrepareContext

HEAD = "version: 1\ndefaults: {model: wan2.7-videoedit}\n"
SPEC = """\
sinks:
  disk: {folder: out}
jobs:
  - id: one
    prompt: p
    media:
      - video: https://cdn.example.com/a@2x.mp4
"""
SECRET = """\
sinks: {}
jobs:
  - id: "${{ matrix.n }}"
    matrix: {n: [1, 2]}
    prompt: p
    media:
      - video: {sealed: {url: "https://cdn.example.com/a.mp4", token: "a ${{ secret.TOKEN }} ${{ secret.OTHER }}"}}
"""


class Sealed:
    """A source whose option takes a secret, and a sink that hears of events."""

    @hookimpl
    def wanrun_sinks(self) -> Any:
        text = {"type": "string", "description": "A text."}
        kind = SinkKind(options={"type": "object", "properties": {"hook": text}}, build=Pager, short="hook")
        return {"pager": kind, "job": kind}

    @hookimpl
    def wanrun_sources(self) -> Any:
        text = {"type": "string", "description": "A text."}
        properties = {"url": text, "token": text | {"writeOnly": True}}
        return {"sealed": SourceKind(options={"type": "object", "properties": properties}, build=Linked)}


class Pager:
    """A sink that only hears of events."""

    async def notify(self, notice: Any, ctx: Any) -> None:
        """Do nothing."""
        raise NotImplementedError


class Linked:
    """A source that is no file of this machine."""

    def locate(self, ref: MediaRef) -> None:
        """Return none."""

    def identify(self, ref: MediaRef) -> Identity:
        """Say that it is always the same."""
        return Identity("sealed:1")

    async def prepare(self, ref: MediaRef, ctx: PrepareContext) -> MediaUrl:
        """Do nothing."""
        raise NotImplementedError


def problems(folder: Path, allow: str, spec: str = SPEC) -> list[str]:
    """Return what is said of a spec under `[allow]`, each as line:column and message."""
    (folder / "wanrun.toml").write_text(f"[allow]\n{allow}\n", encoding="utf-8")
    (folder / "edits.yaml").write_text(HEAD + spec, encoding="utf-8")
    setup = Setup(folder=folder, environ={})
    catalog = load_catalog(plugins=[Sealed()]) if "sealed" in spec else None
    try:
        load_batch([folder / "edits.yaml"], open_project(setup, catalog=catalog))
    except SpecError as exc:
        return [str(problem).removeprefix(f"{folder}/edits.yaml:") for problem in exc.problems]
    return []


#: What is written under [allow] -> what is said of `SPEC`.
CASES = {
    "": [],
    'kinds = ["http", "folder"]': [],
    'kinds = ["http"]': ['4:18: the sink "folder" is not allowed; [allow] in the settings has the kinds http'],
    'kinds = ["folder"]': ['9:16: the source "http" is not allowed; [allow] in the settings has the kinds folder'],
    'hosts = ["cdn.example.com"]': [],
    'hosts = ["*.example.com"]': [],
    'hosts = ["example.com", "other.org"]': [
        "9:16: a link to cdn.example.com is not allowed; [allow] in the settings has the hosts example.com, other.org"
    ],
    "hosts = []": ["9:16: a link to cdn.example.com is not allowed; [allow] has no hosts"],
    "secrets = []": [],
    'plugins = ["file", "http", "folder"]': [],
    'plugins = ["file", "folder"]': [
        '9:16: the source "http" cannot be used: the plugin http is not allowed here ([allow] in the settings); '
        "in use: file, job",
    ],
}


@pytest.mark.parametrize("allow", CASES)
def test_what_is_not_in_a_list_is_refused_where_it_stands(tmp_path: Path, allow: str) -> None:
    """A list that is not given allows everything that is installed."""
    assert problems(tmp_path, allow) == CASES[allow]


def test_secrets_are_refused_by_name(tmp_path: Path) -> None:
    """Each at its place, once for all jobs that share it."""
    said = problems(tmp_path, 'secrets = ["TOKEN"]', SECRET)

    assert said == ["9:71: the secret OTHER is not allowed; [allow] in the settings has the secrets TOKEN"]
    assert problems(tmp_path, 'secrets = ["TOKEN", "OTHER"]', SECRET) == []


TOLD = """\
sinks:
  disk: {folder: out}
  team: {pager: "https://hooks.example.com/x"}  # sealed
notify:
  - {to: team, events: [run_finished]}
jobs:
  - {id: one, prompt: p, media: [{video: "https://cdn.example.com/a.mp4"}]}
"""


def test_a_sink_that_only_hears_of_events_is_looked_at_too(tmp_path: Path) -> None:
    """It sends where it likes, as one that gets files does."""
    hosts = problems(tmp_path, 'hosts = ["cdn.example.com"]', TOLD)
    kinds = problems(tmp_path, 'kinds = ["http", "folder"]', TOLD)

    assert [each.partition(": ")[2].partition(";")[0] for each in (*hosts, *kinds)] == [
        "a link to hooks.example.com is not allowed",
        'the sink "pager" is not allowed',
    ]


LINKS = {
    "HTTPS://CDN.Example.COM/a.mp4": True,
    "https://cdn.example.com./a.mp4": True,
    "https://cdn.example.com:8443/a.mp4?x=http://evil.org#@evil.org": True,
    "https://evil.org/cdn.example.com": False,
    "https://cdn.example.com.evil.org/a.mp4": False,
    "https://cdn.example.com@evil.org/a.mp4": False,
    "https://evil.org@cdn.example.com/a.mp4": False,
    "https://evil.org\\\\@cdn.example.com/a.mp4": False,
    "https://evil.org\\\\.cdn.example.com/a.mp4": False,
    "https://[::1]/a.mp4": False,
    "https://evil.org%2f.example.com/a.mp4": False,
    "https://evil.org;.example.com/a.mp4": False,
    "https://evil.org\u3002.example.com/a.mp4": False,
}


@pytest.mark.parametrize("link", LINKS)
def test_a_link_leads_to_one_host_or_to_none_that_is_allowed(tmp_path: Path, link: str) -> None:
    """Whatever tricks are played with it."""
    spec = SPEC.replace("https://cdn.example.com/a@2x.mp4", f'"{link}"')

    assert (problems(tmp_path, 'hosts = ["cdn.example.com", "*.example.com"]', spec) == []) is LINKS[link]


#: The text of an option that takes a secret -> the host that is said not to be allowed; empty where nothing is.
SEALED_LINKS = {
    "https://cdn.example.com/in": "",
    "https://cdn.example.com/${{ secret.TOKEN }}": "",
    "${{ secret.TOKEN }}": "",
    "Bearer ${{ secret.TOKEN }}": "",
    "https://evil.org/in": "evil.org",
    "https://evil.org/?t=${{ secret.TOKEN }}": "evil.org",
    "https://cdn.example.com${{ secret.TOKEN }}/": "a host that cannot be told for sure",
    "https://${{ secret.TOKEN }}.cdn.example.com/": "a host that cannot be told for sure",
    "https://${{ secret.TOKEN }}": "a host that cannot be told for sure",
    "${{ secret.TOKEN }}/in?who=me@example.com": "",
    "${{ secret.TOKEN }}:${{ secret.TOKEN }}": "",
    "${{ secret.TOKEN }}@evil.org/in": "a host that cannot be told for sure",
    "${{ secret.TOKEN }}.evil.org/in": "a host that cannot be told for sure",
    "${{ secret.TOKEN }}:x${{ secret.TOKEN }}@evil.org": "a host that cannot be told for sure",
}


@pytest.mark.parametrize("text", SEALED_LINKS)
def test_a_link_that_takes_a_secret_along_leads_to_an_allowed_host(tmp_path: Path, text: str) -> None:
    """Who may name a secret may not send it anywhere; what a secret itself holds is the operator's word."""
    spec = SECRET.replace("a ${{ secret.TOKEN }} ${{ secret.OTHER }}", text)

    said = problems(tmp_path, 'hosts = ["cdn.example.com", "*.cdn.example.com"]\nsecrets = ["TOKEN"]', spec)

    assert [each.partition("a link to ")[2].partition(" is not")[0] for each in said] == [
        host for host in [SEALED_LINKS[text]] if host
    ]


def test_a_sink_is_not_allowed_for_being_called_as_a_chain(tmp_path: Path) -> None:
    """What the core itself offers is a source."""
    spec = TOLD.replace("pager:", "job:")

    said = problems(tmp_path, 'kinds = ["http", "folder"]', spec)

    assert [each.partition(": ")[2].partition(";")[0] for each in said] == ['the sink "job" is not allowed']


def test_a_name_with_a_star_is_not_the_domain_itself(tmp_path: Path) -> None:
    """It stands for the hosts below."""
    spec = SPEC.replace("cdn.example.com", "example.com")

    assert problems(tmp_path, 'hosts = ["*.example.com"]', spec) != []
    assert problems(tmp_path, 'hosts = ["*.example.com"]', SPEC.replace("cdn.", "a.b.")) == []


WRONG = {
    'hosts = "example.com"': 'allow.hosts is "example.com"; give a list of names in quotes, which may be empty',
    "kinds = [1]": "allow.kinds is [1]; give a list of names in quotes, which may be empty",
    'hosts = ["https://example.com"]': 'allow.hosts has "https://example.com"; give the name of a host alone, in lower '
    'case, such as "example.com", or "*.example.com"',
    'hosts = ["*"]': 'allow.hosts has "*"; give the name of a host alone, in lower case, such as "example.com", or '
    '"*.example.com"',
    'host = ["example.com"]': 'unknown key "allow.host"; did you mean "hosts"?',
}


@pytest.mark.parametrize("allow", WRONG)
def test_a_list_that_would_not_hold_is_refused(tmp_path: Path, allow: str) -> None:
    """A rule that nothing can match protects nobody."""
    (tmp_path / "wanrun.toml").write_text(f"[allow]\n{allow}\n", encoding="utf-8")

    with pytest.raises(SettingsError) as caught:
        load_settings(start=tmp_path, environ={})

    assert str(caught.value) == f"{tmp_path}/wanrun.toml: {WRONG[allow]}"


def test_a_plugin_that_is_not_allowed_is_not_even_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it would do at its import does not happen."""
    info = tmp_path / "site" / "loud-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: loud\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[wanrun]\nloud = loud_plugin\n")
    (tmp_path / "site" / "loud_plugin.py").write_text("raise RuntimeError('imported')\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))

    catalog = load_catalog(only=["http", "folder"])

    assert (sorted(catalog.sources), list(catalog.sinks)) == (["http", "job", "url"], ["folder"])
