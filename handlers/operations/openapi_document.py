"""The OpenAPI document of this version, as it is served."""

import hashlib
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import orjson
import yaml
from aiohttp import web

from gateway.errors import SettingsError

PATH = Path(__file__).with_name("openapi.yaml")  # in a checkout, a link to the file at its top; a package has a copy
YAML_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C loader, if PyYAML has it, is 10 times faster


class Representation(NamedTuple):
    """The document in one format, with its media type and its strong ETag."""

    body: bytes
    content_type: str
    etag: str


class OpenAPIDocument:
    """openapi.yaml, read once; its JSON is made at the first request."""

    def __init__(self, text: bytes) -> None:
        self.yaml = represent(text, "application/yaml")

    @classmethod
    def load(cls) -> "OpenAPIDocument":
        """Read the file that ships with the gateway.

        Raises:
            SettingsError: The file is missing or cannot be read.
        """
        try:
            return cls(PATH.read_bytes())
        except OSError as error:
            raise SettingsError(f"cannot read {PATH} ({error.strerror}): install the gateway again") from error

    @cached_property
    def json(self) -> Representation:
        """The same document as JSON."""
        return represent(orjson.dumps(yaml.load(self.yaml.body, YAML_LOADER)), "application/json")


OPENAPI = web.AppKey("OPENAPI", OpenAPIDocument)


def represent(body: bytes, content_type: str) -> Representation:
    return Representation(body, content_type, f'"{hashlib.sha256(body).hexdigest()[:32]}"')
