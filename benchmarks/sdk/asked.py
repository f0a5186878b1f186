"""What each of these programs is asked for, and how it says what came of it: one JSON object."""

import argparse
import json
import time

MODEL = "wan2.7-videoedit"
PAUSE_SECONDS = 1.0  #: after a throttled call, for a program that is to be patient


def asked():
    """Return the options of the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, required=True)
    parser.add_argument("--at-once", type=int, required=True, help="how many jobs are under way at a time")
    parser.add_argument("--patient", action="store_true", help="make a throttled call again")
    parser.add_argument("--video", default="https://example.com/clip.mp4")
    return parser.parse_args()


def inputs(number, video):
    """Return what a job is made of; media are made anew, since 1.x writes the URLs of uploads into the list."""
    return {"prompt": f"Edit number {number}.", "media": [{"type": "video", "url": video}], "resolution": "720P"}


def patiently(call):
    """Return the first answer of a 1.x call that is not a throttled one."""
    while (answer := call()).status_code == 429:
        time.sleep(PAUSE_SECONDS)
    return answer


def succeeded(answer):
    """Say whether an answer of 1.x tells of a task that ended well."""
    return answer.status_code == 200 and answer.output.task_status == "SUCCEEDED"


def tell(ended):
    """Print how many jobs this program saw end well."""
    print(json.dumps({"ended": sum(ended)}))
