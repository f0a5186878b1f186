"""`wanrun plan`: what would run, what it would cost and what would stop it; as a promise that `run --plan` keeps."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import stat
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cli_parts import FAST, HEAD, SETTINGS, Project

from media_files import make_video, png
from wanrun import Identity, MediaRef, Position
from wanrun.digests import FILE_NAME, Digests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.slow

MEDIA = Path(__file__).parents[2] / "specs" / "media"
POLICY = Path(__file__).with_name("policy_plugin.py")


@pytest.fixture
def install_policy(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], None]]:
    """Return what installs the policy as pip would."""
    site = tmp_path_factory.mktemp("site")

    def install() -> None:
        info = site / "house_rules-2.1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: house-rules\nVersion: 2.1\n")
        (info / "entry_points.txt").write_text("[wanrun]\nhouse = policy_plugin\n")
        (site / "policy_plugin.py").write_text(POLICY.read_text(encoding="utf-8"), encoding="utf-8")
        monkeypatch.syspath_prepend(str(site))

    yield install
    sys.modules.pop("policy_plugin", None)


@pytest.fixture
def policy(install_policy: Callable[[], None]) -> None:
    """Have the policy installed from the start."""
    install_policy()


def local(project: Project, *, prompt: str = "make it night", parameters: str = "{resolution: 720P}") -> str:
    """Write a spec of one job on a local clip of three seconds, and return its name."""
    if not (project.folder / "clip.mp4").exists():
        make_video(project.folder / "clip.mp4", seconds=3)
    line = f"  - {{id: one, prompt: {prompt}, media: [{{video: clip.mp4}}], parameters: {parameters}}}\n"
    return project.write("batch.yaml", f"{HEAD}jobs:\n{line}")


# What it says


def test_a_job_shows_its_media_its_seconds_and_its_price(project: Project) -> None:
    """Length and size of the clip, what its task costs at most, the day of the price, and how long it may take."""
    said = project.wanrun("plan", local(project))

    assert said.exit_code == 0, said
    size = f"{(project.folder / 'clip.mp4').stat().st_size / 1e3:.0f} kB"
    assert said.stdout == (
        f"batch/one  new  submit  clip.mp4 (3.0 s, 320 x 240, {size}); at most 4.48 CNY for 6.1 s\n"
        "\n1 job: 1 submit; at most 4.48 CNY to submit\n"
        "prices of 2026-11-22 (singapore)\n"
        "default: about 1 min to 5 min for 1 task, 5 at once, at 1 to 5 min a task, as is usual\n"
    )


def test_programs_read_the_same(project: Project) -> None:
    """Facts of media, seconds, money by spec and provider, prices with their day, and the guess of the time."""
    (project.folder / "coat.png").write_bytes(png())
    spec = local(project)
    text = (project.folder / spec).read_text().replace("clip.mp4}", "clip.mp4}, {reference_image: coat.png}")
    project.write(spec, text)

    plan = project.wanrun("plan", spec, "--format", "json").json

    (job,) = plan["jobs"]
    clip, coat = job["media"]
    assert (clip["type"], clip["name"], clip["seconds"], clip["width"]) == ("video", "clip.mp4", 3.0, 320)
    assert (coat["name"], coat["format"], coat["bytes"]) == ("coat.png", "png", len(png()))
    assert (job["billed_seconds_at_most"], job["cost_at_most"], job["line"]) == (6.1, "4.4769364 CNY", 6)
    assert (job["changes"], job["objections"], job["occupied"]) == (None, [], None)
    one = {"jobs": 1, "submit": 1, "billed_seconds_at_most": 6.1, "most": {"CNY": "4.4769364"}}
    assert (plan["specs"], plan["providers"]) == ({"batch": one}, {"default": one})
    (price,) = plan["prices"]
    assert (price["region"], price["as_of"], price["per_second"]["720P"]) == ("singapore", "2026-11-22", "0.733924")
    assert plan["durations"][0] == {
        "provider": "default",
        "tasks": 1,
        "at_once": 5,
        "least_seconds": 60.2,
        "most_seconds": 300.2,
        "known_tasks": 0,
    }


def test_what_changed_stands_below_the_job(project: Project) -> None:
    """Words, parameters and bytes, against what was submitted under that address last."""
    project.wanrun(local(project), *FAST)
    make_video(project.folder / "clip.mp4", seconds=4)
    spec = local(project, prompt="make it a night in May", parameters="{resolution: 1080P, seed: 7}")

    said = project.wanrun("plan", spec, "--emulator")

    assert said.exit_code == 0, said
    assert said.stdout.splitlines()[1:6] == [
        "    prompt: make it {+a+} night {+in May+}",
        "    parameters.resolution: 720P -> 1080P",
        "    parameters.seed: (not set) -> 7",
        "    video: clip.mp4 has other bytes",
        "",
    ]
    (job,) = project.wanrun("plan", spec, "--emulator", "--format", "json").json["jobs"]
    assert job["changes"][0] == {"what": "prompt", "before": "make it night", "after": "make it a night in May"}


def test_the_time_is_reckoned_by_what_tasks_took_before(project: Project) -> None:
    """A few that have ended are better than what the service's pages say."""
    project.wanrun(project.spec("a", "b", "c"), *FAST)
    project.spec("a", "b", "c", "d", prompt="another for {}")

    (guess,) = project.wanrun("plan", "batch.yaml", "--emulator", "--format", "json").json["durations"]

    assert (guess["tasks"], guess["known_tasks"]) == (4, 3)
    assert guess["least_seconds"] == guess["most_seconds"] < 60


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        pytest.param(
            'max_cost = "30 CNY"',
            "would stop (budget): budget.max_cost in wanrun.toml is 30.00 CNY, which leaves 30.00 CNY: enough for 1 of"
            " 2 jobs to submit, and not for batch/two, which may cost 22.13 CNY",
            id="a budget",
        ),
        pytest.param(
            'confirm_above = "20 CNY"',
            "would stop (confirmation): it may cost 44.26 CNY, above confirm_above = 20.00 CNY: a run asks first, or"
            " needs --yes",
            id="a question",
        ),
    ],
)
def test_what_would_stop_a_run_is_said_before(project: Project, toml: str, words: str) -> None:
    """A budget that is too small, and money that a person has to agree to; it is no fault of the plan's."""
    project.write("wanrun.toml", f"{SETTINGS}[budget]\n{toml}\n")

    said = project.wanrun("plan", project.spec("one", "two"))

    assert said.exit_code == 0, said
    assert said.stdout.splitlines()[-1] == words


