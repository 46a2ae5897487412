"""Settings in a `.env` file."""

from pathlib import Path

from dotenv.parser import Binding, parse_stream

from gateway.errors import SettingsError
from gateway.settings.setting import PREFIX


def read_dotenv(path: Path) -> dict[str, str]:
    """The settings in the file *path* by environment variable, with literal values. The file may be absent.

    Lines of other programs are ignored, whatever their form.

    Raises:
        SettingsError: the file cannot be read, or a line that names a setting does not have the form NAME=VALUE. The
            text contains no value.
    """
    try:
        with path.open(encoding="utf-8-sig") as stream:
            bindings = list(parse_stream(stream))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", "it is not text in UTF-8")
        raise SettingsError(f"{path} cannot be read: {reason}") from None  # the cause contains secrets
    if invalid := [_line(binding) for binding in bindings if _is_invalid(binding)]:
        raise SettingsError(
            "; ".join(f"{path}, line {line}: must have the form {PREFIX}NAME=VALUE" for line in invalid)
        )
    return {
        binding.key: binding.value
        for binding in bindings
        if binding.key is not None and binding.value is not None and binding.key.startswith(PREFIX)
    }


def _is_invalid(binding: Binding) -> bool:
    """Whether a line names a setting and does not set it."""
    if binding.key is None:
        return binding.error and PREFIX in binding.original.string  # otherwise a comment or an empty line
    return PREFIX in binding.key and (binding.value is None or not binding.key.startswith(PREFIX))


def _line(binding: Binding) -> int:
    """The line number of a binding, whose text also holds the empty lines before it."""
    text = binding.original.string
    return binding.original.line + text[: len(text) - len(text.lstrip())].count("\n")
