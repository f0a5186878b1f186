"""What the sink `oss` promises: whole objects only, never over somebody else's, and no part sent twice without need."""

from __future__ import annotations

import json
import logging
import ssl
import time
from collections import Counter
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import fastcrc
import pytest
import requests
import trio
import trustme
from plugin_parts import Lent, a_delivery, a_job, sink_ref

from oss_server import Fault, Key, OssServer
from oss_server.server import BUCKET, KEY, REGION
from oss_server.storage import Bucket
from wanrun import Secret, SinkConflict, SinkError
from wanrun_plugins import _oss_upload
from wanrun_plugins._oss_client import OssClient
from wanrun_plugins._oss_keys import AccessKey
from wanrun_plugins._oss_notes import Note, Noted
from wanrun_plugins._oss_places import place_of
from wanrun_plugins._oss_refusals import DELIVERY
from wanrun_plugins.oss import OssSink

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wanrun import Delivery, Receipt

PART = 128 * 1024  #: of the parts in these tests; the real ones only differ in their size
FILM = b"".join(bytes([number]) * PART for number in range(4)) + b"the end"  #: five parts


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, oss_key: None) -> Iterator[OssServer]:
    """Object storage, with its key in the environment and nothing else of this machine's."""
    monkeypatch.setattr(_oss_upload, "PART_BYTES", PART)
    with OssServer(tmp_path / "oss") as running:
        yield running


def to(server: OssServer, folder: Path, content: bytes = b"a result", **options: Any) -> Delivery:
    """Return a delivery to the server."""
    given = {"region": REGION, "bucket": BUCKET, "endpoint": server.url, **options}
    return a_delivery(folder, content, **{name: value for name, value in given.items() if value is not None})


async def deliver(delivery: Delivery) -> Receipt:
    return await OssSink().deliver(delivery, Lent())


async def fails(delivery: Delivery, error: type[SinkError] = SinkError) -> str:
    """Deliver what cannot be delivered, and return the message."""
    with pytest.raises(error) as caught:
        await deliver(delivery)
    message = str(caught.value)
    assert KEY.secret not in message
    return message


def notes(folder: Path) -> list[Path]:
    return list((folder / "store").glob(".oss-*"))


@pytest.mark.parametrize("content", [b"a result", FILM], ids=["one piece", "parts"])
async def test_a_result_becomes_an_object(server: OssServer, tmp_path: Path, content: bytes) -> None:
    """With metadata that says what it is; the receipt says where it is and what it holds."""
    delivery = to(server, tmp_path, content, storage_class="IA", metadata={"project": "Frühling & co"})

    receipt = await deliver(delivery)

    found = server.objects["hero/shot.mp4"]
    assert found.read() == content
    assert receipt.place == "oss://results/hero/shot.mp4" == OssSink().place(delivery.sink, delivery.job)
    assert (receipt.bytes, receipt.sha256) == (len(content), sha256(content).hexdigest())
    assert receipt.details == {"crc64": str(fastcrc.crc64.xz(content))}
    assert found.headers == {
        "Content-Type": "video/mp4",
        "x-oss-storage-class": "IA",
        "x-oss-meta-wanrun-address": "hero/shot",
        "x-oss-meta-wanrun-task": "task-1",
        "x-oss-meta-wanrun-fingerprint": "f1:0123",
        "x-oss-meta-wanrun-sha256": receipt.sha256,
        "x-oss-meta-wanrun-crc64": str(fastcrc.crc64.xz(content)),
        "x-oss-meta-project": "Fr%C3%BChling & co",
    }
    assert (server.uploads, notes(tmp_path)) == ([], [])
    assert all(call.headers["authorization"].startswith("OSS4-HMAC-SHA256 ") for call in server.calls)


@pytest.mark.parametrize("content", [b"a result", FILM], ids=["one piece", "parts"])
async def test_the_same_bytes_are_not_sent_again(server: OssServer, tmp_path: Path, content: bytes) -> None:
    """A delivery after a crash finds its work done."""
    await deliver(to(server, tmp_path, content))
    server.calls.clear()

    receipt = await deliver(to(server, tmp_path, content))

    assert [call.operation for call in server.calls] == ["HeadObject"]
    assert receipt.sha256 == sha256(content).hexdigest()