def test_what_a_run_with_a_cap_would_leave_is_said_before(project: Project) -> None:
    """As `run --max-cost` does it, whatever was spent before; an amount that is none is refused in the same words."""
    project.wanrun(project.spec("one"), *FAST)
    spec = project.spec("one", "two", "three")

    said = project.wanrun("plan", spec, "--emulator", "--max-cost", "25 CNY")
    (obstacle,) = project.wanrun("plan", spec, "--emulator", "--max-cost", "25 CNY", "--format", "json").json[
        "obstacles"
    ]
    enough = project.wanrun("plan", spec, "--emulator", "--max-cost", "44.26 CNY", "--format", "json").json
    wrong = [project.wanrun(command, spec, "--emulator", "--max-cost", "25") for command in ("plan", "run")]

    assert said.exit_code == 0, said
    assert said.stdout.splitlines()[-1] == (
        "would stop (budget): --max-cost is 25.00 CNY: enough for 1 of 2 jobs to submit, and not for batch/three, "
        "which may cost 22.13 CNY"
    )
    assert (obstacle["exit_code"], enough["obstacles"]) == (5, [])
    assert {(each.exit_code, each.stderr) for each in wrong} == {
        (2, '--max-cost is "25"; give an amount with its currency, such as "200 CNY"\n')
    }
    other = project.wanrun("plan", spec, "--emulator", "--max-cost", "25 USD")
    assert (other.exit_code, "--max-cost is in USD, but" in other.stderr) == (2, True), other


def test_the_budget_of_a_spec_counts_what_its_jobs_have_cost(project: Project) -> None:
    """Twelve of thirty have gone, so one more job does not fit."""
    project.wanrun(project.spec("one"), *FAST)
    text = (project.folder / project.spec("one", "two")).read_text()
    project.write("batch.yaml", text.replace("version: 1\n", 'version: 1\nbudget: {max_cost: "23 CNY"}\n'))

    (obstacle,) = project.wanrun("plan", "batch.yaml", "--emulator", "--format", "json").json["obstacles"]
    run = project.wanrun("batch.yaml", *FAST)

    assert obstacle["what"] == "budget"
    assert "enough for 0 of 1 jobs to submit" in obstacle["words"]
    assert obstacle["exit_code"] == run.exit_code == 5


