"""Whatever specs, services, plugins and names of files hold: nothing printed drives a terminal or commands a CI."""

from __future__ import annotations

import json
import os
import re
import subprocess
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cli_parts import FAST
from hypothesis import given
from hypothesis import strategies as st
from rude_plugin import RUDE

from processes import COMMAND
from wanrun.text import one_line, printable, printable_json, without_queries

if TYPE_CHECKING:
    from cli_parts import Project, Said

PLUGIN = Path(__file__).with_name("rude_plugin.py")
QUOTED = json.dumps(RUDE)  # as YAML and JSON write it, each character by its code
SPEC = """\
version: 1
defaults: {model: wan2.7-videoedit}
sinks:
  rude: {rude: {to: x}}
jobs:
  - {id: answers, prompt: "\u202e ::error:: ##[group]", media: [{video: https://example.com/a.mp4}]}
  - {id: fails, prompt: fails, media: [{video: https://example.com/b.mp4}]}
  - {id: breaks, prompt: breaks, media: [{video: https://example.com/c.mp4}]}
  - {id: refused, prompt: refused, media: [{video: https://example.com/d.mp4}]}
"""
WRONG = f"""\
version: 1
{QUOTED}: 1
defaults: {{model: {QUOTED}}}
sinks:
  rude: {{rude: {{to: {QUOTED}x}}}}
vars: {{a: "\u202e \u00a0"}}
jobs:
  - {{id: {QUOTED}, prompt: a, media: [{{video: "\\e[2J ::x"}}], parameters: {{{QUOTED}: 1}}}}
"""
COMMANDS = re.compile(r"^\s*::|##\w*\[", re.MULTILINE)
SEQUENCES = [
    b"\x1b]0;",
    b"\x1b[2J",
    b"\xc2\x9b",
    b"\x07",
    b"\x1b]8;",
    "\u202e".encode(),
    "\u200b".encode(),
    b"\x1b[1A [",
]


