"""The manifests are valid, and say what the documentation and the settings say."""

import json
import os
import re
import shutil
import subprocess
import sys
from inspect import signature
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import kubernetes_validate
import pytest
import yaml

from app import __version__, cli
from app.commands.healthcheck import address_of
from app.settings import Settings, load
from app.settings.errors import example_values

OPS = Path(__file__).parents[2] / "docs/ops"
CREDENTIAL = {"access_key_id": "id", "access_key_secret": "secret"}


def text_of(name: str) -> str:
    return (OPS / name).read_text("utf-8")


def documents(name: str) -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all(text_of(name)) if one]


KUBERNETES = {one["kind"]: one for one in documents("kubernetes.yml")}
(COMPOSE,) = documents("compose.yml")
UNIT = text_of("orders-bff.service")
DOCKERFILE = (OPS.parents[1] / "Dockerfile").read_text("utf-8")
SECRETS = {"ORDERS_UPSTREAM__ACCESS_KEY_ID", "ORDERS_UPSTREAM__ACCESS_KEY_SECRET"}


def settings_of(variables: dict[str, str]) -> Settings:
    """Return the settings that a process with these variables has, without its files."""
    environ = {
        name: re.sub(r"^\$\{[A-Z_]+:-(.*)\}$", r"\1", value)  # compose's default
        for name, value in variables.items()
        if not name.endswith("_FILE")
    }
    environ.pop("ORDERS_SECRETS_DIR", None)
    return load(
        environ | {"ORDERS_CALLERS__ANONYMOUS": "true"},
        dotenv=Path("/nowhere/.env"),
        upstream=CREDENTIAL,
    )


@pytest.mark.parametrize("kind", sorted(KUBERNETES))
def test_a_kubernetes_object_matches_the_published_schema(kind: str) -> None:
    version = kubernetes_validate.latest_version()
    kubernetes_validate.validate(KUBERNETES[kind], version, strict=True)


