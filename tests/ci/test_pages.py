"""What the pages for CI show can be copied."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from typing import TYPE_CHECKING

import pytest
import yaml
from ci_parts import ACTION, ROOT

from wanrun.errors import ExitCode
from wanrun.project import Setup, open_project
from wanrun.settings import Allow, load_settings
from wanrun.storing import ledger_store_of

if TYPE_CHECKING:
    from pathlib import Path

PAGES = ROOT / "docs" / "ci"
CRON = (PAGES / "cron.md").read_text(encoding="utf-8")
ALL = sorted(PAGES.glob("*.md"))


def blocks(language: str, text: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_readme_leads_to_every_page() -> None:
    """A page that nothing leads to is not read."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    assert [page.name for page in ALL if f"(docs/ci/{page.name})" not in readme] == []


@pytest.mark.parametrize("page", ALL, ids=lambda page: page.name)
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    """To files beside it, and to headings in them."""
    for name, anchor in re.findall(r"\]\((?!https?:)([\w./-]*)(?:#([\w-]+))?\)", page.read_text(encoding="utf-8")):
        target = PAGES / name if name else page
        assert target.is_file(), name
        headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
        known = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert not anchor or anchor in known


def test_the_hook_that_the_page_names_is_there() -> None:
    """With the keys that pre-commit takes."""
    _, shown = blocks("yaml", (PAGES / "github.md").read_text(encoding="utf-8"))
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))

    assert yaml.safe_load(shown)["repos"][0]["hooks"][0]["id"] == hook["id"]


def test_the_step_and_the_table_that_the_page_shows_are_read(tmp_path: Path) -> None:
    """By the action, and by the command line."""
    page = (PAGES / "github.md").read_text(encoding="utf-8")
    (step,) = yaml.safe_load(blocks("yaml", page)[0])
    (table,) = blocks("toml", page)
    (tmp_path / "wanrun.toml").write_text(table, encoding="utf-8")

    assert step["with"].keys() <= ACTION["inputs"].keys()
    assert ledger_store_of(open_project(Setup(folder=tmp_path))).place() == "oss://my-ledgers/wanrun-ledger/"


def test_the_lists_that_the_page_shows_are_read(tmp_path: Path) -> None:
    """Every one of them."""
    (shown,) = blocks("toml", (PAGES / "allow.md").read_text(encoding="utf-8"))
    (tmp_path / "wanrun.toml").write_text(shown, encoding="utf-8")

    assert load_settings(start=tmp_path, environ={}).allow != Allow()
    assert tomllib.loads(shown)["allow"].keys() == {"hosts", "kinds", "secrets", "plugins"}


def test_what_to_be_told_of_has_every_exit_code_of_a_run() -> None:
    """Whoever sets up an alarm decides about each."""
    table = CRON.partition("| exit code |")[2].partition("\n\n")[0]
    listed = {int(code) for row in re.findall(r"^\| ([\d, ]+) \|", table, re.MULTILINE) for code in row.split(",")}

    assert listed == {int(code) for code in ExitCode} - {ExitCode.CHANGES}


def test_the_script_for_cron_is_silent_unless_a_person_must_look(tmp_path: Path) -> None:
    """cron sends a mail when something is printed."""
    (script,) = blocks("sh", CRON)
    (tmp_path / "bin").mkdir()
    (tmp_path / "env").write_text("DASHSCOPE_API_KEY=sk-x\n")
    (tmp_path / "hourly").write_text(script.replace("/etc/wanrun.env", str(tmp_path / "env")))
    wanrun = tmp_path / "bin" / "wanrun"

    said = {}
    for code in (0, 3, 1, 4):
        wanrun.write_text(f"#!/bin/sh\necho [$DASHSCOPE_API_KEY] $*\nexit {code}\n")
        wanrun.chmod(0o755)
        done = subprocess.run(
            ["sh", tmp_path / "hourly"],
            cwd=tmp_path,
            env={"PATH": f"{tmp_path}/bin:/usr/bin:/bin"},
            capture_output=True,
        )
        said[code] = (done.returncode, done.stdout.decode().splitlines()[:1])

    assert said == {0: (0, []), 3: (0, []), 1: (1, ["wanrun ended with 1"]), 4: (4, ["wanrun ended with 4"])}
    assert "[sk-x] run --require-ledger --max-wait 50m" in (tmp_path / "wanrun.log").read_text()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_the_units_are_what_systemd_takes(tmp_path: Path) -> None:
    """By its own check; the program and the alarm of the page are put in place of those that are not here."""
    service, timer = (text for text in blocks("ini", CRON))
    service = service.replace("OnFailure=wanrun-alarm@%n.service\n", "").replace("User=edits\n", "")
    (tmp_path / "wanrun.service").write_text(service)
    (tmp_path / "wanrun.timer").write_text(timer)

    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", tmp_path / "wanrun.service", tmp_path / "wanrun.timer"],
        capture_output=True,
        text=True,
    )

    ours = [line for line in done.stderr.splitlines() if "wanrun" in line]
    assert (done.returncode, ours) == (0, []), done.stderr
