"""Canaries: secrets that a leaky plugin says, logs, raises and returns in every way are in nothing that is written."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

import pytest
from cli_parts import FAST

from wanrun.cli import COMMANDS

if TYPE_CHECKING:
    from cli_parts import Project, Said

pytestmark = pytest.mark.slow

KEY = "sk-canary/7b+Q=%41~x"
HOOK = 'https://hooks.example.com/T0/can"ary\\path/7+%ä?token=abc&x=1'
FRAGMENT = b"hooks.example.com/T0"  #: what is left of the hook where a link is shown without its query
PIN = "pin canary/first+line\nsecond canary=line"
ENVIRON = {"DASHSCOPE_API_KEY": KEY, "HOOK": HOOK, "PIN": PIN}
LEAKY = Path(__file__).with_name("leaky_plugin.py")

SPEC = """\
version: 1
defaults: {model: wan2.7-videoedit}
sinks:
  leak: {leaky: {id: "${{ job.id }}", hook: "${{ secret.HOOK }}"}}
  disk: {folder: {path: out, name: "${{ job.id }}.mp4"}}
  blab: {blabber: {hook: "${{ secret.HOOK }}"}}
notify:
  - {to: blab, events: [run_finished, job_failed, delivery_failed]}
jobs:
"""
#: What the plugin's sink does with its secret, job by job, and what the source does.
SINK = ("returns", "raises", "conflicts", "breaks", "exits", "groups", "misses")
SOURCE = ("source-raises", "source-breaks", "source-speaks")


@pytest.fixture
def leaky(project: Project, monkeypatch: pytest.MonkeyPatch) -> str:
    """Install the leaky plugin for this process and those it starts, set the secrets, and return a spec's name."""
    site = project.folder.parent / f"{project.folder.name}-site"
    info = site / "leaky-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: leaky\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[wanrun]\nleaky = leaky_plugin\n")
    (site / "leaky_plugin.py").write_text(LEAKY.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.syspath_prepend(str(site))
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    project.environ = {"PYTHONPATH": str(site), **ENVIRON}
    line = '  - {{id: {0}, prompt: {0}, media: [{{video: {{safe: {{id: {0}, pin: "${{{{ secret.PIN }}}}"}}}}}}]}}\n'
    return project.write("leaks.yaml", SPEC + "".join(line.format(job) for job in (*SINK, *SOURCE)))


def forms(secret: str) -> set[bytes]:
    """Return what to look for: a secret plain, in base64 at any offset, percent-encoded and JSON-escaped."""
    data = secret.encode()
    coded = {quote(secret), quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1], repr(secret)[1:-1]}
    coded |= {each.lower() for each in coded}
    found = {data, data.hex().encode(), *(each.encode() for each in coded)}
    for before in (b"", b"a", b"ab"):
        whole = base64.b64encode(before + data + b"zz")
        found |= {whole[4:-8], base64.urlsafe_b64encode(before + data + b"zz")[4:-8]}
    return found


def assert_clean(*written: bytes | str) -> None:
    """Search everything for every form of every secret, and for each line of one that has several."""
    secrets = [KEY, HOOK, PIN, *PIN.splitlines()]
    for content in written:
        data = content.encode() if isinstance(content, str) else content
        for secret in secrets:
            hits = [form for form in {*forms(secret), FRAGMENT} if form in data]
            assert not hits, (hits, data[max(0, data.index(hits[0]) - 200) :][:400])


def everything(project: Project) -> bytes:
    """Return all that stands in the project folder, names included."""
    return project.bytes_of(".")


