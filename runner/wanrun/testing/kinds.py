"""What the classes for sources, sinks and notifiers share: which kind is tested, with which options."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from wanrun.testing.bench import Bench, misspelt, position_in, said

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import ModuleType

    from wanrun.hookspecs import SinkKind, SourceKind
    from wanrun.testing.bench import Options
    from wanrun.types import Problem


HEAVY = (
    "aiohttp", "alibabacloud_oss_v2", "asyncio", "av", "boto3", "botocore", "cryptography", "google.cloud", "httpx",
    "numpy", "oss2", "pandas", "paramiko", "PIL", "pydantic", "requests", "slack_sdk", "torch", "trio", "urllib3",
)  # fmt: skip
IMPORT_SECONDS = 60.0


class KindConformance:
    """One kind that a plugin offers, with the options that a spec gives it."""

    plugin: ModuleType  #: the module with the hooks
    kind: str  #: the name that it offers
    heavy: Sequence[str] = HEAVY  #: what importing the plugin may not import; add your own

    @pytest.fixture
    def options(self, tmp_path: Path) -> Options:
        """Return options as a spec writes them; relative paths start at `tmp_path`.

        They may have templates: `${{ job.id }}`, and `${{ secret.NAME }}` where an option takes secrets.
        """
        return {}

    @pytest.fixture
    def secrets(self) -> Mapping[str, str]:
        """Return the values of the secrets that `options` name; those that are not here get one by themselves."""
        return {}

    @pytest.fixture
    def bad_options(self) -> Sequence[Options]:
        """Return options each of which has to be refused when a spec is checked."""
        return ()

    @pytest.fixture
    def bench(self, tmp_path: Path, secrets: Mapping[str, str]) -> Bench:
        """Return the workbench: what reads specs and builds objects as wanrun does."""
        name = type(self).__name__
        plugin, kind = getattr(self, "plugin", None), getattr(self, "kind", None)
        assert plugin is not None, f"{name} needs `plugin`, the module with the hooks"
        assert kind is not None, f'{name} needs `kind`, the name that the plugin offers, such as "shelf"'
        return Bench(plugin, kind, tmp_path, secrets)

    def test_a_misspelt_option_is_refused_where_it_stands(self, bench: Bench, options: Options) -> None:
        """`"additionalProperties": false` in the schema of the options is what makes wanrun see it."""
        word, with_it = misspelt(self.kind_of(bench), options)

        text, problems = self.problems_of(bench, with_it)

        at = position_in(text, word)
        found = [problem for problem in problems if (problem.position.line, problem.position.column) == at]
        assert found, (
            f'the misspelt option "{word}" is not refused at line {at[0]}, column {at[1]}: give the schema of the '
            f'options "additionalProperties": false\n{said(problems)}'
        )

    def test_bad_options_are_refused(self, bench: Bench, options: Options, bad_options: Sequence[Options]) -> None:
        """Each of `bad_options` is a problem of the spec, before anything is paid for."""
        text, problems = self.problems_of(bench, options)
        assert not problems, f"wanrun refuses the options of the test:\n{said(problems)}\n{text}"

        for each in bad_options:
            text, problems = self.problems_of(bench, each)
            assert problems, f"these options are bad, and nobody says so:\n{text}"

    def test_nothing_heavy_is_imported_before_it_is_used(self, bench: Bench) -> None:
        """Every command imports the plugin to know what there is: `--help`, `validate`, the completion of a shell."""
        check_imports(bench.plugin, self.heavy)

    def kind_of(self, bench: Bench) -> SourceKind | SinkKind:
        """Return what the plugin offers."""
        raise NotImplementedError

    def problems_of(self, bench: Bench, options: Options) -> tuple[str, Sequence[Problem]]:
        """Return a spec with these options, and what wanrun has against it."""
        raise NotImplementedError


def check_imports(plugin: ModuleType, heavy: Sequence[str]) -> None:
    """Fail the test if importing a plugin imports one of what is heavy."""
    code = "import json, sys; asked = json.loads(sys.argv[1]); sys.path[:] = asked['path']"
    code += "; __import__(asked['plugin']); print(json.dumps(sorted(set(asked['heavy']) & set(sys.modules))))"
    asked = {"path": sys.path, "plugin": plugin.__name__, "heavy": heavy}
    words = [sys.executable, "-c", code, json.dumps(asked)]

    done = subprocess.run(words, capture_output=True, text=True, timeout=IMPORT_SECONDS, check=False)  # noqa: S603

    assert done.returncode == 0, f"{plugin.__name__} cannot be imported in a new process:\n{done.stderr}"
    loaded = ", ".join(json.loads(done.stdout))
    assert not loaded, f"importing the plugin imports {loaded}: do so in what the kind's `build` calls, or later"
