"""The engine: batch, queue, prefill and decode, guesses, interrupts, models, the process."""
from .common import INSTANCES, MARKS, MODELS, jobs, stage_occupancy, stage_quantile, stage_shares
from .grafana import BLUE, GREEN, GREY, ORANGE, QUANTILE_COLOURS, RED, below, board, figure, graph, heatmap, table, timeline, to_board
from .promql import MODEL, NOW, PROCESS, WINDOW, Query, or_zero, quantile, quantile_now, quantiles, rate, total

STAGES = "autoglm_request_stage_seconds"
QUEUE_TIME, PREFILL, DECODE = (f"autoglm_request_{what}_time_seconds" for what in ("queue", "prefill", "decode"))
TPOT = "autoglm_time_per_output_token_seconds"
BY_MODEL = ("model_name",)
OUTCOME_COLOURS = {"^stop$": GREEN, "^length$": BLUE, "^cancelled$": GREY, "^deadline$": ORANGE, "^error$": RED}
COMPUTED = (f"({rate('autoglm_prompt_tokens_total', MODEL)} - {rate('autoglm_prefix_cache_hits_total', MODEL)})")

def stage_seconds(pattern):
    return rate(STAGES + "_sum", f'{MODEL}, stage=~"{pattern}"')


NOW_ROW = [
    figure("Running", "How many requests are in the batch?", Query(total("autoglm_num_requests_running", MODEL)), unit="none"),
    figure("Waiting", "How many stand in line?", Query(total("autoglm_num_requests_waiting", MODEL)), unit="none", thresholds=below(8, 64)),
    figure("Backlog", "How long would it take to answer all that is here, as the engine predicts it? Beyond 120 s it refuses.",
           Query(f"max(autoglm_backlog_seconds{{{MODEL}}})"), unit="s", thresholds=below(30, 100)),
    figure("Queue p95", "How long does one wait in line? Last five minutes.", Query(quantile_now(0.95, QUEUE_TIME, MODEL)), unit="s",
           thresholds=below(0.5, 2)),
    figure("KV cache in use", "Is there room for the keys and values of more requests?",
           Query(f"max(autoglm_kv_cache_usage_perc{{{MODEL}}})"), unit="percentunit", maximum=1, thresholds=below(0.9, 0.98),
           links=[to_board("autoglm-cache", "Cache")]),
    figure("Generated", "How many tokens a second are generated? Last five minutes.",
           Query(rate("autoglm_generation_tokens_total", MODEL, window=NOW)), unit="short"),
    figure("Guesses that were right", "Does guessing tokens ahead pay? Share of drafted tokens that were right, last five minutes.",
           Query(f"{rate('autoglm_spec_decode_num_accepted_tokens_total', MODEL, window=NOW)} / "
                 f"({rate('autoglm_spec_decode_num_draft_tokens_total', MODEL, window=NOW)} > 0)"), unit="percentunit", maximum=1),
    figure("Preemptions", "Did running requests lose their place? Last five minutes, a second.",
           Query(rate("autoglm_num_preemptions_total", MODEL, window=NOW)), unit="ops", thresholds=below(0.01, 0.2)),
]

QUEUE = [
    graph("Batch and queue", "Is there room? Running is bounded by memory and --max-running; what waits beyond that waits for it.",
          [Query(total("autoglm_num_requests_running", MODEL), "running"), Query(total("autoglm_num_requests_waiting", MODEL), "waiting"),
           Query(total("autoglm_num_requests_promised", MODEL), "promised to those told to come back")], unit="short",
          colours={"^running$": GREEN, "^waiting$": RED, "^promised": GREY}),
    graph("Backlog over time", "How much work lies ahead, in seconds of this machine?",
          [Query(f"autoglm_backlog_seconds{{{MODEL}}}", "{{model_name}} {{instance}}")], unit="s", line=below(30, 120)),
    graph("Time in the engine", "How long is a request at work, from its first step to its last token?",
          quantiles("autoglm_request_inference_time_seconds", MODEL), unit="s", colours=QUANTILE_COLOURS),
    graph("Time in the queue", "How long until a request's first scheduled step?", quantiles(QUEUE_TIME, MODEL), unit="s", colours=QUANTILE_COLOURS),
    heatmap("Time in the queue, all of it", "Do all wait a little, or a few very long?",
            Query(f"sum by (le) (increase({QUEUE_TIME}_bucket{{{MODEL}}}[{WINDOW}]))", exemplars=True), unit="s"),
    graph("How requests ended", "Do answers end by themselves, or are they cut off? error and deadline are the ones to look at.",
          [Query(rate("autoglm_request_success_total", MODEL, ("finished_reason",)), "{{finished_reason}}")], unit="reqps", stacking="normal",
          colours=OUTCOME_COLOURS),
    graph("Given up under pressure", "What did the engine take from requests because it was busy?",
          [Query(rate("autoglm_degraded_requests_total", PROCESS, ("step",)), "{{step}}")], unit="reqps", stacking="normal"),
]

