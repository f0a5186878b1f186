"""Which addresses a link may lead to: public ones, and what the operator allows; pure, nothing is looked up here."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from typing import TypeAlias

Address: TypeAlias = "ipaddress.IPv4Address | ipaddress.IPv6Address"
Network: TypeAlias = "ipaddress.IPv4Network | ipaddress.IPv6Network"

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  #: an IPv4 address in the last 32 bits, reached through a gateway
#: What some versions of Python take for public, and one address that gives a cloud's machines their settings.
_ODD = tuple(
    map(
        ipaddress.ip_network,
        ("168.63.129.16/32", "192.0.0.0/24", "64:ff9b:1::/48", "2001::/23", "3fff::/20", "5f00::/16"),
    )
)


@dataclass(frozen=True, slots=True)
class Reach:
    """Where the links of one service may lead."""

    loopback: bool = False  #: whether to this machine too, since the service itself is here
    networks: tuple[Network, ...] = ()  #: that are not public, and that the operator allows

    def allows(self, text: str) -> bool:
        """Say whether a numeric address, as a look-up gives it, may be connected to; what is none is refused."""
        try:
            address = _meant(ipaddress.ip_address(text))
        except ValueError:
            return False
        if any(address in network for network in self.networks):
            return True
        return address.is_loopback if self.loopback and address.is_loopback else _is_public(address)


def _meant(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 one only wraps, else the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _is_public(address: Address) -> bool:
    odd = address.is_multicast or address.is_reserved or address.is_unspecified or address.is_link_local
    return address.is_global and not odd and not any(address in network for network in _ODD)


def numeric(host: str) -> str | None:
    """Return the address that a host in any numeric form means, such as `2130706433` or `0x7f.1`; None for a name.

    As the C library reads it, which is what programs connect to.
    """
    host = host.removeprefix("[").removesuffix("]")
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except (OSError, UnicodeError):
        return None
