"""The command line: speaks to the person, and is the one place that prints errors.

Commands are imported when they are called, so that `--help` does not wait for what only a run needs.
"""

from __future__ import annotations

import difflib
import os
import re
import sys
import traceback
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from wanrun.cli.output import UNSAID, clean_logs, say
from wanrun.errors import PASSING, ExitCode, SpecError, WanrunError, disk_advice
from wanrun.streams import silence

if TYPE_CHECKING:
    from collections.abc import Sequence

#: command -> where it is and its line in `--help`
COMMANDS = {
    "run": ("wanrun.cli.run:run", "Plan and carry out specs, or go on with them. The default."),
    "init": ("wanrun.cli.init:init", "Write a first spec, for a folder of clips if there is one."),
    "validate": ("wanrun.cli.look:validate", "Check specs and the files they name, without network or key."),
    "plan": ("wanrun.cli.plan:plan", "Show what a run would do, job by job, and what it costs."),
    "status": ("wanrun.cli.standing:status", "Show how every job stands, by the ledger."),
    "resolve": ("wanrun.cli.standing:resolve", "Settle a job that is held, unsure or lost."),
    "tasks": ("wanrun.cli.account:tasks", "List the account's tasks, whoever made them, or act on one."),
    "rescue": ("wanrun.cli.rescue:rescue", "Bring home every finished result of the account."),
    "cancel": ("wanrun.cli.account:cancel", "Cancel jobs whose tasks still wait at the service."),
    "doctor": ("wanrun.cli.about:doctor", "Look at settings, ledger, key and plugins, and say what to do."),
    "ledger": ("wanrun.cli.ledger:ledger", "Copy the ledger, carry it elsewhere, check it, or rebuild it."),
    "clean": ("wanrun.cli.clean:clean", "Remove what nobody needs any more, here and in one's bucket."),
    "plugins": ("wanrun.cli.about:plugins", "Show the installed plugins, and the options of each kind."),
    "new-plugin": ("wanrun.cli.new_plugin:new_plugin", "Write the package of a plugin of your own, with its tests."),
    "schema": ("wanrun.cli.about:schema", "Print the JSON Schema of specs, for editors."),
    "emulator": ("wanrun.cli.emulate:emulator", "Serve the video-edit service on this machine, for tries."),
}


class Commands(click.Group):
    """The subcommands, each imported when it is called; what names no command is given to `run`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order in which they are used, those of plugins last."""
        return [*COMMANDS, *(name for name in _foreign() if name not in COMMANDS)]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import one command."""
        if name not in COMMANDS:
            return import_module("wanrun.cli.foreign").load_command(name)  # type: ignore[no-any-return]  # see there
        module, _, attribute = COMMANDS[name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `run` in front of arguments that name no command."""
        if args and args[0] not in COMMANDS and args[0] not in ("-h", "--help", "--version"):
            if not _may_be_command(args[0]):
                args = ["run", *args]
            elif args[0] not in (foreign := _foreign()):
                _refuse_misspelt(args[0], [*COMMANDS, *foreign])
                args = ["run", *args]
        return super().parse_args(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])
        if foreign := {name: package for name, package in _foreign().items() if name not in COMMANDS}:
            with formatter.section("Commands of plugins"):
                formatter.write_dl([(name, f"Of the package {package}.") for name, package in foreign.items()])


def _foreign() -> dict[str, str]:
    """Return the commands of plugins with their packages, without importing any."""
    found: dict[str, str] = import_module("wanrun.cli.foreign").foreign_commands()
    return found


def _may_be_command(word: str) -> bool:
    """Say whether a bare word may be a command's name; what could be an option or a path is left to `run`."""
    return re.fullmatch(r"[a-z][a-z0-9_-]*", word, re.IGNORECASE) is not None and not Path(word).exists()


def _refuse_misspelt(word: str, known: Sequence[str]) -> None:
    near = difflib.get_close_matches(word, known, n=1)
    if near:
        raise click.UsageError(f'no file and no command "{word}"; did you mean "{near[0]}"?')


