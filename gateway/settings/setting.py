"""One setting: what it may be given as, and how its value is had from that."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gateway.settings.parsers import secret_in_file

PREFIX = "GATEWAY_"


@dataclass(frozen=True)
class RawSetting:
    """What was given for a setting: its *value*, or the path of the *file* that holds it; "" for neither."""

    name: str
    value: str = field(repr=False)
    file: str

    @property
    def refused_as(self) -> str:
        return f"{self.name}_FILE" if self.file else self.name

    def text(self) -> str:
        """The value.

        Raises:
            ValueError: when both are given, or the file cannot be read; the text is the rule it breaks.
        """
        if self.value and self.file:
            raise ValueError(f"cannot stand beside {self.name}")
        return secret_in_file(Path(self.file)) if self.file else self.value


@dataclass(frozen=True)
class Setting:
    """One row of the table: *default* is the text that stands for a setting that is not given, "" for none.

    A *secret* one may also be given by the name with _FILE, as the path of a file that holds the value.
    """

    name: str
    parse: Callable[[str], object]
    default: str
    help: str
    secret: bool

    @property
    def environment_names(self) -> tuple[str, ...]:
        own = environment_name(self.name)
        return (own, f"{own}_FILE") if self.secret else (own,)

    @property
    def flags(self) -> tuple[str, ...]:
        own = "--" + self.name.replace("_", "-")
        return (own, f"{own}-file") if self.secret else (own,)

    def find(self, environ: Mapping[str, str]) -> RawSetting | None:
        """What *environ* has for it."""
        name = environment_name(self.name)
        value = environ.get(name, "").strip()
        file = environ.get(f"{name}_FILE", "").strip() if self.secret else ""
        return RawSetting(name, value, file) if value or file else None


def environment_name(name: str) -> str:
    """A setting's name as it is in the environment."""
    return PREFIX + name.upper()


def setting(parse: Callable[[str], object], help_text: str, *, secret: bool = False) -> dict[str, object]:
    """How a field of Config is read from text, and what it is for."""
    return {"parse": parse, "help": help_text, "secret": secret}


def as_text(value: object) -> str:
    """A setting's value as it would be written in the environment; "" for none."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, (list, tuple)):
        return ",".join(value)
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
