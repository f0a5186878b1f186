"""Whether a schema is well-formed: a quick yes is never wrong, and common schemas get one."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from wanrun.registry import load_catalog
from wanrun.wellformed import _KEYWORDS, is_plain, schema_fault

if TYPE_CHECKING:
    from collections.abc import Callable

CATALOG = load_catalog()
OURS = [
    *(kind.options for kind in CATALOG.sources.values()),
    *(kind.options for kind in CATALOG.sinks.values()),
    *(model.job for model in CATALOG.models.values()),
]
VALUES: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 3),
    st.floats(-1, 1),
    st.sampled_from(["string", "object", "text", "(", "^a", ""]),
    st.lists(st.sampled_from(["string", "a", 1, {}, True, {"type": "x"}]), max_size=3),
    st.dictionaries(st.sampled_from(["a", "(", "$ref", "type"]), st.sampled_from([{}, True, "string", 1]), max_size=2),
)


@pytest.mark.parametrize("schema", OURS)
def test_our_own_schemas_need_no_validator(schema: dict[str, Any]) -> None:
    """They are looked at by every command, and the validator takes long to load."""
    assert is_plain(schema)


@pytest.mark.slow
@given(st.data())
@settings(max_examples=400, deadline=None)
def test_a_quick_yes_is_never_wrong(data: st.DataObject) -> None:
    """What looks well-formed is so: any keyword with any value, in a schema that is otherwise right."""
    schema = deepcopy(data.draw(st.sampled_from(OURS)))
    place = _some_part(data.draw, schema)
    place[data.draw(st.sampled_from([*_KEYWORDS, "$ref", "allOf", "if"]))] = data.draw(VALUES)

    if is_plain(schema):
        Draft202012Validator.check_schema(schema)


@pytest.mark.slow
@given(st.sampled_from(sorted(_KEYWORDS)), VALUES)
@settings(max_examples=400, deadline=None)
def test_a_fault_is_the_validators(keyword: str, value: object) -> None:
    """What is wrong is said as the validator says it, and what it takes is taken."""
    schema = {keyword: value}

    fault = schema_fault(schema)

    if fault is None:
        Draft202012Validator.check_schema(schema)
    else:
        with pytest.raises(SchemaError) as caught:
            Draft202012Validator.check_schema(schema)
        assert caught.value.message in fault


def _some_part(draw: Callable[[st.SearchStrategy[Any]], Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema itself or one of its properties, at any depth."""
    inner = [each for each in schema.get("properties", {}).values() if isinstance(each, dict)]
    if not inner or draw(st.booleans()):
        return schema
    return _some_part(draw, draw(st.sampled_from(inner)))
