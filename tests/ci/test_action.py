"""The steps of `action.yml`, really run against a service on loopback: what is paid for once stays paid for once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from base64 import b64encode
from typing import TYPE_CHECKING

import pytest
from ci_parts import BRANCH, SPEC, WANRUN, Job, Repository, comments, gates, git, lose_the_machine, service

from oss_server import OssServer
from oss_server.server import KEY as OSS
from processes import COMMAND, statement, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

KEY = {"api-key": "sk-key-of-the-repository"}
FIRST = {"command": "apply", "first-run": "true", **KEY}
APPLY = {"command": "apply", **KEY}
PLAN = {"command": "plan"}
WHO = "https://github.example.com/someone/edits/actions/runs/{}, attempt 1"


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    """Return a repository whose settings name a service that works at once."""
    with service(tmp_path / "emulator") as url:
        yield Repository(tmp_path / "hub", url)


def job(repository: Repository, name: str, inputs: dict[str, str], **environ: str) -> Job:
    return Job(repository.folder / name, repository, inputs, {"WAITS": "0 0", **environ}, run_id=name)


def tasks_made(repository: Repository) -> int:
    made: int = statement(repository.base_url)["tasks_made"]
    return made


def wanrun(folder: Path, *args: str, **environ: str) -> str:
    """Run a command as a person does, and return what it prints."""
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "DASHSCOPE_API_KEY": KEY["api-key"], **environ}
    done = subprocess.run([*COMMAND, *args], cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


# Apply


def test_what_was_applied_is_not_paid_for_again(repository: Repository) -> None:
    """The first apply makes the branch; the next one has nothing to do and writes nothing."""
    repository.push("one", "two")

    first = job(repository, "first", FIRST).run()
    commits = repository.commits()
    second = job(repository, "second", APPLY).run()
    repository.push("one", "two", "three")
    third = job(repository, "third", APPLY).run()

    assert not first.failed, first.said
    assert (first.exit_code, second.exit_code, third.exit_code) == ("0", "0", "0")
    assert second.outcomes["Lend the ledger to this job"] == "skipped"
    assert (commits, repository.commits()) == (2, 4)  # lent and given back, twice
    assert tasks_made(repository) == 3
    assert (repository.ledger() or {})["lent_to"] is None


def test_a_ledger_is_begun_only_when_that_is_said(repository: Repository) -> None:
    """Without its branch every job would look new."""
    repository.push("one")

    said = job(repository, "first", APPLY).run()

    assert said.failed
    assert "::error::there is no branch wanrun-ledger. If nothing has ever been applied, run once with first-run" in (
        said.said
    )
    assert (repository.ledger(), tasks_made(repository)) == (None, 0)


def test_a_machine_that_is_lost_between_paying_and_saving_makes_the_next_job_stop(repository: Repository) -> None:
    """Until a person has looked at the account; then nothing is paid for twice."""
    repository.push("one")
    assert not job(repository, "first", FIRST).run().failed
    repository.push("one", "two")
    lost = job(repository, "lost", APPLY).run(until="Apply")
    with lost.started("Apply") as process:
        wait_until(lambda: tasks_made(repository) == 2)
        lose_the_machine(process)

    stopped = job(repository, "stopped", APPLY).run()
    made_by_then = tasks_made(repository)
    planned = job(repository, "planned", PLAN | {"comment": "false"}).run()
    _look_and_take_back(repository)
    again = job(repository, "again", APPLY).run()

    assert stopped.failed
    assert f"was lent to {WHO.format('lost')} at 20" in stopped.said
    assert made_by_then == 2
    assert not planned.failed, planned.said
    assert not again.failed, again.said
    assert tasks_made(repository) == 2
    assert (repository.ledger() or {})["lent_to"] is None


def _look_and_take_back(repository: Repository) -> None:
    """Do what docs/ci/github.md says, in a clone of one's own."""
    work = repository.work
    git(work, "fetch", "--quiet", "origin", BRANCH)
    git(work, "worktree", "add", "--quiet", "--detach", "../ledger", "FETCH_HEAD")
    wanrun(work, "ledger", "import", "../ledger/ledger.jsonl")
    (task,) = [row for row in json.loads(wanrun(work, "tasks", "--format", "json"))["tasks"] if row["job"] is None]
    wanrun(work, "resolve", "batch/two", "--adopt", task["task"], "--spec", "specs/batch.yaml")
    wanrun(work, "ledger", "reclaim", WHO.format("lost"))
    wanrun(work, "ledger", "export", "../ledger/ledger.jsonl", "--force")
    git(repository.folder / "ledger", "commit", "--quiet", "--all", "--message", "Taken back")
    git(repository.folder / "ledger", "push", "--quiet", "origin", f"HEAD:{BRANCH}")


