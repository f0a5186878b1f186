"""The part of the ledger that is about bytes: what was delivered where, and what is uploaded and may be used again."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from wanrun.ledger.database import Database
from wanrun.redaction import redacted, redacted_json
from wanrun.types import Link, MediaUrl

if TYPE_CHECKING:
    from wanrun.ledger.rows import DeliveryRow
    from wanrun.types import JSON, Receipt

LINK, LINK_UNTIL = "link", "link_until"  #: of what is kept of a receipt
UPLOAD_SPARE_SECONDS = 12 * 3600  #: an upload with less of its 48 hours left is not used again


class Deliveries(Database):
    """Deliveries and uploads; `store.Ledger` adds the rest."""

    def _write(self, statement: str, **values: object) -> int:
        if isinstance(message := values.get("message"), str):  # a plugin's words, or a server's
            values["message"] = redacted(message)
        return super()._write(statement, **values)

    # Deliveries

    def delivered(self, row: DeliveryRow, receipt: Receipt) -> None:
        """Record a sink's receipt; what other artifact was delivered to that place before has lapsed."""
        with self.transaction():
            self._write(_LAPSE, **_key_of(row))
            self._deliver(row, json.dumps(redacted_json(facts_of(receipt))))

    def gives_way(self, row: DeliveryRow) -> None:
        """Record, before a sink may replace what is at a place, that its receipts hold no more.

        Otherwise a run that dies between the sink's work and its receipt would leave the old job done, with the new
        one's bytes in its place.
        """
        if self._read(_ARE_OTHERS_AT, **_key_of(row)):
            self._write(_LAPSE, **_key_of(row))

    def undelivered(self, row: DeliveryRow) -> None:
        """Record that a delivery failed or met other bytes."""
        self._deliver(row, None)

    def _deliver(self, row: DeliveryRow, receipt: str | None) -> None:
        self._write(
            "INSERT OR REPLACE INTO deliveries"
            " (entry, artifact_sha256, options_digest, sink, address, place, state, receipt, message, at)"
            " SELECT :entry, :artifact_sha256, :options_digest, :sink, address, :place, :state, :receipt, :message, :at"
            " FROM entries WHERE id = :entry",
            **asdict(row),
            receipt=receipt,
            at=self._now(),
        )

    def delivered_to(self, place: str, *, address: str) -> frozenset[str]:
        """Return the checksums that an address may replace at a place: what it has delivered there, now or before.

        What else was made for the address counts, too: a run may have died before its sink's receipt was recorded.
        """
        rows = self._read(_DELIVERED_TO, place=place, address=address)
        return frozenset(row["artifact_sha256"] for row in rows)

    def links(self) -> dict[tuple[int, str, str], Link]:
        """Return the links to what was delivered, by entry, checksum and digest of the destination's options.

        For a person who asks for them, and for nothing else.
        """
        return {(entry, sha256, digest): Link(url, until) for entry, sha256, digest, url, until in self._read(_LINKS)}

    # Uploads

    def upload(self, key: str, *, provider: str, model: str) -> MediaUrl | None:
        """Return an upload of these bytes with enough of its life left; None where there is none."""
        rows = self._read(
            "SELECT url, expires_at FROM uploads WHERE key = :key AND provider = :provider AND model = :model"
            " AND expires_at > :until",
            key=key,
            provider=provider,
            model=model,
            until=self._now() + UPLOAD_SPARE_SECONDS,
        )
        return MediaUrl(rows[0]["url"], rows[0]["expires_at"]) if rows else None

    def uploaded(self, key: str, *, provider: str, model: str, media: MediaUrl) -> None:
        """Record an upload, to be used by every job that names the same bytes."""
        self._write(
            "INSERT OR REPLACE INTO uploads (key, provider, model, url, expires_at)"
            " VALUES (:key, :provider, :model, :url, :expires_at)",
            key=key,
            provider=provider,
            model=model,
            url=media.url,
            expires_at=media.expires_at,
        )


def facts_of(receipt: Receipt) -> dict[str, JSON]:
    """Return what is kept of a receipt, as JSON; `LINK` and `LINK_UNTIL` of it go nowhere else.

    What JSON has no word for, such as NaN, is a text: SQLite has to find the link. Raises `TypeError` or `ValueError`
    for details that are no JSON at all.
    """
    details = json.loads(json.dumps({**receipt.details}), parse_constant=str)
    link = {} if receipt.link is None else {LINK: receipt.link.url, LINK_UNTIL: receipt.link.until}
    return {"bytes": receipt.bytes, **details, **link}


def _key_of(row: DeliveryRow) -> dict[str, object]:
    return {"place": row.place, "entry": row.entry, "sha256": row.artifact_sha256}


_DELIVERED_TO = (
    "SELECT artifact_sha256 FROM deliveries JOIN entries ON entries.id = deliveries.entry"
    " WHERE place = :place AND state IN ('delivered', 'lapsed') AND :address IN (deliveries.address, entries.address)"
    " UNION SELECT artifact_sha256 FROM attempts JOIN entries ON entries.id = attempts.entry"
    " WHERE artifact_sha256 IS NOT NULL AND :address IN (entries.address, entries.moved_from)"
)
_LINKS = (
    "SELECT entry, artifact_sha256, options_digest, json_extract(receipt, '$.link'),"
    " json_extract(receipt, '$.link_until') FROM deliveries"
    " WHERE state = 'delivered' AND json_type(receipt, '$.link') = 'text'"
)
_OTHERS_AT = "place = :place AND state = 'delivered' AND (entry <> :entry OR artifact_sha256 <> :sha256)"
_ARE_OTHERS_AT = f"SELECT 1 FROM deliveries WHERE {_OTHERS_AT}"  # noqa: S608  # constant
_LAPSE = f"UPDATE deliveries SET state = 'lapsed' WHERE {_OTHERS_AT}"  # noqa: S608  # constant
