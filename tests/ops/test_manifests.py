"""The manifests are valid, and say what the documentation and the settings say."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from app.commands.healthcheck import address_of
from app.settings import Settings, load
from app.settings.errors import example_values

OPS = Path(__file__).parents[2] / "docs/ops"
CREDENTIAL = {"access_key_id": "id", "access_key_secret": "secret"}


def documents(name: str) -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all((OPS / name).read_text("utf-8")) if one]


KUBERNETES = {one["kind"]: one for one in documents("kubernetes.yml")}
(COMPOSE,) = documents("compose.yml")
UNIT = (OPS / "orders-bff.service").read_text("utf-8")


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
    dockerfile = (OPS.parents[1] / "Dockerfile").read_text("utf-8")
    user = re.search(r"^USER (\d+):(\d+)", dockerfile, re.MULTILINE)
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


def test_the_ports_are_those_that_the_process_listens_on() -> None:
    config = settings_of(KUBERNETES["ConfigMap"]["data"])
    (container,) = pod()["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert config.metrics.listen
    assert ports == {"http": config.server.port, "metrics": config.metrics.listen.port}
    allowed = [rule["ports"][0]["port"] for rule in KUBERNETES["NetworkPolicy"]["spec"]["ingress"]]
    assert allowed == list(ports.values())
    assert address_of({})[1] == ports["http"]


@pytest.mark.parametrize("file", ["kubernetes.yml", "compose.yml", "orders-bff.service"])
def test_every_variable_in_a_manifest_is_a_setting(file: str) -> None:
    named = set(re.findall(r"ORDERS_[A-Z]+(?:__?[A-Z]+)*", (OPS / file).read_text("utf-8")))
    assert named - {"ORDERS_SECRETS_DIR"} <= set(example_values(Settings))


@pytest.mark.parametrize("file", ["kubernetes.yml", "compose.yml", "orders-bff.service"])
def test_every_value_in_a_comment_is_valid(file: str) -> None:
    comments = re.findall(r"^\s*#.*$", (OPS / file).read_text("utf-8"), re.MULTILINE)
    settings_of(dict(re.findall(r"(ORDERS_[A-Z_]+)(?:=|: )(\S+)", "\n".join(comments))))


def test_the_files_that_compose_mounts_exist() -> None:
    for service in COMPOSE["services"].values():
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            if source.startswith("./"):
                assert (OPS / source).is_file(), source
    (config,) = documents("prometheus.yml")
    (target,) = config["scrape_configs"][0]["static_configs"][0]["targets"]
    assert target == "proxy:9100"
    assert json.loads((OPS / "dashboard.json").read_text("utf-8"))["uid"]


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
