"""What one model demands of a job: its schema for words and parameters, its media types and how many of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wanrun import rules
from wanrun.spec.nodes import Entry, Mark, map_of
from wanrun.spec.sentences import Checker, dotted
from wanrun.spec.words import did_you_mean, shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wanrun.models import MediaLimits, Model
    from wanrun.spec.kinds import Tell
    from wanrun.spec.nodes import Node, Placed

WORDS = ("prompt", "negative_prompt", "parameters")  #: the fields of a job that a model's schema describes

#: Keywords of a model's schema that are checked field by field; any other one needs the job as a whole.
_FIELDWISE = frozenset(
    {"type", "required", "properties", "description", "examples", "title", "$schema", "$defs", "$id"}
)


class Demands:
    """One model's demands, compiled; values without templates are checked once, however many jobs share them."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self._whole = Checker(model.job)
        self._parts = {field: self._whole.part(field) for field in WORDS}
        properties = model.job.get("properties")
        self._fieldwise = model.job.keys() <= _FIELDWISE and "media" not in (properties or ())  # type: ignore[operator]  # a mapping, by the registry
        self._seen: dict[int, tuple[Node, bool]] = {}  # the node is kept, so that its id stays its own

    def fit(self, field: str, node: Node) -> Node:
        """Return a prompt or the parameters with the types that this model wants for the cells of a CSV table."""
        part = self._parts[field]
        return part.fit(node) if part else node

    def check_field(self, field: str, node: Node, tell: Tell, *, once: bool) -> bool:
        """Check a prompt or the parameters and say whether nothing is wrong; `once`: the node will come again."""
        if id(node) in self._seen:
            return self._seen[id(node)][1]
        part = self._parts[field]
        if part is None:
            tell(node, rules.FIELD_NOT_TAKEN(f"{self.model.name} takes no {field}"))
            return False
        faults = list(part.faults(node, dotted(field)))
        for at, message, _ in faults:
            tell(at, message)
        if once:
            self._seen[id(node)] = node, not faults
        return not faults

    def check_whole(self, fields: Mapping[str, Node], job: Placed, tell: Tell) -> bool:
        """Check what a model's schema says of several fields together, and say whether nothing is wrong."""
        if self._fieldwise:
            return True
        entries = {
            name: Entry(Mark(job.line, job.column), fields[name]) for name in (*WORDS, "media") if name in fields
        }
        faults = list(self._whole.faults(map_of(entries, job), _of_job))
        for at, message, _ in faults:
            tell(at, message)
        return not faults

    def check_required(self, fields: Mapping[str, Node], broken: set[str], job: Placed, tell: Tell) -> bool:
        """Check that the words are there which the model cannot do without."""
        required = self.model.job.get("required", [])
        assert isinstance(required, list)
        missing = [name for name in required if name in WORDS and name not in fields and name not in broken]
        for name in missing:
            tell(job, rules.FIELD_NEEDED(f"this job has no {name}; {self.model.name} needs one"))
        return not missing

    def media_limits(self, media_type: str, at: Placed, tell: Tell) -> MediaLimits | None:
        """Return the limits of a media type, or tell that the model has none of that name."""
        if media_type in self.model.media:
            return self.model.media[media_type]
        near = did_you_mean(media_type, self.model.media, "it takes")
        tell(at, rules.UNKNOWN_MEDIA_TYPE(f"{self.model.name} takes no media of type {shown(media_type)}{near}"))
        return None

    def takes(self, file_format: str, media_type: str) -> bool:
        """Say whether media of a type may be files of a format."""
        return file_format in self.model.media[media_type].formats

    def check_counts(self, items: Sequence[tuple[str, Placed]], job: Placed, tell: Tell) -> bool:
        """Check how many there are of each media type; `items` are the types of a job's media and their places."""
        fine = True
        for name, limits in self.model.media.items():
            places = [at for media_type, at in items if media_type == name]
            if len(places) < limits.min_count:
                few = f"only {len(places)}" if places else "no"
                tell(job, rules.MEDIA_COUNT(f"this job has {few} {name}; {self.model.name} takes {_count(limits)}"))
                fine = False
            for number, at in enumerate(places[limits.max_count :], limits.max_count + 1):
                words = f"this is {name} number {number} of the job; {self.model.name} takes {_count(limits)}"
                tell(at, rules.MEDIA_COUNT(words))
                fine = False
        return fine


def _of_job(path: Sequence[str | int]) -> str:
    return dotted(str(path[0]))(path[1:]) if path else "this job"


def _count(limits: MediaLimits) -> str:
    low, high = limits.min_count, limits.max_count
    if low == high:
        return f"exactly {low}"
    return f"{low} to {high}" if low else f"at most {high}"
