"""Objectives: budgets, how fast they burn, who was called. Reads recording rules with the names that Sloth gave them."""
from .common import MARKS
from .grafana import GREEN, GREY, ORANGE, RED, above, bars, below, board, figure, graph, table, timeline, to_board, variable
from .promql import Query, or_zero

SLO = 'sloth_service=~"$sloth_service", sloth_slo=~"$sloth_slo"'
BY = "(sloth_service, sloth_slo)"
WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d", "30d")
SEVERITY = {1: ("pending", ORANGE), 2: ("firing", RED)}


def of_slo(metric, aggregate="max"):
    return f"{aggregate} by {BY} ({metric}{{{SLO}}})"


REMAINING = of_slo("slo:period_error_budget_remaining:ratio", "min")
BURN_RATE = of_slo("slo:current_burn_rate:ratio")
BUDGET = of_slo("slo:error_budget:ratio")
OBJECTIVE = of_slo("slo:objective:ratio")
# A rule file without the length of its period means thirty days.
PERIOD_DAYS = f"({of_slo('slo:time_period:days')} or 0 * {OBJECTIVE} + 30)"
DAYS_LEFT = f"clamp_min({REMAINING}, 0) * {PERIOD_DAYS} / ({BURN_RATE} > 0)"

GLANCE = [
    figure("Least budget left", "How close is the worst objective to being broken in its period? Below 0 it is broken.", Query(f"min({REMAINING})"),
           unit="percentunit", thresholds=above(0, 0.25)),
    figure("Fastest burn", "How fast is the worst budget used up? 1 uses exactly the budget over its period.", Query(f"max({BURN_RATE})"), unit="none",
           thresholds=below(1, 6)),
    figure("Broken objectives", "How many budgets are used up?", Query(or_zero(f"count({REMAINING} < 0)")), unit="none", thresholds=below(1, 1)),
    figure("Pages firing", "Has somebody been woken?", Query(or_zero('count(ALERTS{alertstate="firing", sloth_severity="page"})')), unit="none",
           thresholds=below(1, 1)),
    figure("Tickets firing", "Is there something to look at in the working day?",
           Query(or_zero('count(ALERTS{alertstate="firing", sloth_severity="ticket"})')), unit="none", thresholds=[(None, GREEN), (1, ORANGE)]),
    figure("May we change things?", "Does the policy allow a deployment? Closed while any budget says no.", Query("min(autoglm_slo_gate_open)"),
           unit="none", names={0: ("frozen", RED), 1: ("open", GREEN)}, width=4),
    figure("Requests in the last hour", "Is there enough traffic for ratios to mean something? With a dozen requests one failure looks like an outage.",
           Query("sum(increase(autoglm_e2e_request_latency_seconds_count[1h]))"), unit="short", width=5,
           thresholds=[(None, ORANGE), (100, GREEN)]),
]

BUDGETS = [
    table("Objectives", "How does each objective stand? Days left: until the budget is used up if it goes on as in the last five minutes.",
          [("Objective", Query(OBJECTIVE), "percentunit", None), ("Budget left", Query(REMAINING), "percentunit", above(0, 0.25)),
           ("Burn rate", Query(BURN_RATE), "none", below(1, 6)), ("Days left", Query(DAYS_LEFT), "d", above(1, 7))], width=16,
          names_of_labels={"sloth_service": "Service", "sloth_slo": "Name"}),
    bars("Budget left", "Which budget is nearest its end?", Query(REMAINING, "{{sloth_service}} {{sloth_slo}}"), unit="percentunit", minimum=0,
         maximum=1, thresholds=above(0.01, 0.25)),
    graph("Budget left over time", "When was it used up? A cliff is an outage, a slope is a habit.", [Query(REMAINING, "{{sloth_service}} {{sloth_slo}}")],
          unit="percentunit", minimum=None, width=12, line=above(0, 0.25)),
    graph("Budget left, as each process sees it", "Do the processes, which count by themselves, agree with Prometheus?",
          [Query("min by (slo) (autoglm_slo_budget_remaining_ratio)", "{{slo}}")], unit="percentunit", minimum=None, width=12),
    graph("Burn rate, as each process sees it", "Which window does a process worry about, and does Prometheus agree?",
          [Query("max by (slo, window) (autoglm_slo_burn_rate)", "{{slo}} {{window}}")], unit="none", width=12,
          line=[(None, GREEN), (1, ORANGE), (14.4, RED)]),
    graph("Alerts, as each process sees them", "Has a process raised an alert by itself? The dashed line is what share of requests is to be good.",
          [Query("max by (slo, severity) (autoglm_slo_alert_firing)", "{{slo}} {{severity}}"),
           Query("max by (slo) (autoglm_slo_objective_ratio)", "{{slo}} target")], unit="none", width=12),
]

