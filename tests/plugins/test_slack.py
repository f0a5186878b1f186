"""What the sink `slack` says, where, how often, and what it makes of Slack's answers."""

from __future__ import annotations

import json
import time
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio
from slack_parts import HOSTILE, Lent, by_token, by_webhook, job, notice, stand, tell

from slack_server import CHANNEL, LIMITS, MOST_BLOCKS, TOKEN, WEBHOOK_CHANNEL, SlackServer, texts
from wanrun import Secret, SinkError
from wanrun.registry import load_catalog
from wanrun_plugins._slack_words import message, standing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wanrun import Notice


@pytest.fixture
def slack() -> Iterator[SlackServer]:
    """Serve a Slack that does not mind haste."""
    with SlackServer(a_second=False) as server:
        yield server


def said_by(told: Notice) -> str:
    """Return all that a message says, a line each."""
    body: Any = message(told)
    return "\n".join(text["text"] for text in texts(body["blocks"]))


# How it reads


def test_a_finished_run_says_counts_failures_places_and_cost(slack: SlackServer) -> None:
    """The title first, then what needs people, then what went well, then money and the run."""
    told = notice(
        by_webhook(slack),
        "run_finished",
        "job_done",
        "job_failed",
        title="batch: 1 done, 1 failed",
        jobs=(job("job_done", "batch/a", "", "/out/a.mp4"), job("job_failed", "batch/b", "failed: no (Bad)")),
        cost={"CNY": Decimal("4.403544")},
        reserved={"CNY": Decimal("2")},
        exit_code=1,
    )

    assert said_by(told).splitlines() == [
        "⚠️ batch: 1 done, 1 failed",
        "Failed (1)",
        "• batch/b: failed: no (Bad)",
        "Done (1)",
        "• batch/a: /out/a.mp4",
        "by this run: 4.40 CNY and up to 2.00 CNY more · run run-1",
    ]


def test_what_the_emulator_did_is_said_as_such(slack: SlackServer) -> None:
    """Nobody takes its money for real."""
    told = notice(by_webhook(slack), "run_finished", account="emulator:1", cost={"CNY": Decimal(3)}, exit_code=0)

    assert "at the service this would be: 3.00 CNY" in said_by(told)


def test_hostile_text_is_nothing_but_text(slack: SlackServer) -> None:
    """No mention, no link, no formatting, no emoji, no hidden character, wherever others' words stand."""
    sent = notice(
        by_webhook(slack),
        "run_finished",
        "job_failed",
        title=HOSTILE,
        specs=(HOSTILE,),
        run=HOSTILE,
        reasons=(HOSTILE,),
        jobs=(job("job_failed", HOSTILE, HOSTILE), job("job_done", HOSTILE, "", HOSTILE)),
        counts=stand(done=1),
        exit_code=4,
    )
    for body in (message(sent), standing(sent)):
        shown: list[Any] = texts(body["blocks"])
        assert {text["type"] for text in shown} == {"plain_text"}
        assert {text["emoji"] for text in shown} == {False}
        assert (body["mrkdwn"], body["unfurl_links"], body["unfurl_media"]) == (False, False, False)
        for text in [body["text"], *(text["text"] for text in shown)]:
            bare = text.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "")
            assert not set("<>&\u202e") & set(bare)
    assert "&lt;!channel&gt;" in said_by(sent)


def test_a_link_loses_what_opens_it(slack: SlackServer) -> None:
    """What a service or another sink has said may hold a signed link."""
    link = "https://u:pw@files.example.com/a.mp4?Signature=canary#canary"
    sent = notice(by_webhook(slack), "job_failed", jobs=(job("job_failed", "batch/a", f"got {link}"),))

    assert "canary" not in json.dumps(message(sent))
    assert "pw@" not in json.dumps(message(sent))
    assert "files.example.com/a.mp4" in said_by(sent)


