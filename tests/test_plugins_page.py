"""`docs/plugins.md` is what an author needs: every hook is on it, and every example on it does what is said."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio

import wanrun
from wanrun import api, hookspecs, testing
from wanrun.registry import load_catalog

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
HOOKS = [name for name in vars(hookspecs) if name.startswith("wanrun_")]
EXAMPLES = dict(re.findall(r"```python\n# (\S+\.py)\n(.*?)```", PAGE, re.DOTALL))
MODULES = [name.removesuffix(".py") for name in EXAMPLES if re.fullmatch(r"wanrun_\w+\.py", name)]
SPEC = """\
version: 1
defaults: {{model: wan2.7-videoedit, parameters: {{duration: 10, resolution: 1080P}}}}
jobs:
  - {{id: a, prompt: {prompt}, media: [{{video: https://example.com/a.mp4}}]}}
"""


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_on_the_page_with_all_that_there_is_to_say(hook: str) -> None:
    """When it is called, with what, what to return, what becomes of errors, and an example that has it."""
    section = re.search(rf"(?ms)^### `{hook}`\n(.*?)(?=^##)", PAGE)

    assert section is not None
    for word in ("When", "Arguments", "Returns", "Errors"):
        assert f"- **{word}:** " in section[1]
    assert f"def {hook}(" in section[1] or f"def {hook}(" in EXAMPLES["wanrun_chat.py"]


def test_every_example_is_a_file_of_its_own() -> None:
    """So that none is left out of these tests."""
    assert len(EXAMPLES) == PAGE.count("```python\n")


def test_every_name_for_authors_is_on_the_page() -> None:
    """Those of `wanrun`, those of `wanrun.testing`, and its fixtures."""
    fixtures = re.findall(
        r"^def (wanrun_\w+)", Path(testing.__file__).with_name("fixtures.py").read_text(), re.MULTILINE
    )

    assert {name for name in wanrun.__all__ if f"\n### {name}\n" not in PAGE} == set()
    assert {name for name in (*testing.__all__, *fixtures) if f"`{name}" not in PAGE} == {"Post", "Upload"}


def test_every_type_that_an_author_meets_is_offered() -> None:
    """What the reference names as a type of a field, argument or answer can be imported from `wanrun`."""
    from wanrun import errors, events, notices, types

    ours = {name for module in (errors, events, hookspecs, notices, types) for name in vars(module)}
    signatures = re.findall(r"^- `([^`]*)`", PAGE.partition("## Reference")[2], re.MULTILINE)
    named = {word for signature in signatures for word in re.findall(r"\b[A-Z]\w+", signature)}

    assert named & ours - set(wanrun.__all__) - {"Callable", "Iterable", "Mapping", "Path", "Decimal"} == set()


@pytest.fixture
def examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Write the examples into a folder that is on the path."""
    folder = tmp_path / "examples"
    for name, text in EXAMPLES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    model = json.loads((ROOT / "schemas" / "models" / "wan2.7-videoedit.json").read_text(encoding="utf-8"))
    (folder / "wan9-videoedit.json").write_text(json.dumps({**model, "name": "wan9-videoedit"}))
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    for name in MODULES:
        sys.modules.pop(name, None)


def offered(name: str) -> ModuleType:
    return import_module(name)


def run(folder: Path, plugin: object, prompt: str) -> api.Outcome:
    """Run a spec of one job with a plugin."""
    path = folder / "spec.yaml"
    path.write_text(SPEC.format(prompt=prompt), encoding="utf-8")
    options = api.EmulatorOptions(speed=100_000, edit="none")
    catalog = load_catalog(plugins=[plugin], only=("file", "http", "folder"))
    return trio.run(partial(api.run_async, [path], api.Setup(folder=folder, emulator=options), catalog=catalog))


@pytest.mark.usefixtures("examples")
def test_every_example_is_a_plugin_and_loads_nothing_heavy() -> None:
    """All of them beside each other, and httpx is not there before a kind is used."""
    code = f"import sys; from wanrun.registry import load_catalog; from importlib import import_module as load\n\
catalog = load_catalog(plugins=[load(name) for name in {MODULES}], entry_points=False)\n\
print(sorted(catalog.sources), sorted(catalog.sinks), sorted(catalog.models))\n\
print(sorted(catalog.ledger_stores), 'httpx' in sys.modules)"

    printed = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": sys.path[0]},
    ).stdout

    assert printed == "['assets', 'job', 'vault'] ['chat'] ['wan2.7-videoedit', 'wan9-videoedit']\n['share'] False\n"


@pytest.mark.usefixtures("examples")
def test_the_policy_objects(tmp_path: Path) -> None:
    """To a brand with a veto, and to what costs much with a word."""
    plugin = offered("wanrun_brands")

    with pytest.raises(wanrun.WanrunError, match="prompts name no brands; leave out Acme"):
        run(tmp_path, plugin, "An Acme coat")
    outcome = run(tmp_path, plugin, "A coat")

    assert outcome.exit_code == 0
    assert any("it may cost" in note for note in (*outcome.notes, *outcome.run_notes))


@pytest.mark.usefixtures("examples")
def test_the_observer_counts(tmp_path: Path) -> None:
    """Each job once."""
    plugin = offered("wanrun_counting")

    run(tmp_path, plugin, "A coat")

    assert dict(plugin.counts) == {"job_done": 1}


@pytest.mark.usefixtures("examples")
def test_what_is_missing_is_said_in_one_line() -> None:
    """With the package that brings it."""
    catalog = load_catalog(plugins=[offered("wanrun_vault")], entry_points=False)

    with pytest.raises(wanrun.MissingExtra) as raised:
        catalog.source("vault")

    assert str(raised.value) == 'the source vault needs its client: pip install "wanrun-vault[client]"'


@pytest.mark.slow
def test_the_examples_pass_the_tests_on_the_page(examples: Path) -> None:
    """As an author runs them."""
    words: list[Any] = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", examples]

    done = subprocess.run(
        words,
        cwd=examples,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(examples)},
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_the_examples_are_typed(examples: Path) -> None:
    """`mypy --strict` has nothing to say, but of a library that nobody has."""
    (examples / "vault_client.pyi").write_text("from typing import Any\ndef __getattr__(name: str) -> Any: ...\n")
    files = [name for name in EXAMPLES if "/" not in name]
    cache = examples.with_name("mypy")

    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(cache), *files],
        cwd=examples,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout
