"""Error messages of the settings: all errors at once, one line each.

A line has the variable, what is wrong and an example. It never has the value: a secret may have
been pasted into the wrong variable.
"""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches

from pydantic import BaseModel
from pydantic_core import ErrorDetails

PREFIX = "ORDERS_"

RENAMED = {
    "ORDERS_CACHE__GRACE": "ORDERS_CACHE__STALE_WHILE_REVALIDATE",
    "ORDERS_CACHE__KEEP": "ORDERS_CACHE__STALE_IF_ERROR",
    "ORDERS_CACHE__MIN_AGE": "ORDERS_CACHE__NO_CACHE_MIN_AGE",
    "ORDERS_CACHE__WAIT": "ORDERS_CACHE__MAX_STALE_WAIT",
    "ORDERS_SERVER__DRAIN": "ORDERS_SERVER__DRAIN_TIMEOUT",
    "ORDERS_SERVER__KEEP_ALIVE": "ORDERS_SERVER__KEEP_ALIVE_TIMEOUT",
    "ORDERS_UPSTREAM__SWEEP_RATE": "ORDERS_UPSTREAM__REFRESH_RATE",
}
"""Old names of settings, each with the new one. An old name is an error."""

_MESSAGES = {
    "bool": "must be true or false",
    "datetime": "must be a date and time with a time zone, as 2027-01-31T00:00:00Z",
    "finite_number": "must be a finite number",
    "float": "must be a number",
    "greater_than": "must be greater than {gt:.15g}",
    "greater_than_equal": "must be at least {ge:.15g}",
    "int": "must be a whole number",
    "less_than_equal": "must be at most {le:.15g}",
    "literal": "must be {expected}",
    "missing": "is required",
    "model": "must be a JSON object",
    "string": "must be a string",
    "timezone": "must have a time zone, as 2027-01-31T00:00:00Z",
    "too_short": "must not be empty",
    "tuple": "must be a JSON list",
}
"""Messages by pydantic's error type, or by the first word of it."""


class SettingsError(Exception):
    """The settings are invalid; `messages` has one line for each error."""

    def __init__(self, messages: Sequence[str]) -> None:
        super().__init__("\n".join(messages))
        self.messages = tuple(messages)


def env_name(*names: str) -> str:
    """Return the environment variable of a setting: `ORDERS_CACHE__TTL` for `"cache", "ttl"`."""
    return PREFIX + "__".join(names).upper()


def example_values(model: type[BaseModel]) -> dict[str, str]:
    """Return an example value for each environment variable of `model`; "" where there is none."""
    return dict(_examples(model, ()))


def _examples(model: type[BaseModel], groups: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _examples(field.annotation, (*groups, name))
        elif not field.exclude:
            example = field.examples[0] if field.examples else field.default
            yield env_name(*groups, name), "" if example is None else str(example)


def format_errors(errors: Sequence[ErrorDetails], examples: Mapping[str, str]) -> tuple[str, ...]:
    """Return one line for each error. `examples` has all variables, as `example_values` does."""
    return tuple(dict.fromkeys(_format_error(error, examples) for error in errors))


def _format_error(error: ErrorDetails, examples: Mapping[str, str]) -> str:
    loc = error["loc"]
    name = env_name(*map(str, loc[:2]))
    if name in RENAMED:
        return f"{name}: has been renamed to {RENAMED[name]}"
    if name not in examples:
        if loc[0] == "login":
            return f"{name}: is not implemented yet; remove it"
        nearest = get_close_matches(name, examples, 1, cutoff=0.8)
        return f"{name}: is not a setting" + (f"; did you mean {nearest[0]}?" if nearest else "")
    example = f". Example: {name}={examples[name]}" if examples[name] else ""
    return f"{name}: {describe(error, 2)}{example}"


def describe(error: ErrorDetails, depth: int) -> str:
    """Return what is wrong, with its place in a list: `entry 2, sha256: must be …`.

    `depth` is how many leading items of the location of `error` belong to the setting itself.
    """
    place = error["loc"][depth:]
    entry = f"entry {int(place[0]) + 1}" if place and isinstance(place[0], int) else ""
    if error["type"] == "extra_forbidden":  # the field's name is left out: it may be a secret
        return f"{entry} has an unknown field"
    if len(place) > 1:
        entry += f", {place[1]}"
    return f"{entry}: {_message(error)}" if entry else _message(error)


def _message(error: ErrorDetails) -> str:
    context = error.get("ctx", {})
    if error["type"] == "value_error":
        return str(context["error"])
    family = error["type"].partition("_")[0]
    template = _MESSAGES.get(error["type"]) or _MESSAGES.get(family, "is not valid")
    return template.format(**context).replace("'", "")
