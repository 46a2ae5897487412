"""Finds environment variables that look like settings but are not: misspelt names."""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from gateway.settings.parsers import SERVICE_ADDRESS
from gateway.settings.setting import PREFIX, Setting

RULE = f"names that start with {PREFIX} must be settings (bitrix-gateway serve --help lists them)"
FILE = "_FILE"
MIN_SIMILARITY = 0.5  # of a name that is suggested
MAX_SHOWN_CHARACTERS = 80
# Variables that Kubernetes sets in every container of a namespace for a service whose name begins with "gateway".
# Source: kubernetes.io/docs/concepts/services-networking/service, Environment variables
SERVICE_LINK = re.compile(
    r"\w+_SERVICE_HOST|\w+_SERVICE_PORT(_\w+)?|\w+_PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?", re.ASCII
)


def unknown_names(environ: Mapping[str, str], settings: Iterable[Setting]) -> list[str]:
    """A sentence for each variable in *environ* that is not one of *settings*, and the rule if there are any."""
    known = {name: setting for setting in settings for name in setting.environment_names}
    problems = [
        f"{printable_name(name)} is not a setting{suggestion(name, known)}"
        for name, value in environ.items()
        if name.startswith(PREFIX) and name not in known and not is_service_link(name, value)
    ]
    return [*problems, RULE] if problems else []


def is_service_link(name: str, value: str) -> bool:
    """Whether a container platform has set the variable *name*."""
    return bool(SERVICE_LINK.fullmatch(name) or (name.endswith("_PORT") and SERVICE_ADDRESS.match(value)))


def suggestion(name: str, known: Mapping[str, Setting]) -> str:
    """What *name* may be meant to be, in parentheses after a space; empty if nothing is similar."""
    stem = name.removesuffix(FILE)
    if stem != name and stem in known:
        return f" (only secrets can be given as files, {stem} cannot)"
    candidates = [other.removeprefix(PREFIX) for other in known]
    nearest = get_close_matches(name.upper().removeprefix(PREFIX), candidates, 1, MIN_SIMILARITY)
    return f" (did you mean {PREFIX}{nearest[0]}?)" if nearest else ""


def printable_name(name: str) -> str:
    """*name* in printable ASCII on one line, shortened."""
    return ascii(name)[1:-1][:MAX_SHOWN_CHARACTERS]
