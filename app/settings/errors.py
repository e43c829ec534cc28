"""How faults are told: all at once, a line each, with the variable, the reason and an example.

A line never repeats a value: a secret pasted into the wrong variable stays unsaid.
"""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from pydantic import BaseModel
from pydantic_core import ErrorDetails

PREFIX = "ORDERS_"


class SettingsError(Exception):
    """The settings cannot be used. `lines` tells every fault."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("\n".join(lines))
        self.messages = tuple(lines)


def env_name(*names: str) -> str:
    """The variable of a setting: `variable("cache", "ttl")` is `ORDERS_CACHE__TTL`."""
    return PREFIX + "__".join(names).upper()


def example_values(config: type[BaseModel]) -> dict[str, str]:
    """Every variable of `knobs`, with an example value ("" where there is none to give)."""
    return dict(_examples(config, ()))


def _examples(config: type[BaseModel], above: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for name, field in config.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _examples(field.annotation, (*above, name))
        elif not field.exclude:
            yield env_name(*above, name), str((field.examples or [""])[0])


def format_errors(faults: Sequence[ErrorDetails], known: dict[str, str]) -> tuple[str, ...]:
    """A line for each fault; `known` are the variables with their examples."""
    return tuple(dict.fromkeys(_line(fault, known) for fault in faults))


def _line(fault: ErrorDetails, known: dict[str, str]) -> str:
    loc = fault["loc"]
    name = env_name(*map(str, loc[:2]))
    if name not in known:
        if loc[0] == "login":
            return f"{name}: is not built yet; unset it"
        near = get_close_matches(name, known, 1, cutoff=0.8)
        return f"{name}: is not a setting" + (f"; did you mean {near[0]}?" if near else "")
    example = f". Example: {name}={known[name]}" if known[name] else ""
    return f"{name}: {build_openapi(fault, 2)}{example}"


def build_openapi(fault: ErrorDetails, depth: int) -> str:
    """What is wrong, with its place in a list: `entry 2, sha256: should match …`."""
    place = fault["loc"][depth:]
    told = f"entry {int(place[0]) + 1}" if place and isinstance(place[0], int) else ""
    if fault["type"] == "extra_forbidden":  # its name is the operator's text, so it stays unsaid
        return f"{told} has a field that is not known"
    if len(place) > 1:
        told += f", {place[1]}"
    return f"{told}: {_reason(fault)}" if told else _reason(fault)


def _reason(fault: ErrorDetails) -> str:
    return (
        fault["msg"]
        .removeprefix("Value error, ")
        .replace("Input should", "should")
        .replace("Field required", "is required")
        .replace("String should", "should")
        .replace("Tuple should", "should")
    )
