"""What one seed makes happen: the faults of the service, the specs and how they change, and how each life ends.

Everything is drawn from one source of chance, so a seed is a history.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from chaos.simulation.chains import MORE_LIVES, STEP, Chains, letters_with
from chaos.simulation.clocks import HOUR
from chaos.simulation.life import STEPS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from chaos.simulation.chains import Chained

FAULTS: list[tuple[object, dict[str, Any]]] = [
    ("create", {"lose_reply": True}),
    ("create", {"reset": "after"}),
    ("create", {"reset": "before"}),
    ("create", {"reset": "connect"}),
    ("create", {"status": 429, "code": "Throttling.RateQuota", "retry_after": 3}),
    ("create", {"status": 503}),
    ("create", {"garbage": True}),
    ("create", {"cut_after_bytes": 20}),
    ("create", {"fail": {"code": "InternalError", "message": "oops"}}),
    ("create", {"latency_seconds": 4}),
    ("create", {"latency_seconds": 25}),
    (["query", "list"], {"status": 429, "code": "Throttling.RateQuota", "retry_after": 2}),
    (["query", "list"], {"status": 503}),
    (["query", "list"], {"reset": "before"}),
    (["query", "list"], {"lose_reply": True}),
    (["query", "list"], {"garbage": True}),
    ("list", {"lag_seconds": 20}),
    ("list", {"status": 503}),
    ("list", {"status": 403, "code": "AccessDenied"}),
    ("download", {"cut_after_bytes": 1000}),
    ("download", {"cut_after_bytes": 30000}),
    ("download", {"corrupt": True}),
    ("download", {"status": 503}),
    ("download", {"reset": "after"}),
    ("download", {"bytes_per_second": 9000}),
]
RARE: list[tuple[object, dict[str, Any]]] = [
    ("create", {"link_seconds": 50}),
    ("create", {"unknown_after_seconds": 30}),
    ("create", {"fail": {"code": "DataInspectionFailed", "message": "no"}}),
]

VIDEOS = "https://example.com/"  #: where those are that nobody here made

#: what a job asks for is named by a letter: its prompt and its video follow from it; `A>p` is made from the result of A
Letter = str
#: job id -> what it asks for
Jobs = dict[str, Letter]


@dataclass(frozen=True, slots=True)
class Ending:
    """How a life ends, unless it is done before."""

    dies_at: tuple[str, int] | None = None  #: at the nth step of a kind
    after_seconds: float | None = None
    is_death: bool = True  #: else it is only told to stop


@dataclass(slots=True)
class Spec:
    """A spec as it stands between two lives."""

    file: str
    jobs: Jobs = field(default_factory=dict)
    provider: str = "default"
    chained: list[Chained] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The spec's name, which outlives its file's."""
        return "more" if self.file == "more.yaml" else "batch"

    def addresses(self) -> dict[str, Letter]:
        """Return what each address of this spec asks for, without the chained ones."""
        return {f"{self.name}/{job}": letter for job, letter in self.jobs.items()}


def letters_of(specs: Iterable[Spec]) -> dict[str, Letter]:
    """Return what each address of some specs asks for."""
    specs = list(specs)
    plain = {address: letter for spec in specs for address, letter in spec.addresses().items()}
    return letters_with(plain, (job for spec in specs for job in spec.chained))


