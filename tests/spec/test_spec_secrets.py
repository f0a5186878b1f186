"""Where a secret may stand in a spec, and what is left of it when the spec is loaded: its name, and nothing to see."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from spec_kinds import TEXT, Folder, no_source, options

from wanrun.fingerprint import options_digest
from wanrun.hookspecs import SinkKind, SourceKind
from wanrun.plan import media_key
from wanrun.types import SecretName, SecretTemplate

if TYPE_CHECKING:
    from collections.abc import Callable

    from wanrun.catalog import Catalog
    from wanrun.spec import Loaded

    Load = Callable[[str], Loaded]

SECRET = {**TEXT, "writeOnly": True}
HOOK = {**SECRET, "pattern": "^https://"}
HEADERS = {"type": "object", "additionalProperties": SECRET, "description": "Headers."}
TOKENS = {"type": "array", "items": SECRET, "uniqueItems": True, "description": "Tokens."}
SPEC = """\
version: 1
vars: {{host: hooks.example.com}}
defaults: {{model: wan2.7-videoedit}}
sinks:
  team: {{chat: {{name: "${{{{ job.id }}}}.mp4", {sink}}}}}
jobs:
  - {{id: one, prompt: Make it night., media: [{{video: {video}}}]}}
"""


@pytest.fixture
def catalog(catalog: Catalog) -> Catalog:
    """The tests' own kinds, with a sink and a source that take secrets."""
    sink: Any = Folder
    taking = options(name=TEXT, hook=HOOK, headers=HEADERS, tokens=TOKENS)
    return replace(
        catalog,
        sinks={**catalog.sinks, "chat": SinkKind(options=taking, build=sink)},
        sources={**catalog.sources, "safe": SourceKind(options=options(id=TEXT, pin=SECRET), build=no_source)},
    )


def written(sink: str = "hook: https://a.example.com", video: str = "clip.mp4") -> str:
    """Return a spec with these options of its sink, and this video."""
    return SPEC.format(sink=sink, video=video)


def problems(loaded: Loaded) -> list[str]:
    """Return what is wrong, without the file's name."""
    return [f"{each.position.line}:{each.position.column} {each.message}" for each in loaded.problems]


@pytest.mark.parametrize(
    ("sink", "parts"),
    [
        ('hook: "${{ secret.HOOK }}"', [SecretName("HOOK")]),
        ('hook: "https://${{ vars.host }}/${{ secret.A }}/${{secret.B}}"',
         ["https://", "hooks.example.com", "/", SecretName("A"), "/", SecretName("B")]),
        ("hook: https://hooks.example.com/T0", ["https://hooks.example.com/T0"]),
        ('hook: "https://$${{ secret.HOOK }}"', ["https://${{ secret.HOOK }}"]),
    ],
)  # fmt: skip
def test_an_option_that_takes_a_secret_keeps_its_name_only(load_text: Load, sink: str, parts: list[Any]) -> None:
    """Names and the text around them, by themselves unreadable; a text in place of a secret is kept as one."""
    loaded = load_text(written(sink))

    hook = loaded.jobs[0].sinks[0].options["hook"]
    assert isinstance(hook, SecretTemplate)
    assert hook.parts == tuple(parts)
    assert "hooks.example.com" not in repr(loaded.jobs) + json.dumps(dict(loaded.jobs[0].sinks[0].options))
    with pytest.raises(RuntimeError, match="in prepare and deliver only"):
        hook.reveal()


def test_secrets_stand_below_mappings_and_lists_too(load_text: Load) -> None:
    """Wherever the schema's properties, items and additional properties lead to a `writeOnly` text."""
    loaded = load_text(written('headers: {Auth: "Bearer ${{ secret.A }}"}, tokens: ["${{ secret.B }}", plain]'))

    options = loaded.jobs[0].sinks[0].options
    assert options["headers"] == {"Auth": SecretTemplate(["Bearer ", SecretName("A")])}
    assert options["tokens"] == [SecretTemplate([SecretName("B")]), SecretTemplate(["plain"])]


def test_a_secret_knows_where_it_is_written(load_text: Load) -> None:
    """So that one that is missing can be reported at its place, in sinks and media alike."""
    loaded = load_text(written('hook: "${{ secret.HOOK }}"', '{safe: {id: a, pin: "${{ secret.PIN }}"}}'))

    (job,) = loaded.jobs
    hook, pin = job.sinks[0].options["hook"], job.media[0].options["pin"]
    assert isinstance(hook, SecretTemplate)
    assert isinstance(pin, SecretTemplate)
    assert [str(each.position).rpartition("/")[2] for each in (hook, pin)] == ["hero.yaml:5:50", "hero.yaml:7:75"]


