"""The sink `oss` as a user meets it: whole runs in processes of their own, against strict object storage."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cli_parts import FAST, SETTINGS
from large_service import result

from oss_server import Fault, OssServer
from oss_server.server import KEY
from oss_server.storage import Object, keep

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli_parts import Child, Project

ENVIRON = {
    "DASHSCOPE_API_KEY": "sk-test",
    "OSS_ACCESS_KEY_ID": KEY.id,
    "OSS_ACCESS_KEY_SECRET": KEY.secret,
}
LARGE_BYTES = 18 * 1024 * 1024  #: three parts
PART_BYTES = 8 * 1024 * 1024


@pytest.fixture
def server(tmp_path: Path) -> Iterator[OssServer]:
    with OssServer(tmp_path / "oss") as running:
        yield running


def spec(project: Project, options: str, *ids: str) -> str:
    """Write a spec whose results go to a bucket, and return its name."""
    jobs = "".join(
        f"  - {{id: {each}, prompt: {each}, media: [{{video: https://example.com/a.mp4}}]}}\n" for each in ids
    )
    return project.write(
        "batch.yaml",
        "version: 1\ndefaults: {model: wan2.7-videoedit}\nsinks:\n"
        f"  bucket: {{oss: {{region: cn-hangzhou, bucket: results, {options}}}}}\njobs:\n{jobs}",
    )


@contextmanager
def service(project: Project, size: int) -> Iterator[str]:
    """Serve results of a size, and give the base URL."""
    program = [sys.executable, str(Path(__file__).with_name("large_service.py")), str(project.folder / "service")]
    with subprocess.Popen([*program, str(size)], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().decode().strip()
        finally:
            process.kill()


@pytest.mark.slow
def test_a_batch_goes_to_a_bucket(project: Project, server: OssServer) -> None:
    """Each result once; nothing that is printed or told as an event opens anything, and the next run sends nothing."""
    name = spec(project, f"endpoint: '{server.url}', link_hours: 24", "one", "two")
    with project.emulator("--speed", "100000") as url:
        first = project.process(name, "--base-url", url, "--events", "events.jsonl", **ENVIRON)
        calls = len(server.calls)
        second = project.process(name, "--base-url", url, **ENVIRON)

    assert (first.exit_code, second.exit_code) == (0, 0), (first, second)
    assert sorted(server.objects) == ["batch/one.mp4", "batch/two.mp4"]
    assert len(server.calls) == calls
    events = (project.folder / "events.jsonl").read_text()
    places = {event["place"] for event in map(json.loads, events.splitlines()) if "place" in event}
    assert places == {"oss://results/batch/one.mp4", "oss://results/batch/two.mp4"}
    printed = first.all + second.all + events + project.process("status", "--format", "json").all
    assert "signature" not in printed.lower()
    assert KEY.secret not in printed
    assert b"x-oss-signature=" in project.bytes_of()  # the receipt has the link
    assert KEY.secret.encode() not in project.bytes_of()


def killed(child: Child, server: OssServer) -> None:
    """Kill a run once the server holds one of its requests."""
    assert server.held.wait(30)
    child.signal(signal.SIGKILL)
    child.end()
    server.released.set()


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault("InitiateMultipartUpload", "hold"), id="begun, and not known"),
        pytest.param(Fault("UploadPart", "stall", at=2), id="in a part"),
        pytest.param(Fault("UploadPart", "hold", at=2), id="behind a part"),
        pytest.param(Fault("CompleteMultipartUpload", "hold"), id="behind the end"),
    ],
)
def test_a_killed_upload_goes_on(project: Project, server: OssServer, fault: Fault) -> None:
    """One object, right bytes, no part that OSS has is sent again, and no upload is left behind."""
    name = spec(project, f"endpoint: '{server.url}'", "one")
    server.faults.append(fault)
    with service(project, LARGE_BYTES) as url:
        killed(project.start(name, "--base-url", url, **ENVIRON), server)

        said = project.process(name, "--base-url", url, **ENVIRON)

        assert said.exit_code == 0, said
        assert len(project.statement(url)["tasks"]) == 1
    assert list(server.objects) == ["batch/one.mp4"]
    assert sha256(server.objects["batch/one.mp4"].read()).digest() == sha256(result(LARGE_BYTES)).digest()
    whole = [
        call.query["partNumber"] for call in server.calls if call.operation == "UploadPart" and call.bytes in SIZES
    ]
    assert sorted(whole) == ["1", "2", "3"]
    assert server.uploads == []
    assert not list((project.folder / ".wanrun/artifacts").glob(".oss-*"))


SIZES = (PART_BYTES, LARGE_BYTES - 2 * PART_BYTES)  #: of a part that arrived as a whole


MEASURED = """\
import resource, sys
from wanrun.cli import run_app
code = run_app(sys.argv[1:])
print(code, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_result(project: Project, server: OssServer) -> None:
    """64 MB take hardly more of it than one: a few parts, whatever the size."""
    peaks = []
    for megabytes in (1, 64):
        name = spec(project, f"endpoint: '{server.url}', key: '{megabytes}.mp4'", f"of-{megabytes}-mb")
        (project.folder / "service").mkdir(exist_ok=True)
        with service(project, megabytes * 1000 * 1000) as url:
            done = subprocess.run(
                [sys.executable, "-c", MEASURED, name, "--base-url", url],
                cwd=project.folder,
                env={"PATH": "/usr/bin:/bin", "HOME": str(project.folder), **ENVIRON},
                capture_output=True,
                text=True,
                check=True,
            )
        code, peak = done.stdout.splitlines()[-1].split()
        assert code == "0", done
        peaks.append(int(peak))

    assert server.objects["64.mp4"].content.bytes == 64 * 1000 * 1000
    assert peaks[1] - peaks[0] < 40, peaks


@pytest.mark.slow
def test_an_object_is_an_input(project: Project, server: OssServer) -> None:
    """The service gets a link to it; the next run knows the job by the object, not by its link."""
    content = keep([(Path(__file__).parents[2] / "specs/media/street.mp4").read_bytes()], server.folder)
    server.objects["clips/street.mp4"] = Object(content, content.etag, {}, 0.0)
    source = f"{{oss: {{region: cn-hangzhou, bucket: results, key: clips/street.mp4, endpoint: '{server.url}'}}}}"
    name = project.write(
        "batch.yaml",
        "version: 1\ndefaults: {model: wan2.7-videoedit}\njobs:\n"
        f"  - {{id: one, prompt: night, media: [{{video: {source}}}]}}\n",
    )
    with project.emulator("--speed", "100000") as url:
        first = project.process(name, "--base-url", url, **ENVIRON)
        second = project.process(name, "--base-url", url, **ENVIRON)
        tasks = project.statement(url)["tasks"]

    assert (first.exit_code, second.exit_code) == (0, 0), (first, second)
    assert len(tasks) == 1
    assert {call.operation for call in server.calls} <= {"HeadObject", "GetObject"}
    assert b"x-oss-signature" not in project.bytes_of(".wanrun")
    assert "signature" not in (first.all + second.all).lower()


STAGING = "[staging.oss]\nregion = 'cn-hangzhou'\nbucket = 'results'\n"


def local_clips(project: Project, name: str = "batch.yaml") -> str:
    """Write a spec of two jobs on one local clip, and return its name."""
    (project.folder / "street.mp4").write_bytes((Path(__file__).parents[2] / "specs/media/street.mp4").read_bytes())
    jobs = "".join(f"  - {{id: {each}, prompt: {each}, media: [{{video: street.mp4}}]}}\n" for each in ("one", "two"))
    return project.write(name, f"version: 1\ndefaults: {{model: wan2.7-videoedit}}\njobs:\n{jobs}")


@pytest.mark.slow
def test_local_files_go_through_a_bucket_of_ones_own(project: Project, server: OssServer) -> None:
    """Once, whatever jobs use them, and the service's temporary store gets none."""
    name = local_clips(project)
    project.write("wanrun.toml", f"{SETTINGS}{STAGING}endpoint = '{server.url}'\n")
    with project.emulator("--speed", "100000") as url:
        said = project.process(name, "--base-url", url, **ENVIRON)
        again = project.process(name, "--base-url", url, **ENVIRON)
        calls = project.statement(url)["calls"]

    assert (said.exit_code, again.exit_code) == (0, 0), (said, again)
    assert [call.operation for call in server.calls if call.operation == "PutObject"] == ["PutObject"]
    assert [key.partition("/")[0] for key in server.objects] == ["wanrun-staging"]
    assert not {"policy", "upload"} & calls.keys(), calls
    assert b"x-oss-signature" not in project.bytes_of(".wanrun")


@pytest.mark.slow
def test_a_bucket_that_cannot_be_used_stops_the_run_and_fails_no_job(project: Project, server: OssServer) -> None:
    """Every job would meet it; running again goes on once it is mended."""
    name = local_clips(project)
    project.write("wanrun.toml", f"{SETTINGS}{STAGING.replace('results', 'none')}endpoint = '{server.url}'\n")
    with project.emulator("--speed", "100000") as url:
        said = project.process(name, "--base-url", url, **ENVIRON)
        project.write("wanrun.toml", f"{SETTINGS}{STAGING}endpoint = '{server.url}'\n")
        again = project.process(name, "--base-url", url, **ENVIRON)

    assert said.exit_code == 3, said
    assert 'there is no bucket "none" at 127.0.0.1' in said.all
    assert "Traceback" not in said.all
    assert again.exit_code == 0, again


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("[staging]\n", "staging has one table, named by a kind of source; write [staging.oss]"),
        ("[staging]\noss = 'x'\n", "staging has one table, named by a kind of source; write [staging.oss]"),
        ("[staging.file]\n", "staging.file is no kind of source that keeps files; installed: oss"),
        ("[staging.oss]\nbucket = 'results'\n", 'staging.oss needs the key "region", such as region: cn-hangzhou'),
        (f"{STAGING}prefx = 'x/'\n", 'unknown key "prefx"; did you mean "prefix"?'),
        (f"{STAGING}prefix = 'x'\n", 'staging.oss.prefix is "x"; give text, such as wanrun-staging/'),
        (f"{STAGING}access_key_secret = 'x'\n", 'unknown key "access_key_secret"'),
    ],
)
def test_a_bad_table_is_said_before_anything_is_submitted(project: Project, table: str, message: str) -> None:
    """By plan and doctor too, with the file, and what to write instead."""
    name = local_clips(project)
    project.write("wanrun.toml", table)

    for args in ((name,), ("plan", name), ("doctor",)):
        said = project.wanrun(*args)

        assert said.exit_code == 2, said
        assert "wanrun.toml: " in said.all
        assert message in said.all


