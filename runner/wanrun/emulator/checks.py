"""What the service finds wrong with the body of a create, driven by the model file.

Nearly all of it is found after the create was answered, so a problem here becomes a FAILED task and not a refusal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard

from jsonschema import Draft202012Validator
from referencing import Registry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from wanrun.models import MediaLimits, Model

LENGTH_SLACK = 0.1  #: seconds
URL_SCHEMES = ("http://", "https://", "oss://")
MAX_PROMPT = 5000  #: characters; the service cuts off what is longer without a word


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a task fails, in the service's words."""

    code: str
    message: str


def invalid(message: str) -> Fault:
    """Return the fault that most bad bodies get."""
    return Fault("InvalidParameter", message)


def first_fault(body: Mapping[str, Any], model: Model) -> Fault | None:
    """Return the first thing that the service would find wrong with a body; None when all is well."""
    return next(_faults(body, model), None)


def media_items(body: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the media of a body as far as they can be understood."""
    given = body.get("input")
    media = given.get("media") if is_object(given) else None
    items = media if isinstance(media, list) else []
    return [{"type": str(item.get("type", "")), "url": str(item.get("url", ""))} for item in items if is_object(item)]


def _faults(body: Mapping[str, Any], model: Model) -> Iterator[Fault]:
    given = body.get("input")
    if given is None:
        yield invalid("Field required: input")
    elif not is_object(given):
        yield invalid("Input should be a valid dictionary: input")
    else:
        yield from _text_faults(given)
        yield from _media_faults(given.get("media"), model)
    yield from _parameter_faults(body.get("parameters"), model)


def _text_faults(given: Mapping[str, Any]) -> Iterator[Fault]:
    for name in ("prompt", "negative_prompt"):
        if not isinstance(given.get(name, ""), str):
            yield invalid(f"Input should be a valid string: input.{name}")


def _media_faults(media: object, model: Model) -> Iterator[Fault]:
    if media is None:
        if any(limits.min_count for limits in model.media.values()):
            yield invalid("Field required: input.media")
        return
    if not isinstance(media, list):
        yield invalid("Input should be a valid list: input.media")
        return
    for number, item in enumerate(media):
        yield from _item_faults(item, f"input.media.{number}", model)
    yield from _count_faults(media, model)


def _item_faults(item: object, where: str, model: Model) -> Iterator[Fault]:
    if not is_object(item):
        yield invalid(f"Input should be a valid dictionary: {where}")
        return
    for name in ("type", "url"):
        if item.get(name) is None:
            yield invalid(f"Field required: {where}.{name}")
        elif not isinstance(item[name], str):
            yield invalid(f"Input should be a valid string: {where}.{name}")
    if item.get("type") not in model.media:
        yield invalid(f"Input should be {_either(model.media)}: {where}.type")
    elif isinstance(item.get("url"), str):
        yield from _url_faults(item["url"], where, data_url=model.media[item["type"]].data_url)


def _url_faults(url: str, where: str, *, data_url: bool) -> Iterator[Fault]:
    if url.startswith("data:"):
        if not data_url:
            yield invalid(f"A data URL is not supported: {where}.url")
        elif not url.startswith("data:image/") or ";base64," not in url[:64]:
            yield Fault("InvalidURL", f"Invalid URL provided: {where}.url")
    elif not url.lower().startswith(URL_SCHEMES):
        yield Fault("InvalidURL", f"Required URL is missing or invalid: {where}.url")


def _count_faults(media: list[object], model: Model) -> Iterator[Fault]:
    types = [item.get("type") for item in media if is_object(item)]
    for name, limits in model.media.items():
        count = types.count(name)
        if not limits.min_count <= count <= limits.max_count:
            allowed = f"{limits.min_count} to {limits.max_count}"
            yield invalid(f"The number of {name} in input.media should be {allowed}, got {count}")


def _parameter_faults(parameters: object, model: Model) -> Iterator[Fault]:
    if parameters is None:
        return
    if not is_object(parameters):
        yield invalid("Input should be a valid dictionary: parameters")
        return
    properties = model.job.get("properties", {})
    known = properties.get("parameters", {}).get("properties", {}) if is_object(properties) else {}
    whole = Draft202012Validator(dict(model.job), registry=Registry())  # with nothing that could be fetched
    for name, value in parameters.items():
        schema = known.get(name)  # what is not known is passed over, as far as anybody has seen
        if schema is not None and not whole.evolve(schema=schema).is_valid(value):
            yield invalid(f"{name} is out of range: parameters.{name}")


def _either(names: Mapping[str, object]) -> str:
    return " or ".join(f"'{name}'" for name in names)


def length_fault(seconds: float, limits: MediaLimits) -> Fault | None:
    """Return the fault of a video that is too short or too long; containers round, so a tenth is let through."""
    shortest, longest = limits.min_seconds or 0.0, limits.max_seconds or float("inf")
    if shortest - LENGTH_SLACK <= seconds <= longest + LENGTH_SLACK:
        return None
    allowed = f"{shortest:g} to {longest:g} seconds"
    return Fault("InvalidFile.Duration", f"The duration of the video should be {allowed}, got {seconds:.2f}")


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """Say whether a JSON value is an object."""
    return isinstance(value, dict)
