"""Whatever a file contains, loading it gives jobs or problems, and never raises."""

from __future__ import annotations

import json
import random
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from spec_kinds import build_catalog

from wanrun.spec import Loaded, load
from wanrun.spec.quick import quick
from wanrun.spec.structure import _inlined, core_schema

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.slow

CATALOG = build_catalog()
HERE = Path(__file__).parent
SMALL = [path for path in sorted(HERE.glob("**/*.yaml")) if path.stat().st_size < 2000]
TEXTS = [path.read_text(encoding="utf-8", errors="replace") for path in SMALL]
TREES = [json.dumps(yaml.safe_load(path.read_text(encoding="utf-8"))) for path in sorted(HERE.glob("good/*.yaml"))]
TEMPLATES = ["${{ matrix.a }}", "${{ vars }}", "${{ job.id }}", "${{ secret.A }}", "${{", "a ${{ row.x.slug }} b"]
PIECES = ["${{", "}}", "${{ vars.a }}", "&a ", "*a", "{", "}", "[", "]", ": ", "- ", "\n", "\t", "#", " #", '"', "'"]
PIECES += ["|\n", "!!str ", "<<", "? ", "%", "@", "\0", "\x85", "\u2028", "null", "true", "0x", "1e999", "x-", "\ufeff"]
PIECES += ["---\n", "matrix", "jobs", "sinks", "media", "glob", "*", "..", "~", "é", "\U0001f600"]


def load_bytes(data: bytes) -> Loaded:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "hero.yaml"
        path.write_bytes(data)
        return load([path], catalog=CATALOG)


def check(loaded: Loaded) -> None:
    assert loaded.problems or loaded.jobs
    for problem in loaded.problems:
        assert "\n" not in str(problem)
        assert problem.position.line >= 1
        assert problem.position.column >= 1
    keys = [(problem.position.line, problem.position.column) for problem in loaded.problems]
    assert keys == sorted(keys)
    assert len(set(loaded.problems)) == len(loaded.problems)


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
@settings(max_examples=200, deadline=None)
def test_any_bytes_give_problems(data: bytes) -> None:
    """Nothing random is a spec, and nothing random raises."""
    check(load_bytes(data))


@given(st.sampled_from(TEXTS), st.integers(0, 2**32), st.integers(1, 6))
@settings(max_examples=400, deadline=None)
def test_specs_with_random_damage_give_problems_or_jobs(text: str, seed: int, times: int) -> None:
    """Pieces put in, taken out or doubled anywhere."""
    chance = random.Random(seed)  # damage, not secrets
    for _ in range(times):
        start = chance.randrange(len(text) + 1)
        end = min(len(text), start + chance.choice([0, 0, 1, 3, 10]))
        text = text[:start] + chance.choice([*PIECES, "", text[start:end] * 2]) + text[end:]

    check(load_bytes(text.encode("utf-8", "surrogatepass")))


OPENERS = ["- ", "{a: ", "[", "? ", "&a [", "!!seq [", "${{ ", "- - ", "a:\n ", "'", '"', "|\n ", "*a, ", "- !t "]


@given(st.lists(st.sampled_from(OPENERS), min_size=1, max_size=3), st.sampled_from([30, 300, 30_000]))
@settings(max_examples=60, deadline=5000)
def test_what_is_nested_or_repeated_without_end_gives_problems_soon(openers: list[str], times: int) -> None:
    """The reader neither falls over nor takes its time."""
    check(load_bytes(("".join(openers) * times).encode()))


NUMBERS = st.integers(-2, 12) | st.floats(allow_nan=False, allow_infinity=False)
KEYS = st.sampled_from(["id", "jobs", "a", "x-a"])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(TREES), st.data())
@settings(max_examples=300, deadline=5000)
def test_good_specs_with_other_values_in_them_give_problems_or_jobs(tree: str, data: st.DataObject) -> None:
    """Values of any kind where another one belongs, keys that are gone or come twice as deep."""
    spec = json.loads(tree)
    for _ in range(data.draw(st.integers(1, 3))):
        spec = replaced(data.draw, spec)

    check(load_bytes(json.dumps(spec).encode()))


def replaced(draw: Callable[[st.SearchStrategy[Any]], Any], value: Any) -> Any:
    """Return a value with one of the values inside replaced, wrapped or taken out."""
    inside = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    if not inside or not draw(st.integers(0, 4)):
        return draw(st.one_of(VALUES, st.just([value]), st.just({"a": value}), st.sampled_from(TEMPLATES)))
    key = draw(st.sampled_from(inside))
    if draw(st.integers(0, 6)):
        value[key] = replaced(draw, value[key])
    else:
        del value[key]
    return value


MODEL = CATALOG.models["wan2.7-videoedit"].job["properties"]
SCHEMAS = [
    *MODEL["parameters"]["properties"].values(),  # type: ignore[index, call-overload, union-attr]
    *core_schema()["$defs"].values(),  # type: ignore[union-attr]
    CATALOG.sources["http"].options,
    {"type": "object", "patternProperties": {"^x-": {}}, "additionalProperties": {"type": "integer"}},
    {"type": "object", "patternProperties": {"^x-": False}},
    {"type": ["array", "string"], "minItems": 1, "minLength": 2, "items": {"type": "number", "maximum": 5}},
]


@given(st.sampled_from(SCHEMAS), VALUES)
@settings(max_examples=400, deadline=None)
def test_a_quick_yes_is_never_wrong(schema: object, value: object) -> None:
    """What the quick way takes, the validator would take too."""
    fine = quick(schema)

    if fine and fine(value):
        assert Draft202012Validator(schema).is_valid(value)  # type: ignore[arg-type]


def test_a_key_that_is_forbidden_by_a_pattern_gets_no_quick_yes() -> None:
    """A schema may be false, which is not the same as none."""
    fine = quick({"type": "object", "patternProperties": {"^x-": False}})

    assert fine is None or not fine({"x-a": 1})


def test_a_plain_spec_takes_the_quick_way() -> None:
    """The validator would take a second for ten thousand jobs, and one keyword that is not understood leads there."""
    job = {"id": "a", "prompt": "x", "media": [{"video": "a.mp4"}], "tags": ["b", "c"], "sinks": ["disk"]}
    parts = {"matrix": {"n": [1, 2]}, "parameters": {"seed": "${{ matrix.n }}"}}
    spec = {"version": 1, "defaults": {"tags": ["b"]}, "sinks": {"disk": {"folder": "out"}}, "jobs": [job | parts]}
    fine = quick(_inlined(core_schema(), core_schema()["$defs"]))

    assert fine is not None
    assert fine(spec)
    assert not fine(spec | {"jobs": [job | {"tags": ["b", "b"]}]})
