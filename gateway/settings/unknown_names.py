"""Names in the environment that look like a setting's and are none: misspelt ones."""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from gateway.settings.parsers import ADDRESS_OF_A_SERVICE
from gateway.settings.setting import PREFIX, Setting

RULE = f"every name that starts with {PREFIX} must be a setting (bitrix-gateway serve --help lists them)"
FILE = "_FILE"
LIKENESS = 0.5  # of two names, at which one may be meant by the other
SHOWN_CHARACTERS = 80
# What Kubernetes tells every container of a namespace about a service whose name begins with "gateway".
# Source: kubernetes.io/docs/concepts/services-networking/service, Environment variables
SERVICE_LINK = re.compile(
    r"\w+_SERVICE_HOST|\w+_SERVICE_PORT(_\w+)?|\w+_PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?", re.ASCII
)


def unknown_names(environ: Mapping[str, str], settings: Iterable[Setting]) -> list[str]:
    """A sentence for each name in *environ* that none of *settings* has, and the rule where there is any."""
    known = {name: one for one in settings for name in one.environment_names}
    told = [
        f"{shown(name)} is not a setting{hint(name, known)}"
        for name, value in environ.items()
        if name.startswith(PREFIX) and name not in known and not is_service_link(name, value)
    ]
    return [*told, RULE] if told else []


def is_service_link(name: str, value: str) -> bool:
    """Whether a container platform, and no person, has set *name*."""
    return bool(SERVICE_LINK.fullmatch(name) or (name.endswith("_PORT") and ADDRESS_OF_A_SERVICE.match(value)))


def hint(name: str, known: Mapping[str, Setting]) -> str:
    """What may be meant by *name*, to read on after the sentence; empty where nothing is like it."""
    without = name.removesuffix(FILE)
    if without != name and without in known:
        return f" (only secrets can be given as files, {without} cannot)"
    nearest = get_close_matches(
        name.upper().removeprefix(PREFIX), [one.removeprefix(PREFIX) for one in known], 1, LIKENESS
    )
    return f" (did you mean {PREFIX}{nearest[0]}?)" if nearest else ""


def shown(name: str) -> str:
    """*name* as it can be printed on one line."""
    return ascii(name)[1:-1][:SHOWN_CHARACTERS]
