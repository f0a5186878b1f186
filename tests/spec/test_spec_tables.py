"""Tables: a row, a job; what a cell becomes where it stands, and what is read at all."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from wanrun.spec import load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wanrun.catalog import Catalog
    from wanrun.spec import Loaded

    LoadText = Callable[[str], Loaded]

START = "version: 1\ndefaults: {model: wan2.7-videoedit}\njobs:\n"
JOB = "  - id: row-${{ row.sku }}\n    table: {csv: t.csv}\n    media: [{video: c.mp4}]\n"


def said_of(loaded: Loaded) -> list[str]:
    return [f"{problem.position.path.name}:{problem.position.line}: {problem.message}" for problem in loaded.problems]


@pytest.fixture
def load_table(tmp_path: Path, load_text: LoadText) -> Callable[..., Loaded]:
    """A function that loads a job beside a table."""

    def load_it(table: str | bytes, job: str = JOB, name: str = "t.csv") -> Loaded:
        (tmp_path / name).write_bytes(table.encode() if isinstance(table, str) else table)
        return load_text(START + job)

    return load_it


@pytest.mark.parametrize(
    ("cell", "value"),
    [("5", 5), (" 5 ", 5), ("0x1f", 31)],
)
def test_a_cell_becomes_the_number_that_the_model_wants(
    load_table: Callable[..., Loaded], cell: str, value: int
) -> None:
    """Spaces around a number do not count."""
    loaded = load_table(f"sku,seed\na,{cell}\n", JOB + '    parameters: {seed: "${{ row.seed }}"}\n')

    assert said_of(loaded) == []
    assert loaded.jobs[0].parameters == {"seed": value}
    assert type(loaded.jobs[0].parameters["seed"]) is int


def test_a_cell_is_text_where_text_is_wanted(load_table: Callable[..., Loaded]) -> None:
    """A prompt that looks like a number stays the text it is, and so does a choice; all of them plain texts."""
    job = JOB + '    prompt: ${{ row.prompt }}\n    tags: ["${{ row.tag }}"]\n'
    job += '    parameters: {resolution: "${{ row.size }}"}\n'

    (made,) = load_table("sku,prompt,tag,size\n007, 12 ,5,720P\n", job).jobs

    assert (made.id, made.prompt, made.tags, made.parameters) == ("row-007", " 12 ", ("5",), {"resolution": "720P"})
    assert {type(value) for value in (made.id, made.prompt, made.tags[0], made.parameters["resolution"])} == {str}


def test_a_cell_becomes_what_the_option_of_a_plugin_wants(load_table: Callable[..., Loaded]) -> None:
    """By the schema of the kind of source, as with parameters of the model."""
    job = JOB.replace("{video: c.mp4}", '{video: {camera: {number: "${{ row.camera }}"}}}')

    loaded = load_table("sku,camera\na,3\n", job)

    assert said_of(loaded) == []
    assert dict(loaded.jobs[0].media[0].options) == {"number": 3}


def test_a_cell_inside_a_text_stays_text(load_table: Callable[..., Loaded]) -> None:
    """Only a template that is one whole value has a type."""
    loaded = load_table("sku,n\na,007\n", JOB + "    prompt: take ${{ row.n }}\n")

    assert loaded.jobs[0].prompt == "take 007"


def test_a_row_keeps_the_types_of_json(load_table: Callable[..., Loaded]) -> None:
    """Numbers, truth values and mappings; a row may have keys that others have not."""
    job = JOB.replace("{csv: t.csv}", "{jsonl: t.jsonl}") + (
        '    prompt: ${{ row.look.words }}\n    parameters: {seed: "${{ row.seed }}", watermark: "${{ row.mark }}"}\n'
    )
    rows = '{"sku": "a", "look": {"words": "soft"}, "seed": 5, "mark": true, "more": [1]}\r\n\n'

    loaded = load_table(rows, job, "t.jsonl")

    assert said_of(loaded) == []
    assert (loaded.jobs[0].prompt, loaded.jobs[0].parameters) == ("soft", {"seed": 5, "watermark": True})


def test_cells_keep_breaks_quotes_and_commas(load_table: Callable[..., Loaded]) -> None:
    """As spreadsheets write them, with their mark of byte order and line ends; each row knows where it starts."""
    table = '\ufeff sku ,prompt\r\na,"Make it ""clay"",\nsoft"\r\n\r\nb,"x"\r\n'

    jobs = load_table(table, JOB + "    prompt: ${{ row.prompt }}\n").jobs

    assert [(job.id, job.prompt) for job in jobs] == [("row-a", 'Make it "clay",\nsoft'), ("row-b", "x")]
    assert [job.case.rpartition("/")[2] for job in jobs] == ["t.csv:2", "t.csv:5"]


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_a_cell_of_several_lines_is_the_same_whatever_ends_them(load_table: Callable[..., Loaded], ends: str) -> None:
    """A file that was saved on another system makes no changed job, which would be paid for again."""
    table = 'sku,prompt\na,"soft\n\nclay"\nb,x\n'.replace("\n", ends)

    jobs = load_table(table, JOB + "    prompt: ${{ row.prompt }}\n").jobs

    assert [job.prompt for job in jobs] == ["soft\n\nclay", "x"]
    assert [job.case.rpartition("/")[2] for job in jobs] == ["t.csv:2", "t.csv:5"]


def test_every_row_meets_every_combination(load_table: Callable[..., Loaded]) -> None:
    """Rows vary slowest."""
    job = JOB.replace("${{ row.sku }}", "${{ row.sku }}-${{ matrix.take }}") + "    matrix: {take: [1, 2]}\n"

    assert [made.id for made in load_table("sku\na\nb\n", job).jobs] == ["row-a-1", "row-a-2", "row-b-1", "row-b-2"]


def test_the_path_of_a_table_starts_at_the_specs_folder(tmp_path: Path, catalog: Catalog, monkeypatch: Any) -> None:
    """Vars can make it, and messages name it as the spec was named."""
    (tmp_path / "specs").mkdir()
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "t.csv").write_text("sku\na\na b\n", encoding="utf-8")
    spec = tmp_path / "specs" / "hero.yaml"
    text = START + JOB.replace("t.csv", '"${{ vars.tables }}/t.csv"')
    spec.write_text(text.replace("jobs:", "vars: {tables: ../tables}\njobs:"), encoding="utf-8")
    monkeypatch.chdir(tmp_path / "specs")

    loaded = load([spec.relative_to(tmp_path / "specs")], catalog=catalog)

    assert [job.id for job in loaded.jobs] == ["row-a"]
    (problem,) = loaded.problems
    assert problem.message.endswith("(row 2 at ../tables/t.csv:3)")


def test_a_missing_file_of_a_row_is_told_with_the_row(load_table: Callable[..., Loaded]) -> None:
    """What looks at files knows which row named one, but only where a row did."""
    job = JOB.replace("{video: c.mp4}", '{video: "${{ row.clip }}"}')

    made, shared = load_table("sku,clip\na,a.mp4\n", job).jobs[0], load_table("sku,clip\na,a.mp4\n").jobs[0]

    assert made.media[0].case == made.case
    assert shared.media[0].case == ""


def test_a_table_is_read_once_however_many_name_it(tmp_path: Path, load_text: LoadText) -> None:
    """And what is wrong in it is said once, with the first place that names it."""
    (tmp_path / "t.csv").write_text("sku\na,b\n", encoding="utf-8")
    other = JOB.replace("row-", "other-").replace("{csv: t.csv}", "{csv: ./t.csv}")

    (problem,) = load_text(START + JOB + other).problems

    assert problem.position.line == 2
    assert problem.message.endswith(f"(row 1, a table of {tmp_path}/hero.yaml:5:18)")


@pytest.mark.parametrize(
    ("header", "end"),
    [
        ("sku,size", "; known: row.sku, row.size"),
        (
            "sku,KEY=sk-1,product name,the_id_that_was_given_in_1998_by_us",
            "; known: row.sku; names that do not look like one: 3",
        ),
        ("KEY=sk-1,sku", "; known: row.sku; names that do not look like one: 1"),
        ("KEY=sk-1,b c", "; names that do not look like one: 2"),
        ("prompt=sk-1,promt", '; did you mean "row.promt"?'),
    ],
)
def test_columns_are_listed_that_look_like_names(load_table: Callable[..., Loaded], header: str, end: str) -> None:
    """What a template cannot say is of no use there, and may be a secret: any file can be named as a table."""
    job = JOB.replace("id: row-${{ row.sku }}", 'id: "${{ row.prompt }}"')

    (said,) = said_of(load_table(f"{header}\n{header}\n", job))

    assert said.startswith("hero.yaml:4: row.prompt is not defined in ")
    assert said.endswith(f"t.csv:1{end}")


def test_keys_inside_a_row_are_listed_alike(load_table: Callable[..., Loaded]) -> None:
    """They stand in the file as well."""
    job = JOB.replace("csv: t.csv", "jsonl: t.jsonl").replace("row.sku", "row.sku.id")

    (said,) = said_of(load_table('{"sku": {"a": 1, "https://b": 2}}\n', job, "t.jsonl"))

    assert "row.sku.id is not defined; known: row.sku.a; names that do not look like one: 1" in said


@pytest.mark.parametrize(
    ("row", "what"),
    [('"sk-1"', "a text"), ("12345", "a number"), ("true", "true"), ("[]", "a list"), ("null", "empty")],
)
def test_what_is_no_row_is_not_shown(load_table: Callable[..., Loaded], row: str, what: str) -> None:
    """Each line of the file may be a secret."""
    (said,) = said_of(load_table(row, JOB.replace("csv: t.csv", "jsonl: t.jsonl"), "t.jsonl"))

    assert f'a row is a mapping, such as {{"sku": "a1"}}; this is {what} (row 1' in said


def test_faults_of_a_table_end(load_table: Callable[..., Loaded]) -> None:
    """A table in another format is not told line by line without end."""
    said = said_of(load_table("sku\n" + "a,b\n" * 5000))

    assert len(said) == 101
    assert "this is fault number 100; the rest of the table is not looked at" in said[-1]


@pytest.mark.parametrize(
    ("table", "name", "words"),
    [
        ("sku\n" + "a\n" * 100_001, "t.csv", "the table has more than 100,000 rows or 3,000,000 cells"),
        ("a" * (32 * 1024 * 1024 + 1), "t.csv", "the file is larger than 32 MiB"),
        ("sku\n" + "a" * 200_000, "t.csv", "a cell of this row is too long"),
        ('{"sku": ' + "[" * 100_000, "t.jsonl", "this row is nested more than 32 levels deep"),
        ('{"sku": ' + "[" * 40 + "]" * 40 + "}", "t.jsonl", "this row is nested more than 32 levels deep"),
        ('{"sku": 1e999}', "t.jsonl", '"1e999" is not a number that a spec can hold'),
        ('{"sku": ' + "1" * 5000 + "}", "t.jsonl", "is not a number that a spec can hold"),
        ("sku\n\0\n", "t.csv", "the character U+0000 may not stand in a table"),
    ],
    ids=["rows", "bytes", "cell", "deep", "a little too deep", "infinite", "digits", "nul"],
)
def test_what_a_table_may_hold_is_bounded(load_table: Callable[..., Loaded], table: str, name: str, words: str) -> None:
    """A stranger's table cannot fill the memory, nor reach what comes after with values that it cannot hold."""
    job = JOB.replace("csv: t.csv", "jsonl: t.jsonl") if name == "t.jsonl" else JOB

    (said,) = said_of(load_table(table, job, name))

    assert words in said


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_not_waited_for(tmp_path: Path, load_text: LoadText) -> None:
    """A spec may be a stranger's."""
    os.mkfifo(tmp_path / "t.csv")

    assert said_of(load_text(START + JOB)) == ["hero.yaml:5: t.csv: this is not a regular file; name one file"]


