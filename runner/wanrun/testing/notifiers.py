"""What every sink that hears of events has to hold, as tests to inherit."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from wanrun.errors import SinkError
from wanrun.notices import Notice, NoticeJob, NoticeName
from wanrun.testing.bench import values_of
from wanrun.testing.cancelling import LEFTOVERS, awaits, cancel_at, finish
from wanrun.testing.kinds import KindConformance
from wanrun.testing.lent import Lent
from wanrun.types import State

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from wanrun.hookspecs import Notifier, SinkKind
    from wanrun.testing.bench import Bench, Options
    from wanrun.types import Problem, SinkRef

    Heard = Callable[[], Sequence[str]]

WORD = "conformanceword"  #: has nothing that any medium takes for markup
MANY = 2_000  #: jobs of one notice
ODD_TEXTS = {
    "nothing": "",
    "markup": "<b>&amp;</b> *a* _b_ ~c~ `d` <!channel> @everyone [x](https://example.com) {{y}} %s \\n",
    "many lines": "line\n" * 2_000,
    "one long line": "long " * 10_000,
    "many scripts": "Ünïcödé 视频 видео 🎬 \u202eright to left",
}


class NotifierConformance(KindConformance):
    """Inherit this, say `plugin` and `kind`, and override the fixtures `options` and `heard`.

    Where the test can make the other side fail, override `failing_options` too.
    """

    @pytest.fixture
    def heard(self) -> Heard:
        """Return a function that says what has arrived at the other side so far, message by message, as text."""
        raise NotImplementedError("override the fixture `heard`: it returns a function that returns what has arrived")

    @pytest.fixture
    def failing_options(self) -> Options | None:
        """Return options with which a message does not arrive: the other side refuses it, or is not there."""
        return None

    def test_a_notice_arrives(self, bench: Bench, options: Options, heard: Heard) -> None:
        """One message, with what the notice says."""
        before = len(heard())

        finish(_call(bench, a_notice(bench.destination(options))))

        arrived = heard()[before:]
        assert len(arrived) == 1, f"of one notice {len(arrived)} messages arrive"
        assert WORD in arrived[0], f"the message does not say what the notice says: {arrived[0]:.300}"

    @pytest.mark.parametrize("odd", ODD_TEXTS)
    def test_whatever_a_notice_says_it_is_passed_on(
        self, bench: Bench, options: Options, heard: Heard, odd: str
    ) -> None:
        """It may quote services and plugins: nothing in it may make the message fail."""
        before = len(heard())

        finish(_call(bench, a_notice(bench.destination(options), text=ODD_TEXTS[odd])))

        assert len(heard()) > before, f"a notice with {odd} does not arrive"

    def test_a_notice_of_thousands_of_jobs_is_passed_on(self, bench: Bench, options: Options, heard: Heard) -> None:
        """A batch may fail as a whole; a notice names every job."""
        failed = (
            NoticeJob(name=NoticeName.JOB_FAILED, address=f"spring/shot-{number}", at=0.0, message="refused")
            for number in range(MANY)
        )
        before = len(heard())

        finish(_call(bench, a_notice(bench.destination(options), jobs=tuple(failed))))

        assert len(heard()) > before, f"a notice of {MANY} jobs does not arrive"

    @pytest.mark.filterwarnings(*LEFTOVERS)
    def test_cancelled_at_any_await_it_gives_way(self, bench: Bench, options: Options) -> None:
        """A run can end at any await, and what is late is given up."""
        notice = a_notice(bench.destination(options))
        for step in awaits():
            ended = cancel_at(step, _call(bench, notice))
            where = f"cancelled at await {step}"
            assert not ended.swallowed, f"{where}, notify() goes on as if nothing had been said ({ended.error!r})"
            assert ended.error is None, f"{where}, notify() raises {ended.error!r}"
            if not ended.reached:
                break

    def test_a_failure_is_a_sink_error(self, bench: Bench, failing_options: Options | None) -> None:
        """In one line of the plugin's own words, and without a secret."""
        if failing_options is None:
            return
        destination = bench.destination(failing_options)

        failure = _failure(bench, a_notice(destination))

        assert isinstance(failure, SinkError), f"what does not arrive is no SinkError, but {failure!r}"
        assert len(str(failure).splitlines()) == 1, f"a SinkError is one line: {failure}"
        for value in values_of(destination.options):
            text = f"{failure} {failure!r}"
            assert value not in text, f"the error shows a secret: {text.replace(value, '<the secret>')}"

    def kind_of(self, bench: Bench) -> SinkKind:
        """Return what the plugin offers."""
        return bench.catalog().sinks[self.kind]

    def problems_of(self, bench: Bench, options: Options) -> tuple[str, Sequence[Problem]]:
        """Return a spec with these options, and what wanrun has against it."""
        return bench.notify_problems(options)


def new_notifier(bench: Bench) -> Notifier:
    """Return the notifier as a new run builds it."""
    notifier = bench.catalog().notifier(bench.kind)
    assert notifier is not None, f"the sink {bench.kind} does not hear of events: it has no notify()"
    return notifier


def a_notice(sink: SinkRef, *, text: str = f"1 done: {WORD}", jobs: tuple[NoticeJob, ...] | None = None) -> Notice:
    """Return a notice of a run that has ended."""
    done = NoticeJob(name=NoticeName.JOB_DONE, address="spring/shot", at=0.0, places=("out/shot.mp4",))
    return Notice(
        names=(NoticeName.RUN_FINISHED,),
        sink=sink,
        title=f"{WORD}: the run has ended",
        text=text,
        run="run-1",
        at=1_800_000_000.0,
        specs=("spring",),
        account="service",
        jobs=(done,) if jobs is None else jobs,
        counts={State.DONE: 1},
        cost={"CNY": Decimal("6.00")},
        exit_code=0,
    )


def _call(bench: Bench, notice: Notice) -> Callable[[], Awaitable[None]]:
    return lambda: new_notifier(bench).notify(notice, Lent())


def _failure(bench: Bench, notice: Notice) -> Exception | None:
    try:
        finish(_call(bench, notice))
    except Exception as exc:
        return exc
    return None
