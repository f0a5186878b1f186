"""What a spec means: the jobs that come out of it, field by field."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from wanrun.spec import load
from wanrun.spec.document import read
from wanrun.spec.report import Report
from wanrun.types import Position

if TYPE_CHECKING:
    from collections.abc import Callable

    from wanrun.catalog import Catalog
    from wanrun.spec import Loaded
    from wanrun.types import Job

    LoadText = Callable[[str], Loaded]

START = "version: 1\ndefaults: {model: wan2.7-videoedit}\n"
CAMPAIGN = Path(__file__).parent / "good" / "campaign.yaml"


def only_job(loaded: Loaded) -> Job:
    assert [str(problem) for problem in loaded.problems] == []
    (job,) = loaded.jobs
    return job


def test_every_field_of_a_job_is_what_the_spec_says(catalog: Catalog) -> None:
    """A job carries words, media, parameters and sinks as written, with defaults merged under them."""
    loaded = load([CAMPAIGN], catalog=catalog)

    job = loaded.jobs[0]
    assert loaded.specs[0].folder == CAMPAIGN.parent
    assert (job.address, job.spec_path, job.provider) == ("spring-campaign/change-clothes", CAMPAIGN, "default")
    assert job.prompt == "Replace the coat with the one in the picture, a spring mood of spring-campaign."
    assert job.negative_prompt == "blurry\nlow quality\n"
    assert dict(job.parameters) == {"resolution": "1080P", "watermark": False, "prompt_extend": True, "seed": 31}
    assert [(ref.type, ref.kind, dict(ref.options)) for ref in job.media] == [
        ("video", "http", {"url": "https://example.com/shot.mp4?Expires=1&Signature=abc"}),
        ("reference_image", "file", {"path": "coat.png"}),
        ("reference_image", "http", {"url": "https://example.com/coat.png", "key": "v3"}),
        ("reference_image", "url", {"url": "data:image/png;base64,AAAA"}),
    ]
    assert [(ref.name, ref.kind, dict(ref.options)) for ref in job.sinks] == [
        ("disk", "folder", {"path": "out", "name": "spring-campaign/change-clothes.mp4"})
    ]
    assert {ref.folder for ref in (*job.media, *job.sinks)} == {CAMPAIGN.parent}


def test_a_matrix_makes_a_job_for_every_combination_in_the_order_written(catalog: Catalog) -> None:
    """The first axis varies slowest, globs are sorted, and values keep their types."""
    jobs = load([CAMPAIGN], catalog=catalog).jobs[1:-1]

    assert [job.id for job in jobs] == [
        f"{style}-{clip}-{seconds}"
        for style in ("stop-motion", "anime")
        for clip in ("first", "second-shot")
        for seconds in (0, 5)
    ]
    assert [job.parameters["duration"] for job in jobs[:2]] == [0, 5]
    assert jobs[2].media[0].options == {"path": "clips/more/Second shot.mp4"}
    assert jobs[0].prompt == "Convert the entire scene to clay figures (write ${{ to mean it)"
    assert [sink.options.get("path") for sink in jobs[0].sinks] == ["out", "elsewhere"]


def test_words_of_yaml_1_1_are_text(catalog: Catalog) -> None:
    """`on` is a text like any other, and what the service understands by itself is handed on."""
    job = load([CAMPAIGN], catalog=catalog).jobs[-1]

    assert (job.id, job.prompt) == ("on", "on")
    assert [ref.kind for ref in job.media] == ["url", "url"]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("yes", "yes"),
        ("off", "off"),
        ("12:30", "12:30"),
        ("2026-11-22", "2026-11-22"),
        ("1_000", "1_000"),
        ("0b1", "0b1"),
        ("=", "="),
        ("true", True),
        ("False", False),
        ("~", None),
        ("Null", None),
        ("012", 12),
        ("0o17", 15),
        ("0x1F", 31),
        ("+5", 5),
        ("-.5", -0.5),
        ("1e3", 1000.0),
        ("1.", 1.0),
        ("'5'", "5"),
    ],
)
def test_values_follow_the_core_rules_of_yaml_1_2(
    tmp_path: Path, catalog: Catalog, written: str, value: object
) -> None:
    """Only true, false, null and numbers in their core forms are anything but text."""
    (tmp_path / "hero.yaml").write_text(f"a: {written}\n", encoding="utf-8")

    document = read(tmp_path / "hero.yaml", Report(tmp_path))

    assert document
    assert repr(document.root.plain()) == repr({"a": value})  # repr, since 1 == True == 1.0


@pytest.mark.parametrize(
    ("block", "prompt"), [("|", "Make it\nclay.\n"), ("|-", "Make it\nclay."), (">", "Make it clay.\n")]
)
def test_a_prompt_is_kept_exactly_as_yaml_reads_it(load_text: LoadText, block: str, prompt: str) -> None:
    """A fingerprint is of these very characters, so none is taken away."""
    spec = f"{START}jobs:\n  - id: a\n    media: [{{video: c.mp4}}]\n    prompt: {block}\n      Make it\n      clay.\n"

    assert only_job(load_text(spec)).prompt == prompt


def test_mappings_merge_deeply_and_lists_are_replaced(load_text: LoadText) -> None:
    """A job's parameters join those of the defaults; its media take their place."""
    job = only_job(
        load_text(
            "version: 1\n"
            "defaults:\n  model: wan2.7-videoedit\n  prompt: from defaults\n"
            "  media: [{video: default.mp4}]\n  parameters: {seed: 1, watermark: true}\n"
            "jobs:\n  - id: a\n    media: [{video: own.mp4}]\n    parameters: {seed: 2}\n"
        )
    )

    assert job.prompt == "from defaults"
    assert [dict(ref.options) for ref in job.media] == [{"path": "own.mp4"}]
    assert dict(job.parameters) == {"seed": 2, "watermark": True}