def test_links_in_a_circle_are_no_file(tmp_path: Path, load_text: LoadText) -> None:
    """Nor is what no path can hold."""
    (tmp_path / "t.csv").symlink_to("t.csv")

    (loop,), (nul,) = said_of(load_text(START + JOB)), said_of(load_text(START + JOB.replace("t.csv", '"a\\0b"')))

    assert loop.startswith("hero.yaml:5: t.csv: cannot be read (")
    assert "the character U+0000 may not stand in a spec" in nul


@pytest.mark.parametrize(
    ("table", "place"),
    [
        (b'{"id":"\xc3\xa9\xc3\xa9","p":"a\xff"}', (1, 18)),
        (b"\xef\xbb\xbfsku\r\n\xff", (2, 1)),
        (b"\xef\xbb\xbf\xc3\xa9\xff", (1, 2)),
        (b"sku\ra\rb\xff\r", (3, 2)),
    ],
)
def test_what_is_not_utf8_stands_at_a_character_of_a_line(
    load_table: Callable[..., Loaded], table: bytes, place: tuple[int, int]
) -> None:
    """As editors count them: whatever ends the lines, and without a mark of byte order."""
    (problem,) = load_table(table).problems

    assert (problem.rule, problem.position.line, problem.position.column) == ("not-utf8", *place)