@pytest.mark.parametrize("filling", ["x", "<", "&", "😀", "ä"])
def test_the_longest_notice_stays_within_slack_s_limits(slack: SlackServer, filling: str) -> None:
    """Thousands of jobs with long words are a list that says how many more there are."""
    long = filling * 5000
    names = ("job_done", "job_failed", "job_held", "job_lost", "delivery_failed", "result_expiring")
    jobs = tuple(job(name, f"batch/{number}-{filling * 150}", long) for name in names for number in range(2000))
    reasons = tuple(f"{number} {long}" for number in range(40))
    sent = notice(by_webhook(slack), "run_finished", *names, title=long, jobs=jobs, reasons=reasons, specs=(long,) * 9)

    for body in (message(sent), standing(sent)):
        blocks: Any = body["blocks"]
        assert len(blocks) <= MOST_BLOCKS
        for block in blocks:
            for text in texts([block]):
                units = len(text["text"].encode("utf-16-le")) // 2
                assert 0 < units <= LIMITS[block["type"]]
    assert said_by(sent).count("more: wanrun status") == len(names)
    assert "(2000)" in said_by(sent)


def test_a_list_of_a_few_is_whole(slack: SlackServer) -> None:
    """Twenty are shown of each kind; of the twenty-first only that there is one."""
    jobs = [job("job_failed", f"batch/{number}", "no") for number in range(21)]

    few = said_by(notice(by_webhook(slack), "job_failed", jobs=tuple(jobs[:20])))
    more = said_by(notice(by_webhook(slack), "job_failed", jobs=tuple(jobs)))

    assert (few.count("•"), "wanrun status" in few) == (20, False)
    assert (more.count("•"), "… and 1 more: wanrun status" in more) == (20, True)


# With a webhook


async def test_a_webhook_gets_one_message_a_notice_and_no_progress(slack: SlackServer) -> None:
    """It cannot change what it has said, so how the jobs stand meanwhile is not for it."""
    sink = by_webhook(slack)

    for names in (("run_started",), ("run_progress",), ("run_progress", "run_finished")):
        await tell(notice(sink, *names, counts=stand(done=1)))

    assert [each.channel for each in slack.messages] == [WEBHOOK_CHANNEL] * 2


# With a token


async def test_a_run_keeps_one_message_up_to_date_and_ends_it(slack: SlackServer) -> None:
    """What people have to know is answered to it and shown in the channel; what is only nice to know is not."""
    sink = by_token(slack)
    lent = await tell(notice(sink, "run_started", counts=stand(new=4)))
    await tell(notice(sink, "run_progress", counts=stand(new=2, in_flight=1, done=1)), lent)
    await tell(notice(sink, "job_done", jobs=(job("job_done"),)), lent)
    await tell(notice(sink, "job_failed", jobs=(job("job_failed", "batch/b", "no"),)), lent)
    await tell(notice(sink, "run_progress", counts=stand(done=3, failed=1)), lent)
    await tell(notice(sink, "run_progress", "run_finished", counts=stand(done=3, failed=1), exit_code=1), lent)

    board, done, failed, end = slack.messages
    assert board.thread is None
    assert len(board.edits) == 3
    assert board.words.splitlines() == [
        "⚠️ Ended: batch",
        "███████████████░░░░░ 3 of 4 done",
        "1 failed",
        "run run-1",
    ]
    assert [each.thread for each in (done, failed, end)] == [board.ts] * 3
    assert slack.said() == [board, failed, end]
    assert "batch/b: no" in failed.words


async def test_without_a_message_to_keep_it_speaks_in_the_channel(slack: SlackServer) -> None:
    """Who asks for the end only gets one message with all of it."""
    await tell(notice(by_token(slack), "run_finished", counts=stand(done=1), exit_code=0))

    (only,) = slack.messages
    assert only.thread is None
    assert only.words.startswith("✅ batch: 1 done")


async def test_telling_the_same_again_changes_the_same_message(slack: SlackServer) -> None:
    """As after a failure: what is changed can be changed again; what was said is said once more at most."""
    sink, end = by_token(slack), {"counts": stand(done=1), "exit_code": 0}
    lent = await tell(notice(sink, "run_started", counts=stand(new=1)))
    slack.answers = [(200, {}, '{"ok": true}'), (500, {}, "")]
    with pytest.raises(SinkError):
        await tell(notice(sink, "run_progress", "run_finished", **end), lent)
    await tell(notice(sink, "run_progress", "run_finished", **end), lent)

    assert len(slack.messages) == 2


