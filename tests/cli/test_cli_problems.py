"""How problems of specs are told: as text, at a terminal with the line they are about, and in formats for programs."""

from __future__ import annotations

import html
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cli_parts import HEAD
from jsonschema import Draft202012Validator

from processes import COMMAND
from wanrun.rules import RULES

if TYPE_CHECKING:
    from cli_parts import Project

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas" / "problems.schema.json").read_text(encoding="utf-8"))
MEDIA = "media: [{video: https://example.com/a.mp4}]"
BAD = HEAD + f"jobs:\n  - {{id: a b, {MEDIA}}}\n  - {{id: c, parameters: {{duration: five}}, {MEDIA}}}\n"
SAID = [
    'bad.yaml:6:10: the id "a b" cannot be used: a space may not stand in it; write "a-b"',
    'bad.yaml:7:36: parameters.duration is "five"; give 0 or a whole number from 2 to 10',
]


@pytest.fixture
def at_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what is captured be a terminal, 80 cells wide, that could take colours."""
    monkeypatch.setattr(type(sys.stderr), "isatty", lambda _: True)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")


class TestText:
    """What people read."""

    def test_without_a_terminal_each_problem_is_one_line(self, project: Project) -> None:
        """As compilers write them, so that editors find their way."""
        said = project.wanrun("validate", project.write("bad.yaml", BAD))

        assert (said.exit_code, said.stdout) == (2, "")
        assert said.stderr.splitlines() == [*SAID, "2 problems in bad.yaml; nothing was submitted"]

    @pytest.mark.usefixtures("at_terminal")
    def test_at_a_terminal_the_line_follows_with_a_caret(self, project: Project) -> None:
        """Below what is wrong, as far as it goes; line numbers stand below each other."""
        said = project.wanrun("validate", project.write("bad.yaml", BAD))

        assert said.stderr.splitlines() == [
            SAID[0],
            f"  6 |   - {{id: a b, {MEDIA}}}",
            "    |          ^^^",
            SAID[1],
            f"  7 |   - {{id: c, parameters: {{duration: five}}, {MEDIA[:29]}...",
            "    |                                    ^^^^",
            "2 problems in bad.yaml; nothing was submitted",
        ]

    @pytest.mark.usefixtures("at_terminal")
    def test_a_problem_of_the_whole_points_at_its_start(self, project: Project) -> None:
        """The first key of a job is not what is wrong if another one is missing."""
        said = project.wanrun("validate", project.write("bad.yaml", HEAD + f"jobs:\n  - prompt: x\n    {MEDIA}\n"))

        assert said.stderr.splitlines()[1:3] == ["  6 |   - prompt: x", "    |     ^"]

    @pytest.mark.usefixtures("at_terminal")
    def test_where_there_is_no_line_none_is_shown(self, project: Project) -> None:
        """A file that is not there, and one that is empty."""
        project.write("empty.yaml", "")

        said = project.wanrun("validate", "no.yaml", "empty.yaml")

        assert len(said.stderr.splitlines()) == 3, said

    @pytest.mark.usefixtures("at_terminal")
    def test_colours_are_there_where_they_are_wanted(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        """Not with NO_COLOR, whatever it says, nor at a terminal that takes none."""
        bad = project.write("bad.yaml", BAD)
        without = project.wanrun("validate", bad).stderr
        monkeypatch.setenv("NO_COLOR", "")
        coloured = project.wanrun("validate", bad).stderr
        monkeypatch.setenv("TERM", "dumb")

        assert "\x1b" not in without
        assert "\x1b[1mbad.yaml:6:10:\x1b[0m" in coloured
        assert "\x1b[31m    |          ^^^\x1b[0m" in coloured
        assert re.sub(r"\x1b\[\d+m", "", coloured) == without
        assert project.wanrun("validate", bad).stderr == without

    @pytest.mark.usefixtures("at_terminal")
    def test_what_a_line_holds_drives_no_terminal(self, project: Project) -> None:
        """Nor does it command a CI service, and a link's query is not shown."""
        job = f"jobs:\n  - {{id: a b, prompt: '\u202e ##[error]\u200b', {MEDIA[:-2]}?sig=hidden}}]}}\n"
        said = project.wanrun("validate", project.write("bad.yaml", HEAD + job))

        assert said.stderr.splitlines()[1].startswith("  6 |   - {id: a b, prompt: '\ufffd # #[error]\ufffd', media")
        assert "hidden" not in said.stderr

    @pytest.mark.slow
    def test_a_real_terminal_shows_it(self, project: Project) -> None:
        """With its own width."""
        project.write("bad.yaml", BAD)
        leader, follower = os.openpty()
        env = {"PATH": os.environ["PATH"], "PYTHONUTF8": "1", "TERM": "xterm", "COLUMNS": "60"}
        with subprocess.Popen(
            [*COMMAND, "validate", "bad.yaml"], cwd=project.folder, env=env, stderr=follower
        ) as child:
            os.close(follower)
            shown = b""
            while piece := _read(leader):
                shown += piece
        os.close(leader)

        assert child.returncode == 2
        lines = shown.decode().splitlines()
        assert lines[4].index("five") == lines[5].index("^^^^") - len("\x1b[31m")
        assert len(lines[4]) <= 60


