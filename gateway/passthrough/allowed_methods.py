"""Which methods of a portal callers may use: whatever the settings allow and do not deny."""

from fnmatch import fnmatchcase

from gateway.errors import MethodDenied
from gateway.settings.config import Config


class MethodAllowlist:
    """Patterns of names that are let through, and of those that are not; without any, all are."""

    def __init__(self, config: Config) -> None:
        self._allow = [pattern.lower() for pattern in config.methods_allow]
        self._deny = [pattern.lower() for pattern in config.methods_deny]

    def check(self, method: str) -> None:
        """See that *method* is let through.

        Raises:
            MethodDenied: it is not.
        """
        name = method.lower()
        allowed = not self._allow or any(fnmatchcase(name, pattern) for pattern in self._allow)
        if not allowed or any(fnmatchcase(name, pattern) for pattern in self._deny):
            raise MethodDenied(f"{method} is not let through by this gateway's settings")
