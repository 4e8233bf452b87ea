"""The gateway: what clients get, how upstreams do, what it does about those that fail, and what it costs."""
from .common import INSTANCES, MARKS, ROUTES, jobs, stage_occupancy, stage_quantile, stage_shares
from .grafana import CODE_COLOURS, GREEN, GREY, ORANGE, QUANTILE_COLOURS, RED, YELLOW, above, below, board, figure, graph, heatmap, timeline, to_board, variable
from .promql import BAD_CODES, NOW, PROCESS, ROUTE, WINDOW, Query, or_zero, quantile_now, quantiles, rate, share, total

HTTP, ATTEMPTS = "autoglm_gw_http_requests_total", "autoglm_gw_upstream_requests_total"
DURATION, TTFT = "autoglm_gw_request_duration_seconds", "autoglm_gw_time_to_first_token_seconds"
DECISION, STAGES = "autoglm_gw_routing_decision_seconds", "autoglm_gw_request_stage_seconds"
UPSTREAM = ROUTE + ', upstream=~"$upstream"'
BY_UPSTREAM = ("upstream",)
BREAKER = {0: ("closed", GREEN), 1: ("open", RED), 2: ("half open", ORANGE)}
AVAILABLE = {0: ("not asked", RED), 1: ("asked", GREEN)}

UPSTREAMS = variable("upstream", "Upstream", f"label_values(autoglm_gw_upstream_inflight{{{ROUTE}}}, upstream)")

GLANCE = [
    figure("Answered well", "Do clients get answers? Share of requests in the last five minutes without server error or refusal for lack of room.",
           Query("1 - " + share(rate(HTTP, f"{ROUTE}, {BAD_CODES}", window=NOW), rate(HTTP, ROUTE, window=NOW))),
           unit="percentunit", maximum=1, thresholds=above(0.99, 0.999), links=[to_board("autoglm-slo", "Objectives")]),
    figure("Requests", "How many requests a second ended in the last five minutes?", Query(rate(HTTP, ROUTE, window=NOW)), unit="reqps"),
    figure("First token p95", "How long until the first byte of an answer's body? Last five minutes.", Query(quantile_now(0.95, TTFT, ROUTE)),
           unit="s", thresholds=below(1, 2.5)),
    figure("Whole request p95", "How long does a whole request take? Last five minutes.", Query(quantile_now(0.95, DURATION, ROUTE)), unit="s",
           thresholds=below(15, 40)),
    figure("Open requests", "How much is going on?", Query(total("autoglm_gw_open_requests", PROCESS)), unit="none"),
    figure("In line", "Do requests wait because all upstreams are busy?", Query(total("autoglm_gw_queue_depth", ROUTE)), unit="none",
           thresholds=below(1, 32)),
    figure("Upstreams left out", "How many upstreams are not asked now?", Query(or_zero(f"count(autoglm_gw_upstream_available{{{UPSTREAM}}} == 0)")),
           unit="none", thresholds=below(1, 2)),
    figure("Attempts per request", "How much of upstreams' work is done twice? 1 is none. Last five minutes.",
           Query(f"{rate(ATTEMPTS, ROUTE, window=NOW)} / ({rate(HTTP, ROUTE, window=NOW)} > 0)"), unit="none", thresholds=below(1.05, 1.2)),
]

CLIENTS = [
    graph("Answers by status", "What do clients get? 499 is a client that left.", [Query(rate(HTTP, ROUTE, ("code",)), "{{code}}")], unit="reqps",
          stacking="normal", colours=CODE_COLOURS),
    graph("Time to first token", "How long from a request's first byte to the first of its answer's body?", quantiles(TTFT, ROUTE), unit="s",
          colours=QUANTILE_COLOURS),
    graph("Whole request", "How long from a request's first byte to its answer's last?", quantiles(DURATION, ROUTE), unit="s",
          colours=QUANTILE_COLOURS),
    graph("Requests by route", "Which route does the traffic take? Canaries and fallbacks show here.",
          [Query(rate(HTTP, ROUTE, ("route",)), "{{route}}")], unit="reqps", stacking="normal"),
    graph("In line and open", "Do requests pile up in front of a route?",
          [Query(total("autoglm_gw_queue_depth", ROUTE, ("route",)), "in line: {{route}}"), Query(total("autoglm_gw_open_requests", PROCESS), "open")],
          unit="short", colours={"^open$": GREY}),
    heatmap("Time to first token, all of it", "Are there two kinds of request that percentiles mix up?",
            Query(f"sum by (le) (increase({TTFT}_bucket{{{ROUTE}}}[{WINDOW}]))", exemplars=True), unit="s"),
    graph("Refused by the gateway", "Who is turned away, and why? Bad requests, missing keys, full lines.",
          [Query(rate("autoglm_gw_refused_total", PROCESS, ("reason",)), "{{reason}}")], unit="reqps", stacking="normal"),
    graph("Refused by limits of keys", "Which limit stops whom? Requests beyond what their key may do.",
          [Query(rate("autoglm_gw_ratelimit_total", PROCESS, ("kind",)), "{{kind}}")], unit="reqps", stacking="normal"),
    graph("Less than asked for", "Did anybody get a shorter answer or another model because the fleet was busy?",
          [Query(rate("autoglm_gw_degraded_requests_total", ROUTE, ("step",)), "{{step}}")], unit="reqps", stacking="normal"),
]