def _read(leader: int) -> bytes:
    try:
        return os.read(leader, 65536)
    except OSError:  # Linux says so when the other end is closed
        return b""


class TestJson:
    """What programs read."""

    @pytest.mark.parametrize(
        "command",
        [("validate",), ("plan",), ("run",), ("resolve", "c", "--adopt", "task-1", "--spec")],
        ids=lambda command: command[0],
    )
    def test_every_command_says_problems_alike(self, project: Project, command: tuple[str, ...]) -> None:
        """On standard output, and nothing on standard error; the exit code stays."""
        said = project.wanrun(*command, project.write("bad.yaml", BAD), "--format", "json")

        assert (said.exit_code, said.stderr) == (2, "")
        Draft202012Validator(SCHEMA).validate(said.json)
        assert set(said.json) == {"notes", "problems"}
        assert said.json["problems"][1] == {
            "file": "bad.yaml",
            "line": 7,
            "column": 36,
            "end_line": 7,
            "end_column": 40,
            "rule": "wrong-type",
            "message": SAID[1].partition(": ")[2],
            "related": [],
        }

    def test_an_end_that_is_not_known_is_null(self, project: Project) -> None:
        """Of a whole mapping, for one."""
        bad = project.write("bad.yaml", HEAD + f"jobs:\n  - {{{MEDIA}}}\n")

        (problem,) = project.wanrun("validate", bad, "--format", "json").json["problems"]

        assert (problem["rule"], problem["end_line"], problem["end_column"]) == ("missing-key", None, None)

    def test_without_problems_the_jobs_are_counted(self, project: Project) -> None:
        """And the notes are there."""
        said = project.wanrun("validate", project.spec("one"), "--format", "json")

        Draft202012Validator(SCHEMA).validate(said.json)
        assert said.json == {"jobs": 1, "notes": [], "problems": []}


MATRIX = f"""\
jobs:
  - id: "${{{{ matrix.look }}}}-${{{{ matrix.seconds }}}}"
    matrix:
      look: [clay]
      seconds: [5, 1]
    parameters: {{duration: "${{{{ matrix.seconds }}}}"}}
    {MEDIA}
"""
TABLE = f"""\
jobs:
  - id: "${{{{ row.sku }}}}"
    table: {{csv: lists/shots.csv}}
    prompt: ${{{{ row.look }}}}
    media: [{{video: "${{{{ row.clip }}}}"}}]
  - {{id: a1, tags: [x], tags: [y], {MEDIA}}}
"""
ROWS = "sku,clip,look\na1,a.mp4,clay\n\na2,https://example.com/b.mp4,\n"


