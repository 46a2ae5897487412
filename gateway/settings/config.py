"""The settings: one table from which environment names, flags, defaults, help texts and the README derive."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from dataclasses import fields as fields_of
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from dotenv import dotenv_values
from marshmallow import Schema, ValidationError, fields, validates_schema

from gateway.bitrix.transport.egress import PrivatePortal
from gateway.bitrix.transport.session import MAX_ANSWER_BYTES
from gateway.crypto.public_keys import PUBLIC_KEY_ALGORITHMS, SECRET_ALGORITHMS, read_public_key
from gateway.errors import SettingsError
from gateway.origins import exact_origin
from gateway.redaction import Secret
from gateway.settings.parsers import (
    account_claim,
    certificate_file,
    database_file,
    hidden,
    jwk_set_file,
    matching,
    one_of,
    own_host,
    own_port,
    positive,
    private_portal,
    public_key_file,
    sealing_key,
    server_name,
    several,
    signing_secret,
    switch,
    text,
    whole,
)
from gateway.settings.setting import PREFIX, RawSetting, Setting, as_text, environment_name, setting
from gateway.settings.unknown_names import unknown_names

NO_OVERRIDES: Mapping[str, object] = MappingProxyType({})
MIN_BUFFER_BYTES = 1_048_576  # less would not hold a batch of rows
PUBLIC_KEY_SETTINGS = ("jwt_public_key_file", "jwks_file")
MIN_ANSWER_BYTES = 1_048_576  # a page of 50 rows with 20 kB each
KEY_SETTINGS = ("jwt_secret", *PUBLIC_KEY_SETTINGS)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything that can be set, read once at start; a unit in every name, secrets masked in its repr."""

    host: str = field(default="127.0.0.1", metadata=setting(own_host, "Address to listen on."))
    port: int = field(default=8080, metadata=setting(own_port, "Port to listen on; 0 takes any free one."))
    database: Path = field(
        default=Path("gateway.db"),
        metadata=setting(
            database_file, "The SQLite file. Secrets made at first start go beside it, into DATABASE.secrets."
        ),
    )
    jwt_secret: Secret | None = field(
        default=None,
        metadata=setting(
            signing_secret, "Shared secret of the callers' tokens. Not given: made at first start.", secret=True
        ),
    )
    jwt_previous_secrets: tuple[Secret, ...] = field(
        default=(),
        metadata=setting(
            several(signing_secret), "Earlier secrets whose tokens still count while callers change over.", secret=True
        ),
    )
    jwt_public_key_file: Path | None = field(
        default=None,
        metadata=setting(
            public_key_file, "PEM file of the key that verifies the callers' tokens, instead of a secret."
        ),
    )
    jwks_file: Path | None = field(
        default=None,
        metadata=setting(
            jwk_set_file, "JWK set of the keys that verify the callers' tokens, instead; read again when it changes."
        ),
    )
    jwt_algorithms: tuple[str, ...] = field(
        default=(),
        metadata=setting(
            several(text),
            "Algorithms of the callers' tokens. Not given: HS256 for a secret, RS256 or ES256 for a key, "
            "those of its keys for a JWK set.",
        ),
    )
    jwt_issuer: str | None = field(
        default=None, metadata=setting(text, "What the claim iss must be. Not given: anything.")
    )
    jwt_audience: str | None = field(
        default=None, metadata=setting(text, "What the claim aud must be or hold. Not given: anything.")
    )
    jwt_leeway_s: int = field(
        default=5,
        metadata=setting(
            whole(0, 300), "Seconds by which the claims exp and nbf may be off, for clocks that do not quite agree."
        ),
    )
    account_claim: tuple[str, ...] = field(
        default=("accountID", "account_id", "id", "sub"),
        metadata=setting(several(account_claim), "Claims that may name the account; the first one present counts."),
    )
    encryption_key: Secret | None = field(
        default=None,
        metadata=setting(
            sealing_key,
            "What stored tokens are encrypted with: 32 bytes in base64url. Not given: made at first start.",
            secret=True,
        ),
    )
    methods_allow: tuple[str, ...] = field(
        default=(),
        metadata=setting(several(text), "Methods that callers may use, as patterns like crm.*. Not given: every one."),
    )
    methods_deny: tuple[str, ...] = field(
        default=(), metadata=setting(several(text), "Methods that callers may not use, whatever is allowed.")
    )
    bitrix_client_id: str | None = field(
        default=None,
        metadata=setting(matching(r"[\x21-\x7e]+", "must be without spaces"), "client_id of the Bitrix24 application."),
    )
    bitrix_client_secret: Secret | None = field(
        default=None, metadata=setting(hidden, "client_secret of the Bitrix24 application.", secret=True)
    )
    oauth_servers: tuple[str, ...] = field(
        default=("oauth.bitrix.info", "oauth.bitrix24.tech"),
        metadata=setting(several(server_name), "Authorization servers, which alone are given the client_secret."),
    )
    public_url: str | None = field(
        default=None,
        metadata=setting(exact_origin, "Origin at which people reach the gateway. Not given: http://HOST:PORT."),
    )
    return_origins: tuple[str, ...] = field(
        default=(),
        metadata=setting(
            several(exact_origin), "Origins, beside the gateway's own, to which people may be sent after authorization."
        ),
    )
    field_language: str = field(
        default="ru",
        metadata=setting(
            matching("[a-z]{2}", "must be two small letters, like ru or en"), "Language of the field labels."
        ),
    )
    insecure_portals: bool = field(
        default=False,
        metadata=setting(switch, "1 allows portals over http and at private addresses: for the sandbox only."),
    )
    private_portals: tuple[PrivatePortal, ...] = field(
        default=(),
        metadata=setting(
            several(private_portal),
            "Portals inside a network, over https: host names (crm.corp.example, *.corp.example) and networks "
            "(10.0.0.0/8) that may be called at private addresses.",
        ),
    )
    portal_ca_file: Path | None = field(
        default=None,
        metadata=setting(
            certificate_file,
            "PEM file of authorities that may sign the certificates of portals, beside those of the system.",
        ),
    )
    bucket_capacity: int = field(default=50, metadata=setting(whole(2), "Requests that a portal takes at once."))
    bucket_leak_per_s: float = field(
        default=2.0, metadata=setting(positive, "Requests a second that a portal takes in the long run.")
    )
    portal_concurrency: int = field(default=32, metadata=setting(whole(1, 1000), "Requests in flight to one portal."))
    operating_limit_s: int = field(
        default=480,
        metadata=setting(whole(1), "Seconds of work on one method in ten minutes, past which a portal blocks it."),
    )
    max_wait_s: int = field(
        default=30, metadata=setting(whole(1), "Longest that a caller waits for a portal, in seconds.")
    )
    page_cache_bytes: int = field(
        default=67_108_864, metadata=setting(whole(0), "Memory for pages that were served before; 0: none.")
    )
    stream_buffer_bytes: int = field(
        default=134_217_728,
        metadata=setting(whole(MIN_BUFFER_BYTES), "Memory for rows that wait to be sent, in all streams together."),
    )
    max_answer_bytes: int = field(
        default=MAX_ANSWER_BYTES,
        metadata=setting(
            whole(MIN_ANSWER_BYTES), "Largest answer of a portal that is read, in bytes after decompression."
        ),
    )
    max_body_bytes: int = field(default=1_048_576, metadata=setting(whole(1), "Largest request body that is read."))
    head_timeout_s: int = field(
        default=10,
        metadata=setting(
            whole(1, 3600), "Seconds in which the whole head of a request must come; one that does not is 408."
        ),
    )
    body_timeout_s: int = field(
        default=60,
        metadata=setting(
            whole(1, 3600), "Seconds in which the whole body of a request must come; one that does not is 408."
        ),
    )
    min_body_bytes_per_s: int = field(
        default=256,
        metadata=setting(
            whole(0), "Slowest pace of a body, in each 10 seconds that it takes; one that is slower is 408. 0: any."
        ),
    )
    max_connections: int = field(
        default=2000, metadata=setting(whole(1, 100_000), "Open connections of callers; further ones are 503.")
    )
    max_connections_per_address: int = field(
        default=1000,
        metadata=setting(
            whole(1, 100_000),
            "Of these, from one address; a reverse proxy is one, and may need as many as there are in all.",
        ),
    )
    sync_interval_s: int = field(
        default=900, metadata=setting(whole(0), "Seconds between two syncs of an account; 0: none by itself.")
    )
    drain_s: int = field(
        default=1,
        metadata=setting(
            whole(0, 3600),
            "Seconds for which, when told to stop, /readyz fails while the gateway still takes requests.",
        ),
    )
    log_level: str = field(
        default="info", metadata=setting(one_of("debug", "info", "warning", "error"), "Least level that is logged.")
    )
    log_format: str = field(
        default="console", metadata=setting(one_of("console", "json"), "Form of the log lines: console or json.")
    )

    @property
    def secrets_file(self) -> Path:
        """Where secrets that were not given are kept."""
        return self.database.with_name(self.database.name + ".secrets")

    @property
    def public_keys_file(self) -> Path | None:
        """The key or keys that verify the callers' tokens, where a secret does not."""
        return self.jwks_file or self.jwt_public_key_file

    @property
    def own_origin(self) -> str:
        """Where people reach the gateway."""
        return self.public_url or exact_origin(
            f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"
        )

    @property
    def allowed_origins(self) -> frozenset[str]:
        """Where people may be sent after authorization."""
        return frozenset({self.own_origin, *self.return_origins})


