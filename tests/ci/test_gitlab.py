"""The scripts of the GitLab example, really run: with a registry on loopback and a service that works at once."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
import yaml
from ci_parts import JOB, ROOT, SETTINGS, SPEC, WANRUN, service, serving

from processes import statement

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

FILE = yaml.safe_load((ROOT / "docs" / "ci" / "gitlab-ci.yml").read_text(encoding="utf-8"))


class Registry(ThreadingHTTPServer):
    """One file of a package registry."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Registry)
        self.content: bytes | None = None

    @property
    def lent_to(self) -> str | None:
        """Who has the ledger."""
        assert self.content is not None
        found: str | None = json.loads(self.content.splitlines()[0])["lent_to"]
        return found


class _Registry(BaseHTTPRequestHandler):
    server: Registry

    def do_GET(self) -> None:
        content = self.server.content
        self._answer(404 if content is None else 200, content or b"{}")

    def do_PUT(self) -> None:
        self.server.content = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(201, b"{}")

    def _answer(self, status: int, content: bytes) -> None:
        assert self.headers["JOB-TOKEN"] == "token-of-the-job"
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@dataclass
class Project:
    """A project, its registry, and the service that its settings name."""

    folder: Path
    url: str
    registry: Registry

    def job(self, name: str, *, number: int, dies: bool = False, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a job on a machine of its own; one that dies does so before `after_script`."""
        job = {**FILE[".wanrun"], **FILE[name]}
        checkout = self.machine(number)
        done = self.do([*job["before_script"][1:], *job["script"]], checkout, number, variables)
        if not dies and "after_script" in job:
            after = self.do(job["after_script"], checkout, number, variables)
            assert after.returncode == 0, after.stderr
        return done

    def machine(self, number: int) -> Path:
        """Return a fresh checkout, with as many jobs in its spec as the number says."""
        checkout = self.folder / f"job-{number}"
        (checkout / "specs").mkdir(parents=True)
        (checkout / "bin").mkdir()
        (checkout / "bin" / "wanrun").write_text(WANRUN)
        (checkout / "bin" / "wanrun").chmod(0o755)
        (checkout / "wanrun.toml").write_text(SETTINGS.format(self.url))
        (checkout / "specs" / "batch.yaml").write_text(
            SPEC + "".join(JOB.format(each) for each in ("one", "two")[:number])
        )
        return checkout

    def do(
        self, lines: list[str], checkout: Path, number: int, variables: dict[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """Run lines of a script as a job's shell does."""
        own = {
            "CI_JOB_TOKEN": "token-of-the-job",
            "CI_JOB_URL": f"https://gitlab.example.com/jobs/{number}",
            "DASHSCOPE_API_KEY": "sk-key-of-the-project",
            "HOME": str(checkout),
            "PATH": f"{checkout}/bin:{os.environ['PATH']}",
            "PYTHONUTF8": "1",
            "WANRUN_LEDGER_URL": f"http://127.0.0.1:{self.registry.server_address[1]}/ledger.jsonl",
            "WANRUN_SPECS": FILE["variables"]["WANRUN_SPECS"],
        }
        script = "set -eo pipefail\n" + "\n".join(lines)
        return subprocess.run(
            ["bash", "-c", script], cwd=checkout, env=own | variables, capture_output=True, text=True, check=False
        )


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """Return a project with an empty registry."""
    with service(tmp_path / "emulator") as url, serving(Registry()) as registry:
        yield Project(tmp_path, url, registry)


def test_what_was_applied_is_not_paid_for_again(project: Project) -> None:
    """From job to job the registry has the ledger; the first one has to be told to begin it."""
    refused = project.job("wanrun apply", number=1)
    first = project.job("wanrun apply", number=1 + 1, WANRUN_FIRST_RUN="true")
    again = project.job("wanrun apply", number=3)
    plan = project.job("wanrun plan", number=4)

    assert refused.returncode == 2, refused
    assert "there is no ledger at" in refused.stderr
    assert (first.returncode, again.returncode, plan.returncode) == (0, 0, 0), (first, again, plan)
    assert statement(project.url)["tasks_made"] == 2
    assert project.registry.lent_to is None
    assert "| `batch` | 2 | 0 |" in plan.stdout


def test_a_machine_that_is_lost_makes_the_next_job_stop(project: Project) -> None:
    """What it paid for is in no copy of the ledger."""
    lost = project.job("wanrun apply", number=1, dies=True, WANRUN_FIRST_RUN="true")
    following = project.job("wanrun apply", number=2)

    assert lost.returncode == 0, lost
    assert following.returncode != 0
    assert "was lent to https://gitlab.example.com/jobs/1 at 20" in following.stderr
    assert statement(project.url)["tasks_made"] == 1
    assert project.registry.lent_to == "https://gitlab.example.com/jobs/1"


def test_a_registry_that_cannot_be_read_is_no_empty_one(project: Project) -> None:
    """Nothing is begun anew because of a fault."""
    said = project.job("wanrun apply", number=1, WANRUN_FIRST_RUN="true", WANRUN_LEDGER_URL="http://127.0.0.1:9/x")

    assert said.returncode != 0
    assert statement(project.url)["tasks_made"] == 0


def test_a_job_that_was_given_up_puts_no_older_ledger_in_place_of_what_was_taken_back(project: Project) -> None:
    """Its machine was not lost but slow: by the time that it ends, another job may have paid for more."""
    slow = project.job("wanrun apply", number=1, dies=True, WANRUN_FIRST_RUN="true")
    _take_back(project, "https://gitlab.example.com/jobs/1")
    taken_back = project.registry.content

    late = project.do(FILE["wanrun apply"]["after_script"], project.folder / "job-1", 1, {})

    assert slow.returncode == 0, slow
    assert late.returncode == 1
    assert "the ledger is no longer lent to this job" in late.stdout
    assert project.registry.content == taken_back


def _take_back(project: Project, who: str) -> None:
    """Do what docs/ci/gitlab.md says, but for adopting."""
    curl = 'curl --silent --show-error --fail --header "JOB-TOKEN: $CI_JOB_TOKEN"'
    lines = [
        f'{curl} --output ledger.jsonl "$WANRUN_LEDGER_URL"',
        "wanrun ledger import ledger.jsonl",
        f'wanrun ledger reclaim "{who}"',
        "wanrun ledger export back.jsonl",
        f'{curl} --upload-file back.jsonl "$WANRUN_LEDGER_URL"',
    ]
    done = project.do(lines, project.machine(9), 9, {})
    assert done.returncode == 0, done.stderr
    assert project.registry.lent_to is None
