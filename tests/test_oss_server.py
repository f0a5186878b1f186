"""Whether the strict object storage of the tests is what it stands for: both official SDKs are its judges.

Each test is told twice, by `alibabacloud-oss-v2` and by `oss2` with signatures of version 4.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import http.client
import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit, urlunsplit

import alibabacloud_oss_v2 as oss
import fastcrc
import oss2
import pytest
import requests
from alibabacloud_oss_v2.transport import RequestsHttpClient
from oss2.models import PartInfo

from oss_server import Fault, Key, OssServer
from oss_server.server import BUCKET, DOMAIN, KEY, REGION

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # oss2 is of 2024
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # its sessions are closed when they are collected
]

ODD_KEY = "a b/ü+%25&=?#/été.mp4"
PART_BYTES = 128 * 1024


class Judge(Protocol):
    """What a test asks an SDK to do; errors come as `(status, code)`."""

    def put(self, key: str, data: bytes, **headers: str) -> None: ...
    def head(self, key: str) -> dict[str, str]: ...
    def get(self, key: str, span: str | None = None) -> bytes: ...
    def delete(self, key: str) -> None: ...
    def listed(self, prefix: str, most: int, after: str = "") -> list[tuple[str, int, float]]: ...
    def link(self, key: str, seconds: int) -> str: ...
    def multipart(self, key: str, parts: list[bytes], **headers: str) -> str: ...
    def error(self, act: Any, *args: Any, **kwargs: Any) -> tuple[int, str]: ...
    def resumable(self, key: str, path: Path, folder: Path) -> None: ...


class OfToday:
    """The judge `alibabacloud-oss-v2`."""

    def __init__(self, server: OssServer, key: Key = KEY, *, endpoint: str = "", **config: Any) -> None:
        self.session = requests.Session()
        self.session.trust_env = False
        self.client = oss.Client(
            oss.Config(
                region=config.pop("region", REGION),
                endpoint=endpoint or server.url,
                credentials_provider=oss.credentials.StaticCredentialsProvider(key.id, key.secret, key.token),
                retry_max_attempts=1,
                http_client=RequestsHttpClient(session=self.session),
                **config,
            )
        )

    def put(self, key: str, data: bytes, **headers: str) -> None:
        self.client.put_object(oss.PutObjectRequest(bucket=BUCKET, key=key, body=data, headers=_named(headers)))

    def head(self, key: str) -> dict[str, str]:
        return dict(self.client.head_object(oss.HeadObjectRequest(bucket=BUCKET, key=key)).headers)

    def get(self, key: str, span: str | None = None) -> bytes:
        found = self.client.get_object(oss.GetObjectRequest(bucket=BUCKET, key=key, range_header=span))
        with found.body as body:
            return bytes(body.read())

    def delete(self, key: str) -> None:
        self.client.delete_object(oss.DeleteObjectRequest(bucket=BUCKET, key=key))

    def listed(self, prefix: str, most: int, after: str = "") -> list[tuple[str, int, float]]:
        asked = oss.ListObjectsV2Request(bucket=BUCKET, prefix=prefix, max_keys=most, start_after=after or None)
        pages = self.client.list_objects_v2_paginator().iter_page(asked)
        found = [each for page in pages for each in page.contents or ()]
        return [(each.key, each.size, each.last_modified.timestamp()) for each in found]

    def link(self, key: str, seconds: int) -> str:
        life = datetime.timedelta(seconds=seconds)
        return str(self.client.presign(oss.GetObjectRequest(bucket=BUCKET, key=key), expires=life).url)

    def multipart(self, key: str, parts: list[bytes], **headers: str) -> str:
        named = _named(headers)
        where = {"bucket": BUCKET, "key": key}
        begun = self.client.initiate_multipart_upload(oss.InitiateMultipartUploadRequest(**where, headers=named))
        for number, part in enumerate(parts, 1):
            request = oss.UploadPartRequest(**where, upload_id=begun.upload_id, part_number=number, body=part)
            self.client.upload_part(request)
        listed = self.client.list_parts(oss.ListPartsRequest(**where, upload_id=begun.upload_id))
        done = [oss.UploadPart(part_number=part.part_number, etag=part.etag) for part in listed.parts]
        named.pop("Content-Type", None)
        ended = self.client.complete_multipart_upload(
            oss.CompleteMultipartUploadRequest(
                **where,
                upload_id=begun.upload_id,
                complete_multipart_upload=oss.CompleteMultipartUpload(parts=done),
                headers=named,
            )
        )
        return str(ended.hash_crc64)

    def abort(self, key: str) -> None:
        for upload in self.client.list_multipart_uploads(oss.ListMultipartUploadsRequest(bucket=BUCKET)).uploads:
            assert upload.key == key
            asked = oss.AbortMultipartUploadRequest(bucket=BUCKET, key=key, upload_id=upload.upload_id)
            self.client.abort_multipart_upload(asked)

    def resumable(self, key: str, path: Path, folder: Path) -> None:
        uploader = self.client.uploader(part_size=PART_BYTES, enable_checkpoint=True, checkpoint_dir=str(folder))
        try:
            uploader.upload_file(oss.PutObjectRequest(bucket=BUCKET, key=key), str(path), parallel_num=1)
        except oss.UploadError as exc:
            raise exc.unwrap() from exc

    def error(self, act: Any, *args: Any, **kwargs: Any) -> tuple[int, str]:
        with pytest.raises(oss.exceptions.OperationError) as caught:
            act(*args, **kwargs)
        said = caught.value.unwrap()
        assert isinstance(said, oss.exceptions.ServiceError), said
        return said.status_code, said.code


class OfYesterday:
    """The judge `oss2`."""

    def __init__(self, server: OssServer, key: Key = KEY, *, endpoint: str = "", **config: Any) -> None:
        session = oss2.Session()
        session.session.trust_env = False
        credentials = oss2.credentials.StaticCredentialsProvider(key.id, key.secret, key.token)
        self.bucket = oss2.Bucket(
            oss2.ProviderAuthV4(credentials),
            endpoint or server.url,
            BUCKET,
            session=session,
            region=config.get("region", REGION),
            is_path_style=not endpoint,
        )

    def put(self, key: str, data: bytes, **headers: str) -> None:
        self.bucket.put_object(key, data, headers=_named(headers))

    def head(self, key: str) -> dict[str, str]:
        return dict(self.bucket.head_object(key).headers)

    def get(self, key: str, span: str | None = None) -> bytes:
        return bytes(self.bucket.get_object(key, headers={"Range": span} if span else None).read())

    def delete(self, key: str) -> None:
        self.bucket.delete_object(key)

    def listed(self, prefix: str, most: int, after: str = "") -> list[tuple[str, int, float]]:
        found = oss2.ObjectIteratorV2(self.bucket, prefix, start_after=after, max_keys=most, max_retries=1)
        return [(each.key, each.size, float(each.last_modified)) for each in found]

    def link(self, key: str, seconds: int) -> str:
        return str(self.bucket.sign_url("GET", key, seconds, slash_safe=True))

    def multipart(self, key: str, parts: list[bytes], **headers: str) -> str:
        named = _named(headers)
        begun = self.bucket.init_multipart_upload(key, headers=named).upload_id
        for number, part in enumerate(parts, 1):
            self.bucket.upload_part(key, begun, number, part)
        done = [PartInfo(part.part_number, part.etag) for part in self.bucket.list_parts(key, begun).parts]
        named.pop("Content-Type", None)
        return str(self.bucket.complete_multipart_upload(key, begun, done, headers=named).crc)

    def abort(self, key: str) -> None:
        for upload in self.bucket.list_multipart_uploads().upload_list:
            assert upload.key == key
            self.bucket.abort_multipart_upload(key, upload.upload_id)

    def resumable(self, key: str, path: Path, folder: Path) -> None:
        oss2.resumable_upload(
            self.bucket,
            key,
            str(path),
            store=oss2.ResumableStore(root=str(folder)),
            multipart_threshold=PART_BYTES,
            part_size=PART_BYTES,
            num_threads=1,
        )

    def error(self, act: Any, *args: Any, **kwargs: Any) -> tuple[int, str]:
        with pytest.raises(oss2.exceptions.ServerError) as caught:
            act(*args, **kwargs)
        return caught.value.status, caught.value.code or _code_of_head(caught.value)


def _code_of_head(error: Any) -> str:
    xml = base64.b64decode(error.headers["x-oss-err"]).decode()
    return xml.partition("<Code>")[2].partition("</Code>")[0]


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[OssServer]:
    with OssServer(tmp_path / "oss") as running:
        yield running


@pytest.fixture(params=[OfToday, OfYesterday], ids=["v2", "oss2"])
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def judge(server: OssServer, kind: Any) -> Any:
    return kind(server)


@pytest.mark.parametrize("key", ["plain.mp4", ODD_KEY], ids=["plain", "odd"])
def test_an_object_is_put_looked_at_read_and_deleted(server: OssServer, judge: Judge, key: str) -> None:
    """With its metadata, its storage class and its checksums, whatever its key looks like."""
    data = b"some bytes " * 100
    judge.put(key, data, x_oss_meta_address="hero/shot", x_oss_storage_class="IA", Content_Type="video/mp4")

    headers = judge.head(key)
    assert headers["x-oss-meta-address"] == "hero/shot"
    assert (headers["x-oss-storage-class"], headers["Content-Type"]) == ("IA", "video/mp4")
    assert headers["x-oss-hash-crc64ecma"] == str(fastcrc.crc64.xz(data))
    assert headers["Content-Length"] == str(len(data))
    assert judge.get(key) == data
    assert list(server.objects) == [key]
    judge.delete(key)
    assert not server.objects
    assert judge.error(judge.get, key) == (404, "NoSuchKey")
    assert judge.error(judge.head, key) == (404, "NoSuchKey")


def test_a_range_is_served_and_one_that_makes_no_sense_gives_the_whole(judge: Judge) -> None:
    """As OSS does it, with 200."""
    judge.put("a", b"0123456789")

    assert judge.get("a", "bytes=2-4") == b"234"
    assert judge.get("a", "bytes=7-") == b"789"
    assert judge.get("a", "bytes=-2") == b"89"
    assert judge.get("a", "bytes=5-100") == b"0123456789"


def test_nothing_is_overwritten_that_may_not_be(server: OssServer, judge: Judge) -> None:
    """Neither by a put nor by a multipart upload, at its beginning or at its end."""
    judge.put("a", b"first", x_oss_forbid_overwrite="true")

    refused = (409, "FileAlreadyExists")
    assert judge.error(judge.put, "a", b"second", x_oss_forbid_overwrite="true") == refused
    assert judge.error(judge.multipart, "a", [b"second"], x_oss_forbid_overwrite="true") == refused
    assert server.objects["a"].read() == b"first"
    judge.put("a", b"third")
    assert server.objects["a"].read() == b"third"


def test_of_two_puts_at_once_one_is_refused(server: OssServer, judge: Judge) -> None:
    """Also when neither was there as the other began."""
    both = threading.Barrier(2)
    server.faults.append(Fault("PutObject", "slow", times=2, seconds=0.05))

    def at_once(data: bytes) -> str:
        both.wait()
        try:
            judge.put("a", data, x_oss_forbid_overwrite="true")
        except (oss.exceptions.OperationError, oss2.exceptions.ServerError):
            return "refused"
        return data.decode()

    with ThreadPoolExecutor(2) as pool:
        told = sorted(pool.map(at_once, [b"first", b"second"]))

    assert told == sorted([server.objects["a"].read().decode(), "refused"])


@pytest.mark.parametrize("most", [1, 2, 100], ids=lambda most: f"{most}-a-page")
def test_objects_are_listed_by_their_prefix_in_order(server: OssServer, judge: Judge, most: int) -> None:
    """Page by page, whatever their keys look like, with size and time; a list can begin behind a key."""
    keys = ["p/1", "p/2", "p/a b", f"p/{ODD_KEY}", "p/z/1"]
    server.now = lambda: now
    now = float(int(time.time()))
    for size, key in enumerate(["other", *reversed(keys), "q"], 1):
        judge.put(key, b"." * size)

    assert [key for key, _, _ in judge.listed("p/", most)] == sorted(keys)
    assert judge.listed("p/1", most) == [("p/1", 6, now)]
    assert [key for key, _, _ in judge.listed("p/", most, "p/2")] == sorted(keys)[2:]
    assert judge.listed("nothing/", most) == []
    if most == 1:
        assert len(server.done("ListObjectsV2")) == len(keys) + 1 + len(keys) - 2 + 1


def test_a_list_of_too_many_at_once_is_refused(judge: Judge) -> None:
    """A page has at most a thousand."""
    assert judge.error(judge.listed, "", 1001) == (400, "InvalidArgument")


def test_parts_become_one_object(server: OssServer, judge: Judge) -> None:
    """In their order, with the checksum of the whole; what is complete is no upload any more."""
    parts = [bytes([number]) * PART_BYTES for number in range(3)] + [b"the end"]

    crc64 = judge.multipart(ODD_KEY, parts, x_oss_meta_task="task-1", Content_Type="video/mp4")

    whole = b"".join(parts)
    assert server.objects[ODD_KEY].read() == whole
    assert crc64 == str(fastcrc.crc64.xz(whole))
    assert judge.head(ODD_KEY)["x-oss-meta-task"] == "task-1"
    assert server.uploads == []


def test_small_parts_are_refused_and_the_upload_can_be_aborted(server: OssServer, judge: Any) -> None:
    """Only the last part may be smaller than 100 KB."""
    assert judge.error(judge.multipart, "a b", [b"small", b"smaller"]) == (400, "EntityTooSmall")
    assert server.uploads == ["a b"]

    judge.abort("a b")

    assert server.uploads == []
    assert not server.objects


def test_an_upload_that_broke_off_goes_on(server: OssServer, judge: Any, tmp_path: Path) -> None:
    """By the SDK's own checkpoint: no part is sent again."""
    path = tmp_path / "film.mp4"
    path.write_bytes(bytes(range(256)) * (5 * PART_BYTES // 256))
    server.faults.append(Fault("UploadPart", "refuse", at=3, times=1))

    assert judge.error(judge.resumable, "film.mp4", path, tmp_path) == (503, "ServiceUnavailable")
    judge.resumable("film.mp4", path, tmp_path)

    assert server.objects["film.mp4"].read() == path.read_bytes()
    assert [call.query["partNumber"] for call in server.done("UploadPart")] == ["1", "2", "3", "4", "5"]
    assert server.uploads == []


def test_a_signed_link_opens_one_object_for_a_time(server: OssServer, judge: Judge) -> None:
    """Without any header; altered, or too late, it opens nothing."""
    judge.put(ODD_KEY, b"some bytes")
    judge.put("other", b"other bytes")
    link = judge.link(ODD_KEY, 60)

    assert _read(link) == (200, b"some bytes")
    assert _read(re.sub("x-oss-expires=[0-9]+", "x-oss-expires=600", link))[0] == 403
    assert _read(link + "&more=1")[0] == 403
    parts = urlsplit(link)
    assert _read(urlunsplit(parts._replace(path=f"/{BUCKET}/other")))[0] == 403
    server.now = lambda: time.time() + 61
    assert _read(link)[0] == 403


def _read(link: str) -> tuple[int, bytes]:
    with requests.Session() as session:
        session.trust_env = False
        reply = session.get(link, timeout=10)
        return reply.status_code, reply.content


@pytest.mark.parametrize(
    ("key", "code"),
    [
        pytest.param(Key(KEY.id, "another"), "SignatureDoesNotMatch", id="wrong secret"),
        pytest.param(Key("LTAIofNobody", KEY.secret), "InvalidAccessKeyId", id="unknown key"),
        pytest.param(Key(KEY.id, KEY.secret, "a token"), "InvalidAccessKeyId", id="token of nobody"),
    ],
)
def test_who_cannot_sign_is_refused(server: OssServer, kind: Any, key: Key, code: str) -> None:
    """Also for HEAD, where the code comes in a header."""
    judge = kind(server, key)

    assert judge.error(judge.put, "a", b"bytes") == (403, code)
    assert judge.error(judge.head, "a") == (403, code)
    assert _read(judge.link("a", 60))[0] == 403
    assert not server.objects


def test_a_temporary_key_needs_its_token(server: OssServer, kind: Any) -> None:
    """With it, it may do all that a key may."""
    temporary = Key("STS.ofSomebody", "its-secret", "the token/+=")
    server.keys.append(temporary)

    judge = kind(server, temporary)
    judge.put("a", b"bytes")

    assert judge.get("a") == b"bytes"
    assert _read(judge.link("a", 60)) == (200, b"bytes")
    bare = kind(server, Key(temporary.id, temporary.secret))
    assert bare.error(bare.get, "a") == (403, "InvalidAccessKeyId")


@pytest.mark.parametrize("minutes", [-16, 16])
def test_a_clock_that_is_off_is_refused(server: OssServer, judge: Judge, minutes: int) -> None:
    """By more than 15 minutes in either direction."""
    server.now = lambda: time.time() + 60 * minutes

    assert judge.error(judge.put, "a", b"bytes") == (403, "RequestTimeTooSkewed")


def test_a_region_that_is_not_the_server_s_is_refused(server: OssServer, kind: Any) -> None:
    """What a signature is for is part of it."""
    judge = kind(server, region="cn-beijing")

    assert judge.error(judge.put, "a", b"bytes") == (400, "InvalidArgument")


def test_the_host_may_name_the_bucket(server: OssServer, kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it does at the real service."""
    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *a, **k: real("127.0.0.1" if str(host).endswith(DOMAIN) else host, *a, **k)
    )
    judge = kind(server, endpoint=f"http://{DOMAIN}:{server.port}")

    judge.put(ODD_KEY, b"bytes")

    assert judge.get(ODD_KEY) == b"bytes"
    assert server.calls[0].headers["host"] == f"{BUCKET}.{DOMAIN}:{server.port}"
    assert _read(judge.link(ODD_KEY, 60)) == (200, b"bytes")


# What no SDK would send: requests of theirs, altered on the way


@pytest.fixture
def signed(server: OssServer, judge: Judge) -> tuple[str, dict[str, str]]:
    """Path and headers of a put that a judge has signed, for somebody who wants to send another."""
    judge.put("a", b"bytes", Content_Type="video/mp4", x_oss_meta_task="task-1")
    call = server.calls.pop()
    server.objects.clear()
    return f"/{BUCKET}/a", dict(call.headers)


def _send(server: OssServer, path: str, headers: dict[str, str], body: bytes = b"bytes") -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request("PUT", path, body, {**headers, "content-length": str(len(body))})
        reply = connection.getresponse()
        return reply.status, reply.read().decode().partition("<Code>")[2].partition("</Code>")[0]
    finally:
        connection.close()


def test_the_same_request_is_taken_again(server: OssServer, signed: tuple[str, dict[str, str]]) -> None:
    """Which shows that what the next tests alter is what they are refused for."""
    assert _send(server, *signed) == (200, "")


@pytest.mark.parametrize(
    "altered",
    [
        {"x-oss-meta-task": "task-2"},
        {"content-type": "text/html"},
        {"x-oss-forbid-overwrite": "false"},
        {"content-md5": base64.b64encode(hashlib.md5(b"bytes").digest()).decode()},  # noqa: S324
    ],
    ids=lambda altered: next(iter(altered)),
)
def test_an_altered_header_is_refused(
    server: OssServer, signed: tuple[str, dict[str, str]], altered: dict[str, str]
) -> None:
    """Every one that is signed: changed, or one more."""
    path, headers = signed

    assert _send(server, path, headers | altered) == (403, "SignatureDoesNotMatch")
    assert not server.objects


@pytest.mark.parametrize("path", [f"/{BUCKET}/b", f"/{BUCKET}/a?more", f"/{BUCKET}/a?partNumber=1&uploadId=2"])
def test_an_altered_path_or_query_is_refused(server: OssServer, signed: tuple[str, dict[str, str]], path: str) -> None:
    """So is a signature put to another use."""
    assert _send(server, path, signed[1]) == (403, "SignatureDoesNotMatch")


def test_who_does_not_sign_is_refused(server: OssServer, signed: tuple[str, dict[str, str]]) -> None:
    """Without a signature, with one of version 1, and with one that lacks what it is for."""
    path, headers = signed
    without = {name: value for name, value in headers.items() if name != "authorization"}

    assert _send(server, path, without) == (403, "AccessDenied")
    assert _send(server, path, without | {"authorization": f"OSS {KEY.id}:c2lnbmF0dXJl"}) == (403, "AccessDenied")
    assert _send(server, path, {**headers, "x-oss-content-sha256": "0" * 64}) == (400, "InvalidArgument")


def test_bytes_that_are_not_those_of_their_md5_are_refused(server: OssServer, judge: Judge) -> None:
    """Nothing of them is kept."""
    wrong = base64.b64encode(hashlib.md5(b"others").digest()).decode()  # noqa: S324

    assert judge.error(judge.put, "a", b"bytes", Content_MD5=wrong) == (400, "InvalidDigest")
    assert not server.objects


def test_faults_happen_at_the_call_they_are_for(server: OssServer, judge: Any) -> None:
    """A refusal leaves nothing, a lost reply leaves the work done, a broken connection nothing."""
    server.faults += [
        Fault("PutObject", "refuse", at=1, headers={"Retry-After": "1"}),
        Fault("PutObject", "lose", at=2),
        Fault("PutObject", "cut", at=3),
    ]

    assert judge.error(judge.put, "a", b"bytes") == (503, "ServiceUnavailable")
    for key in ("lost", "cut"):
        with pytest.raises((oss.exceptions.OperationError, oss2.exceptions.RequestError)):
            judge.put(key, b"bytes")
    judge.put("d", b"bytes")

    assert list(server.objects) == ["lost", "d"]
    assert [call.status for call in server.calls] == [503, 0, 0, 200]