BURN = [
    graph("Burn rate now", "How fast is each budget used up? 1: exactly the budget over the period. 14.4: two percent of it in one hour.",
          [Query(BURN_RATE, "{{sloth_service}} {{sloth_slo}}")], unit="none", width=12, line=[(None, GREEN), (1, ORANGE), (14.4, RED)]),
    graph("Burn rate by window", "Is it a spike or does it last? Short windows show the fire, long ones whether it matters.",
          [Query(f"max({of_slo(f'slo:sli_error:ratio_rate{window}')} / on {BY} {BUDGET})", window) for window in WINDOWS], unit="none", width=12,
          line=[(None, GREEN), (1, ORANGE), (14.4, RED)]),
    graph("Share of bad requests, five minutes", "How bad is it right now, in requests?",
          [Query(of_slo("slo:sli_error:ratio_rate5m"), "{{sloth_service}} {{sloth_slo}}")], unit="percentunit", width=12),
    graph("Share of bad requests, thirty days", "How bad was it on the whole? The objective is broken where this exceeds the budget.",
          [Query(of_slo("slo:sli_error:ratio_rate30d"), "{{sloth_service}} {{sloth_slo}}"), Query(BUDGET, "budget of {{sloth_slo}}")],
          unit="percentunit", width=12, colours={"^budget of": GREY}),
]

ALERTS = [
    timeline("Alerts", "Who was called when? Pending alerts wait for their rule to hold.",
             [Query(f'max by (alertname, sloth_slo, sloth_severity) (2 * ALERTS{{alertstate="firing", sloth_severity!="", {SLO}}}) or '
                    f'max by (alertname, sloth_slo, sloth_severity) (ALERTS{{alertstate="pending", sloth_severity!="", {SLO}}})',
                    "{{sloth_slo}}: {{alertname}} ({{sloth_severity}})")], SEVERITY),
    table("Alerts now", "What is known to be wrong?",
          [("Alerts", Query('count by (alertname, alertstate, sloth_severity, sloth_service, sloth_slo) (ALERTS)'), "none", None)], width=12,
          names_of_labels={"alertname": "Alert", "alertstate": "State", "sloth_severity": "Severity", "sloth_service": "Service", "sloth_slo": "Objective"}),
    timeline("Gates", "When were changes allowed?", [Query("min by (slo) (autoglm_slo_gate_open)", "{{slo}}")],
             {0: ("frozen", RED), 1: ("open", GREEN)}, width=24),
]

BOARD = board("autoglm-slo", "Open-AutoGLM / Objectives", "Which promises are kept, how fast are the budgets used up, and who was called?",
              [variable("sloth_service", "Service", "label_values(slo:objective:ratio, sloth_service)"),
               variable("sloth_slo", "Objective", 'label_values(slo:objective:ratio{sloth_service=~"$sloth_service"}, sloth_slo)')],
              [("At a glance", GLANCE), ("Budgets", BUDGETS), ("Burn rates", BURN), ("Alerts and gates", ALERTS)],
              [mark for mark in MARKS if mark["name"] != "Restarts"])
for panel in BOARD["panels"]:
    if panel["title"] in ("Burn rate now", "Share of bad requests, five minutes"):
        panel["links"].append(to_board("autoglm-overview", "Which stage eats the time?"))
