"""The service on this machine: an account of the video-edit service that costs nothing, for tests, demos and CI.

`Account` is the fake itself, `account_transport` puts it behind an httpx client in memory, `serve` on a loopback port.
"""

from __future__ import annotations

from wanrun.emulator.account import Account, Work
from wanrun.emulator.api import ACCOUNT_HEADER
from wanrun.emulator.faults import Faults, load_faults
from wanrun.emulator.folder import Home, open_home
from wanrun.emulator.host import run_emulator
from wanrun.emulator.ready import Clip, ready_clip
from wanrun.emulator.server import serve
from wanrun.emulator.store import FolderStore, MemoryStore, Store
from wanrun.emulator.tasks import Status, Task
from wanrun.emulator.transport import account_transport, virtual_clock

__all__ = [
    "ACCOUNT_HEADER",
    "Account",
    "Clip",
    "Faults",
    "FolderStore",
    "Home",
    "MemoryStore",
    "Status",
    "Store",
    "Task",
    "Work",
    "account_transport",
    "load_faults",
    "open_home",
    "ready_clip",
    "run_emulator",
    "serve",
    "virtual_clock",
]
