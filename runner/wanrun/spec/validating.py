"""The validator that says no, and why; it takes long to load, and `quick` spares most specs that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator
from jsonschema.validators import extend
from referencing import Registry
from referencing.exceptions import Unresolvable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wanrun.types import JSON

__all__ = ["Unresolvable", "validator_of"]


def validator_of(schema: Mapping[str, JSON], part: Mapping[str, JSON]) -> Any:
    """Return the validator of a part of a schema, which may refer to the whole; nothing is ever fetched."""
    return _Validator(dict(schema), registry=Registry()).evolve(schema=part)


def _integer(checker: Any, value: object) -> bool:
    """JSON Schema takes 5.0 for an integer; a fingerprint should not depend on how a number is spelt."""
    return isinstance(value, int) and not isinstance(value, bool)


_Validator: Any = extend(  # type: ignore[no-untyped-call]  # the stubs leave it open
    Draft202012Validator, type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", _integer)
)