def test_a_file_at_a_result_s_place_is_said_before(project: Project) -> None:
    """The job would fail before anything is paid for it; the plan says so, and why."""
    project.write("out/one.mp4", "mine")

    said = project.wanrun("plan", project.spec("one", "two"))

    assert "where there is another file; move it away or give the job another name" in said.stdout.splitlines()[1]
    assert said.stdout.splitlines()[-1].startswith("would stop (place): batch/one: nothing was paid: the sink disk")


# Exit codes


def test_something_to_do_is_an_exit_code(project: Project) -> None:
    """Six before the run, nothing after it; without the option both are fine."""
    spec = project.spec("one")

    assert project.wanrun("plan", spec, "--emulator", "--exit-code").exit_code == 6
    assert project.wanrun("plan", spec, "--emulator").exit_code == 0
    project.wanrun(spec, *FAST)
    assert project.wanrun("plan", spec, "--emulator", "--exit-code").exit_code == 0


# Policies


@pytest.mark.usefixtures("policy")
class TestPolicy:
    """A plugin that objects to jobs."""

    def test_a_veto_is_shown_and_ends_with_2(self, project: Project) -> None:
        """By whom, and why; whatever the plugin says is one line that commands nothing."""
        said = project.wanrun("plan", project.spec("one", "two", prompt="an Acme {}"), "--only", "one")

        assert said.exit_code == 2, said
        assert said.stdout.splitlines()[1] == (
            "    vetoed by house (house-rules 2.1): prompts name no brands; leave out ::error::Acme"
        )
        assert project.wanrun("plan", "batch.yaml", "--exit-code", "--format", "json").exit_code == 2

    def test_a_run_refuses_what_is_vetoed_at_its_line(self, project: Project) -> None:
        """Every veto at once, before anything is submitted or entered."""
        said = project.wanrun(project.spec("one", "two", prompt="an Acme {}"), *FAST)

        assert said.exit_code == 2, said
        first, second, last = said.stderr.splitlines()
        assert first.endswith("batch.yaml:6:5: batch/one: vetoed by house (house-rules 2.1): prompts name no brands;"
                              " leave out ::error::Acme")  # fmt: skip
        assert ":7:5: batch/two: vetoed by" in second
        assert last == "2 problems in batch.yaml; nothing was submitted"
        assert project.wanrun("status", "--emulator").stdout.startswith("no jobs")

    def test_a_policy_knows_the_price(self, project: Project) -> None:
        """A rule about money needs no table of its own."""
        said = project.wanrun("plan", project.spec("one", prompt="a dear {}"))

        assert "vetoed by house (house-rules 2.1): a job costs 15 CNY at most" in said.stdout

    def test_a_warning_stops_nothing(self, project: Project) -> None:
        """It is said by the plan and by the run."""
        spec = project.spec("one", prompt="LOUD")

        plan, run = project.wanrun("plan", spec, "--emulator"), project.wanrun(spec, *FAST)

        assert (plan.exit_code, run.exit_code) == (0, 0), run
        assert "    warned of by house (house-rules 2.1): do not shout" in plan.stdout.splitlines()
        assert "note: batch/one: warned of by house (house-rules 2.1): do not shout" in run.all

    @pytest.mark.parametrize("command", ["plan", "run"])
    def test_a_policy_that_fails_is_named(self, project: Project, command: str) -> None:
        """Nothing is submitted past a policy that could not be asked."""
        said = project.wanrun(command, project.spec("one", prompt="break down"), "--emulator")

        assert said.exit_code == 2, said
        assert "plugin house (house-rules 2.1): its wanrun_check_job" in said.stderr
        assert "ZeroDivisionError: a mistake" in said.stderr

    def test_plugins_shows_it(self, project: Project) -> None:
        """Who may object to jobs is no secret."""
        assert re.search(r"house.*checks jobs", project.wanrun("plugins").stdout)


def test_what_is_done_is_not_asked_about(project: Project, install_policy: Callable[[], None]) -> None:
    """A rule that comes later stands in the way of nothing that is paid for."""
    spec = project.spec("one", prompt="an Acme {}")
    project.wanrun(spec, *FAST)
    install_policy()

    plan, again = project.wanrun("plan", spec, "--emulator"), project.wanrun(spec, "--again", "one", *FAST)

    assert plan.exit_code == 0, plan
    assert again.exit_code == 2, again


# A promise


@pytest.fixture
def promised(project: Project) -> Project:
    """Return a project with a plan of two jobs that have not run."""
    project.wanrun("plan", project.spec("one", "two"), "--emulator", "--out", "plan.json")
    return project


