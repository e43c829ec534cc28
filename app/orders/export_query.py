"""The query parameters of an export."""

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic.json_schema import SkipJsonSchema
from typing_extensions import TypeAliasType

from app.edge.schema import describe_values
from app.orders.queries import ListQuery

ExportFormat = TypeAliasType("ExportFormat", Literal["csv", "ndjson", "xlsx"])
ExportDialect = TypeAliasType("ExportDialect", Literal["spreadsheet", "semicolon", "plain"])
ExportColumn = TypeAliasType(
    "ExportColumn",
    Literal[
        "order_no",
        "package_name_en",
        "package_name_zh",
        "unit_price",
        "quantity",
        "actual_amount",
        "status",
        "type",
        "source",
        "created_at",
        "created_at_utc",
        "rev",
        "upstream_request_id",
    ],
)


class ExportQuery(ListQuery):
    """Parameters of an export."""

    format: Annotated[
        ExportFormat,
        Field(
            description="The file format.\n\n"
            + describe_values(
                {
                    "xlsx": "an Excel workbook: order numbers as text, amounts as numbers, times "
                    "as dates in `time_zone`, and a sheet that describes the export",
                    "csv": "for spreadsheets and programs, see `dialect`",
                    "ndjson": "for programs, one order per line; `include` works only with this",
                }
            ),
            examples=["ndjson"],
        ),
    ]
    dialect: Annotated[
        ExportDialect | SkipJsonSchema[None],
        Field(
            description="How a CSV file is written; default `spreadsheet`.\n\n"
            + describe_values(
                {
                    "spreadsheet": "an apostrophe before each text that a spreadsheet would "
                    "convert or run, and a byte order mark",
                    "semicolon": "the same for locales with a decimal comma: `;` separates cells",
                    "plain": "RFC 4180 in UTF-8, every text as it is",
                }
            ),
            examples=["plain"],
        ),
    ] = None
    columns: Annotated[
        tuple[ExportColumn, ...],
        Field(
            description="The columns of a CSV file or workbook, in this order; repeatable. Default:"
            " all but `rev` and `upstream_request_id`, and in CSV, where `created_at` is in UTC"
            " already, `created_at_utc`.",
            max_length=13,
            examples=[["order_no", "actual_amount"]],
        ),
    ] = ()

    @field_validator("format")
    @classmethod
    def _check_include(cls, value: str, info: ValidationInfo) -> str:
        if value != "ndjson" and info.data.get("include"):
            raise ValueError("include works only with ndjson; other formats have columns")
        return value

    @field_validator("dialect")
    @classmethod
    def _check_dialect(cls, value: str, info: ValidationInfo) -> str:
        if info.data.get("format", "csv") != "csv":
            raise ValueError("works only with format=csv")
        return value

    @field_validator("columns")
    @classmethod
    def _check_columns(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if info.data.get("format") == "ndjson":
            raise ValueError("works only with format=csv and format=xlsx")
        if len(set(value)) < len(value):
            raise ValueError("must not name a column twice")
        return value