def test_without_sinks_results_go_to_the_folder_out(load_text: LoadText) -> None:
    """A spec that says nothing of sinks has one all the same."""
    job = only_job(load_text(f"{START}jobs: [{{id: a, media: [{{video: c.mp4}}]}}]"))

    assert [(sink.name, sink.kind, dict(sink.options)) for sink in job.sinks] == [("out", "folder", {"path": "out"})]


def test_a_job_that_names_no_sinks_gets_all_of_them(load_text: LoadText) -> None:
    """The sinks of the spec, in the order written."""
    sinks = "sinks: {b: {folder: one}, a: {folder: two}, x-c: free}\n"

    job = only_job(load_text(f"{START}{sinks}jobs: [{{id: a, media: [{{video: c.mp4}}]}}]"))

    assert [sink.name for sink in job.sinks] == ["b", "a"]


def test_what_is_not_written_is_not_there(load_text: LoadText) -> None:
    """No default of the model is filled in: a fingerprint must not change with a model file."""
    job = only_job(load_text(f"{START}jobs: [{{id: a, media: [{{video: c.mp4}}]}}]"))

    assert (job.prompt, job.negative_prompt, dict(job.parameters)) == (None, None, {})


@pytest.mark.parametrize(
    ("written", "kind", "option"),
    [
        ("clips/a.mp4", "file", {"path": "clips/a.mp4"}),
        ("/data/a.mp4", "file", {"path": "/data/a.mp4"}),
        ("file:///data/a.mp4", "file", {"path": "file:///data/a.mp4"}),
        ("HTTPS://example.com/a.mp4", "http", {"url": "HTTPS://example.com/a.mp4"}),
        ("ark_asset_vid_1", "url", {"url": "ark_asset_vid_1"}),
        ("oss://dashscope-instant/a.mp4", "url", {"url": "oss://dashscope-instant/a.mp4"}),
        ("{file: a.mp4}", "file", {"path": "a.mp4"}),
        ("{camera: {number: 2}}", "camera", {"number": 2}),
    ],
)
def test_a_media_value_says_its_kind_by_its_form(
    load_text: LoadText, written: str, kind: str, option: dict[str, object]
) -> None:
    """Links, paths and what the service knows by itself need no kind in the spec."""
    job = only_job(load_text(f"{START}jobs:\n  - id: a\n    media:\n      - video: {written}\n"))

    assert (job.media[0].kind, dict(job.media[0].options)) == (kind, option)


def test_positions_are_those_of_the_file_as_it_was_named(
    tmp_path: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Messages repeat the path that the user typed, while the job knows the whole one."""
    (tmp_path / "hero.yaml").write_text(
        f"{START}jobs:\n  - id: a\n    media:\n      - video: {{file: {{path: c.mp4}}}}\n", encoding="utf-8"
    )
    monkeypatch.chdir(tmp_path)

    job = only_job(load([Path("hero.yaml")], catalog=catalog))

    assert job.position == Position(Path("hero.yaml"), 4, 5)
    assert job.media[0].position == Position(Path("hero.yaml"), 6, 30)
    assert job.spec_path == tmp_path.resolve() / "hero.yaml"


def test_a_file_named_twice_is_read_once(tmp_path: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two spellings of one path are one spec and no clash of names."""
    (tmp_path / "hero.yaml").write_text(f"{START}jobs: [{{id: a, media: [{{video: c.mp4}}]}}]", encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    loaded = load([Path("hero.yaml"), tmp_path / "hero.yaml", Path("./hero.yaml")], catalog=catalog)

    assert (len(loaded.specs), len(loaded.problems)) == (1, 0)


def test_problems_come_in_the_order_of_files_and_lines(tmp_path: Path, catalog: Catalog) -> None:
    """The files as given, then top to bottom."""
    for name in ("b", "a"):
        (tmp_path / f"{name}.yaml").write_text("version: 2\nbudget: 1\njobs: []\n", encoding="utf-8")

    loaded = load([tmp_path / "b.yaml", tmp_path / "a.yaml"], catalog=catalog)

    assert [(problem.position.path.stem, problem.position.line) for problem in loaded.problems] == [
        (name, line) for name in ("b", "a") for line in (1, 2, 3)
    ]


def test_globs_give_paths_from_the_specs_folder(tmp_path: Path, catalog: Catalog) -> None:
    """Wherever the command runs, and with `..` or a full path for what lies elsewhere; folders are no files."""
    (tmp_path / "specs").mkdir()
    (tmp_path / "clips" / "folder.mp4").mkdir(parents=True)
    for name in ("b.mp4", "a.mp4", ".hidden.mp4"):
        (tmp_path / "clips" / name).touch()
    spec = tmp_path / "specs" / "hero.yaml"
    spec.write_text(
        f'{START}vars: {{dir: ../clips}}\njobs:\n  - id: "${{{{ matrix.clip.slug }}}}"\n'
        '    matrix: {clip: {glob: "${{ vars.dir }}/*.mp4"}}\n    media: [{video: "${{ matrix.clip }}"}]\n',
        encoding="utf-8",
    )

    loaded = load([spec], catalog=catalog)

    assert [(job.id, dict(job.media[0].options)) for job in loaded.jobs] == [
        ("a", {"path": "../clips/a.mp4"}),
        ("b", {"path": "../clips/b.mp4"}),
    ]
