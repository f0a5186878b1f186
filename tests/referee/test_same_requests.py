"""The other way round: for the same inputs wanrun asks the service for what the SDK asks for."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import dashscope
import pytest
import trio
from referee_parts import KEY, MEDIA, MODEL, NOBODYS, ONE_PLACE, Served

from wanrun.client import CancelTooLate, Client, create_body, endpoint_for
from wanrun.emulator.calls import Kind
from wanrun.models import shipped_models
from wanrun.types import Job, MediaRef, Position, Secret

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from wanrun.emulator.calls import Call

CREATE_PATH = next(model.path for model in shipped_models() if model.name == MODEL)
CLIP, COAT, HAT = (f"https://example.com/in/{name}" for name in ("clip-001.mp4", "coat.png", "hat.webp"))
INLINE = "data:image/png;base64,iVBORw0KGgo="
EVERYTHING = {
    "resolution": "720P",
    "ratio": "16:9",
    "duration": 5,
    "audio_setting": "origin",
    "prompt_extend": False,
    "watermark": True,
    "seed": 12345,
}
#: What headers say about the request itself; the others name the program and its connection.
TELLING = re.compile(r"authorization|content-type|x-dashscope-(async|ossresourceresolve|workspace|datainspection)")

#: prompt, negative prompt, media, parameters
INPUTS: dict[str, tuple[str | None, str | None, list[tuple[str, str]], dict[str, Any]]] = {
    "a prompt and a video": ("Turn it into clay.", None, [("video", CLIP)], {}),
    "everything": ("The coat of the picture.", "blurry", [("video", CLIP), ("reference_image", COAT)], EVERYTHING),
    "no prompt": (None, None, [("video", CLIP), ("reference_image", COAT)], {"resolution": "1080P"}),
    "two references in order": (
        "Both.",
        None,
        [("video", CLIP), ("reference_image", HAT), ("reference_image", COAT)],
        {},
    ),
    "references before the video": ("Both.", None, [("reference_image", COAT), ("video", CLIP)], {"duration": 0}),
    "a picture in the body": ("The coat.", None, [("video", CLIP), ("reference_image", INLINE)], {"seed": 0}),
    "other scripts": ('把外套换成图中的款式 🧥\n„ruhig“ \\ "so"', "模糊", [("video", CLIP)], {"prompt_extend": True}),
}


def by_sdk(served: Served, words: tuple[Any, ...]) -> Call:
    """Create with the SDK's 2.x client, the way its signature wants it; return what the emulator heard."""
    prompt, negative, media, parameters = words
    more = {"extra_input": {"negative_prompt": negative}} if negative else {}
    with dashscope.Client(api_key=KEY, base_url=served.url, max_retries=0) as client:
        client.videos.jobs.create(
            model=MODEL,
            prompt=prompt,
            media=[{"type": kind, "url": url} for kind, url in media],
            parameters=parameters or None,
            **more,
        )
    return served.heard(Kind.CREATE)[-1]


def by_wanrun(served: Served, words: tuple[Any, ...]) -> Call:
    """Create with wanrun's client; return what the emulator heard."""
    prompt, negative, media, parameters = words
    here = Position(MEDIA / "spec.yaml", 1, 1)
    job = Job(
        spec="spec",
        id="job",
        spec_path=here.path,
        position=here,
        model=MODEL,
        provider="default",
        prompt=prompt,
        negative_prompt=negative,
        media=tuple(MediaRef(kind, "http", {}, MEDIA, here) for kind, _ in media),
        parameters=parameters,
        sinks=(),
    )
    body = create_body(job, [url for _, url in media])
    ask(served, lambda client: client.create(body, path=CREATE_PATH))
    return served.heard(Kind.CREATE)[-1]


def ask(served: Served, call: Callable[[Client], Awaitable[Any]]) -> Any:
    """Make one call with wanrun's client and return its answer."""

    async def made() -> Any:
        async with Client(endpoint_for(base_url=served.url), Secret(KEY)) as client:
            return await call(client)

    return trio.run(made)