def test_with_the_emulator_nothing_is_staged(project: Project) -> None:
    """It has a store of its own, and nothing leaves the machine."""
    name = local_clips(project)
    project.write("wanrun.toml", STAGING)

    said = project.wanrun(name, *FAST)

    assert said.exit_code == 0, said


# Before anything is paid


def test_with_the_emulator_no_object_is_asked_for(project: Project) -> None:
    """It needs neither key nor bucket nor network, nor any secret."""
    keys = "access_key_id: '${{ secret.ID }}', access_key_secret: '${{ secret.SECRET }}'"
    source = f"{{oss: {{region: cn-hangzhou, bucket: none-such, key: clips/street.mp4, {keys}}}}}"
    name = project.write(
        "batch.yaml",
        "version: 1\ndefaults: {model: wan2.7-videoedit}\njobs:\n"
        f"  - {{id: one, prompt: night, media: [{{video: {source}}}]}}\n",
    )

    said = project.wanrun(name, *FAST)

    assert said.exit_code == 0, said


def test_a_misspelt_option_is_reported_at_its_place(project: Project) -> None:
    """As any key of a spec, with the nearest name."""
    name = spec(project, "storage_clas: IA", "one")

    said = project.wanrun("validate", name)

    assert said.exit_code == 2
    assert 'batch.yaml:4:56: unknown key "storage_clas"; did you mean "storage_class"?' in said.all


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("region: oss-cn-hangzhou, bucket: results", 'region is "oss-cn-hangzhou"; give text, such as cn-hangzhou'),
        ("region: cn-hangzhou, bucket: Results", 'bucket is "Results"; give text, such as my-results'),
        ("region: cn-hangzhou, bucket: results, endpoint: oss-cn-hangzhou.aliyuncs.com", "; give "),
        ("bucket: results", 'needs the key "region", such as region: cn-hangzhou'),
        ("region: cn-hangzhou, bucket: results, metadata: {Project: x}", '"Project" cannot be a name here'),
        ("region: cn-hangzhou, bucket: results, link_hours: 200", "a whole number from 1 to 168"),
        (
            "region: cn-hangzhou, bucket: results, key: a.mov",
            "sinks.bucket: a.mov: the key of a result ends with .mp4",
        ),
    ],
)
def test_a_bad_option_says_what_to_give(project: Project, options: str, message: str) -> None:
    """At `validate`, so before a cent is spent."""
    name = spec(project, "", "one")
    text = (project.folder / name).read_text()
    project.write(name, text.replace("region: cn-hangzhou, bucket: results, ", options))

    said = project.wanrun("validate", name)

    assert said.exit_code == 2, said
    assert message in said.all


