"""The YAML language server as an editor speaks to it: JSON-RPC over standard input and output."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any, Self

HERE = Path(__file__).parent
SERVER = HERE / "node_modules" / "yaml-language-server" / "bin" / "yaml-language-server"
DEADLINE_SECONDS = 120.0  #: for all that one test asks; it keeps a hanging server from holding up the rest


def missing() -> str | None:
    """Say what is not installed, as the reason of a skipped test, or None."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return "npm is missing; the YAML language server needs it"
    if not SERVER.exists():
        return "the YAML language server is not installed: npm ci --prefix tests/editors"
    return None


class LanguageServer:
    """One server, with one schema for every spec; a text is opened as a document of its own."""

    def __init__(self, schema: Path, folder: Path) -> None:
        self._folder = folder
        self._yaml = {
            "schemas": {schema.as_uri(): ["*.yaml"]},
            "schemaStore": {"enable": False},
            "completion": True,
            "hover": True,
            "validate": True,
        }
        self._number = self._documents = 0
        self._configured = False
        self._diagnostics: dict[str, list[Any]] = {}

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            ["node", str(SERVER), "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._timer = threading.Timer(DEADLINE_SECONDS, self._process.kill)
        self._timer.start()
        capabilities = {
            "workspace": {"configuration": True, "didChangeConfiguration": {"dynamicRegistration": True}},
            "textDocument": {
                "completion": {"completionItem": {"documentationFormat": ["markdown", "plaintext"]}},
                "hover": {"contentFormat": ["markdown", "plaintext"]},
                "publishDiagnostics": {},
            },
        }
        self.ask("initialize", {"processId": None, "rootUri": self._folder.as_uri(), "capabilities": capabilities})
        self._tell("initialized", {})
        self._tell("workspace/didChangeConfiguration", {"settings": {"yaml": self._yaml}})
        while not self._configured:
            self._take(self._read())
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._timer.cancel()
        self._process.kill()
        self._process.communicate()

    def open(self, text: str) -> str:
        """Open a new document and return its URI."""
        self._documents += 1
        uri = (self._folder / f"{self._documents}.yaml").as_uri()
        document = {"uri": uri, "languageId": "yaml", "version": 1, "text": text}
        self._tell("textDocument/didOpen", {"textDocument": document})
        return uri

    def completions(self, text: str) -> dict[str, Any]:
        """Return what is offered where `|` stands in a text, by label."""
        uri, at = self._open_at(text)
        answer = self.ask("textDocument/completion", {"textDocument": {"uri": uri}, "position": at})
        return {item["label"]: item for item in answer["items"]}

    def hover(self, text: str) -> str:
        """Return what is shown of the word where `|` stands in a text."""
        uri, at = self._open_at(text)
        answer = self.ask("textDocument/hover", {"textDocument": {"uri": uri}, "position": at})
        return str(answer["contents"]["value"]) if answer else ""

    def diagnostics(self, text: str) -> list[str]:
        """Return what is wrong with a text."""
        uri = self.open(text)
        while uri not in self._diagnostics:
            self._take(self._read())
        return [each["message"] for each in self._diagnostics[uri]]

    def ask(self, method: str, params: Any) -> Any:
        """Send a request and return its answer; what the server asks meanwhile is answered."""
        self._number += 1
        self._write({"id": self._number, "method": method, "params": params})
        while True:
            message = self._read()
            if message.get("id") == self._number and "method" not in message:
                assert "error" not in message, message
                return message["result"]
            self._take(message)

    def _open_at(self, text: str) -> tuple[str, dict[str, int]]:
        before, _, after = text.partition("|")
        line, column = before.count("\n"), len(before) - before.rfind("\n") - 1
        return self.open(before + after), {"line": line, "character": column}

    def _take(self, message: Any) -> None:
        """Answer what the server asks, and keep what it says is wrong."""
        method = message.get("method")
        if method == "textDocument/publishDiagnostics":
            self._diagnostics[message["params"]["uri"]] = message["params"]["diagnostics"]
        elif method == "workspace/configuration":
            wanted = [item.get("section") for item in message["params"]["items"]]
            result = [self._yaml if section == "yaml" else {} for section in wanted]
            self._write({"id": message["id"], "result": result})
            self._configured = True
        elif method is not None and "id" in message:
            self._write({"id": message["id"], "result": None})

    def _tell(self, method: str, params: Any) -> None:
        self._write({"method": method, "params": params})

    def _write(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        data = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(data), data))
        self._process.stdin.flush()

    def _read(self) -> Any:
        stream = self._process.stdout
        assert stream is not None
        size = 0
        while (line := stream.readline()) != b"\r\n":
            assert line, "the server has ended"
            if line.lower().startswith(b"content-length:"):
                size = int(line.split(b":")[1])
        return json.loads(stream.read(size))
