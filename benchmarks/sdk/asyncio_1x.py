"""The SDK's 1.x asyncio classes: each job is created and waited for by a task, so many at once."""

import asyncio

import dashscope
from dashscope.aigc.video_synthesis import AioVideoSynthesis
from dashscope.common.error import InvalidTask

from asked import MODEL, PAUSE_SECONDS, asked, inputs, succeeded, tell

OPTIONS = asked()


async def edit(number):
    """Make one edit, as the SDK's documentation does; `call` raises when the create was refused."""
    try:
        return succeeded(await AioVideoSynthesis.call(MODEL, **inputs(number, OPTIONS.video)))
    except InvalidTask:
        return False


async def edit_patiently(number):
    """Make one edit, and a throttled call again."""
    made = await patiently(lambda: AioVideoSynthesis.async_call(MODEL, **inputs(number, OPTIONS.video)))
    return made.status_code == 200 and succeeded(await patiently(lambda: AioVideoSynthesis.wait(made)))


async def patiently(call):
    """Return the first answer that is not a throttled one."""
    while (answer := await call()).status_code == 429:  # noqa: ASYNC110  # only another call would tell
        await asyncio.sleep(PAUSE_SECONDS)
    return answer


async def main():
    """Make all edits."""
    places = asyncio.Semaphore(OPTIONS.at_once)

    async def in_turn(number):
        async with places:
            return await (edit_patiently if OPTIONS.patient else edit)(number)

    tell(await asyncio.gather(*map(in_turn, range(OPTIONS.jobs))))
    await dashscope.close_shared_aio_session()


asyncio.run(main())
