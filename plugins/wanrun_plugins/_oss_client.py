"""The calls to OSS that a delivery makes, by the official SDK; every failure becomes an error that says what to do.

All of it blocks. Imported by the first delivery only, since the SDK takes its time to load.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, replace
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, BinaryIO, Self

import alibabacloud_oss_v2 as sdk
import fastcrc
import requests
from alibabacloud_oss_v2 import exceptions
from alibabacloud_oss_v2.retry import StandardRetryer
from alibabacloud_oss_v2.transport import RequestsHttpClient
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies

from wanrun_plugins._oss_refusals import Refused, refusal_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from wanrun_plugins._oss_keys import AccessKey
    from wanrun_plugins._oss_places import Place
    from wanrun_plugins._oss_refusals import Errand

CONNECT_SECONDS = 10
READ_SECONDS = 60  #: of silence on a connection
CHUNK_BYTES = 1024 * 1024
PAGE_OBJECTS = 1000  #: of a list, as many as OSS gives at once
TRIES = 2  #: of each call; the engine tries deliveries again, too
SHA256 = "wanrun-sha256"
CRC64 = "wanrun-crc64"

_ABSENT = ("NoSuchKey", "SymlinkTargetNotExist")  # what a HEAD says of an object that is not there


@dataclass(frozen=True, slots=True)
class Found:
    """The object that is at a place."""

    bytes: int
    crc64: int | None
    at: float  #: when it was put there, in epoch seconds
    seen_at: float  #: when OSS said so, by the same clock; 0 where it did not tell
    sha256: str | None  #: as our own metadata says it, if that is about these very bytes


@dataclass(frozen=True, slots=True)
class Listed:
    """An object as a list names it."""

    key: str
    bytes: int
    at: float  #: when it was put there, in epoch seconds


@dataclass(frozen=True, slots=True)
class Terms:
    """What an object is to be besides its bytes."""

    storage_class: str | None
    metadata: Mapping[str, str]
    forbid_overwrite: bool
    content_type: str = "video/mp4"


@dataclass(frozen=True, slots=True)
class Part:
    """A part that OSS has of an upload."""

    bytes: int
    crc64: int | None
    etag: str


@dataclass(frozen=True, slots=True)
class Kept:
    """What OSS answers about an object that it has taken."""

    crc64: int | None
    version_id: str | None = None


class OssClient:
    """Calls about one object, and those whose keys begin with its own; a context manager."""

    def __init__(self, place: Place, key: AccessKey, errand: Errand) -> None:
        self.place = place
        self._key, self._errand = key, errand
        self._session = _session(place)
        self._client = sdk.Client(_config(place, key, self._session))
        self._where = {"bucket": place.bucket, "key": place.key}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._session.close()

    def another(self, key: str) -> OssClient:
        """Return a client of another object in the bucket, which shares the connections of this one."""
        other = copy(self)
        other.place, other._where = replace(self.place, key=key), {"bucket": self.place.bucket, "key": key}
        return other

    def below(self) -> list[Listed]:
        """Return the objects whose keys begin with that of the place, in the order of their keys."""
        found: list[Listed] = []
        with self._explained("list the objects"):
            for page in self._client.list_objects_v2_paginator(limit=PAGE_OBJECTS).iter_page(
                sdk.ListObjectsV2Request(bucket=self.place.bucket, prefix=self.place.key)
            ):
                found += [
                    Listed(str(each.key), int(each.size), each.last_modified.timestamp())
                    for each in page.contents or ()
                ]
        return found

    def look(self) -> Found | None:
        """Return what is at the place, or None."""
        try:
            with self._explained("look at the object"):
                head = self._client.head_object(sdk.HeadObjectRequest(**self._where, version_id=self.place.version))
        except Refused as exc:
            if exc.code in _ABSENT or (exc.status == 404 and exc.code != "NoSuchBucket"):
                return None
            raise
        crc64, meta = _number(head.hash_crc64), head.metadata or {}
        is_about_it = crc64 is not None and meta.get(CRC64) == str(crc64)
        at = head.last_modified.timestamp() if head.last_modified else 0.0
        sha256 = meta.get(SHA256) if is_about_it else None
        return Found(int(head.content_length), crc64, at, _seconds(head.headers.get("Date")), sha256)

    def read(self) -> bytes:
        """Return what the object holds; raises `Refused` also when what arrives is not what OSS has."""
        with self._explained("read the object"):
            found = self._client.get_object(sdk.GetObjectRequest(**self._where, version_id=self.place.version))
            with found.body as body:
                data = b"".join(body.iter_bytes(block_size=CHUNK_BYTES))
            crc64 = fastcrc.crc64.xz(data)
            if found.hash_crc64 and crc64 != _number(found.hash_crc64):
                raise exceptions.InconsistentError(client_crc=str(crc64), server_crc=found.hash_crc64)
            return data

    def put(self, data: bytes | BinaryIO, terms: Terms) -> Kept:
        """Send an object in one piece; a file is read as it is sent."""
        with self._explained("send the object"):
            request = sdk.PutObjectRequest(**self._where, body=data, **_asked(terms))
            answer = self._client.put_object(request)
        return Kept(_number(answer.hash_crc64), answer.version_id)

    def remove(self) -> None:
        """Remove the object; one that is gone is as good."""
        with self._explained("remove the object"):
            self._client.delete_object(sdk.DeleteObjectRequest(**self._where))

    def begin(self, terms: Terms) -> str:
        """Begin an upload in parts, and return its id."""
        with self._explained("begin an upload"):
            request = sdk.InitiateMultipartUploadRequest(**self._where, **_asked(terms))
            return _given(self._client.initiate_multipart_upload(request).upload_id)

    def send(self, upload: str, number: int, data: bytes) -> str:
        """Send one part, and return its ETag."""
        with self._explained("send a part"):
            request = sdk.UploadPartRequest(**self._where, upload_id=upload, part_number=number, body=data)
            return _given(self._client.upload_part(request).etag)

    def parts(self, upload: str) -> dict[int, Part]:
        """Return the parts that OSS has of an upload, by their numbers."""
        found: dict[int, Part] = {}
        with self._explained("list an upload's parts"):
            for page in self._client.list_parts_paginator().iter_page(
                sdk.ListPartsRequest(**self._where, upload_id=upload)
            ):
                for part in page.parts or ():
                    found[int(part.part_number)] = Part(int(part.size), _number(part.hash_crc64), str(part.etag))
        return found

    def complete(self, upload: str, etags: Mapping[int, str], *, forbid_overwrite: bool) -> Kept:
        """Make the object out of its parts."""
        parts = [sdk.UploadPart(part_number=number, etag=etag) for number, etag in sorted(etags.items())]
        with self._explained("complete the upload"):
            answer = self._client.complete_multipart_upload(
                sdk.CompleteMultipartUploadRequest(
                    **self._where,
                    upload_id=upload,
                    complete_multipart_upload=sdk.CompleteMultipartUpload(parts=parts),
                    forbid_overwrite=forbid_overwrite or None,
                )
            )
        return Kept(_number(answer.hash_crc64), answer.version_id)

    def abort(self, upload: str) -> None:
        """Give an upload up, so that its parts cost nothing; one that is gone is as good."""
        try:
            with self._explained("give an upload up"):
                self._client.abort_multipart_upload(sdk.AbortMultipartUploadRequest(**self._where, upload_id=upload))
        except Refused as exc:
            if exc.code != "NoSuchUpload":
                raise

    def begun_since(self, at: float) -> list[str]:
        """Return the uploads of this very object that were begun at a time, in epoch seconds, or later."""
        found: list[str] = []
        with self._explained("list uploads"):
            for page in self._client.list_multipart_uploads_paginator().iter_page(
                sdk.ListMultipartUploadsRequest(bucket=self.place.bucket, prefix=self.place.key)
            ):
                found += [
                    str(each.upload_id)
                    for each in page.uploads or ()
                    if each.key == self.place.key and each.initiated.timestamp() >= at
                ]
        return found

    def link(self, hours: int) -> str:
        """Return a signed link to the object; nothing is sent for it."""
        with self._explained("sign a link"):
            signer = sdk.Client(_config(self.place.for_links, self._key, self._session))
            request = sdk.GetObjectRequest(**self._where, version_id=self.place.version)
            return str(signer.presign(request, expires=timedelta(hours=hours)).url)

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        try:
            yield
        except Exception as exc:  # the boundary to the SDK, which lets errors of the libraries below it through
            about = self.place, self._key, self._errand
            raise refusal_of(exc, what, *about) from None  # the SDK's own words hold whole requests


def _config(place: Place, key: AccessKey, session: requests.Session) -> Any:
    url = place.endpoint if place.endpoint not in (None, "internal", "accelerate") else None
    return sdk.Config(
        region=place.region,
        endpoint=url,
        use_internal_endpoint=place.endpoint == "internal",
        use_accelerate_endpoint=place.endpoint == "accelerate",
        use_cname=place.custom_domain,
        use_path_style=place.is_local,
        signature_version="v4",
        credentials_provider=sdk.credentials.StaticCredentialsProvider(key.id, key.secret, key.token),
        retryer=StandardRetryer(max_attempts=TRIES),
        http_client=RequestsHttpClient(
            session=session, connect_timeout=CONNECT_SECONDS, readwrite_timeout=READ_SECONDS
        ),
        user_agent="wanrun",
    )


def _session(place: Place) -> requests.Session:
    """Return a session that reads no `.netrc`, which would put another key in place of the signature."""
    session = requests.Session()
    session.trust_env = False
    if not place.is_local:
        session.proxies.update(get_environ_proxies(f"https://{place.bucket}.{place.host}/"))
    session.mount("https://", _Trusting())
    return session


class _Trusting(HTTPAdapter):  # type: ignore[misc]  # it comes without types
    """Checks certificates as the rest of wanrun does: `SSL_CERT_FILE` names other authorities."""

    def send(self, request: Any, *args: Any, verify: Any = True, **kwargs: Any) -> Any:
        return super().send(request, *args, verify=os.environ.get("SSL_CERT_FILE") or verify, **kwargs)


def _asked(terms: Terms) -> dict[str, Any]:
    return {
        "content_type": terms.content_type,
        "storage_class": terms.storage_class,
        "metadata": dict(terms.metadata),
        "forbid_overwrite": terms.forbid_overwrite or None,
    }


def _given(text: str | None) -> str:
    if not text:
        raise ValueError("the answer lacks what it is for")
    return str(text)


def _seconds(date: str | None) -> float:
    """Return the epoch seconds of a header, 0 for one that is none."""
    try:
        return parsedate_to_datetime(date or "").timestamp()
    except ValueError:
        return 0.0


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else None
