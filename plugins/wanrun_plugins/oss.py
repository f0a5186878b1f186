"""Sink `oss`: a result becomes an object of Alibaba Cloud OSS, whole or not at all, with metadata that says what it is.

The official SDK sends it, in threads, signed with version 4 and checked with CRC64; it is imported by the first
delivery. `_oss_places` says where an object goes, `_oss_keys` with whose key, `_oss_upload` how.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING

from wanrun import SinkKind, hookimpl
from wanrun.errors import MissingExtra
from wanrun_plugins._oss_keys import check_key_options, key_of
from wanrun_plugins._oss_places import own_metadata, place_of

if TYPE_CHECKING:
    from wanrun import DeliverContext, Delivery, Job, Receipt, SinkRef
    from wanrun.types import JSON
    from wanrun_plugins._oss_upload import Upload

SDK = "alibabacloud_oss_v2"

OPTIONS: dict[str, JSON] = {
    "type": "object",
    "required": ["region", "bucket"],
    "additionalProperties": False,
    "properties": {
        "region": {
            "type": "string",
            "pattern": "^(?!oss-)[a-z0-9]+(-[a-z0-9]+)+$",
            "description": "The region of the bucket, without the oss- of its endpoint.",
            "examples": ["cn-hangzhou"],
        },
        "bucket": {
            "type": "string",
            "pattern": "^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$",
            "description": "The bucket, which has to be there.",
            "examples": ["my-results"],
        },
        "key": {
            "type": "string",
            "minLength": 1,
            "description": "The object's name; without it the spec's name, a slash, the job's id and .mp4.",
            "examples": ["edits/${{ spec.name }}/${{ job.id }}.mp4"],
        },
        "endpoint": {
            "type": "string",
            "anyOf": [
                {"enum": ["internal", "accelerate"]},
                {"pattern": "^https?://", "examples": ["https://oss-cn-hangzhou.aliyuncs.com"]},
            ],
            "description": "How to get there: internal from machines of the same region, accelerate from far away, or "
            "an https:// URL; without it the region's public endpoint.",
            "examples": ["internal"],
        },
        "custom_domain": {
            "type": "boolean",
            "default": False,
            "description": "The endpoint is a domain of your own that is bound to the bucket.",
        },
        "storage_class": {
            "enum": ["Standard", "IA", "Archive", "ColdArchive", "DeepColdArchive"],
            "description": "What the object costs and how fast it can be read; without it the bucket's own.",
            "examples": ["IA"],
        },
        "metadata": {
            "type": "object",
            "propertyNames": {"pattern": "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", "examples": ["project"]},
            "additionalProperties": {"type": "string"},
            "description": "More metadata of the object; that wanrun adds starts with wanrun-: address, task, "
            "fingerprint, sha256, crc64.",
            "examples": [{"project": "spring"}],
        },
        "link_hours": {
            "type": "integer",
            "minimum": 1,
            "maximum": 168,
            "description": "Sign a link to the object that lives so long, and keep it with the receipt in the ledger; "
            "it is printed and logged nowhere.",
            "examples": [24],
        },
        "access_key_id": {
            "type": "string",
            "minLength": 1,
            "writeOnly": True,
            "description": "The access key; without it OSS_ACCESS_KEY_ID of the environment, else a profile.",
            "examples": ["${{ secret.RESULTS_KEY_ID }}"],
        },
        "access_key_secret": {
            "type": "string",
            "minLength": 1,
            "writeOnly": True,
            "description": "Its secret; OSS_ACCESS_KEY_SECRET of the environment.",
            "examples": ["${{ secret.RESULTS_KEY_SECRET }}"],
        },
        "security_token": {
            "type": "string",
            "minLength": 1,
            "writeOnly": True,
            "description": "The token of a temporary key (STS); OSS_SESSION_TOKEN of the environment.",
            "examples": ["${{ secret.RESULTS_TOKEN }}"],
        },
        "profile": {
            "type": "string",
            "minLength": 1,
            "description": "The profile in the file of credentials, which is ~/.alibabacloud/credentials.ini or the "
            "one that ALIBABA_CLOUD_CREDENTIALS_FILE names.",
            "default": "default",
            "examples": ["results"],
        },
    },
}


class OssSink:
    """Keeps artifacts in a bucket."""

    def place(self, sink: SinkRef, job: Job) -> str:
        """Return `oss://bucket/key`; raises `SinkError` for options that lead nowhere or contradict each other."""
        check_key_options(sink.options)
        own_metadata(sink.options)
        return str(place_of(sink, job))

    async def deliver(self, delivery: Delivery, ctx: DeliverContext) -> Receipt:
        """Send the object, unless it is there already; it appears in one step, and a part is sent once."""
        upload = await ctx.to_thread(_upload, delivery)
        try:
            for number in await ctx.to_thread(upload.begin):
                await ctx.to_thread(upload.send, number)  # one by one, so that a run can end between two of them
            return await ctx.to_thread(upload.finish)
        finally:
            upload.close()


def _upload(delivery: Delivery) -> Upload:
    from wanrun_plugins._oss_client import OssClient  # here, since it loads the SDK
    from wanrun_plugins._oss_upload import Upload

    key = key_of(delivery.sink.options, os.environ)
    return Upload(OssClient(place_of(delivery.sink, delivery.job), key), delivery)


def _build() -> OssSink:
    if find_spec(SDK) is None:
        raise MissingExtra("the sink oss sends with Alibaba Cloud's SDK", extra="oss")
    return OssSink()


@hookimpl
def wanrun_sinks() -> dict[str, SinkKind]:
    """Offer `oss`."""
    return {"oss": SinkKind(options=OPTIONS, build=_build)}
