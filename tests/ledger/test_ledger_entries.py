"""Entries, deliveries and uploads: what is taken over, what lapses, what is used again."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ledger_parts import ARTIFACT, JOB, WAYS, Book, enter, in_flight, intend

from wanrun.errors import LedgerError
from wanrun.ledger import AttemptState, DeliveryRow, Ledger
from wanrun.ledger.rows import latest
from wanrun.types import MediaUrl, Receipt

HOUR = 3600.0


def row(
    entry: int, place: str = "out/one.mp4", *, sha256: str = ARTIFACT.sha256, state: str = "delivered"
) -> DeliveryRow:
    """Return what became of an artifact at one place."""
    return DeliveryRow(entry, sha256, f"digest of {place}", "disk", place, state, None)


def deliver(ledger: Ledger, delivery: DeliveryRow) -> None:
    """Record a receipt."""
    ledger.delivered(delivery, Receipt(delivery.place, 1000, delivery.artifact_sha256, {"etag": "x"}))


def test_a_job_has_one_entry_for_each_fingerprint(book: Book) -> None:
    """Entering it again finds the entry; another fingerprint makes another one, which is the latest."""
    with book.open() as ledger:
        first, again, changed = enter(ledger), enter(ledger), enter(ledger, mark="1:bb")

        assert first == again != changed
        assert latest(ledger.entries())["spring/one"].fingerprint == "1:bb"


def test_the_latest_entry_is_the_one_that_was_asked_for_last(book: Book) -> None:
    """Somebody changed a prompt and changed it back: the first version is the job again."""
    with book.open() as ledger:
        first = enter(ledger)
        book.at += 1
        enter(ledger, mark="1:bb")
        book.at += 1
        ledger.wanted(first)

        assert latest(ledger.entries())["spring/one"].id == first


def test_an_entry_follows_its_spec_and_provider(book: Book) -> None:
    """Where the spec lies now and which account it names are brought up to date."""
    with book.open() as ledger:
        enter(ledger)
        entry = ledger.enter(replace(JOB, provider="lab"), fingerprint="1:aa", spec_path="moved/spring.yaml")

        assert (ledger.entry(entry).spec_path, ledger.entry(entry).provider) == ("moved/spring.yaml", "lab")


def test_a_job_that_could_not_be_prepared_may_be_entered_again(book: Book) -> None:
    """Its reason is kept until then."""
    with book.open() as ledger:
        entry = enter(ledger)
        ledger.unprepared(entry, "no such file")
        assert ledger.entry(entry).unprepared == "no such file"

        enter(ledger)
        assert ledger.entry(entry).unprepared is None


def test_a_moved_entry_keeps_all_that_was_paid_for(book: Book) -> None:
    """Attempt and deliveries go along; where it came from is kept."""
    with book.open() as ledger:
        entry = enter(ledger)
        WAYS[AttemptState.FETCHED](ledger, entry)
        deliver(ledger, row(entry))
        before = ledger.entry(entry)

        ledger.move(entry, address="summer/one", spec_path="summer.yaml")

        after = ledger.entry(entry)
        assert (after.address, after.moved_from, after.spec_path) == ("summer/one", "spring/one", "summer.yaml")
        assert (after.attempt, after.deliveries) == (before.attempt, before.deliveries)


def test_an_entry_never_takes_the_place_of_one_that_may_be_paid(book: Book) -> None:
    """Two entries of one address and fingerprint would be two answers to one question."""
    with book.open() as ledger:
        in_flight(ledger, enter(ledger))
        other = enter(ledger, "two")

        with pytest.raises(LedgerError):
            ledger.move(other, address="spring/one", spec_path="spring.yaml")


def test_an_entry_that_was_never_submitted_gives_way(book: Book) -> None:
    """Nothing was paid for it, so the one that was takes its place."""
    with book.open() as ledger:
        ledger.withdrawn(intend(ledger, enter(ledger)), "throttled")
        other = enter(ledger, "two")
        in_flight(ledger, other)

        ledger.move(other, address="spring/one", spec_path="spring.yaml")

        assert [entry.id for entry in ledger.entries()] == [other]


def test_a_receipt_is_found_by_destination_and_artifact(book: Book) -> None:
    """One for another artifact does not count."""
    with book.open() as ledger:
        entry = enter(ledger)
        WAYS[AttemptState.FETCHED](ledger, entry)
        deliver(ledger, row(entry, sha256="cd" * 32))
        assert ledger.entry(entry).delivery("digest of out/one.mp4") is None

        deliver(ledger, row(entry))
        found = ledger.entry(entry).delivery("digest of out/one.mp4")
        assert found is not None
        assert found.state == "delivered"


def test_a_delivery_lapses_when_another_artifact_takes_its_place(book: Book) -> None:
    """Only at that place; elsewhere the older one is still delivered."""
    with book.open() as ledger:
        old, new = enter(ledger), enter(ledger, mark="1:bb")
        deliver(ledger, row(old))
        deliver(ledger, row(old, "copy/one.mp4"))

        deliver(ledger, row(new, sha256="cd" * 32))

        assert {each.place: each.state for each in ledger.entry(old).deliveries} == {
            "out/one.mp4": "lapsed",
            "copy/one.mp4": "delivered",
        }
        assert [each.state for each in ledger.entry(new).deliveries] == ["delivered"]


def test_delivering_again_replaces_what_failed(book: Book) -> None:
    """One row for each destination, with the latest word."""
    with book.open() as ledger:
        entry = enter(ledger)
        ledger.undelivered(row(entry, state="failed"))
        ledger.undelivered(row(entry, state="conflict"))
        assert [each.state for each in ledger.entry(entry).deliveries] == ["conflict"]

        deliver(ledger, row(entry))
        assert [each.state for each in ledger.entry(entry).deliveries] == ["delivered"]


def test_what_an_address_delivered_to_a_place_it_may_replace(book: Book) -> None:
    """Not what another address did, nor what never arrived."""
    with book.open() as ledger:
        mine, other = enter(ledger), enter(ledger, "two")
        deliver(ledger, row(mine, sha256="aa"))
        deliver(ledger, row(other, "out/two.mp4", sha256="bb"))
        ledger.undelivered(row(mine, "out/two.mp4", sha256="aa", state="conflict"))

        assert ledger.delivered_to("out/one.mp4", address="spring/one") == {"aa"}
        assert ledger.delivered_to("out/two.mp4", address="spring/one") == frozenset()


def test_an_upload_is_used_while_enough_of_its_life_is_left(book: Book) -> None:
    """More than 12 h of its 48, for the same bytes, provider and model."""
    media = MediaUrl("oss://dashscope-instant/x.mp4", expires_at=book.at + 48 * HOUR)
    known = {"provider": "default", "model": "wan2.7-videoedit"}
    with book.open() as ledger:
        ledger.uploaded("sha256:aa", **known, media=media)

        assert ledger.upload("sha256:aa", **known) == media
        assert ledger.upload("sha256:bb", **known) is None
        assert ledger.upload("sha256:aa", **known | {"provider": "lab"}) is None
        assert ledger.upload("sha256:aa", **known | {"model": "other"}) is None
        book.at += 35 * HOUR
        assert ledger.upload("sha256:aa", **known) == media
        book.at += 2 * HOUR
        assert ledger.upload("sha256:aa", **known) is None


def test_a_newer_upload_takes_the_place_of_the_old(book: Book) -> None:
    """There is one for each content."""
    known = {"provider": "default", "model": "wan2.7-videoedit"}
    with book.open() as ledger:
        for number in (1, 2):
            ledger.uploaded("sha256:aa", **known, media=MediaUrl(f"oss://{number}", book.at + 48 * HOUR))

        found = ledger.upload("sha256:aa", **known)

    assert found is not None
    assert found.url == "oss://2"
