"""The SDK's 1.x classes, as they are in its newest version and as they were in the oldest documented one."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from referee_parts import (
    BUSY,
    KEY,
    LONG_SECONDS,
    MEDIA,
    MODEL,
    NOBODYS,
    OLDEST,
    ONE_PLACE,
    Served,
    emulator,
    sdk_environment,
)

from wanrun.emulator import Task, ready_clip
from wanrun.emulator.calls import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

NEWEST = version("dashscope")
STORY_SECONDS = 30
SCRIPT = Path(__file__).with_name("story_of_1x.py")
VIDEO, PICTURE = MEDIA / "street.mp4", MEDIA / "coat.png"
DOOMED = {"code": "DataInspectionFailed", "message": "Output data may contain inappropriate content."}
NO_CANCEL = "Failed to cancel the task, please confirm if the task is in PENDING status."


@dataclass
class Story:
    """What the SDK said, and what the emulator heard."""

    told: dict[str, Any]
    served: Served


@pytest.fixture(scope="module", params=[NEWEST, pytest.param(OLDEST, marks=pytest.mark.slow)])
def story(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Return the story that `story_of_1x.py` tells with one version of the SDK; its account has one place."""
    python = request.getfixturevalue("oldest_python") if request.param == OLDEST else sys.executable
    folder = tmp_path_factory.mktemp("story")
    doom = {"on": "create", "prompt": "doomed", "do": {"fail": DOOMED}}
    shaken = {"on": "query", "nth": 1, "do": {"status": 503, "code": "ModelUnavailable"}}
    with (
        emulator(folder / "main", doom, limits=ONE_PLACE, seconds=_long_or_not) as served,
        emulator(folder / "busy", limits=BUSY) as busy,
        emulator(folder / "shaky", shaken) as shaky,
    ):
        told = _tell(python, folder, served.url, busy.url, shaky.url, str(VIDEO), str(PICTURE))
        assert told["version"] == request.param
        yield Story(told, served)


def _long_or_not(task: Task) -> float:
    return LONG_SECONDS if task.prompt == "A long one." else 0.0