class TestRelated:
    """The other places that a message names, for programs that show them beside it."""

    def found(self, project: Project, text: str) -> list[tuple[str, list[tuple[str, int, int, str]]]]:
        """Return the rule of each problem of a spec, and its other places."""
        project.write("sub/lists/shots.csv", ROWS)
        said = project.wanrun("validate", project.write("sub/bad.yaml", HEAD + text), "--format", "json").json
        Draft202012Validator(SCHEMA).validate(said)
        keys = ("file", "line", "column", "message")
        return [
            (one["rule"], [tuple(other[key] for key in keys) for other in one["related"]]) for one in said["problems"]
        ]

    def test_the_value_of_a_matrix_is_found_where_it_is_written(self, project: Project) -> None:
        """Of the axes that the wrong value was made of."""
        assert self.found(project, MATRIX) == [("out-of-range", [("sub/bad.yaml", 9, 20, "seconds=1")])]

    def test_the_row_of_a_table_is_found_in_its_file(self, project: Project) -> None:
        """Whether a value of it is wrong, a file that it names is missing, or another job has its id."""
        assert self.found(project, TABLE) == [
            ("wrong-type", [("sub/lists/shots.csv", 4, 1, "row 2")]),
            ("source-refused", [("sub/lists/shots.csv", 2, 1, "row 1")]),
            ("id-taken", [("sub/bad.yaml", 6, 9, "the job that has the id")]),
            ("duplicate-key", [("sub/bad.yaml", 10, 14, "the first one")]),
        ]

    def test_what_is_wrong_in_a_table_says_who_names_it(self, project: Project) -> None:
        """And a column that is not there, where the columns are named."""
        unknown = TABLE.replace("row.look", "row.style")
        ragged = TABLE.replace("shots", "ragged")
        project.write("sub/lists/ragged.csv", "sku,clip,look\na1,a.mp4\n")

        assert ("template-undefined", [("sub/lists/shots.csv", 1, 1, "the columns are named here")]) in self.found(
            project, unknown
        )
        assert ("row-ragged", [("sub/bad.yaml", 7, 18, "the table is named here")]) in self.found(project, ragged)

    def test_sarif_has_them_as_related_locations(self, project: Project) -> None:
        """At paths of the same root, each with its words; a problem without any has none."""
        project.write("bad.yaml", HEAD + MATRIX + f"  - {{id: a b, {MEDIA}}}\n")

        first, second = project.wanrun("validate", "bad.yaml", "--format", "sarif").json["runs"][0]["results"]

        assert first["relatedLocations"] == [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": "bad.yaml", "uriBaseId": "PROJECTROOT"},
                    "region": {"startLine": 9, "startColumn": 20},
                },
                "message": {"text": "seconds=1"},
            }
        ]
        assert "relatedLocations" not in second


class TestTables:
    """Any file can be named as a table, by a stranger's spec too: what it holds is not said."""

    TOKEN = "sk-0123456789abcdef0123456789abcdef"
    JOB = f'jobs:\n  - {{id: "${{{{ row.p }}}}", table: {{KIND: secrets}}, {MEDIA}}}\n'

    @pytest.mark.usefixtures("at_terminal")
    @pytest.mark.parametrize("form", ["text", "json", "github", "sarif", "markdown"])
    @pytest.mark.parametrize("kind", ["csv", "jsonl"])
    @pytest.mark.parametrize(
        "secrets",
        [
            f"KEY={TOKEN}\nB=c\n",
            f"{TOKEN}\nb\n",
            f"p,KEY={TOKEN},KEY={TOKEN}\nb\n",
            f"p\n{TOKEN},\n",
            f'"{TOKEN}"\n{TOKEN}\n',
            f'{{"id": "{TOKEN}", "id": 1}}\n{{"{TOKEN}": 1}}\n[] {TOKEN}\n',
            f'{{"{TOKEN}": 1}}\n',
        ],
        ids=["variables", "lines", "columns", "ragged", "texts", "keys", "key"],
    )
    def test_no_problem_says_what_the_file_holds(self, project: Project, form: str, kind: str, secrets: str) -> None:
        """In no format, nor at a terminal; what does not look like the name of a column is not listed."""
        project.write("secrets", secrets)
        bad = project.write("bad.yaml", HEAD + self.JOB.replace("KIND", kind))
        command = "plan" if form == "markdown" else "validate"

        said = project.wanrun(command, bad, *(("--format", form) if form != "text" else ()))

        assert said.exit_code == 2
        assert self.TOKEN not in html.unescape(said.stdout + said.stderr)

    @pytest.mark.usefixtures("at_terminal")
    def test_lines_of_the_spec_are_shown_all_the_same(self, project: Project) -> None:
        """What concerns the table has its place and words only."""
        project.write("secrets", "sku\na,b\n")
        jobs = self.JOB.replace("KIND", "csv") + f"  - {{id: a b, {MEDIA}}}\n"

        said = project.wanrun("validate", project.write("bad.yaml", HEAD + jobs)).stderr.splitlines()

        assert said[0].startswith("bad.yaml:7:10: the id")
        assert said[1].startswith("  7 |   - {id: a b, media")
        assert said[3:] == [
            "secrets:2:1: this row has 2 cells, but the header has 1 column; put quotes around a text with a comma "
            "(row 1, a table of bad.yaml:6:39)",
            "2 problems in 2 files; nothing was submitted",
        ]


