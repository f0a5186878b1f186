"""The parts of `docs/plugins.md` that the program has the words for: the shelf's sink, and every name of `wanrun`."""

from __future__ import annotations

import ast
import enum
import inspect
import re
import textwrap

import wanrun
from wanrun.api.plugin_making import TEMPLATE

REFERENCE = "## Reference\n"
HEAD = """
What `from wanrun import ...` offers. Written by `docs/render.py` from the code; change that, not this.
"""
SINK = "# wanrun_shelf/sink.py\n"

#: What is no class or function of its own, and so has no docstring to show.
PLAIN = {
    "API_VERSION": "Counts the changes of hooks and types that a plugin may notice.",
    "JSON": "A type: whatever JSON can hold, as options and parameters do.",
    "hookimpl": "Marks a function as one that wanrun calls; its name says which hook it is.",
}


def plugins_page(page: str) -> str:
    """Return the page: what is written there by hand, with its other parts anew."""
    words = page.partition(REFERENCE)[0]
    words = re.sub(rf"(?s)(```python\n{SINK}).*?(```)", lambda found: found[1] + _sink() + found[2], words)
    return words + REFERENCE + HEAD + "".join(map(_name, wanrun.__all__))


def _sink() -> str:
    text = (TEMPLATE / "src" / "wanrun_plug_name" / "sink.py").read_text(encoding="utf-8")
    return text.replace("PlugName", "Shelf").replace("plug_name", "shelf").replace("plug-name", "shelf")


def _name(name: str) -> str:
    offered = getattr(wanrun, name)
    head = f"\n### {name}\n\n"
    if name in PLAIN:
        return f"{head}{PLAIN[name]}\n"
    text = _paragraphs(offered.__doc__)
    if not inspect.isclass(offered):
        return f"{head}{text}\n"
    items = _members(offered)
    return head + text + "\n" + ("\n" + "\n".join(items) + "\n" if items else "")


def _members(offered: type) -> list[str]:
    source = textwrap.dedent(inspect.getsource(offered))
    (tree,) = ast.parse(source).body
    assert isinstance(tree, ast.ClassDef)
    found = []
    for node in tree.body:
        if isinstance(node, ast.AnnAssign | ast.Assign) and not _is_public(node):
            continue
        if isinstance(node, ast.AnnAssign):
            found.append(_item(f"{ast.unparse(node.target)}: {ast.unparse(node.annotation)}", _comment(node, source)))
        elif isinstance(node, ast.Assign) and issubclass(offered, enum.Enum):
            found.append(_item(str(ast.literal_eval(node.value)), _comment(node, source)))
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _is_shown(node, offered):
            found.append(_item(_signature(node), _flowed(ast.get_docstring(node) or "")))
    return found


def _is_public(node: ast.AnnAssign | ast.Assign) -> bool:
    """Say whether an assignment is a field or a member, and no detail."""
    target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
    return isinstance(target, ast.Name) and not target.id.startswith("_")


def _is_shown(node: ast.FunctionDef | ast.AsyncFunctionDef, offered: type) -> bool:
    return not node.name.startswith("_") or (node.name == "__call__" and bool(getattr(offered, "_is_protocol", False)))


def _signature(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    if any(isinstance(each, ast.Name) and each.id == "property" for each in node.decorator_list):
        return f"{node.name}: {ast.unparse(node.returns)}" if node.returns else node.name
    arguments = ast.unparse(node.args).removeprefix("self").removeprefix(", ")
    word = "async " if isinstance(node, ast.AsyncFunctionDef) else ""
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"{word}{node.name}({arguments}){returns}"


def _comment(node: ast.stmt, source: str) -> str:
    """Return what is said behind a field, or above it."""
    lines = source.splitlines()
    for line in lines[node.lineno - 1 : node.end_lineno]:
        if "#: " in line:
            return line.partition("#: ")[2]
    above = lines[node.lineno - 2].strip()
    return above.removeprefix("#: ") if above.startswith("#: ") else ""


def _item(code: str, text: str) -> str:
    return f"- `{code}`: {text}" if text else f"- `{code}`"


def _paragraphs(text: str | None) -> str:
    """Return a docstring with each paragraph on one line."""
    return "\n\n".join(map(_flowed, inspect.cleandoc(text or "").split("\n\n")))


def _flowed(text: str | None) -> str:
    """Return a text on one line."""
    return " ".join(inspect.cleandoc(text or "").split())
