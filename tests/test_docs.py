"""The documents say what is: their YAML is valid, and they name every command, hook, event and setting."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import re
import shlex
import tomllib
from pathlib import Path

import click
import pytest

from wanrun import api, hookspecs
from wanrun.cli import COMMANDS, app
from wanrun.errors import ExitCode
from wanrun.settings import Limits, Provider, load_settings

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SLACK = (ROOT / "docs" / "slack.md").read_text(encoding="utf-8")
YAML_BLOCKS = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
LINK = "https://example.com/a.mp4"
TOML_BLOCKS = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project folder with the files that README's specs name."""
    (tmp_path / ".wanrun").mkdir()
    (tmp_path / "clips").mkdir()
    for name, target in (("street.mp4", "street.mp4"), ("clay.png", "clay.png")):
        (tmp_path / "clips" / target).write_bytes((ROOT / "specs" / "media" / name).read_bytes())
    table = "sku,clip,prompt,seconds\na1,clips/street.mp4,Make it night.,2\n"
    (tmp_path / "products.csv").write_text(table, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("number", range(len(YAML_BLOCKS)))
def test_every_spec_in_readme_is_valid(project: Path, number: int) -> None:
    """A reader can copy a spec out of README and run it."""
    for block in YAML_BLOCKS:
        if named := re.match(r"# (\w+\.yaml)\n", block):
            (project / named[1]).write_text(block, encoding="utf-8")
    spec = project / "copied.yaml"
    extends = f"version: 1\nextends: copied-base.yaml\njobs: [{{id: a, media: [{{video: {LINK}}}]}}]\n"
    is_base = "jobs:" not in YAML_BLOCKS[number]
    spec.with_name("copied-base.yaml").write_text(YAML_BLOCKS[number], encoding="utf-8")
    spec.write_text(extends if is_base else YAML_BLOCKS[number], encoding="utf-8")

    batch = api.load([spec], api.Setup(folder=project))

    assert batch.jobs


@pytest.mark.parametrize("text", re.findall(r"```yaml\n(.*?)```", SLACK, re.DOTALL))
def test_every_spec_of_the_page_on_slack_is_valid(project: Path, text: str) -> None:
    """A reader can copy it."""
    spec = project / "copied.yaml"
    spec.write_text(text, encoding="utf-8")

    assert api.load([spec], api.Setup(folder=project)).jobs


@pytest.mark.parametrize("spec", sorted((ROOT / "specs").glob("*.yaml")), ids=lambda path: path.name)
def test_every_example_is_valid_and_says_what_it_shows(spec: Path) -> None:
    """The specs that ship with the project run as they are and open with a comment."""
    assert spec.read_text(encoding="utf-8").startswith("#")

    assert api.load([spec]).jobs


@pytest.mark.parametrize("text", TOML_BLOCKS)
def test_the_settings_in_readme_are_read(tmp_path: Path, text: str) -> None:
    """A reader can copy the settings, and they hold what the program would do without them, or name every key."""
    path = tmp_path / "wanrun.toml"
    path.write_text(text, encoding="utf-8")

    provider = load_settings(config=path, environ={}).providers["default"]

    written = tomllib.loads(text)["providers"]["default"]
    names = {field.name for field in dataclasses.fields(Provider)} - {"name", "base_url"}
    assert set(written) == names
    assert set(written["limits"]) == {field.name for field in dataclasses.fields(Limits)}
    assert provider.limits == Limits()
    assert (provider.poll_seconds, provider.patience_seconds) == (Provider().poll_seconds, Provider().patience_seconds)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_in_readme(command: str) -> None:
    """A command that README does not name would not be found."""
    assert f"`wanrun {command}`" in README


@pytest.mark.parametrize("hook", [name for name in vars(hookspecs) if name.startswith("wanrun_")])
def test_every_hook_is_in_readme_and_says_when_it_is_called(hook: str) -> None:
    """A hook is of use only to those who hear of it."""
    assert f"`{hook}`" in README
    assert "Called once" in (getattr(hookspecs, hook).__doc__ or "")


COMMAND_LINES = re.findall(r"^ +((?:\w+=\S+ )?wanrun [^\n#&]+)", README, re.MULTILINE)


@pytest.mark.parametrize("text", COMMAND_LINES)
def test_every_command_line_in_readme_can_be_typed(text: str) -> None:
    """The command exists, and so does every option that README gives it."""
    words = shlex.split(text)
    words = words[words.index("wanrun") + 1 :]
    name = words.pop(0) if words[0] in COMMANDS else "run"
    with click.Context(app, help_option_names=["-h", "--help"]) as context:
        command = app.get_command(context, name)
        assert command is not None

        command.make_context(name, words, parent=context)


def test_every_exit_code_in_use_is_in_readme() -> None:
    """CI decides by exit codes, so each is documented once it exists."""
    table = README.partition("| exit code |")[2].partition("\n\n")[0]

    documented = {
        int(number) for row in re.findall(r"^\| ([\d, ]+) \|", table, re.MULTILINE) for number in row.split(",")
    }

    assert documented == {int(code) for code in ExitCode}


@pytest.mark.parametrize("path", re.findall(r"`((?:runner|schemas|plugins|tests|docs)/[\w./-]+)`", README))
def test_every_path_that_readme_names_exists(path: str) -> None:
    """A path in a document is a promise too."""
    assert (ROOT / path).exists()


def test_the_pages_are_what_the_program_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """A help text, a rule or a key that changes is on its page too; `make docs` writes them."""
    monkeypatch.syspath_prepend(ROOT / "docs")
    spec = importlib.util.spec_from_file_location("render", ROOT / "docs" / "render.py")
    assert spec is not None
    assert spec.loader is not None
    render = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(render)

    assert (ROOT / "docs" / "commands.md").read_text(encoding="utf-8") == render.commands()
    assert (ROOT / "docs" / "problems.md").read_text(encoding="utf-8") == render.problems()
    assert (ROOT / "docs" / "spec.md").read_text(encoding="utf-8") == render.spec_page()
    assert (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8") == render.plugins()


def test_every_key_of_the_language_is_on_its_page() -> None:
    """Whatever mapping of the schema it is in."""
    page = (ROOT / "docs" / "spec.md").read_text(encoding="utf-8")
    schema = json.loads((ROOT / "schemas" / "spec.schema.json").read_text(encoding="utf-8"))
    maps = [schema, schema["properties"]["budget"], *schema["$defs"].values()]

    keys = {key for each in maps for key in each.get("properties", {})}

    assert {key for key in keys if f"- **`{key}`**" not in page} == set()
