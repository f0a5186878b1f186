"""The SDK's 1.x classes in a pool of threads: each job is created and waited for in one of them."""

from concurrent.futures import ThreadPoolExecutor

from dashscope import VideoSynthesis
from dashscope.common.error import InvalidTask

from asked import MODEL, asked, inputs, patiently, succeeded, tell

OPTIONS = asked()


def edit(number):
    """Make one edit, as the SDK's documentation does; `call` raises when the create was refused."""
    try:
        return succeeded(VideoSynthesis.call(MODEL, **inputs(number, OPTIONS.video)))
    except InvalidTask:
        return False


def edit_patiently(number):
    """Make one edit, and a throttled call again."""
    made = patiently(lambda: VideoSynthesis.async_call(MODEL, **inputs(number, OPTIONS.video)))
    return made.status_code == 200 and succeeded(patiently(lambda: VideoSynthesis.wait(made)))


with ThreadPoolExecutor(OPTIONS.at_once) as threads:
    tell(list(threads.map(edit_patiently if OPTIONS.patient else edit, range(OPTIONS.jobs))))