def test_the_jobs_token_takes_the_place_of_the_one_that_a_checkout_has_kept(repository: Repository) -> None:
    """A call with two is answered with 400."""
    repository.push("one")
    with gates() as gate:
        first = job(repository, "first", FIRST)
        first.environ["GITHUB_SERVER_URL"] = gate.url
        git(first.checkout, "remote", "set-url", "origin", f"{gate.url}/someone/edits")
        git(first.checkout, "config", f"http.{gate.url}/.extraheader", "Authorization: basic a2VwdA==")

        first.run()

    assert first.failed  # nothing is behind this gate
    assert gate.tokens == [f"basic {b64encode(b'x-access-token:token-of-the-job').decode()}"]


def test_of_two_jobs_at_once_one_runs(repository: Repository) -> None:
    """Both have the ledger; the branch takes one push."""
    repository.push("one")
    assert not job(repository, "first", FIRST).run().failed
    repository.push("one", "two")

    early = job(repository, "early", APPLY).run(until="Lend the ledger to this job")
    late = job(repository, "late", APPLY).run()
    with early.started("Lend the ledger to this job") as process:
        said, _ = process.communicate()

    assert not late.failed, late.said
    assert early.failed
    assert "::error::the branch wanrun-ledger has moved on, or cannot be written; nothing was submitted" in said
    assert tasks_made(repository) == 2
    assert (repository.ledger() or {})["lent_to"] is None


STORE = {"ledger-store": "true"}
OSS_KEY = {"OSS_ACCESS_KEY_ID": OSS.id, "OSS_ACCESS_KEY_SECRET": OSS.secret}


@pytest.fixture
def bucket(tmp_path: Path, repository: Repository) -> Iterator[OssServer]:
    """Object storage that the repository's settings name as the ledger store."""
    with OssServer(tmp_path / "oss") as running:
        settings = repository.work / "wanrun.toml"
        table = f"[ledger_store.oss]\nregion = 'cn-hangzhou'\nbucket = 'results'\nendpoint = '{running.url}'\n"
        settings.write_text(settings.read_text() + table)
        yield running


def test_through_a_ledger_store_one_of_two_jobs_at_once_runs(repository: Repository, bucket: OssServer) -> None:
    """The first apply begins it; nothing is pushed, and nothing is paid twice."""
    repository.push("one")
    refused = job(repository, "refused", APPLY | STORE, **OSS_KEY).run()
    planned = job(repository, "planned", PLAN | STORE | {"comment": "false"}, **OSS_KEY).run()
    first = job(repository, "first", FIRST | STORE, **OSS_KEY).run()
    repository.push("one", "two")

    early = job(repository, "early", APPLY | STORE, **OSS_KEY).run(until="Lend the ledger to this job")
    late = job(repository, "late", APPLY | STORE, **OSS_KEY).run(until="Apply")
    with early.started("Lend the ledger to this job") as process:
        said, _ = process.communicate()
    for step in ("Apply", "Give the ledger back"):
        with late.started(step) as process:
            process.communicate()
    idle = job(repository, "idle", APPLY | STORE, **OSS_KEY).run()

    assert refused.failed
    assert "::error::the ledger store has no ledger. If nothing has ever been applied, run once with" in refused.said
    assert "batch/one" in planned.summary
    assert not first.failed, first.said
    assert early.failed
    assert f"was lent to {WHO.format('late')} at 20" in said
    assert not late.failed
    assert (idle.failed, idle.exit_code) == (False, "0"), idle.said
    assert (tasks_made(repository), repository.commits()) == (2, 0)
    newest = max(key for key in bucket.objects if key.endswith(".gz"))
    assert f"{newest.removesuffix('.jsonl.gz')}.lock" not in bucket.objects


def test_a_machine_that_is_lost_leaves_the_ledger_of_the_store_lent(repository: Repository, bucket: OssServer) -> None:
    """Until a person has looked at the account and taken it back."""
    repository.push("one")
    assert not job(repository, "first", FIRST | STORE, **OSS_KEY).run().failed
    repository.push("one", "two")
    lost = job(repository, "lost", APPLY | STORE, **OSS_KEY).run(until="Apply")
    with lost.started("Apply") as process:
        wait_until(lambda: tasks_made(repository) == 2)
        lose_the_machine(process)

    stopped = job(repository, "stopped", APPLY | STORE, **OSS_KEY).run()
    work = repository.work
    wanrun(work, "ledger", "import", "--store", **OSS_KEY)
    (task,) = [row for row in json.loads(wanrun(work, "tasks", "--format", "json"))["tasks"] if row["job"] is None]
    wanrun(work, "resolve", "batch/two", "--adopt", task["task"], "--spec", "specs/batch.yaml")
    wanrun(work, "ledger", "reclaim", WHO.format("lost"))
    wanrun(work, "ledger", "export", "--store", **OSS_KEY)
    again = job(repository, "again", APPLY | STORE, **OSS_KEY).run()

    assert stopped.failed
    assert f"was lent to {WHO.format('lost')} at 20" in stopped.said
    assert not again.failed, again.said
    assert tasks_made(repository) == 2


