"""What every ledger store has to hold, as tests to inherit: who pays for what hangs on it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING

import pytest

from wanrun.errors import WanrunError
from wanrun.registry import load_catalog
from wanrun.spec.sentences import option_faults
from wanrun.testing.kinds import HEAVY, check_imports

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import ModuleType

    from wanrun.hookspecs import LedgerStore, LedgerStoreKind
    from wanrun.types import JSON

    Options = Mapping[str, JSON]

NAMES = ("00000001.jsonl.gz", "00000001.lock", "00000002.jsonl.gz")  #: such as the core gives
AT_ONCE = 8
ROUNDS = 5
LARGE = bytes(range(256)) * 8192  #: two megabytes, with every byte there is


class LedgerStoreConformance:
    """Inherit this, say `plugin` and `kind`, and override the fixture `options`: of a store that is empty.

    Where the test can make the other side fail, override `failing_options` too.
    """

    plugin: ModuleType  #: the module with the hooks
    kind: str  #: the name that it offers
    heavy: Sequence[str] = HEAVY  #: what importing the plugin may not import; add your own

    @pytest.fixture
    def options(self, tmp_path: Path) -> Options:
        """Return options as the table in `wanrun.toml` has them."""
        raise NotImplementedError("override the fixture `options`: it returns the options of a store that is empty")

    @pytest.fixture
    def bad_options(self) -> Sequence[Options]:
        """Return options each of which has to be refused by their schema, or by `build`."""
        return ()

    @pytest.fixture
    def failing_options(self) -> Options | None:
        """Return options of a store that is not there, or does not let one in."""
        return None

    def test_what_is_created_is_there_until_it_is_removed(self, options: Options, tmp_path: Path) -> None:
        """Byte for byte, under its name, for whoever comes by another way."""
        store, other = self._built(options), self._built(options)
        assert list(store.names()) == [], "the store of the test is not empty"
        for name in NAMES:
            assert store.create(name, _file(tmp_path, LARGE)) is True, f"create() does not take {name}"
            assert name in other.names(), f"{name} is not in the list as soon as it was created"

        other.read(NAMES[0], tmp_path / "read")
        store.remove(NAMES[1])
        store.remove(NAMES[1])

        assert (tmp_path / "read").read_bytes() == LARGE, "read() gives other bytes than create() got"
        assert sorted(other.names()) == [NAMES[0], NAMES[2]], "remove() removes something else, or nothing"

    def test_a_name_is_taken_once(self, options: Options, tmp_path: Path) -> None:
        """The same bytes once more are success, since an answer can be lost; others change nothing."""
        store = self._built(options)
        store.create(NAMES[1], _file(tmp_path, b"mine"))

        assert store.create(NAMES[1], _file(tmp_path, b"mine")) is True, "the very same bytes once more are refused"
        assert store.create(NAMES[1], _file(tmp_path, b"yours")) is False, "a name that is taken is taken again"
        store.read(NAMES[1], tmp_path / "read")
        assert (tmp_path / "read").read_bytes() == b"mine", "create() has overwritten what was there"

    def test_of_many_at_once_one_gets_a_name(self, options: Options, tmp_path: Path) -> None:
        """The others are told so: else two would pay for the same jobs."""
        files = [_file(tmp_path, f"of {number}".encode(), f"file-{number}") for number in range(AT_ONCE)]
        stores, start = [self._built(options) for _ in files], Barrier(AT_ONCE)

        def create(name: str, number: int) -> bool:
            start.wait()
            return stores[number].create(name, files[number])

        with ThreadPoolExecutor(AT_ONCE) as pool:
            for round_ in range(ROUNDS):
                name = f"{round_:08}.lock"
                took = [*pool.map(lambda number, name=name: create(name, number), range(AT_ONCE))]
                assert took.count(True) == 1, f"of {AT_ONCE} that create one name at once, {took.count(True)} get it"
                stores[0].read(name, tmp_path / "read")
                winner = files[took.index(True)].read_bytes()
                assert (tmp_path / "read").read_bytes() == winner, "what is kept is not of the one that was told so"

    def test_bad_options_are_refused(self, options: Options, bad_options: Sequence[Options]) -> None:
        """Misspelt ones, and each of `bad_options`."""
        faults = option_faults(self._kind().options, options, self.kind)
        assert not faults, f"the options of the test are refused: {faults}"
        for each in ({**options, "an-option-of-nobody": 1}, *bad_options):
            if not option_faults(self._kind().options, each, self.kind):
                with pytest.raises(WanrunError):
                    self._kind().build(each)

    def test_a_failure_is_said_in_one_line(self, failing_options: Options | None) -> None:
        """As a `SinkError` for what passes, and a plain `WanrunError` for what a person has to mend."""
        if failing_options is None:
            return
        with pytest.raises(WanrunError) as raised:
            list(self._built(failing_options).names())

        assert len(str(raised.value).splitlines()) == 1, f"the error is more than one line: {raised.value}"
        assert "plugin" not in type(raised.value).__name__.lower(), f"what is raised is a bug: {raised.value}"

    def test_nothing_heavy_is_imported_before_it_is_used(self) -> None:
        """Every command imports the plugin to know what there is."""
        check_imports(self.plugin, self.heavy)

    def _kind(self) -> LedgerStoreKind:
        return load_catalog(plugins=[self.plugin], entry_points=False).ledger_stores[self.kind]

    def _built(self, options: Options) -> LedgerStore:
        store = self._kind().build(options)
        assert store.place(), "place() names nothing"
        return store


def _file(folder: Path, data: bytes, name: str = "file") -> Path:
    (folder / name).write_bytes(data)
    return folder / name