MISPLACED = "a secret may stand only in an option that takes one"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (written('name: "${{ secret.A }}"').replace('name: "${{ job.id }}.mp4", ', ""),
         f"5:23 {MISPLACED}; sinks.team.chat.name does not"),
        (written(video='"${{ secret.A }}"'), f"7:55 {MISPLACED}; a link or a path does not"),
        (written(video='"https://example.com/${{ secret.A }}"'), f"7:55 {MISPLACED}; a link or a path does not"),
        (written(video='{safe: {id: "${{ secret.A }}"}}'), f"7:67 {MISPLACED}; video.safe.id does not"),
        (written(video='{camera: {number: "${{ secret.A }}"}}'), f"7:73 {MISPLACED}; video.camera.number does not"),
        (written().replace("Make it night.", '"${{ secret.A }}"'), f"7:24 {MISPLACED}, of a source or sink"),
        (written().replace("id: one", 'id: "a${{ secret.A }}"'), f"7:12 {MISPLACED}, of a source or sink"),
        (written().replace("hooks.example.com", '"${{ secret.A }}"'), f"2:15 {MISPLACED}, of a source or sink"),
        (written().replace("one,", 'one, matrix: {a: ["${{ secret.A }}"]},'), f"7:29 {MISPLACED}, of a source or sink"),
        (written().replace("one,", 'one, parameters: {seed: "${{ secret.A }}"},'),
         f"7:35 {MISPLACED}, of a source or sink"),
        (written('hook: "${{ secret.A.slug }}"'), "5:51 secret.A.slug is not defined; a secret has no parts"),
        (written('hook: "${{ secret }}"'), "5:51 secret is a group of names; write ${{ secret.NAME }}"),
        (written('hook: "${{ secert.A }}"'),
         '5:51 secert is not defined; did you mean "secret"?'),
    ],
)  # fmt: skip
def test_anywhere_else_a_secret_is_a_problem_at_its_place(load_text: Load, text: str, message: str) -> None:
    """In a prompt, an id, a path, a host, a var: nothing that a spec writes carries a secret there."""
    assert message in problems(load_text(text))


def test_an_alias_carries_no_secret_away(load_text: Load) -> None:
    """An anchor where a secret may stand does not make it one where it may not."""
    text = written('hook: &hook "${{ secret.A }}"').replace("Make it night.", "*hook")

    assert problems(load_text(text)) == [f"5:57 {MISPLACED}, of a source or sink"]


@pytest.mark.parametrize(
    "sink",
    ["hook: ftp://canary", "hook: 123456789", "tokens: [canary, canary]", "headers: {a: [canary]}", "hook: [canary]"],
)
def test_a_value_that_a_spec_should_not_hold_is_not_repeated(load_text: Load, sink: str) -> None:
    """A text in place of a secret is checked by the schema, and the message does not show it."""
    (problem,) = problems(load_text(written(sink)))

    assert "canary" not in problem
    assert "123456789" not in problem


def test_what_looks_like_a_template_after_all_is_none(load_text: Load) -> None:
    """`$${{` gives the characters themselves, in the short form of a source too."""
    loaded = load_text(written(video='"$${{ vars.a }}.mp4"'))

    assert problems(loaded) == []
    assert loaded.jobs[0].media[0].options == {"path": "${{ vars.a }}.mp4"}


def test_destinations_and_inputs_count_secrets_by_name(load_text: Load) -> None:
    """Another name is another destination and another input; the same name is the same, whatever its value."""
    texts = ['"${{ secret.A }}"', '"${{secret.A}}"', '"${{ secret.B }}"', '"secret.A"', '"x${{ secret.A }}"']
    jobs = [load_text(written(f"tokens: [{each}]", f"{{safe: {{pin: {each}}}}}")).jobs[0] for each in texts]

    sinks = [options_digest(job.sinks[0], "place") for job in jobs]
    media = [media_key(job.media[0]) for job in jobs]

    assert sinks[0] == sinks[1]
    assert media[0] == media[1]
    assert len(set(sinks)) == len(set(media)) == 4
