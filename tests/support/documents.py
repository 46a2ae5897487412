"""YAML documents of the tests, each parsed once."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
OPENAPI_YAML = ROOT / "openapi.yaml"
PROMISED_YAML = ROOT / "tests/data/contract/bitrix-openapi.yaml"
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C loader is 10 times faster


def parse_yaml(text: bytes | str) -> Any:
    """Parse a document.

    Raises:
        yaml.YAMLError: it is not valid.
    """
    return yaml.load(text, LOADER)


@cache
def load_yaml(path: Path) -> Any:
    """The parsed document. Callers share it and do not change it."""
    return parse_yaml(path.read_bytes())
