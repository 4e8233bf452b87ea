"""Caches of keys and values: what is found in memory, compressed or on disk, and what is lost."""
from .common import INSTANCES, MARKS, MODELS, jobs
from .grafana import BLUE, GREEN, GREY, QUANTILE_COLOURS, RED, above, below, board, figure, graph, heatmap, to_board
from .promql import MODEL, NOW, PROCESS, WINDOW, Query, quantile, quantiles, rate, total

HITS, QUERIES = "autoglm_prefix_cache_hits_total", "autoglm_prefix_cache_queries_total"
STAGES = "autoglm_request_stage_seconds"
MATCH = "autoglm_gw_prefix_match_ratio"
BY_MODEL = ("model_name",)


def hit_rate(by=(), window=WINDOW):
    return f"{rate(HITS, MODEL, by, window)} / ({rate(QUERIES, MODEL, by, window)} > 0)"


def blocks(tier, events, selector=MODEL):
    return [Query(rate(f"autoglm_kv_{tier}_{event}_blocks_total", selector), event) for event in events]


GLANCE = [
    figure("Found in the cache", "How much of prompts need not be computed? Share of prompt tokens, last five minutes.", Query(hit_rate(window=NOW)),
           unit="percentunit", maximum=1, thresholds=above(0.1, 0.3)),
    figure("Saved", "How many prompt tokens a second were not computed?", Query(rate(HITS, MODEL, window=NOW)), unit="short"),
    figure("Memory in use", "Is there room for more keys and values?", Query(f"max(autoglm_kv_cache_usage_perc{{{MODEL}}})"), unit="percentunit",
           maximum=1, thresholds=below(0.9, 0.98)),
    figure("Compressed", "How much is kept compressed?", Query(total("autoglm_kv_compressed_stored_bytes", MODEL)), unit="bytes"),
    figure("On disk", "How much is kept on disk?", Query(total("autoglm_kv_disk_stored_bytes", MODEL)), unit="bytes"),
    figure("Disk speed", "How fast do blocks come from the disk? Slower than computing them, and the tier is of no use.",
           Query(f"min(autoglm_kv_disk_read_bytes_per_second{{{MODEL}}})"), unit="Bps"),
    figure("Damaged or refused", "Does the disk keep what it was given? Blocks a second, last five minutes.",
           Query(f"{rate('autoglm_kv_disk_damaged_blocks_total', MODEL, window=NOW)} + {rate('autoglm_kv_disk_errors_total', MODEL, window=NOW)}"),
           unit="short", thresholds=[(None, GREEN), (1e-9, RED)]),
    figure("Events lost", "Do routers know what is in memory? Changes a second that they were not told, last five minutes.",
           Query(rate("autoglm_kv_events_dropped_total", MODEL, window=NOW)), unit="short", thresholds=[(None, GREEN), (1e-9, RED)]),
]

PREFIXES = [
    graph("Hit rate by model", "How much of prompts is found? A drop after a deployment or a new prompt template is money.",
          [Query(hit_rate(BY_MODEL), "{{model_name}}")], unit="percentunit", maximum=1),
    graph("Hit rate by instance", "Do prompts go to where their beginnings are? Uneven lines speak against the routing.",
          [Query(hit_rate(("instance",)), "{{instance}}")], unit="percentunit", maximum=1, links=[to_board("autoglm-gateway", "Gateway")]),
    graph("Tokens looked up and found", "Is the hit rate one of much traffic, or of little?",
          [Query(rate(QUERIES, MODEL), "looked up"), Query(rate(HITS, MODEL), "found")], unit="short", colours={"^looked up$": GREY, "^found$": GREEN}),
    graph("Memory of keys and values in use", "When does the cache run full? What was used longest ago then goes.",
          [Query(f"autoglm_kv_cache_usage_perc{{{MODEL}}}", "{{model_name}} {{instance}}")], unit="percentunit", maximum=1, line=below(0.9, 0.98)),
    graph("Lost places", "Does want of memory hurt running requests?", [Query(rate("autoglm_num_preemptions_total", MODEL, BY_MODEL), "{{model_name}}")],
          unit="ops"),
    graph("Time to bring keys and values back", "What do the lower tiers cost a request that uses them?",
          [Query(quantile(q, STAGES, MODEL + ', stage="kv_restore"'), name, exemplars=True) for q, name in ((.5, "p50"), (.95, "p95"), (.99, "p99"))],
          unit="s", colours=QUANTILE_COLOURS),
]

