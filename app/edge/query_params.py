"""Strict query parameters: what FastAPI would accept and this API rejects, with clear messages."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, get_origin
from urllib.parse import unquote_to_bytes

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, BeforeValidator, ValidationError
from starlette.requests import Request

from app.edge.schema import InvalidParameter

MAX_PARAMETERS = 100
MAX_ECHO_CHARS = 100
"""Characters of the caller's own text that an error repeats."""

_DECIMAL = re.compile(r"[1-9][0-9]*")
_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_NOT_ASCII = re.compile(rb"[^\x00-\x7f]")

ValidationErrors = list[dict[str, Any]]
"""Errors as in `RequestValidationError.errors()`."""


class StrictQuery:
    """A dependency that rejects parameters which FastAPI would ignore, merge or repair.

    These are unknown, repeated and empty parameters and broken escapes; a parameter may be repeated
    if its type in `model` is a tuple. The errors of `model`, the query model of the route, are
    reported along with them, so that a caller sees everything at once.
    """

    def __init__(self, model: type[BaseModel] | None = None) -> None:
        self.model = model
        if model:
            model.model_rebuild()  # now, if it is deferred, and not while a request waits
        fields = model.model_fields if model else {}
        self._is_repeatable = {
            name: get_origin(field.annotation) is tuple for name, field in fields.items()
        }

    async def __call__(self, request: Request) -> BaseModel | None:
        """Check the query string, and return it as an instance of the model if there is one.

        Raises:
            RequestValidationError: with every error of every query parameter.
        """
        values, errors = self._parse(request.scope["query_string"])
        query, model_errors = self._validate(values)
        if errors or model_errors:
            reported = {error["loc"][1] for error in errors}
            more = [error for error in model_errors if error["loc"][1] not in reported]
            raise RequestValidationError([*errors, *more])
        return query

    def _parse(self, query_string: bytes) -> tuple[dict[str, str | list[str]], ValidationErrors]:
        """Return the values that remain for the model, and the errors."""
        pairs = [pair for pair in query_string.split(b"&") if pair]
        if len(pairs) > MAX_PARAMETERS:
            message = f"has more than {MAX_PARAMETERS} parameters"
            raise RequestValidationError([_error("query", message)])
        parameters: list[tuple[str, str]] = []
        errors: ValidationErrors = []
        for pair in pairs:
            raw_name, _, raw_value = pair.partition(b"=")
            name = raw_name.decode("ascii", "backslashreplace")
            try:
                name = _decode(raw_name)
                parameters.append((name, _decode(raw_value)))
            except ValueError as error:
                is_known = name in self._is_repeatable
                value = raw_value.decode("ascii", "backslashreplace") if is_known else None
                errors.append(_error(name, str(error), value))
        values: dict[str, str | list[str]] = {}
        for name, count in Counter(name for name, _ in parameters).items():
            given = [value for parameter, value in parameters if parameter == name]
            if name not in self._is_repeatable:
                accepted = ", ".join(self._is_repeatable) or "none"
                message = f"is not a parameter of this route; it accepts {accepted}"
                errors.append(_error(name, message))
            elif count > 1 and not self._is_repeatable[name]:
                errors.append(_error(name, "must not be repeated", given[0]))
            elif not all(given):
                errors.append(_error(name, "must not be empty; omit it instead", ""))
            else:
                values[name] = given if self._is_repeatable[name] else given[0]
        return values, errors

    def _validate(self, values: Mapping[str, object]) -> tuple[BaseModel | None, ValidationErrors]:
        if self.model is None:
            return None, []
        try:
            return self.model.model_validate(values), []
        except ValidationError as error:
            return None, [
                {**one, "loc": ("query", *(one["loc"] or ("query",)))} for one in error.errors()
            ]


def decimal_integer(maximum: int, hint: str) -> BeforeValidator:
    """Return a validator for an integer from 1 to `maximum`, written in ASCII digits only.

    `hint` says what to do instead of exceeding the maximum.
    """

    def check(value: object) -> object:
        text = str(value)
        if not _DECIMAL.fullmatch(text):
            raise ValueError(f"must be a whole number from 1 to {maximum} (digits only)")
        # Length first: int() rejects thousands of digits with an error of its own.
        if len(text) > len(str(maximum)) or int(text) > maximum:
            raise ValueError(f"must be at most {maximum}; {hint}")
        return value

    return BeforeValidator(check)


def invalid_parameters(errors: Sequence[Any]) -> tuple[InvalidParameter, ...]:
    """Return the errors of a `RequestValidationError` in our own words."""
    return tuple(
        _invalid_parameter(error)
        for error in errors
        # The other half of a parameter that is optional: it could have been omitted as well.
        if error["type"] != "none_required"
    )


def _invalid_parameter(error: Mapping[str, Any]) -> InvalidParameter:
    name = str((*error["loc"], "query")[1])[:MAX_ECHO_CHARS]
    invalid = InvalidParameter(parameter=name, message=_message(error))
    if isinstance(error["input"], str):
        invalid["value"] = error["input"][:MAX_ECHO_CHARS]
    return invalid


def _message(error: Mapping[str, Any]) -> str:
    limits = error.get("ctx", {})
    match error["type"]:
        case "missing":
            message = "is required"
        case "literal_error":
            words = str(limits["expected"]).replace(" or ", ", ").replace("'", "")
            message = f"must be one of {words}"
        case "too_long":
            message = f"must not be given more than {limits['max_length']} times"
        case "string_too_long":
            message = f"must have at most {limits['max_length']} characters"
        case "value_error" | "strict_query":
            message = str(error["msg"]).removeprefix("Value error, ")
        case _:
            message = "is not a valid value"
    return message


def _error(name: str, message: str, value: str | None = None) -> dict[str, Any]:
    return {"type": "strict_query", "loc": ("query", name), "msg": message, "input": value}


def _decode(raw: bytes) -> str:
    if _NOT_ASCII.search(raw):
        raise ValueError("must be percent-encoded UTF-8")
    if _BROKEN_ESCAPE.search(raw):
        raise ValueError("has a % without two hexadecimal digits; write %25 for a percent sign")
    try:
        return unquote_to_bytes(raw.replace(b"+", b" ")).decode()
    except UnicodeDecodeError:
        raise ValueError("must be percent-encoded UTF-8") from None
