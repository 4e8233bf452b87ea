"""The first board: are users well, and which stage eats the time?"""
from .common import INSTANCES, MARKS, MODELS, jobs, stage_occupancy, stage_quantile, stage_shares
from .grafana import CODE_COLOURS, QUANTILE_COLOURS, above, below, board, figure, graph, heatmap, table, to_board, variable
from .promql import API, BAD_CODES, MODEL, NOW, PROCESS, WINDOW, Query, or_zero, quantile, quantile_now, quantiles, rate, share

TTFT = "autoglm_time_to_first_token_seconds"
TPOT = "autoglm_time_per_output_token_seconds"
E2E = "autoglm_e2e_request_latency_seconds"
HTTP = "autoglm_http_requests_total"
STAGES = "autoglm_request_stage_seconds"
GATEWAY_STAGES = "autoglm_gw_request_stage_seconds"
UNEXPLAINED = PROCESS + ', stage="unexplained"'
USER = MODEL + ', slo_class=~"$slo_class"'

TO_ENGINE, TO_SLO = to_board("autoglm-engine", "Engine"), to_board("autoglm-slo", "Objectives")
TO_GATEWAY, TO_NODES = to_board("autoglm-gateway", "Gateway"), to_board("autoglm-nodes", "Nodes")

CLASSES = variable("slo_class", "Class", f"label_values({TTFT}_count{{{PROCESS}}}, slo_class)")

AT_A_GLANCE = [
    figure("Answered well", "Do users get answers? Share of API requests in the last five minutes that ended neither in a server error nor in a "
           "refusal for lack of room.",
           Query("1 - " + share(rate(HTTP, f"{API}, {BAD_CODES}", window=NOW), rate(HTTP, API, window=NOW))),
           unit="percentunit", thresholds=above(0.99, 0.999), maximum=1, links=[TO_SLO]),
    figure("Requests", "How many API requests a second were answered in the last five minutes?", Query(rate(HTTP, API, window=NOW)), unit="reqps"),
    figure("First token p95", "How long do users look at nothing? 95th percentile of the last five minutes.",
           Query(quantile_now(0.95, TTFT, USER)), unit="s", thresholds=below(1, 2.5), links=[TO_ENGINE]),
    figure("Per token p95", "Does text flow as fast as people read? 95th percentile of the time between tokens, last five minutes.",
           Query(quantile_now(0.95, TPOT, MODEL)), unit="s", thresholds=below(0.1, 0.25), links=[TO_ENGINE]),
    figure("Whole answer p95", "How long does a whole answer take? 95th percentile of the last five minutes.",
           Query(quantile_now(0.95, E2E, USER)), unit="s", thresholds=below(15, 40), links=[TO_ENGINE]),
    figure("Least budget left", "How close is the worst objective to being broken? What is left of its error budget; below 0 it is broken.",
           Query("min(slo:period_error_budget_remaining:ratio)"), unit="percentunit", thresholds=above(0, 0.25), links=[TO_SLO]),
    figure("Alerts firing", "Has somebody been called?", Query(or_zero('count(ALERTS{alertstate="firing"})')), unit="none",
           thresholds=below(1, 1), links=[TO_SLO]),
    figure("Targets down", "Is what we look at complete? Processes that Prometheus cannot read.",
           Query(or_zero(f"count(up{{{PROCESS}}} == 0)")), unit="none", thresholds=below(1, 1)),
]

USERS = [
    graph("Time to first token", "How long do users wait for the first word? From a request's first byte to its first token.",
          quantiles(TTFT, USER), unit="s", colours=QUANTILE_COLOURS, links=[TO_ENGINE]),
    graph("Time per output token", "Does text flow? Mean time between the tokens of a request, percentiles over requests.",
          quantiles(TPOT, MODEL), unit="s", colours=QUANTILE_COLOURS, links=[TO_ENGINE]),
    graph("Whole answer", "How long do whole answers take? From a request's first byte to the end of its answer.",
          quantiles(E2E, USER), unit="s", colours=QUANTILE_COLOURS, links=[TO_ENGINE]),
    graph("Answers by status", "What do users get? 429 is a refusal for lack of room, 499 a client that left.",
          [Query(rate(HTTP, API, ("code",)), "{{code}}")], unit="reqps", stacking="normal", colours=CODE_COLOURS),
    graph("First token p95 by class", "Is the promise to each class of request kept?",
          [Query(quantile(0.95, TTFT, USER, ("slo_class",)), "{{slo_class}}", exemplars=True)], unit="s"),
    graph("First token p95 by model", "Is one model worse than the others?",
          [Query(quantile(0.95, TTFT, USER, ("model_name",)), "{{model_name}}", exemplars=True)], unit="s"),
    heatmap("Time to first token, all of it", "Are there two kinds of request, such as cached and not, that percentiles mix up?",
            Query(f"sum by (le) (increase({TTFT}_bucket{{{USER}}}[{WINDOW}]))", exemplars=True), unit="s"),
    graph("First token p95 by instance", "Is one replica worse than the others?",
          [Query(quantile(0.95, TTFT, USER, ("instance",)), "{{instance}}", exemplars=True)], unit="s"),
    graph("Less than asked for", "Did anybody get a shorter answer, a smaller model or nothing because the engine was busy?",
          [Query(rate("autoglm_degraded_requests_total", PROCESS, ("step",)), "{{step}}")], unit="reqps", stacking="normal"),
]

