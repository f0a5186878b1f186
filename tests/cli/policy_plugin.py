"""A policy as a plugin: no brands in prompts, nothing dear, and a warning of shouting; tests install it."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from wanrun import Objection, hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wanrun import Submission

DEAR = Decimal(15)


@hookimpl
def wanrun_check_job(submission: Submission) -> Iterator[Objection]:
    """Object to what our house does not want."""
    prompt = submission.job.prompt or ""
    if "break down" in prompt:
        raise ZeroDivisionError("a mistake")
    if "Acme" in prompt:
        yield Objection(message="prompts name no brands; leave out\n::error::Acme")
    if "dear" in prompt and submission.cost is not None and submission.cost > DEAR:
        yield Objection(message=f"a job costs {DEAR} {submission.currency} at most")
    if prompt.isupper():
        yield Objection(message="do not shout", veto=False)
