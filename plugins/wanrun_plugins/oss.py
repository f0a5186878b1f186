"""Sink `oss`: a result becomes an object of Alibaba Cloud OSS, with metadata that says what it is; source and ledger
store `oss` besides.

The official SDK sends it, in threads, signed with version 4 and checked with CRC64; it is imported by the first
delivery. `_oss_places` says where an object goes, `_oss_keys` with whose key, `_oss_upload` how; `_oss_ledger` is all
of the ledger store.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING

from wanrun import LedgerStoreKind, SinkKind, SourceKind, hookimpl
from wanrun.errors import MissingExtra
from wanrun_plugins._oss_keys import check_key_options, key_of
from wanrun_plugins._oss_ledger import OPTIONS as LEDGER_STORE
from wanrun_plugins._oss_ledger import OssLedgerStore
from wanrun_plugins._oss_options import BUCKET_OPTIONS, KEY_OPTIONS, SINK_OPTIONS
from wanrun_plugins._oss_places import own_metadata, place_of
from wanrun_plugins._oss_source import OPTIONS as SOURCE
from wanrun_plugins._oss_source import OssSource
from wanrun_plugins._oss_staging import OPTIONS as STAGING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wanrun import DeliverContext, Delivery, Job, Receipt, SinkRef
    from wanrun.types import JSON
    from wanrun_plugins._oss_upload import Upload

SDK = "alibabacloud_oss_v2"
SECONDS = 3600.0  #: for one file of some hundred megabytes on a slow line

SINK: dict[str, JSON] = {
    "type": "object",
    "required": ["region", "bucket"],
    "additionalProperties": False,
    "properties": BUCKET_OPTIONS | SINK_OPTIONS | KEY_OPTIONS,
}


class OssSink:
    """Keeps artifacts in a bucket."""

    def place(self, sink: SinkRef, job: Job) -> str:
        """Return `oss://bucket/key`; raises `SinkError` for options that lead nowhere or contradict each other."""
        check_key_options(sink.options)
        own_metadata(sink.options)
        return str(place_of(sink, job))

    def check(self, options: Mapping[str, JSON]) -> None:
        """Raise `SinkError` where no key is to be found, or none that can sign the links that are asked for."""
        key_of(options, os.environ)

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
    from wanrun_plugins._oss_refusals import DELIVERY
    from wanrun_plugins._oss_upload import Upload

    key = key_of(delivery.sink.options, os.environ)
    return Upload(OssClient(place_of(delivery.sink, delivery.job), key, DELIVERY), delivery)


def _sink() -> OssSink:
    _require_sdk("the sink oss sends")
    return OssSink()


def _source() -> OssSource:
    _require_sdk("the source oss signs links")
    return OssSource()


def _ledger_store(options: Mapping[str, JSON]) -> OssLedgerStore:
    _require_sdk("the ledger store oss is reached")
    return OssLedgerStore(options)


def _require_sdk(purpose: str) -> None:
    if find_spec(SDK) is None:
        raise MissingExtra(f"{purpose} with Alibaba Cloud's SDK", extra="oss")


@hookimpl
def wanrun_sources() -> dict[str, SourceKind]:
    """Offer `oss`."""
    return {"oss": SourceKind(options=SOURCE, build=_source, staging=STAGING, seconds=SECONDS, remote=True)}


@hookimpl
def wanrun_sinks() -> dict[str, SinkKind]:
    """Offer `oss`."""
    return {"oss": SinkKind(options=SINK, build=_sink, seconds=SECONDS)}


@hookimpl
def wanrun_ledger_stores() -> dict[str, LedgerStoreKind]:
    """Offer `oss`."""
    return {"oss": LedgerStoreKind(options=LEDGER_STORE, build=_ledger_store)}
