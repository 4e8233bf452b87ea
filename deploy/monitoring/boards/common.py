"""What several boards share: choices, marks on the time axis, and the panels of stages."""
from .grafana import ORANGE, PURPLE, RED, STAGE_COLOURS, annotation, graph, variable
from .promql import PROCESS, Query, quantile, rate


def jobs(of='up{job=~"autoglm.*"}'):
    """The jobs that have a metric, by default those of all our processes."""
    return variable("job", "Job", f"label_values({of}, job)", all_values="autoglm.*")


INSTANCES = variable("instance", "Instance", 'label_values(up{job=~"$job"}, instance)')
MODELS = variable("model_name", "Model", f"label_values(autoglm_num_requests_running{{{PROCESS}}}, model_name)")
ROUTES = variable("route", "Route", f"label_values(autoglm_gw_queue_depth{{{PROCESS}}}, route)")

# Alerts of objectives have Sloth's label, those written by hand a plain one.
FIRING = 'ALERTS{{alertstate="firing", sloth_severity="{0}"}} or ALERTS{{alertstate="firing", severity="{0}"}}'

# Causes that the lines alone do not show.
MARKS = [
    annotation("Restarts", f"changes(process_start_time_seconds{{{PROCESS}}}[1m]) > 0", "Restart", "{{job}} {{instance}} began anew", PURPLE),
    annotation("Pages", FIRING.format("page"), "{{alertname}}", "{{sloth_service}} {{sloth_slo}} {{instance}}", RED),
    annotation("Tickets", FIRING.format("ticket"), "{{alertname}}", "{{sloth_service}} {{sloth_slo}} {{instance}}", ORANGE),
]


def stage_shares(title, metric, selector, **rest):
    return graph(title, "Which stage eats the time? Shares of all the seconds that requests spent, by stage; the stages of a request add up to "
                 "its whole time. Grey is time that no stage claims.",
                 [Query(rate(metric + "_sum", selector, ("stage",)), "{{stage}}")], unit="percentunit", stacking="percent",
                 colours=STAGE_COLOURS, **rest)


def stage_occupancy(title, metric, selector, **rest):
    return graph(title, "How many requests are in each stage at a time, on average? Seconds spent per second (Little's law): a stage that grows "
                 "while the request rate does not is where they pile up.",
                 [Query(rate(metric + "_sum", selector, ("stage",)), "{{stage}}")], unit="short", stacking="normal", colours=STAGE_COLOURS, **rest)


def stage_quantile(title, metric, selector, **rest):
    return graph(title, "How long does the slowest twentieth of requests take in each stage? A stage can be a small share of all time and "
                 "still spoil a few requests.",
                 [Query(f"{quantile(0.95, metric, selector, ('stage',))} >= 0", "{{stage}}", exemplars=True)], unit="s", colours=STAGE_COLOURS, **rest)
