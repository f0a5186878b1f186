"""Asking the person at the terminal, without holding up signals."""

from __future__ import annotations

import sys

import click
import trio

from wanrun.text import printable


def is_terminal() -> bool:
    """Say whether somebody is there to read a question and to answer it."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


async def ask(question: object, do: str = "Submit") -> bool:
    """Ask until the answer is a yes or a no; no answer at all is a no."""
    while True:
        click.echo(f"{printable(str(question))}. {do}? [y/N] ", err=True, nl=False)
        try:
            await trio.lowlevel.wait_readable(sys.stdin.fileno())  # a line; a thread that reads could not be cancelled
        except trio.Cancelled:
            click.echo(err=True)  # the next words do not belong on the question's line
            raise
        answer = sys.stdin.readline()
        if (word := answer.strip().lower()) in ("y", "yes"):
            return True
        if not answer:
            click.echo(err=True)
        if not answer or word in ("", "n", "no"):
            return False


async def agree(_question: object) -> bool:
    """Say yes: the person has done so with `--yes`."""
    return True
