// Prometheus' text format, and quantiles of its histograms.
const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;
const MAX_CACHED = 50000;

const cachedLabels = new Map();

function parseLabels(text) {
  let labels = cachedLabels.get(text);
  if (labels === undefined) {
    labels = {};
    for (const [, name, value] of (text ?? '').matchAll(LABEL)) {
      labels[name] = value.replace(/\\(.)/g, (_, c) => (c === 'n' ? '\n' : c));
    }
    if (cachedLabels.size >= MAX_CACHED) cachedLabels.clear();
    cachedLabels.set(text, labels);
  }
  return labels;
}

// Map from name to [{labels, value}]. Lines that are none are left out.
export function parseMetrics(text) {
  const metrics = new Map();
  for (const line of text.split('\n')) {
    if (line === '' || line[0] === '#') continue;
    const match = LINE.exec(line);
    if (match === null) continue;
    const value = match[3] === '+Inf' ? Infinity : Number(match[3]);
    const samples = metrics.get(match[1]);
    const sample = {labels: parseLabels(match[2]), value};
    if (samples === undefined) metrics.set(match[1], [sample]);
    else samples.push(sample);
  }
  return metrics;
}

// Over all label sets that `fits`; null where the metric is not there.
export function sum(metrics, name, fits = () => true) {
  const samples = metrics.get(name);
  if (samples === undefined) return null;
  let total = 0;
  for (const sample of samples) if (fits(sample.labels)) total += sample.value;
  return total;
}

// {label's value: sum}.
export function sumBy(metrics, name, label) {
  const sums = {};
  for (const {labels, value} of metrics.get(name) ?? []) sums[labels[label] ?? ''] = (sums[labels[label] ?? ''] ?? 0) + value;
  return sums;
}

// All label sets put together: {count, sum, buckets: [[bound, cumulative count]...]}; null where the metric is not there.
export function histogram(metrics, name) {
  const samples = metrics.get(`${name}_bucket`);
  if (samples === undefined) return null;
  const byBound = new Map();
  for (const {labels, value} of samples) {
    const bound = labels.le === '+Inf' ? Infinity : Number(labels.le);
    byBound.set(bound, (byBound.get(bound) ?? 0) + value);
  }
  const buckets = [...byBound].sort((a, b) => a[0] - b[0]);
  return {count: sum(metrics, `${name}_count`), sum: sum(metrics, `${name}_sum`), buckets};
}

export function histogramSince(now, before) {
  if (now === null) return null;
  const old = new Map(before?.buckets ?? []);
  return {
    count: now.count - (before?.count ?? 0),
    sum: now.sum - (before?.sum ?? 0),
    buckets: now.buckets.map(([bound, cumulative]) => [bound, cumulative - (old.get(bound) ?? 0)]),
  };
}

// As histogram_quantile(): linear within a bucket, the highest finite bound for what lies beyond it. null: nothing was counted.
export function quantile(histogramOrNull, q) {
  const buckets = histogramOrNull?.buckets ?? [];
  const total = buckets.length > 0 ? buckets[buckets.length - 1][1] : 0;
  if (!(total > 0)) return null;
  const rank = q * total;
  const index = buckets.findIndex(([, cumulative]) => cumulative >= rank);
  const [bound, cumulative] = buckets[index];
  const [lowerBound, lowerCount] = index > 0 ? buckets[index - 1] : [0, 0];
  if (bound === Infinity) return lowerBound;
  if (cumulative === lowerCount) return bound;
  return lowerBound + (bound - lowerBound) * ((rank - lowerCount) / (cumulative - lowerCount));
}
