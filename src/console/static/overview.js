// Is it well, and where does the time go?
import {areChartsThere, TimeChart} from './charts.js';
import {h, reconcile, setText} from './dom.js';
import {clock, count, duration, NONE, number, share} from './format.js';
import {SHOWN_S} from './history.js';
import {byGroup, GROUPS} from './stages.js';

const gauge = (value) => (Number.isInteger(value) ? count(value) : number(value));
const perSecond = (value) => (typeof value === 'number' ? `${number(value)} /s` : NONE);

// Small charts: each has a question, figures of the window that ends now, and lines.
const QUANTILES = (name) => [
  {label: 'p50', colour: 'good', value: (point) => point[name]?.p50},
  {label: 'p95', colour: 'warm', value: (point) => point[name]?.p95},
  {label: 'p99', colour: 'hot', value: (point) => point[name]?.p99},
];
const perCode = (code) => (point) => (point.seconds > 0 ? point.codes[code] / point.seconds : null);

const REQUESTS = {
  title: 'Requests', hint: 'Answered requests that generate, by status. Errors are 4xx and 5xx.', format: number, isStacked: true,
  figures: [
    {label: 'all', value: (point) => perSecond(point.requestRate), id: 'request-rate'},
    {label: 'errors', value: (point) => share(point.errorShare), id: 'error-share'},
  ],
  series: [
    {label: '2xx', colour: 'good-area', isArea: true, value: perCode('ok')},
    {label: '4xx', colour: 'warm-area', isArea: true, value: perCode('client')},
    {label: 'busy: 429, 503', colour: 'hot-area', isArea: true, value: perCode('busy')},
    {label: 'client left', colour: 'cool-area', isArea: true, value: perCode('gone')},
    {label: '5xx', colour: 'bad-area', isArea: true, value: perCode('server')},
  ],
};
const FIRST = {title: 'Time to first token', hint: "From a request's first byte to its first token.", format: duration, series: QUANTILES('first'), id: 'first'};
const TOKEN = {title: 'Time per token', hint: 'Mean of a request, after its first token.', format: duration, series: QUANTILES('token'), id: 'token'};
const WHOLE = {title: 'Whole request', hint: "From a request's first byte to its answer's last.", format: duration, series: QUANTILES('whole'), id: 'whole'};
const BATCH = {
  title: 'Batch and queue', hint: 'Requests in the running batch, and those that wait.', format: gauge, id: 'batch',
  series: [
    {label: 'running', colour: 'good', value: (point) => point.running},
    {label: 'waiting', colour: 'bad', value: (point) => point.waiting},
  ],
  figures: [{label: 'backlog', value: (point) => duration(point.backlog), id: 'backlog'}],
};
const OPEN = {
  title: 'Open and in line', hint: 'Requests that are being served, and those that wait in front of a route.', format: gauge, id: 'batch',
  series: [{...BATCH.series[0], label: 'open'}, {...BATCH.series[1], label: 'in line'}],
  figures: [{label: 'retries', value: (point) => perSecond(point.retries), id: 'retries'}],
};
const TOKENS = {
  title: 'Tokens', hint: 'Per second: of prompts (in, cached ones included) and of answers (out).', format: number, id: 'tokens',
  series: [
    {label: 'out /s', colour: 'good', value: (point) => point.tokensOut},
    {label: 'in /s', colour: 'cool', value: (point) => point.tokensIn},
  ],
};
const MEMORY = {
  title: 'KV cache', hint: 'Share of its blocks in use, and of prompt tokens that were found in it.', format: share, max: 1, id: 'kv',
  series: [
    {label: 'in use', colour: 'cool', value: (point) => point.kvUsage},
    {label: 'hit rate', colour: 'good', value: (point) => point.hitRate},
  ],
};
const MATCH = {
  title: 'Known prefixes', hint: 'Share of prompts that the chosen upstream had in memory, as far as that is known.', format: share, max: 1, id: 'match',
  series: [{label: 'matched', colour: 'good', value: (point) => point.match}],
};

const PANELS = {
  server: [REQUESTS, FIRST, TOKEN, BATCH, TOKENS, MEMORY],
  gateway: [REQUESTS, FIRST, WHOLE, OPEN, TOKENS, MATCH],
};

// Chart, legend with figures: `draw(history, now)`.
export function panel(spec) {
  const canvas = h('canvas', {role: 'img', 'aria-label': `${spec.title}, last five minutes`});
  const own = spec.figures ?? [];
  const fromSeries = spec.isStacked ? [] : spec.series;
  const figures = [
    ...fromSeries.map((one) => ({...one, text: (point) => spec.format(one.value(point))})),
    ...own.map((one) => ({...one, text: one.value})),
  ].map((one) => ({...one, shown: h('dd', {'data-figure': one.id ?? `${spec.id}-${one.label}`}, NONE)}));
  const legend = h('dl.figures', figures.map((one) => h('div', h('dt', one.colour ? h(`i.swatch.c-${one.colour}`) : null, one.label), one.shown)));
  const element = h('section.panel', h('h2', {title: spec.hint}, spec.title), legend, h('div.chart', canvas));
  const chart = new TimeChart(canvas, spec);
  return {
    element, chart,
    draw(history, now) {
      const latest = history.latest;
      for (const one of figures) setText(one.shown, latest === null ? NONE : one.text(latest));
      const points = history.points.filter((point) => point.t > now - SHOWN_S - 5);
      const columns = spec.series.map((one) => points.map((point) => (point.isGap ? null : one.value(point) ?? null)));
      chart.show(points.map((point) => point.t), columns, now);
    },
  };
}

