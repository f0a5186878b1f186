"""What a check-up found: one finding a line, each with what to do about it, and the exit code of them all."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from wanrun.errors import ExitCode
from wanrun.types import NO_OPTIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wanrun.types import JSON

#: What a script should hear of first.
GRAVITY = (ExitCode.INVALID, ExitCode.STOPPED_BY_SERVICE, ExitCode.UNFINISHED, ExitCode.ATTENTION)


class Verdict(StrEnum):
    """How grave one finding is."""

    OK = "ok"
    NOTE = "note"  #: worth knowing; nobody has to do anything
    WARNING = "warning"  #: a person must look
    PROBLEM = "problem"  #: a run would not work


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    about: str  #: what was looked at, in a word or two
    verdict: Verdict
    words: str
    advice: str = ""  #: what to do
    facts: Mapping[str, JSON] = field(default_factory=lambda: NO_OPTIONS)  #: the same for programs
    exit_code: ExitCode = ExitCode.OK


@dataclass(frozen=True, slots=True)
class Checkup:
    """All findings, in the order in which they were looked at."""

    findings: tuple[Finding, ...]

    @property
    def exit_code(self) -> ExitCode:
        """OK when all is fine, else what is to be mended first."""
        codes = {finding.exit_code for finding in self.findings}
        return next((code for code in GRAVITY if code in codes), ExitCode.OK)


def fine(about: str, words: str, **facts: JSON) -> Finding:
    """Return a finding that needs nothing."""
    return Finding(about=about, verdict=Verdict.OK, words=words, facts=facts)


def note(about: str, words: str, *, advice: str = "", **facts: JSON) -> Finding:
    """Return a finding that is worth knowing."""
    return Finding(about=about, verdict=Verdict.NOTE, words=words, advice=advice, facts=facts)


def warning(about: str, words: str, *, advice: str, **facts: JSON) -> Finding:
    """Return a finding that a person must look at."""
    return Finding(
        about=about,
        verdict=Verdict.WARNING,
        words=words,
        advice=advice,
        facts=facts,
        exit_code=ExitCode.ATTENTION,
    )


def problem(
    about: str, words: str, *, advice: str = "", exit_code: ExitCode = ExitCode.INVALID, **facts: JSON
) -> Finding:
    """Return a finding that would keep a run from working, and the exit code that such a run would have."""
    return Finding(about=about, verdict=Verdict.PROBLEM, words=words, advice=advice, facts=facts, exit_code=exit_code)
