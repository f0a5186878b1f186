"""Links that the service answers lead to public addresses only: checked after the look-up, connected to as checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpcore
import pytest
import trio
from safety_parts import KEY, OUTSIDE, names, policy_at, read, sending, serving
from twist import Asked, Twist

from simulation import Simulation, states
from wanrun.client import Client, LinkRefused, endpoint_for
from wanrun.client.addresses import Reach, numeric
from wanrun.client.network import AddressRefused, GuardedNetwork, _first, refusal_of
from wanrun.emulator.calls import Kind
from wanrun.errors import Unavailable
from wanrun.types import Secret

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import httpx
    from trio.testing import MockClock

    Simulate = Callable[..., Simulation]

PRIVATE = [
    "127.0.0.1",
    "127.8.8.8",
    "0.0.0.0",  # noqa: S104  # refused, not listened on
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",  # settings of virtual machines, at most clouds
    "100.100.100.200",  # the same at the cloud of this service
    "168.63.129.16",  # and at one where it looks public
    "192.0.0.192",
    "198.18.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "240.0.0.1",
    "::1",
    "::",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::a9fe:a9fe",  # 169.254.169.254 through a gateway to IPv4
    "2002:7f00:1::1",  # 127.0.0.1 through another
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "no address",
    "",
]
PUBLIC = ["8.8.8.8", "47.88.1.2", "2606:4700::1111", "64:ff9b::808:808", "2002:808:808::1"]


def outside(**settings: object) -> Client:
    """Return the client of a service that is not on this machine."""
    return Client(endpoint_for(base_url=OUTSIDE), Secret(KEY), **settings)  # type: ignore[arg-type]  # as given


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_is_out_of_reach(address: str) -> None:
    """Whatever it is wrapped in; none of these is where a result could be."""
    assert not Reach().allows(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_within_reach(address: str) -> None:
    """Results lie at such."""
    assert Reach().allows(address)


def test_this_machine_is_within_reach_of_a_service_on_it_and_nothing_else_is() -> None:
    """The emulator's links lead here; a link of its to the network around is as odd as any other's."""
    allowed = {address for address in PRIVATE if Reach(loopback=True).allows(address)}

    assert allowed == {"127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1", "2002:7f00:1::1"}


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("2130706433", "127.0.0.1"),
        ("0x7f.1", "127.0.0.1"),
        ("0177.0.0.1", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("[::ffff:127.0.0.1]", "::ffff:7f00:1"),
        ("example.com", None),
        ("12.example", None),
    ],
)
def test_every_numeric_form_of_a_host_is_known_for_one(host: str, address: str | None) -> None:
    """A proxy would read them as the C library does."""
    assert numeric(host) == address


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "0177.0.0.1", "127.1", "[::1]", "[::ffff:127.0.0.1]", "0"],
)
async def test_a_link_to_this_machine_is_refused_in_all_its_spellings(host: str) -> None:
    """The server is there and hears nothing; what could be read by it stays unread."""
    async with serving(sending(b"secret")) as server, outside() as client:
        for scheme in ("https", "http"):
            with pytest.raises(LinkRefused, match=r"no public address|in the clear|no link"):
                await read(client, f"{scheme}://{host}:{server.port}/out/a.mp4?Signature=hidden")

    assert server.connections == 0


@pytest.mark.parametrize(
    "addresses", [("10.0.0.1",), ("8.8.8.8", "10.0.0.1"), ("::ffff:169.254.169.254",), ("8.8.8.8", "fe80::1")]
)
async def test_one_private_address_of_a_name_refuses_the_link(addresses: tuple[str, ...]) -> None:
    """Every address is checked before any is connected to, or the second one would be tried after the first."""
    names({"films.example.com": addresses})

    async with outside() as client:
        with pytest.raises(
            LinkRefused, match=r"leads to films\.example\.com, which is [0-9a-f:.]+, no public"
        ) as caught:
            await read(client, "https://films.example.com/out/a.mp4?Signature=hidden")

    assert "hidden" not in str(caught.value)
    assert "link_networks" in str(caught.value)


async def test_a_name_that_changes_its_address_is_connected_to_as_it_was_checked() -> None:
    """The look-up that was checked is the only one; what the name says a moment later is never asked."""
    found = names({"films.example.com": [("127.0.0.1",), ("127.0.0.2",), ("10.0.0.1",)]})
    network = GuardedNetwork(Reach(loopback=True))

    async with serving(sending(b"film")) as server:
        stream = await network.connect_tcp("films.example.com", server.port, timeout=5)
        peer = stream.get_extra_info("server_addr")
        await stream.aclose()

    assert peer == ("127.0.0.1", server.port)
    assert found.asked == ["films.example.com"]


async def test_the_next_address_is_tried_when_one_does_not_answer() -> None:
    """A name with a dead address still works."""
    names({"films.example.com": ("127.0.0.2", "127.0.0.1")})

    async with serving(sending(b"film")) as server:
        stream = await GuardedNetwork(Reach(loopback=True)).connect_tcp("films.example.com", server.port)
        assert stream.get_extra_info("server_addr")[0] == "127.0.0.1"
        await stream.aclose()


async def test_a_silent_address_has_a_quarter_of_a_second_before_the_next(autojump_clock: MockClock) -> None:
    """As programs do that know of two internets, one of them broken."""

    async def connect(address: str) -> httpcore.AsyncNetworkStream:
        await trio.sleep(100.0 if address == "silent" else 0.1)
        return httpcore.AsyncMockStream([address.encode()])

    stream = await _first(["silent", "quick", "never asked"], connect)

    assert (await stream.read(100), trio.current_time()) == (b"quick", pytest.approx(0.35))


async def test_a_host_that_is_not_there_is_worth_another_try() -> None:
    """It is unavailable as any other broken connection, and so is one whose every address is closed."""

    async def missing(host: str, port: int) -> list[str]:
        await trio.lowlevel.checkpoint()
        raise OSError("unknown name")

    async def closed(host: str, port: int) -> list[str]:
        await trio.lowlevel.checkpoint()
        return ["127.0.0.1", "127.0.0.2"]

    async with serving(sending()) as gone:
        pass
    for resolve in (missing, closed):
        with pytest.raises(httpcore.ConnectError):
            await GuardedNetwork(Reach(loopback=True), resolve=resolve).connect_tcp("films.example.com", gone.port)


async def test_a_look_up_that_hangs_is_bounded(autojump_clock: MockClock) -> None:
    """The time to connect holds for it too."""

    async def hang(host: str, port: int) -> list[str]:
        await trio.sleep_forever()
        raise AssertionError

    with pytest.raises(httpcore.ConnectTimeout):
        await GuardedNetwork(Reach(), resolve=hang).connect_tcp("films.example.com", 443, timeout=10)
    assert trio.current_time() == pytest.approx(10.0)


async def test_links_lead_to_no_unix_socket() -> None:
    """No URL asks for one; if one ever could, nobody would be there."""
    with pytest.raises(AddressRefused):
        await GuardedNetwork(Reach(loopback=True)).connect_unix_socket("/run/some.sock")


async def test_an_upload_goes_to_public_addresses_only(tmp_path: Path) -> None:
    """Its host is what the service answered, so it is no better than a link."""
    (tmp_path / "a.mp4").write_bytes(b"film")
    names({"store.example.com": ("169.254.169.254",)})

    async with serving(sending()) as server, outside() as client:
        for host in ("https://store.example.com", f"http://127.0.0.1:{server.port}", f"https://[::1]:{server.port}"):
            with pytest.raises(LinkRefused, match="no public address"):
                await client.upload(policy_at(host), tmp_path / "a.mp4", name="a.mp4", mime="video/mp4")

    assert server.connections == 0


async def test_the_service_itself_is_where_the_operator_says() -> None:
    """Its address is a setting and no answer, so it may be anywhere; the emulator's links lead to this machine."""
    async with serving(sending(b"film")) as server, server.client() as client:
        assert await read(client, f"{server.origin}/out/a.mp4") == b"film"
        with pytest.raises(LinkRefused, match=r"10\.0\.0\.1"):
            await read(client, "https://10.0.0.1/out/a.mp4")


