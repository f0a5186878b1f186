"""Puts a page into one comment of a pull request, and writes that comment anew at the next push.

    python .github/action/comment.py PAGE.md

Environment, as on a GitHub runner: GITHUB_API_URL, GITHUB_REPOSITORY, GITHUB_EVENT_PATH, and TOKEN, which may write
to pull requests. Where it may not, as for a pull request from a fork, that is said and is no failure: the page is in
the job's summary too. Needs nothing but Python.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, NoReturn

MARK = "<!-- wanrun plan -->"  #: by which the comment is found again
MOST_CHARACTERS = 65_000  #: of a comment
PAGE_SIZE = 100
MOST_PAGES = 50
TIMEOUT_SECONDS = 30


def main(path: str) -> None:
    """Write the comment."""
    event = json.loads(Path(os.environ["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))
    number = event.get("pull_request", {}).get("number")
    if not isinstance(number, int):
        print("this was not started by a pull request; there is nothing to comment on")
        return
    body = shortened(f"{MARK}\n{Path(path).read_text(encoding='utf-8')}")
    try:
        known = _own_comment(number)
        if known is None:
            _call("POST", f"issues/{number}/comments", {"body": body})
        else:
            _call("PATCH", f"issues/comments/{known}", {"body": body})
    except urllib.error.HTTPError as exc:
        if exc.code not in (401, 403, 404):
            _fail(f"{exc.code} {exc.reason}")
        print(f"::notice::the plan is in the summary only: this job may not comment here ({exc.code})")
    except (OSError, ValueError) as exc:
        _fail(str(exc))


def _fail(why: str) -> NoReturn:
    """End the job: the comment that is there may be of an earlier plan, and nobody may take it for this one."""
    print(f"::error::the plan is in the summary only, and the comment is not of this plan: {' '.join(why.split())}")
    sys.exit(1)


def shortened(text: str) -> str:
    """Return a text that fits into a comment, cut after a whole line."""
    if len(text) <= MOST_CHARACTERS:
        return text
    start = text[: MOST_CHARACTERS - 200].rpartition("\n")[0]
    fence = "\n```" if start.count("\n```") % 2 else ""
    return f"{start}{fence}\n\nThis is cut; the whole plan is in the job's summary.\n"


def _own_comment(number: int) -> int | None:
    """Return the comment that was written before; what a person has written is never taken for it."""
    for page in range(1, MOST_PAGES + 1):
        found = _call("GET", f"issues/{number}/comments?per_page={PAGE_SIZE}&page={page}")
        for comment in found:
            if comment["user"]["type"] == "Bot" and comment["body"].startswith(MARK):
                return int(comment["id"])
        if len(found) < PAGE_SIZE:
            break
    return None


def _call(method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    url = f"{os.environ['GITHUB_API_URL']}/repos/{os.environ['GITHUB_REPOSITORY']}/{path}"
    data = None if body is None else json.dumps(body).encode()
    headers = {
        "Accept": "application/vnd.github+json",
        "Authorization": f"Bearer {os.environ['TOKEN']}",
        "Content-Type": "application/json",
        "User-Agent": "wanrun",
        "X-GitHub-Api-Version": "2022-11-28",
    }
    request = urllib.request.Request(url, data=data, headers=headers, method=method)  # noqa: S310  # the runner's own
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as reply:  # noqa: S310
        return json.load(reply)


if __name__ == "__main__":
    main(sys.argv[1])
