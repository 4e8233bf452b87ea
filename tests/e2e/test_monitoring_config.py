"""deploy/monitoring: the configuration of Prometheus, Alertmanager and Grafana, the rules, and the compose file that puts them together."""
import json
import re
import subprocess
from pathlib import Path

import boards
import metric_tables
import pytest
import yaml
from prometheus_process import Alertmanager, need

FOLDER = Path(__file__).resolve().parents[2] / "deploy/monitoring"


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def test_prometheus_takes_the_configuration_and_the_rules():
    code, said = run(need("promtool"), "check", "config", FOLDER / "prometheus/prometheus.yml")
    assert code == 0 and "rule files found" in said, said


def test_the_rules_do_what_they_say():
    tests = sorted((FOLDER / "prometheus/rules_test").glob("*.yml"))
    rules = sorted((FOLDER / "prometheus/rules").glob("*.yml"))
    assert [t.name for t in tests] == [r.name for r in rules]
    code, said = run(need("promtool"), "test", "rules", *tests)
    assert code == 0, said
    for rule_file, test_file in zip(rules, tests):
        alerts = {rule["alert"] for group in yaml.safe_load(rule_file.read_text())["groups"] for rule in group["rules"] if "alert" in rule}
        tested = {case["alertname"] for test in yaml.safe_load(test_file.read_text())["tests"] for case in test["alert_rule_test"]
                  if case["exp_alerts"]}
        assert alerts == tested


def test_rules_name_only_metrics_that_exist():
    known = metric_tables.ours()
    for path in (FOLDER / "prometheus/rules").glob("*.yml"):
        for group in yaml.safe_load(path.read_text())["groups"]:
            for rule in group["rules"]:
                for metric, labels, _ in boards.selectors(" ".join(rule["expr"].split())):
                    assert metric in known and labels - metric_tables.LABELS_OF_SCRAPES <= known[metric][1], f"{rule}: {metric}"


@pytest.mark.parametrize("labels, receiver", [
    (["sloth_severity=page", "sloth_slo=ttft"], "pages"), (["sloth_severity=ticket"], "tickets"),
    (["alertname=AutoglmTargetDown", "severity=page"], "pages"), (["alertname=Unheard"], "tickets"),
])
def test_alerts_go_to_whom_they_concern(labels, receiver):
    config = FOLDER / "alertmanager/alertmanager.yml"
    code, said = run(need("amtool"), "check-config", config)
    assert code == 0, said
    code, said = run(need("amtool"), "config", "routes", "test", f"--config.file={config}", *labels)
    assert code == 0 and said.splitlines()[0] == receiver, said


def test_alertmanager_starts_with_the_configuration(tmp_path):
    with Alertmanager(tmp_path, FOLDER / "alertmanager/alertmanager.yml") as alertmanager:
        status = json.loads(alertmanager.get("/api/v2/status")[1])
        assert "pages" in status["config"]["original"]


# The compose file

@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load((FOLDER / "compose.yaml").read_text())


def mounts(service):
    """{path in the container: path here, or None for a named volume}"""
    found = {}
    for mount in service.get("volumes", []):
        source, target, *_ = mount.split(":")
        found[Path(target)] = (FOLDER / source).resolve() if source.startswith(".") else None
    return found


def on_host(service, path):
    """The file of this repository that a path inside a container is."""
    for target, source in mounts(service).items():
        if Path(path).is_relative_to(target) and source:
            return source / Path(path).relative_to(target)
    raise AssertionError(f"{path} is in no mount")


def flag(service, name):
    return next(part.partition("=")[2] for part in service["command"] if part.startswith(f"--{name}="))


def test_compose_pins_images_checks_health_and_declares_volumes(compose):
    assert set(compose["services"]) == {"prometheus", "alertmanager", "grafana", "node-exporter", "zipkin", "jaeger"}
    assert compose["services"]["jaeger"]["profiles"] == ["jaeger"]
    for name, service in compose["services"].items():
        assert re.fullmatch(r"[a-z/-]+:v?\d+\.\d+\.\d+", service["image"]), name
        assert service["healthcheck"]["test"] and service["restart"] == "unless-stopped", name
        for mount in service.get("volumes", []):
            source = mount.partition(":")[0]
            assert source in compose["volumes"] or source == "/" or (FOLDER / source).exists(), mount


def test_compose_listens_on_loopback_only(compose):
    for name, service in compose["services"].items():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), f"{name}: {port}"
        if service.get("network_mode") == "host":
            assert "ports" not in service
            address = service.get("environment", {}).get("GF_SERVER_HTTP_ADDR") or flag(service, "web.listen-address")
            assert address.partition(":")[0] == "127.0.0.1", name


def test_every_path_inside_containers_is_mounted(compose):
    services = compose["services"]
    for name, file in (("prometheus", "config.file"), ("alertmanager", "config.file")):
        assert on_host(services[name], flag(services[name], file)).is_file()
    config_path = Path(flag(services["prometheus"], "config.file"))
    config = yaml.safe_load(on_host(services["prometheus"], config_path).read_text())
    files = [file for job in (*config["scrape_configs"], *config["alerting"]["alertmanagers"]) for sd in job["file_sd_configs"] for file in sd["files"]]
    assert len(files) == 5
    for file in files:
        assert yaml.safe_load(on_host(services["prometheus"], config_path.parent / file).read_text())[0]["targets"]
    for pattern in config["rule_files"]:
        assert list(on_host(services["prometheus"], config_path.parent).glob(pattern))
    grafana = services["grafana"]
    assert {p.name for p in on_host(grafana, "/etc/grafana/provisioning").iterdir()} == {"datasources", "dashboards"}
    for provider in yaml.safe_load(on_host(grafana, "/etc/grafana/provisioning/dashboards/dashboards.yaml").read_text())["providers"]:
        assert on_host(grafana, provider["options"]["path"]) == boards.FOLDER
    assert on_host(grafana, grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]).is_file()


def test_everybody_is_asked_where_he_listens(compose):
    services = compose["services"]
    listening = {name: flag(services[name], "web.listen-address") for name in ("prometheus", "alertmanager", "node-exporter")}
    listening |= {name: services[name]["ports"][0].rpartition(":")[0] for name in ("zipkin", "jaeger")}
    for source in yaml.safe_load((FOLDER / "grafana/provisioning/datasources/datasources.yaml").read_text())["datasources"]:
        assert source["url"] == "http://" + listening[source["type"]]
    for target, name in (("node", "node-exporter"), ("alertmanager", "alertmanager"), ("prometheus", "prometheus")):
        assert yaml.safe_load((FOLDER / f"prometheus/targets/{target}.yml").read_text())[0]["targets"] == [listening[name]]


@pytest.mark.parametrize("profile", [[], ["--profile", "jaeger"]])
def test_docker_compose_takes_the_file(profile):
    code, said = run(need("docker-compose"), "-f", FOLDER / "compose.yaml", *profile, "config", "-q")
    assert code == 0, said