class Story(random.Random):
    """The dice of one history, and what they were first thrown for."""

    def __init__(self, seed: int) -> None:
        super().__init__(f"story {seed}")
        self.number = seed
        self.same_words = self.says(0.25)  #: every prompt is the same, only the videos differ
        self.changes_specs = self.says(0.5)
        self.clears_artifacts = self.changes_specs and self.says(0.4)
        self.providers = ["default", "second"] if self.says(0.3) else ["default"]
        self.letters = "XYZ" if self.changes_specs else "ABCDEFGHIJ"
        self.task_seconds = self.choice([5.0, 60.0, 60.0, 200.0])
        self.patience_seconds = self.choice([30, 120])
        self.settle_seconds = self.choice([60, 60, 90])  #: a create may be carried out late, and the list may lag
        self.scan_gap_seconds = self.choice([30, 10])
        self.max_cost = self.choice([None, None, None, None, 25, 30, 60])  #: in CNY, over all lives
        self.lives = self.randrange(1, 7)
        self.clock_steps = self.says(0.3)
        self.foreign_seconds = self.choice([None, None, None, 20.0, 200.0])  #: between other programs' creates
        self.weather = self.choice([0.0, 0.05, 0.2, 0.2, 0.4])  #: how often a fault strikes that is about
        self.chains = Chains(seed, same_words=self.same_words)
        self.lives += MORE_LIVES if self.chains.are_there else 0
        self._specs: list[Spec] = []

    def says(self, probability: float) -> bool:
        """Say yes as often as that."""
        return self.random() < probability

    def prompt(self, letter: Letter) -> str:
        """Return the words that a letter stands for."""
        return "the same words" if self.same_words else f"words {letter.rpartition(STEP)[2]}"

    def step(self, prompt: str) -> Letter:
        """Return what the words of a chained job stand for."""
        return self.chains.steps[0] if self.same_words else prompt.removeprefix("words ")

    def foreign_words(self) -> list[tuple[str, str]]:
        """Return prompts and videos that other programs ask for: some of ours, too."""
        words = [(self.prompt(letter), url_of(letter)) for letter in self.letters[:3]] + [
            ("other words", url_of("other"))
        ]
        chained = self.chains.steps if self.chains.are_there else ""
        return words + [(self.prompt(step), url_of("other")) for step in chained]

    def settings(self) -> str:
        """Return the text of `wanrun.toml`."""
        lines = f"patience_seconds = {self.patience_seconds}\nsettle_seconds = {self.settle_seconds}\n"
        lines += f"scan_gap_seconds = {self.scan_gap_seconds}\n"
        budget = "" if self.max_cost is None else f"[budget]\nmax_cost = '{self.max_cost} CNY'\n"
        return f"[providers.default]\n{lines}[providers.second]\nregion = 'beijing'\n{lines}{budget}"

    def text(self, spec: Spec) -> str:
        """Return the text of a spec."""
        head = (
            f"version: 1\nname: {spec.name}\ndefaults: {{model: wan2.7-videoedit, provider: {spec.provider}}}\njobs:\n"
        )
        line = "  - {{id: {}, prompt: {}, media: [{{video: {}}}]}}\n"
        jobs = (line.format(name, self.prompt(letter), url_of(letter)) for name, letter in spec.jobs.items())
        return head + "".join([*(job.line(self.prompt(job.step)) for job in spec.chained), *jobs])

    def faults(self) -> list[dict[str, Any]]:
        """Draw what the service suffers from."""
        if not self.weather:
            return []
        drawn = [fault for fault in FAULTS if self.says(0.25)] + [fault for fault in RARE if self.says(0.04)]
        drawn += self.chains.faults()
        often = [self.weather, self.weather, self.weather, min(1.0, 4 * self.weather)]
        return [{"on": on, "probability": self.choice(often), "do": do} for on, do in drawn]

    def next_specs(self) -> list[Spec]:
        """Draw the specs of the next life from those of the last one."""
        if not self._specs or (self.changes_specs and self.says(0.8)):
            self._specs = self._changed() if self.changes_specs else [self._batch()]
        self._specs = self._with_chains(self._specs)
        return self._specs

    def _with_chains(self, specs: list[Spec]) -> list[Spec]:
        others = [address for spec in specs for address in spec.addresses()]
        chained = self.chains.next_jobs([spec.name for spec in specs], others)
        return [replace(spec, chained=[job for job in chained if job.spec == spec.name]) for spec in specs]

    def _batch(self) -> Spec:
        jobs = {f"job-{letter}": letter for letter in self.letters[: self.choice([1, 3, 6, 10])]}
        return Spec("batch.yaml", jobs, self.choice(self.providers))

    def _changed(self) -> list[Spec]:
        first, second = self._specs or [Spec("batch.yaml"), Spec("more.yaml")]
        file = self.choice(["batch.yaml"] * 5 + ["other.yaml"])
        others = self._evolved(second.jobs, "nop") if self.says(0.4) else second.jobs
        return [
            Spec(file, self._evolved(first.jobs, "abcde"), self.choice(self.providers)),
            Spec("more.yaml", others, self.choice(self.providers)),
        ]

    def _evolved(self, jobs: Mapping[str, Letter], ids: str) -> Jobs:
        """Return what somebody makes of a spec: its letters swapped, renamed, or drawn anew."""
        if jobs and self.says(0.3):
            return dict(zip(self.sample(list(jobs), len(jobs)), jobs.values(), strict=True))
        if jobs and self.says(0.3):
            return dict(zip(self.sample(ids, len(jobs)), jobs.values(), strict=True))
        return {name: self.choice(self.letters) for name in self.sample(ids, self.randrange(1, 4))}

    def options(self, made: Collection[str]) -> dict[str, Any]:
        """Draw how the program is called; `made` are the jobs that have their videos."""
        drawn: dict[str, Any] = {"retry_failed": self.says(0.2), "no_wait": self.says(0.1)}
        if self.says(0.1):
            drawn["max_wait_seconds"] = self.choice([1.0, 30.0, 300.0])
        if self.says(0.05):
            drawn["max_cost"] = "40 CNY"
        return drawn | self.chains.selection(list(letters_of(self._specs)), made)

    def ending(self) -> Ending:
        """Draw how a life ends."""
        kind = self.choice(["done", "done", "step", "step", "step", "step", "step", "death", "death", "stop"])
        if kind == "step":
            (step,) = self.choices(list(STEPS), list(STEPS.values()))
            return Ending(dies_at=(step, 1 + int(self.expovariate(1 / 8))))
        if kind == "done":
            return Ending()
        seconds = self.choice([0.3, 1, 3, 10, 60, 300, 3000]) * self.uniform(0.5, 1.0)
        return Ending(after_seconds=seconds, is_death=kind == "death")

    def pause_seconds(self) -> float:
        """Draw how long it takes until somebody runs again."""
        return self.choice([0.0, 0.0, 1.0, 20.0, 100.0, HOUR, 3 * HOUR]) if not self.says(0.03) else 25 * HOUR


def url_of(letter: Letter) -> str:
    """Return the video that a letter stands for."""
    return f"{VIDEOS}{letter}.mp4"


def letter_at(url: str) -> Letter:
    """Return what asks for a video."""
    return url.removeprefix(VIDEOS).removesuffix(".mp4")
