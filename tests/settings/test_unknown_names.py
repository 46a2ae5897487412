"""Environment variables that look like settings but are not."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import SettingsError
from gateway.settings.config import SETTINGS, load_config, read_environment
from gateway.settings.unknown_names import RULE, unknown_names

NAMES = [name for setting in SETTINGS for name in setting.environment_names]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("GATEWAY_PORTT", "GATEWAY_PORTT is not a setting (did you mean GATEWAY_PORT?)"),
        ("GATEWAY_LOGLEVEL", "GATEWAY_LOGLEVEL is not a setting (did you mean GATEWAY_LOG_LEVEL?)"),
        ("GATEWAY_port", "GATEWAY_port is not a setting (did you mean GATEWAY_PORT?)"),
        (
            "GATEWAY_JWT_SECRETS_FILE",
            "GATEWAY_JWT_SECRETS_FILE is not a setting (did you mean GATEWAY_JWT_SECRET_FILE?)",
        ),
        (
            "GATEWAY_PORT_FILE",
            "GATEWAY_PORT_FILE is not a setting (only secrets can be given as files, GATEWAY_PORT cannot)",
        ),
        ("GATEWAY_QQQQ", "GATEWAY_QQQQ is not a setting"),
        ("GATEWAY_", "GATEWAY_ is not a setting"),
        ("GATEWAY_\n\x1b[31m", r"GATEWAY_\n\x1b[31m is not a setting"),
    ],
)
def test_an_unknown_name_is_refused_with_a_suggestion_and_the_rule(name: str, sentence: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        load_config({name: "canary"})
    assert refusal.value.detail == f"{sentence}; {RULE}"


@given(st.sampled_from(NAMES), st.data())
def test_a_doubled_letter_suggests_the_correct_name(name: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(len("GATEWAY_"), len(name) - 1))
    assert f"(did you mean {name}?)" in unknown_names({name[:at] + name[at] + name[at:]: ""}, SETTINGS)[0]


def test_unknown_names_and_invalid_values_are_reported_together() -> None:
    with pytest.raises(SettingsError) as refusal:
        load_config({"GATEWAY_BITRIX_CLIENT_ID": "app", "GATEWAY_BITRIX_CLIENT_SECRT": "canary", "GATEWAY_HOSTS": ""})
    assert [part.split()[0] for part in refusal.value.detail.split("; ")] == [
        "GATEWAY_BITRIX_CLIENT_SECRT", "GATEWAY_HOSTS", "names", "GATEWAY_BITRIX_CLIENT_SECRET",
    ]  # fmt: skip
    assert "canary" not in refusal.value.detail


def test_all_names_of_every_setting_are_known() -> None:
    assert unknown_names(dict.fromkeys(NAMES, "x"), SETTINGS) == []


def test_names_in_the_dotenv_file_are_checked(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("GATEWAY_PORTT=1\nOTHER_PORTT=1\n")
    with pytest.raises(SettingsError, match=r"^GATEWAY_PORTT is not a setting"):
        load_config(read_environment(tmp_path / ".env"))


@pytest.mark.parametrize("service", ["GATEWAY", "GATEWAY_API"])
def test_service_variables_of_kubernetes_are_ignored(service: str) -> None:
    links = {
        "SERVICE_HOST": "10.0.0.11",
        "SERVICE_PORT": "80",
        "SERVICE_PORT_HTTP_2": "80",
        "PORT": "tcp://10.0.0.11:80",
        "PORT_80_TCP": "tcp://10.0.0.11:80",
        "PORT_80_TCP_PROTO": "tcp",
        "PORT_80_TCP_PORT": "80",
        "PORT_53_UDP_ADDR": "10.0.0.11",
    }
    environ = {f"{service}_{name}": value for name, value in links.items()}
    if service == "GATEWAY":
        with pytest.raises(SettingsError, match=r"^GATEWAY_PORT must be .*Kubernetes.*enableServiceLinks[^;]*$"):
            load_config(environ)
        environ["GATEWAY_PORT"] = "8080"
    assert load_config(environ).port == 8080