@pytest.mark.parametrize("content", [b"a result", FILM], ids=["one piece", "parts"])
async def test_other_bytes_are_a_conflict(server: OssServer, tmp_path: Path, content: bytes) -> None:
    """Whoever put them there; they stay."""
    await deliver(to(server, tmp_path, b"somebody's"))

    message = await fails(to(server, tmp_path, content), SinkConflict)

    assert message.startswith("oss://results/hero/shot.mp4 holds another object (sha256 ")
    assert "move it away or give the job another key" in message
    assert server.objects["hero/shot.mp4"].read() == b"somebody's"
    assert not server.done("InitiateMultipartUpload")


@pytest.mark.parametrize("content", [b"a result", FILM], ids=["one piece", "parts"])
async def test_what_this_job_put_there_before_gives_way(server: OssServer, tmp_path: Path, content: bytes) -> None:
    """A further take goes to the place of the one before it."""
    await deliver(to(server, tmp_path, b"the first take"))

    await deliver(
        replace(to(server, tmp_path, content), may_replace=frozenset({sha256(b"the first take").hexdigest()}))
    )

    assert server.objects["hero/shot.mp4"].read() == content


@pytest.mark.parametrize("content", [b"a result", FILM], ids=["one piece", "parts"])
async def test_an_object_that_comes_in_between_is_not_overwritten(
    server: OssServer, tmp_path: Path, content: bytes
) -> None:
    """Between our look and the last step; OSS itself refuses it."""
    operation = "PutObject" if content != FILM else "CompleteMultipartUpload"
    server.faults.append(Fault(operation, "slow", seconds=0.0))
    real = server.fault_at

    def someone_is_faster(asked: str) -> Fault | None:
        fault = real(asked)
        if asked == operation:
            server.calls.clear()
            server.objects["hero/shot.mp4"] = server.objects.pop("elsewhere")
        return fault

    await deliver(to(server, tmp_path, b"somebody's", key="elsewhere.mp4"))
    server.objects["elsewhere"] = server.objects.pop("elsewhere.mp4")
    server.fault_at = someone_is_faster  # type: ignore[method-assign]

    await fails(to(server, tmp_path, content), SinkConflict)

    assert server.objects["hero/shot.mp4"].read() == b"somebody's"
    assert (server.uploads, notes(tmp_path)) == ([], [])


@pytest.mark.parametrize(
    ("operation", "content"), [("PutObject", b"a result"), ("CompleteMultipartUpload", FILM)], ids=["put", "complete"]
)
async def test_a_lost_reply_is_success(server: OssServer, tmp_path: Path, operation: str, content: bytes) -> None:
    """The work was done, as a second look shows."""
    server.faults.append(Fault(operation, "lose"))

    await deliver(to(server, tmp_path, content))

    assert server.objects["hero/shot.mp4"].read() == content
    assert (server.uploads, notes(tmp_path)) == ([], [])


async def test_what_broke_off_goes_on(server: OssServer, tmp_path: Path) -> None:
    """No part that OSS has is sent again."""
    server.faults.append(Fault("UploadPart", "cut", at=3, times=2))
    message = await fails(to(server, tmp_path, FILM))
    assert "127.0.0.1 cannot be reached, or broke the connection" in message
    assert len(notes(tmp_path)) == 1

    await deliver(to(server, tmp_path, FILM))

    assert server.objects["hero/shot.mp4"].read() == FILM
    assert [call.query["partNumber"] for call in server.done("UploadPart")] == ["1", "2", "3", "4", "5"]
    assert (server.uploads, notes(tmp_path)) == ([], [])


CALLS = 8  #: of an upload that nothing happens to: look, begin, five parts, complete
FOR_EVER = 1000


@pytest.mark.slow
@pytest.mark.parametrize("does", ["drop", "cut", "lose"])
@pytest.mark.parametrize("at", range(1, CALLS + 1))
async def test_an_end_at_any_call_loses_nothing(server: OssServer, tmp_path: Path, at: int, does: Any) -> None:
    """From one call on the network is gone; then it is back: one object, right bytes, each part taken once."""
    server.faults.append(Fault("*", does, at=at, times=FOR_EVER))
    await fails(to(server, tmp_path, FILM))  # the last one even after all is done
    server.faults.clear()

    await deliver(to(server, tmp_path, FILM))

    assert {name: each.read() for name, each in server.objects.items()} == {"hero/shot.mp4": FILM}
    taken = Counter(call.query["partNumber"] for call in server.done("UploadPart"))
    assert set(taken.values()) <= {1}
    assert (server.uploads, notes(tmp_path)) == ([], [])


