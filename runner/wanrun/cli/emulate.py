"""`wanrun emulator`: the service on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from wanrun import api
from wanrun.cli.options import emulator_options, no_plugin_option
from wanrun.cli.output import say, say_json


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address of this machine to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0 takes a free one.")
@click.option(
    "--folder", type=click.Path(path_type=Path), help="Where the account lasts; default .wanrun/emulator/served."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How to print the base URL.",
)
@no_plugin_option
@emulator_options
def emulator(
    host: str, port: int, folder: Path | None, form: str, without_plugins: tuple[str, ...], **options: Any
) -> int:
    """Serve the video-edit service on this machine: it takes the same calls, edits for real, and costs nothing.

    Any key that starts with sk- works. Point wanrun at it with --base-url, the official SDK with
    DASHSCOPE_HTTP_BASE_URL. Its account statement is at /emulator/statement, and in the folder as statement.json.
    """

    def ready(url: str) -> None:
        if form == "json":
            say_json({"base_url": url})
        else:
            say(f"the emulator listens on {url}\nstatement: {url.removesuffix('/api/v1')}/emulator/statement")

    setup = api.Setup(without_plugins=without_plugins)
    api.emulate(api.EmulatorOptions(**options), setup, folder=folder, host=host, port=port, ready=ready)
    return 0
