"""The sink `slack` in real runs, with the emulator and a Slack on loopback: told once, also by runs that are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
from cli_parts import FAST, wait_until

from slack_server import CHANNEL, TOKEN, WEBHOOK_CHANNEL, WEBHOOK_PATH, SlackServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli_parts import Child, Project

pytestmark = pytest.mark.slow

KEY = {"DASHSCOPE_API_KEY": "sk-test"}
CANARIES = (TOKEN, WEBHOOK_PATH.rpartition("/")[2])
WEBHOOK = '{slack: {webhook: "${{ secret.SLACK_WEBHOOK }}"}}'
BOARD = "run_started, run_progress, run_finished, job_done, job_failed"


@pytest.fixture
def slack(project: Project) -> Iterator[SlackServer]:
    """Serve a strict Slack, whose secrets are in the environment of the project's processes."""
    with SlackServer() as server:
        project.environ = {"SLACK_WEBHOOK": server.webhook, "SLACK_TOKEN": TOKEN, **KEY}
        yield server


def by_token(slack: SlackServer) -> str:
    """Return the sink that speaks with the token."""
    return f'{{slack: {{token: "${{{{ secret.SLACK_TOKEN }}}}", channel: {CHANNEL}, api: "{slack.api}"}}}}'


def spec(project: Project, *ids: str, team: str, events: str, name: str = "batch.yaml") -> str:
    """Write a spec of jobs on linked videos whose sink `team` is told of these events."""
    text = (project.folder / project.spec(*ids, name=name)).read_text()
    notify = f"  team: {team}\nnotify: [{{to: team, events: [{events}]}}]\n"
    return project.write(name, text.replace("jobs:\n", f"{notify}jobs:\n"))


def die_at(slack: SlackServer, child: Child, call: str, nth: int = 1) -> None:
    """Kill a run as soon as Slack has carried out its nth call of this name, and before it hears so."""
    seen: list[str] = []

    def kill(heard: str) -> None:
        seen.append(heard)
        if seen.count(call) == nth:
            os.kill(child.process.pid, signal.SIGKILL)

    slack.heard = kill


def test_a_webhook_hears_the_start_and_the_end_of_a_run_once(project: Project, slack: SlackServer) -> None:
    """A second run, which changes nothing, says nothing."""
    batch = spec(project, "one", "two", team=WEBHOOK, events=BOARD)
    with project.emulator("--speed", "100000") as url:
        first, second = (project.process(batch, "--base-url", url) for _ in range(2))

    assert (first.exit_code, second.exit_code) == (0, 0), first
    begun, ended = slack.said(WEBHOOK_CHANNEL)
    assert begun.words.startswith("▶️ emulator: batch: a run has begun")
    assert ended.words.startswith("✅ emulator: batch: 2 done\nDone (2)\n• batch/")
    assert str(project.folder / "out" / "one.mp4") in ended.words
    assert "told team: emulator: batch: 2 done" in first.stderr


def test_a_token_keeps_one_message_and_says_the_end_in_its_thread(project: Project, slack: SlackServer) -> None:
    """With what failed, and where the rest is."""
    fault = {
        "on": "create",
        "prompt": "of two",
        "do": {"status": 400, "code": "InvalidParameter", "message": "<!here>"},
    }
    batch = spec(project, "one", "two", team=by_token(slack), events=BOARD)
    with project.emulator("--speed", "100000", *project.faults(fault)) as url:
        said = project.process(batch, "--base-url", url)

    assert said.exit_code == 1, said
    board, end = slack.messages
    assert "█░" in board.words
    assert "Ended: batch" in board.words
    assert end.thread == board.ts
    assert slack.said() == [board, end]
    assert "Failed (1)\n• batch/two: failed: create: &lt;!here&gt; (InvalidParameter)\nDone (1)" in end.words