TIERS = [
    graph("Compressed in memory", "How much is kept compressed?",
          [Query(total("autoglm_kv_compressed_stored_bytes", MODEL, BY_MODEL), "{{model_name}}")], unit="bytes", stacking="normal"),
    graph("Blocks through the compressed tier", "Does the tier pay? read: came back into use. dropped: lost to newer ones.",
          blocks("compressed", ("kept", "read", "dropped")), unit="short", colours={"^kept$": BLUE, "^read$": GREEN, "^dropped$": RED}),
    graph("Kept while not loaded", "What is kept of models that are not in memory?",
          [Query(total("autoglm_model_kv_kept_bytes", MODEL, BY_MODEL), "{{model_name}}")], unit="bytes", stacking="normal"),
    graph("On disk by model", "How much of each model is on disk?", [Query(total("autoglm_kv_disk_stored_bytes", MODEL, BY_MODEL), "{{model_name}}")], unit="bytes",
          stacking="normal"),
    graph("Blocks through the disk", "Does the disk pay? dropped: the queue or the disk was full.", blocks("disk", ("written", "read", "dropped")),
          unit="short", colours={"^written$": BLUE, "^read$": GREEN, "^dropped$": RED}),
    graph("Trouble with the disk", "Is the disk failing? damaged: files that were not what their names say.",
          [Query(rate("autoglm_kv_disk_damaged_blocks_total", MODEL), "damaged"), Query(rate("autoglm_kv_disk_errors_total", MODEL), "refused")],
          unit="short", colours={"^damaged$": RED, "^refused$": "dark-red"}),
    graph("Speed of the disk", "How fast do blocks come back? By model and instance, as the engine measures it.",
          [Query(f"autoglm_kv_disk_read_bytes_per_second{{{MODEL}}}", "{{model_name}} {{instance}}")], unit="Bps"),
    graph("Evictions of models", "Are whole models put out, with their caches?",
          [Query(rate("autoglm_model_evictions_total", MODEL, BY_MODEL), "{{model_name}}")], unit="ops"),
    graph("Tokens per second from the cache", "What would the fleet have to compute without caches? Found tokens by model.",
          [Query(rate(HITS, MODEL, BY_MODEL), "{{model_name}}")], unit="short", stacking="normal"),
]

ROUTERS = [
    graph("Events to routers", "Are routers told what is in memory? dropped: they were cleared and learn anew.",
          [Query(rate("autoglm_kv_events_published_total", MODEL), "published"), Query(rate("autoglm_kv_events_dropped_total", MODEL), "dropped")],
          unit="short", colours={"^published$": BLUE, "^dropped$": RED}),
    graph("Blocks that gateways know of", "Does the gateway's picture follow? A fall to 0 is a lost connection or a cleared follower.",
          [Query(total("autoglm_gw_prefix_known_blocks", PROCESS, ("route", "instance")), "{{route}} {{instance}}")], unit="short"),
    heatmap("Share of prompts in the chosen upstream's memory", "Do prompts find the upstream that has their beginning?",
            Query(f"sum by (le) (increase({MATCH}_bucket{{{PROCESS}}}[{WINDOW}]))"), unit="percentunit"),
    graph("Match of the chosen upstream", "How much of a prompt does the chosen upstream have? Percentiles over requests.",
          [Query(quantile(q, MATCH, PROCESS), name) for q, name in ((.5, "p50"), (.95, "p95"))], unit="percentunit", maximum=1,
          colours={r"p50\b": GREEN, r"p95\b": "orange"}),
]

BOARD = board("autoglm-cache", "Open-AutoGLM / Cache", "How much is not computed again, which tier has it, and what is lost?",
              [jobs(), INSTANCES, MODELS],
              [("At a glance: the last five minutes", GLANCE), ("Prefixes in memory", PREFIXES), ("Lower tiers", TIERS), ("Routers", ROUTERS)], MARKS)