async def test_a_plain_link_is_read_over_tls() -> None:
    """Who could listen on the way would have the result, and could give another one."""
    found = names({"films.example.com": ("10.0.0.1",)})

    async with outside() as client:
        with pytest.raises(LinkRefused, match="no public address"):
            await read(client, "http://films.example.com/out/a.mp4")
        with pytest.raises(LinkRefused, match="in the clear"):
            await read(client, "http://films.example.com:8080/out/a.mp4")

    assert found.asked == ["films.example.com"]


async def test_a_proxy_is_asked_for_names_and_public_addresses_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy looks names up itself, so it decides which address they have; numbers are refused before it is asked."""
    async with serving(sending(status=403)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.origin)
        async with outside() as client:
            for host in ("169.254.169.254", "2852039166", "[::ffff:10.0.0.1]", "localhost", "x.localhost"):
                with pytest.raises(LinkRefused, match="no public address"):
                    await read(client, f"https://{host}/out/a.mp4")
            assert proxy.connections == 0
            with pytest.raises(Unavailable, match="403"):
                await read(client, "https://films.example.com/out/a.mp4?Signature=hidden")

    assert [head.splitlines()[0] for head in proxy.heads] == [b"CONNECT films.example.com:443 HTTP/1.1"]


async def test_what_no_proxy_names_is_guarded_like_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception from the proxy is none from the check."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "films.example.com")
    names({"films.example.com": ("10.0.0.1",)})

    async with outside() as client:
        with pytest.raises(LinkRefused, match="no public address"):
            await read(client, "https://films.example.com/out/a.mp4")


def private_link(asked: Asked) -> httpx.Response | None:
    """Refuse the download of the job `one`, as the network does for a link that leads to a private address."""
    if asked.kind is Kind.DOWNLOAD and asked.task is not None and asked.task.prompt == "prompt of one":
        raise AddressRefused(refusal_of("films.example.com", "10.0.0.7"))
    return None


async def test_a_refused_link_loses_nothing(simulate: Simulate, autojump_clock: MockClock) -> None:
    """A fresh link is asked for as long as patience lasts; then the job waits for another run, and says why."""
    sim = simulate()
    spec = sim.clips("one", "two")
    twist = Twist(sim.account, instead=private_link)

    first = await sim.run(spec, transport=twist)
    second = await sim.run(spec)

    assert (first.exit_code, states(first)) == (3, {"one": "in flight", "two": "done"})
    tries = [call for call in twist.calls if call.task and call.task.prompt == "prompt of one"]
    assert 3 <= sum(call.kind is Kind.DOWNLOAD for call in tries) <= 20
    assert (second.exit_code, sim.made) == (0, 2)


async def test_a_link_that_is_refused_all_day_ends_as_lost(simulate: Simulate, autojump_clock: MockClock) -> None:
    """After its 24 hours there is nothing left to ask for, and the reason is told."""
    sim = simulate()
    spec = sim.clips("one")
    await sim.run(spec, transport=Twist(sim.account, instead=private_link))
    await trio.sleep(25 * 3600.0)

    last = await sim.run(spec, transport=Twist(sim.account, instead=private_link))

    assert (last.exit_code, states(last)) == (7, {"one": "lost"})