def test_the_ledger_is_kept_as_it_is_whatever_a_repository_does_with_its_files(repository: Repository) -> None:
    """A filter for all files, such as that of Git LFS, would leave a pointer on the branch."""
    repository.push("one")
    first = job(repository, "first", FIRST)
    (first.checkout / ".git" / "info" / "attributes").write_text("* filter=other\n")
    git(first.checkout, "config", "filter.other.clean", "echo pointer; cat >/dev/null")

    first.run()

    assert not first.failed, first.said
    assert (repository.ledger() or {})["lent_to"] is None


def test_a_push_that_fails_is_made_again(repository: Repository) -> None:
    """What was paid for is saved at the third try."""
    repository.push("one")
    hook = repository.remote / "hooks" / "pre-receive"
    hook.write_text(
        "#!/bin/sh\necho push >> pushes\n[ $(wc -l < pushes) -ne 2 ] && [ $(wc -l < pushes) -ne 3 ]\n", encoding="utf-8"
    )
    hook.chmod(0o755)

    said = job(repository, "first", FIRST).run()

    assert not said.failed, said.said
    assert (repository.remote / "pushes").read_text().count("push") == 4
    assert not (said.checkout / ".wanrun" / "ledger.jsonl").exists()
    assert (repository.ledger() or {})["lent_to"] is None


def test_a_ledger_that_cannot_be_saved_stays_lent(repository: Repository) -> None:
    """And the job fails, saying where it is."""
    repository.push("one")
    hook = repository.remote / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\n[ -e once ] && exit 1\ntouch once\n", encoding="utf-8")
    hook.chmod(0o755)

    said = job(repository, "first", FIRST).run()

    assert said.outcomes["Give the ledger back"] == "failure"
    assert "::error::the ledger could not be saved. Keep .wanrun/ledger.jsonl of this job" in said.said
    assert (repository.ledger() or {})["lent_to"] is not None
    assert json.loads((said.checkout / ".wanrun" / "ledger.jsonl").read_text().splitlines()[0])["lent_to"] is None


def test_a_cancelled_job_gives_the_ledger_back(tmp_path: Path) -> None:
    """The run ends with its state saved, and the next one brings the result home."""
    with service(tmp_path / "emulator", "--speed", "20") as url:
        repository = Repository(tmp_path / "hub", url)
        repository.push("one")
        cancelled = job(repository, "cancelled", FIRST).run(until="Apply")
        with cancelled.started("Apply") as process:
            wait_until(lambda: tasks_made(repository) == 1)
            process.send_signal(signal.SIGINT)
            said, _ = process.communicate()
        with cancelled.started("Give the ledger back") as process:
            process.communicate()
        following = job(repository, "following", APPLY).run()

        assert cancelled.outputs["apply"] == {"exit-code": "143"}, said
        assert cancelled.outcomes["Give the ledger back"] == "success"
        assert not following.failed, following.said
        assert tasks_made(repository) == 1


def test_what_the_time_did_not_suffice_for_is_no_failure(tmp_path: Path) -> None:
    """Exit code 3 is an output and a notice: the next job goes on."""
    with service(tmp_path / "emulator", "--speed", "1") as url:
        repository = Repository(tmp_path / "hub", url)
        repository.push("one")

        said = job(repository, "first", FIRST | {"max-wait": "1s"}).run()

    assert not said.failed, said.said
    assert said.exit_code == "3"
    assert "::notice::not finished (exit code 3); the next run goes on" in said.said
    assert (repository.ledger() or {})["lent_to"] is None


def test_nothing_is_paid_for_by_a_job_that_was_not_lent_the_ledger(repository: Repository) -> None:
    """Whatever kept it from seeing that there is something to do, such as a disk that is full at that moment."""
    repository.push("one")
    unlucky = job(repository, "unlucky", FIRST)
    program = unlucky.temp / "wanrun" / "venv" / "bin" / "wanrun"
    program.write_text(program.read_text().replace("exec", '[ "$1" = plan ] && exit 3\nexec', 1))

    unlucky.run()

    assert unlucky.failed
    assert unlucky.exit_code == "3"
    assert unlucky.outcomes["Apply"] == "skipped"
    assert tasks_made(repository) == 0


