"""Object storage as a test needs it: strict, on loopback, with faults on demand, and a record of all it was sent.

`OssServer` speaks HTTP; `signing` says who may ask, `operations` what comes of it, `storage` what is kept. The official
SDKs judge it in `tests/test_oss_server.py`.
"""

from __future__ import annotations

from oss_server.faults import Fault
from oss_server.server import Call, OssServer
from oss_server.signing import Key

__all__ = ["Call", "Fault", "Key", "OssServer"]
