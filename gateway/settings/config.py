"""The settings: one table that defines environment variables, flags, defaults, help texts and the README."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from dataclasses import fields as fields_of
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dotenv import dotenv_values

from gateway.bitrix.transport.egress import PrivatePortal
from gateway.bitrix.transport.session import MAX_ANSWER_BYTES
from gateway.errors import SettingsError
from gateway.origins import exact_origin
from gateway.redaction import Secret
from gateway.settings.parsers import (
    account_claim,
    boolean,
    certificate_file,
    comma_list,
    database_file,
    host_name,
    host_port,
    integer,
    jwk_set_file,
    listen_port,
    matching,
    method_pattern,
    one_of,
    positive_number,
    private_portal,
    public_key_file,
    sealing_key,
    secret,
    signing_secret,
    text,
)
from gateway.settings.rules import RULES, default_algorithms
from gateway.settings.setting import PREFIX, Setting, as_text, environment_name, setting
from gateway.settings.unknown_names import unknown_names

NO_OVERRIDES: Mapping[str, object] = MappingProxyType({})
MIN_BUFFER_BYTES = 1_048_576  # a smaller buffer would not hold a batch of rows
MIN_ANSWER_BYTES = 1_048_576  # a page of 50 rows of 20 kB each


@dataclass(frozen=True, kw_only=True)
class Config:
    """All settings, read once at start. Names carry units; the repr masks secrets."""

    host: str = field(default="127.0.0.1", metadata=setting(host_name, "Address to listen on."))
    port: int = field(default=8080, metadata=setting(listen_port, "Port to listen on; 0 picks a free port."))
    database: Path = field(
        default=Path("gateway.db"),
        metadata=setting(
            database_file,
            "SQLite file. Secrets generated at the first start are stored beside it, in DATABASE.secrets.",
        ),
    )
    jwt_secret: Secret | None = field(
        default=None,
        metadata=setting(
            signing_secret,
            "Shared secret that verifies callers' tokens. Default: generated at the first start.",
            secret=True,
        ),
    )
    jwt_previous_secrets: tuple[Secret, ...] = field(
        default=(),
        metadata=setting(comma_list(signing_secret), "Previous secrets, still accepted.", secret=True),
    )
    jwt_public_key_file: Path | None = field(
        default=None,
        metadata=setting(
            public_key_file, "PEM file with the public key that verifies callers' tokens, instead of a secret."
        ),
    )
    jwks_file: Path | None = field(
        default=None,
        metadata=setting(
            jwk_set_file,
            "File with the JWK set that verifies callers' tokens, instead of a secret; reloaded when it changes.",
        ),
    )
    jwt_algorithms: tuple[str, ...] = field(
        default=(),
        metadata=setting(
            comma_list(text),
            "Accepted token algorithms. Default: HS256 for a secret, RS256 or ES256 for a public key, "
            "those of its keys for a JWK set.",
        ),
    )
    jwt_issuer: str | None = field(
        default=None, metadata=setting(text, "Required value of the claim iss. Default: any.")
    )
    jwt_audience: str | None = field(
        default=None, metadata=setting(text, "Required value of the claim aud, or of one of its items. Default: any.")
    )
    jwt_leeway_s: int = field(
        default=5,
        metadata=setting(integer(0, 300), "Clock skew allowed for the claims exp and nbf, in seconds."),
    )
    account_claim: tuple[str, ...] = field(
        default=("accountID", "account_id", "id", "sub"),
        metadata=setting(
            comma_list(account_claim), "Claims that may contain the account id; the first one present is used."
        ),
    )
    encryption_key: Secret | None = field(
        default=None,
        metadata=setting(
            sealing_key,
            "Key that encrypts stored tokens: 32 bytes in base64url. Default: generated at the first start.",
            secret=True,
        ),
    )
    methods_allow: tuple[str, ...] = field(
        default=(),
        metadata=setting(
            comma_list(method_pattern), "Methods that callers may use, as patterns like crm.*. Default: all."
        ),
    )
    methods_deny: tuple[str, ...] = field(
        default=(),
        metadata=setting(comma_list(method_pattern), "Methods that callers may not use, even if they are allowed."),
    )
    bitrix_client_id: str | None = field(
        default=None,
        metadata=setting(
            matching(r"[\x21-\x7e]+", "must not contain spaces"), "client_id of the Bitrix24 application."
        ),
    )
    bitrix_client_secret: Secret | None = field(
        default=None, metadata=setting(secret, "client_secret of the Bitrix24 application.", secret=True)
    )
    oauth_servers: tuple[str, ...] = field(
        default=("oauth.bitrix.info", "oauth.bitrix24.tech"),
        metadata=setting(comma_list(host_port), "Authorization servers; the client_secret is sent to no others."),
    )
    public_url: str | None = field(
        default=None,
        metadata=setting(exact_origin, "Public origin of the gateway. Default: http://HOST:PORT."),
    )
    return_origins: tuple[str, ...] = field(
        default=(),
        metadata=setting(
            comma_list(exact_origin),
            "Origins, besides the gateway's own, that may be redirected to after authorization.",
        ),
    )
    field_language: str = field(
        default="ru",
        metadata=setting(
            matching("[a-z]{2}", "must be two lowercase letters, like ru or en"), "Language of field labels."
        ),
    )
    insecure_portals: bool = field(
        default=False,
        metadata=setting(boolean, "1 allows portals over http and at private addresses; for the sandbox only."),
    )
    private_portals: tuple[PrivatePortal, ...] = field(
        default=(),
        metadata=setting(
            comma_list(private_portal),
            "Portals that may be called at private addresses, over https: host names (crm.corp.example, "
            "*.corp.example) and networks (10.0.0.0/8).",
        ),
    )
    portal_ca_file: Path | None = field(
        default=None,
        metadata=setting(
            certificate_file,
            "PEM file with certificate authorities for portals, in addition to those of the system.",
        ),
    )
    bucket_capacity: int = field(
        default=50, metadata=setting(integer(2), "Burst size of a portal's rate limit, in requests.")
    )
    bucket_leak_per_s: float = field(
        default=2.0, metadata=setting(positive_number, "Sustained rate limit of a portal, in requests per second.")
    )
    portal_concurrency: int = field(
        default=32, metadata=setting(integer(1, 1000), "Maximum number of concurrent requests to one portal.")
    )
    operating_limit_s: int = field(
        default=480,
        metadata=setting(integer(1), "Operating time in ten minutes after which a portal blocks a method, in seconds."),
    )
    max_wait_s: int = field(
        default=30, metadata=setting(integer(1), "Maximum time that a caller waits for a portal's limits, in seconds.")
    )
    page_cache_bytes: int = field(
        default=67_108_864, metadata=setting(integer(0), "Memory for cached pages, in bytes; 0 disables the cache.")
    )
    stream_buffer_bytes: int = field(
        default=134_217_728,
        metadata=setting(
            integer(MIN_BUFFER_BYTES), "Memory for rows that wait to be sent, over all streams, in bytes."
        ),
    )
    max_answer_bytes: int = field(
        default=MAX_ANSWER_BYTES,
        metadata=setting(
            integer(MIN_ANSWER_BYTES), "Maximum size of a portal's response, in bytes after decompression."
        ),
    )
    max_body_bytes: int = field(
        default=1_048_576, metadata=setting(integer(1), "Maximum size of a request body, in bytes.")
    )
    head_timeout_s: int = field(
        default=10,
        metadata=setting(
            integer(1, 3600), "Time limit for the head of a request, in seconds; a slower one is answered 408."
        ),
    )
    body_timeout_s: int = field(
        default=60,
        metadata=setting(
            integer(1, 3600), "Time limit for the body of a request, in seconds; a slower one is answered 408."
        ),
    )
    min_body_bytes_per_s: int = field(
        default=256,
        metadata=setting(
            integer(0),
            "Minimum transfer rate of a body over any 10 seconds; a slower one is answered 408. 0 disables it.",
        ),
    )
    max_connections: int = field(
        default=2000,
        metadata=setting(integer(1, 100_000), "Maximum number of open connections; further ones are answered 503."),
    )
    max_connections_per_address: int = field(
        default=1000,
        metadata=setting(
            integer(1, 100_000),
            "Maximum number of open connections from one address; all callers behind a reverse proxy share one.",
        ),
    )
    sync_interval_s: int = field(
        default=900,
        metadata=setting(integer(0), "Interval between automatic syncs of an account, in seconds; 0 disables them."),
    )
    drain_s: int = field(
        default=1,
        metadata=setting(
            integer(0, 3600),
            "Time after SIGTERM in which /readyz fails and requests are still accepted, in seconds.",
        ),
    )
    log_level: str = field(
        default="info", metadata=setting(one_of("debug", "info", "warning", "error"), "Minimum log level.")
    )
    log_format: str = field(
        default="console", metadata=setting(one_of("console", "json"), "Format of log lines: console or json.")
    )

    @property
    def secrets_file(self) -> Path:
        """The file for generated secrets."""
        return self.database.with_name(self.database.name + ".secrets")

    @property
    def public_keys_file(self) -> Path | None:
        """The file with the public keys that verify tokens; None if a secret does."""
        return self.jwks_file or self.jwt_public_key_file

    @property
    def own_origin(self) -> str:
        """The public origin of the gateway."""
        return self.public_url or exact_origin(
            f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"
        )

    @property
    def allowed_origins(self) -> frozenset[str]:
        """The origins that may be redirected to after authorization."""
        return frozenset({self.own_origin, *self.return_origins})


SETTINGS = tuple(
    Setting(one.name, one.metadata["parse"], as_text(one.default), one.metadata["help"], one.metadata["secret"])
    for one in fields_of(Config)
)


def read_environment(dotenv: Path) -> dict[str, str]:
    """Environment variables named like settings, and those in the file *dotenv*; the environment wins.

    The file may be absent. Its values are literal.

    Raises:
        SettingsError: when the file cannot be read.
    """
    try:
        in_file = dotenv_values(dotenv, interpolate=False, encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", "it is not text in UTF-8")
        raise SettingsError(f"{dotenv} cannot be read: {reason}") from None  # the cause contains secrets
    found = in_file | os.environ
    return {name: value for name, value in found.items() if name.startswith(PREFIX) and value is not None}


def settings_given(environ: Mapping[str, str], names: Iterable[str]) -> list[str]:
    """The environment variables with which *environ* gives the settings *names*."""
    return [
        name for one in SETTINGS if one.name in names for name in one.environment_names if environ.get(name, "").strip()
    ]


def load_config(environ: Mapping[str, str], overrides: Mapping[str, object] = NO_OVERRIDES) -> Config:
    """The settings in *environ*, by environment variable, and in *overrides*, by name; overrides win.

    An empty value, or None in *overrides*, is the same as no value. Overrides are text or values of the setting's type.

    Raises:
        SettingsError: its text names every invalid setting with the broken rule, and every unknown variable. It
            contains no secret.
    """
    flags = {environment_name(name): as_text(value) for name, value in overrides.items() if value is not None}
    raw = {one.name: found for one in SETTINGS if (found := one.find(flags) or one.find(environ))}
    values: dict[str, Any] = {}
    errors: dict[str, str] = {}
    for one in SETTINGS:
        if one.name in raw:
            try:
                values[one.name] = one.parse(raw[one.name].text())
            except ValueError as error:
                errors[one.name] = str(error)
    for rule in RULES:
        if violation := rule(raw, values):
            errors.setdefault(*violation)
    problems = unknown_names(environ, SETTINGS)
    for one in SETTINGS:
        if one.name in errors:
            source = raw[one.name].source if one.name in raw else environment_name(one.name)
            problems.append(f"{source} {errors[one.name]}")
    if problems:
        raise SettingsError("; ".join(problems))
    config = Config(**values)
    algorithms = config.jwt_algorithms or default_algorithms(config.jwt_public_key_file, config.jwks_file)
    return replace(config, jwt_algorithms=algorithms)
