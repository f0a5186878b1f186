"""How object storage says no: a status and a code, as XML, and for HEAD the same XML in a header."""

from __future__ import annotations

from xml.sax.saxutils import escape


class Refusal(Exception):
    """One answer that is an error."""

    def __init__(self, status: int, code: str, message: str, *, ec: str = "0000-00000000", **facts: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.ec, self.facts = status, code, message, ec, facts
        self.headers: dict[str, str] = {}

    def body(self, request_id: str, host: str) -> bytes:
        """Return the XML that says it."""
        facts = {"Code": self.code, "Message": self.message, "RequestId": request_id, "HostId": host, **self.facts}
        facts["EC"] = self.ec
        inner = "".join(f"\n  <{name}>{escape(value)}</{name}>" for name, value in facts.items())
        return f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{inner}\n</Error>\n'.encode()


def denied(message: str, *, ec: str = "0003-00000001", **facts: str) -> Refusal:
    """Return the refusal of somebody who may not do this."""
    return Refusal(403, "AccessDenied", message, ec=ec, **facts)


def bad(message: str, *, code: str = "InvalidArgument", ec: str = "0017-00000001", **facts: str) -> Refusal:
    """Return the refusal of a request that makes no sense."""
    return Refusal(400, code, message, ec=ec, **facts)


def absent(code: str, message: str, **facts: str) -> Refusal:
    """Return the refusal that names what is not there."""
    return Refusal(404, code, message, ec="0026-00000001", **facts)


def exists() -> Refusal:
    """Return the refusal to overwrite."""
    return Refusal(
        409,
        "FileAlreadyExists",
        "The object you specified already exists and can not be overwritten.",
        ec="0026-00000002",
    )