WHERE_TIME_GOES = [
    stage_shares("Server: shares of stages", STAGES, MODEL, width=8, links=[TO_ENGINE]),
    stage_occupancy("Server: requests in each stage", STAGES, MODEL, width=8),
    stage_quantile("Server: p95 of stages", STAGES, MODEL, width=8),
    stage_shares("Gateway: shares of stages", GATEWAY_STAGES, PROCESS, width=8, links=[TO_GATEWAY]),
    graph("Seconds per request, by stage", "What does a request spend in each stage, on average over the window? The lines add up to the mean "
          "time of a request.",
          [Query(f"{rate(STAGES + '_sum', MODEL, ('stage',))} / on () group_left () ({rate(E2E + '_count', MODEL)} > 0)", "{{stage}}")],
          unit="s", stacking="normal"),
    graph("Time that nobody can explain", "Can the two boards of stages be trusted? Share of all time that no stage claims.",
          [Query(f"{rate(metric + '_sum', UNEXPLAINED)} / ({rate(metric + '_sum', PROCESS)} > 0)", who)
           for who, metric in (("server", STAGES), ("gateway", GATEWAY_STAGES))],
          unit="percentunit", line=below(0.05, 0.1)),
]

TENANTS = [
    graph("Requests by tenant", "Who asks? The ten largest.",
          [Query(f"topk(10, {rate('autoglm_tenant_requests_total', MODEL, ('tenant',))})", "{{tenant}}")], unit="reqps", width=12, stacking="normal"),
    graph("Tokens by tenant", "Whose work is it? Prompt and answer tokens, the ten largest.",
          [Query(f"topk(10, {rate('autoglm_tenant_tokens_total', MODEL, ('tenant', 'type'))})", "{{tenant}} {{type}}")], unit="short", width=12,
          stacking="normal"),
]

OPERATION = [
    table("Firing alerts", "What is known to be wrong?",
          [("Firing", Query('count by (alertname, sloth_severity, sloth_service, sloth_slo, severity, instance) (ALERTS{alertstate="firing"})'),
            "none", None)], width=12,
          names_of_labels={"alertname": "Alert", "sloth_severity": "SLO severity", "sloth_service": "Service", "sloth_slo": "Objective",
                           "severity": "Severity", "instance": "Instance"}),
    graph("Requests running and waiting", "Is there room? A line that only grows means that requests come faster than they are answered.",
          [Query(f"sum(autoglm_num_requests_running{{{MODEL}}})", "running"), Query(f"sum(autoglm_num_requests_waiting{{{MODEL}}})", "waiting")],
          unit="short", width=6, links=[TO_ENGINE]),
    graph("Trace spans", "Will there be a trace when one is wanted? Spans exported by exporter, and those that were lost.",
          [Query(rate("autoglm_trace_spans_exported_total", PROCESS, ("exporter",)), "to {{exporter}}"),
           Query(rate("autoglm_trace_spans_dropped_total", PROCESS), "dropped")], unit="short", width=6, colours={"^dropped$": "red"}),
    graph("Records missed", "Do the boards of stages leave requests out? Only where thousands end within a tenth of a second.",
          [Query(rate("autoglm_request_records_missed_total", PROCESS), "missed")], unit="short", width=6, colours={"^missed$": "red"}),
    graph("Processor", "Is a process short of processors? Cores that each one keeps busy.",
          [Query(f"rate(process_cpu_seconds_total{{{PROCESS}}}[{WINDOW}])", "{{job}} {{instance}}")], unit="short", width=12, links=[TO_NODES]),
    graph("Memory", "Does memory grow without end?",
          [Query(f"process_resident_memory_bytes{{{PROCESS}}}", "{{job}} {{instance}}")], unit="bytes", width=12, links=[TO_NODES]),
]

BOARD = board("autoglm-overview", "Open-AutoGLM / Overview", "Are users well, and if not, which stage eats the time?",
              [jobs(), INSTANCES, MODELS, CLASSES],
              [("At a glance: the last five minutes", AT_A_GLANCE), ("Are users well?", USERS), ("Which stage eats the time?", WHERE_TIME_GOES),
               ("Who asks?", TENANTS), ("Operation", OPERATION)], MARKS)
