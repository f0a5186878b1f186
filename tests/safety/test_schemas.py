"""No schema is ever fetched: what a plugin's schema refers to elsewhere is its mistake, and a trap hears nothing."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from wanrun import SinkKind, SourceKind, hookimpl
from wanrun.emulator.checks import first_fault
from wanrun.errors import PluginError
from wanrun.models import Model, schemas_folder
from wanrun.registry import load_catalog
from wanrun.spec.nodes import Mark, node_of
from wanrun.spec.sentences import Checker

if TYPE_CHECKING:
    from collections.abc import Iterator


MODEL = json.loads((schemas_folder() / "models" / "wan2.7-videoedit.json").read_text("utf-8"))


class Trap:
    """A server on this machine that gives a schema allowing everything, and counts who asks."""

    def __init__(self, server: HTTPServer) -> None:
        self.url = f"http://127.0.0.1:{server.server_address[1]}/schema.json"
        self.hits = 0


@pytest.fixture
def trap() -> Iterator[Trap]:
    """Serve the trap in a thread; in the end nobody has asked."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.hits += 1
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format: str, *args: object) -> None:  # the interface's own name
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    made = Trap(server)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()
    assert made.hits == 0


def options(**part: Any) -> dict[str, Any]:
    """Return a schema of options with one that says this."""
    return {"type": "object", "properties": {"to": {"description": "Where to.", **part}}}


PLACES = {
    "at an option": lambda url: options(**{"$ref": url}),
    "at the top": lambda url: {**options(type="string"), "$ref": url},
    "deep inside": lambda url: options(anyOf=[{"type": "string"}, {"items": {"not": {"$ref": f"{url}#/x"}}}]),
    "as another draft": lambda url: {**options(type="string"), "$schema": url},
    "dynamically": lambda url: options(**{"$dynamicRef": url}),
    "relative to an id": lambda url: {**options(**{"$ref": "other.json"}), "$id": url},
    "in definitions": lambda url: {**options(**{"$ref": "#/$defs/x"}), "$defs": {"x": {"$ref": url}}},
}


def plugin(hook: str, offer: object) -> object:
    """Return a plugin with one hook."""

    def offers() -> object:
        return offer

    offers.__name__ = hook
    return SimpleNamespace(**{hook: hookimpl(offers)}, __name__="mine")


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("sort", ["source", "sink", "model"])
def test_a_schema_that_refers_elsewhere_is_the_plugin_s_mistake(trap: Trap, sort: str, place: Any) -> None:
    """It is named with its plugin before any spec is read, and nothing is asked for."""
    schema = place(trap.url)
    offers: dict[str, Any] = {
        "source": {"elsewhere": SourceKind(options=schema, build=Trap)},  # type: ignore[arg-type]  # never built
        "sink": {"elsewhere": SinkKind(options=schema, build=Trap)},  # type: ignore[arg-type]  # never built
        "model": [MODEL | {"name": "wan9", "job": schema}],
    }

    with pytest.raises(PluginError, match=r"plugin mine .*(refers to|is not of draft)"):
        load_catalog(plugins=[plugin(f"wanrun_{sort}s", offers[sort])], entry_points=False)


def test_a_checker_of_specs_fetches_nothing(trap: Trap) -> None:
    """Even if such a schema got so far: it is said that it cannot be checked."""
    checker = Checker({"type": "object", "properties": {"a": {"$ref": trap.url}}})
    node = node_of({"a": 1}, Mark(1, 1))

    (fault,) = checker.faults(node, lambda path: "it")

    assert "cannot be checked: its schema refers to" in str(fault)


def test_the_emulator_fetches_nothing(trap: Trap) -> None:
    """It checks parameters by the model's own schema alone, and finds the definitions in it."""
    parameters = {"properties": {"seed": {"$ref": "#/$defs/small"}}}
    job = {"properties": {"parameters": parameters}, "$defs": {"small": {"maximum": 9}}}
    model = Model.from_json(MODEL | {"job": job})
    media = [{"type": "video", "url": "https://example.com/a.mp4"}]
    bodies = [{"model": model.name, "input": {"media": media}, "parameters": {"seed": seed}} for seed in (9, 10)]

    assert [first_fault(body, model) is None for body in bodies] == [True, False]
