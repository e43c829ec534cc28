"""Types of fields in all our schemas, and the schema of problem bodies."""

from collections.abc import Mapping
from typing import Annotated, Any, NotRequired

from pydantic import Field, TypeAdapter, with_config
from typing_extensions import TypedDict  # pydantic supports typing's own only from Python 3.12 on

from app.edge.problem_types import PROBLEM_TYPES

documented = with_config(defer_build=True)
"""Decorates a body that routes only document: `response_model`.

They return bytes, so FastAPI validates nothing with it, and pydantic need not build the validator
of the whole body before the OpenAPI document is requested.
"""

Int32 = Annotated[int, Field(json_schema_extra={"format": "int32"})]
Count = Annotated[int, Field(ge=0, le=2**31 - 1, json_schema_extra={"format": "int32"})]
"""Code generators choose the type of an integer by its format: a BigInt in JavaScript for int64."""


def described(description: str, *examples: object, **constraints: Any) -> Any:
    """Return a field with a description and examples; `constraints` as for `pydantic.Field`."""
    if examples:  # None would hide the examples of the type
        constraints["examples"] = list(examples)
    return Field(description=description, **constraints)


def open_enum(description: str, values: dict[str, str]) -> Any:
    """Return a field whose known values are documented and may grow (Zalando guideline 112).

    `values` has the meaning of each known value; of `unknown` only if it is sent.
    """
    return described(
        f"{description} Open enum: treat a value you do not know as `unknown`.\n\n"
        + describe_values(values),
        next(iter(values)),
        json_schema_extra={"x-extensible-enum": list(values | {"unknown": ""})},
    )


def describe_values(values: Mapping[str, str]) -> str:
    """Return a Markdown list of values and their meanings."""
    return "\n".join(f"- `{value}`: {meaning}" for value, meaning in values.items())


OWNERS = {
    "caller": "the sender of the request, by changing it",
    "operator": "the operator of this proxy, who can be given the `request_id`",
    "upstream": "the upstream, or the network in between; often it passes",
}


class InvalidParameter(TypedDict):
    """One error of one parameter."""

    parameter: str
    message: Annotated[str, described("What is wrong and how to fix it.")]
    value: NotRequired[
        Annotated[
            str,
            described(
                "The value, cut to 100 characters; absent for unknown parameters.", max_length=100
            ),
        ]
    ]


class UpstreamError(TypedDict):
    """What the upstream reported, if it was called."""

    status_code: NotRequired[Int32]
    api_code: NotRequired[Int32]
    request_id: NotRequired[str]


class Progress(TypedDict):
    """Progress of loading the whole list, in orders."""

    loaded: Count
    total: Count


class Problem(TypedDict):
    """An error (RFC 9457)."""

    type: Annotated[
        str,
        described(
            "The page that explains the code.", json_schema_extra={"format": "uri-reference"}
        ),
    ]
    title: str
    status: Annotated[int, Field(ge=400, le=599, json_schema_extra={"format": "int32"})]
    detail: str
    instance: Annotated[str, Field(json_schema_extra={"format": "uri-reference"})]
    code: Annotated[
        str,
        described(
            "Open enum: for a code you do not know, go by `status`. Each code is "
            "explained at `/problems/{code}`.",
            json_schema_extra={"x-extensible-enum": list(PROBLEM_TYPES)},
        ),
    ]
    request_id: Annotated[str, described("The id to quote when you report a problem.")]
    retryable: Annotated[
        bool, described("Whether the same request may succeed later; see `retry_after`.")
    ]
    retry_after: NotRequired[
        Annotated[
            int,
            described(
                "Seconds to wait before sending the request again, as in `Retry-After`; present "
                "if `retryable`.",
                1,
                ge=1,
                json_schema_extra={"format": "int32"},
            ),
        ]
    ]
    owner: Annotated[
        str,
        open_enum("Who can remove the cause.", OWNERS),
    ]
    errors: NotRequired[Annotated[list[InvalidParameter], described("For `invalid_request`.")]]
    upstream: NotRequired[UpstreamError]
    progress: NotRequired[Progress]
    login: NotRequired[
        Annotated[
            str,
            described(
                "For `unauthenticated`, where people can sign in: the path to open in the browser, "
                "with `?return_to=` and the path to return to.",
                "/auth/login",
                json_schema_extra={"format": "uri-reference"},
            ),
        ]
    ]


def problem_schemas() -> dict[str, Any]:
    """Return the JSON schemas by name, for the components of the OpenAPI document."""
    schema = TypeAdapter(Problem).json_schema(ref_template="#/components/schemas/{model}")
    return {"Problem": schema, **schema.pop("$defs")}
