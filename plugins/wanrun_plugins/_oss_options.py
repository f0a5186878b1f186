"""The options of the kinds `oss`, as JSON Schema: how to get to a bucket, and with whose key."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wanrun.types import JSON

BUCKET_OPTIONS: dict[str, JSON] = {
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
}

SINK_OPTIONS: dict[str, JSON] = {
    "key": {
        "type": "string",
        "minLength": 1,
        "description": "The object's name; without it the spec's name, a slash, the job's id and .mp4.",
        "examples": ["edits/${{ spec.name }}/${{ job.id }}.mp4"],
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
        "wanrun status JOB --links shows it, and nothing else does.",
        "examples": [24],
    },
}

SOURCE_OPTIONS: dict[str, JSON] = {
    "key": {
        "type": "string",
        "minLength": 1,
        "description": "The object's name. Other bytes under the same name are the same input: give them another name, "
        "or the version.",
        "examples": ["clips/street.mp4"],
    },
    "version": {
        "type": "string",
        "minLength": 1,
        "description": "Which version of the object, if the bucket keeps several.",
        "examples": ["CAEQNhiBgMDJgZCA0BYiIDc4MGZj"],
    },
}

STAGING_OPTIONS: dict[str, JSON] = {
    "prefix": {
        "type": "string",
        "minLength": 1,
        "pattern": "^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*/$",
        "default": "wanrun-staging/",
        "description": "How the keys begin; behind it stands the digest of the bytes.",
        "examples": ["wanrun-staging/"],
    },
}

LEDGER_OPTIONS: dict[str, JSON] = {
    "prefix": {
        "type": "string",
        "minLength": 1,
        "pattern": "^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*/$",
        "default": "wanrun-ledger/",
        "description": "How the keys begin; each ledger has a prefix of its own.",
        "examples": ["wanrun-ledger/"],
    },
}

KEY_OPTIONS: dict[str, JSON] = {
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
}
