"""Source `oss`: the service reads an object by a link, signed when the job is submitted, that outlives its queue."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from wanrun import Identity, MediaUrl, SinkError, SourceError
from wanrun_plugins._oss_keys import check_key_options, check_lasting, key_of
from wanrun_plugins._oss_options import BUCKET_OPTIONS, KEY_OPTIONS, SOURCE_OPTIONS
from wanrun_plugins._oss_places import object_of
from wanrun_plugins._oss_staging import LINK_HOURS, all_staged, staged, unstaged

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from wanrun import DeliverContext, MediaRef, PrepareContext, StagedFile, Staging
    from wanrun.types import JSON

OPTIONS: dict[str, JSON] = {
    "type": "object",
    "required": ["region", "bucket", "key"],
    "additionalProperties": False,
    "properties": BUCKET_OPTIONS
    | SOURCE_OPTIONS
    | {name: schema for name, schema in KEY_OPTIONS.items() if name != "security_token"},
}


class OssSource:
    """An object of OSS; its bytes are not read here."""

    def locate(self, ref: MediaRef) -> None:
        """Check the options; there is no local file."""
        self.identify(ref)

    def identify(self, ref: MediaRef) -> Identity:
        """Return bucket, key and version: the object, however one gets to it."""
        with _as_source_errors():
            check_key_options(ref.options)
            place = object_of(ref.options)
        return Identity(f"oss:{place.bucket}/{place.key}" + (f"@{place.version}" if place.version else ""))

    def check(self, options: Mapping[str, JSON]) -> None:
        """Raise `SourceError` where no key is to be found, or none that lasts, for links or for `[staging.oss]`."""
        with _as_source_errors():
            check_lasting(key_of(options, os.environ))

    async def prepare(self, ref: MediaRef, ctx: PrepareContext) -> MediaUrl:
        """Return a signed link to the object, once OSS says that it is there."""
        return await ctx.to_thread(_signed, ref)

    async def stage(self, file: Staging, ctx: DeliverContext) -> MediaUrl:
        """Put a local file into the operator's own bucket, once for each content, and return a signed link to it."""
        return await ctx.to_thread(staged, file)

    async def staged(self, options: Mapping[str, JSON], ctx: DeliverContext) -> list[StagedFile]:
        """Return the objects that `stage` has made, by their names."""
        return await ctx.to_thread(all_staged, options)

    async def unstage(self, file: StagedFile, options: Mapping[str, JSON], ctx: DeliverContext) -> bool:
        """Remove one of them, unless it is in use again."""
        return await ctx.to_thread(unstaged, file, options)


def _signed(ref: MediaRef) -> MediaUrl:
    from wanrun_plugins._oss_client import OssClient  # here, since it loads the SDK
    from wanrun_plugins._oss_refusals import READING, Refused

    with _as_source_errors():
        key = key_of(ref.options, os.environ)
        check_lasting(key)
        with OssClient(object_of(ref.options), key, READING) as client:
            try:
                found = client.look()
            except Refused as exc:
                if exc.status and exc.status < 500:
                    raise
            else:  # where OSS does not answer us, it may still answer the service
                if found is None:
                    raise SinkError(f"{client.place}: there is no such object; nothing was paid for this job")
            return MediaUrl(client.link(LINK_HOURS), time.time() + LINK_HOURS * 3600)


@contextmanager
def _as_source_errors() -> Iterator[None]:
    """Let what is wrong with a place or a key be said of a source, too."""
    try:
        yield
    except SinkError as exc:
        raise SourceError(str(exc)) from exc
