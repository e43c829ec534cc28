"""Strict parameters: every fault at once, each with its fix. Knows no route and no resource."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, get_origin
from urllib.parse import parse_qsl, unquote_to_bytes

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from app.edge.problems import InvalidParameter

M = TypeVar("M", bound=BaseModel)

MAX_PARAMETERS = 100
MAX_ECHO_CHARS = 100
"""Characters of a caller's own text that an error gives back."""

_DECIMAL = re.compile(r"[1-9][0-9]*")
_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_ORDER_NUMBER = re.compile(r"(?=.*[0-9])[0-9A-Za-z_-]{1,64}")
_ORDER_NUMBER_DOCUMENTED = f"^{_ORDER_NUMBER.pattern}$"


class InvalidRequest(Exception):
    """The caller's parameters are not valid; `errors` has every fault."""

    def __init__(self, *errors: InvalidParameter) -> None:
        super().__init__("; ".join(f"{error.parameter} {error.message}" for error in errors))
        self.errors = errors


class NoParameters(BaseModel):
    """The query model of a route that takes none."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True)
class DecimalInteger:
    """Annotates an `int` that is written `[1-9][0-9]*` in ASCII, and is at most `most`.

    `beyond` tells what to do instead of asking for more than that.
    """

    most: int
    beyond: str

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._read, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return handler(schema) | {"minimum": 1, "maximum": self.most}

    def _read(self, value: object) -> int:
        text = str(value)
        if not _DECIMAL.fullmatch(text):
            raise PydanticCustomError(
                "decimal_integer",
                "must be a whole number from 1 to {most}, written in digits alone",
                {"most": self.most},
            )
        # Length first: int() refuses to read thousands of digits.
        if len(text) > len(str(self.most)) or int(text) > self.most:
            raise PydanticCustomError(
                "decimal_integer_too_large",
                "must be at most {most}; {beyond}",
                {"most": self.most, "beyond": self.beyond},
            )
        return int(text)


@dataclass(frozen=True, slots=True)
class OneOf:
    """Annotates a `str` that is one of a few words."""

    words: tuple[str, ...]

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._read, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return handler(schema) | {"enum": list(self.words)}

    def _read(self, word: str) -> str:
        if word not in self.words:
            raise PydanticCustomError(
                "one_of", "must be one of {words}", {"words": ", ".join(self.words)}
            )
        return word


def parse_query(model: type[M], query_string: bytes) -> M:
    """The parameters in `query_string` as a `model`; a tuple's parameter may be repeated.

    Raises:
        InvalidRequest: with every fault of every parameter.
    """
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    names = tuple(fields)
    given, faults = _split(query_string, names)
    values: dict[str, str | list[str]] = {}
    for name, count in Counter(name for name, _ in given).items():
        all_given = [value for given_name, value in given if given_name == name]
        repeats = name in fields and get_origin(fields[name].annotation) is tuple
        if name not in names:
            faults.append(
                InvalidParameter(name[:MAX_ECHO_CHARS], f"is unknown here; {_takes(names)}")
            )
        elif count > 1 and not repeats:
            message = f"is given {count} times; give it once"
            faults.append(InvalidParameter(name, message, all_given[0][:MAX_ECHO_CHARS]))
        elif not all(all_given):
            faults.append(InvalidParameter(name, "is empty; give it a value or leave it out", ""))
        else:
            values[name] = all_given if repeats else all_given[0]
    try:
        read_model = model.model_validate(values)
    except ValidationError as error:
        already = {fault.parameter for fault in faults}
        faults += (fault for fault in _faults_of(error, values) if fault.parameter not in already)
        raise InvalidRequest(*faults) from None
    if faults:
        raise InvalidRequest(*faults)
    return read_model


def has_param(query_string: bytes, name: str, value: str) -> bool:
    """Whether `value` is among what is given for `name`, be the rest valid or not."""
    return (name, value) in parse_qsl(query_string.decode("latin-1"))


def parse_order_no(value: str) -> str:
    """`value`, if it can be the number of an order.

    Raises:
        InvalidRequest: it cannot.
    """
    try:
        return _order_number(value)
    except ValueError as error:
        raise InvalidRequest(
            InvalidParameter("order_no", str(error), value[:MAX_ECHO_CHARS])
        ) from None


def _order_number(value: str) -> str:
    if not _ORDER_NUMBER.fullmatch(value):
        raise ValueError(
            "must be 1 to 64 of the characters 0-9 A-Z a-z _ - with at least one digit"
        )
    return value


OrderNumber = Annotated[
    str,
    AfterValidator(_order_number),
    Field(json_schema_extra={"pattern": _ORDER_NUMBER_DOCUMENTED, "maxLength": 64}),
]
"""Annotates a parameter that is the number of an order."""


def documented_order_number() -> dict[str, Any]:
    """The path parameter `order_no`, for the OpenAPI document."""
    return {
        "name": "order_no",
        "in": "path",
        "required": True,
        "description": "The number of the order, as the list gives it.",
        "schema": {"type": "string", "pattern": _ORDER_NUMBER_DOCUMENTED, "maxLength": 64},
        "example": "202209251234224",
    }


def openapi_parameters(model: type[BaseModel]) -> list[dict[str, Any]]:
    """The parameters of `model`, for the OpenAPI document."""
    schema = model.model_json_schema()
    required = schema.get("required", ())
    return [
        _document(name, dict(field), required=name in required)
        for name, field in schema.get("properties", {}).items()
    ]


def _document(name: str, schema: dict[str, Any], *, required: bool) -> dict[str, Any]:
    parameter: dict[str, Any] = {"name": name, "in": "query", "required": required}
    schema.pop("title", None)
    if "description" in schema:
        parameter["description"] = schema.pop("description")
    if schema.get("default") in (None, []):
        schema.pop("default", None)
    # Swagger UI sends a parameter's own example: it must not narrow what a newcomer asks for.
    if "examples" in schema and (required or "default" in schema):
        parameter["example"] = schema.pop("examples")[0]
    return parameter | {"schema": schema}


def _split(
    query_string: bytes, names: tuple[str, ...]
) -> tuple[list[tuple[str, str]], list[InvalidParameter]]:
    pairs = [pair for pair in query_string.split(b"&") if pair]
    if len(pairs) > MAX_PARAMETERS:
        message = f"has more than {MAX_PARAMETERS} parameters; ask for less at once"
        raise InvalidRequest(InvalidParameter("query", message))
    given: list[tuple[str, str]] = []
    faults: list[InvalidParameter] = []
    for pair in pairs:
        raw_name, _, raw_value = pair.partition(b"=")
        name, value = _shown(raw_name), _shown(raw_value)
        try:
            name = _decode(raw_name)
            given.append((name, _decode(raw_value)))
        except ValueError as error:
            known = name in names
            faults.append(
                InvalidParameter(name[:MAX_ECHO_CHARS], str(error), value if known else None)
            )
    return given, faults


def _shown(raw: bytes) -> str:
    return raw.decode("ascii", "backslashreplace")[:MAX_ECHO_CHARS]


def _decode(raw: bytes) -> str:
    if _BROKEN_ESCAPE.search(raw):
        raise ValueError("has a % without two hexadecimal digits; write %25 for a percent sign")
    try:
        return unquote_to_bytes(raw.replace(b"+", b" ")).decode()
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8; percent-encode its UTF-8 bytes") from None


def _faults_of(
    error: ValidationError, values: Mapping[str, str | list[str]]
) -> Iterator[InvalidParameter]:
    for fault in error.errors(include_url=False):
        # A fault of several parameters together has no place of its own.
        name, *at = fault["loc"] or ("query",)
        value = values.get(str(name))
        if isinstance(value, list):
            value = value[int(at[0])] if at else None
        if fault["type"] == "missing":
            message = "is required"
        elif fault["type"] == "too_long":
            told = fault["ctx"]
            message = (
                f"is given {told['actual_length']} times; give it at most {told['max_length']}"
            )
        else:
            message = fault["msg"].removeprefix("Value error, ")
        yield InvalidParameter(str(name), message, value and value[:MAX_ECHO_CHARS])


def _takes(names: tuple[str, ...]) -> str:
    return f"this route takes {', '.join(names)}" if names else "this route takes no parameters"