def test_options_are_given_to_the_run(repository: Repository) -> None:
    """One word a line; with options, such as --again, the ledger is always lent."""
    repository.push("one")
    assert not job(repository, "first", FIRST).run().failed

    again = job(repository, "again", APPLY | {"options": "--again\nbatch/one\n"}).run()
    wrong = job(repository, "wrong", APPLY | {"options": "--max-cost\n1 CNY; touch pwned"}).run()

    assert not again.failed, again.said
    assert tasks_made(repository) == 2
    assert wrong.exit_code == "2"
    assert not list(repository.folder.rglob("pwned"))


def test_nothing_that_a_stranger_names_is_run(repository: Repository) -> None:
    """Neither a file's name nor what is in a spec."""
    name = "specs/$(touch pwned) `touch pwned`;touch pwned.yaml"
    repository.push("one", name=name, head="name: batch\n" + SPEC)
    repository.push("--ledger=x", name="specs/--help.yaml", head="name: other\n" + SPEC)

    said = job(repository, "plan", PLAN | {"comment": "false"}).run()

    assert "ledger=x" in said.summary, said.said
    assert not list(repository.folder.rglob("pwned"))


# Plan


def test_a_plan_is_one_comment_that_is_written_anew(repository: Repository) -> None:
    """What others have written is left alone, even if it looks the same."""
    repository.push("one")
    with comments() as hub:
        for number in range(120):
            hub.add(f"comment {number}", "User")
        hub.add("<!-- wanrun plan --> mine", "User")
        event = {"pull_request": {"number": 5}}
        repository.push("one", "two")
        jobs = [
            Job(repository.folder / name, repository, PLAN, {"GITHUB_API_URL": hub.url}, event).run()
            for name in ("opened", "pushed")
        ]
        written = [comment for comment in hub.comments if comment["user"]["type"] == "Bot"]
        posts = [call for call in hub.calls if not call.startswith("GET")]

    assert [each.failed for each in jobs] == [False, False], jobs[0].said + jobs[1].said
    assert [each.exit_code for each in jobs] == ["0", "0"]
    assert len(written) == 1
    assert written[0]["body"].startswith("<!-- wanrun plan -->\n")
    assert "batch/one" in written[0]["body"]
    assert hub.comments[120]["body"] == "<!-- wanrun plan --> mine"
    assert posts == ["POST /repos/someone/edits/issues/5/comments", "PATCH /repos/someone/edits/issues/comments/122"]
    assert "batch/two" in jobs[1].summary


def test_a_plan_that_fails_says_why_in_the_comment(repository: Repository) -> None:
    """The problems, each at its line; the job fails with their exit code."""
    repository.push("one", head=SPEC.replace("defaults", "defualts"))
    with comments() as hub:
        event = {"pull_request": {"number": 5}}
        said = Job(repository.folder / "job", repository, PLAN, {"GITHUB_API_URL": hub.url}, event).run()

    assert (said.failed, said.exit_code) == (True, "2")
    assert 'specs/batch.yaml:2:1: unknown key "defualts"; did you mean "defaults"?' in hub.comments[0]["body"]
    assert "::error file=specs/batch.yaml,line=2" in said.said


def test_where_a_comment_may_not_be_written_the_summary_has_the_plan(repository: Repository) -> None:
    """As for a pull request from a fork."""
    repository.push("one")
    with comments() as hub:
        hub.refuse = 403
        event = {"pull_request": {"number": 5}}
        said = Job(repository.folder / "job", repository, PLAN, {"GITHUB_API_URL": hub.url}, event).run()

    assert not said.failed, said.said
    assert "::notice::the plan is in the summary only: this job may not comment here (403)" in said.said
    assert "batch/one" in said.summary


@pytest.mark.parametrize("status", [500, None], ids=["answers with 500", "cannot be reached"])
def test_a_comment_that_could_not_be_written_fails_the_job_in_words(repository: Repository, status: int | None) -> None:
    """The one that is there is of an earlier plan."""
    repository.push("one")
    with comments() as hub:
        hub.refuse = status
        url = hub.url if status else "http://127.0.0.1:9"
        event = {"pull_request": {"number": 5}}
        said = Job(repository.folder / "job", repository, PLAN, {"GITHUB_API_URL": url}, event).run()

    assert said.failed
    assert "::error::the plan is in the summary only, and the comment is not of this plan: " in said.said
    assert "Traceback" not in said.said


def test_the_action_installs_what_it_is_a_part_of(repository: Repository) -> None:
    """From its own folder, with extras, into an environment of its own; and plans with it."""
    repository.push("one")
    made = job(repository, "job", PLAN | {"comment": "false"})
    for path in (made.temp / "wanrun/venv/bin").iterdir():
        path.unlink()

    said = made.run(install=True)

    assert not said.failed, said.said
    assert "batch/one" in said.summary
    assert (made.temp / "wanrun/venv/bin/wanrun").read_text() != WANRUN
