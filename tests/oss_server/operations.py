"""What each operation does; no signature is looked at here, and nothing is sent."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from typing import TYPE_CHECKING
from urllib.parse import quote
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from oss_server.refusals import Refusal, absent, bad, exists
from oss_server.storage import Content, Object, Upload, keep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from oss_server.storage import Bucket

SMALLEST_PART_BYTES = 100 * 1024  #: of all parts but the last one
MOST_PARTS = 10_000
MOST_LISTED, USUALLY_LISTED = 1000, 100  #: objects in one answer
STORAGE_CLASSES = ("Standard", "IA", "Archive", "ColdArchive", "DeepColdArchive")

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass(frozen=True)
class Request:
    """One request, signed well, to one bucket."""

    bucket: Bucket
    bucket_name: str
    key: str
    query: Mapping[str, str]
    headers: Mapping[str, str]  #: names in lower case
    body: Iterable[bytes]
    now: float
    folder: Path  #: where bytes go


@dataclass(frozen=True)
class Answer:
    """What is answered; the body is bytes, or a stretch of a content."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    content: tuple[Content, int, int] | None = None


def operation_of(method: str, key: str, query: Mapping[str, str]) -> str:
    """Return the name of the operation that is asked for."""
    if not key:
        names = {("GET", "uploads"): "ListMultipartUploads", ("GET", "list-type"): "ListObjectsV2"}
    elif "uploadId" in query:
        names = {
            ("PUT", "partNumber"): "UploadPart",
            ("GET", "uploadId"): "ListParts",
            ("POST", "uploadId"): "CompleteMultipartUpload",
            ("DELETE", "uploadId"): "AbortMultipartUpload",
        }
    elif "uploads" in query:
        names = {("POST", "uploads"): "InitiateMultipartUpload"}
    elif "objectMeta" in query:
        names = {("HEAD", "objectMeta"): "GetObjectMeta"}
    else:
        plain = {"PUT": "PutObject", "GET": "GetObject", "HEAD": "HeadObject", "DELETE": "DeleteObject"}
        names = {(method, ""): plain.get(method, "")}
    for (asked, marker), name in names.items():
        if asked == method and name and (not marker or marker in query):
            return name
    raise Refusal(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")


def perform(operation: str, request: Request) -> Answer:
    """Do what is asked; raises `Refusal`."""
    return _OPERATIONS[operation](request)


# Objects


def _put(request: Request) -> Answer:
    headers = _kept(request.headers)
    _check_free(request)  # before the body, as well as by `_keep`: another one may have come first
    content = _taken(request)
    _keep(request, Object(content, content.etag, headers, request.now))
    return Answer(200, _checksums(content))


def _get(request: Request) -> Answer:
    found = _object(request)
    headers = _headers_of(found)
    span = _span(request.headers.get("range", ""), found.content.bytes)
    if span is None:
        return Answer(200, headers, content=(found.content, 0, found.content.bytes))
    start, length = span
    headers["Content-Range"] = f"bytes {start}-{start + length - 1}/{found.content.bytes}"
    return Answer(206, headers, content=(found.content, start, length))


def _head(request: Request) -> Answer:
    found = _object(request)
    return Answer(200, _headers_of(found), content=(found.content, 0, found.content.bytes))


def _meta(request: Request) -> Answer:
    found = _object(request)
    kept = ("ETag", "Last-Modified", "x-oss-hash-crc64ecma")
    headers = {name: value for name, value in _headers_of(found).items() if name in kept}
    return Answer(200, headers, content=(found.content, 0, found.content.bytes))


def _delete(request: Request) -> Answer:
    request.bucket.objects.pop(request.key, None)
    return Answer(204)


def _object(request: Request) -> Object:
    found = request.bucket.objects.get(request.key)
    if found is None:
        raise absent("NoSuchKey", "The specified key does not exist.", Key=request.key)
    tag = request.headers.get("if-match")
    if tag is not None and tag.strip('"') != found.etag.strip('"'):
        raise Refusal(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold.")
    return found


def _headers_of(found: Object) -> dict[str, str]:
    return {
        "Content-Type": "application/octet-stream",
        "x-oss-storage-class": "Standard",
        **found.headers,
        "Accept-Ranges": "bytes",
        "ETag": found.etag,
        "Last-Modified": formatdate(found.made_at, usegmt=True),
        "x-oss-object-type": found.kind,
        "x-oss-hash-crc64ecma": str(found.content.crc64),
    }


def _span(asked: str, size: int) -> tuple[int, int] | None:
    """Return start and length of a Range; None, which means the whole, for one that is absent or makes no sense."""
    found = _RANGE.fullmatch(asked.strip())
    if found is None or not any(found.groups()):
        return None
    first, last = found.groups()
    if not first:
        length = int(last)
        return (size - length, length) if 0 < length <= size else None
    start, end = int(first), int(last) if last else size - 1
    return (start, end - start + 1) if start <= end < size else None


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that an object keeps; raises `Refusal` for one that no object may have."""
    storage = headers.get("x-oss-storage-class", "Standard")
    if storage not in STORAGE_CLASSES:
        raise bad("The storage class is not valid.", code="InvalidStorageClass")
    kept = {name: value for name, value in headers.items() if name.startswith("x-oss-meta-")}
    if sum(len(name) + len(value) for name, value in kept.items()) > 8 * 1024:
        raise bad("Your metadata headers exceed the maximum allowed metadata size.", code="MetadataTooLarge")
    return {"Content-Type": headers.get("content-type", "application/octet-stream"), "x-oss-storage-class": storage} | (
        kept
    )


def _check_free(request: Request) -> None:
    if _may_not_overwrite(request) and request.key in request.bucket.objects:
        raise exists()


def _keep(request: Request, made: Object) -> None:
    """Put an object into its place; of two at once that may not overwrite, one is refused."""
    if not _may_not_overwrite(request):
        request.bucket.objects[request.key] = made
    elif request.bucket.objects.setdefault(request.key, made) is not made:
        raise exists()


def _may_not_overwrite(request: Request) -> bool:
    return request.headers.get("x-oss-forbid-overwrite") == "true"


def _taken(request: Request) -> Content:
    """Return the body, kept; raises `Refusal` when it is not what its Content-MD5 says."""
    content = keep(request.body, request.folder)
    said = request.headers.get("content-md5")
    if said is not None and said != content.content_md5:
        content.path.unlink()
        raise bad("The Content-MD5 you specified did not match what we received.", code="InvalidDigest")
    return content


def _checksums(content: Content) -> dict[str, str]:
    return {
        "ETag": content.etag,
        "Content-MD5": content.content_md5,
        "x-oss-hash-crc64ecma": str(content.crc64),
    }


def _list(request: Request) -> Answer:
    query = request.query
    if query["list-type"] != "2" or query.get("delimiter"):
        raise Refusal(501, "NotImplemented", "A header you provided implies functionality that is not implemented.")
    most = _number(request, "max-keys", USUALLY_LISTED)
    if not 1 <= most <= MOST_LISTED:
        raise bad("Argument max-keys must be an integer between 1 and 1000.")
    prefix, token = query.get("prefix", ""), query.get("continuation-token", "")
    after = max(query.get("start-after", ""), _key_of(token))
    objects = dict(request.bucket.objects)  # as it is now; others may go on with it
    found = sorted(key for key in objects if key.startswith(prefix) and key > after)
    page, rest = found[:most], found[most:]
    facts = {
        "Name": request.bucket_name,
        "Prefix": _encoded(request, prefix),
        "StartAfter": _encoded(request, query.get("start-after", "")),
        "MaxKeys": str(most),
        "IsTruncated": "true" if rest else "false",
        "KeyCount": str(len(page)),
    }
    facts |= {"ContinuationToken": token} if token else {}
    facts |= {"NextContinuationToken": _encoded(request, _token(page[-1]))} if rest else {}
    contents = [_element("Contents", _listed(request, key, objects[key])) for key in page]
    return _xml("ListBucketResult", facts | _encoding(request), contents)


def _listed(request: Request, key: str, found: Object) -> dict[str, str]:
    return {
        "Key": _encoded(request, key),
        "LastModified": _iso(found.made_at),
        "ETag": found.etag,
        "Type": found.kind,
        "Size": str(found.content.bytes),
        "StorageClass": found.headers.get("x-oss-storage-class", "Standard"),
    }


def _token(key: str) -> str:
    """Return what a list goes on with after a key; no key itself, so that nobody can take one for the other."""
    return base64.b64encode(b"after:" + key.encode()).decode()


def _key_of(token: str) -> str:
    """Return the key that a token stands for; raises `Refusal` for what is none."""
    try:
        start, _, key = base64.b64decode(token, validate=True).decode().partition("after:")
    except (binascii.Error, UnicodeDecodeError):
        start, key = "?", ""
    if start or (token and not key):
        raise bad("The continuation token provided is incorrect.")
    return key


# Multipart uploads


def _initiate(request: Request) -> Answer:
    headers = _kept(request.headers)
    _check_free(request)
    upload = Upload(request.key, headers, request.now)
    request.bucket.uploads[upload.id] = upload
    facts = {"Bucket": request.bucket_name, "Key": _encoded(request, request.key), "UploadId": upload.id}
    return _xml("InitiateMultipartUploadResult", facts | _encoding(request))


def _upload_part(request: Request) -> Answer:
    upload, number = _upload(request), request.query["partNumber"]
    if not number.isdigit() or not 1 <= int(number) <= MOST_PARTS:
        raise bad("Part number must be an integer between 1 and 10000, inclusive.")
    content = _taken(request)
    upload = _upload(request)  # it may have ended meanwhile
    upload.parts[int(number)] = content
    return Answer(200, _checksums(content))


def _list_parts(request: Request) -> Answer:
    upload = _upload(request)
    after, most = _number(request, "part-number-marker", 0), _number(request, "max-parts", 1000)
    numbers = sorted(number for number in upload.parts if number > after)
    page, rest = numbers[:most], numbers[most:]
    facts = {
        "Bucket": request.bucket_name,
        "Key": _encoded(request, upload.key),
        "UploadId": upload.id,
        "StorageClass": upload.headers["x-oss-storage-class"],
        "PartNumberMarker": str(after),
        "NextPartNumberMarker": str(page[-1] if page else after),
        "MaxParts": str(most),
        "IsTruncated": "true" if rest else "false",
    }
    parts = [_element("Part", _part(number, upload.parts[number], request.now)) for number in page]
    return _xml("ListPartsResult", facts | _encoding(request), parts)


def _part(number: int, content: Content, now: float) -> dict[str, str]:
    return {
        "PartNumber": str(number),
        "LastModified": _iso(now),
        "ETag": content.etag,
        "HashCrc64ecma": str(content.crc64),
        "Size": str(content.bytes),
    }


def _complete(request: Request) -> Answer:
    upload = _upload(request)
    parts = _named_parts(b"".join(request.body), upload)
    _check_free(request)
    content = keep((chunk for part in parts for chunk in part.chunks()), request.folder)
    etag = f'"{content.md5.hex().upper()}-{len(parts)}"'
    _keep(request, Object(content, etag, upload.headers, request.now, "Multipart"))
    _drop(request, upload)
    facts = {
        "Location": f"http://{request.headers.get('host', '')}/{quote(request.key)}",
        "Bucket": request.bucket_name,
        "Key": _encoded(request, request.key),
        "ETag": etag,
    }
    answer = _xml("CompleteMultipartUploadResult", facts | _encoding(request))
    return Answer(200, {**answer.headers, "ETag": etag, "x-oss-hash-crc64ecma": str(content.crc64)}, answer.body)


def _named_parts(body: bytes, upload: Upload) -> list[Content]:
    try:
        root = ElementTree.fromstring(body)  # noqa: S314  # a test sent it
        named = [(int(part.findtext("PartNumber", "")), part.findtext("ETag", "")) for part in root.iter("Part")]
    except (ElementTree.ParseError, ValueError):
        raise bad("The XML you provided was not well-formed.", code="MalformedXML") from None
    numbers = [number for number, _ in named]
    if not named:
        raise bad("The XML you provided names no part.", code="MalformedXML")
    if numbers != sorted(set(numbers)):
        raise bad("The list of parts was not in ascending order.", code="InvalidPartOrder")
    for number, etag in named:
        if number not in upload.parts or upload.parts[number].etag.strip('"') != etag.strip('"'):
            raise bad("One or more of the specified parts could not be found.", code="InvalidPart")
    parts = [upload.parts[number] for number in numbers]
    if any(part.bytes < SMALLEST_PART_BYTES for part in parts[:-1]):
        raise bad("Your proposed upload smaller than the minimum allowed size.", code="EntityTooSmall")
    return parts


def _abort(request: Request) -> Answer:
    _drop(request, _upload(request))
    return Answer(204)


def _list_uploads(request: Request) -> Answer:
    prefix, most = request.query.get("prefix", ""), _number(request, "max-uploads", 1000)
    marker = (request.query.get("key-marker", ""), request.query.get("upload-id-marker", ""))
    found = sorted((upload.key, upload.id) for upload in request.bucket.uploads.values())
    found = [each for each in found if each[0].startswith(prefix) and (each > marker if marker[1] else True)]
    page, rest = found[:most], found[most:]
    last = page[-1] if page else ("", "")
    facts = {
        "Bucket": request.bucket_name,
        "Prefix": _encoded(request, prefix),
        "NextKeyMarker": _encoded(request, last[0]),
        "NextUploadIdMarker": last[1],
        "MaxUploads": str(most),
        "IsTruncated": "true" if rest else "false",
    }
    uploads = []
    for key, id_ in page:
        begun = _iso(request.bucket.uploads[id_].begun_at)
        named = {"Key": _encoded(request, key), "UploadId": id_, "Initiated": begun, "StorageClass": "Standard"}
        uploads.append(_element("Upload", named))
    return _xml("ListMultipartUploadsResult", facts | _encoding(request), uploads)


def _upload(request: Request) -> Upload:
    upload = request.bucket.uploads.get(request.query["uploadId"])
    if upload is None or upload.key != request.key:
        raise absent(
            "NoSuchUpload",
            "The specified upload does not exist. The upload ID may be invalid, or the upload may have been "
            "aborted or completed.",
            UploadId=request.query["uploadId"],
        )
    return upload


def _drop(request: Request, upload: Upload) -> None:
    del request.bucket.uploads[upload.id]
    for part in upload.parts.values():
        part.path.unlink(missing_ok=True)


def _number(request: Request, name: str, default: int) -> int:
    value = request.query.get(name) or str(default)
    if not value.isdigit():
        raise bad(f"Argument {name} must be an integer.")
    return int(value)


# XML


def _encoded(request: Request, text: str) -> str:
    return quote(text, safe="") if request.query.get("encoding-type") == "url" else text


def _encoding(request: Request) -> dict[str, str]:
    return {"EncodingType": "url"} if request.query.get("encoding-type") == "url" else {}


def _element(name: str, facts: Mapping[str, str]) -> str:
    return f"<{name}>" + "".join(f"<{key}>{escape(value)}</{key}>" for key, value in facts.items()) + f"</{name}>"


def _xml(name: str, facts: Mapping[str, str], inner: Iterable[str] = ()) -> Answer:
    start = _element(name, facts).removesuffix(f"</{name}>")
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n{start}{"".join(inner)}</{name}>\n'
    return Answer(200, {"Content-Type": "application/xml"}, body.encode())


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


_OPERATIONS: dict[str, Callable[[Request], Answer]] = {
    "PutObject": _put,
    "GetObject": _get,
    "HeadObject": _head,
    "GetObjectMeta": _meta,
    "DeleteObject": _delete,
    "ListObjectsV2": _list,
    "InitiateMultipartUpload": _initiate,
    "UploadPart": _upload_part,
    "ListParts": _list_parts,
    "CompleteMultipartUpload": _complete,
    "AbortMultipartUpload": _abort,
    "ListMultipartUploads": _list_uploads,
}
