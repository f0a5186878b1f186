"""Where the service is: hosts made from region and workspace, or the one base URL that the operator gave."""

from __future__ import annotations

import re
from dataclasses import dataclass

import httpx

from wanrun.client.text import bare, clean
from wanrun.errors import SettingsError
from wanrun.places import DEFAULT_REGION, REGION_IDS, SHARED_HOSTS, WORKSPACE_RULE, is_workspace

#: What counts as this machine: plain http is allowed to these hosts, and no proxy is ever asked for them.
LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})

#: The same as httpx writes them.
LOOPBACK_PATTERNS = frozenset(f"all://[{host}]" if ":" in host else f"all://{host}" for host in LOOPBACK_HOSTS)

_HOST = re.compile(r"[A-Za-z0-9._:-]+")
_ODD = re.compile(r"[\s\\\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The service's addresses; both URLs end without a slash, such as `https://host/api/v1`."""

    base_url: str
    uploads_base_url: str  #: the region's shared host: upload policies are not known to work on workspace hosts
    region: str  #: `singapore` or `beijing`


def endpoint_for(
    *, region: str = DEFAULT_REGION, workspace: str | None = None, base_url: str | None = None
) -> Endpoint:
    """Return where to call; an explicit base URL wins over region and workspace, and serves uploads too.

    Raises `SettingsError` for an unknown region, a workspace that no host can be made from, or an unusable URL.
    """
    if region not in REGION_IDS:
        raise SettingsError(
            f'region is "{clean(region, limit=80)}"; the model is served in {" and ".join(sorted(REGION_IDS))}'
        )
    if base_url is not None:
        base_url = _checked(base_url)
        return Endpoint(base_url, base_url, region)
    shared = f"https://{SHARED_HOSTS[region]}/api/v1"
    if workspace is None:
        return Endpoint(shared, shared, region)
    if not is_workspace(workspace):
        raise SettingsError(f"workspace may hold {WORKSPACE_RULE}")
    return Endpoint(f"https://{workspace}.{REGION_IDS[region]}.maas.aliyuncs.com/api/v1", shared, region)


def web_url(url: str) -> httpx.URL | None:
    """Return the parsed URL when it is http or https to a plain host, without odd characters; else None."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        return None
    plain = _HOST.fullmatch(parsed.raw_host.decode("ascii")) and not _ODD.search(url)
    return parsed if plain and parsed.scheme in ("http", "https") else None


def stays_private(url: httpx.URL) -> bool:
    """Say whether what is sent there is read by nobody else: over TLS, or inside this machine."""
    return url.scheme == "https" or url.host in LOOPBACK_HOSTS


def is_on_loopback(url: str) -> bool:
    """Say whether a URL leads to this machine by name."""
    parsed = web_url(url)
    return parsed is not None and parsed.host in LOOPBACK_HOSTS


def _checked(base_url: str) -> str:
    """Return the base URL without its last slash; the API key goes to its host, so nothing odd is let through."""
    url = web_url(base_url)
    if url is None:
        raise SettingsError(f'base URL "{bare(base_url)}" is not one; write it like https://host/api/v1')
    if url.userinfo or "?" in base_url or "#" in base_url:
        raise SettingsError(f'base URL "{bare(base_url)}" may have no user, password, query or fragment')
    if not stays_private(url):
        raise SettingsError(f'base URL "{bare(base_url)}" must be https; plain http is for this machine only')
    return str(url).rstrip("/")