@click.group(
    cls=Commands,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 all done; 1 a job needs a person (failed, held); 2 the spec, the settings or the call is "
    "wrong; 3 run again to go on; 4 stopped by the service (key, arrears, access); 5 stopped by the budget; 6 plan "
    "--exit-code: something to do; 7 a paid result is lost; "
    "129/130/143 stopped by a signal (terminal closed, Ctrl-C, TERM), state saved.",
)
@click.version_option(package_name="wanrun", message="%(package)s %(version)s")
def app() -> None:
    """Batches of AI video edits as YAML in git: checked, resumable, never paid for twice.

    \b
      wanrun specs/*.yaml              plan and carry out; the same command resumes
      wanrun specs/*.yaml --emulator   the same without key and network, for nothing
      wanrun plan specs/*.yaml         what would happen

    The API key is read from DASHSCOPE_API_KEY, settings from wanrun.toml at the project root.
    """


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code; 3 when all went well, but what was to be printed is not there."""
    code = run_app(args)
    for problem in dict.fromkeys(UNSAID):
        say(problem, err=True)
        code = code or int(ExitCode.UNFINISHED)
    _leave(code)


def _leave(code: int) -> NoReturn:
    """Exit, with this very code: Python would fail, and exit with 120, over what a broken stream still holds."""
    try:
        for stream in filter(None, (sys.stdout, sys.stderr)):
            stream.flush()
    except (OSError, ValueError):  # the second for a stream that is closed
        os._exit(code)
    sys.exit(code)


def run_app(args: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; errors are printed, never raised."""
    clean_logs()
    try:
        code = app.main(args=None if args is None else list(args), prog_name="wanrun", standalone_mode=False)
    except click.exceptions.Exit as exc:
        return exc.exit_code
    except click.ClickException as exc:
        _show_misuse(exc)
        return int(ExitCode.INVALID)
    except click.Abort:
        return int(ExitCode.INTERRUPTED)
    except WanrunError as exc:
        _show(exc)
        return int(exc.exit_code)
    except SystemExit:  # click's way out when nobody reads what it prints itself: `wanrun --help | head -1`
        silence(sys.stdout)
        return int(ExitCode.OK)
    except KeyboardInterrupt:
        return int(ExitCode.INTERRUPTED)
    except Exception as exc:
        return _show_surprise(exc)
    return int(code) if isinstance(code, int) else int(ExitCode.OK)


_NO_TEMPORARY = "No usable temporary directory"  #: how Python says that none of them can be written


def _show_surprise(exc: Exception) -> int:
    """Show what nobody has put into words, and return its exit code: a disk that fails, or our bug."""
    if isinstance(exc, FileNotFoundError) and exc.filename is None and _NO_TEMPORARY in str(exc):
        say(f"{exc.strerror}; free space there or name another folder in TMPDIR, then run again", err=True)
        return int(ExitCode.UNFINISHED)
    if isinstance(exc, OSError) and exc.errno in PASSING:
        say(f"{exc.filename or 'a file'}: {exc.strerror}; {disk_advice(exc)}", err=True)
        return int(ExitCode.UNFINISHED)
    say("".join(traceback.format_exception(exc)), err=True)
    say("this is a bug of wanrun, not yours; the ledger is intact. Please report the lines above", err=True)
    return int(ExitCode.BUG)


def _show_misuse(exc: click.ClickException) -> None:
    say(exc.format_message(), err=True)
    context = getattr(exc, "ctx", None)
    if context is not None and not isinstance(exc, click.exceptions.NoArgsIsHelpError):
        say(f"see {context.command_path} --help", err=True)


def _show(exc: WanrunError) -> None:
    if isinstance(exc, SpecError):
        import_module("wanrun.cli.problems").tell_problems(exc.problems)  # which needs what only a spec needs
    else:
        say(str(exc), err=True)
