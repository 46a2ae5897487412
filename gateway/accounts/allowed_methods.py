"""Which methods of a portal callers may use, as the settings allow and deny."""

from fnmatch import fnmatchcase

from gateway.errors import MethodDenied
from gateway.settings.config import Config


class MethodAllowlist:
    """Patterns of allowed and denied method names, compared without case. Without allow patterns, all are allowed."""

    def __init__(self, config: Config) -> None:
        self._allow = [pattern.lower() for pattern in config.methods_allow]
        self._deny = [pattern.lower() for pattern in config.methods_deny]

    def check(self, method: str) -> None:
        """Check that callers may use *method*.

        Raises:
            MethodDenied: no allow pattern matches, or a deny pattern does.
        """
        name = method.lower()
        allowed = not self._allow or any(fnmatchcase(name, pattern) for pattern in self._allow)
        if not allowed or any(fnmatchcase(name, pattern) for pattern in self._deny):
            raise MethodDenied(f"the gateway's settings deny {method}")