COMPUTE = [
    graph("Prefill time", "How long from the first scheduled step to the first token?", quantiles(PREFILL, MODEL), unit="s", colours=QUANTILE_COLOURS),
    graph("Decode time", "How long from the first token to the last? Grows with the length of answers.", quantiles(DECODE, MODEL), unit="s",
          colours=QUANTILE_COLOURS),
    graph("Time per output token", "How fast does one answer flow? Grows with the batch and with prompts computed between its tokens.",
          quantiles(TPOT, MODEL), unit="s", colours=QUANTILE_COLOURS),
    graph("Tokens a second", "What does the engine compute? Prompt tokens that were not cached (counted when their request ends), and generated ones.",
          [Query(COMPUTED, "prompt, computed"), Query(rate("autoglm_prefix_cache_hits_total", MODEL), "prompt, from the cache"),
           Query(rate("autoglm_generation_tokens_total", MODEL), "generated")], unit="short",
          colours={"computed$": BLUE, "cache$": "light-blue", "^generated$": GREEN}),
    graph("Length of prompts", "Did the work change? Tokens of prompts, cached ones included.",
          [Query(quantile(q, "autoglm_request_prompt_tokens", MODEL), name) for q, name in ((.5, "p50"), (.95, "p95"), (.99, "p99"))],
          unit="short", colours=QUANTILE_COLOURS),
    graph("Length of answers", "Did the work change? Tokens generated for a request.",
          [Query(quantile(q, "autoglm_request_generation_tokens", MODEL), name) for q, name in ((.5, "p50"), (.95, "p95"), (.99, "p99"))],
          unit="short", colours=QUANTILE_COLOURS),
    graph("Time per output token by batch", "How does the speed of one answer change with the number that run (right axis)?",
          [Query(quantile(0.5, TPOT, MODEL), "time per token p50"), Query(f"avg(autoglm_num_requests_running{{{MODEL}}}) > 0", "running")],
          unit="s", colours={"^running$": GREY}, right={"^running$": "short"}),
    graph("Tokens of guesses", "Does speculation pay? Tokens drafted a second, and those that were right.",
          [Query(rate("autoglm_spec_decode_num_draft_tokens_total", MODEL), "drafted"),
           Query(rate("autoglm_spec_decode_num_accepted_tokens_total", MODEL), "right")], unit="short", colours={"^drafted$": GREY, "^right$": GREEN}),
    graph("Share of guesses that were right", "Below a third, drafting costs more than it brings on most machines.",
          [Query(f"{rate('autoglm_spec_decode_num_accepted_tokens_total', MODEL, BY_MODEL)} / "
                 f"({rate('autoglm_spec_decode_num_draft_tokens_total', MODEL, BY_MODEL)} > 0)", "{{model_name}}")], unit="percentunit", maximum=1),
]

ORDER = [
    stage_shares("Shares of stages", STAGES, MODEL),
    stage_occupancy("Requests in each stage", STAGES, MODEL),
    stage_quantile("p95 of stages", STAGES, MODEL),
    graph("Held up by others", "How much of running requests' time goes to waiting for other requests' work? Stalls as a share of prefill and decode.",
          [Query(f"{stage_seconds(f'{stage}_stall')} / ({stage_seconds(f'{stage}|{stage}_stall')} > 0)", f"of {stage}")
           for stage in ("prefill", "decode")], unit="percentunit", maximum=1),
    graph("Preemptions by model", "Do running requests lose their place for want of memory? Each one is computed again, or read back.",
          [Query(rate("autoglm_num_preemptions_total", MODEL, BY_MODEL), "{{model_name}}")], unit="ops"),
    graph("Interrupts", "How often is a step given up for a more urgent request? The price of a quick first token.",
          [Query(rate("autoglm_num_interrupts_total", MODEL, BY_MODEL), "{{model_name}}")], unit="ops"),
]