def test_what_is_not_allowed_is_refused_at_its_place(project: Project) -> None:
    """An endpoint gets requests that are signed with the operator's key, so `[allow] hosts` holds for it too."""
    project.write("wanrun.toml", '[allow]\nhosts = ["example.com", "oss-cn-hangzhou.aliyuncs.com"]\nsecrets = []\n')
    keys = "access_key_id: '${{ secret.ID }}', access_key_secret: '${{ secret.SECRET }}'"
    fine = project.wanrun("validate", spec(project, "endpoint: 'https://oss-cn-hangzhou.aliyuncs.com'", "one"))

    said = project.wanrun("validate", spec(project, f"endpoint: 'https://elsewhere.example', {keys}", "one"))

    assert fine.exit_code == 0, fine
    assert said.exit_code == 2
    assert "a link to elsewhere.example is not allowed" in said.all
    assert "the secret ID is not allowed" in said.all
    assert "the secret SECRET is not allowed" in said.all


def test_two_jobs_may_not_share_an_object(project: Project) -> None:
    """The second would be a conflict after it was paid for."""
    said = project.wanrun("validate", spec(project, "key: same.mp4", "one", "two"))

    assert said.exit_code == 2
    assert "would go to oss://results/same.mp4" in said.all


def test_with_the_emulator_nothing_is_sent(project: Project) -> None:
    """It needs neither key nor bucket: the place is named, and that is all."""
    said = project.wanrun(spec(project, "link_hours: 1", "one"), *FAST)

    assert said.exit_code == 0, said