class TestBases:
    """A file that specs extend is no spec, and is checked where it is named alone."""

    BASE = "version: 1\ndefaults: {model: wan2.7-videoedit, prompt: x}\n"

    def test_a_base_alone_is_checked(self, project: Project) -> None:
        """And what could not be checked is said."""
        base = project.write("specs/base.yaml", self.BASE)
        note = "specs/base.yaml has no jobs, so it was checked as a base; what a spec makes of it was not checked"

        said = project.wanrun("validate", base)
        mixed = project.wanrun("validate", base, project.spec("one"))

        assert (said.exit_code, said.stdout, said.stderr) == (0, "1 base; no problems\n", f"note: {note}\n")
        assert mixed.stdout == "1 job in 1 spec, 1 base; no problems\n"
        assert project.wanrun("validate", base, "--format", "json").json == {"jobs": 0, "notes": [note], "problems": []}

    TOKEN = TestTables.TOKEN

    @pytest.mark.usefixtures("at_terminal")
    @pytest.mark.parametrize("form", ["text", "json", "github", "sarif", "markdown"])
    @pytest.mark.parametrize(
        "secrets",
        [
            f"KEY={TOKEN}\nB=c\n",
            f"{TOKEN}: 1\n",
            f'{{"{TOKEN}": 1, "{TOKEN}": 2}}',
            f"version: 3\nservices:\n  {TOKEN}: {TOKEN}\n",
            f"version: 1\nconfig: [{{type: wifi, password: {TOKEN}}}]\n",
            f"- *{TOKEN}\n",
            f"key: !{TOKEN} {TOKEN}\nb: {TOKEN}: c\n",
            f"version: 1\n{TOKEN}: '{TOKEN}\n",
            f"a\x01{TOKEN}\n",
            f"\t{TOKEN}\n",
        ],
        ids=["variables", "key", "twice", "version", "config", "alias", "tag", "quote", "control", "tab"],
    )
    def test_no_problem_says_what_another_file_holds(self, project: Project, form: str, secrets: str) -> None:
        """Any file can be named as a base, by a stranger's spec too: in no format, nor at a terminal."""
        project.write("secrets", secrets)
        bad = project.write("bad.yaml", HEAD + f"extends: secrets\njobs:\n  - {{id: a, {MEDIA}}}\n")
        command = "plan" if form == "markdown" else "validate"

        said = project.wanrun(command, bad, *(("--format", form) if form != "text" else ()))

        assert said.exit_code == 2
        assert "secrets" in said.stdout + said.stderr
        assert self.TOKEN not in html.unescape(said.stdout + said.stderr)
        assert " | " not in said.stderr.replace("5 | extends: secrets", "").replace("  |  ", "")

    @pytest.mark.usefixtures("at_terminal")
    def test_lines_of_a_base_are_shown(self, project: Project) -> None:
        """Also where it cannot be read as YAML: by its version and its keys it says that it is one."""
        spec = project.write("bad.yaml", f"version: 1\nextends: base.yaml\njobs:\n  - {{id: a, {MEDIA}}}\n")

        for wrong, column in (("promt: x", 3), ("prompt: a: b", 12)):
            project.write("base.yaml", f"version: 1\ndefaults:\n  model: wan2.7-videoedit\n  {wrong}\n")
            said = project.wanrun("validate", spec).stderr.splitlines()
            assert any(line.startswith(f"base.yaml:4:{column}: ") for line in said)
            assert f"  4 |   {wrong}" in said

    def test_a_file_is_missing_where_it_is_looked_for(self, project: Project) -> None:
        """Below the folder of the base that names it, or of the spec."""
        project.write("shared/base.yaml", self.BASE.replace("x}", "x, media: [{video: a.mp4}]}"))
        jobs = "jobs:\n  - id: a\n  - {id: b, media: [{video: a.mp4}]}\n"

        said = project.wanrun("validate", project.write("hero.yaml", f"version: 1\nextends: shared/base.yaml\n{jobs}"))

        assert said.stderr.splitlines()[:2] == [
            "hero.yaml:5:29: a.mp4: no such file (paths start at the folder of hero.yaml)",
            "shared/base.yaml:2:64: a.mp4: no such file (paths start at the folder of base.yaml)",
        ]

    @pytest.mark.parametrize("command", ["plan", "run"])
    def test_nothing_runs_of_a_base(self, project: Project, command: str) -> None:
        """It says what to name instead."""
        said = project.wanrun(command, project.write("base.yaml", self.BASE))

        assert said.exit_code == 2
        assert said.stderr.splitlines() == [
            "base.yaml:1:1: this file has no jobs, so it is a base; name a spec that extends it",
            "1 problem in base.yaml; nothing was submitted",
        ]