def test_the_compose_file_matches_the_published_schema() -> None:
    """`check-jsonschema` has the schema of the Compose Specification."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    result = subprocess.run(
        [*command, str(OPS / "compose.yml")], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout


def pod() -> dict[str, Any]:
    spec: dict[str, Any] = KUBERNETES["Deployment"]["spec"]["template"]["spec"]
    return spec


def test_the_grace_period_is_longer_than_the_drain() -> None:
    server = settings_of(KUBERNETES["ConfigMap"]["data"]).server
    assert pod()["terminationGracePeriodSeconds"] > server.drain_delay + server.drain_timeout + 1
    assert "TimeoutStopSec=20\n" in UNIT
    defaults = settings_of({}).server
    assert defaults.drain_delay + defaults.drain_timeout + 1 < 20
    proxy = settings_of(COMPOSE["services"]["proxy"]["environment"])
    grace = int(COMPOSE["services"]["proxy"]["stop_grace_period"].removesuffix("s"))
    assert grace > proxy.server.drain_delay + proxy.server.drain_timeout + 1


def test_readiness_and_liveness_use_their_own_routes_and_allow_for_the_wait_of_readyz() -> None:
    (container,) = pod()["containers"]
    assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container["readinessProbe"]["timeoutSeconds"] > 1
    assert KUBERNETES["Deployment"]["spec"]["replicas"] == 2
    strategy = KUBERNETES["Deployment"]["spec"]["strategy"]["rollingUpdate"]
    assert strategy["maxUnavailable"] == 0


def test_the_pod_runs_as_the_user_of_the_image_without_privileges() -> None:
    user = re.search(r"^USER (\d+):(\d+)", DOCKERFILE, re.MULTILINE)
    assert user
    security = pod()["securityContext"]
    assert (security["runAsUser"], security["runAsGroup"]) == (int(user[1]), int(user[2]))
    (container,) = pod()["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not any("subPath" in mount for mount in container["volumeMounts"])
    assert "user" not in COMPOSE["services"]["proxy"]
    assert f"readable by user {user[1]}." in text_of("compose.yml")


def test_the_ports_are_those_that_the_process_listens_on() -> None:
    config = settings_of(KUBERNETES["ConfigMap"]["data"])
    (container,) = pod()["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert config.metrics.listen
    assert ports == {"http": config.server.port, "metrics": config.metrics.listen.port}
    allowed = [rule["ports"][0]["port"] for rule in KUBERNETES["NetworkPolicy"]["spec"]["ingress"]]
    assert allowed == list(ports.values())
    assert address_of({})[1] == ports["http"]
    assert f"EXPOSE {config.server.port}\n" in DOCKERFILE
    assert KUBERNETES["Service"]["spec"]["ports"][0]["targetPort"] == "http"


def test_compose_publishes_and_scrapes_the_ports_that_the_process_listens_on() -> None:
    proxy = COMPOSE["services"]["proxy"]
    config = settings_of(proxy["environment"])
    assert proxy["ports"] == [f"127.0.0.1:8000:{config.server.port}"]
    (prometheus,) = documents("prometheus.yml")
    (target,) = prometheus["scrape_configs"][0]["static_configs"][0]["targets"]
    assert config.metrics.listen
    assert target == f"proxy:{config.metrics.listen.port}"
    assert config.cache.url
    assert urlsplit(config.cache.url.get_secret_value()).hostname in COMPOSE["services"]
    (datasource,) = documents("grafana/datasource.yml")
    assert urlsplit(datasource["datasources"][0]["url"]).hostname in COMPOSE["services"]
    sandbox = re.search(r"BASE_URL=(\S+) docker compose", text_of("compose.yml"))
    assert sandbox
    assert urlsplit(sandbox[1]).port == signature(cli.sandbox).parameters["port"].default


def test_secrets_and_temporary_files_are_mounted_where_the_process_looks_for_them() -> None:
    proxy = COMPOSE["services"]["proxy"]
    folder = proxy["environment"]["ORDERS_SECRETS_DIR"]
    assert [volume.rsplit(":", 2)[1:] for volume in proxy["volumes"]] == [[folder, "ro"]]
    assert [mount.partition(":")[0] for mount in proxy["tmpfs"]] == ["/tmp"]  # noqa: S108
    variables = KUBERNETES["ConfigMap"]["data"]
    (container,) = pod()["containers"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts == {"tmp": "/tmp", "secrets": variables["ORDERS_SECRETS_DIR"]}  # noqa: S108
    keys = Path(variables["ORDERS_CALLERS__API_KEYS_FILE"])
    assert str(keys.parent) == variables["ORDERS_SECRETS_DIR"]
    files = set(re.findall(r"--from-file=(\S+)", text_of("kubernetes.yml")))
    assert files == SECRETS | {keys.name}
    (volume,) = (one for one in pod()["volumes"] if "secret" in one)
    assert f"create secret generic {volume['secret']['secretName']} " in text_of("kubernetes.yml")


def test_the_unit_reads_its_secrets_where_it_loads_them_and_stores_what_it_may_write() -> None:
    loaded = dict(re.findall(r"^LoadCredential=(\S+):(\S+)$", UNIT, re.MULTILINE))
    variables = dict(re.findall(r"^Environment=(ORDERS_\w+)=(\S+)$", UNIT, re.MULTILINE))
    assert variables["ORDERS_SECRETS_DIR"] == "%d"
    keys = variables["ORDERS_CALLERS__API_KEYS_FILE"].removeprefix("%d/")
    assert loaded.keys() == SECRETS | {keys}
    assert set(loaded.values()) == {f"/etc/orders-bff/secrets/{name}" for name in loaded}
    (state,) = re.findall(r"^StateDirectory=(\S+)$", UNIT, re.MULTILINE)
    (url,) = re.findall(r"ORDERS_CACHE__URL=(\S+)", UNIT)
    assert urlsplit(url).path.startswith(f"/var/lib/{state}/")


def test_the_commands_that_start_the_program_are_the_same() -> None:
    assert 'ENTRYPOINT ["python", "-m", "app"]\nCMD ["serve"]' in DOCKERFILE
    assert re.search(r"^ExecStart=\S+/python -m app serve$", UNIT, re.MULTILINE)
    assert COMPOSE["services"]["sandbox"]["command"] == ["sandbox"]
    (container,) = pod()["containers"]
    assert container["image"].endswith(f":{__version__}")
    assert f"orders_bff-{__version__}-py3-none-any.whl" in UNIT
    assert not {"command", "args"} & container.keys()


@pytest.mark.parametrize("file", ["kubernetes.yml", "compose.yml", "orders-bff.service"])
def test_every_variable_in_a_manifest_is_a_setting(file: str) -> None:
    named = set(re.findall(r"ORDERS_[A-Z]+(?:__?[A-Z]+)*", text_of(file)))
    assert named - {"ORDERS_SECRETS_DIR"} <= set(example_values(Settings))


@pytest.mark.parametrize("file", ["kubernetes.yml", "compose.yml", "orders-bff.service"])
def test_every_value_in_a_comment_is_valid(file: str) -> None:
    comments = re.findall(r"^\s*#.*$", text_of(file), re.MULTILINE)
    settings_of(dict(re.findall(r"(ORDERS_[A-Z_]+)(?:=|: )(\S+)", "\n".join(comments))))


def test_the_files_that_compose_mounts_exist() -> None:
    for service in COMPOSE["services"].values():
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            if source.startswith("./"):
                assert (OPS / source).is_file(), source
    mounted = [volume for one in COMPOSE["services"].values() for volume in one.get("volumes", ())]
    places = {volume.split(":")[1] for volume in mounted}
    (config,) = documents("prometheus.yml")
    assert set(config["rule_files"]) <= places
    (dashboards,) = documents("grafana/dashboards.yml")
    folder = dashboards["providers"][0]["options"]["path"]
    assert any(place.startswith(f"{folder}/") for place in places)
    assert json.loads(text_of("dashboard.json"))["uid"]


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    command = shutil.which("systemd-analyze")
    if command is None:
        if os.environ.get("CI"):
            pytest.fail("systemd-analyze is missing: apt-get install systemd")
        pytest.skip("needs systemd-analyze: apt-get install systemd")
    unit = tmp_path / "orders-bff.service"
    # The program is not installed here, and verify would complain about that alone.
    unit.write_text(UNIT.replace("/opt/orders-bff/bin/python", "/usr/bin/env"), "utf-8")
    result = subprocess.run(
        [command, "verify", str(unit)], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")