@pytest.mark.parametrize("args", [("validate", "batch.yaml"), ("plan", "clips.yaml"), ("doctor",)])
def test_without_the_extra_it_says_what_to_install(project: Project, args: tuple[str, ...]) -> None:
    """In one line, before anything is paid, of a kind that a spec or `[staging]` uses."""
    spec(project, "link_hours: 1", "one")
    local_clips(project, "clips.yaml")
    project.write("wanrun.toml", STAGING)
    program = """\
import sys
import importlib.util
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, *args: None if name == "alibabacloud_oss_v2" else real(name, *args)
from wanrun.cli import main
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", program, *args],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert 'with Alibaba Cloud\'s SDK: pip install "wanrun[oss]"' in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


# Keys


@pytest.fixture
def keyless(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Return a project on a machine that has a key for the service, and none for OSS."""
    monkeypatch.setenv("HOME", str(project.folder))
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-test")
    for name in ("OSS_ACCESS_KEY_ID", "OSS_ACCESS_KEY_SECRET", "OSS_SESSION_TOKEN", "ALIBABA_CLOUD_CREDENTIALS_FILE"):
        monkeypatch.delenv(name, raising=False)
    return project


NOWHERE = ("--base-url", "http://127.0.0.1:9/api/v1")
NO_KEY = "no access key for OSS: set OSS_ACCESS_KEY_ID and OSS_ACCESS_KEY_SECRET, or make ~/.alibabacloud/"