def told(call: Call) -> dict[str, Any]:
    """Return what a call asks for: JSON as text, so that true is not 1, and only headers that mean something."""
    headers = {name: value.split(";")[0] for name, value in call.headers.items() if TELLING.fullmatch(name)}
    body = json.dumps(json.loads(call.body), sort_keys=True) if call.body else ""
    return {"method": call.method, "path": call.path, "headers": headers, "body": body}


@pytest.mark.parametrize("words", INPUTS.values(), ids=INPUTS)
def test_both_create_with_the_same_request(open_emulator: Callable[..., Served], words: tuple[Any, ...]) -> None:
    """Method, path, body with its media in order, and every header that is about the request."""
    served = open_emulator()

    assert told(by_wanrun(served, words)) == told(by_sdk(served, words))


def test_both_ask_to_resolve_what_was_uploaded(open_emulator: Callable[..., Served]) -> None:
    """The SDK uploads; wanrun creates with the same addresses, and the same header goes along."""
    served = open_emulator()
    files = [("video", f"file://{MEDIA / 'street.mp4'}"), ("reference_image", f"file://{MEDIA / 'coat.png'}")]

    theirs = by_sdk(served, ("The coat.", None, files, {"resolution": "720P"}))
    uploaded = [(item["type"], item["url"]) for item in json.loads(theirs.body)["input"]["media"]]
    ours = by_wanrun(served, ("The coat.", None, uploaded, {"resolution": "720P"}))

    assert told(ours) == told(theirs)
    assert told(ours)["headers"]["x-dashscope-ossresourceresolve"] == "enable"


def test_nothing_is_to_be_resolved_otherwise(open_emulator: Callable[..., Served]) -> None:
    """Neither sends the header for media that the service fetches itself."""
    served = open_emulator()

    for make in (by_sdk, by_wanrun):
        assert "x-dashscope-ossresourceresolve" not in make(served, INPUTS["everything"]).headers


def test_both_upload_with_the_same_form(open_emulator: Callable[..., Served]) -> None:
    """The same call for a policy, the same fields, the same bytes; wanrun gives the file a name of its own."""
    served = open_emulator()
    coat = MEDIA / "coat.png"

    by_sdk(served, ("The coat.", None, [("video", CLIP), ("reference_image", f"file://{coat}")], {}))
    url = ask(served, lambda client: _uploaded(client, coat))
    policies, uploads = served.heard(Kind.POLICY), served.heard(Kind.UPLOAD)

    assert policies[0].query == policies[1].query
    assert _settled(uploads[0]) == _settled(uploads[1])
    assert served.stored(url) == coat.read_bytes()


async def _uploaded(client: Client, path: Path) -> str:
    policy = await client.upload_policy(MODEL)
    return (await client.upload(policy, path, name="a1b2.png", mime="image/png")).url


def _settled(call: Call) -> dict[str, str]:
    """Return the fields of a form, those that differ from policy to policy by name alone."""
    assert call.form is not None
    assert "authorization" not in call.headers
    varying = ("key", "policy", "Signature")
    return {name: "" if name in varying else value for name, value in call.form.fields.items()}


def test_both_query_list_and_cancel_alike(open_emulator: Callable[..., Served]) -> None:
    """Method, path and what the list is asked for; neither sends the header of a create."""
    served = open_emulator(limits=ONE_PLACE)

    with dashscope.Client(api_key=KEY, base_url=served.url, max_retries=0) as client:
        jobs = client.videos.jobs
        jobs.fetch(NOBODYS)
        jobs.list(model_name=MODEL, status="PENDING", page_no=2, page_size=100)
        with pytest.raises(dashscope.v2.errors.BadRequestError):
            jobs.cancel(NOBODYS)
    ask(served, lambda client: client.query(NOBODYS))
    ask(served, lambda client: client.list_tasks(model=MODEL, status="PENDING", page_no=2))
    with pytest.raises(CancelTooLate):
        ask(served, lambda client: client.cancel(NOBODYS))

    for kind in (Kind.QUERY, Kind.LIST, Kind.CANCEL):
        theirs, ours = served.heard(kind)
        assert (told(ours), ours.query) == (told(theirs), theirs.query)