def test_a_plan_that_still_holds_is_carried_out(promised: Project) -> None:
    """Without naming the specs again; the plan itself is the user's alone."""
    said = promised.wanrun("run", "--plan", "plan.json", *FAST)

    assert said.exit_code == 0, said
    assert "2 done; 2 tasks submitted" in said.stdout
    assert stat.S_IMODE((promised.folder / "plan.json").stat().st_mode) == 0o600


def test_a_plan_keeps_what_was_chosen(project: Project) -> None:
    """The options of the plan are those of the run."""
    project.wanrun("plan", project.spec("one", "two"), "--emulator", "--only", "two", "--out", "plan.json")

    said = project.wanrun("run", "--plan", "plan.json", *FAST)

    assert "1 done; 1 task submitted" in said.stdout, said
    assert (project.folder / "out").exists() is False
    assert [path.name for path in (project.folder / ".wanrun").rglob("*.mp4")] != []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        pytest.param((), "--max-cost of plan.json is 25.00 CNY", id="none of the run's own"),
        pytest.param(("--max-cost", "90 CNY"), "--max-cost of plan.json is 25.00 CNY", id="a higher one"),
        pytest.param(("--max-cost", "23 CNY"), "--max-cost is 23.00 CNY", id="a lower one"),
    ],
)
def test_a_plan_keeps_its_run_to_what_it_may_cost(project: Project, given: tuple[str, ...], words: str) -> None:
    """What was planned for 25 CNY submits no more, whatever the run is given; it may be given less."""
    spec = project.spec("one", "two", "three")
    project.wanrun("plan", spec, "--emulator", "--max-cost", "25 CNY", "--out", "plan.json")

    said = project.wanrun("run", "--plan", "plan.json", *FAST, *given)

    assert said.exit_code == 5, said
    assert f"{words}: 4.40 CNY spent and 0.00 CNY reserved leave no room for batch/two" in said.stdout
    assert "1 done, 2 new; 1 task submitted" in said.stdout


def edited(project: Project) -> None:
    project.spec("one", "two", prompt="another prompt of {}")


def commented(project: Project) -> None:
    path = project.folder / "batch.yaml"
    path.write_text(path.read_text() + "# a comment\n")


def with_another_job(project: Project) -> None:
    project.spec("one", "two", "three")


def without_a_job(project: Project) -> None:
    project.spec("one")


def with_a_budget(project: Project) -> None:
    project.write("wanrun.toml", f'{SETTINGS}[budget]\nmax_cost = "100 CNY"\n')


def with_another_region(project: Project) -> None:
    project.write(
        "wanrun.toml", SETTINGS.replace("[providers.default]\n", '[providers.default]\nregion = "beijing"\n', 1)
    )


def after_a_run(project: Project) -> None:
    project.wanrun("batch.yaml", "--only", "one", *FAST)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(
            edited,
            ["batch.yaml was edited", "batch/one: prompt: {+another+} prompt of one"],
            id="a prompt",
        ),
        pytest.param(commented, ["batch.yaml was edited"], id="a comment"),
        pytest.param(with_another_job, ["batch/three is a job now, and was not planned"], id="a job more"),
        pytest.param(without_a_job, ["batch/two was planned, and is no job of these specs now"], id="a job less"),
        pytest.param(with_a_budget, ["settings: budget.max_cost was nothing, and is 100.00 CNY"], id="the settings"),
        pytest.param(
            with_another_region, ["settings: providers.default.region was nothing, and is beijing"], id="a region"
        ),
        pytest.param(after_a_run, ["batch/one: was new (submit), and is done (nothing)"], id="the ledger"),
    ],
)
def test_a_run_refuses_a_plan_that_no_longer_holds(promised: Project, change: Any, words: list[str]) -> None:
    """Exit code 2, with what has changed; nothing is submitted."""
    change(promised)

    said = promised.wanrun("run", "--plan", "plan.json", *FAST)

    assert said.exit_code == 2, said
    head, *lines = said.stderr.splitlines()
    assert head == "plan.json: something has changed since this plan was made; nothing was submitted. Plan anew:"
    assert [line for line in words if f"  {line}" not in lines] == []
    tasks = promised.wanrun("status", "--emulator", "--format", "json").json["jobs"]
    assert len(tasks) == (1 if change is after_a_run else 0)


def test_other_bytes_of_an_input_break_a_plan(project: Project) -> None:
    """The spec is the same, and the job is not."""
    project.wanrun("plan", local(project), "--emulator", "--out", "plan.json")
    make_video(project.folder / "clip.mp4", seconds=4)

    said = project.wanrun("run", "--plan", "plan.json", *FAST)

    assert said.exit_code == 2, said
    assert "  batch/one: video: clip.mp4 has other bytes" in said.stderr.splitlines()


