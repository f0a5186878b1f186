"""What happened in one history, as the services, the folders and the program's own words tell it."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chaos.simulation.service import maker_of
from chaos.simulation.story import letters_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from chaos.simulation.network import Network
    from chaos.simulation.service import Service
    from chaos.simulation.story import Letter, Spec, Story
    from wanrun import api
    from wanrun.outcome import Outcome


@dataclass
class History:
    """One history, while it is played and afterwards. The ledger is not part of it."""

    seed: int
    story: Story
    folder: Path  #: the project
    network: Network
    specs: list[Spec] = field(default_factory=list)  #: as they stand now
    lives: int = 0
    died_at: dict[int, float] = field(default_factory=dict)  #: life -> when, in seconds from the beginning
    letters_by_life: dict[int, set[Letter]] = field(default_factory=dict)  #: what each life was asked for
    letters_of: dict[str, set[Letter]] = field(default_factory=dict)  #: address -> whatever it has ever asked for
    asked_at_once: Counter[Letter] = field(default_factory=Counter)  #: the most jobs that asked for it at one time
    once_more: Counter[Letter] = field(default_factory=Counter)  #: how often one more task was asked for
    outcomes: list[Outcome] = field(default_factory=list)  #: of the lives that came to their end by themselves
    standings: list[api.JobStanding] = field(default_factory=list)  #: what `wanrun status` says in the end
    cleared: set[str] = field(default_factory=set)  #: tasks whose videos somebody has cleared away
    broken: list[str] = field(default_factory=list)  #: what was wrong between two lives
    ended_at: float = 0.0  #: in seconds from the beginning

    @property
    def final(self) -> Outcome:
        """What the last run of all came to."""
        return self.outcomes[-1]

    @property
    def accounts(self) -> list[Service]:
        """The accounts of the service."""
        return list(self.network.accounts.values())

    @property
    def jobs(self) -> dict[str, Letter]:
        """What each address asks for now."""
        return letters_of(self.specs)

    @property
    def upstream(self) -> dict[str, str]:
        """The address that each chained job is made from now."""
        return {job.address: job.upstream for spec in self.specs for job in spec.chained}

    def asked(self) -> None:
        """Note what the specs ask for now; a job that gets a new name takes its earlier versions along."""
        jobs = self.jobs
        for address, letter in jobs.items():
            mine = self.letters_of.setdefault(address, set())
            mine.add(letter)
            for other, letters in self.letters_of.items():
                if other not in jobs and letter in letters:
                    mine |= letters
        self.asked_at_once |= Counter(jobs.values())

    def asked_once_more(self, addresses: Iterable[str]) -> None:
        """Note that a person pays on purpose for what these jobs ask for."""
        self.once_more.update(self.jobs[address] for address in addresses)

    def look_around(self) -> None:
        """Note what is in the folders and not whole."""
        torn = [path for path, maker in self.videos().items() if maker is None]
        torn += [path for path in self.folder.rglob("*.mp4.json") if not _is_json(path)]
        self.broken += [f"life {self.lives} left {path.name}, which is not whole" for path in torn]

    def clear_artifacts(self) -> None:
        """Do what somebody does who needs space."""
        for path, maker in self.videos().items():
            if path.parent.name == "artifacts":
                self.cleared.add(maker or "")
                path.unlink()

    def videos(self) -> dict[Path, str | None]:
        """Return every video in the folders, with the task that made it; None for one that is not whole."""
        return {path: maker_of(path.read_bytes()) for path in sorted(self.folder.rglob("*.mp4"))}

    def place(self, address: str) -> Path:
        """Return where a job's video belongs."""
        return self.folder / "out" / f"{address.partition('/')[2]}.mp4"

    def digest(self) -> str:
        """Return a digest of everything that happened; the same seed gives the same."""
        told = [
            [[sent.life, sent.kind, sent.sent_at, sent.answered_at, sent.status] for sent in self.network.sent],
            [account.history for account in self.accounts],
            [[[job.address, job.state, self._said(job.why)] for job in each.jobs] for each in self.outcomes],
            [[str(path.relative_to(self.folder)), maker] for path, maker in self.videos().items()],
        ]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()

    def _said(self, words: str) -> str:
        return words.replace(str(self.folder), "")


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_text())
    except ValueError:
        return False
    return True
