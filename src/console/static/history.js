// What the last minutes of /metrics said, and the figures that follow from it. Servers keep no history; this page does while it is open.
import {histogram, histogramSince, quantile, sum, sumBy} from './prometheus.js';

export const SHOWN_S = 300;
const KEPT_S = 660;  // shown, and the longest window before it

// Reading about requests is no traffic, and paths that nobody serves are none of ours.
const NOT_COUNTED = /^(other|\/metrics|\/health|\/ready|\/version|\/console.*|\/v1\/(requests|traces|slo|cache|models|contexts)(\/.*)?)$/;

function countCodes(metrics, name) {
  const codes = {ok: 0, client: 0, busy: 0, gone: 0, server: 0};
  for (const {labels, value} of metrics.get(name) ?? []) {
    if (labels.path !== undefined && NOT_COUNTED.test(labels.path)) continue;
    const code = Number(labels.code);
    if (code === 429 || code === 503) codes.busy += value;
    else if (code === 499) codes.gone += value;
    else if (code >= 500 || code === 0) codes.server += value;
    else if (code >= 400) codes.client += value;
    else codes.ok += value;
  }
  // What a gateway refuses itself never had a route.
  codes.client += sum(metrics, 'autoglm_gw_refused_total') ?? 0;
  return codes;
}

function upstreamsOf(metrics) {
  const upstreams = {};
  for (const {labels, value} of metrics.get('autoglm_gw_upstream_requests_total') ?? []) {
    const one = (upstreams[`${labels.route} ${labels.upstream}`] ??= {requests: 0, failures: 0});
    one.requests += value;
    if (labels.code === '0' || labels.code >= '500' || labels.code === '429') one.failures += value;
  }
  return upstreams;
}

const MODEL_GAUGES = {
  running: 'autoglm_num_requests_running', waiting: 'autoglm_num_requests_waiting', backlog_s: 'autoglm_backlog_seconds',
  kv_usage: 'autoglm_kv_cache_usage_perc', loads: 'autoglm_model_loads_total', evictions: 'autoglm_model_evictions_total',
};

// {model: {running, waiting, ...}} as it is now.
function modelsOf(metrics) {
  const models = {};
  for (const [name, metric] of Object.entries(MODEL_GAUGES)) {
    for (const [model, value] of Object.entries(sumBy(metrics, metric, 'model_name'))) (models[model] ??= {})[name] = value;
  }
  return models;
}

const largest = (samples) => (samples === undefined ? null : Math.max(...samples.map((sample) => sample.value)));

// Of all that /metrics says, what this page shows. Totals are since the process began.
export function snapshot(metrics, t) {
  const isGateway = metrics.has('autoglm_gw_open_requests');
  const kind = isGateway ? 'autoglm_gw_' : 'autoglm_';
  const tokens = sumBy(metrics, 'autoglm_gw_tokens_total', 'type');
  const stages = sumBy(metrics, `${kind}request_stage_seconds_sum`, 'stage');
  return {
    t, isGateway,
    began: sum(metrics, 'process_start_time_seconds'),
    version: metrics.get('autoglm_build_info')?.[0]?.labels.version ?? null,
    codes: countCodes(metrics, `${kind}http_requests_total`),
    first: histogram(metrics, `${kind}time_to_first_token_seconds`),
    token: isGateway ? null : histogram(metrics, 'autoglm_time_per_output_token_seconds'),
    whole: histogram(metrics, isGateway ? 'autoglm_gw_request_duration_seconds' : 'autoglm_e2e_request_latency_seconds'),
    match: isGateway ? histogram(metrics, 'autoglm_gw_prefix_match_ratio') : null,
    stages: Object.keys(stages).length > 0 ? stages : null,
    staged: sum(metrics, `${kind}request_stage_seconds_count`, (labels) => labels.stage === 'unexplained'),
    tokensOut: isGateway ? tokens.output ?? 0 : sum(metrics, 'autoglm_generation_tokens_total'),
    tokensIn: isGateway ? tokens.input ?? 0 : sum(metrics, 'autoglm_prompt_tokens_total'),
    queries: sum(metrics, 'autoglm_prefix_cache_queries_total'),
    hits: sum(metrics, 'autoglm_prefix_cache_hits_total'),
    preemptions: sum(metrics, 'autoglm_num_preemptions_total'),
    retries: sum(metrics, 'autoglm_gw_retries_total') ?? 0,
    running: sum(metrics, isGateway ? 'autoglm_gw_open_requests' : 'autoglm_num_requests_running'),
    waiting: sum(metrics, isGateway ? 'autoglm_gw_queue_depth' : 'autoglm_num_requests_waiting'),
    backlog: sum(metrics, 'autoglm_backlog_seconds'),
    kvUsage: largest(metrics.get('autoglm_kv_cache_usage_perc')),
    models: modelsOf(metrics),
    cpu: sum(metrics, 'process_cpu_seconds_total'),
    memory: sum(metrics, 'process_resident_memory_bytes'),
    upstreams: isGateway ? upstreamsOf(metrics) : {},
  };
}

