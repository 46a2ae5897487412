"""One setting: its names, its parser, and the raw text that it is parsed from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from gateway.settings.parsers import read_secret

T = TypeVar("T")

PREFIX = "GATEWAY_"


@dataclass(frozen=True)
class RawSetting:
    """The text given for a setting: a *value*, or the path of a *file* that contains it; "" if absent."""

    name: str
    value: str = field(repr=False)
    file: str

    @property
    def source(self) -> str:
        """The name of the environment variable that is to blame if the setting is invalid."""
        return f"{self.name}_FILE" if self.file else self.name

    def text(self) -> str:
        """The value, read from the file if there is one.

        Raises:
            ValueError: when both are given, or the file cannot be read; the text is the broken rule.
        """
        if self.value and self.file:
            raise ValueError(f"cannot be combined with {self.name}")
        return read_secret(Path(self.file)) if self.file else self.value


@dataclass(frozen=True)
class Setting:
    """A row of the settings table; *default* is text, "" for none.

    A *secret* setting may also be given as the path of a file, under its name with _FILE.
    """

    name: str
    parse: Callable[[str], object]
    default: str
    help: str
    secret: bool

    @property
    def environment_names(self) -> tuple[str, ...]:
        name = environment_name(self.name)
        return (name, f"{name}_FILE") if self.secret else (name,)

    @property
    def flags(self) -> tuple[str, ...]:
        flag = "--" + self.name.replace("_", "-")
        return (flag, f"{flag}-file") if self.secret else (flag,)

    def find(self, environ: Mapping[str, str]) -> RawSetting | None:
        """Its text in *environ*; None if it is absent or empty."""
        name = environment_name(self.name)
        value = environ.get(name, "").strip()
        file = environ.get(f"{name}_FILE", "").strip() if self.secret else ""
        return RawSetting(name, value, file) if value or file else None


def environment_name(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()


def setting(default: T, parse: Callable[[str], object], help_text: str, *, secret: bool = False) -> T:
    """A field of Config with its default, its parser and its description."""
    return field(default=default, metadata={"parse": parse, "help": help_text, "secret": secret})


def as_text(value: object) -> str:
    """A setting's value as it is written in the environment; "" for None."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, (list, tuple)):
        return ",".join(value)
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