async def test_the_message_of_a_run_that_died_is_ended_by_the_next(slack: SlackServer) -> None:
    """It would say for ever that the run goes on; the next run has a message of its own."""
    sink = by_token(slack)
    lent = await tell(notice(sink, "run_started", counts=stand(new=1)))
    for _ in range(2):
        await tell(notice(sink, "run_started", run="run-2", counts=stand(in_flight=1)), lent)
    await tell(notice(sink, "run_progress", "run_finished", run="run-2", counts=stand(done=1), exit_code=0), lent)
    await tell(notice(sink, "run_started", run="run-3", counts=stand(new=1)), lent)

    died, board, _, third = slack.messages
    assert len(died.edits) == 1
    assert died.words.splitlines() == ["⏸️ Ended without a word: batch", "run run-1, after which comes run run-2"]
    assert board.words.startswith("✅ Ended: batch")
    assert (board.thread, third.thread) == (None, None)


@pytest.mark.parametrize(
    ("error", "threaded"), [("message_not_found", False), ("edit_window_closed", True), ("cant_update_message", True)]
)
async def test_a_message_that_can_no_longer_be_changed_is_left(slack: SlackServer, error: str, threaded: bool) -> None:
    """Somebody deleted it, or the workspace forbids changes: no new one every few seconds, and the end is told."""
    sink = by_token(slack)
    lent = await tell(notice(sink, "run_started", counts=stand(new=2)))
    slack.answers = [(200, {}, json.dumps({"ok": False, "error": error}))]
    for done in range(3):
        await tell(notice(sink, "run_progress", counts=stand(new=2 - done, done=done)), lent)
    await tell(notice(sink, "run_progress", "run_finished", counts=stand(done=2), exit_code=0), lent)

    board, end = slack.messages
    assert slack.calls == ["chat.postMessage", "chat.update", "chat.postMessage"]
    assert end.thread == (board.ts if threaded else None)


async def test_news_are_told_though_the_board_cannot_be_changed_for_now(slack: SlackServer) -> None:
    """What people have to know is worth more; a mere change that fails is said, and tried again."""
    sink, fault = by_token(slack), (200, {}, '{"ok": false, "error": "fatal_error"}')
    lent = await tell(notice(sink, "run_started", counts=stand(new=2)))
    slack.answers = [fault, fault]
    with pytest.raises(SinkError, match="fatal_error"):
        await tell(notice(sink, "run_progress", counts=stand(done=1, new=1)), lent)
    await tell(notice(sink, "run_stopping", "job_failed", counts=stand(failed=2), jobs=(job("job_failed"),)), lent)
    await tell(notice(sink, "run_progress", counts=stand(done=2)), lent)

    board, news = slack.messages
    assert (len(board.edits), news.thread) == (1, board.ts)


async def test_a_dead_run_s_message_that_cannot_be_ended_stops_nothing(slack: SlackServer) -> None:
    """It is tried once."""
    sink = by_token(slack)
    lent = await tell(notice(sink, "run_started", counts=stand(new=2)))
    slack.answers = [(200, {}, '{"ok": false, "error": "fatal_error"}')]
    for _ in range(2):
        await tell(notice(sink, "run_finished", run="run-2", counts=stand(done=2), exit_code=0), lent)

    assert slack.calls == ["chat.postMessage", "chat.update", "chat.postMessage", "chat.postMessage"]


async def test_a_memory_that_is_none_of_its_own_is_nothing(slack: SlackServer) -> None:
    """As of another version."""
    for odd in ("", "x", "[]", '{"run": 1}', "null"):
        lent = await tell(notice(by_token(slack), "run_started", counts=stand(new=1)), Lent(remembered=odd))
        assert json.loads(str(lent.remembered))["run"] == "run-1"


# How fast


@pytest.mark.slow
async def test_a_channel_gets_one_message_a_second_from_all_threads_together() -> None:
    """Two specs that name one channel, with a server that counts."""
    catalog = load_catalog()
    with SlackServer() as slack:
        async with trio.open_nursery() as nursery:
            for number in range(4):
                told = notice(by_token(slack), "job_failed", jobs=(job("job_failed", f"batch/{number}"),))
                nursery.start_soon(partial(tell, told, catalog=catalog))

        assert len(slack.messages) == 4
        assert slack.calls == ["chat.postMessage"] * 4