const MODES = {
  // Of the time of all requests that ended in the window.
  share: {title: 'share', format: share, max: 1, of: (groups, point, name, total) => (total > 0 ? (groups[name] ?? 0) / total : null)},
  request: {
    title: 'per request', format: duration, max: undefined,
    of: (groups, point, name) => (point.staged > 0 ? (groups[name] ?? 0) / point.staged : null),
  },
};

function stagePanel() {
  let mode = MODES.share;
  let draw = () => {};
  const canvas = h('canvas', {role: 'img', 'aria-label': 'Time of requests by stage, last five minutes'});
  const rows = h('tbody');
  const note = h('span.faint');
  const buttons = Object.values(MODES).map((one) => h('button', {
    type: 'button', 'aria-pressed': String(one === mode), onclick: () => choose(one),
  }, one.title));
  const element = h('section.panel.stages',
    h('h2', {title: 'Of requests that ended in the window. At any moment a request is in one stage, so they add up.'}, 'Where the time goes', note,
      h('span.toggle', {role: 'group', 'aria-label': 'What the chart shows'}, buttons)),
    h('div.split', h('div.chart.tall', canvas),
      h('div.legend', h('table', h('thead', h('tr', h('th', {scope: 'col'}, 'stage'), h('th', {scope: 'col'}, 'share'), h('th', {scope: 'col'}, 'per request'))), rows))));
  const series = GROUPS.map(({name, title}) => ({label: title, colour: `stage-${name}`, isArea: true, isStriped: name === 'unexplained'}));
  const chart = new TimeChart(canvas, {series, format: mode.format, max: mode.max, isStacked: true});

  function choose(one) {
    mode = one;
    buttons.forEach((button) => button.setAttribute('aria-pressed', String(button.textContent === one.title)));
    chart.setFormat(one.format, one.max);
    draw();
  }

  function show(history, now) {
    const points = history.points.filter((point) => point.t > now - SHOWN_S - 5);
    const grouped = points.map((point) => {
      const groups = byGroup(point.stages);
      return {point, groups, total: Object.values(groups).reduce((a, b) => a + b, 0)};
    });
    // Without requests a share is nothing, and lines to it would say otherwise.
    const columns = GROUPS.map(({name}) => grouped.map(({point, groups, total}) => (point.stages ? mode.of(groups, point, name, total) : null)));
    chart.show(points.map((point) => point.t), columns, now);
    showLegend(history, grouped.at(-1));
  }

  function showLegend(history, last) {
    const isKnown = last !== undefined && last.point.stages && last.total > 0;
    const found = isKnown ? GROUPS.filter(({name}) => last.groups[name] > 0) : [];
    reconcile(rows, found.toReversed(), (group) => group.name, makeLegendRow, (row, {name}) => {
      setText(row.children[1], share(last.groups[name] / last.total));
      setText(row.children[2], duration(last.groups[name] / last.point.staged));
    });
    setText(note, explain(history, last, isKnown));
  }

  return {element, chart, draw: (history, now) => (draw = () => show(history, now))()};
}

function makeLegendRow({name, title}) {
  return h('tr', {'data-stage': name}, h('th', {scope: 'row'}, h(`i.swatch.s-${name}`), title), h('td'), h('td'));
}

function explain(history, last, isKnown) {
  if (history.last !== null && history.last.stages === null) return 'No times by stage yet: they come with the first request that ends.';
  if (last === undefined || last.point.isGap) return 'Collecting: rates need two looks.';
  if (!isKnown) return 'No request ended in the window.';
  return `${count(last.point.staged)} requests, ${duration(last.total / last.point.staged)} each in the mean`;
}

export function overviewView(root, context) {
  if (context.kind === null) {
    root.append(h('p.note', 'Waiting for the first answer.'));
    return {};
  }
  const panels = PANELS[context.kind].map(panel);
  const stages = stagePanel();
  const since = h('p.note');
  if (!areChartsThere()) root.append(h('p.notice', 'Charts are missing: /console/chart.min.js was not served. Figures are not affected.'));
  root.append(h('div.panels', panels.map((one) => one.element)), stages.element, since);
  return {
    update() {
      const {history} = context;
      if (history.last === null) return;
      const now = history.last.t;
      for (const one of panels) one.draw(history, now);
      stages.draw(history, now);
      const first = history.points[0];
      setText(since, `Collected by this page since ${clock(first.t * 1000)}, kept while it is open. Figures are of the last ${history.windowS} s; ` +
        'percentiles are read from the buckets of histograms, as Prometheus does.');
    },
    close() {
      for (const one of [...panels, stages]) one.chart.destroy();
    },
  };
}
