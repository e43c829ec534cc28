"""Error messages of the settings: all errors at once, one line each.

A line has the variable, where it was read, what is wrong, the value and an example. It never has
the value of a secret.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

PREFIX = "ORDERS_"

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
    "string_unicode": "must be UTF-8 text",
    "timezone": "must have a time zone, as 2027-01-31T00:00:00Z",
    "too_short": "must not be empty",
    "tuple": "must be a JSON list",
}
"""Messages by pydantic's error type, or by the first word of it."""

_MAX_SHOWN = 60
"""Characters of a value that a message shows."""

_LIKE_SECRET = re.compile(r"://.*@|obff_|(?=[A-Za-z-]*[0-9])(?=[0-9-]*[A-Za-z])[A-Za-z0-9-]{20,}")
"""A password in a URL, an API key, or letters and digits as in the credential."""

_MIN_SECRET_LENGTH = 8
"""Shorter secrets are not looked for in other variables: they would be found everywhere."""


class SettingsError(Exception):
    """The settings are invalid.

    Attributes:
        messages: one line for each error.
        warnings: what has no effect in the sources. A misspelt name is often the cause of an error.
    """

    def __init__(self, messages: Sequence[str], warnings: Sequence[str] = ()) -> None:
        super().__init__("\n".join(messages))
        self.messages = tuple(messages)
        self.warnings = tuple(warnings)


class Variable(NamedTuple):
    """The text of a variable, and where it was read, as `.env, line 3`."""

    text: str
    origin: str


def env_name(*names: str) -> str:
    """Return the environment variable of a setting: `ORDERS_CACHE__TTL` for `"cache", "ttl"`."""
    return PREFIX + "__".join(names).upper()


def example_values(model: type[BaseModel]) -> dict[str, str]:
    """Return an example value for each environment variable of `model`; "" where there is none."""
    return {name: _example(field) for name, field in _fields(model, ())}


def secret_names(model: type[BaseModel]) -> frozenset[str]:
    """Return the variables of `model` whose value must not be shown: the fields without repr."""
    return frozenset(name for name, field in _fields(model, ()) if not field.repr)


def _fields(model: type[BaseModel], groups: tuple[str, ...]) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _fields(field.annotation, (*groups, name))
        elif not field.exclude:
            yield env_name(*groups, name), field


def _example(field: FieldInfo) -> str:
    example = field.examples[0] if field.examples else field.default
    return "" if example is None else str(example)


class ErrorFormatter:
    """Formats errors of `model`, whose values were read from `variables`."""

    def __init__(self, model: type[BaseModel], variables: Mapping[str, Variable]) -> None:
        self._examples = example_values(model)
        self._secret_names = secret_names(model)
        self._variables = variables
        self._secrets = {variables[name].text for name in self._secret_names & variables.keys()} - {
            ""
        }

    def format(self, name: str, message: str, value: object = None) -> str:
        """Return the line for `message` about the variable `name`."""
        variable = self._variables.get(name)
        place = f" ({variable.origin})" if variable else ""
        example = self._examples.get(name)
        suffix = f". Example: {name}={example}" if example else ""
        if variable and not isinstance(value, str | int | float):
            value = variable.text
        if variable and self._may_show(name, value):
            suffix = f". Value: {_shorten(value)}{suffix}"
        return f"{name}{place}: {message}{suffix}"

    def format_validation_error(self, error: ErrorDetails) -> str:
        """Return the line for an error of pydantic."""
        name = env_name(*map(str, error["loc"][:2]))
        return self.format(name, describe(error, 2), error["input"])

    def _may_show(self, name: str, value: object) -> bool:
        """Return whether `value` is neither a secret nor one in the wrong variable."""
        if name in self._secret_names:
            return False
        text = str(value)
        return not (_LIKE_SECRET.search(text) or any(each in text for each in self._secrets))


def _shorten(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


def describe(error: ErrorDetails, depth: int) -> str:
    """Return what is wrong, with its place in a list: `entry 2, sha256: must be …`.

    `depth` is how many leading items of the location of `error` belong to the setting itself.
    """
    place = error["loc"][depth:]
    entry = f"entry {int(place[0]) + 1}" if place and isinstance(place[0], int) else ""
    if error["type"] == "extra_forbidden":  # the field's name is left out: it may be a secret
        return f"{entry} has an unknown field" if entry else "is not a setting"
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
