"""Links that sinks give to what they were given: whoever sees one can read it, so only who asks for it sees it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from cli_parts import FAST

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli_parts import Project

CANARY = "signature-CANARY-7b"
PARCEL = """\
    import time
    import wanrun

    class Parcel:
        def place(self, sink, job): return f"parcel/{job.id}"

        async def deliver(self, delivery, ctx):
            artifact, place = delivery.artifact, self.place(delivery.sink, delivery.job)
            link = wanrun.Link("https://parcels.example.com/1?s=signature-CANARY-7b", time.time() + 3600)
            return wanrun.Receipt(place, artifact.bytes, artifact.sha256, {"number": 1, "ratio": float("nan")}, LINK)

    @wanrun.hookimpl
    def wanrun_sinks():
        options = {"type": "object", "additionalProperties": False}
        return {"parcel": wanrun.SinkKind(options=options, build=Parcel)}
"""
SPEC = """\
version: 1
defaults: {model: wan2.7-videoedit}
sinks: {post: {parcel: {}}}
jobs: [{id: one, prompt: one, media: [{video: https://example.com/a.mp4}]}]
"""


@pytest.fixture
def delivered(project: Project, install_module: Callable[..., None]) -> Callable[..., str]:
    """Return what runs a spec whose sink answers with a link, as the code says it, and all that was said."""

    def run(link: str = "link") -> str:
        code = PARCEL.replace("LINK)", f"{link})")
        install_module("parcel", code, module="parcel_plugin", entry_point="[wanrun]\nparcel = parcel_plugin")
        said = project.wanrun(project.write("batch.yaml", SPEC), *FAST, "--deliver", "--events", "events.jsonl")
        return said.all

    return run


def links(project: Project) -> list[dict[str, Any]]:
    (job,) = project.wanrun("status", "one", "--links", "--emulator", "--format", "json").json["jobs"]
    found: list[dict[str, Any]] = job["links"]
    return found


def test_a_link_is_shown_to_who_asks_and_is_nowhere_else(project: Project, delivered: Callable[..., str]) -> None:
    """Not on a screen, in an event, a plan or an export; the ledger alone has it."""
    printed = [delivered()]
    asked = project.wanrun("status", "--links", "--emulator")
    for args in (("status",), ("status", "--format", "json"), ("plan", "batch.yaml"), ("doctor",)):
        printed.append(project.wanrun(*args, "--emulator").all)
    for to in ("-", "ledger.jsonl"):
        printed.append(project.wanrun("ledger", "export", to, "--emulator").all)

    assert f"\n    post: https://parcels.example.com/1?s={CANARY} until " in asked.stdout, asked
    assert [(each["sink"], each["place"], each["expired"]) for each in links(project)] == [
        ("post", "parcel/one", False)
    ]
    assert not any(CANARY in text or '"link' in text for text in printed)
    assert r"{\"bytes\":30438,\"number\":1,\"ratio\":\"NaN\"}" in printed[-2].replace(" ", "")
    files = [path for path in project.folder.rglob("*") if path.is_file() and "site" not in path.parts]
    holding = {path.name for path in files if CANARY.encode() in path.read_bytes()}
    assert "ledger.db" in holding
    assert holding <= {"ledger.db", "ledger.db-journal"}


def test_a_file_without_links_is_no_other_ledger(project: Project, delivered: Callable[..., str]) -> None:
    """Imported where it comes from it knows the same."""
    delivered()
    project.wanrun("ledger", "export", "ledger.jsonl", "--emulator")

    said = project.wanrun("ledger", "import", "ledger.jsonl", "--emulator")

    assert said.exit_code == 0, said
    assert "known already" in said.stdout, said
    assert links(project)[0]["url"]


def test_of_a_link_that_has_expired_that_is_said(
    project: Project, delivered: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be of no use."""
    delivered()
    later = time.time() + 7200
    monkeypatch.setattr(time, "time", lambda: later)

    text = project.wanrun("status", "--links", "--emulator").stdout

    assert "\n    post: the link has expired, " in text
    assert CANARY not in text
    (each,) = links(project)
    assert (each["url"], each["expired"]) == (None, True)


def test_a_link_may_last(project: Project, delivered: Callable[..., str]) -> None:
    """Such as that of a public place."""
    delivered("wanrun.Link('https://example.com/one')")

    assert "    post: https://example.com/one\n" in project.wanrun("status", "--links", "--emulator").stdout


@pytest.mark.parametrize(
    ("link", "words"),
    [
        (f"'https://example.com/{CANARY}'", "answered deliver with a str; it must be a wanrun.Link"),
        (f"wanrun.Link('https://example.com/{CANARY}', 'tomorrow')", "its until is a str; it must be epoch seconds"),
        (f"wanrun.Link('https://example.com/{CANARY}', float('inf'))", "its until is inf; it must be epoch seconds"),
    ],
    ids=["a text", "no time", "no number"],
)
def test_what_is_no_link_is_the_plugin_s_mistake(
    project: Project, delivered: Callable[..., str], link: str, words: str
) -> None:
    """It is named, and what was given is not repeated."""
    said = delivered(link)

    assert words in said
    assert CANARY not in said
