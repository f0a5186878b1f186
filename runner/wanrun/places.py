"""Where the service is: its regions, and how a workspace is called. The API key goes to hosts made from these."""

from __future__ import annotations

import re

#: region -> its id in host names, and the host that workspaces share
REGION_IDS = {"singapore": "ap-southeast-1", "beijing": "cn-beijing"}
SHARED_HOSTS = {"singapore": "dashscope-intl.aliyuncs.com", "beijing": "dashscope.aliyuncs.com"}
DEFAULT_REGION = "singapore"
WORKSPACE_RULE = "1 to 64 letters, digits, _ and -, a letter or digit first"

_WORKSPACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def is_workspace(name: object) -> bool:
    """Say whether a workspace may be called so: nothing in it can bend the host that is made from it."""
    return isinstance(name, str) and _WORKSPACE.fullmatch(name) is not None