@pytest.mark.parametrize("team", ["webhook", "token"])
def test_a_run_that_is_killed_between_message_and_record_sends_one_more_and_pays_nothing(
    project: Project, slack: SlackServer, team: str
) -> None:
    """`kill -9` once Slack has the last message: the next run tells once more, those after it say nothing."""
    sink, call = (WEBHOOK, "services") if team == "webhook" else (by_token(slack), "chat.postMessage")
    batch = spec(project, "one", team=sink, events="run_finished, job_done")
    with project.emulator("--speed", "100000") as url:
        child = project.start(batch, "--base-url", url)
        die_at(slack, child, call)
        killed = child.end()
        slack.heard = lambda call: None
        after = [project.process(batch, "--base-url", url) for _ in range(3)]
        tasks = project.statement(url)["tasks"]

    assert killed.exit_code == -9, killed
    assert [said.exit_code for said in after] == [0, 0, 0], after
    assert len(slack.messages) == 2
    assert {message.words.splitlines()[0] for message in slack.messages} == {"✅ emulator: batch: 1 done"}
    assert len(tasks) == 1


@pytest.mark.parametrize(("nth", "call"), [(1, "chat.postMessage"), (1, "chat.update"), (2, "chat.postMessage")])
def test_a_kill_at_any_call_leaves_one_message_too_many_at_most(
    project: Project, slack: SlackServer, nth: int, call: str
) -> None:
    """Without a kill there are two: the one that is kept up to date, and the end in its thread."""
    batch = spec(project, "one", team=by_token(slack), events="run_started, run_progress, run_finished")
    with project.emulator("--speed", "100000") as url:
        child = project.start(batch, "--base-url", url)
        die_at(slack, child, call, nth)
        killed = child.end()
        slack.heard = lambda call: None
        after = [project.process(batch, "--base-url", url) for _ in range(2)]

    assert killed.exit_code == -9, killed
    assert [said.exit_code for said in after] == [0, 0], after
    assert len(slack.messages) <= 3
    said_end = [message for message in slack.messages if "✅ emulator: batch: 1 done" in message.words]
    assert 1 <= len(said_end) <= 2
    still_running = [message for message in slack.messages if "Running" in message.words]
    assert len(still_running) == (call == "chat.postMessage" and nth == 1)  # nobody knows which message that was


def test_a_run_that_is_interrupted_says_so_before_it_leaves(project: Project, slack: SlackServer) -> None:
    """Its message no longer says that it runs."""
    batch = spec(project, "one", team=by_token(slack), events="run_started, run_progress, run_finished")
    with project.emulator("--speed", "2") as url:
        child = project.start(batch, "--base-url", url)
        wait_until(lambda: bool(slack.messages))
        child.signal(signal.SIGINT)
        interrupted = child.end()

    assert interrupted.exit_code == 130, interrupted
    first, end = slack.messages
    assert first.words.splitlines()[:3] == ["⚠️ emulator: Ended: batch", "░" * 20 + " 0 of 1 done", "1 in flight"]
    assert "interrupted" in end.words


CALLS = ["files.list", "files.getUploadURLExternal", "upload", "files.completeUploadExternal"]


@pytest.mark.parametrize("call", CALLS)
def test_a_kill_at_any_step_of_a_file_shares_it_once(project: Project, slack: SlackServer, call: str) -> None:
    """The next run finds what was shared, and shares what was not; nothing is paid again."""
    text = (project.folder / project.spec("one")).read_text().replace("jobs:\n", f"  team: {by_token(slack)}\njobs:\n")
    batch = project.write("batch.yaml", text)
    with project.emulator("--speed", "100000") as url:
        child = project.start(batch, "--base-url", url)
        die_at(slack, child, call)
        killed = child.end()
        slack.heard = lambda call: None
        after = [project.process(batch, "--base-url", url) for _ in range(2)]
        tasks = project.statement(url)["tasks"]

    assert killed.exit_code == -9, killed
    assert [said.exit_code for said in after] == [0, 0], after
    (shared,) = [file for file in slack.files.values() if file.channel == CHANNEL]
    content = (project.folder / "out" / "one.mp4").read_bytes()
    assert (shared.sha256, shared.title) == (sha256(content).hexdigest(), "batch/one")
    assert len(tasks) == 1
    assert f"slack:{CHANNEL}/batch/one" in after[0].all + project.process("status", "--format", "json").all


def test_a_webhook_takes_no_files(project: Project) -> None:
    """That is said before anything is paid, with what to do."""
    text = (project.folder / project.spec("one")).read_text().replace("jobs:\n", f"  team: {WEBHOOK}\njobs:\n")

    said = project.wanrun("validate", project.write("batch.yaml", text))

    assert said.exit_code == 2, said
    assert "sinks.team: a webhook takes no files; give token and channel, or name this sink in notify" in said.stderr


