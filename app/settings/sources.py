"""The sources of variables: the environment, `.env` and secret files, and what is wrong with them.

pydantic-settings' sources for `.env` and secret files are not used: the first expands `${…}` in
values and ignores lines that it cannot parse; the second reads every file in the directory, skips
links that lead out of it, and fails at the first file that it cannot read.
"""

from collections.abc import Iterable, Mapping
from functools import partial
from io import StringIO
from pathlib import Path

from dotenv.parser import Binding, parse_stream

from app.settings.errors import PREFIX, Variable
from app.settings.files import MissingFile, UnreadableFile, read_text, within_timeout
from app.settings.names import Names

SECRETS_DIR = "ORDERS_SECRETS_DIR"

MAX_ERRORS = 100
"""Errors after which the rest of `.env` is not read."""

Variables = dict[str, Variable]


class SourceReader:
    """Reads the variables that are set, and collects what is wrong with the sources.

    Args:
        names: the names of all settings.
        timeout: seconds that reading one file may take; None for any time.

    Attributes:
        errors: each with the variable or the file that it is about.
        warnings: messages about variables that have no effect.
        secrets_dir: the directory of secret files, once it is known.
    """

    def __init__(self, names: Names, timeout: float | None) -> None:
        self._names = names
        self._timeout = timeout
        self.errors: list[tuple[str, str]] = []
        self.warnings: list[str] = []
        self.secrets_dir: Path | None = None

    def read(self, environ: Mapping[str, str], dotenv: Path) -> Variables:
        """Return the variables that are not empty, each from the source with precedence."""
        variables = self._read_dotenv(dotenv) | self._read_environment(environ)
        if directory := variables.pop(SECRETS_DIR, None):
            self.secrets_dir = Path(directory.text)
            for name, variable in self._read_secret_files(directory).items():
                if name in variables:
                    self.warnings.append(
                        f"{name} ({variable.origin}) has no effect: {variables[name].origin} has"
                        " precedence"
                    )
                variables.setdefault(name, variable)
        for name, (text, origin) in tuple(variables.items()):
            if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
                self._add_error(name, origin, "must not be enclosed in quotes")
                del variables[name]
        return variables

    def _read_environment(self, environ: Mapping[str, str]) -> Variables:
        found: Variables = {}
        injected = _injected_by_kubernetes(environ)
        for name, value in environ.items():
            text = value.strip()
            if not text or name in injected:
                continue
            if self._names.is_setting(name):
                found[name] = Variable(text, "environment")
            elif self._names.is_in_group(name):
                self._add_error(name, "environment", self._names.describe(name))
            else:
                self._warn_about(name, "environment")
        if injected:
            names = ", ".join(sorted(injected))
            self.warnings.append(
                f"{names} (environment): no settings; Kubernetes sets them for a service"
            )
        return found

    def _read_dotenv(self, path: Path) -> Variables:
        try:
            text = within_timeout(partial(read_text, path), self._timeout)
        except MissingFile:
            return {}
        except UnreadableFile as error:
            self.errors.append((path.name, f"{path.name}: {error}"))
            return {}
        found: Variables = {}
        # After an error, the parser would count `\r\n` as two line ends.
        for binding in parse_stream(StringIO(text.replace("\r\n", "\n"))):
            if len(self.errors) == MAX_ERRORS:
                break  # it is some other file; each suggestion of a name takes milliseconds
            self._add_binding(binding, path.name, found)
        return found

    def _add_binding(self, binding: Binding, file: str, found: Variables) -> None:
        string = binding.original.string  # with the empty lines before it
        skipped = string[: len(string) - len(string.lstrip())]
        origin = f"{file}, line {binding.original.line + skipped.count(chr(10))}"
        if binding.error or (binding.key and binding.value is None):
            self.errors.append((file, f"{origin}: must be NAME=value"))
            return
        name, text = binding.key or "", (binding.value or "").strip()
        if name in found and text:
            message = f"is set twice; also on line {found[name].origin.rpartition(' ')[2]}"
            self._add_error(name, origin, message)
        elif self._names.is_setting(name):
            if text:
                found[name] = Variable(text, origin)
        elif self._names.is_ours(name):
            self._add_error(name, origin, self._names.describe(name))
        else:
            self._warn_about(name, origin)

    def _read_secret_files(self, directory: Variable) -> Variables:
        try:
            paths = within_timeout(partial(_list_files, Path(directory.text)), self._timeout)
        except UnreadableFile as error:
            message = f"{error}. Value: {directory.text!r}. Example: {SECRETS_DIR}=/run/secrets"
            self._add_error(SECRETS_DIR, directory.origin, message)
            return {}
        found: Variables = {}
        for path in paths:
            origin = f"secret file {path.name}"
            if self._names.is_setting(path.name):
                try:
                    text = within_timeout(partial(read_text, path), self._timeout).strip()
                except UnreadableFile as error:
                    self._add_error(path.name, origin, str(error))
                else:
                    if text:
                        found[path.name] = Variable(text, origin)
            elif path.name.startswith(PREFIX) or self._names.is_in_group(path.name):
                self._add_error(path.name, origin, self._names.describe(path.name))
        if not any(path.name.startswith(PREFIX) for path in paths):
            self.warnings.append(f"{SECRETS_DIR} ({directory.origin}) has no file named {PREFIX}…")
        return found

    def _warn_about(self, name: str, origin: str) -> None:
        """Warn about a name that is no setting, if it was probably meant to be one."""
        if self._names.is_ours(name) or self._names.resembles_setting(name):
            self.warnings.append(f"{name} ({origin}) {self._names.describe(name)}")

    def _add_error(self, name: str, origin: str, message: str) -> None:
        self.errors.append((name, f"{name} ({origin}): {message}"))


def _list_files(directory: Path) -> list[Path]:
    try:
        return sorted(path for path in directory.iterdir() if not path.name.startswith("."))
    except (OSError, ValueError):
        raise UnreadableFile("must name a directory that can be read") from None


def _injected_by_kubernetes(environ: Iterable[str]) -> frozenset[str]:
    """Return the variables of services whose name starts with `orders`, as `ORDERS_PORT`."""
    suffix = "_SERVICE_HOST"
    services = {name.removesuffix(suffix) for name in environ if name.endswith(suffix)}
    prefixes = tuple(f"{service}_{kind}" for service in services for kind in ("PORT", "SERVICE_"))
    return frozenset(
        name for name in environ if name.startswith(PREFIX) and name.startswith(prefixes)
    )