@pytest.mark.slow
async def test_slack_s_own_wish_to_wait_is_followed(slack: SlackServer) -> None:
    """429 with Retry-After: not before, and then."""
    slack.answers = [(429, {"Retry-After": "2"}, "rate_limited")]

    await tell(notice(by_webhook(slack), "run_finished", exit_code=0))

    assert slack.times[1] - slack.times[0] >= 2
    assert len(slack.messages) == 1


@pytest.mark.slow
async def test_a_wish_for_no_wait_at_all_is_no_invitation(slack: SlackServer) -> None:
    """A server that says 429 again and again is asked about once a second."""
    slack.answers = [(429, {"Retry-After": "0"}, "")] * 20

    with pytest.raises(SinkError, match="429"):
        await tell(notice(by_webhook(slack), "run_finished", exit_code=0), Lent(seconds=3))

    assert len(slack.calls) <= 3


async def test_a_wish_that_does_not_fit_the_time_is_an_error(slack: SlackServer) -> None:
    """The next message tells it; no call is made before Slack wants one."""
    slack.answers = [(429, {"Retry-After": "30"}, '{"ok": false, "error": "ratelimited"}')]

    with pytest.raises(SinkError, match=r"told too much at once \(429\), and takes the next message in 30 s only"):
        await tell(notice(by_token(slack), "run_finished", exit_code=0))

    assert len(slack.calls) == 1


# What goes wrong


WORDS = {
    (404, "no_service"): "Slack answered the webhook with no_service; the webhook was revoked; make a new one",
    (410, "channel_is_archived"): "channel_is_archived; the channel is archived; unarchive it, or take another one",
    (403, "action_prohibited"): "action_prohibited; an admin has restricted webhooks; ask them to allow this one",
    (400, "invalid_payload"): "Slack answered the webhook with invalid_payload",
    (500, "<html>canary</html>"): "Slack answered the webhook with 500; that is a fault of its own",
    (302, ""): "Slack answered the webhook with 302",
}


@pytest.mark.parametrize(("answer", "words"), WORDS.items(), ids=[f"{status}" for status, _ in WORDS])
async def test_what_a_webhook_answers_is_said_with_what_to_do(
    slack: SlackServer, answer: tuple[int, str], words: str
) -> None:
    """Never with the address, and no redirect is followed."""
    status, text = answer
    slack.answers = [(status, {"Location": f"{slack.url}/elsewhere"}, text)]

    with pytest.raises(SinkError) as refused:
        await tell(notice(by_webhook(slack), "run_finished", exit_code=0))

    assert words in str(refused.value)
    assert "canary" not in str(refused.value)
    assert slack.calls == ["services"]


ERRORS = {
    '{"ok": false, "error": "invalid_auth"}': "invalid_auth; copy the app's bot token (xoxb-...) anew",
    '{"ok": false, "error": "not_in_channel"}': "not_in_channel; invite the app to the channel, and see that the id",
    '{"ok": false, "error": "missing_scope", "needed": "chat:write"}': "give the app the scope chat:write and install",
    '{"ok": false, "error": "missing_scope", "needed": "CANARY 7"}': "give the app the scope that it lacks",
    '{"ok": false, "error": "brand_new_error"}': "Slack answered chat.postMessage with brand_new_error",
    f'{{"ok": false, "error": "{TOKEN}"}}': "Slack answered chat.postMessage with 200",
    '{"ok": true}': "does not say which it is",
    "[]": "Slack answered chat.postMessage with 200",
    "no JSON": "Slack answered chat.postMessage with 200",
}


@pytest.mark.parametrize(("answer", "words"), ERRORS.items(), ids=[f"{number}" for number in range(len(ERRORS))])
async def test_what_the_web_api_answers_is_said_with_what_to_do(slack: SlackServer, answer: str, words: str) -> None:
    """Slack's own word, if it is one; nothing else that a server may say."""
    slack.answers = [(200, {}, answer)]

    with pytest.raises(SinkError) as refused:
        await tell(notice(by_token(slack), "run_started", counts=stand(new=1)))

    assert words in str(refused.value)
    assert "canary" not in str(refused.value).lower()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["hang", "break"])
