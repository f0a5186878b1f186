"""The account on a real loopback port: HTTP as it is on the wire, files on disk, and faults on sockets."""

from __future__ import annotations

import json
import stat
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trio

from wanrun.emulator import Faults, open_home, ready_clip, run_emulator, serve
from wanrun.errors import MissingExtra, SettingsError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

READY = ready_clip().data
FAST = 10_000.0  #: speed; a task takes some milliseconds


@pytest.fixture
def emulator(tmp_path: Path, connect: Callable[[str], Any]) -> Callable[..., Any]:
    """Return a context manager that serves an account from a folder and gives a client of it."""

    @asynccontextmanager
    async def run(*faults: dict[str, Any], folder: Path = tmp_path / "emulator", **settings: Any) -> AsyncIterator[Any]:
        script = Faults({"faults": list(faults)})
        settings = {"folder": folder, "edit": "none", "speed": FAST, "faults": script, "log": str} | settings
        async with trio.open_nursery() as nursery:
            url = await nursery.start(lambda task_status: run_emulator(task_status=task_status, **settings))
            async with connect(url) as service:
                yield service
            nursery.cancel_scope.cancel()

    return run


async def ended(service: Any, task_id: str) -> dict[str, Any]:
    """Ask until a task has ended, and return its output."""
    while True:
        output = await service.output(task_id)
        if output["task_status"] not in ("PENDING", "RUNNING"):
            return dict(output)
        await trio.sleep(0.01)


async def test_a_task_is_made_done_and_fetched(emulator: Callable[..., Any]) -> None:
    """Upload, create, query, list and download, with a real client over real sockets."""
    async with emulator() as service:
        url = await service.uploaded(READY)
        output = await ended(service, await service.made(url=url))
        video = await service.plain.get(output["video_url"])
        part = await service.plain.get(output["video_url"], headers={"Range": "bytes=1-4"})
        head = await service.plain.head(output["video_url"])
        rows = (await service.api.get("/tasks")).json()["data"]

    assert video.content == READY
    assert (part.status_code, part.content) == (206, READY[1:5])
    assert (head.status_code, head.headers["Content-Length"], head.content) == (200, str(len(READY)), b"")
    assert [row["status"] for row in rows] == ["SUCCEEDED"]


async def test_connections_are_kept_open(emulator: Callable[..., Any]) -> None:
    """Ten calls one after the other use one connection."""
    opened = []

    async def note(name: str, _: dict[str, Any]) -> None:
        opened.append(name)

    async with emulator() as service:
        for _ in range(10):
            await service.api.get("/tasks", extensions={"trace": note})

    assert opened.count("connection.connect_tcp.complete") == 1


async def test_a_large_upload_in_chunks_goes_to_disk(emulator: Callable[..., Any], tmp_path: Path) -> None:
    """12 MB without a length arrive whole, and no part of them stays behind."""
    data = bytes(range(256)) * 4096 * 12
    async with emulator() as service:
        policy = await service.policy()
        request = service.plain.build_request("POST", policy["upload_host"], data=form(policy), files={"file": data})
        body = request.read()
        headers = {"Content-Type": request.headers["Content-Type"]}
        response = await service.plain.post(policy["upload_host"], content=pieces_of(body), headers=headers)

    sizes = [path.stat().st_size for path in (tmp_path / "emulator" / "objects").iterdir()]
    assert response.status_code == 200
    assert sorted(sizes) == sorted([len(READY), len(data)])


def form(policy: dict[str, Any]) -> dict[str, str]:
    """Return the fields of an upload."""
    return {
        "OSSAccessKeyId": policy["oss_access_key_id"],
        "Signature": policy["signature"],
        "policy": policy["policy"],
        "x-oss-object-acl": "private",
        "x-oss-forbid-overwrite": "true",
        "key": policy["upload_dir"] + "/large.mp4",
        "success_action_status": "200",
    }


async def pieces_of(body: bytes) -> AsyncIterator[bytes]:
    """Yield a body in pieces of odd size, which makes httpx send chunks."""
    for start in range(0, len(body), 99_991):
        yield body[start : start + 99_991]


async def test_an_upload_that_breaks_off_leaves_nothing(emulator: Callable[..., Any], tmp_path: Path) -> None:
    """The client leaves in the middle of the file."""
    async with emulator() as service:
        host, port = service.api.base_url.host, service.api.base_url.port
        async with await trio.open_tcp_stream(host, port) as stream:
            head = b"POST /emulator/upload HTTP/1.1\r\nHost: x\r\nContent-Length: 999\r\n"
            head += b"Content-Type: multipart/form-data; boundary=XX\r\n\r\n"
            await stream.send_all(head + b'--XX\r\nContent-Disposition: form-data; name="file"\r\n\r\nhello')
            await stream.wait_send_all_might_not_block()
        await service.api.get("/tasks")

    assert list((tmp_path / "emulator" / "objects").glob("*.part")) == []


@pytest.mark.parametrize(
    "raw",
    [b"hello\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: " + b"a" * 70_000],
    ids=["no http", "no host", "endless header"],
)
async def test_bad_http_gets_400(emulator: Callable[..., Any], raw: bytes) -> None:
    """And the next client is served as if nothing had been."""
    async with emulator() as service:
        async with await trio.open_tcp_stream(service.api.base_url.host, service.api.base_url.port) as stream:
            await stream.send_all(raw)
            answer = await stream.receive_some()
        after = await service.api.get("/tasks")

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert after.status_code == 200


