"""What every source has to hold, as tests to inherit."""

from __future__ import annotations

from hashlib import file_digest
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from wanrun.errors import SourceError
from wanrun.guards import given
from wanrun.testing.bench import values_of
from wanrun.testing.cancelling import LEFTOVERS, awaits, cancel_at, finish
from wanrun.testing.kinds import KindConformance
from wanrun.testing.lent import INLINE_BYTES, Lent
from wanrun.testing.offline import offline
from wanrun.types import Problem

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from wanrun.hookspecs import Source, SourceKind
    from wanrun.testing.bench import Bench, Options
    from wanrun.types import Identity, MediaRef, MediaUrl

READABLE = ("http", "https", "oss", "data")  #: schemes of what the service reads
ASSET = "ark_asset_"  #: and ids of its own


class SourceConformance(KindConformance):
    """Inherit this, say `plugin` and `kind`, and override the fixtures `options` and `other_options`.

    Each test has a folder and a new source of its own; what `options` name must be there.
    """

    media: str = "video"  #: what a job takes the input as: `video` or `reference_image`

    @pytest.fixture
    def other_options(self) -> Options:
        """Return options that name another input."""
        raise NotImplementedError("override the fixture `other_options`: options that name another input")

    @pytest.fixture
    def missing_options(self) -> Options | None:
        """Return options that are in order, and name what is not there; None where that cannot be known here."""
        return None

    def test_it_is_identified_without_network_and_secrets(self, bench: Bench, options: Options) -> None:
        """`plan` does it, where there is neither."""
        ref = bench.reference(options, self.media)

        with offline("identify()"):
            identity = new_source(bench).identify(ref)

        opened = new_source(bench).identify(bench.opened_medium(ref))
        assert opened == identity, "what identify() says depends on the value of a secret"

    def test_its_identity_is_the_same_each_time(self, bench: Bench, options: Options) -> None:
        """Another key is another job, and that is paid for anew."""
        identities = [_identity(bench, options, self.media) for _ in range(2)]

        assert identities[0] == identities[1], f"identify() says {identities[0]}, then {identities[1]}"

    def test_another_input_has_another_identity(self, bench: Bench, options: Options, other_options: Options) -> None:
        """Equal keys are equal inputs, whose result is not asked for again."""
        keys = [_identity(bench, each, self.media).key for each in (options, other_options)]

        assert keys[0] != keys[1], f"two inputs have one key, {keys[0]}"

    def test_the_file_that_it_locates_is_the_one_that_it_identifies(self, bench: Bench, options: Options) -> None:
        """wanrun checks the one against the model's limits, and compares the other with what has been paid for."""
        source, ref = new_source(bench), bench.reference(options, self.media)

        path, identity = source.locate(ref), source.identify(ref)

        if path is None:
            assert not self.kind_of(bench).by_content, "by_content is for a source whose locate() names a file"
            return
        assert path.is_absolute(), f"locate() names {path}; start at ref.folder"
        assert path.is_file(), f"locate() names {path}, which is no file; raise SourceError"
        assert identity.bytes in (None, path.stat().st_size), f"{path} has not the {identity.bytes} bytes of {identity}"
        if identity.key.startswith("sha256:"):
            with path.open("rb") as file:
                digest = file_digest(file, "sha256").hexdigest()
            assert identity.key == f"sha256:{digest}", f"{identity.key} is not the sha256 of {path}"

    def test_it_prepares_what_the_service_reads(self, bench: Bench, options: Options) -> None:
        """A link, something uploaded, or a small picture as text; and again after a crash."""
        urls = [prepared(bench, options, self.media) for _ in range(2)]

        for url in urls:
            scheme = urlsplit(url.url).scheme
            assert scheme in READABLE or url.url.startswith(ASSET), f"the service reads no {scheme or url.url[:20]!r}"

    def test_it_puts_no_more_into_a_request_than_there_is_room_for(self, bench: Bench, options: Options) -> None:
        """All the media of a job share what `ctx.inline_bytes_left` says."""
        url = prepared(bench, options, self.media, room=0)

        assert not url.url.startswith("data:"), "a data: URL goes into a request that has no room left; use ctx.upload"

    @pytest.mark.filterwarnings(*LEFTOVERS)
    def test_cancelled_at_any_await_it_is_prepared_again(self, bench: Bench, options: Options) -> None:
        """A run can end at any await, and the next one begins anew."""
        ref = bench.opened_medium(bench.reference(options, self.media))
        for step in awaits():
            ended = cancel_at(step, _call(new_source(bench), ref))
            where = f"cancelled at await {step}"
            assert not ended.swallowed, f"{where}, prepare() goes on and ends with {ended.value or ended.error!r}"
            assert ended.error is None, f"{where}, prepare() raises {ended.error!r}"
            assert prepared(bench, options, self.media).url, f"{where}, it is not prepared the next time"
            if not ended.reached:
                break

    def test_what_is_not_there_is_a_source_error(self, bench: Bench, missing_options: Options | None) -> None:
        """With words of the source's own; anything else counts as its bug."""
        if missing_options is None:
            return
        ref = bench.reference(missing_options, self.media)

        failures = [_failure(lambda: new_source(bench).identify(ref))]
        failures.append(_failure(lambda: prepared(bench, missing_options, self.media)))

        assert any(failures), "what is not there is identified and prepared all the same"
        for failure in filter(None, failures):
            assert isinstance(failure, SourceError), f"what is not there is no SourceError, but {failure!r}"
            assert len(str(failure).splitlines()) == 1, f"a SourceError is one line: {failure}"

    def test_secrets_are_not_shown(self, bench: Bench, options: Options, missing_options: Options | None) -> None:
        """Not in an identity, an error or the source's own `repr`: these are printed and recorded."""
        source, ref = new_source(bench), bench.opened_medium(bench.reference(options, self.media))
        texts = {"its identity": repr(source.identify(ref)), "its repr": repr(getattr(source, "_made", source))}
        if missing_options is not None:
            failure = _failure(lambda: prepared(bench, missing_options, self.media))
            texts["an error"] = f"{failure} {failure!r}"

        for value in values_of(ref.options):
            for what, text in texts.items():
                assert value not in text, f"{what} shows a secret: {text.replace(value, '<the secret>')}"

    def kind_of(self, bench: Bench) -> SourceKind:
        """Return what the plugin offers."""
        return bench.catalog().sources[self.kind]

    def problems_of(self, bench: Bench, options: Options) -> tuple[str, Sequence[Problem]]:
        """Return a spec with these options, and what wanrun has against it: in the spec or in what it names."""
        text, problems = bench.source_problems(options, self.media)
        if problems:
            return text, problems
        ref = bench.reference(options, self.media)
        failure = _failure(lambda: new_source(bench).locate(ref)) or _failure(lambda: new_source(bench).identify(ref))
        return text, [_problem(ref, failure)] if failure else []


def new_source(bench: Bench) -> Source:
    """Return the source as a new run builds it."""
    return bench.catalog().source(bench.kind)


def prepared(bench: Bench, options: Options, media: str, *, room: int = INLINE_BYTES) -> MediaUrl:
    """Return what a new source makes of options, secrets with their values."""
    ref = bench.opened_medium(bench.reference(options, media))
    return finish(_call(new_source(bench), ref, room))


def _call(source: Source, ref: MediaRef, room: int = INLINE_BYTES) -> Callable[[], Awaitable[MediaUrl]]:
    return lambda: given(source.prepare(ref, Lent(identity=source.identify(ref), inline_bytes_left=room)))


def _identity(bench: Bench, options: Options, media: str) -> Identity:
    return new_source(bench).identify(bench.reference(options, media))


def _failure(call: Callable[[], object]) -> Exception | None:
    try:
        call()
    except Exception as exc:
        return exc
    return None


def _problem(ref: MediaRef, failure: Exception) -> Problem:
    assert isinstance(failure, SourceError), f"what is wrong with an input is no SourceError, but {failure!r}"
    return Problem(ref.position, str(failure))
