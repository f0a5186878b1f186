"""A plugin that treats its secrets as badly as it can; the tests install it, and look for what became of them."""

from __future__ import annotations

import base64
import json
import logging
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from wanrun import Identity, MediaUrl, Receipt, SinkConflict, SinkError, SinkKind, SourceError, SourceKind, hookimpl

if TYPE_CHECKING:
    from pathlib import Path

    from wanrun import DeliverContext, Delivery, Event, Job, MediaRef, Notice, NotifyContext, PrepareContext, SinkRef

TEXT = {"type": "string", "description": "A text."}
SECRET = {**TEXT, "writeOnly": True}

log = logging.getLogger("leaky")


def options(**properties: Any) -> Any:
    """Return the schema of a mapping of options."""
    return {"type": "object", "additionalProperties": False, "properties": properties}


def spelt(secret: str) -> str:
    """Return a secret in all the ways in which libraries put one into their words."""
    basic = base64.b64encode(f"user:{secret}".encode()).decode()
    return " ".join([secret, basic, quote(secret), quote(secret, safe=""), json.dumps(secret), repr(secret)])


def tell(secret: str) -> None:
    """Log a secret: by default, to a file, and with a traceback."""
    if not log.handlers:
        log.addHandler(logging.FileHandler("plugin.log"))
        log.addHandler(logging.StreamHandler())
    log.warning("posting to %s", spelt(secret))
    try:
        raise OSError(spelt(secret))
    except OSError:
        log.exception("it was refused")


class Safe:
    """A source that opens with a secret."""

    def locate(self, ref: MediaRef) -> Path | None:
        """Name no file."""
        return None

    def identify(self, ref: MediaRef) -> Identity:
        """Return what the spec says, secret included, which tells nothing here."""
        return Identity(f"url:{dict(ref.options)}")

    async def prepare(self, ref: MediaRef, ctx: PrepareContext) -> MediaUrl:
        """Fail with the secret, by the id that the spec gives."""
        pin = ref.options["pin"].reveal()  # type: ignore[union-attr]  # it is a secret by its schema
        tell(pin)
        if ref.options["id"] == "source-raises":
            raise SourceError(f"cannot open with {spelt(pin)}")
        if ref.options["id"] == "source-breaks":
            raise ValueError(spelt(pin))
        if ref.options["id"] == "source-speaks":
            raise SourceError(pin.splitlines()[1])
        return MediaUrl("https://example.com/clip.mp4")


class Leaky:
    """A sink that posts to a secret address."""

    def place(self, sink: SinkRef, job: Job) -> str:
        """Return what the spec says, secret included, which tells nothing here."""
        return f"leaky:{dict(sink.options)}"

    async def deliver(self, delivery: Delivery, ctx: DeliverContext) -> Receipt:
        """Fail with the secret, by the job's id."""
        hook = delivery.sink.options["hook"].reveal()  # type: ignore[union-attr]  # it is a secret by its schema
        tell(hook)
        match delivery.job.id:
            case "raises":
                raise SinkError(f"POST {spelt(hook)} was refused")
            case "conflicts":
                raise SinkConflict(f"{spelt(hook)} holds something else")
            case "breaks":
                raise ValueError(spelt(hook))
            case "exits":
                raise SystemExit(hook)
            case "groups":
                raise ExceptionGroup(hook, [SinkError(spelt(hook)), ValueError(hook)])
        artifact = delivery.artifact
        details = {"spelt": spelt(hook), "hook": delivery.sink.options["hook"]}
        return Receipt(f"posted to {spelt(hook)}", artifact.bytes, artifact.sha256, details)


class Blabber:
    """A notifier that tells its secret instead of the news."""

    async def notify(self, notice: Notice, ctx: NotifyContext) -> None:
        """Fail with the secret."""
        hook = notice.sink.options["hook"].reveal()  # type: ignore[union-attr]  # it is a secret by its schema
        tell(f"{hook} {notice}")
        raise ValueError(f"{notice} to {spelt(hook)}")


def note(event: Event) -> None:
    """Write every event down."""
    with open("observed.jsonl", "a", encoding="utf-8") as file:  # noqa: PTH123  # as plugins do
        file.write(f"{event}\n{json.dumps(event.to_json())}\n")


@hookimpl
def wanrun_sources() -> dict[str, SourceKind]:
    """Offer `safe`."""
    return {"safe": SourceKind(options=options(id=TEXT, pin=SECRET), build=Safe)}


@hookimpl
def wanrun_sinks() -> dict[str, SinkKind]:
    """Offer `leaky` and `blabber`."""
    taking = options(id=TEXT, hook=SECRET)
    return {"leaky": SinkKind(options=taking, build=Leaky), "blabber": SinkKind(options=taking, build=Blabber)}


@hookimpl
def wanrun_observers() -> list[Any]:
    """Offer one."""
    return [note]