class TestMarkdown:
    """What a reviewer reads in place of a plan."""

    def test_problems_are_a_comment_too(self, project: Project) -> None:
        """A table of places, safe whatever a spec holds; the exit code stays."""
        said = project.wanrun("plan", project.write("bad.yaml", BAD.replace("five", "'@me|x'")), "--format", "markdown")

        assert (said.exit_code, said.stderr) == (2, "")
        lines = said.stdout.splitlines()
        assert lines[0] == "### wanrun: 2 problems"
        assert lines[2:4] == ["| place | problem | rule |", "| --- | --- | --- |"]
        assert lines[5].startswith("| <code>bad.yaml&#58;7&#58;36</code> | <code>parameters.duration is &#34;&#64;me")
        assert lines[5].endswith(" | `wrong-type` |")
        assert lines[5].count("|") == 4

    def test_a_comment_has_room_for_so_many(self, project: Project) -> None:
        """The rest is counted."""
        jobs = "".join(f"  - {{id: 'a b{number}{'|' * 300}', {MEDIA}}}\n" for number in range(60))
        said = project.wanrun("plan", project.write("bad.yaml", HEAD + "jobs:\n" + jobs), "--format", "markdown")

        assert said.stdout.endswith("\n\nand 35 more\n")
        assert len(said.stdout.encode()) < 65_536