def test_no_secret_is_anywhere(project: Project, slack: SlackServer) -> None:
    """Through refusals, hangs and the log of every library: nothing that is printed or kept holds token or webhook."""
    hook = spec(project, "one", team=WEBHOOK, events=BOARD, name="hook.yaml")
    board = spec(project, "two", team=by_token(slack), events=BOARD, name="board.yaml")
    canary = f"<html>{TOKEN} {slack.webhook}</html>"
    slack.answers = [(500, {}, canary), (403, {}, canary), (200, {}, f'{{"ok": false, "error": "{TOKEN}"}}'), "break"]
    project.write(
        "sitecustomize.py", "import logging\nlogging.basicConfig(level=logging.DEBUG, filename='debug.log')\n"
    )
    project.environ["PYTHONPATH"] = str(project.folder)
    with project.emulator("--speed", "100000") as url:
        runs = [project.process(hook, board, "--base-url", url, "--events", "e.jsonl") for _ in range(2)]
    runs += [project.process(command, hook, board) for command in ("validate", "plan")]
    runs += [project.process("status"), project.process("plugins", "slack")]
    assert project.process("ledger", "export", "ledger.jsonl").exit_code == 0

    assert [said.exit_code for said in runs] == [0] * 6, runs
    assert "was not told" in runs[0].all
    everything = project.bytes_of(".") + "".join(said.all for said in runs).encode()
    for canary in CANARIES:
        assert canary.encode() not in everything
    assert slack.messages


def test_with_the_emulator_nothing_is_sent(project: Project, slack: SlackServer) -> None:
    """What would have been told is said."""
    said = project.wanrun(spec(project, "one", team=WEBHOOK, events="run_finished"), *FAST)

    assert "would have been told: emulator: batch: 1 done" in said.stdout, said
    assert slack.calls == []


PROBLEMS: dict[str, tuple[str, str]] = {
    "nothing": ("{}", 'batch.yaml:5:17: sinks.team.slack does not fit together; give a mapping with "webhook" or a'),
    "both": (
        '{webhook: "${{ secret.A }}", token: "${{ secret.B }}", channel: C0123}',
        'sinks.team.slack does not fit together; give a mapping with "webhook" or a mapping with "token" and "channel"',
    ),
    "no channel": ('{token: "${{ secret.B }}"}', 'a mapping with "webhook" or a mapping with "token" and "channel"'),
    "misspelt": ('{webhok: "${{ secret.A }}"}', 'unknown key "webhok"; did you mean "webhook"?'),
    "a name": ('{token: "${{ secret.B }}", channel: "#general"}', "sinks.team.slack.channel is"),
}


@pytest.mark.parametrize(("options", "words"), PROBLEMS.values(), ids=PROBLEMS)
def test_a_mistake_is_said_at_its_line(project: Project, options: str, words: str) -> None:
    """Before anything is paid."""
    said = project.wanrun("validate", spec(project, "one", team=f"{{slack: {options}}}", events="run_finished"))

    assert said.exit_code == 2, said
    assert words in said.stderr, said


def test_checking_a_spec_loads_nothing_that_speaks_to_the_network(project: Project) -> None:
    """It would take longer than the check."""
    spec(project, "one", team=WEBHOOK, events="run_finished")
    code = "import sys; from wanrun import api; api.load(['batch.yaml']); print({'httpx', 'trio'} & set(sys.modules))"

    done = subprocess.run([sys.executable, "-c", code], cwd=project.folder, capture_output=True, text=True, check=False)

    assert done.stdout == "set()\n", done


def test_a_host_that_is_not_allowed_is_refused(project: Project) -> None:
    """`[allow]` of the settings sees where `api` leads."""
    project.write("wanrun.toml", '[allow]\nhosts = ["slack.com", "example.com"]\nsecrets = ["SLACK_TOKEN"]\n')
    options: dict[str, Any] = {"token": "${{ secret.SLACK_TOKEN }}", "channel": CHANNEL, "api": "https://evil.net/api"}
    team = "{slack: {" + ", ".join(f'{key}: "{value}"' for key, value in options.items()) + "}}"

    said = project.wanrun("validate", spec(project, "one", team=team, events="run_finished"))

    assert said.exit_code == 2, said
    assert "a link to evil.net is not allowed" in said.stderr