def test_a_plan_against_the_service_is_none_for_the_emulator(project: Project) -> None:
    """Their ledgers are two."""
    project.wanrun("plan", project.spec("one"), "--out", "plan.json")

    said = project.wanrun("run", "--plan", "plan.json", *FAST)

    assert "  ledger: path was .wanrun/ledger.db, and is .wanrun/emulator/ledger.db" in said.stderr.splitlines(), said


def test_a_plan_is_the_same_in_another_checkout(
    project: Project, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One machine plans on a pull request, another applies it: where the project lies is no part of a promise."""
    toml = f'{SETTINGS}[budget]\nmax_cost = "30 CNY"\n[secrets]\nfolder = "mounted"\n'
    project.write("wanrun.toml", toml)
    spec = project.spec("one", "two")
    text = (project.folder / spec).read_text().replace("version: 1\n", 'version: 1\nbudget: {max_cost: "25 CNY"}\n')
    project.write(spec, text)
    project.wanrun("plan", spec, "--emulator", "--out", "plan.json")
    other = Project(tmp_path_factory.mktemp("other") / "project", project.capture)
    shutil.copytree(project.folder, other.folder)
    monkeypatch.chdir(other.folder)

    run = other.wanrun("run", "--plan", "plan.json", *FAST)

    assert run.exit_code == 5, run  # as the plan has said: there is no room for the second job
    assert "1 done, 1 new; 1 task submitted" in run.stdout


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("", id="empty"),
        pytest.param("[]", id="a list"),
        pytest.param("{}", id="another object"),
        pytest.param('{"plan_version": 2}', id="a newer one"),
        pytest.param('{"plan_version": 1}', id="without a promise"),
        pytest.param('{"plan_version": 1, "promise": {"specs": 3, "selection": {}, "jobs": []}}', id="other types"),
        pytest.param("[" * 100_000, id="depth"),
    ],
)
def test_what_is_no_plan_is_refused(project: Project, content: str) -> None:
    """In one line that says how to make one, or to make it anew."""
    project.write("plan.json", content)

    said = project.wanrun("run", "--plan", "plan.json", *FAST)

    assert (said.exit_code, said.stdout) == (2, "")
    assert re.fullmatch(r"plan\.json: .*(wanrun plan --out FILE|make it anew)\n", said.stderr), said


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("batch.yaml", id="the spec"),
        pytest.param("notes.txt", id="somebody's file"),
        pytest.param("link", id="a link to it"),
        pytest.param(".wanrun", id="a folder"),
        pytest.param("pipe", id="a pipe"),
        *(f".wanrun/emulator/ledger.{each}" for each in ("db", "db-journal", "lock")),
    ],
)
def test_a_plan_takes_the_place_of_nothing_but_a_plan(project: Project, name: str) -> None:
    """A slip of the hand costs no ledger, no spec and nobody's file; nor is a name taken that the ledger needs."""
    spec = project.spec("one")
    project.wanrun(spec, *FAST)
    project.write("notes.txt", '{"mine": 1}')
    (project.folder / "link").symlink_to("notes.txt")
    os.mkfifo(project.folder / "pipe")
    before = {path: path.read_bytes() for path in project.folder.rglob("*") if path.is_file()}

    said = project.wanrun("plan", spec, "--emulator", "--out", name)

    assert (said.exit_code, said.stdout) == (2, "")
    assert re.search(rf"{re.escape(name)}:? .*\(given by --out\)\n$", said.stderr), said
    assert {path: path.read_bytes() for path in project.folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("mode", [0o644, 0o600])
def test_a_plan_takes_the_place_of_an_older_one(promised: Project, mode: int) -> None:
    """Whatever that allowed others, prompts are the user's alone; so does a file of no bytes give way."""
    (promised.folder / "plan.json").chmod(mode)
    (promised.folder / "empty").touch(mode)

    for name in ("plan.json", "empty"):
        said = promised.wanrun("plan", promised.spec("one"), "--emulator", "--out", name)

        assert said.exit_code == 0, said
        assert stat.S_IMODE((promised.folder / name).stat().st_mode) == 0o600
        assert list(json.loads((promised.folder / name).read_text())["promise"]["jobs"]) == ["batch/one"]
    assert list(promised.folder.glob(".wanrun-*")) == []


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        pytest.param("selection", "limit", "x", id="a limit of text"),
        pytest.param("selection", "limit", True, id="a limit that is none"),
        pytest.param("selection", "limit", -1, id="a limit below one"),
        pytest.param("selection", "only_changed", "no", id="a choice of text"),
        pytest.param("selection", "retry_failed", 1, id="a choice of a number"),
        pytest.param("selection", "only", "one", id="patterns that are none"),
        pytest.param("selection", "tag", 5, id="tags that are none"),
        pytest.param("selection", "max_cost", "much", id="an amount that is none"),
        pytest.param("selection", "max_cost", 5, id="an amount of a number"),
        pytest.param("specs", "\0a.yaml", "0", id="a name that no file has"),
        pytest.param("specs", "\ud800.yaml", "0", id="a name that cannot be written"),
        pytest.param(None, "obstacles", 3, id="obstacles that are none"),
        pytest.param(None, "selection", [["limit", 1]], id="a selection that is a list"),
    ],
)
def test_a_damaged_plan_is_said_to_be_damaged(promised: Project, part: str | None, key: str, value: Any) -> None:
    """Whatever stands in it, in one line."""
    plan = json.loads((promised.folder / "plan.json").read_text())
    (plan["promise"][part] if part is not None else plan["promise"])[key] = value
    promised.write("plan.json", json.dumps(plan))

    said = promised.wanrun("run", "--plan", "plan.json", *FAST)

    assert (said.exit_code, said.stdout) == (2, "")
    assert said.stderr == "plan.json: the plan is damaged; make it anew\n"


