"""A program: the runner to beat. One job at a time, no ledger; started again, it makes what has no file yet.

Arguments: the base URL of the service, then the ids of the jobs. The files go to the folder `out`.
"""

from __future__ import annotations

import json
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

KEY = {"Authorization": "Bearer sk-test"}
CREATE = {**KEY, "Content-Type": "application/json", "X-DashScope-Async": "enable"}


def main(url: str, *ids: str) -> None:
    """Make every job whose file is not there."""
    print("begun", file=sys.stderr, flush=True)
    for each in ids:
        path = Path("out", f"{each}.mp4")
        if not path.exists():
            save(path, result_of(url, create(url, each)))


def create(url: str, job: str) -> str:
    """Make a task and return its id."""
    video = {"type": "video", "url": f"https://example.com/{job}.mp4"}
    body = {"model": "wan2.7-videoedit", "input": {"prompt": f"prompt of {job}", "media": [video]}, "parameters": {}}
    return str(call(f"{url}/services/aigc/video-generation/video-synthesis", body)["task_id"])


def result_of(url: str, task: str) -> str:
    """Wait for a task and return the link to its result."""
    while (output := call(f"{url}/tasks/{task}"))["task_status"] != "SUCCEEDED":
        time.sleep(0.2)
    return str(output["video_url"])


def save(path: Path, link: str) -> None:
    """Download a result; the file gets its name when it is whole."""
    part = path.with_name(f".{path.name}.part")
    with urllib.request.urlopen(link, timeout=10) as reply:
        part.write_bytes(reply.read())
    part.replace(path)


def call(url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Make a call and return its output; made again when the service throttles."""
    data, headers = (json.dumps(body).encode(), CREATE) if body else (None, KEY)
    asked = urllib.request.Request(url, data, headers)
    while True:
        try:
            with urllib.request.urlopen(asked, timeout=10) as reply:
                return dict(json.load(reply)["output"])
        except urllib.error.HTTPError as exc:
            if exc.code != 429:
                raise
            time.sleep(0.5)


if __name__ == "__main__":
    main(*sys.argv[1:])
