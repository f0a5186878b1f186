"""What is written where: modes whatever the umask, names whatever the spec, nothing through links, nothing outside."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest
from cli_parts import FAST, HEAD, SETTINGS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cli_parts import Project


@pytest.fixture
def no_umask() -> Iterator[None]:
    """Let every program give its files whatever mode it asks for."""
    before = os.umask(0)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, str]:
    """Return the mode of everything below a folder, and of the folder."""
    return {
        str(path.relative_to(folder.parent)): f"{stat.S_IMODE(path.lstat().st_mode):04o}"
        for path in [folder, *folder.rglob("*")]
    }


@pytest.mark.slow
@pytest.mark.usefixtures("no_umask")
def test_what_we_keep_is_the_user_s_alone_whatever_the_umask(project: Project) -> None:
    """Ledger, lock, artifacts, the emulator's account and the events: nobody else reads them, even under umask 000."""
    spec = project.spec("one", "two")
    project.write("wanrun.toml", SETTINGS.replace("settle_seconds", "patience_seconds = 1\nsettle_seconds", 1))
    cut = project.faults({"on": "download", "prompt": "prompt of two", "do": {"status": 503}})

    with project.emulator("--speed", "100000", *cut) as url:
        said = project.process(
            "run", spec, "--base-url", url, "--events", "events.jsonl", DASHSCOPE_API_KEY="sk-made-up-for-this-test"
        )
        kept = modes(project.folder / ".wanrun") | modes(project.folder / "service")

    assert said.exit_code == 3, said
    assert ".wanrun/ledger.db" in kept
    assert ".wanrun/ledger.lock" in kept
    folders = {name for name in kept if (project.folder / name).is_dir()}
    assert {name: mode for name, mode in kept.items() if mode != ("0700" if name in folders else "0600")} == {}
    assert f"{stat.S_IMODE((project.folder / 'events.jsonl').stat().st_mode):04o}" == "0600"


@pytest.mark.usefixtures("no_umask")
def test_results_are_writable_by_the_user_alone(project: Project) -> None:
    """They are the user's own files, for others to read as the umask says, and never to write."""
    said = project.wanrun(project.spec("one"), *FAST, "--deliver")

    delivered = modes(project.folder / ".wanrun" / "emulator" / "delivered")
    assert said.exit_code == 0, said
    assert len([name for name in delivered if name.endswith((".mp4", ".json"))]) == 2
    assert {mode for name, mode in delivered.items() if name.endswith((".mp4", ".json"))} == {"0644"}
    assert {mode for name, mode in delivered.items() if not name.endswith((".mp4", ".json"))} <= {"0755", "0700"}


JOBS = """\
jobs:
  - {id: one, prompt: p, media: [{video: https://example.com/a.mp4}], sinks: [sink-0]}
  - {id: two, prompt: q, media: [{video: https://example.com/a.mp4}], sinks: [sink-1]}
"""


def sinks(*names: str) -> str:
    """Return the head of a spec with a sink for each name of a file."""
    lines = [f'  sink-{number}: {{folder: {{name: "{name}"}}}}\n' for number, name in enumerate(names)]
    return "version: 1\ndefaults: {model: wan2.7-videoedit}\nsinks:\n" + "".join(lines)


NAMES = {
    "../x.mp4": "stays in the folder",
    "a/../../x.mp4": "stays in the folder",
    "/etc/x.mp4": "stays in the folder",
    "..\\\\x.mp4": "backslashes",
    "CON.mp4": "a device on Windows",
    "a/lpt1.mp4": "a device on Windows",
    "a./x.mp4": "does not end with a dot",
    "a /x.mp4": "does not end with a dot or a blank",
    "a" * 247 + ".mp4": "too long",  # with the sidecar's own ending
    "a" * 252 + ".mp4": "at most 255 bytes",
    "x.mp4.exe": "ends with .mp4",
    "x.desktop": "ends with .mp4",
    "x.url": "ends with .mp4",
    "x": "ends with .mp4",
    ".mp4/..": "stays in the folder",
}


@pytest.mark.parametrize(("name", "message"), NAMES.items(), ids=list(NAMES))
def test_a_name_that_leads_elsewhere_is_refused_before_anything_is_paid(
    project: Project, name: str, message: str
) -> None:
    """At its line, by `validate` and so by every run."""
    spec = project.write("bad.yaml", sinks(name) + JOBS.rpartition("  - {id: two")[0])

    said = project.wanrun("validate", spec)

    assert said.exit_code == 2, said
    assert message in said.stderr
    assert "bad.yaml:4:" in said.stderr


@pytest.mark.parametrize("id_", ["CON", "nul", "Aux.1", "com1", "lpt9.x"])
def test_an_id_that_is_a_device_of_windows_names_no_file(project: Project, id_: str) -> None:
    """Written here and opened there it would be the device."""
    said = project.wanrun("validate", project.spec(id_))

    assert (said.exit_code, "a device on Windows" in said.stderr) == (2, True), said


@pytest.mark.parametrize(
    ("first", "second"),
    [("a.mp4", "A.mp4"), ("\u00e9.mp4", "e\u0301.mp4"), ("stra\u00dfe.mp4", "STRASSE.mp4"), ("K.mp4", "\u212a.mp4")],
    ids=["case", "composed and not", "a letter that folds to two", "a letter that folds to another"],
)
def test_two_names_that_some_disk_takes_for_one_are_refused(project: Project, first: str, second: str) -> None:
    """The second result would replace the first; both places are cited."""
    spec = project.write("bad.yaml", sinks(first, second) + JOBS)

    said = project.wanrun("validate", spec)

    assert said.exit_code == 2, said
    assert 'bad.yaml:8:5: the result of job "two" would go to ' in said.stderr
    assert 'job "one" at bad.yaml:7:5' in said.stderr


def test_a_folder_that_a_repository_plants_as_a_link_is_not_written_through(project: Project) -> None:
    """A link below the sink's folder, as a clone may bring one: the delivery fails, and nothing is behind the link."""
    elsewhere = project.folder / "elsewhere"
    elsewhere.mkdir()
    delivered = project.folder / ".wanrun" / "emulator" / "delivered"
    first = project.wanrun(project.spec("one"), *FAST)
    (place,) = delivered.rglob("one.mp4")
    (place.parent / "sub").symlink_to(elsewhere)
    spec = project.write(
        "batch.yaml",
        HEAD.replace("${{ job.id }}.mp4", "sub/${{ job.id }}.mp4")
        + "jobs:\n  - {id: one, prompt: prompt of one, media: [{video: https://example.com/one.mp4}]}\n",
    )

    said = project.wanrun(spec, *FAST)

    assert (first.exit_code, said.exit_code) == (0, 3), said
    assert "links are not followed" in said.stderr
    assert list(elsewhere.iterdir()) == []


def test_the_extension_comes_from_our_own_list(project: Project) -> None:
    """Whatever the link or the Content-Type says: a result is stored and delivered as what it is."""
    said = project.wanrun(project.spec("one"), *FAST)

    assert said.exit_code == 0
    kept = [path for path in (project.folder / ".wanrun").rglob("*") if path.is_file() and "artifacts" in path.parts]
    assert [path.suffix for path in kept] == [".mp4"]