@pytest.mark.parametrize("more", [("--only", "one"), ("--only-changed",), ("--limit", "1"), ("--retry-failed",)])
def test_a_plan_says_already_which_jobs(promised: Project, more: tuple[str, ...]) -> None:
    """Options that choose jobs belong to the plan."""
    said = promised.wanrun("run", "--plan", "plan.json", *more, *FAST)

    assert said.exit_code == 2
    assert "--plan says already which jobs to take" in said.stderr


def test_a_run_needs_specs_or_a_plan(project: Project) -> None:
    """Neither is a mistake of the call."""
    said = project.wanrun("run", *FAST)

    assert (said.exit_code, "Missing argument 'SPECS...'" in said.stderr) == (2, True)


# Only what has changed


def test_only_what_is_new_or_has_changed(project: Project) -> None:
    """Plan and run leave alone what is done, failed or under way."""
    project.wanrun(project.spec("one", "two"), *FAST)
    text = (project.folder / project.spec("one", "two", "three")).read_text()
    project.write("batch.yaml", text.replace("prompt of two", "another prompt"))

    plan = project.wanrun("plan", "batch.yaml", "--emulator", "--only-changed", "--format", "json").json
    run = project.wanrun("batch.yaml", "--only-changed", *FAST)

    assert [(job["job"], job["state"]) for job in plan["jobs"]] == [("batch/two", "changed"), ("batch/three", "new")]
    assert "2 done; 2 tasks submitted" in run.stdout, run
    assert project.wanrun("plan", "batch.yaml", "--emulator", "--only-changed").stdout == "no jobs\n"


# Digests


def test_plan_and_run_trust_what_is_known_of_a_file(project: Project) -> None:
    """A clip that was read once is not read again: what was noted of it is what the plan says, and the run sends."""
    clip = MEDIA / "street.mp4"
    spec = project.write("batch.yaml", f"{HEAD}jobs:\n  - {{id: one, prompt: x, media: [{{video: {clip}}}]}}\n")
    before = project.wanrun("plan", spec, "--format", "json").json["jobs"][0]["fingerprint"]
    digests = Digests(project.folder / ".wanrun")
    assert (project.folder / ".wanrun" / FILE_NAME).exists()
    ref = MediaRef("video", "file", {"path": str(clip)}, project.folder, Position(Path("x"), 1, 1))
    known = digests.identity(ref, clip, lambda: Identity("sha256:read again"))
    assert known.key != "sha256:read again"

    digests.forget(ref)
    digests.identity(ref, clip, lambda: Identity(f"sha256:{'0' * 64}", clip.stat().st_size, "video/mp4"))
    digests.save()
    wrong = project.wanrun("plan", spec, "--format", "json").json["jobs"][0]["fingerprint"]
    run = project.wanrun(spec, *FAST)
    again = project.wanrun(spec, "--retry-failed", *FAST)

    assert wrong != before
    assert "changed since the plan; run again to submit it as it is now" in run.stdout, run
    assert (run.exit_code, again.exit_code) == (1, 0), again  # what turned out wrong was forgotten
    assert project.wanrun("plan", spec, "--format", "json").json["jobs"][0]["fingerprint"] == before