async def test_a_run_that_ends_in_between_leaves_what_it_has_sent(server: OssServer, tmp_path: Path) -> None:
    """A signal takes effect between two parts."""
    server.faults.append(Fault("UploadPart", "slow", at=2, seconds=0.5))
    with trio.move_on_after(0.3) as stopped:
        await deliver(to(server, tmp_path, FILM))
    sent = len(server.done("UploadPart"))

    await deliver(to(server, tmp_path, FILM))

    assert stopped.cancelled_caught
    assert sent < 5
    assert len(server.done("UploadPart")) == 5
    assert server.objects["hero/shot.mp4"].read() == FILM


async def test_parts_with_a_gap_go_on_too(server: OssServer, tmp_path: Path) -> None:
    """Parts that OSS has lost, or has other bytes of, are sent again, and only those."""
    server.faults.append(Fault("CompleteMultipartUpload", "refuse", times=2))
    await fails(to(server, tmp_path, FILM))
    upload = next(iter(server.buckets[BUCKET].uploads.values()))
    del upload.parts[2]
    upload.parts[4] = upload.parts[1]
    server.calls.clear()

    await deliver(to(server, tmp_path, FILM))

    assert server.objects["hero/shot.mp4"].read() == FILM
    assert [call.query["partNumber"] for call in server.done("UploadPart")] == ["2", "4"]


@pytest.mark.parametrize("after", ["another take", "other metadata"])
async def test_an_upload_of_something_else_is_given_up(server: OssServer, tmp_path: Path, after: str) -> None:
    """Its parts would cost money for ever."""
    server.faults.append(Fault("CompleteMultipartUpload", "refuse", times=2))
    await fails(to(server, tmp_path, FILM))

    other = FILM[::-1] if after == "another take" else FILM
    await deliver(to(server, tmp_path, other, metadata={"now": after}))

    assert server.objects["hero/shot.mp4"].read() == other
    assert server.objects["hero/shot.mp4"].headers["x-oss-meta-now"] == after
    assert (server.uploads, notes(tmp_path)) == ([], [])


async def test_an_upload_that_nobody_noted_is_given_up(server: OssServer, tmp_path: Path) -> None:
    """A run that dies between the beginning of an upload and its answer knows of it, not its id."""
    server.faults.append(Fault("InitiateMultipartUpload", "lose", times=2))
    await fails(to(server, tmp_path, FILM))
    assert server.uploads == ["hero/shot.mp4"] * 2

    await deliver(to(server, tmp_path, FILM))

    assert server.objects["hero/shot.mp4"].read() == FILM
    assert (server.uploads, notes(tmp_path)) == ([], [])


async def test_an_upload_that_is_gone_starts_over(server: OssServer, tmp_path: Path) -> None:
    """A bucket's own rules abort what is old."""
    server.faults.append(Fault("CompleteMultipartUpload", "refuse", times=2))
    await fails(to(server, tmp_path, FILM))
    server.buckets[BUCKET].uploads.clear()

    await deliver(to(server, tmp_path, FILM))

    assert server.objects["hero/shot.mp4"].read() == FILM


async def test_a_note_that_cannot_be_read_is_no_obstacle(server: OssServer, tmp_path: Path) -> None:
    """The upload begins anew."""
    server.faults.append(Fault("CompleteMultipartUpload", "refuse", times=2))
    await fails(to(server, tmp_path, FILM))
    notes(tmp_path)[0].write_text("{")

    await deliver(to(server, tmp_path, FILM))

    assert server.objects["hero/shot.mp4"].read() == FILM


async def test_a_damaged_artifact_is_not_delivered(server: OssServer, tmp_path: Path) -> None:
    """Nothing is sent of it."""
    delivery = to(server, tmp_path, FILM)
    delivery.artifact.path.write_bytes(FILM[::-1])

    assert "the artifact is damaged" in await fails(delivery)

    assert not server.calls


# Links and keys


