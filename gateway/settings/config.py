"""The settings: one table that defines environment variables, flags, defaults, help texts and the README."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from dataclasses import fields as fields_of
from pathlib import Path
from types import MappingProxyType
from typing import Any

from gateway.bitrix.transport.egress import PrivatePortal
from gateway.bitrix.transport.session import MAX_ANSWER_BYTES
from gateway.errors import SettingsError
from gateway.origins import exact_origin
from gateway.redaction import Secret
from gateway.settings.dotenv_file import read_dotenv
from gateway.settings.parsers import (
    boolean,
    certificate_file,
    claim_name,
    comma_list,
    database_file,
    directory,
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

    host: str = setting("127.0.0.1", host_name, "Address to listen on.")
    port: int = setting(8080, listen_port, "Port to listen on; 0 picks a free port.")
    database: Path = setting(
        Path("gateway.db"),
        database_file,
        "SQLite file. Secrets generated at the first start are stored beside it, in DATABASE.secrets.",
    )
    jwt_secret: Secret | None = setting(
        None,
        signing_secret,
        "Shared secret that verifies callers' tokens. Default: generated at the first start.",
        secret=True,
    )
    jwt_previous_secrets: tuple[Secret, ...] = setting(
        (), comma_list(signing_secret), "Previous secrets, still accepted.", secret=True
    )
    jwt_public_key_file: Path | None = setting(
        None, public_key_file, "PEM file with the public key that verifies callers' tokens, instead of a secret."
    )
    jwks_file: Path | None = setting(
        None,
        jwk_set_file,
        "File with the JWK set that verifies callers' tokens, instead of a secret; reloaded when it changes.",
    )
    jwt_algorithms: tuple[str, ...] = setting(
        (),
        comma_list(text),
        "Accepted token algorithms. Default: HS256 for a secret, RS256 or ES256 for a public key, "
        "those of its keys for a JWK set.",
    )
    jwt_issuer: str | None = setting(None, text, "Required value of the claim iss. Default: any.")
    jwt_audience: str | None = setting(
        None, text, "Required value of the claim aud, or of one of its items. Default: any."
    )
    jwt_leeway_s: int = setting(5, integer(0, 300), "Clock skew allowed for the claims exp and nbf, in seconds.")
    account_claim: tuple[str, ...] = setting(
        ("accountID", "account_id", "id", "sub"),
        comma_list(claim_name),
        "Claims that may contain the account id; the first one present is used.",
    )
    user_claim: tuple[str, ...] = setting(
        ("user_id",), comma_list(claim_name), "Claims that may contain the user id; the first one present is used."
    )
    admin_claim: tuple[str, ...] = setting(
        ("admin",),
        comma_list(claim_name),
        "Claims that make the caller an administrator if they are true; the first one present is used.",
    )
    client_uuid_claim: tuple[str, ...] = setting(
        ("client_uuid",),
        comma_list(claim_name),
        "Claims that may contain the UUID of the integration; the first one present is used.",
    )
    encryption_key: Secret | None = setting(
        None,
        sealing_key,
        "Key that encrypts stored tokens: 32 bytes in base64url. Default: generated at the first start.",
        secret=True,
    )
    methods_allow: tuple[str, ...] = setting(
        (),
        comma_list(method_pattern),
        "Methods that callers may use, also to write records, as crm.*. Default: all.",
    )
    methods_deny: tuple[str, ...] = setting(
        (), comma_list(method_pattern), "Methods that callers may not use, even if they are allowed."
    )
    bitrix_client_id: str | None = setting(
        None, matching(r"[\x21-\x7e]+", "must not contain spaces"), "client_id of the Bitrix24 application."
    )
    bitrix_client_secret: Secret | None = setting(
        None, secret, "client_secret of the Bitrix24 application.", secret=True
    )
    oauth_servers: tuple[str, ...] = setting(
        ("oauth.bitrix.info", "oauth.bitrix24.tech"),
        comma_list(host_port),
        "Authorization servers; the client_secret is sent to no others.",
    )
    public_url: str | None = setting(None, exact_origin, "Public origin of the gateway. Default: http://HOST:PORT.")
    return_origins: tuple[str, ...] = setting(
        (),
        comma_list(exact_origin),
        "Origins, besides the gateway's own, that may be redirected to after authorization.",
    )
    field_language: str = setting(
        "ru", matching("[a-z]{2}", "must be two lowercase letters, like ru or en"), "Language of field labels."
    )
    insecure_portals: bool = setting(
        False, boolean, "1 allows portals over http and at private addresses; for the sandbox only."
    )
    private_portals: tuple[PrivatePortal, ...] = setting(
        (),
        comma_list(private_portal),
        "Portals that may be called at private addresses, over https: host names (crm.corp.example, "
        "*.corp.example) and networks (10.0.0.0/8).",
    )
    portal_ca_file: Path | None = setting(
        None, certificate_file, "PEM file with certificate authorities for portals, in addition to those of the system."
    )
    bucket_capacity: int = setting(50, integer(2), "Burst size of a portal's rate limit, in requests.")
    bucket_leak_per_s: float = setting(
        2.0,
        positive_number,
        "Sustained rate limit of a portal, in requests per second. If it is more than half of GATEWAY_BUCKET_CAPACITY, "
        "that half holds.",
    )
    portal_concurrency: int = setting(32, integer(1, 1000), "Maximum number of concurrent requests to one portal.")
    operating_limit_s: int = setting(
        480, integer(1), "Operating time in ten minutes after which a portal blocks a method, in seconds."
    )
    max_wait_s: int = setting(30, integer(1), "Maximum time that a caller waits for a portal's limits, in seconds.")
    page_cache_bytes: int = setting(67_108_864, integer(0), "Memory for cached pages, in bytes; 0 disables the cache.")
    stream_buffer_bytes: int = setting(
        134_217_728, integer(MIN_BUFFER_BYTES), "Memory for rows that wait to be sent, over all streams, in bytes."
    )
    max_answer_bytes: int = setting(
        MAX_ANSWER_BYTES,
        integer(MIN_ANSWER_BYTES),
        "Maximum size of a portal's response, in bytes after decompression.",
    )
    spool_dir: Path | None = setting(
        None, directory, "Directory for received files until they are sent on. Default: that of the database."
    )
    spool_bytes: int = setting(1_073_741_824, integer(1), "Maximum size of all received files together, in bytes.")
    max_body_bytes: int = setting(1_048_576, integer(1), "Maximum size of a request body, in bytes.")
    head_timeout_s: int = setting(
        10, integer(1, 3600), "Time limit for the head of a request, in seconds; a slower one is answered 408."
    )
    body_timeout_s: int = setting(
        60, integer(1, 3600), "Time limit for the body of a request, in seconds; a slower one is answered 408."
    )
    min_body_bytes_per_s: int = setting(
        256,
        integer(0),
        "Minimum transfer rate of a body over any 10 seconds; a slower one is answered 408. 0 disables it.",
    )
    max_connections: int = setting(
        2000, integer(1, 100_000), "Maximum number of open connections; further ones are answered 503."
    )
    max_connections_per_address: int = setting(
        1000,
        integer(1, 100_000),
        "Maximum number of open connections from one address; all callers behind a reverse proxy share one.",
    )
    sync_interval_s: int = setting(
        900, integer(0), "Interval between automatic syncs of an account, in seconds; 0 disables them."
    )
    sync_overlap_s: int = setting(
        120,
        integer(0, 86_400),
        "How far an incremental sync reads back before the start of the last one, in seconds.",
    )
    reconcile_interval_s: int = setting(
        604_800,
        integer(60),
        "Interval at which an incremental sync compares the ids of all records with the portal's, in seconds.",
    )
    query_limit_s: int = setting(
        2, integer(1, 60), "Time limit of a query of mirrored records, in seconds; a longer one is answered 503."
    )
    drain_s: int = setting(
        1, integer(0, 3600), "Time after SIGTERM in which /readyz fails and requests are still accepted, in seconds."
    )
    log_level: str = setting("info", one_of("debug", "info", "warning", "error"), "Minimum log level.")
    log_format: str = setting("console", one_of("console", "json"), "Format of log lines: console or json.")

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
    Setting(item.name, item.metadata["parse"], as_text(item.default), item.metadata["help"], item.metadata["secret"])
    for item in fields_of(Config)
)


def read_environment(dotenv: Path) -> dict[str, str]:
    """Environment variables named like settings, and those in the file *dotenv*; the environment wins.

    Raises:
        SettingsError: as in `read_dotenv`.
    """
    return read_dotenv(dotenv) | {name: value for name, value in os.environ.items() if name.startswith(PREFIX)}


def settings_given(environ: Mapping[str, str], names: Iterable[str]) -> list[str]:
    """The non-empty environment variables in *environ* that set one of the settings *names*."""
    variables = [name for entry in SETTINGS if entry.name in names for name in entry.environment_names]
    return [name for name in variables if environ.get(name, "").strip()]


def load_config(environ: Mapping[str, str], overrides: Mapping[str, object] = NO_OVERRIDES) -> Config:
    """The settings in *environ*, by environment variable, and in *overrides*, by name; overrides win.

    An empty value, or None in *overrides*, is the same as no value. Overrides are text or values of the setting's type.

    Raises:
        SettingsError: its text names every invalid setting with the broken rule, and every unknown variable. It
            contains no secret.
    """
    flags = {environment_name(name): as_text(value) for name, value in overrides.items() if value is not None}
    raw = {entry.name: found for entry in SETTINGS if (found := entry.find(flags) or entry.find(environ))}
    values: dict[str, Any] = {item.name: item.default for item in fields_of(Config) if item.name not in raw}
    errors: dict[str, str] = {}
    for entry in SETTINGS:
        if entry.name in raw:
            try:
                values[entry.name] = entry.parse(raw[entry.name].text())
            except ValueError as error:
                errors[entry.name] = str(error)
    for rule in RULES:
        if violation := rule(raw, values):
            errors.setdefault(*violation)
    problems = unknown_names(environ, SETTINGS)
    for entry in SETTINGS:
        if entry.name in errors:
            source = raw[entry.name].source if entry.name in raw else environment_name(entry.name)
            problems.append(f"{source} {errors[entry.name]}")
    if problems:
        raise SettingsError("; ".join(problems))
    config = Config(**values)
    algorithms = config.jwt_algorithms or default_algorithms(config.jwt_public_key_file, config.jwks_file)
    return replace(config, jwt_algorithms=algorithms)