def test_a_folder_that_cannot_be_written_stops_no_plan(project: Project) -> None:
    """What is learned of files is kept where that is possible."""
    project.write(".wanrun", "a file")
    project.write("wanrun.toml", "")

    said = project.wanrun("plan", local(project))

    assert said.exit_code == 0, said


# A pull request's comment


def test_a_comment_says_it_at_a_glance(project: Project) -> None:
    """The head counts jobs and money; tables are folded away."""
    project.wanrun(project.spec("one", "two"), *FAST)
    project.spec("one", "two", "three", prompt="another prompt of {}")

    said = project.wanrun("plan", "batch.yaml", "--emulator", "--format", "markdown")

    head, *_ = said.stdout.splitlines()
    assert head == "### wanrun: 3 jobs to submit, at most 66.38 CNY"
    assert "3 jobs: 2 changed, 1 new (3 submit).<br>" in said.stdout
    assert "| `batch` | 3 | 3 | 60.3 s | 66.38 CNY |" in said.stdout
    assert "<details><summary>3 jobs to submit</summary>" in said.stdout
    assert "| `batch/three` | new | 22.13 CNY |  |" in said.stdout


def test_a_comment_with_nothing_to_do_is_short(project: Project) -> None:
    """Two lines and the table of the spec."""
    project.wanrun(project.spec("one"), *FAST)

    said = project.wanrun("plan", "batch.yaml", "--emulator", "--format", "markdown")

    assert said.stdout.startswith("### wanrun: nothing to do\n\n1 job: 1 done (1 nothing).\n")
    assert "<details>" not in said.stdout


EVIL = "@octocat | <img src=x> [a](http://evil) `x` **b** #1 </code></details> <!-- ::error::x \u202e"


def test_foreign_text_is_nothing_but_text_in_a_comment(project: Project) -> None:
    """No markup, mention, link or reference comes out of a prompt, a file's name or a plugin's words."""
    project.wanrun(project.spec("one", prompt="plain"), *FAST)
    project.write(
        "batch.yaml",
        (project.folder / "batch.yaml").read_text().replace("prompt: plain", f"prompt: {json.dumps(EVIL)}"),
    )

    said = project.wanrun("plan", "batch.yaml", "--emulator", "--format", "markdown")

    (row,) = [line for line in said.stdout.splitlines() if line.startswith("| `batch/one`")]
    assert row.count("|") == 5
    text = re.sub(r"</?code>|&#\d+;", "", row.partition("<code>")[2]).rstrip(" |")
    assert not set(text) & set("&@<>[]()`*#|!-:_\u202e"), text
    assert "octocat" in text


def test_a_comment_fits_whatever_the_batch(project: Project) -> None:
    """A thousand jobs with long prompts stay below what the service takes, and what is left out is counted."""
    ids = [f"a-job-with-a-long-name-{n:04}" for n in range(1000)]
    project.wanrun(project.spec(*ids[:3]), *FAST)
    project.spec(*ids, prompt='\\"*|~ü' * 60 + " {}")
    project.write("wanrun.toml", f'{SETTINGS}[budget]\nmax_cost = "30 CNY"\n')
    for each in ids:
        project.write(f"out/{each}.mp4", "mine")

    said = project.wanrun("plan", "batch.yaml", "--format", "markdown")

    assert len(said.stdout.encode()) < 65_536
    assert re.search(r"and \d+ more: `wanrun plan` lists them", said.stdout)
    assert said.stdout.count("<details>") == said.stdout.count("</details>") > 0


# Chains


def chained(project: Project) -> str:
    """Write a spec of a chain of three and one job beside it, and return its name."""
    return project.write(
        "batch.yaml",
        f"{HEAD}jobs:\n"
        "  - {id: one, prompt: make it night, media: [{video: https://example.com/1.mp4}], parameters: {duration: 4}}\n"
        "  - {id: two, prompt: make it clay, media: [{video: {job: one}}]}\n"
        "  - {id: three, prompt: make it anime, media: [{video: {job: two}}]}\n"
        "  - {id: other, prompt: make it snow, media: [{video: https://example.com/other.mp4}]}\n",
    )


