"""What a person sees of money: caps and their exit code, sums, and the question before much is spent."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from cli_parts import FAST, HEAD, SETTINGS, terminal

from processes import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli_parts import Project

KEY = {"DASHSCOPE_API_KEY": "sk-test"}


def test_a_cap_stops_the_run_and_says_all_there_is_to_it(project: Project) -> None:
    """Exit code 5 also at the emulator, so that a budget can be tried out; what was submitted is delivered."""
    said = project.wanrun(project.spec("one", "two", "three"), *FAST, "--max-cost", "25 CNY")

    assert said.exit_code == 5, said
    assert said.stdout.splitlines() == [
        ".wanrun/emulator/delivered/out/one.mp4",
        "at the service this would be: 4.40 CNY spent",
        "--max-cost is 25.00 CNY: 4.40 CNY spent and 0.00 CNY reserved leave no room for batch/two, which may cost "
        "22.13 CNY; 2 jobs are left. Run again to go on",
        "1 done, 2 new; 1 task submitted. Ledger: .wanrun/emulator/ledger.db",
    ]


def test_at_one_screen_a_reason_is_said_once(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the run stops, and not again below; a log of standard output alone has it too."""
    monkeypatch.setattr("wanrun.cli.run.is_one_screen", lambda: True)

    said = project.wanrun(project.spec("one", "two"), *FAST, "--max-cost", "25 CNY")

    assert said.exit_code == 5, said
    assert ("stopping: --max-cost is 25.00 CNY" in said.stderr, said.all.count("Run again to go on")) == (True, 1)


def test_money_is_in_the_json_of_run_status_and_plan(project: Project) -> None:
    """Amounts are texts with all their digits, so that no program adds up rounding."""
    project.write("wanrun.toml", f'{SETTINGS}[budget]\nmax_cost = "200 CNY"\n')
    spec = project.spec("one", "two")

    plan = project.wanrun("plan", spec, "--emulator", "--format", "json").json
    run = project.wanrun(spec, *FAST, "--format", "json").json
    status = project.wanrun("status", "--emulator", "--format", "json").json

    spent = [{"currency": "CNY", "spent": "8.807088", "reserved": "0"}]
    assert plan["most"] == {"CNY": "44.2556172"}
    assert plan["jobs"][0]["cost_at_most"] == "22.1278086 CNY"
    assert (run["money"], run["money_of_run"]) == (spent, spent)
    assert (status["money"], status["max_cost"]) == (spent, "200.00 CNY")


def test_status_says_what_is_spent_of_how_much(project: Project) -> None:
    """Below the jobs, and whatever the ledger knows of money beyond these."""
    project.write("wanrun.toml", f'{SETTINGS}[budget]\nmax_cost = "200 CNY"\n')
    project.wanrun(project.spec("one", "two"), *FAST)

    said = project.wanrun("status", "--emulator")

    assert said.stdout.splitlines()[-1] == "at the service this would be: 8.81 CNY spent of at most 200.00 CNY"


def test_the_emulator_asks_nothing(project: Project) -> None:
    """It costs nothing, so there is nothing to agree to."""
    project.write("wanrun.toml", f'{SETTINGS}[budget]\nconfirm_above = "1 CNY"\n')

    assert project.wanrun(project.spec("one"), *FAST).exit_code == 0


@pytest.mark.parametrize(
    ("budget", "where", "words"),
    [
        ("{max_cost: 50}", "3:20", 'budget.max_cost is 50; give text, such as "50 CNY"'),
        ("{max_cost: fifty}", "3:20", 'budget.max_cost is "fifty"; give text, such as "50 CNY"'),
        ("{max_cost: 50 cny}", "3:20", 'budget.max_cost is "50 cny"; give text, such as "50 CNY"'),
        ('{max_cost: "${{ vars.much }}"}', "3:20", 'give text, such as "50 CNY"'),
        ("{max_cost: 50 EUR}", "3:20", "budget.max_cost is in EUR, but wan2.7-videoedit is billed in CNY"),
        ("{max_csot: 50 CNY}", "3:10", 'unknown key "max_csot"; did you mean "max_cost"?'),
        ("{confirm_above: 5 CNY}", "3:9", 'budget needs the key "max_cost", such as max_cost: "50 CNY"'),
        ("50 CNY", "3:9", 'budget is "50 CNY"; give a mapping with "max_cost"'),
    ],
)
def test_a_wrong_budget_of_a_spec_is_a_problem_at_its_place(
    project: Project, budget: str, where: str, words: str
) -> None:
    """Exit code 2 at validate already, at file:line:column."""
    text = (project.folder / project.spec("one")).read_text()
    head, _, rest = text.partition("sinks:")
    project.write("batch.yaml", f"{head}budget: {budget}\nsinks:{rest}")

    said = project.wanrun("validate", "batch.yaml")

    assert said.exit_code == 2, said
    assert said.stderr.startswith(f"batch.yaml:{where}: "), said
    assert words in said.stderr


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("max_cost = 200", 'wanrun.toml: budget.max_cost is 200; give an amount with its currency, such as "200 CNY"'),
        ('max_cost = "200"', 'wanrun.toml: budget.max_cost is "200"; give an amount with its currency'),
        ('max_cots = "1 CNY"', 'wanrun.toml: unknown key "budget.max_cots"; did you mean "max_cost"?'),
        ('confirm_above = "2 USD"', "wanrun.toml: budget.confirm_above is in USD, but wan2.7-videoedit is billed in"),
    ],
)
def test_a_wrong_budget_of_the_operator_is_named(project: Project, line: str, words: str) -> None:
    """Exit code 2, with the key and what to write."""
    project.write("wanrun.toml", f"[budget]\n{line}\n")

    said = project.wanrun("validate", project.spec("one"))

    assert (said.exit_code, words in said.stderr) == (2, True), said