const quantiles = (found) => (found === null ? null : {p50: quantile(found, 0.5), p95: quantile(found, 0.95), p99: quantile(found, 0.99), count: found.count});

const ratio = (part, whole) => (whole > 0 ? part / whole : null);

// {key: now - before} of two tables of totals.
function difference(now, before) {
  return Object.fromEntries(Object.entries(now ?? {}).map(([key, value]) => [key, value - (before?.[key] ?? 0)]));
}

// What happened between two snapshots of one process.
export function figures(now, before) {
  const seconds = now.t - before.t;
  const rate = (name) => (seconds > 0 && now[name] !== null ? (now[name] - before[name]) / seconds : null);
  const codes = difference(now.codes, before.codes);
  const answered = Object.values(codes).reduce((a, b) => a + b, 0);
  const upstreams = {};
  for (const [key, one] of Object.entries(now.upstreams)) upstreams[key] = difference(one, before.upstreams[key]);
  return {
    t: now.t, seconds, codes, answered, upstreams,
    requestRate: seconds > 0 ? answered / seconds : null,
    // Clients that left are no errors of ours.
    errorShare: ratio(codes.server + codes.busy + codes.client, answered),
    first: quantiles(histogramSince(now.first, before.first)),
    token: quantiles(histogramSince(now.token, before.token)),
    whole: quantiles(histogramSince(now.whole, before.whole)),
    match: now.match === null ? null : ratio(now.match.sum - (before.match?.sum ?? 0), now.match.count - (before.match?.count ?? 0)),
    stages: now.stages === null ? null : difference(now.stages, before.stages),
    staged: now.staged === null ? 0 : now.staged - (before.staged ?? 0),
    tokensOut: rate('tokensOut'), tokensIn: rate('tokensIn'), retries: rate('retries'), preemptions: rate('preemptions'), cpu: rate('cpu'),
    hitRate: ratio(now.hits - before.hits, now.queries - before.queries),
    running: now.running, waiting: now.waiting, backlog: now.backlog, kvUsage: now.kvUsage,
    memory: now.memory,
  };
}

export class History {
  #snapshots = [];
  #points = [];  // one for each snapshot: figures over the window that ends there, or {t, isGap}
  #windowS;

  constructor(windowS) {
    this.#windowS = windowS;
  }

  get windowS() {
    return this.#windowS;
  }

  get last() {
    return this.#snapshots.at(-1) ?? null;
  }

  get latest() {
    const point = this.#points.at(-1);
    return point === undefined || point.isGap ? null : point;
  }

  get points() {
    return this.#points;
  }

  setWindow(windowS) {
    this.#windowS = windowS;
    this.#points = this.#snapshots.map((_, index) => this.#pointAt(index));
  }

  push(snapshot) {
    this.#snapshots.push(snapshot);
    this.#points.push(this.#pointAt(this.#snapshots.length - 1));
    while (this.#snapshots[0].t < snapshot.t - KEPT_S) {
      this.#snapshots.shift();
      this.#points.shift();
    }
  }

  // The oldest snapshot of the same process within the window. Where there is none before it, there are no figures yet.
  #pointAt(index) {
    const now = this.#snapshots[index];
    let begin = index;
    while (begin > 0 && this.#snapshots[begin - 1].began === now.began && this.#snapshots[begin - 1].t >= now.t - this.#windowS - 0.5) --begin;
    return begin === index ? {t: now.t, isGap: true} : figures(now, this.#snapshots[begin]);
  }
}