def test_a_chain_shows_what_waits_for_what_and_takes_its_time(project: Project) -> None:
    """A job made from another one costs what that can make at most, and comes a round after it."""
    said = project.wanrun("plan", chained(project))

    assert said.stdout == (
        "batch/one    new  submit  at most 15.52 CNY for 14.1 s\n"
        "batch/two    new  submit  after batch/one; at most 8.92 CNY for 8.1 s\n"
        "batch/three  new  submit  after batch/two; at most 8.92 CNY for 8.1 s\n"
        "batch/other  new  submit  at most 22.13 CNY for 20.1 s\n"
        "\n4 jobs: 4 submit; at most 55.48 CNY to submit\n"
        "prices of 2026-11-22 (singapore)\n"
        "default: about 3 min to 15 min for 4 tasks, 5 at once, at 1 to 5 min a task, as is usual\n"
    )


def test_programs_read_what_a_job_chains_from(project: Project) -> None:
    """As addresses; the medium is named by whose result it is."""
    jobs = project.wanrun("plan", chained(project), "--format", "json").json["jobs"]

    assert [job["chains_from"] for job in jobs] == [[], ["batch/one"], ["batch/two"], []]
    assert jobs[1]["media"] == [{"type": "video", "name": "the result of batch/one"}]


def test_what_changed_above_is_named_below(project: Project) -> None:
    """The job that was edited shows how, and those below it which result they will be made from now."""
    project.wanrun(chained(project), *FAST)
    spec = project.folder / "batch.yaml"
    project.write("batch.yaml", spec.read_text().replace("make it night", "make it late"))

    said = project.wanrun("plan", "batch.yaml", "--emulator")

    assert said.stdout.splitlines()[:6] == [
        "batch/one    changed  submit   at most 15.52 CNY for 14.1 s",
        "    prompt: make it [-night-] {+late+}",
        "batch/two    changed  submit   after batch/one; at most 8.92 CNY for 8.1 s",
        "    video: the result of batch/one is another one",
        "batch/three  changed  submit   after batch/two; at most 8.92 CNY for 8.1 s",
        "    video: the result of batch/two is another one",
    ]


def test_below_a_failed_job_the_plan_and_the_run_say_why(project: Project) -> None:
    """Blocked is exit code 1: a person must look at the job that failed. A plan file keeps its promise all the same."""
    faults = project.faults(
        {"on": "create", "nth": 1, "do": {"fail": {"code": "DataInspectionFailed", "message": "No."}}}
    )

    ran = project.wanrun(chained(project), *FAST, *faults)
    said = project.wanrun("plan", "batch.yaml", "--emulator", "--out", "plan.json")
    again = project.wanrun("run", "--plan", "plan.json", *FAST)

    reason = "batch/one, which it chains from, is failed: No. (DataInspectionFailed)"
    assert ran.exit_code == again.exit_code == 1
    assert f"batch/two is blocked: {reason}" in ran.stdout
    assert f"batch/two    blocked  nothing  {reason}" in said.stdout.splitlines()
    assert "nothing was submitted" in again.stdout


def test_status_says_who_is_blocked_and_who_waits(project: Project) -> None:
    """By the ledger alone and whichever jobs are asked for; also in one of an older wanrun, once a run has met it."""
    faults = project.faults(
        {"on": "create", "nth": 1, "do": {"fail": {"code": "DataInspectionFailed", "message": "No."}}}
    )
    spec = chained(project)
    reason = "batch/one, which it chains from, is failed: No. (DataInspectionFailed)"

    def stands(*patterns: str) -> dict[str, tuple[str, str]]:
        jobs = project.wanrun("status", *patterns, "--emulator", "--format", "json").json["jobs"]
        return {job["job"]: (job["state"], job["why"]) for job in jobs}

    project.wanrun(spec, *FAST, *faults, "--only", "one")
    project.wanrun(spec, *FAST, "--exclude", "one")
    alone = stands("three")
    doctor = project.wanrun("doctor", "--emulator")
    with closing(sqlite3.connect(project.folder / ".wanrun/emulator/ledger.db")) as raw:
        raw.execute("UPDATE entries SET chains_from = NULL")
        raw.commit()
    before = stands("two")
    project.wanrun(spec, *FAST)
    blocked = stands()
    project.wanrun(spec, *FAST, "--retry-failed", "--limit", "1")
    waiting = stands()

    assert alone == {"batch/three": ("blocked", reason)}
    assert "1 failed, 2 blocked, 1 done" in doctor.stdout, doctor
    assert before == {"batch/two": ("new", "")}
    assert blocked["batch/two"] == ("blocked", reason)
    assert (waiting["batch/two"], waiting["batch/three"]) == (("new", ""), ("new", "after batch/two"))
