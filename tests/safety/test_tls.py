"""TLS is always checked, name and date and issuer, for the service and for links; one more issuer comes by its file."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from safety_parts import KEY, PATH, TASK, names, read, sending, serving

from wanrun.client import Client, endpoint_for
from wanrun.errors import SettingsError, Unavailable
from wanrun.types import Secret

if TYPE_CHECKING:
    from pathlib import Path

trustme: Any = pytest.importorskip("trustme", reason="trustme, of the dev group, makes the certificates")

HOST = "service.example"
CREATED = b'{"output": {"task_status": "PENDING", "task_id": "%b"}}' % TASK.encode()


@pytest.fixture
def issuer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return an issuer of certificates that this process trusts by `SSL_CERT_FILE`."""
    made = trustme.CA()
    made.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    return made


def context_of(certificate: Any) -> ssl.SSLContext:
    """Return what a server with this certificate needs."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def client_at(port: int, **settings: Any) -> Client:
    """Return a client of the service at its name, whose links may lead to this machine."""
    names({HOST: ("127.0.0.1",)})
    endpoint = endpoint_for(base_url=f"https://{HOST}:{port}/api/v1")
    return Client(endpoint, Secret(KEY), link_networks=["127.0.0.0/8"], **settings)


async def test_an_issuer_given_by_its_file_is_trusted(issuer: Any) -> None:
    """The name of the URL is asked for and checked, though the connection goes to an address."""
    tls = context_of(issuer.issue_cert(HOST))

    async with serving(sending(CREATED), tls=tls) as server, client_at(server.port) as client:
        assert (await client.create({"model": "m"}, path=PATH)).task_id == TASK
        assert await read(client, f"https://{HOST}:{server.port}/out/a.mp4") == CREATED

    assert KEY.encode() in server.heads[0]
    assert KEY.encode() not in server.heads[1]


def bad_certificates(issuer: Any) -> dict[str, Any]:
    """Return certificates that no caller may take."""
    yesterday = datetime.now(UTC) - timedelta(days=1)
    return {
        "another name": issuer.issue_cert("other.example"),
        "the address, not the name": issuer.issue_cert("127.0.0.1"),
        "expired": issuer.issue_cert(HOST, not_before=yesterday - timedelta(days=1), not_after=yesterday),
        "of an issuer that nobody knows": trustme.CA().issue_cert(HOST),
    }


@pytest.mark.parametrize(
    "which", ["another name", "the address, not the name", "expired", "of an issuer that nobody knows"]
)
async def test_a_bad_certificate_is_refused_before_anything_is_sent(issuer: Any, which: str) -> None:
    """The key stays here, and a create surely made no task; links and uploads are no exception."""
    tls = context_of(bad_certificates(issuer)[which])

    async with serving(sending(CREATED), tls=tls) as server, client_at(server.port) as client:
        for call in (client.create({"model": "m"}, path=PATH), client.query(TASK)):
            with pytest.raises(Unavailable, match=r"certificate verify failed|CERTIFICATE_VERIFY_FAILED"):
                await call
        with pytest.raises(Unavailable, match=r"certificate verify failed|CERTIFICATE_VERIFY_FAILED"):
            await read(client, f"https://{HOST}:{server.port}/out/a.mp4")

    assert not any(server.heads)


async def test_a_server_without_tls_gets_nothing(issuer: Any) -> None:
    """What answers in the clear where TLS should be is not spoken to."""
    async with serving(sending(CREATED)) as server, client_at(server.port, connect_seconds=0.3) as client:
        with pytest.raises(Unavailable):
            await client.create({"model": "m"}, path=PATH)

    assert not any(KEY.encode() in head for head in server.heads)


def test_a_file_of_issuers_that_cannot_be_read_is_a_setting_to_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody falls back to trusting everything, or to trusting somebody else."""
    monkeypatch.setenv("SSL_CERT_FILE", "/no/such/ca.pem")

    with pytest.raises(SettingsError, match="SSL_CERT_FILE"):
        Client(endpoint_for(), Secret(KEY))


def test_nothing_switches_the_checks_off() -> None:
    """No setting, no option and no variable of ours does; the oldest protocol is TLS 1.2."""
    import httpx

    context = httpx.create_ssl_context()

    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
