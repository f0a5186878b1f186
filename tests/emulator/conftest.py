"""What the emulator's tests share: an account with a client in front of it, and the example media."""

from __future__ import annotations

import base64
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from wanrun.emulator import Account, account_transport, virtual_clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

CREATE = "/services/aigc/video-generation/video-synthesis"
MODEL = "wan2.7-videoedit"
CLIP = "https://example.com/in/clip-001.mp4"
MEDIA = Path(__file__).resolve().parents[2] / "specs" / "media"


@dataclass
class Service:
    """A client of an emulated account, with the calls that tests make."""

    api: httpx.AsyncClient
    account: Account | None = None
    #: for links and uploads, which go without a key
    plain: httpx.AsyncClient = field(default_factory=lambda: httpx.AsyncClient(trust_env=False))

    async def create(self, prompt: str = "Turn it into clay.", *, url: str = CLIP, **parameters: Any) -> httpx.Response:
        """Create a task with one video."""
        media = [{"type": "video", "url": url}]
        return await self.send({"model": MODEL, "input": {"prompt": prompt, "media": media}, "parameters": parameters})

    async def send(self, body: Any, **headers: str) -> httpx.Response:
        """Create a task of any body."""
        usual = {"X-DashScope-Async": "enable", "X-DashScope-OssResourceResolve": "enable"}
        return await self.api.post(CREATE, json=body, headers=usual | headers)

    async def made(self, prompt: str = "Turn it into clay.", **more: Any) -> str:
        """Create a task and return its id."""
        response = await self.create(prompt, **more)
        assert response.status_code == 200, response.text
        return str(response.json()["output"]["task_id"])

    async def output(self, task_id: str) -> dict[str, Any]:
        """Query a task and return `output`."""
        response = await self.api.get(f"/tasks/{task_id}")
        assert response.status_code == 200, response.text
        return dict(response.json()["output"])

    async def policy(self, model: str = MODEL) -> dict[str, Any]:
        """Ask for leave to upload."""
        response = await self.api.get("/uploads", params={"action": "getPolicy", "model": model})
        assert response.status_code == 200, response.text
        return dict(response.json()["data"])

    async def upload(
        self, data: bytes, policy: dict[str, Any], name: str = "a.mp4", change: dict[str, str] | None = None
    ) -> httpx.Response:
        """Upload bytes with a policy; `change` replaces or adds fields of the form."""
        form = {
            "OSSAccessKeyId": policy["oss_access_key_id"],
            "Signature": policy["signature"],
            "policy": policy["policy"],
            "x-oss-object-acl": policy["x_oss_object_acl"],
            "x-oss-forbid-overwrite": policy["x_oss_forbid_overwrite"],
            "key": f"{policy['upload_dir']}/{name}",
            "success_action_status": "200",
        }
        return await self.plain.post(policy["upload_host"], data=form | (change or {}), files={"file": (name, data)})

    async def uploaded(self, data: bytes, name: str = "a.mp4") -> str:
        """Upload bytes and return their `oss://` URL."""
        policy = await self.policy()
        assert (await self.upload(data, policy, name)).status_code == 200
        return f"oss://{policy['upload_dir']}/{name}"


@pytest.fixture
def open_service() -> Callable[..., Service]:
    """Return a function that opens an account in virtual time; settings are those of `Account`.

    The test has to ask for `autojump_clock` itself, which is how pytest-trio finds it.
    """

    def open_it(*, key: str = "sk-test", **settings: Any) -> Service:
        account = Account(**{"clock": virtual_clock(), "seed": 1, "seconds": 60.0} | settings)
        transport = account_transport(account)
        api = httpx.AsyncClient(
            transport=transport, base_url="http://emulator/api/v1", headers={"Authorization": f"Bearer {key}"}
        )
        return Service(api, account, httpx.AsyncClient(transport=transport))

    return open_it


@pytest.fixture
def connect() -> Callable[[str], Any]:
    """Return a context manager that gives a client of a server by its base URL."""

    @asynccontextmanager
    async def connected(url: str) -> AsyncIterator[Service]:
        headers = {"Authorization": "Bearer sk-test"}
        async with (
            httpx.AsyncClient(base_url=url, headers=headers, trust_env=False) as api,
            httpx.AsyncClient(trust_env=False) as plain,
        ):
            yield Service(api, plain=plain)

    return connected


@pytest.fixture(scope="session")
def street() -> bytes:
    """Return the example video: 4 s, 480 x 270, with sound."""
    return (MEDIA / "street.mp4").read_bytes()


@pytest.fixture(scope="session")
def coat_url() -> str:
    """Return an example picture as a data URL."""
    return "data:image/png;base64," + base64.b64encode((MEDIA / "coat.png").read_bytes()).decode()
