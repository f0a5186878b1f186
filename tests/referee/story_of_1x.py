"""A day in the life of the SDK's 1.x classes, run as a program by whichever Python has the SDK; prints what they said.

The environment says where the account is, by the SDK's own variables. Arguments: base URLs of an account that is
throttled and of one that fails in passing, then the files of a video and of a picture. Output: one JSON object.
"""

import asyncio
import copy
import hashlib
import json
import sys

import dashscope
import requests
from dashscope import VideoSynthesis
from dashscope.aigc.video_synthesis import AioVideoSynthesis
from dashscope.version import __version__

MODEL = "wan2.7-videoedit"
NOBODYS = "00000000-0000-4000-8000-000000000001"
FAR = [
    {"type": "video", "url": "https://example.com/in/clip-001.mp4"},
    {"type": "reference_image", "url": "https://example.com/in/coat.png"},
]


def told(response):
    """Return an answer as plain values."""
    return {
        "status": response.status_code,
        "code": response.code,
        "message": response.message,
        "request_id": response.request_id,
        "output": response.output,
        "usage": response.usage,
    }


def create(prompt, **more):
    """Create a task with the SDK; media are copied, since 1.x writes the URLs of uploads into the caller's list."""
    media = copy.deepcopy(more.pop("media", FAR))
    return VideoSynthesis.async_call(MODEL, prompt=prompt, media=media, **{"resolution": "720P", **more})


def edits(files):
    """Upload, create, wait and download."""
    local = [{"type": kind, "url": f"file://{path}"} for kind, path in files]
    made = create("Turn it into clay.", media=local, negative_prompt="blurry", ratio="16:9", seed=7, watermark=False)
    ended = VideoSynthesis.wait(made)
    video = requests.get(ended.output.video_url, timeout=30)
    with_key = requests.get(
        ended.output.video_url, headers={"Authorization": f"Bearer {dashscope.api_key}"}, timeout=30
    )
    return {
        "made": told(made),
        "ended": told(ended),
        "fetched": told(VideoSynthesis.fetch(made.output.task_id)),
        "downloaded": {"status": video.status_code, "sha256": hashlib.sha256(video.content).hexdigest()},
        "downloaded with the key": {"status": with_key.status_code},
        "called": told(VideoSynthesis.call(MODEL, prompt="At once.", media=copy.deepcopy(FAR))),
    }


def refusals(picture):
    """Do what the service does not let pass."""
    return {
        "wrong key": told(create("Mine?", api_key="nobody's")),
        "wrong key, fetch": told(VideoSynthesis.fetch(NOBODYS, api_key="nobody's")),
        "wrong key, list": told(VideoSynthesis.list(api_key="nobody's")),
        "wrong key, upload": raised(
            lambda: create("Mine?", api_key="nobody's", media=[{"type": "video", "url": f"file://{picture}"}])
        ),
        "no such model": told(VideoSynthesis.async_call("wan9", prompt="New.", media=copy.deepcopy(FAR))),
        "another's upload": told(create("Found.", media=[{"type": "video", "url": "oss://dashscope-instant/x/a.mp4"}])),
        "malformed id": told(VideoSynthesis.fetch("task-1")),
        "unknown": told(VideoSynthesis.fetch(NOBODYS)),
        "unknown, waited for": told(VideoSynthesis.wait(NOBODYS)),
        "unknown, cancelled": told(VideoSynthesis.cancel(NOBODYS)),
    }


def raised(action):
    """Return what an action raises."""
    try:
        action()
    except Exception as exc:
        return {"error": type(exc).__name__, "text": str(exc)}
    return {}


def failures():
    """Create what becomes a failed task."""
    steps = {}
    for name, more in {"no media": {"media": []}, "bad ratio": {"ratio": "2:1"}, "doomed": {}}.items():
        made = create(name, **more)
        steps[f"{name}, made"], steps[name] = told(made), told(VideoSynthesis.wait(made))
    return steps


def cancels():
    """Fill the only place, then cancel the one who waits and the one who runs."""
    running, waiting = create("A long one."), create("One too many.")
    steps = {"running": told(VideoSynthesis.fetch(running)), "pending": told(VideoSynthesis.fetch(waiting))}
    return steps | {
        "cancel pending": told(VideoSynthesis.cancel(waiting)),
        "cancel running": told(VideoSynthesis.cancel(running)),
        "cancelled": told(VideoSynthesis.wait(waiting)),
    }


def lists():
    """List by page and by filter."""
    return {
        "all": told(VideoSynthesis.list()),
        "second page": told(VideoSynthesis.list(page_no=2, page_size=3)),
        "failed": told(VideoSynthesis.list(status="FAILED", model_name=MODEL, region="ap-southeast-1")),
        "last century": told(VideoSynthesis.list(start_time="19991231000000", end_time="19991231235959")),
        "bad window": told(VideoSynthesis.list(start_time="yesterday")),
    }


async def asyncio_classes():
    """Do the usual with the asyncio classes."""
    made = await AioVideoSynthesis.async_call(MODEL, prompt="Another one.", media=copy.deepcopy(FAR))
    steps = {
        "made": told(made),
        "fetched": told(await AioVideoSynthesis.fetch(made)),
        "cancel": told(await AioVideoSynthesis.cancel(made)),
        "after it": told(await AioVideoSynthesis.fetch(made)),
        "listed": told(await AioVideoSynthesis.list(page_size=1)),
        "unknown": told(await AioVideoSynthesis.fetch(NOBODYS)),
        "wrong key": told(await AioVideoSynthesis.fetch(made, api_key="nobody's")),
    }
    if hasattr(dashscope, "close_shared_aio_session"):
        await dashscope.close_shared_aio_session()
    return steps


def throttled():
    """Call an account that has no call left."""
    return {
        "create": told(create("Now.")),
        "fetch": told(VideoSynthesis.fetch(NOBODYS)),
        "wait": told(VideoSynthesis.wait(NOBODYS)),
        "list": told(VideoSynthesis.list()),
        "cancel": told(VideoSynthesis.cancel(NOBODYS)),
    }


def broken():
    """Wait through a query that is answered with 503."""
    return {"waited": told(VideoSynthesis.wait(create("Patience.")))}


def main(busy, shaky, video, picture):
    """Tell the story."""
    story = {"version": __version__, "base_url": dashscope.base_http_api_url}
    story["edits"] = edits([("video", video), ("reference_image", picture)])
    story |= {"refusals": refusals(picture), "failures": failures(), "cancels": cancels()}
    story |= {"asyncio": asyncio.run(asyncio_classes()), "lists": lists()}
    dashscope.base_http_api_url = busy
    story["throttled"] = throttled()
    dashscope.base_http_api_url = shaky
    story["broken"] = broken()
    print(json.dumps(story))


main(*sys.argv[1:])