@pytest.fixture
def rude(project: Project, monkeypatch: pytest.MonkeyPatch) -> str:
    """Install the rude plugin for this process and those it starts, and return a spec's name."""
    site = project.folder.parent / f"{project.folder.name}-site"
    info = site / "rude-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: rude\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[wanrun]\nrude = rude_plugin\n")
    (site / "rude_plugin.py").write_text(PLUGIN.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.syspath_prepend(str(site))
    project.environ = {"PYTHONPATH": str(site), "GITHUB_ACTIONS": "true", "TF_BUILD": "True"}
    return project.write("rude.yaml", SPEC)


def faults(project: Project) -> tuple[str, ...]:
    """Let the service say rude words too."""
    fail = {"fail": {"code": "InvalidParameter" + RUDE[:12], "message": RUDE}}
    return project.faults(
        {"on": "create", "prompt": "refused", "do": fail},
        {"on": "query", "nth": 1, "do": {"status": 500, "message": RUDE}},
    )


def assert_harmless(said: Said) -> None:
    """Look at each character and each line of what was printed."""
    for text in (said.stdout, said.stderr):
        odd = {each for each in text if each not in "\n\t" and unicodedata.category(each) in ("Cc", "Cf", "Zl", "Zp")}
        assert not odd, (odd, text)
        assert not COMMANDS.search(text), text


@pytest.mark.slow
def test_plain_lines_tables_and_json_are_harmless(project: Project, rude: str) -> None:
    """Every command that shows words of others, as text and as JSON, with logs of plugins between the lines."""
    odd = project.folder / "odd\x1b[2J\u202e.yaml"
    odd.write_text(WRONG, encoding="utf-8")
    said = [
        project.process("run", rude, *FAST, *faults(project), "--deliver", "--events", "-"),
        project.process("run", rude, *FAST, "--deliver", "--retry-failed", "-q", "--format", "json"),
        project.wanrun("run", rude, *FAST, "--deliver"),
        *(
            project.wanrun(*args, "--format", form)
            for args in [("status", "--emulator"), ("plan", rude, "--emulator"), ("plugins",), ("tasks", "--emulator")]
            for form in ("text", "json")
        ),
        project.wanrun("plugins", "rude"),
        project.wanrun("schema"),
        project.wanrun("doctor", "--emulator"),
        project.wanrun("validate", str(odd)),
        project.wanrun("validate", "no\x1b[2Jfile\n::error::x.yaml"),
        project.wanrun("run", "--\x1b[2J"),
        project.wanrun("\x1b[2J"),
    ]

    for each in said:
        assert_harmless(each)
    everything = "".join(each.all for each in said)
    for word in ("PWNED", "logged", "caught", "set-output", "InvalidParameter"):
        assert word in everything
    assert said[-4].stderr.count("\n") >= 5, said[-4]


def test_a_json_document_keeps_its_meaning(project: Project, rude: str) -> None:
    """What is escaped for terminals and CI services reads back as it was."""
    project.wanrun("run", rude, *FAST, "--deliver", "--events", "events.jsonl")
    said = project.wanrun("status", "--emulator", "--format", "json")
    written = (project.folder / "events.jsonl").read_text(encoding="utf-8")
    events = [json.loads(line) for line in written.splitlines()]

    assert "##vso[" in str(said.json)
    assert "##vso[" in str(events)
    assert "##" not in said.stdout + written


@pytest.mark.slow
def test_a_terminal_is_not_driven(project: Project, rude: str) -> None:
    """The live view at a terminal: its own colours are there, and none of the words' orders."""
    leader, follower = os.openpty()
    env = {"PATH": os.environ["PATH"], "HOME": str(project.folder), "PYTHONUTF8": "1", "TERM": "xterm-256color"}
    env["PYTHONPATH"] = project.environ["PYTHONPATH"]
    args = ("run", rude, *FAST, *faults(project), "--deliver")
    with subprocess.Popen([*COMMAND, *args], cwd=project.folder, env=env, stdout=follower, stderr=follower) as process:
        os.close(follower)
        shown = _drained(leader)

    assert process.returncode == 1, shown
    assert b"PWNED" in shown
    for sequence in SEQUENCES:
        assert sequence not in shown, (sequence, shown)


def _drained(leader: int) -> bytes:
    shown = b""
    while True:
        try:
            piece = os.read(leader, 65536)
        except OSError:  # Linux says so when the other end is closed
            return shown
        if not piece:
            return shown
        shown += piece


@pytest.mark.slow
@given(st.text() | st.text(alphabet="\n\t :#[vso\x1b\u202ea\u2028\r\u00a0"))
def test_no_text_is_more_than_text(text: str) -> None:
    """Every text there is; what is plain stays as it is."""
    shown = printable(text)

    assert not COMMANDS.search(shown)
    assert not any(unicodedata.category(each) in ("Cc", "Cf", "Cs", "Zl", "Zp") for each in shown if each not in "\n\t")
    assert "\n" not in one_line(text)
    assert json.loads(printable_json(json.dumps(text, ensure_ascii=False))) == text
    if text.isprintable() and ":" not in text and "#" not in text:
        assert shown == text


@pytest.mark.parametrize(
    "link",
    [
        "https://host.example/a.mp4?Signature=hidden",
        "下载失败https://host.example/a.mp4?Signature=hidden",
        "x_https://host.example/a?sig=hidden",
        '"https://host.example/it\'s"?sig=hidden',
        "https://user:hidden@host.example/a",
        "HTTPS://host.example/a#token=hidden",
        "oss://bucket/a?x=hidden",
    ],
)
def test_no_link_in_a_text_keeps_what_opens_it(link: str) -> None:
    """Wherever the link stands, and whatever stands around it."""
    shown = without_queries(f"cannot read {link} now")

    assert "hidden" not in shown
    assert shown.endswith(" now")
    assert "host.example" in shown or "bucket" in shown
