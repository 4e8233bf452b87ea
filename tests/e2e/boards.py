"""The committed Grafana boards, read as Grafana would: panels, variables, annotations, and their queries with values put in."""
import json
import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "deploy/monitoring/grafana/dashboards"
LABEL_VALUES = re.compile(r"label_values\((?:(.+), )?(\w+)\)")
KEYWORDS = {"by", "without", "on", "ignoring", "group_left", "group_right", "and", "or", "unless", "bool", "offset"}


@dataclass(frozen=True)
class Target:
    board: str
    panel: str
    expr: str
    legend: str
    is_instant: bool
    has_exemplars: bool

    def __str__(self):
        return f"{self.board} / {self.panel}: {self.expr}"


def names():
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def load(name):
    return json.loads((FOLDER / f"{name}.json").read_text())


def panels(name):
    return [panel for panel in load(name)["panels"] if panel["type"] != "row"]


def targets(*board_names):
    """Every query of every panel, and of the marks on the time axis."""
    found = []
    for name in board_names or names():
        for panel in panels(name):
            found += [Target(name, panel["title"], t["expr"], t["legendFormat"], t["instant"], t["exemplar"]) for t in panel["targets"]]
        found += [Target(name, "annotation " + a["name"], a["expr"], "", False, False) for a in load(name)["annotations"]["list"]]
    return found


def variables(name):
    """[(name, value of All, query)] of those that ask Prometheus."""
    return [(v["name"], v["allValue"], v["query"]["query"]) for v in load(name)["templating"]["list"] if v["type"] == "query"]


def all_of(name):
    return {variable: all_value for variable, all_value, _ in variables(name)}


def substitute(expr, values, *, rate_interval="1m"):
    """As Grafana's Prometheus source does; `values` are regular expressions already."""
    expr = expr.replace("$__rate_interval", rate_interval)
    for name in sorted(values, key=len, reverse=True):
        expr = expr.replace("$" + name, values[name])
    assert "$" not in expr, f"a variable that the board has not: {expr}"
    return expr


def chosen(value):
    """One chosen value, as Grafana writes it into a regular expression inside quotes."""
    return re.sub(r"([.*+?^${}()|\[\]\\])", r"\\\\\1", value)


def parse_label_values(query):
    """(selector or None, label) of a variable's query."""
    match = LABEL_VALUES.fullmatch(query)
    assert match, query
    return match[1], match[2]


def selectors(expr):
    """[(metric, labels it is matched by, text before it)] of an expression."""
    found = []
    plain = re.sub(r'"[^"]*"', lambda quoted: '"' + "_" * (len(quoted[0]) - 2) + '"', expr)
    for match in re.finditer(r"[a-zA-Z_:][\w:]*", plain):
        before, after = plain[:match.start()], plain[match.end():]
        inside_braces = before.rfind("{") > before.rfind("}")
        inside_window = before.rfind("[") > before.rfind("]")
        inside_labels = re.search(r"\b(by|without|on|ignoring|group_left|group_right) \([^()]*$", before)
        is_number = re.search(r"\d$", before)
        if inside_braces or inside_window or inside_labels or is_number or match[0] in KEYWORDS or re.match(r"\s*\(", after):
            continue
        if re.match(r" (by|without) \(", after):  # an aggregation with its labels first
            continue
        braces = re.match(r"\{([^}]*)\}", after)
        found.append((match[0], set(re.findall(r"(\w+)\s*[=!]", braces[1])) if braces else set(), before))
    return found