@pytest.fixture
def careful(project: Project) -> Iterator[tuple[Project, str]]:
    """Return a project whose operator wants to be asked above 30 CNY, and the base URL of a service."""
    project.write("wanrun.toml", f'{SETTINGS}[budget]\nconfirm_above = "30 CNY"\n')
    with project.emulator("--speed", "100000") as url:
        yield project, url


@pytest.mark.slow
@pytest.mark.parametrize(
    ("typed", "code", "made"),
    [("y\n", 0, 2), ("what?\nYES\n", 0, 2), ("n\n", 2, 0), ("\n", 2, 0), ("\x04", 2, 0)],
    ids=["y", "nonsense, then yes", "n", "nothing", "end of input"],
)
def test_at_a_terminal_a_person_is_asked_once(careful: tuple[Project, str], typed: str, code: int, made: int) -> None:
    """With jobs and amount; only a yes submits anything."""
    project, url = careful
    with terminal(project, project.spec("one", "two"), "--base-url", url, **KEY) as screen:
        screen.until("2 jobs to submit may cost up to 44.26 CNY. Submit? [y/N] ")
        screen.type(typed)
        if typed == "\x04":
            screen.until("[y/N] \r\nnot confirmed")  # a line of its own

        assert screen.end() == code, screen.seen

    assert project.statement(url)["tasks_made"] == made


@pytest.mark.slow
def test_a_signal_ends_the_question(careful: tuple[Project, str]) -> None:
    """Exit code 130 as anywhere, and nothing is submitted."""
    project, url = careful
    with terminal(project, project.spec("one", "two"), "--base-url", url, **KEY) as screen:
        screen.until("[y/N] ")
        screen.process.send_signal(signal.SIGINT)

        assert screen.end() == 130, screen.seen

    assert project.statement(url)["tasks_made"] == 0


@pytest.mark.slow
def test_without_a_terminal_nobody_is_asked(careful: tuple[Project, str]) -> None:
    """Exit code 2 before anything is submitted, or --yes; what costs less goes through."""
    project, url = careful
    spec = project.spec("one", "two")

    refused = project.process(spec, "--base-url", url, **KEY)
    before = project.statement(url)["tasks_made"]
    small = project.process(project.spec("three", name="small.yaml"), "--base-url", url, **KEY)
    agreed = project.process(spec, "--base-url", url, "--yes", **KEY)

    assert (refused.exit_code, before) == (2, 0), refused
    assert refused.stderr.endswith(
        "2 jobs to submit may cost up to 44.26 CNY, which is above confirm_above = 30.00 CNY; nothing was submitted. "
        "Run it at a terminal to be asked, or with --yes\n"
    )
    assert (small.exit_code, agreed.exit_code, project.statement(url)["tasks_made"]) == (0, 0, 3)
    assert "by this run: 8.81 CNY spent; in all: 13.21 CNY spent\n" in agreed.stdout


def crowd(project: Project) -> str:
    """Write a spec of 10,001 jobs and return its name."""
    axes = f"{{a: {list(range(73))}, b: {list(range(137))}}}"
    job = f"""\
  - id: "${{{{ matrix.a }}}}-${{{{ matrix.b }}}}"
    matrix: {axes}
    prompt: "words of ${{{{ job.id }}}}"
    media: [{{video: https://example.com/one.mp4}}]
"""
    return project.write("crowd.yaml", f"{HEAD}jobs:\n{job}")


@pytest.mark.slow
def test_very_many_jobs_are_asked_about(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand and one without anybody to ask: exit code 2 before anything is sent; the plan says so."""
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-test")
    spec = crowd(project)

    plan = project.wanrun("plan", spec, "--format", "json").json
    fewer = project.wanrun("plan", spec, "--limit", "10000", "--format", "json").json
    run = project.wanrun(spec, "--base-url", "http://127.0.0.1:9/api/v1")

    (obstacle,) = plan["obstacles"]
    assert (obstacle["what"], obstacle["exit_code"]) == ("confirmation", 2)
    assert obstacle["words"] == "it submits 10001 jobs, more than 10000: a run asks first, or needs --yes"
    assert (fewer["actions"], fewer["obstacles"]) == ({"submit": 10000, "nothing": 1}, [])
    assert run.exit_code == 2, run
    assert run.stderr.endswith(
        "10001 jobs to submit may cost up to 221300.21 CNY; a run that submits more than 10000 jobs asks first; "
        "nothing was submitted. Run it at a terminal to be asked, or with --yes\n"
    )


@pytest.mark.slow
def test_very_many_jobs_go_through_when_agreed_to(project: Project) -> None:
    """At a terminal with number and amount; with --yes nobody is asked."""
    project.write("wanrun.toml", SETTINGS)
    spec = crowd(project)
    with project.emulator("--speed", "100000") as url:
        with terminal(project, spec, "--base-url", url, **KEY) as screen:
            screen.until("10001 jobs to submit may cost up to 221300.21 CNY. Submit? [y/N] ")
            assert project.statement(url)["tasks_made"] == 0
            screen.type("y\n")
            wait_until(lambda: project.statement(url)["tasks_made"] > 0)
            screen.process.send_signal(signal.SIGINT)
            assert screen.end() == 130, screen.seen
        before = project.statement(url)["tasks_made"]
        unasked = project.start(spec, "--base-url", url, "--yes", **KEY)
        wait_until(lambda: project.statement(url)["tasks_made"] > before)
        unasked.signal(signal.SIGINT)

        assert unasked.end().exit_code == 130