@pytest.mark.parametrize(
    ("options", "environ", "words"),
    [
        ("", {}, NO_KEY),
        ("", {"OSS_ACCESS_KEY_ID": "id"}, "go together, and OSS_ACCESS_KEY_SECRET is not set"),
        (
            "link_hours: 1",
            {"OSS_ACCESS_KEY_ID": "id", "OSS_ACCESS_KEY_SECRET": "hidden", "OSS_SESSION_TOKEN": "t"},
            "a temporary one: a link would hold its token",
        ),
        ("profile: work", {}, "make ~/.alibabacloud/credentials.ini with a profile [work]"),
    ],
    ids=["none", "half", "temporary, with links", "no profile"],
)
def test_a_sink_without_its_key_is_said_before_anything_is_paid(
    keyless: Project, monkeypatch: pytest.MonkeyPatch, options: str, environ: dict[str, str], words: str
) -> None:
    """At its line, once for all jobs, by the run alone: looking at specs reads no key."""
    name = spec(keyless, options, "one", "two")
    for each, value in environ.items():
        monkeypatch.setenv(each, value)

    said = keyless.wanrun(name, *NOWHERE)

    assert said.exit_code == 2, said
    assert said.stderr.startswith("batch.yaml:4:17: sinks.bucket: ")
    assert words in said.stderr
    assert said.stderr.endswith("1 problem in batch.yaml; nothing was submitted\n")
    assert "hidden" not in said.all
    assert [keyless.wanrun(look, name).exit_code for look in ("validate", "plan")] == [0, 0]


def test_a_source_without_its_key_is_said_before_anything_is_paid(
    keyless: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one with a temporary key, whose links may end in the queue."""
    source = "{oss: {region: cn-hangzhou, bucket: clips, key: street.mp4}}"
    job = f"{{id: one, prompt: night, media: [{{video: {source}}}]}}"
    name = keyless.write("batch.yaml", f"version: 1\ndefaults: {{model: wan2.7-videoedit}}\njobs: [{job}]\n")

    without = keyless.wanrun(name, *NOWHERE)
    for each in ("OSS_ACCESS_KEY_ID", "OSS_ACCESS_KEY_SECRET", "OSS_SESSION_TOKEN"):
        monkeypatch.setenv(each, "x")
    temporary = keyless.wanrun(name, *NOWHERE)

    assert (without.exit_code, temporary.exit_code) == (2, 2), without
    assert f"batch.yaml:3:55: {NO_KEY}" in without.stderr
    assert "is a temporary one: a link that it signs may end" in temporary.stderr


def test_a_store_without_its_key_is_said_before_anything_is_paid(keyless: Project) -> None:
    """By the run of a local clip and by doctor; a job on a link needs no store."""
    keyless.write("wanrun.toml", f"{SETTINGS}{STAGING}")
    local = keyless.wanrun(local_clips(keyless), *NOWHERE)
    doctor = keyless.wanrun("doctor")

    assert (local.exit_code, doctor.exit_code) == (2, 2), local
    for said in (local.stderr, doctor.stdout):
        assert f"wanrun.toml: staging.oss: {NO_KEY}" in " ".join(said.split())


@pytest.mark.slow
def test_what_needs_no_key_goes_on_without(project: Project, server: OssServer) -> None:
    """Jobs of other kinds, and what is paid for already: its delivery says what it lacks, and is made up for."""
    name = spec(project, f"endpoint: '{server.url}'", "one")
    key = {"DASHSCOPE_API_KEY": "sk-test"}
    with project.emulator("--speed", "100000") as url:
        other = project.process(project.spec("other", name="other.yaml"), "--base-url", url, **key)
        server.faults.append(Fault("PutObject", "refuse", times=99))
        kept = project.process(name, "--base-url", url, **ENVIRON)
        server.faults.clear()
        without = project.process(name, "--base-url", url, **key)
        done = project.process(name, "--base-url", url, **ENVIRON)
        made = project.statement(url)["tasks_made"]

    assert (other.exit_code, kept.exit_code, without.exit_code, done.exit_code) == (0, 3, 3, 0), without
    assert NO_KEY in without.all
    assert (made, list(server.objects)) == (2, ["batch/one.mp4"])