async def test_a_link_is_in_the_receipt_alone(
    server: OssServer, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """It opens the object, for as long as was asked for."""
    with caplog.at_level(logging.DEBUG):
        receipt = await deliver(to(server, tmp_path, link_hours=24))

    assert receipt.link is not None
    link = receipt.link.url
    with requests.Session() as session:
        assert session.get(link, timeout=10).content == b"a result"
        server.now = lambda: time.time() + 24 * 3600 + 1
        assert session.get(link, timeout=10).status_code == 403
    assert receipt.link.until == pytest.approx(time.time() + 24 * 3600, abs=60)
    assert link not in repr(receipt)
    assert "x-oss-signature" not in caplog.text + "".join(capfd.readouterr())
    assert "signature" not in receipt.place


async def test_the_key_comes_from_the_options(
    server: OssServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also a temporary one; they outrank the environment."""
    server.keys[:] = [Key("STS.temporary", "its secret", "its token")]

    await deliver(
        to(
            server,
            tmp_path,
            access_key_id=Secret("STS.temporary"),
            access_key_secret=Secret("its secret"),
            security_token=Secret("its token"),
        )
    )

    assert list(server.objects) == ["hero/shot.mp4"]


@pytest.mark.parametrize("named", [True, False], ids=["named by a variable", "in its usual place"])
async def test_the_key_comes_from_a_file(
    server: OssServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    """As Alibaba Cloud's tools write it."""
    path = tmp_path / "credentials" if named else tmp_path / ".alibabacloud" / "credentials.ini"
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        f"[default]\ntype = access_key\naccess_key_id = {KEY.id}\naccess_key_secret = {KEY.secret}\n"
        "[short]\ntype = sts\naccess_key_id = STS.x\naccess_key_secret = y\nsecurity_token = z\n"
        "[role]\ntype = ecs_ram_role\n"
    )
    monkeypatch.delenv("OSS_ACCESS_KEY_ID")
    monkeypatch.delenv("OSS_ACCESS_KEY_SECRET")
    if named:
        monkeypatch.setenv("ALIBABA_CLOUD_CREDENTIALS_FILE", str(path))

    await deliver(to(server, tmp_path))
    server.keys.append(Key("STS.x", "y", "z"))
    await deliver(to(server, tmp_path, profile="short", key="b.mp4"))

    assert list(server.objects) == ["hero/shot.mp4", "b.mp4"]
    assert await fails(to(server, tmp_path, profile="none")) == f"{path} has no profile [none]"
    assert "has the type ecs_ram_role" in await fails(to(server, tmp_path, profile="role"))
    assert "is a temporary one: a link would hold its token" in await fails(
        to(server, tmp_path, profile="short", link_hours=1)
    )
    path.write_text("a = secret-in-a-strange-file\n")
    assert await fails(to(server, tmp_path)) == (
        f"{path}: not a file of credentials; write [default] and name = value below it"
    )


async def test_without_a_key_it_says_where_to_put_one(
    server: OssServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is sent."""
    monkeypatch.delenv("OSS_ACCESS_KEY_SECRET")
    assert await fails(to(server, tmp_path)) == (
        "OSS_ACCESS_KEY_ID and OSS_ACCESS_KEY_SECRET go together, and OSS_ACCESS_KEY_SECRET is not set"
    )

    monkeypatch.delenv("OSS_ACCESS_KEY_ID")
    assert await fails(to(server, tmp_path)) == (
        "no access key for OSS: set OSS_ACCESS_KEY_ID and OSS_ACCESS_KEY_SECRET, "
        "or make ~/.alibabacloud/credentials.ini with a profile [default]"
    )
    assert not server.calls


# What OSS says


async def test_a_wrong_secret_is_said(server: OssServer, tmp_path: Path) -> None:
    """With where it comes from, and without showing it."""
    server.keys[:] = [Key(KEY.id, "another")]

    message = await fails(to(server, tmp_path))

    assert message.startswith(
        "oss://results/hero/shot.mp4: cannot look at the object: the secret of OSS_ACCESS_KEY_ID is not that of its "
        "id; give both of one key and run again; the result is kept in the artifact store "
        "(403 SignatureDoesNotMatch, request "
    )


async def test_other_mistakes_are_said(server: OssServer, tmp_path: Path) -> None:
    """An unknown key, a clock that is off, no such bucket, the wrong region of a bucket, and of a signature."""
    server.buckets["far-away"] = Bucket("cn-beijing")

    assert 'there is no bucket "none" at 127.0.0.1' in await fails(to(server, tmp_path, bucket="none"))
    assert 'the bucket "far-away" is elsewhere, at oss-cn-beijing.aliyuncs.com; correct region' in (
        await fails(to(server, tmp_path, bucket="far-away"))
    )
    assert "127.0.0.1 is not in the region cn-beijing" in await fails(to(server, tmp_path, region="cn-beijing"))
    server.now = lambda: time.time() + 3600
    assert "this machine's clock is off by more than 15 minutes" in await fails(to(server, tmp_path))
    server.keys.clear()
    assert "OSS does not know the key of OSS_ACCESS_KEY_ID" in await fails(to(server, tmp_path))


async def test_what_is_denied_names_what_to_allow(server: OssServer, tmp_path: Path) -> None:
    """Whatever the operation is."""
    server.faults.append(
        Fault("PutObject", "refuse", status=403, code="AccessDenied", message="You have no right to access.")
    )

    assert (
        "cannot send the object: the key of OSS_ACCESS_KEY_ID may not do this; allow it oss:PutObject, oss:GetObject"
    ) in await fails(to(server, tmp_path))


async def test_a_busy_service_is_tried_twice_and_said(server: OssServer, tmp_path: Path) -> None:
    """The engine tries the delivery again later."""
    server.faults.append(Fault("PutObject", "refuse", times=9, headers={"Retry-After": "1"}))

    message = await fails(to(server, tmp_path))

    assert "OSS is busy or has a fault of its own (Please reduce your request rate.); wait a little" in message
    assert len([call for call in server.calls if call.operation == "PutObject"]) == 2


async def test_a_server_that_is_not_there_is_said(server: OssServer, tmp_path: Path) -> None:
    """Without the words of a library."""
    message = await fails(to(server, tmp_path, endpoint="http://127.0.0.1:9"))

    assert message == (
        "oss://results/hero/shot.mp4: cannot look at the object: 127.0.0.1 cannot be reached, or broke the connection "
        "(ConnectionError); see to network and endpoint; the result is kept in the artifact store, run again"
    )


async def test_no_netrc_takes_the_place_of_the_signature(
    server: OssServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a library underneath would have it; nor is a proxy asked for this machine."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password mine\n")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")

    await deliver(to(server, tmp_path))

    assert list(server.objects) == ["hero/shot.mp4"]


@pytest.mark.parametrize(
    "fault",
    [
        Fault("InitiateMultipartUpload", "garble", status=200, message="<html>log in first</html>"),
        Fault("InitiateMultipartUpload", "garble", status=200, message="neither XML nor anything"),
        Fault("InitiateMultipartUpload", "garble", status=200, message=""),
        Fault("CompleteMultipartUpload", "garble", status=200, message="<Error><Code>Odd</Code></Error>"),
        Fault("UploadPart", "garble", status=200, message="fine"),
        Fault("UploadPart", "garble", status=302, message="elsewhere"),
        Fault("HeadObject", "garble", status=400),
        Fault("HeadObject", "garble", status=500),
    ],
    ids=lambda fault: f"{fault.operation} {fault.status} {fault.message[:5]}",
)
async def test_an_answer_of_no_use_is_one_line(server: OssServer, tmp_path: Path, fault: Fault) -> None:
    """Somebody on the way answers in place of OSS; the next delivery makes up for it."""
    fault.times = 2 if fault.status == 500 else 1  # the SDK tries it again
    server.faults.append(fault)

    message = await fails(to(server, tmp_path, FILM))
    await deliver(to(server, tmp_path, FILM))

    assert message.startswith("oss://results/hero/shot.mp4: ")
    assert "\n" not in message
    assert server.objects["hero/shot.mp4"].read() == FILM
    assert (server.uploads, notes(tmp_path)) == ([], [])


async def test_certificates_are_checked(server: OssServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the authorities of this machine, or by those that SSL_CERT_FILE names."""
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with OssServer(tmp_path / "safe", tls=tls) as safe:
        message = await fails(to(safe, tmp_path))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
        await deliver(to(safe, tmp_path))

    assert "the certificate of 127.0.0.1 cannot be trusted" in message
    assert list(safe.objects) == ["hero/shot.mp4"]


# Places, as they are checked before anything is paid


@pytest.mark.parametrize(
    ("options", "host", "link"),
    [
        ({}, "oss-cn-hangzhou.aliyuncs.com", "results.oss-cn-hangzhou.aliyuncs.com"),
        ({"endpoint": "internal"}, "oss-cn-hangzhou-internal.aliyuncs.com", "results.oss-cn-hangzhou.aliyuncs.com"),
        ({"endpoint": "accelerate"}, "oss-accelerate.aliyuncs.com", "results.oss-accelerate.aliyuncs.com"),
        ({"endpoint": "https://oss.cloud.example"}, "oss.cloud.example", "results.oss.cloud.example"),
        ({"endpoint": "https://media.example.com", "custom_domain": True}, "media.example.com", "media.example.com"),
    ],
    ids=["public", "internal", "accelerate", "another", "own domain"],
)
def test_an_endpoint_leads_to_the_bucket(tmp_path: Path, options: dict[str, Any], host: str, link: str) -> None:
    """A link goes where those who get it can go."""
    sink = sink_ref(tmp_path, region=REGION, bucket=BUCKET, **options)
    with OssClient(place_of(sink, a_job(tmp_path)), AccessKey("id", "secret", None, "here"), DELIVERY) as client:
        assert client.place.host == host
        parts = urlsplit(client.link(1))

    assert (parts.scheme, parts.netloc, parts.path) == ("https", link, "/hero/shot.mp4")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"key": "a.mov"}, "a.mov: the key of a result ends with .mp4"),
        ({"key": "/a.mp4"}, "/a.mp4: write a key's parts between single slashes"),
        ({"key": "a/../b.mp4"}, "a/../b.mp4: write a key's parts between single slashes"),
        ({"key": "a\x1bb.mp4"}, "a?b.mp4: a key has no backslashes or control characters"),
        ({"key": "ü" * 600 + ".mp4"}, "a key has at most 1023 bytes"),
        ({"endpoint": "http://oss-cn-hangzhou.aliyuncs.com"}, "an endpoint is https; plain http is for this machine"),
        ({"endpoint": "https://user:pass@host"}, "host: an endpoint has a host and no user, path or query"),
        ({"endpoint": "https://host/bucket"}, "an endpoint has a host and no user, path or query"),
        ({"endpoint": "https://ho st"}, "not an endpoint; write it like https://oss-cn-hangzhou.aliyuncs.com"),
        ({"custom_domain": True}, "custom_domain needs that domain as its endpoint"),
        ({"metadata": {"wanrun-task": "x"}}, "names that start with wanrun- are wanrun's own"),
        ({"access_key_id": Secret("x")}, "access_key_id needs access_key_secret beside it"),
        ({"security_token": Secret("x")}, "security_token needs the access_key_id and access_key_secret"),
        (
            {"access_key_id": Secret("x"), "access_key_secret": Secret("y"), "profile": "z"},
            "give access_key_id and access_key_secret, or a profile, not both",
        ),
        (
            {"access_key_id": Secret("x"), "access_key_secret": Secret("y"), "link_hours": 1},
            "for link_hours give the key by OSS_ACCESS_KEY_ID",
        ),
    ],
)
def test_options_that_lead_nowhere_are_refused(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    """At `validate`, without network or key."""
    sink = sink_ref(tmp_path, region=REGION, bucket=BUCKET, **options)

    with pytest.raises(SinkError) as caught:
        OssSink().place(sink, a_job(tmp_path))

    assert message in str(caught.value)


def test_a_note_says_no_secret(tmp_path: Path) -> None:
    """Only what is needed to go on."""
    note = Note(tmp_path, "oss://results/a.mp4")

    note.write(Noted("0" * 64, PART, "1" * 64, begun_at=1.0, upload=None))

    path = next(tmp_path.glob(".oss-*.json"))
    assert set(json.loads(path.read_text())) == {
        "sha256",
        "part_bytes",
        "terms",
        "begun_at",
        "upload",
    }
    assert path.stat().st_mode & 0o777 == 0o600
