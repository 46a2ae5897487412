"""Options and arguments that several commands share, and the settings that they carry."""

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from gateway.auth.caller import MAX_IDENTIFIER_CHARACTERS, is_identifier, is_uuid
from gateway.errors import NotFound
from gateway.mirror.resources import find_resource
from gateway.passthrough.streamed_lists import STREAMED_LISTS
from gateway.sandbox.settings import SandboxSettings
from gateway.settings.config import SETTINGS, Config, load_config, read_environment

F = TypeVar("F", bound=Callable[..., Any])

DOTENV = Path(".env")
PORT = click.IntRange(0, 65_535)
ITEMS = re.compile(r"items/[0-9]+")
# The settings that issue a token, and those that locate the running gateway.
TOKEN_SETTINGS = (
    "database",
    "jwt_secret",
    "jwt_public_key_file",
    "jwks_file",
    "jwt_algorithms",
    "jwt_issuer",
    "jwt_audience",
    "account_claim",
)
# Those that name the claims about the caller besides its account.
CALLER_SETTINGS = ("user_claim", "admin_claim", "client_uuid_claim")
ADDRESS_SETTINGS = ("host", "port")
# Row counts of a sandbox portal, with their help texts.
SIZES = {
    "users": "Number of users.",
    "leads": "Number of leads.",
    "deals": "Number of deals; a million take a few megabytes.",
    "contacts": "Number of contacts.",
    "companies": "Number of companies.",
    "quotes": "Number of quotes.",
    "invoices": "Number of smart invoices, and of old invoices.",
    "items": "Number of items of each smart process.",
    "tasks": "Number of tasks.",
    "eventlog": "Number of event log entries.",
}


def account_option(help_text: str) -> Callable[[F], F]:
    """The required option --account."""
    return click.option("--account", metavar="ID", required=True, callback=validate_identifier, help=help_text)


def validate_identifier(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and not is_identifier(value):
        raise click.BadParameter(f"must be one line of 1 to {MAX_IDENTIFIER_CHARACTERS} printable characters")
    return value


def validate_uuid(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    if value is None:
        return None
    if not is_uuid(value):
        raise click.BadParameter("must be a UUID, like 0b8ac3f1-6f5e-4d0c-9f0d-2a7c5e1b9d43")
    return value.lower()


def validate_stream(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    if value not in STREAMED_LISTS and not ITEMS.fullmatch(value):
        raise click.BadParameter(f"must be one of {', '.join(STREAMED_LISTS)}, items/TYPE")
    return value


def validate_resources(
    _context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> tuple[str, ...]:
    for value in values:
        try:
            find_resource(value)
        except NotFound as error:
            raise click.BadParameter(error.detail.removeprefix("resource: ")) from None
    return values


def setting_options(*names: str, **help_texts: str) -> Callable[[F], F]:
    """Options for the settings called *names*, or for every setting; a secret's file is described with the secret.

    *help_texts* replace the help of settings that have another meaning for the command.
    """

    def decorate(command: F) -> F:
        for setting in reversed(SETTINGS):
            if names and setting.name not in names:
                continue
            source = setting.environment_names[0] + (f", default {setting.default}" if setting.default else "")
            for file_flag, file_name in zip(setting.flags[1:], setting.environment_names[1:], strict=True):
                source += f"; from a file: {file_flag}, {file_name}"
                command = click.option(file_flag, hidden=True)(command)
            help_text = f"{help_texts.get(setting.name, setting.help)}  [{source}]"
            command = click.option(setting.flags[0], metavar="VALUE", help=help_text)(command)
        return command

    return decorate


def gateway_options(command: F) -> F:
    """Options that locate the running gateway and issue a token for it."""
    options = setting_options(
        *TOKEN_SETTINGS, *ADDRESS_SETTINGS, host="Host of the running gateway.", port="Port of the running gateway."
    )
    return options(command)


def portal_options(**defaults: int) -> Callable[[F], F]:
    """Options for the content of a sandbox portal: row counts, gaps between ids, and a seed.

    *defaults* replace those of the portal.
    """
    values = {field.name: field.default for field in dataclasses.fields(SandboxSettings)} | defaults

    def option(name: str, kind: "click.ParamType[Any]", help_text: str) -> Callable[[F], F]:
        return click.option(f"--{name}", type=kind, default=values[name], show_default=True, help=help_text)

    def decorate(command: F) -> F:
        command = option("seed", click.INT, "Seed of the content; the same seed makes the same portal.")(command)
        share = click.FloatRange(0, 1, max_open=True)
        command = option("holes", share, "Share of ids that are missing, in clusters.")(command)
        for name, help_text in reversed(SIZES.items()):
            command = option(name, click.IntRange(1 if name == "users" else 0), help_text)(command)
        return command

    return decorate


def read_config(flags: dict[str, str | None]) -> Config:
    """The settings: *flags* win over the environment, which wins over `.env` in the working directory.

    Raises:
        SettingsError: when a setting is invalid.
    """
    return load_config(read_environment(DOTENV), flags)
