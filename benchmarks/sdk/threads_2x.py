"""The SDK's 2.x client, shared by a pool of threads: each job is created and waited for in one of them."""

import os
from concurrent.futures import ThreadPoolExecutor

import dashscope
from dashscope.v2.errors import DashScopeError

from asked import MODEL, asked, inputs, tell

OPTIONS = asked()
MANY = 100  #: tries of a throttled call, for a program that is to be patient; the client has its own pauses
PATIENCE = {"max_retries": MANY} if OPTIONS.patient else {}


def edit(number):
    """Make one edit, as the SDK's documentation does; False when it failed."""
    try:
        return CLIENT.videos.generate(model=MODEL, **inputs(number, OPTIONS.video)).succeeded
    except DashScopeError:
        return False


with (
    dashscope.Client(base_url=os.environ["DASHSCOPE_HTTP_BASE_URL"], **PATIENCE) as CLIENT,
    ThreadPoolExecutor(OPTIONS.at_once) as threads,
):
    tell(list(threads.map(edit, range(OPTIONS.jobs))))
