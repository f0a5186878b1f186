"""The permission to upload: who may put what where for how long, as the service's upload policy says."""

from __future__ import annotations

from dataclasses import dataclass, field

from wanrun.client.endpoint import stays_private, web_url
from wanrun.client.fields import Unreadable, mapping, number

_DEFAULT_LIFE_SECONDS = 60.0  #: of a policy that does not say; 300 is usual


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadPolicy:
    """A permission to put files into the service's temporary store for one model, for a few minutes."""

    fetched_at: float  #: epoch seconds, before it was asked for
    expires_in_seconds: float
    upload_host: str
    upload_dir: str
    max_file_bytes: int | None
    policy: str = field(repr=False)
    signature: str = field(repr=False)
    access_key_id: str = field(repr=False)
    object_acl: str
    forbid_overwrite: str

    @property
    def expires_at(self) -> float:
        """Epoch seconds from which a new policy is needed."""
        return self.fetched_at + self.expires_in_seconds


def parse_policy(body: object, *, fetched_at: float) -> UploadPolicy:
    """Read an upload policy; `Unreadable` when a field that the upload needs is missing or its host is no https one."""
    data = mapping(mapping(body).get("data"))
    megabytes = number(data.get("max_file_size_mb"))
    return UploadPolicy(
        fetched_at=fetched_at,
        expires_in_seconds=number(data.get("expire_in_seconds")) or _DEFAULT_LIFE_SECONDS,
        upload_host=_upload_host(_needed(data.get("upload_host"), "upload_host")),
        upload_dir=_needed(data.get("upload_dir"), "upload_dir").strip("/"),
        max_file_bytes=None if megabytes is None else int(megabytes * 1024 * 1024),
        policy=_needed(data.get("policy"), "policy"),
        signature=_needed(data.get("signature"), "signature"),
        access_key_id=_needed(data.get("oss_access_key_id"), "oss_access_key_id"),
        object_acl=_needed(data.get("x_oss_object_acl"), "x_oss_object_acl"),
        forbid_overwrite=_needed(data.get("x_oss_forbid_overwrite"), "x_oss_forbid_overwrite"),
    )


def _needed(value: object, name: str) -> str:
    if isinstance(value, bool):
        value = str(value).lower()
    if not isinstance(value, str) or not value.isprintable() or not value.strip("/ "):
        raise Unreadable(f"its {name} is missing or odd")
    return value


def _upload_host(said: str) -> str:
    url = web_url(said)
    if url is None or url.userinfo or not stays_private(url):
        raise Unreadable("its upload_host is no https URL")
    return said