MODEL_ROW = [
    timeline("Models in memory", "Which models were loaded when? A model that comes and goes makes its users wait for it.",
             [Query(f"max by (model_name, instance) (autoglm_model_loaded{{{MODEL}}})", "{{model_name}} {{instance}}")],
             {0: ("not loaded", GREY), 1: ("loaded", GREEN)}, width=8),
    graph("Loads and evictions", "Do models fight for memory? Changes per minute.",
          [Query(f"60 * {rate('autoglm_model_loads_total', MODEL, BY_MODEL)}", "{{model_name}} loaded"),
           Query(f"60 * {rate('autoglm_model_evictions_total', MODEL, BY_MODEL)}", "{{model_name}} put out")], unit="cpm"),
    graph("Last load", "How long does a request wait that needs a model which is not there?",
          [Query(f"max by (model_name) (autoglm_model_load_seconds{{{MODEL}}})", "{{model_name}}")], unit="s"),
    graph("Memory of models", "What takes the memory?",
          [Query(total("autoglm_model_weight_bytes", MODEL, BY_MODEL), "{{model_name}} weights"),
           Query(total("autoglm_model_kv_reserved_bytes", MODEL, BY_MODEL), "{{model_name}} keys and values"),
           Query(total("autoglm_model_kv_kept_bytes", MODEL, BY_MODEL), "{{model_name}} kept prefixes")], unit="bytes", stacking="normal"),
    graph("Memory budget", "How much of --memory-budget is taken? Without one there is no line of it.",
          [Query(total("autoglm_memory_used_bytes", PROCESS), "taken"), Query(f"{total('autoglm_memory_budget_bytes', PROCESS)} > 0", "budget")],
          unit="bytes", colours={"^budget$": RED}),
    graph("Models not in memory", "How many models are not in memory now?",
          [Query(or_zero(f"count(autoglm_model_loaded{{{MODEL}}} == 0)"), "not loaded")], unit="none"),
]

PROCESS_ROW = [
    graph("Processor", "How many cores does the engine keep busy? Fewer than --threads while requests run: something else waits.",
          [Query(f"rate(process_cpu_seconds_total{{{PROCESS}}}[{WINDOW}])", "{{instance}}")], unit="short", links=[to_board("autoglm-nodes", "Nodes")]),
    graph("Memory", "Does memory grow without end?", [Query(f"process_resident_memory_bytes{{{PROCESS}}}", "{{instance}}")], unit="bytes"),
    graph("Log lines lost", "Is the log complete?", [Query(rate("autoglm_log_lines_dropped_total", PROCESS), "lost")], unit="short",
          colours={"^lost$": RED}),
    table("Processes", "What runs here, and since when?",
          [("Up for", Query(f"time() - max by (job, instance) (process_start_time_seconds{{{PROCESS}}})"), "s", None),
           ("Memory", Query(f"max by (job, instance) (process_resident_memory_bytes{{{PROCESS}}})"), "bytes", None)], width=12,
          names_of_labels={"job": "Job", "instance": "Instance"}),
    table("Versions", "Do all replicas run the same binary?",
          [("Processes", Query(f"count by (job, version) (autoglm_build_info{{{PROCESS}}})"), "none", None)], width=12,
          names_of_labels={"job": "Job", "version": "Version"}),
]

BOARD = board("autoglm-engine", "Open-AutoGLM / Engine", "What does the engine do with its time: who waits, who runs, what is computed?",
              [jobs("autoglm_num_requests_running"), INSTANCES, MODELS],
              [("Now", NOW_ROW), ("Queue and batch", QUEUE), ("Prefill and decode", COMPUTE), ("Who goes before whom", ORDER),
               ("Models", MODEL_ROW), ("Process", PROCESS_ROW)], MARKS)