class TestGithub:
    """Workflow commands, by GitHub's documentation of them."""

    @pytest.fixture(autouse=True)
    def no_workspace(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Wherever the tests themselves run."""
        monkeypatch.delenv("GITHUB_WORKSPACE", raising=False)

    def test_each_problem_is_an_annotation(self, project: Project) -> None:
        """With the place in properties, and again in the text, since a log shows that alone."""
        said = project.wanrun("validate", project.write("bad.yaml", BAD), "--format", "github")

        assert (said.exit_code, said.stderr) == (2, "")
        where = "file=bad.yaml,line=7,endLine=7,col=36,endColumn=40"
        assert said.stdout.splitlines()[1] == f"::error {where},title=wanrun wrong-type::{SAID[1]}"

    def test_what_would_end_a_command_is_escaped(self, project: Project) -> None:
        """Per cent, line breaks, and in properties colons and commas, by the documented escapes."""
        name = project.write("50%, a:b\n.yaml", f"version: 1\n'::error::x%': 1\njobs: [{{id: a, {MEDIA}}}]\n")

        for line in project.wanrun("validate", name, "--format", "github").stdout.splitlines():
            properties, _, text = line.removeprefix("::error ").partition("::")

            assert properties.startswith("file=50%25%2C a%3Ab%0A.yaml,line=")
            assert [each.partition("=")[0] for each in properties.split(",")][-1] == "title"
            assert text.startswith("50%25, a:b%0A.yaml:")

    def test_paths_are_those_of_the_checkout(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of the workspace, else of the project root; what is elsewhere keeps its whole path."""
        bad = project.write("sub/bad.yaml", BAD)
        outside = project.folder.parent / f"{project.folder.name}.yaml"
        outside.write_text(BAD)
        monkeypatch.chdir(project.folder / "sub")

        def files(*specs: str) -> list[str]:
            said = project.wanrun("validate", *specs, "--format", "github").stdout
            return list(dict.fromkeys(re.findall(r"file=([^,]*),", said)))

        assert files("bad.yaml", str(outside)) == [bad, str(outside)]
        monkeypatch.setenv("GITHUB_WORKSPACE", str(project.folder.parent))
        assert files("bad.yaml", str(outside)) == [f"{project.folder.name}/{bad}", outside.name]
        monkeypatch.setenv("GITHUB_WORKSPACE", "/nowhere")
        assert files("bad.yaml") == [str(project.folder / bad)]

    def test_a_link_to_the_checkout_makes_no_difference(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A spec that is named through a link to its folder is still below the root."""
        project.write("bad.yaml", BAD)
        link = project.folder.parent / f"{project.folder.name}-link"
        link.symlink_to(project.folder)

        said = project.wanrun("validate", str(link / "bad.yaml"), "--format", "github")

        assert said.stdout.startswith("::error file=bad.yaml,")

    def test_without_problems_nothing_is_annotated(self, project: Project) -> None:
        """Exit code 0 says it."""
        said = project.wanrun("validate", project.spec("one"), "--format", "github")

        assert (said.exit_code, said.stdout, said.stderr) == (0, "", "")


class TestSarif:
    """A log that code scanning takes; the official schema is asked in `tests/editors`."""

    def log(self, project: Project, *specs: str) -> Any:
        """Return the one run of a log."""
        said = project.wanrun("validate", *specs, "--format", "sarif")
        assert said.stderr == ""
        (run,) = said.json["runs"]
        assert said.json["version"] == "2.1.0"
        return run

    def test_each_problem_is_a_result_of_its_rule(self, project: Project) -> None:
        """The rule is found by id and by number, and says what it is about."""
        run = self.log(project, project.write("sub folder/bäd.yaml", BAD))

        rules = run["tool"]["driver"]["rules"]
        first, second = run["results"]
        assert [rule["id"] for rule in rules] == list(RULES)
        assert all(rule["shortDescription"]["text"] == RULES[rule["id"]].text for rule in rules)
        assert [rules[each["ruleIndex"]]["id"] for each in (first, second)] == ["id-unfit", "wrong-type"]
        assert [each["ruleId"] for each in (first, second)] == ["id-unfit", "wrong-type"]
        assert second["message"]["text"] == SAID[1].partition(": ")[2]
        (location,) = second["locations"]
        assert location["physicalLocation"] == {
            "artifactLocation": {"uri": "sub%20folder/b%C3%A4d.yaml", "uriBaseId": "PROJECTROOT"},
            "region": {"startLine": 7, "startColumn": 36, "endLine": 7, "endColumn": 40},
        }
        assert run["columnKind"] == "unicodeCodePoints"
        assert "PROJECTROOT" in run["originalUriBaseIds"]

    def test_no_path_of_this_machine_is_in_it(self, project: Project) -> None:
        """The root is a name; only what is outside of it can be named by where it is."""
        bad, outside = project.write("bad.yaml", BAD), project.folder.parent / f"{project.folder.name} out.yaml"
        outside.write_text(BAD)

        inside = self.log(project, str(project.folder / bad))
        uri = self.log(project, str(outside))["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]

        assert str(project.folder) not in json.dumps(inside)
        assert uri == {"uri": outside.as_uri()}

    def test_without_problems_it_is_a_log_without_results(self, project: Project) -> None:
        """So that a service closes what it has open."""
        run = self.log(project, project.spec("one"))

        assert run["results"] == []
        assert run["invocations"] == [{"executionSuccessful": True, "toolExecutionNotifications": []}]


PLUGIN = """\
from typing import Any

from wanrun import Receipt, SinkKind, SourceKind, hookimpl

TEXT = {"type": "string", "description": "A text."}


class Chat:
    def place(self, sink: Any, job: Any) -> str:
        return f"{sink.options['room']}/{job.id}"

    async def deliver(self, delivery: Any, ctx: Any) -> Receipt:
        raise AssertionError


@hookimpl
def wanrun_sinks() -> Any:
    room = {**TEXT, "enum": ["edits", "drafts"]}
    tries = {"type": "integer", "minimum": 1, "maximum": 5, "description": "How often."}
    token = {**TEXT, "minLength": 8, "writeOnly": True}
    properties = {"room": room, "tries": tries, "token": token}
    options = {"type": "object", "additionalProperties": False, "required": ["room"], "properties": properties}
    return {"chat": SinkKind(options=options, build=Chat, short="room")}
"""


class TestThirdParties:
    """The options of an installed plugin are checked like those of wanrun's own kinds."""

    @pytest.fixture(autouse=True)
    def chat(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        """Install a plugin with a sink of its own."""
        site = project.folder.parent / f"{project.folder.name}-site"
        info = site / "chat-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: chat\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[wanrun]\nchat = chat_plugin\n")
        (site / "chat_plugin.py").write_text(PLUGIN)
        monkeypatch.syspath_prepend(str(site))

    def spec(self, project: Project, options: str) -> str:
        """Write a spec with one sink of the plugin's kind and return its name."""
        text = f"version: 1\ndefaults: {{model: wan2.7-videoedit}}\nsinks:\n  team: {{chat: {options}}}\n"
        return project.write("bad.yaml", f"{text}jobs:\n  - {{id: a, {MEDIA}}}\n")

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ("{rom: edits}", [(17, 20, "unknown-key", 'unknown key "rom"; did you mean "room"?')]),
            ("{tries: 2}", [(16, None, "missing-key", 'sinks.team.chat needs the key "room"')]),
            ("{room: all}", [(23, 26, "not-a-choice", 'sinks.team.chat.room is "all"; give "edits" or "drafts"')]),
            ("{room: edits, tries: 9}",
             [(37, 38, "out-of-range", "sinks.team.chat.tries is 9; give a whole number from 1 to 5")]),
            ("{room: edits, token: short}",
             [(37, 42, "text-length", "sinks.team.chat.token is ***; give text of at least 8 characters")]),
            ("5", [(16, 17, "options-not-mapping", "sinks.team.chat is 5; give text, or its options as a mapping")]),
        ],
    )  # fmt: skip
    def test_a_wrong_option_is_reported_at_its_place(self, project: Project, options: str, said: list[Any]) -> None:
        """With the rule, the nearest name and what is allowed."""
        found = project.wanrun("validate", self.spec(project, options), "--format", "json").json["problems"]

        assert [(each["column"], each["end_column"], each["rule"], each["message"]) for each in found] == said

    @pytest.mark.usefixtures("at_terminal")
    @pytest.mark.parametrize(
        "options", ["{room: all, token: hunter2hunter2}", "{room: edits, tokne: hunter2hunter2}", "{token: 1234567890}"]
    )
    def test_a_line_with_a_secret_is_not_shown(self, project: Project, options: str) -> None:
        """Whether it stands in its option or in a misspelt one: what takes a secret says so."""
        said = project.wanrun("validate", self.spec(project, options))

        assert said.exit_code == 2
        assert "hunter2" not in said.stderr
        assert "1234567890" not in said.stderr
        assert "bad.yaml:4:" in said.stderr
        assert " | " not in said.stderr
