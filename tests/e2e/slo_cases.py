"""Histories of requests for promtool, and what our rules must say of them. Minutes throughout."""
import json
import subprocess

SPECS = {
    # name: (what stands in slo.json, flags of `slo rules`)
    "p90": ({"objective": "90th_percentile_latency", "target": 1, "unit": "seconds"}, []),
    "p90-standard": ({"objective": "90th_percentile_latency", "target": 1, "unit": "seconds"}, ["--standard-factors"]),
    "p95": ({"objective": "95th_percentile_latency", "target": 300, "unit": "milliseconds"}, []),
    "p95-standard": ({"objective": "95th_percentile_latency", "target": 300, "unit": "milliseconds"}, ["--standard-factors"]),
    "p95-model": ({"objective": "95th_percentile_latency", "target": 300, "unit": "milliseconds", "model": "chat-*"}, []),
    "p99": ({"objective": "99th_percentile_latency", "target": 2.5, "unit": "seconds"}, []),
    "screen": ({"objective": "95th_percentile_first_screen", "target": 1.5, "unit": "seconds", "class": "interactive"}, []),
    "batch": ({"objective": "95th_percentile_background_job", "target": 5, "unit": "minutes"}, []),
    "nines": ({"objective": "availability", "target": 99.9, "unit": "percent"}, []),
    "nines-429": ({"objective": "availability", "target": 99.9, "unit": "percent", "count_429": True}, []),
    "nines-28d": ({"objective": "availability", "target": 99.9, "unit": "percent", "window": "28d"}, []),
    "payment": ({"objective": "availability", "target": 99.9, "unit": "percent", "path": "/v1/pay"}, []),
    "one-event": ({"objective": "availability", "target": 99.9, "unit": "percent", "min_events": 1}, []),
    "gateway": ({"objective": "availability", "target": 99.5, "unit": "percent", "route": "chat"}, ["--source", "gateway"]),
    "gateway-p95": ({"objective": "95th_percentile_latency", "target": 2, "unit": "seconds", "route": "chat"}, ["--source", "gateway"]),
    "raw": ({"objective": "ratio", "target": 0.99, "unit": "ratio", "bad_query": "bad_total", "total_query": "all_total"}, []),
}

LATENCY = "autoglm_e2e_request_latency_seconds"
FIRST_TOKEN = "autoglm_time_to_first_token_seconds"
GATEWAY_LATENCY = "autoglm_gw_request_duration_seconds"


def counter(rates, step, start=0):
    """A counter in promtool's notation: [(minutes, events a minute), ...]; None for a series that is gone; "reset" begins at 0."""
    parts, value = [], start
    for minutes, rate in rates:
        count = minutes // step
        if rate is None:
            parts.append(f"_x{count}")
            continue
        if rate == "reset":
            value = 0
            continue
        parts.append(f"{value}+{rate * step}x{count - 1}")
        value += rate * step * count
    return " ".join(parts)


def scaled(phases, part):
    """The rates of one part, "all", "bad" or "good", of [(minutes, all, bad), ...]."""
    rates = []
    for minutes, total, bad in phases:
        if total in (None, "reset"):
            rates.append((minutes, total))
        else:
            rates.append((minutes, {"all": total, "bad": bad, "good": total - bad}[part]))
    return rates


def histogram(name, labels, le, phases, step):
    def series(suffix, more, part):
        inside = ",".join(filter(None, [labels, more]))
        return {"series": f"{name}_{suffix}{{{inside}}}", "values": counter(scaled(phases, part), step)}

    return [series("count", "", "all"), series("bucket", f'le="{le}"', "good"), series("bucket", 'le="+Inf"', "all")]


def requests(phases, step, name="autoglm_http_requests_total", labels='path="/v1/chat/completions"', bad_code=503):
    return [
        {"series": f'{name}{{{labels},code="200"}}', "values": counter(scaled(phases, "good"), step)},
        {"series": f'{name}{{{labels},code="{bad_code}"}}', "values": counter(scaled(phases, "bad"), step)},
    ]


MODEL = 'model_name="chat-1",slo_class="interactive"'
SERIES = {
    "p90": lambda phases, step: histogram(LATENCY, MODEL, "1", phases, step),
    "p90-standard": lambda phases, step: histogram(LATENCY, MODEL, "1.0", phases, step),
    "p95": lambda phases, step: histogram(LATENCY, MODEL, "0.3", phases, step),
    "p95-standard": lambda phases, step: histogram(LATENCY, MODEL, "0.3", phases, step),
    "p95-model": lambda phases, step: histogram(LATENCY, MODEL, "0.3", phases, step),
    "p99": lambda phases, step: histogram(LATENCY, MODEL, "2.5", phases, step),
    "screen": lambda phases, step: histogram(FIRST_TOKEN, MODEL, "1.5", phases, step),
    "batch": lambda phases, step: histogram(LATENCY, 'model_name="chat-1",slo_class="batch"', "300", phases, step),
    "nines": requests,
    "nines-429": lambda phases, step: requests(phases, step, bad_code=429),
    "nines-28d": requests,
    "payment": lambda phases, step: requests(phases, step, labels='path="/v1/pay"'),
    "one-event": requests,
    "gateway": lambda phases, step: requests(phases, step, "autoglm_gw_http_requests_total", 'route="chat"'),
    "gateway-p95": lambda phases, step: histogram(GATEWAY_LATENCY, 'route="chat"', "2", phases, step),
    "raw": lambda phases, step: [
        {"series": "all_total", "values": counter(scaled(phases, "all"), step)},
        {"series": "bad_total", "values": counter(scaled(phases, "bad"), step)},
    ],
}


def firing(severity):
    """How many alerts of a severity fire, in PromQL."""
    return f'count(ALERTS{{alertstate="firing",severity="{severity}"}}) or vector(0)'


def run_promtool(folder, rules, series, checks, step):
    """checks: [(minute, query, value)]. Returns what promtool complains about; empty: nothing."""
    tests = [{"expr": query, "eval_time": f"{minute}m", "exp_samples": [] if value is None else [{"labels": "{}", "value": value}]}
             for minute, query, value in checks]
    test_file = folder / "test.yml"
    test_file.write_text(json.dumps({
        "rule_files": [str(rules)], "evaluation_interval": f"{step}m",
        "tests": [{"interval": f"{step}m", "input_series": series, "promql_expr_test": tests}]}))
    done = subprocess.run(["promtool", "test", "rules", str(test_file)], capture_output=True, text=True, timeout=240)
    return "" if done.returncode == 0 else done.stdout + done.stderr
