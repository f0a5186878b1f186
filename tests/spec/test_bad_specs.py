"""Every bad spec in `bad/` gives exactly the text beside it, and every good one in `good/` gives none.

Each in `bad/` itself breaks one rule, which no other one there does; `bad/again/` has the same rules from other sides.
A folder in either is a set of specs that are loaded together. To write the texts anew after a change of words, and
then to read what changed: `WANRUN_WRITE_EXPECTED=1 pytest tests/spec/test_bad_specs.py`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from wanrun.rules import OTHER, RULES
from wanrun.spec import load

if TYPE_CHECKING:
    from wanrun.catalog import Catalog

HERE = Path(__file__).parent
AGAIN = HERE / "bad" / "again"
RULE_BY_RULE = sorted(
    path for path in (HERE / "bad").iterdir() if (path.is_dir() and path != AGAIN) or path.suffix == ".yaml"
)
BAD = [*RULE_BY_RULE, *sorted(path for path in AGAIN.iterdir() if path.is_dir() or path.suffix == ".yaml")]
GOOD = sorted((HERE / "good").glob("*.yaml"))


def files_of(case: Path) -> list[Path]:
    return sorted(case.glob("*.yaml")) if case.is_dir() else [case]


def said_of(paths: list[Path], catalog: Catalog) -> str:
    return "".join(f"{problem}\n" for problem in load(paths, catalog=catalog).problems)


@pytest.mark.parametrize("case", BAD, ids=lambda path: path.stem)
def test_a_bad_spec_gives_the_message_beside_it(case: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    """All problems of a bad spec come out, each once, in file order, at their lines and columns."""
    monkeypatch.chdir(case.parent)
    expected = case.with_suffix(".txt")

    said = said_of([path.relative_to(case.parent) for path in files_of(case)], catalog)
    if os.environ.get("WANRUN_WRITE_EXPECTED"):
        expected.write_text(said, encoding="utf-8")

    assert said
    assert said == expected.read_text(encoding="utf-8")


@pytest.mark.parametrize("case", BAD, ids=lambda path: path.stem)
def test_what_is_wrong_with_a_bad_spec_has_rules(case: Path, catalog: Catalog) -> None:
    """CI filters and groups by them: whoever words a problem says by which rule it is one."""
    broken = {problem.rule for problem in load(files_of(case), catalog=catalog).problems}

    assert broken <= RULES.keys() - {OTHER.id}


def test_no_two_bad_specs_break_one_rule(catalog: Catalog) -> None:
    """So that the corpus is a list of the rules; what shows one of them again, or several, goes to `again/`."""
    broken: dict[frozenset[str], list[str]] = {}
    for case in RULE_BY_RULE:
        rules = frozenset(problem.rule for problem in load(files_of(case), catalog=catalog).problems)
        broken.setdefault(rules, []).append(case.name)

    assert {rules: cases for rules, cases in broken.items() if len(cases) > 1 or len(rules) > 1} == {}
    assert len(broken) >= 60


@pytest.mark.parametrize("case", BAD, ids=lambda path: path.stem)
def test_traps_are_named_alike_with_and_without_libyaml(
    case: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyYAML comes with and without its parser in C; what this corpus holds gets the same words from both."""
    monkeypatch.setattr("wanrun.spec.document._LOADER", yaml.SafeLoader)

    test_a_bad_spec_gives_the_message_beside_it(case, catalog, monkeypatch)


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_a_good_spec_gives_jobs_and_no_message(path: Path, catalog: Catalog) -> None:
    """A spec that keeps the rules is taken without a word."""
    loaded = load([path], catalog=catalog)

    assert [str(problem) for problem in loaded.problems] == []
    assert loaded.jobs