UPSTREAM_ROW = [
    graph("Attempts by upstream and status", "What does each upstream answer? 0 is no answer at all.",
          [Query(rate(ATTEMPTS, UPSTREAM, ("upstream", "code")), "{{upstream}} {{code}}")], unit="reqps", width=12, colours=CODE_COLOURS),
    graph("Share of attempts that failed", "Which upstream is ill?",
          [Query(f"({rate(ATTEMPTS, f'{UPSTREAM}, {BAD_CODES}', BY_UPSTREAM)} or 0 * {rate(ATTEMPTS, UPSTREAM, BY_UPSTREAM)}) / "
                 f"({rate(ATTEMPTS, UPSTREAM, BY_UPSTREAM)} > 0)", "{{upstream}}")], unit="percentunit", width=12, maximum=1, line=below(0.01, 0.05)),
    timeline("Circuit breakers", "When was which upstream cut off for its failures?",
             [Query(f"max by (upstream, route) (autoglm_gw_cb_state{{{UPSTREAM}}})", "{{upstream}} ({{route}})")], BREAKER),
    timeline("Upstreams that are asked", "When was which upstream left out, for whatever reason: probes, breaker, outlier, drain?",
             [Query(f"min by (upstream, route) (autoglm_gw_upstream_available{{{UPSTREAM}}})", "{{upstream}} ({{route}})")], AVAILABLE),
    graph("Requests at each upstream", "Is the load spread as the policy says?",
          [Query(total("autoglm_gw_upstream_inflight", UPSTREAM, BY_UPSTREAM), "{{upstream}}")], unit="short", width=12),
    graph("Share of traffic", "Who gets how much?", [Query(rate(ATTEMPTS, UPSTREAM, BY_UPSTREAM), "{{upstream}}")], unit="percentunit",
          stacking="percent", width=12),
]

REPAIR = [
    graph("Retries", "Why is work tried again? By what the attempt before died of.",
          [Query(rate("autoglm_gw_retries_total", ROUTE, ("reason",)), "{{reason}}")], unit="reqps", stacking="normal"),
    graph("Retries that may begin", "Is the budget of retries spent? At 0 failures reach clients, so that retries do not bury a sick fleet.",
          [Query(f"min by (route) (autoglm_gw_retry_budget_remaining{{{ROUTE}}})", "{{route}}")], unit="short"),
    graph("Hedges", "Do second attempts beside slow first ones help? won: the second was quicker.",
          [Query(rate("autoglm_gw_hedges_total", ROUTE, ("outcome",)), "{{outcome}}")], unit="reqps", stacking="normal",
          colours={"^won$": GREEN, "^lost$": YELLOW, "^refused$": GREY}),
    graph("Share of requests hedged", "What do hedges cost? Bounded by max_share, 5 % unless the configuration says otherwise.",
          [Query(share(rate("autoglm_gw_hedges_total", f'{ROUTE}, outcome=~"won|lost"'), rate(HTTP, ROUTE)), "hedged")], unit="percentunit",
          line=[(None, GREEN), (0.05, ORANGE)]),
    graph("Streams whose upstream died", "Did readers notice? continued: another replica went on to the very token.",
          [Query(rate("autoglm_gw_continued_streams_total", ROUTE, ("outcome",)), "{{outcome}}")], unit="ops", stacking="normal",
          colours={"^continued$": GREEN, "^ended_with_error$": RED}),
    graph("Faults put in on purpose", "Is an experiment going on?", [Query(rate("autoglm_gw_fault_injected_total", PROCESS, ("fault",)), "{{fault}}")],
          unit="reqps", stacking="normal"),
]

ROUTING = [
    graph("Time to decide", "What does it take to choose an upstream? Microseconds, or the policy is too dear.", quantiles(DECISION, ROUTE), unit="s",
          colours=QUANTILE_COLOURS, links=[to_board("autoglm-cache", "Cache")]),
    stage_shares("Shares of stages", STAGES, ROUTE),
    stage_quantile("p95 of stages", STAGES, ROUTE),
    stage_occupancy("Requests in each stage", STAGES, ROUTE),
    graph("Tokens", "How much work passes, as upstreams count it?", [Query(rate("autoglm_gw_tokens_total", ROUTE, ("type",)), "{{type}}")],
          unit="short"),
    graph("Processor time of a request", "What does the gateway cost? CPU seconds per request.",
          [Query(f"sum(rate(process_cpu_seconds_total{{{PROCESS}}}[{WINDOW}]) and on (job, instance) autoglm_gw_open_requests) / "
                 f"({rate(HTTP, ROUTE)} > 0)", "CPU")], unit="s"),
]

OPERATION = [
    graph("Reloads of the configuration", "When did the configuration change, and was it refused?",
          [Query(f"sum by (outcome) (increase(autoglm_gw_config_reloads_total{{{PROCESS}}}[{WINDOW}]))", "{{outcome}}")], unit="none", width=12,
          colours={"^ok$": GREEN, "^failed$": RED}),
    graph("Audit lines lost", "Is the audit log complete?", [Query(rate("autoglm_gw_audit_lines_dropped_total", PROCESS), "lost")], unit="short",
          width=12, colours={"^lost$": RED}),
]

BOARD = board("autoglm-gateway", "Open-AutoGLM / Gateway", "What do clients get, which upstream is to blame, and what does the gateway do about it?",
              [jobs("autoglm_gw_open_requests"), INSTANCES, ROUTES, UPSTREAMS],
              [("At a glance: the last five minutes", GLANCE), ("Clients", CLIENTS), ("Upstreams", UPSTREAM_ROW),
               ("Retries, hedges, continued streams", REPAIR), ("Routing and its cost", ROUTING), ("Operation", OPERATION)], MARKS)