SETTINGS = tuple(
    Setting(one.name, one.metadata["parse"], as_text(one.default), one.metadata["help"], one.metadata["secret"])
    for one in fields_of(Config)
)


def read_environment(dotenv: Path) -> dict[str, str]:
    """What is named like a setting in the environment, else in the file *dotenv*, if any, whose values are literal.

    Raises:
        SettingsError: when the file cannot be read.
    """
    try:
        in_file = dotenv_values(dotenv, interpolate=False, encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", "it is not text in UTF-8")
        raise SettingsError(f"{dotenv} cannot be read: {reason}") from None  # the cause holds what is in it
    found = in_file | os.environ
    return {name: value for name, value in found.items() if name.startswith(PREFIX) and value is not None}


def settings_given(environ: Mapping[str, str], names: Iterable[str]) -> list[str]:
    """By which of their environment names the settings of these *names* are given in *environ*."""
    return [
        name for one in SETTINGS if one.name in names for name in one.environment_names if environ.get(name, "").strip()
    ]


def load_config(environ: Mapping[str, str], overrides: Mapping[str, object] = NO_OVERRIDES) -> Config:
    """The settings of *environ* by their environment names, or of *overrides* by their own, which win.

    An empty value, or None in *overrides*, counts as not given. Overrides may be text or values of the setting's type.

    Raises:
        SettingsError: naming each setting that breaks a rule, and the rule, and each name of *environ* that no setting
            has; values are never repeated.
    """
    flags = {environment_name(name): as_text(value) for name, value in overrides.items() if value is not None}
    given = {one.name: found for one in SETTINGS if (found := one.find(flags) or one.find(environ))}
    unknown = unknown_names(environ, SETTINGS)
    try:
        read = SCHEMA.load(given)
    except ValidationError as error:
        broken = cast("dict[str, list[str]]", error.messages)
        subjects = {one.name: environment_name(one.name) for one in SETTINGS}
        subjects |= {name: found.refused_as for name, found in given.items()}
        wrong = [f"{subject} {broken[name][0]}" for name, subject in subjects.items() if name in broken]
        raise SettingsError("; ".join(unknown + wrong)) from None  # the cause holds the values
    if unknown:
        raise SettingsError("; ".join(unknown))
    config = Config(**read)
    return replace(config, jwt_algorithms=config.jwt_algorithms or usual_algorithms(config))


def fitting_algorithms(public_key_file: Path | None, jwks_file: Path | None) -> tuple[str, ...]:
    """The algorithms of tokens that can be verified, by a secret where there is neither file.

    Raises:
        ValueError: when the public key is not usable.
    """
    if jwks_file is not None:
        return PUBLIC_KEY_ALGORITHMS
    return SECRET_ALGORITHMS if public_key_file is None else read_public_key(public_key_file).algorithms


def usual_algorithms(config: Config) -> tuple[str, ...]:
    """The algorithms of tokens where none are chosen: of a JWK set all, since each of its keys is bound to its own."""
    fitting = fitting_algorithms(config.jwt_public_key_file, config.jwks_file)
    return fitting if config.jwks_file else fitting[:1]


def rule_of(parse: Callable[[str], object]) -> Callable[[RawSetting], object]:
    """*parse* in marshmallow's terms."""

    def deserialize(given: RawSetting) -> object:
        try:
            return parse(given.text())
        except ValueError as error:
            raise ValidationError(str(error)) from error

    return deserialize


class SettingsRules(Schema):
    """The rules that hold between settings; *raw* is all that is given, *read* what keeps the rules of its own."""

    @validates_schema(skip_on_field_errors=False, pass_original=True)
    def tokens_have_one_key(self, _read: object, raw: Mapping[str, RawSetting], **_: object) -> None:
        given = [name for name in KEY_SETTINGS if name in raw]
        if len(given) > 1:
            raise ValidationError(
                f"cannot stand beside {raw[given[0]].refused_as}: tokens are verified in one way", given[1]
            )

    @validates_schema(skip_on_field_errors=False, pass_original=True)
    def only_a_secret_has_previous_ones(self, _read: object, raw: Mapping[str, RawSetting], **_: object) -> None:
        for name in PUBLIC_KEY_SETTINGS:
            if name in raw and "jwt_previous_secrets" in raw:
                raise ValidationError(f"cannot stand beside {raw[name].refused_as}", "jwt_previous_secrets")

    @validates_schema(skip_on_field_errors=False, pass_original=True)
    def an_application_has_id_and_secret(self, _read: object, raw: Mapping[str, RawSetting], **_: object) -> None:
        missing = {"bitrix_client_id", "bitrix_client_secret"} - raw.keys()
        if len(missing) == 1:
            raise ValidationError("must be given too: an application has an id and a secret", missing.pop())

    @validates_schema(skip_on_field_errors=False, pass_original=True)
    def algorithms_fit_the_key(self, read: Mapping[str, Any], raw: Mapping[str, RawSetting], **_: object) -> None:
        if any(name in raw and name not in read for name in PUBLIC_KEY_SETTINGS):
            return
        fitting = fitting_algorithms(read.get("jwt_public_key_file"), read.get("jwks_file"))
        if not set(read.get("jwt_algorithms", fitting)) <= set(fitting):
            raise ValidationError(f"must name algorithms that fit the key: {', '.join(fitting)}", "jwt_algorithms")

    @validates_schema(skip_on_field_errors=False)
    def authorization_servers_are_spoken_to_at_their_usual_port(self, read: Mapping[str, Any], **_: object) -> None:
        if not read.get("insecure_portals") and any(":" in server for server in read.get("oauth_servers", ())):
            raise ValidationError("may name a port only where GATEWAY_INSECURE_PORTALS is 1", "oauth_servers")


SCHEMA = SettingsRules.from_dict({one.name: fields.Function(deserialize=rule_of(one.parse)) for one in SETTINGS})()