async def test_a_body_that_is_too_large_gets_400(emulator: Callable[..., Any]) -> None:
    """33 MB of JSON are not read to the end."""
    async with emulator() as service:
        host, port = service.api.base_url.host, service.api.base_url.port
        async with await trio.open_tcp_stream(host, port) as stream:
            path = b"/api/v1/services/aigc/video-generation/video-synthesis"
            await stream.send_all(b"POST " + path + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 34000000\r\n\r\n")
            answer = await flood(stream)

    assert b"BadRequest.TooLarge" in answer


async def flood(stream: trio.SocketStream) -> bytes:
    """Send until the other side has had enough, and return what it said."""
    answer = bytearray()

    async def send() -> None:
        try:
            for _ in range(540):
                await stream.send_all(b" " * 63_000)
        except trio.BrokenResourceError:
            pass

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        while b"}" not in answer:
            answer += await stream.receive_some()
        nursery.cancel_scope.cancel()
    return bytes(answer)


@pytest.mark.parametrize(
    ("effect", "error", "made"),
    [
        ({"reset": "before"}, httpx.ReadError, 0),
        ({"reset": "after"}, httpx.ReadError, 1),
        ({"cut_after_bytes": 10}, httpx.RemoteProtocolError, 1),
        ({"lose_reply": True}, httpx.ReadTimeout, 1),
    ],
    ids=str,
)
async def test_faults_act_on_the_socket(
    emulator: Callable[..., Any], effect: dict[str, Any], error: type[Exception], made: int
) -> None:
    """A broken create raises in a real client what it raises in memory, and the account knows what was made."""
    async with emulator({"on": "create", "do": effect}) as service:
        service.api.timeout = httpx.Timeout(5, read=0.3)
        with pytest.raises(error):
            await service.create()
        total = (await service.api.get("/tasks")).json()["total"]

    assert total == made


async def test_a_cut_download_goes_on_with_a_range(emulator: Callable[..., Any]) -> None:
    """The connection ends after 5000 bytes; the second try asks for the rest."""
    fault = {"on": "download", "nth": 1, "do": {"cut_after_bytes": 5000, "bytes_per_second": 1e6}}
    async with emulator(fault) as service:
        link = (await ended(service, await service.made()))["video_url"]
        with pytest.raises(httpx.RemoteProtocolError):
            await service.plain.get(link)
        rest = await service.plain.get(link, headers={"Range": "bytes=5000-"})

    assert rest.content == READY[5000:]


async def test_an_account_lasts_across_servers(emulator: Callable[..., Any]) -> None:
    """The second server of a folder has the first one's tasks, and its links point to the new port."""
    async with emulator() as service:
        task_id = await service.made()
        await ended(service, task_id)
        first = (await statement_of(service))["account"]
    async with emulator() as service:
        output = await service.output(task_id)
        second = await statement_of(service)
        video = await service.plain.get(output["video_url"])

    assert second["account"] == first
    assert second["calls"]["create"] == {"200": 1}
    assert video.content == READY


async def statement_of(service: Any) -> dict[str, Any]:
    """Fetch the account statement."""
    url = service.api.base_url.copy_with(path="/emulator/statement")
    return dict((await service.plain.get(url)).json())


async def test_the_statement_is_in_the_folder_and_everything_is_private(
    emulator: Callable[..., Any], tmp_path: Path
) -> None:
    """Files are for their owner alone, whatever the umask; the statement is the one that was served."""
    async with emulator() as service:
        await ended(service, await service.made("told"))
        served = await statement_of(service)
    folder = tmp_path / "emulator"

    written = json.loads((folder / "statement.json").read_text())
    modes = {stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*") if path.is_file()}

    assert written == served
    assert modes == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


async def test_a_folder_serves_one_emulator_at_a_time(emulator: Callable[..., Any], tmp_path: Path) -> None:
    """The second one is told so."""
    async with emulator():
        with (
            pytest.raises(SettingsError, match="is in use by another emulator"),
            open_home(tmp_path / "emulator"),
        ):
            pass


async def test_only_this_machine_is_served_unless_asked(tmp_path: Path) -> None:
    """An address that others can reach is refused before anything is opened."""
    with open_home(tmp_path) as home, pytest.raises(SettingsError, match=r"0\.0\.0\.0 is not"):
        await serve(home, host="0.0.0.0")  # noqa: S104  # which is the point


async def test_a_port_in_use_is_said(emulator: Callable[..., Any], tmp_path: Path) -> None:
    """The message names host and port."""
    async with emulator() as service:
        port = service.api.base_url.port
        with open_home(tmp_path / "other") as home, pytest.raises(SettingsError, match=f"127.0.0.1:{port} cannot be"):
            await serve(home, port=port)


async def test_editing_without_pyav_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And how to do without."""
    monkeypatch.setitem(__import__("sys").modules, "av", None)

    with open_home(tmp_path, edit=True) as home, pytest.raises(MissingExtra, match=r"wanrun\[emulator\].*--edit none"):
        await serve(home)
