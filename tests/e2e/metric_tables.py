"""Which metrics there are, by whom, of which type and with which labels: what the boards and rules may name."""
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"\| `([a-z0-9_]+)` \| ([a-z]+) \| [a-z]+ \| ([a-z_, ]*)\| .+ \|.*")

LABELS_OF_SCRAPES = {"job", "instance", "le"}

# What recording rules with Sloth's names make.
SLO = {"sloth_id", "sloth_service", "sloth_slo"}
RULES = {f"slo:sli_error:ratio_rate{window}": ("gauge", SLO | {"sloth_window"}) for window in ("5m", "30m", "1h", "2h", "6h", "1d", "3d", "30d")}
RULES |= {f"slo:{name}": ("gauge", SLO) for name in ("objective:ratio", "error_budget:ratio", "time_period:days", "current_burn_rate:ratio",
                                                     "period_error_budget_remaining:ratio")}

# What Prometheus makes itself.
PROMETHEUS = {"up": ("gauge", set()), "ALERTS": ("gauge", SLO | {"alertname", "alertstate", "sloth_severity", "severity"})}

# Of node-exporter, where the kernel or the machine has it; and of cAdvisor, which we do not start.
NOT_EVERYWHERE = {"node_cpu_core_throttles_total": ("counter", {"core", "package"}), "node_schedstat_waiting_seconds_total": ("counter", {"cpu"}),
                  "container_cpu_cfs_throttled_periods_total": ("counter", {"pod", "container"}),
                  "container_cpu_cfs_periods_total": ("counter", {"pod", "container"})}
NOT_EVERYWHERE |= {f"node_pressure_{what}_seconds_total": ("counter", set())
                   for what in ("cpu_waiting", "memory_waiting", "memory_stalled", "io_waiting", "io_stalled")}


def _rows(*parts):
    """Of these parts of docs/METRICS.md."""
    found, part = {}, ""
    for line in (ROOT / "docs/METRICS.md").read_text().splitlines():
        part = line if line.startswith("## ") else part
        if (match := ROW.fullmatch(line.strip())) and part in parts:
            found[match[1]] = (match[2], set(re.findall("[a-z_]+", match[3])))
    return found


def server():
    """{name: (type, labels)} of what a server exports."""
    return _rows("## Of a server", "## Of both")


def gateway():
    return _rows("## Of a gateway", "## Of both")


def ours():
    """What servers and gateways export, rules record, and Prometheus makes of both."""
    return server() | gateway() | RULES | PROMETHEUS


def node(exposition):
    """{name: (type, labels)} of what an exporter just said."""
    found = dict(NOT_EVERYWHERE)
    for match in re.finditer(r"^# TYPE (\S+) (\S+)$", exposition, re.MULTILINE):
        found[match[1]] = (match[2], set())
    for match in re.finditer(r"^(node_\w+)\{(.*)\} ", exposition, re.MULTILINE):
        if match[1] in found:
            found[match[1]][1].update(re.findall(r'(\w+)="', match[2]))
    return found