def test_a_whole_life_in_processes_of_its_own_leaves_no_canary(project: Project, leaky: str) -> None:
    """A run against a service that quotes the key, one more in JSON, status and plan: every byte is searched."""
    faults = project.faults(
        {"on": "create", "prompt": "misses", "do": {"reset": "after"}},
        {"on": "create", "prompt": "groups", "nth": 1, "do": {"fail": {"code": "InvalidParameter", "message": HOOK}}},
        {"on": "query", "nth": 2, "do": {"status": 500, "message": f"panic: Bearer {KEY} {quote(PIN)}"}},
    )
    with project.emulator("--speed", "100000", *faults) as url:
        text = project.process("run", leaky, "--base-url", url, "--events", "events.jsonl")
        again = project.process(
            "run", leaky, "--base-url", url, "--format", "json", "--retry-failed", "--events", "e.jsonl", "-q"
        )
    status = project.process("status")
    assert project.process("ledger", "export", "ledger.jsonl").exit_code == 0  # it is searched with everything else

    assert (text.exit_code, again.exit_code) == (1, 1), text
    assert "delivery_failed" in (project.folder / "events.jsonl").read_text()
    assert "blab was not told" in text.stderr
    assert "***" in text.stderr
    assert "posting to ***" in text.stderr  # the plugin's own log, as logging prints it by default
    assert (project.folder / "plugin.log").read_text().count("Traceback") >= 1
    (project.folder / "faults.json").unlink()  # the service's words, which hold the secrets
    for service in (project.folder / "service").rglob("*"):
        service.unlink() if service.is_file() else None
    assert_clean(text.all, again.all, status.all, everything(project))


def test_an_emulated_run_and_every_look_at_it_leave_no_canary(project: Project, leaky: str) -> None:
    """With sinks delivering for real, quiet, as text and as JSON, and status and plan in both forms."""
    said: list[Said] = [
        project.wanrun("validate", leaky),
        project.wanrun("plan", leaky, "--emulator", "--format", "json"),
        project.wanrun(leaky, *FAST, "--deliver", "--events", "-"),
        project.wanrun(leaky, *FAST, "--deliver", "-q", "--format", "json"),
        project.wanrun("plan", leaky, "--emulator"),
        project.wanrun("plan", leaky, "--emulator", "--format", "json"),
        project.wanrun("status", "--emulator"),
        project.wanrun("status", "--emulator", "--format", "json"),
    ]

    assert [each.exit_code for each in said] == [0, 0, 1, 1, 0, 0, 0, 0], said
    assert {job["job"] for job in said[3].json["jobs"] if job["state"] == "done"} == {"leaks/returns", "leaks/misses"}
    assert_clean(*(each.all for each in said), everything(project))
    assert list((project.folder / ".wanrun/emulator/delivered").rglob("*.json"))  # the sidecars were searched too


def test_a_rehearsal_needs_no_secret_of_its_sinks(
    project: Project, leaky: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With --emulator alone they are never called; what the sources need is still needed."""
    monkeypatch.delenv("HOOK")
    rehearsed = project.wanrun(leaky, *FAST)
    monkeypatch.delenv("PIN")
    refused = project.wanrun(leaky, *FAST, "--retry-failed")

    assert rehearsed.exit_code == 1, rehearsed
    assert "there is no secret" not in rehearsed.all
    assert refused.exit_code == 2, refused
    assert refused.stderr.endswith("3 problems in leaks.yaml; nothing was submitted\n"), refused
    assert "leaks.yaml:17:" in refused.stderr


def test_a_bug_is_printed_without_secrets_and_without_locals(
    project: Project, leaky: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The traceback of what should not happen: each line of it may hold what a library said."""
    project.write("boom_command.py", "import click\n\n\n@click.command()\ndef boom():\n" + BOOM)
    monkeypatch.syspath_prepend(str(project.folder))
    monkeypatch.setitem(COMMANDS, "boom", ("boom_command:boom", "Break down."))

    said = project.wanrun("boom")
    sys.modules.pop("boom_command")

    assert said.exit_code == 70
    assert "RuntimeError: refused: Bearer ***" in said.stderr, said
    assert "ValueError: ***" in said.stderr
    assert_clean(said.all)


BOOM = """\
    import os
    from wanrun import api
    from wanrun.settings import Provider
    key = Provider().api_key(os.environ)
    try:
        raise ValueError(key.reveal())
    except ValueError as exc:
        raise RuntimeError(f"refused: Bearer {key.reveal()}") from exc
"""