async def test_a_server_that_hangs_or_breaks_is_an_error_in_time(slack: SlackServer, how: str) -> None:
    """Sooner than the core gives the call up, and without a second message."""
    slack.answers = [how]
    began = time.monotonic()

    with pytest.raises(SinkError, match=r"gave no answer in|the connection to 127\.0\.0\.1 broke"):
        await tell(notice(by_webhook(slack), "run_finished", exit_code=0), Lent(seconds=2.5))

    assert time.monotonic() - began < 2.5
    assert len(slack.calls) == 1


@pytest.mark.slow
async def test_an_answer_without_end_is_not_read_to_its_end(slack: SlackServer) -> None:
    """A megabyte is more than Slack ever says."""
    slack.answers = [(200, {}, "x" * 3_000_000)]

    with pytest.raises(SinkError, match=r"Slack answered chat\.postMessage with 200"):
        await tell(notice(by_token(slack), "run_finished", exit_code=0))


@pytest.mark.slow
async def test_who_cannot_be_reached_is_asked_twice(slack: SlackServer) -> None:
    """Nothing has left this machine then."""
    sink = by_webhook(slack)
    slack.__exit__()

    with pytest.raises(SinkError, match=r"^127\.0\.0\.1 cannot be reached: "):
        await tell(notice(sink, "run_finished", exit_code=0))
    slack.__enter__()


# Where it may lead

ELSEWHERE = [
    "https://example.com/services/T/B/canary",
    "http://hooks.slack.com/services/T/B/canary",
    "https://hooks.slack.com:8443/services/T/B/canary",
    "https://hooks.slack.com.example.com/services/T/B/canary",
    "https://hooks.slack.com@example.com/services/canary",
    "https://u:canary@hooks.slack.com/services/T/B",
    "https://hooks.slack.com\\@example.com/canary",
    "ftp://hooks.slack.com/services/T/B/canary",
    "http://127.0.0.1.example.com/services/canary",
    "http://169.254.169.254/canary",
    "canary",
    "",
]


@pytest.mark.parametrize("address", ELSEWHERE)
async def test_a_webhook_leads_to_slack_or_nowhere(slack: SlackServer, address: str) -> None:
    """Whatever a secret holds; it is not shown."""
    with pytest.raises(SinkError) as refused:
        await tell(notice(by_webhook(slack, webhook=Secret(address)), "run_finished", exit_code=0))

    assert str(refused.value).startswith("the webhook is no address of Slack's; these begin with https://hooks.slack")
    assert "canary" not in str(refused.value)
    assert "example" not in str(refused.value)


@pytest.mark.parametrize(
    "address", ["https://example.com/api/", "http://slack.com/api/", "https://slack.com.evil.net/"]
)
async def test_a_token_goes_to_slack_or_nowhere(slack: SlackServer, address: str) -> None:
    """`api` is a word of the spec's, and the token is not its author's."""
    with pytest.raises(SinkError, match="api is no address of Slack's Web API"):
        await tell(notice(by_token(slack, api=address), "run_finished", exit_code=0))


@pytest.mark.parametrize("token", ["", "xoxb canary", "xoxb-canary\r\nX: y", "xoxb-cänary"])
async def test_what_is_no_token_is_not_sent(slack: SlackServer, token: str) -> None:
    """It would be a bug of the header, or of somebody's clipboard."""
    with pytest.raises(SinkError, match="the token is not one"):
        await tell(notice(by_token(slack, token=Secret(token)), "run_finished", exit_code=0))

    assert slack.calls == []


async def test_a_secret_with_a_line_break_at_its_end_works(slack: SlackServer) -> None:
    """As `echo` makes files of secrets."""
    await tell(notice(by_webhook(slack, webhook=Secret(f"{slack.webhook}\n")), "run_finished", exit_code=0))
    await tell(notice(by_token(slack, token=Secret(f"{TOKEN}\n")), "run_finished", exit_code=0))

    assert [each.channel for each in slack.messages] == [WEBHOOK_CHANNEL, CHANNEL]
