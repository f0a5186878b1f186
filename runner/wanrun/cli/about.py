"""`wanrun schema`, `wanrun plugins` and `wanrun doctor`: what is installed, and whether it would work."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from wanrun import api
from wanrun.cli import COMMANDS
from wanrun.cli.foreign import quarrels
from wanrun.cli.options import (
    config_option,
    emulator_flag,
    emulator_options,
    format_option,
    make_setup,
    no_plugin_option,
    setup_options,
)
from wanrun.cli.output import counted, say, say_json, table
from wanrun.errors import ExitCode
from wanrun.registry import NOT_ALLOWED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


@click.command()
@click.option("--events", is_flag=True, help="Instead, what run --events writes, a line.")
@click.option("--base", is_flag=True, help="Instead, what a file holds that specs extend.")
@click.option("--model", metavar="NAME", help="Instead, what a job may ask of one model.")
@config_option
@no_plugin_option
@format_option
def schema(
    events: bool, base: bool, model: str | None, config: Path | None, without_plugins: tuple[str, ...], form: str
) -> int:
    """Print the JSON Schema of specs, with the options of every installed plugin; JSON in either format.

    Of plugins and kinds, it has those that [allow] in the settings lets specs use.

    \b
      wanrun schema > spec.schema.json

    and as the first line of a spec, for editors with a YAML language server:

    \b
      # yaml-language-server: $schema=spec.schema.json
    """
    if events + base + (model is not None) > 1:
        raise click.UsageError("--events, --base and --model exclude each other")
    setup = api.Setup(config=config, without_plugins=without_plugins)
    say_json(api.schema(setup, events=events, base=base, model=model))
    return 0


@click.command()
@click.argument("name", required=False, metavar="[NAME]")
@config_option
@no_plugin_option
@format_option
def plugins(name: str | None, config: Path | None, without_plugins: tuple[str, ...], form: str) -> int:
    """Show the installed plugins and what each offers, or the options of one kind, or of a plugin's kinds.

    Of an option, it says what it takes, its default and examples, and whether it may be a secret (${{ secret.NAME }}).

    A plugin that cannot be used is named with what is wrong; exit code 2. What [allow] in the settings does not have
    is marked; a plugin that it does not have is not imported.
    """
    setup = api.Setup(config=config, without_plugins=without_plugins)
    found = api.plugins(setup)
    if name is not None:
        kinds = api.kinds(name, setup)
        _show_kinds(kinds, form)
        if not kinds and form == "text":
            _show_plugins([each for each in found if each.name == name], [], form)
    else:
        _show_plugins(found, [each for each in api.kinds(setup=setup) if not each.allowed], form)
    broken = [each for each in found if each.problem is not None]
    for each in broken:
        say(f"plugin {each.name} ({each.package} {each.version}): {each.problem}", err=True)
    quarrelling = quarrels(COMMANDS)
    for error in quarrelling:
        say(str(error), err=True)
    return int(ExitCode.INVALID if broken or quarrelling else ExitCode.OK)


def _show_plugins(plugins: list[api.InstalledPlugin], forbidden: list[api.InstalledKind], form: str) -> None:
    kinds = {each.name: sorted({kind.name for kind in forbidden if kind.plugin.name == each.name}) for each in plugins}
    if form == "json":
        say_json({"plugins": [_plugin(each) | {"kinds_not_allowed": [*kinds[each.name]]} for each in plugins]})
        return
    rows = [(each.name, f"{each.package} {each.version}".strip(), _offers(each, kinds[each.name])) for each in plugins]
    say(table(rows))


def _offers(plugin: api.InstalledPlugin, forbidden: list[str]) -> str:
    if plugin.off is not None:
        return f"{plugin.off}, and not imported"
    if plugin.problem is not None:
        return "cannot be used"
    return plugin.offers() + (f"; {NOT_ALLOWED}: {', '.join(forbidden)}" if forbidden else "")


def _plugin(plugin: api.InstalledPlugin) -> dict[str, Any]:
    return {
        "plugin": plugin.name,
        "package": plugin.package,
        "version": plugin.version,
        "sources": list(plugin.sources),
        "sinks": list(plugin.sinks),
        "ledger_stores": list(plugin.ledger_stores),
        "models": list(plugin.models),
        "observes": plugin.observes,
        "allowed": plugin.allowed,
        "off": plugin.off,
        "problem": plugin.problem,
    }


def _show_kinds(kinds: list[api.InstalledKind], form: str) -> None:
    if form == "json":
        say_json({"kinds": [_kind(kind) for kind in kinds]})
        return
    for number, kind in enumerate(kinds):
        plugin = kind.plugin
        say(("\n" if number else "") + f"{kind.sort} {kind.name}, of {plugin.name} ({plugin.package} {plugin.version})")
        if not kind.allowed:
            say(NOT_ALLOWED)
        if kind.short:
            say(f"{{{kind.name}: TEXT}} is short for {{{kind.name}: {{{kind.short}: TEXT}}}}")
        for lines in _options(kind.options):
            say("\n" + lines)


def _options(schema: Mapping[str, Any], within: str = "") -> Iterator[str]:
    """Yield each option of a kind as lines, with those of the mappings and lists of mappings among them."""
    for name, option in schema.get("properties", {}).items():
        yield _option(within + name, option, required=name in schema.get("required", []))
        yield from _options(option, f"{within}{name}.")
        if isinstance(items := option.get("items"), dict):
            yield from _options(items, f"{within}{name}[].")


def _kind(kind: api.InstalledKind) -> dict[str, Any]:
    return {
        "sort": kind.sort,
        "kind": kind.name,
        "plugin": kind.plugin.name,
        "package": kind.plugin.package,
        "version": kind.plugin.version,
        "short": kind.short,
        "secrets": list(kind.secrets),
        "allowed": kind.allowed,
        "options": dict(kind.options),
    }


def _option(name: str, schema: Mapping[str, Any], *, required: bool) -> str:
    """Return one option as a few lines: its name and type, what it is, its default and examples."""
    facts = [_type(schema), "required" if required else "", _secret(schema)]
    facts += [f"default {_shown(schema['default'])}"] if "default" in schema else []
    lines = [f"  {name}: {', '.join(filter(None, facts))}"]
    lines += [f"      {schema['description']}"] if "description" in schema else []  # one within another may have none
    examples = [_shown(example) for example in schema.get("examples", [])]
    return "\n".join([*lines, f"      for example {', '.join(examples)}"] if examples else lines)


def _secret(schema: Mapping[str, Any]) -> str:
    if schema.get("writeOnly"):
        return "may be a secret"
    inner = (schema.get("items"), schema.get("additionalProperties"))
    return (
        "what is in it may be secrets"
        if any(isinstance(each, dict) and each.get("writeOnly") for each in inner)
        else ""
    )


def _type(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return "one of " + ", ".join(_shown(value) for value in schema["enum"])
    for keyword in ("anyOf", "oneOf"):
        if choices := [_type(choice) for choice in schema.get(keyword, []) if isinstance(choice, dict)]:
            return " or ".join(dict.fromkeys(choices))
    types = schema.get("type", "any value")
    words = types if isinstance(types, str) else " or ".join(types)
    items = schema.get("items")
    return f"list of {_type(items)}" if words == "array" and isinstance(items, dict) else words + _bounds(schema)


def _bounds(schema: Mapping[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f" from {low} to {high}"
    return f" of {low} or more" if low is not None else f" of {high} or less" if high is not None else ""


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@click.command()
@click.option("--provider", metavar="NAME", help="Look at one provider of wanrun.toml only.")
@setup_options
@emulator_flag
@emulator_options
@format_option
def doctor(provider: str | None, form: str, **options: Any) -> int:
    """Look at installation, plugins, settings, ledger, key and clock, and say what is wrong and what to do.

    Each provider gets one list call, which costs nothing. Exit code 0 when all is fine, 1 when a person should look
    at something, 2 when settings or plugins are wrong, 4 when the key is refused, 3 when the service is not reached.
    """
    return show_checkup(api.doctor(make_setup(options), provider=provider), form)


def show_checkup(checkup: api.Checkup, form: str) -> int:
    """Print what was found, and return the exit code."""
    if form == "json":
        say_json(_checkup(checkup))
        return int(checkup.exit_code)
    say(table([(each.verdict, each.about, _words(each)) for each in checkup.findings]))
    counts = Counter(each.verdict for each in checkup.findings)
    grave = [counted(counts[verdict], verdict) for verdict in (api.Verdict.PROBLEM, api.Verdict.WARNING)]
    say("\n" + (", ".join(part for part in grave if not part.startswith("0 ")) or "all fine"))
    return int(checkup.exit_code)


def _words(finding: api.Finding) -> str:
    return f"{finding.words}; {finding.advice}" if finding.advice else finding.words


def _checkup(checkup: api.Checkup) -> dict[str, Any]:
    return {
        "exit_code": int(checkup.exit_code),
        "exit": checkup.exit_code.name.lower(),
        "findings": [
            {
                "about": each.about,
                "verdict": each.verdict.value,
                "words": each.words,
                "advice": each.advice,
                "facts": dict(each.facts),
            }
            for each in checkup.findings
        ],
    }