def _tell(python: str, home: Path, url: str, *arguments: str) -> dict[str, Any]:
    environment = sdk_environment(HOME=str(home), DASHSCOPE_HTTP_BASE_URL=url, DASHSCOPE_API_KEY=KEY)
    done = subprocess.run(
        [python, SCRIPT, *arguments], env=environment, cwd=home, capture_output=True, text=True, timeout=STORY_SECONDS
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_the_documented_variables_lead_the_sdk_here(story: Story) -> None:
    """`DASHSCOPE_HTTP_BASE_URL` is enough, and every call of the story came in."""
    assert story.told["base_url"] == story.served.url
    assert len(story.served.heard(Kind.CREATE)) == 11


def test_a_create_with_references_is_pending(story: Story) -> None:
    """The answer holds a task id, a state and the id of the request."""
    made = story.told["edits"]["made"]

    assert (made["status"], made["code"]) == (200, "")
    assert made["output"]["task_status"] == "PENDING"
    assert made["request_id"]


def test_files_are_uploaded_and_named_in_the_create(story: Story) -> None:
    """Video and picture arrive byte for byte, in their order, and the SDK asks to resolve their addresses."""
    call = story.served.heard(Kind.CREATE)[0]
    video, picture = json.loads(call.body)["input"]["media"]

    assert (video["type"], picture["type"]) == ("video", "reference_image")
    assert story.served.stored(video["url"]) == VIDEO.read_bytes()
    assert story.served.stored(picture["url"]) == PICTURE.read_bytes()
    assert call.headers["x-dashscope-ossresourceresolve"] == "enable"


@pytest.mark.parametrize("step", ["ended", "fetched", "called"])
def test_a_task_that_succeeded_has_link_and_usage(story: Story, step: str) -> None:
    """However it is asked for: by wait, fetch or call."""
    ended = story.told["edits"][step]

    assert ended["output"]["task_status"] == "SUCCEEDED"
    assert ended["output"]["video_url"].startswith("http://127.0.0.1:")
    assert ended["usage"]["duration"] == ended["usage"]["input_video_duration"] + 2.0
    assert ended["usage"]["SR"] == (1080 if step == "called" else 720)


def test_usage_counts_the_uploaded_video(story: Story) -> None:
    """Its 4 seconds and the 2 of the result are billed together."""
    assert story.told["edits"]["ended"]["usage"] == {
        "duration": 6.0,
        "input_video_duration": 4.0,
        "output_video_duration": 2.0,
        "video_count": 1,
        "SR": 720,
        "video_duration": 0,  # these two are the SDK's own and in no answer
        "video_ratio": "",
    }


def test_the_link_is_good_without_the_key_and_refuses_one(story: Story) -> None:
    """As object storage does."""
    edits = story.told["edits"]

    assert edits["downloaded"] == {"status": 200, "sha256": hashlib.sha256(ready_clip().data).hexdigest()}
    assert edits["downloaded with the key"] == {"status": 400}


REFUSALS = {
    "wrong key": (401, "InvalidApiKey", "Invalid API-key provided."),
    "wrong key, fetch": (401, "InvalidApiKey", "Invalid API-key provided."),
    "wrong key, list": (401, "InvalidApiKey", "Invalid API-key provided."),
    "no such model": (404, "InvalidParameter", "Model not exist."),
    "another's upload": (
        400,
        "InvalidParameter.DataInspection",
        "Failed to find the requested media resource during the data inspection process.",
    ),
    "malformed id": (400, "InvalidParameter", "task_id is not valid."),
    "unknown, cancelled": (400, "UnsupportedOperation", NO_CANCEL),
}


@pytest.mark.parametrize("step", REFUSALS)
def test_a_refusal_reaches_the_caller_with_all_its_parts(story: Story, step: str) -> None:
    """Status, code, message and request id, where the SDK looks for them."""
    refused = story.told["refusals"][step]

    assert (refused["status"], refused["code"], refused["message"]) == REFUSALS[step]
    assert refused["request_id"]
    assert refused["output"] is None


def test_an_upload_with_a_wrong_key_is_an_exception(story: Story) -> None:
    """The SDK reads code and message out of the refused policy call."""
    assert story.told["refusals"]["wrong key, upload"] == {
        "error": "UploadFileException",
        "text": "Get upload certificate failed, code: InvalidApiKey, message: Invalid API-key provided.",
    }


@pytest.mark.parametrize("step", ["unknown", "unknown, waited for"])
def test_a_task_that_nobody_made_is_unknown(story: Story, step: str) -> None:
    """Which is no error, and ends the wait at once."""
    unknown = story.told["refusals"][step]

    assert unknown["status"] == 200
    assert unknown["output"] == {"task_id": NOBODYS, "task_status": "UNKNOWN", "video_url": ""}


FAILURES = {
    "no media": ("InvalidParameter", "Field required: input.media"),
    "bad ratio": ("InvalidParameter", "ratio is out of range: parameters.ratio"),
    "doomed": (DOOMED["code"], DOOMED["message"]),
}


@pytest.mark.parametrize("step", FAILURES)
def test_a_bad_body_is_taken_and_its_task_fails(story: Story, step: str) -> None:
    """As the service does: 200 at first, and the reason with the task."""
    made, failed = story.told["failures"][f"{step}, made"], story.told["failures"][step]

    assert (made["status"], made["output"]["task_status"]) == (200, "PENDING")
    assert (failed["status"], failed["output"]["task_status"]) == (200, "FAILED")
    assert (failed["output"]["code"], failed["output"]["message"]) == FAILURES[step]
    assert failed["usage"] is None


def test_only_a_waiting_task_is_cancelled(story: Story) -> None:
    """The one that runs goes on, the one that waited is CANCELED, and waiting for it ends."""
    told = story.told["cancels"]

    assert told["running"]["output"]["task_status"] == "RUNNING"
    assert told["pending"]["output"]["task_status"] == "PENDING"
    assert (told["cancel pending"]["status"], told["cancel pending"]["output"]) == (200, {})
    assert (told["cancel running"]["status"], told["cancel running"]["code"]) == (400, "UnsupportedOperation")
    assert told["cancel running"]["message"] == NO_CANCEL
    assert told["cancelled"]["output"]["task_status"] == "CANCELED"


def test_the_list_has_every_task_newest_first(story: Story) -> None:
    """With paging figures, and in each row the id of the create and the state."""
    page = story.told["lists"]["all"]["output"]
    last = story.told["asyncio"]["made"]

    assert (page["total"], page["total_page"], page["page_no"], page["page_size"]) == (8, 1, 1, 10)
    assert page["data"][0]["task_id"] == last["output"]["task_id"]
    assert page["data"][0]["request_id"] == last["request_id"]
    assert [row["status"] for row in page["data"]][1:] == ["CANCELED", "RUNNING", *3 * ["FAILED"], *2 * ["SUCCEEDED"]]


def test_the_list_is_paged_and_filtered_as_the_sdk_asks(story: Story) -> None:
    """By page, by state, model and region, and by a window of time."""
    lists = story.told["lists"]
    rows = lists["all"]["output"]["data"]

    assert lists["second page"]["output"]["data"] == rows[3:6]
    assert lists["failed"]["output"]["data"] == [row for row in rows if row["status"] == "FAILED"]
    assert {row["model_name"] for row in rows} == {MODEL}
    assert (lists["last century"]["output"]["total"], lists["last century"]["output"]["data"]) == (0, [])
    assert (lists["bad window"]["status"], lists["bad window"]["code"]) == (400, "InvalidParameter")


def test_the_asyncio_classes_are_understood(story: Story) -> None:
    """They write paths with a slash at the end."""
    told = story.told["asyncio"]

    assert told["fetched"]["output"]["task_id"] == told["made"]["output"]["task_id"]
    assert told["fetched"]["output"]["task_status"] == "PENDING"
    assert told["listed"]["output"]["data"][0]["task_id"] == told["made"]["output"]["task_id"]
    assert told["unknown"]["output"]["task_status"] == "UNKNOWN"
    assert (told["wrong key"]["status"], told["wrong key"]["code"]) == (401, "InvalidApiKey")


def test_the_asyncio_classes_cancel_since_they_post(story: Story) -> None:
    """The oldest version sends GET instead: it is told that there is no such thing, and the task waits on."""
    told, old = story.told["asyncio"], story.told["version"] == OLDEST

    assert told["cancel"]["status"] == (404 if old else 200)
    assert told["after it"]["output"]["task_status"] == ("PENDING" if old else "CANCELED")


@pytest.mark.parametrize("step", ["create", "fetch", "wait", "list", "cancel"])
def test_a_throttled_call_says_so(story: Story, step: str) -> None:
    """With the code by which the SDK's users tell it from a used-up quota; even `wait` gives up."""
    throttled = story.told["throttled"][step]

    assert (throttled["status"], throttled["code"]) == (429, "Throttling.RateQuota")
    assert throttled["message"] == "Requests rate limit exceeded, please try again later."


def test_waiting_outlasts_a_503(story: Story) -> None:
    """The one status that the SDK asks again after."""
    assert story.told["broken"]["waited"]["output"]["task_status"] == "SUCCEEDED"
