// The last requests, or those that are served now: which were slow, and in which stage.
import {Resource} from './api.js';
import {h, place, reconcile, setClass, setText} from './dom.js';
import {clock, count, nanoseconds, NONE} from './format.js';
import {groupOf, byOrder, stageTitle} from './stages.js';

// Of which some do not fit: servers choose by status one at a time, and keep 5xx and late ones for longer only.
const LIMIT = 200;
const MANY = 1000;
const SHOWN = {
  recent: {title: 'recent', query: ''},
  active: {title: 'being served', query: 'active=1'},
  failed: {title: 'failed', query: '', limit: MANY},
  kept: {title: '5xx or late, kept', query: 'kept=1'},
};
const ORDERS = {
  newest: {title: 'newest first', by: (a, b) => b.begun_unix_ns - a.begun_unix_ns},
  slowest: {title: 'slowest first', by: (a, b) => b.total_ns - a.total_ns},
  first: {title: 'late first token', by: (a, b) => (b.first_token_ns ?? 0) - (a.first_token_ns ?? 0)},
};

export const hasFailed = (record) => record.status >= 400 || Boolean(record.client_gone) || record.finish === 'error';

// Those that only look: this page itself is most of them.
const onlyReads = (record) => record.method === 'GET' && !record.model;

export function statusText(record) {
  if (record.state !== 'done') return stageTitle(record.state);
  if (record.client_gone) return `${record.status || ''} client left`.trim();
  return [record.status, record.refused ?? record.finish].filter(Boolean).join(' ');
}

export function statusClass(record) {
  if (record.state !== 'done') return 'is-active';
  if (record.status >= 500 || record.finish === 'error') return 'is-bad';
  if (hasFailed(record)) return 'is-warm';
  return record.violates_slo ? 'is-late' : 'is-good';
}

// One bar of all stages of a record, `scale` wide (1: the whole cell).
export function showBar(bar, record, scale = 1) {
  const stages = Object.entries(record.stages_ns ?? {}).filter(([, ns]) => ns > 0).sort(([a], [b]) => byOrder(a, b));
  const total = stages.reduce((sum, [, ns]) => sum + ns, 0);
  place(bar, {width: `${Math.max(scale * 100, 0.5)}%`});
  bar.setAttribute('role', 'img');
  const longest = stages.toSorted((a, b) => b[1] - a[1]).slice(0, 4).map(([name, ns]) => `${stageTitle(name)} ${nanoseconds(ns)}`);
  bar.setAttribute('aria-label', longest.join(', '));
  bar.title = longest.join('\n');
  reconcile(bar, stages, ([name]) => name, ([name]) => h(`i.s-${groupOf(name)}`), (part, [, ns]) => place(part, {'flex-grow': String(ns / total)}));
}

export function tokensText(record) {
  if (record.prompt_tokens === undefined && record.completion_tokens === undefined) return NONE;
  return `${count(record.prompt_tokens ?? 0)} → ${count(record.completion_tokens ?? 0)}`;
}

function makeRow(record, isGateway) {
  const link = h('a.id', {href: `#request/${encodeURIComponent(record.id)}`}, record.id);
  const row = h('tr', {onclick: (event) => event.target.closest('a') === null && getSelection().isCollapsed && (location.hash = link.hash)},
    h('td.when'), h('td.name', link), h('td.model'), h('td.tenant'), isGateway ? h('td.upstream') : null,
    h('td', h('span.status')), h('td.num.total'), h('td.num.first'), h('td.num.tokens'), h('td.cached.num'), h('td.time', h('div.bar')));
  return row;
}

function updateRow(row, record, scale) {
  const text = (selector, value) => setText(row.querySelector(selector), value);
  text('.when', clock(record.begun_unix_ns / 1e6, true));
  text('.model', record.model ?? record.route ?? NONE);
  for (const cell of ['.model', '.tenant', '.name']) row.querySelector(cell).title = row.querySelector(cell).textContent;
  text('.tenant', record.tenant ?? NONE);
  const upstream = row.querySelector('.upstream');
  if (upstream !== null) setText(upstream, (record.upstream ?? NONE) + (record.attempts_made > 1 ? ` (${record.attempts_made} attempts)` : ''));
  const status = row.querySelector('.status');
  setText(status, statusText(record));
  status.className = `status ${statusClass(record)}`;
  text('.total', nanoseconds(record.total_ns));
  text('.first', record.first_token_ns ? nanoseconds(record.first_token_ns) : NONE);
  text('.tokens', tokensText(record));
  text('.cached', record.cached_tokens ? count(record.cached_tokens) : NONE);
  showBar(row.querySelector('.bar'), record, scale);
  row.title = record.violates_slo ? 'Broke an objective' : '';
}

// What is asked for stands in the address, so that it can be sent to somebody.
function readFilter(argument) {
  const given = new URLSearchParams(argument);
  const known = (table, name, otherwise) => (Object.hasOwn(table, given.get(name) ?? '') ? given.get(name) : otherwise);
  return {
    show: known(SHOWN, 'show', 'recent'), order: known(ORDERS, 'order', 'newest'), scale: given.get('scale') === 'time' ? 'time' : 'share',
    min_ms: /^\d{1,7}$/.test(given.get('min_ms') ?? '') ? given.get('min_ms') : '', model: given.get('model') ?? '', tenant: given.get('tenant') ?? '',
    reads: given.get('reads') === '1',
  };
}

function writeFilter(filter) {
  const kept = new URLSearchParams();
  const usual = readFilter('');
  for (const [name, value] of Object.entries(filter)) if (value !== usual[name]) kept.set(name, value === true ? '1' : value);
  history.replaceState(null, '', kept.size > 0 ? `#requests?${kept}` : '#requests');
}

const limitOf = (filter) => SHOWN[filter.show].limit ?? LIMIT;

function pathOf(filter) {
  const query = new URLSearchParams(SHOWN[filter.show].query);
  query.set('limit', limitOf(filter));
  for (const name of ['min_ms', 'model', 'tenant']) if (filter[name] !== '') query.set(name, filter[name]);
  return `/v1/requests?${query}`;
}

const select = (name, table, current) => h('select', {name}, Object.entries(table).map(([value, {title}]) => h('option', {value, selected: value === current}, title)));

export function requestsView(root, context, argument) {
  const filter = readFilter(argument);
  const list = new Resource(() => pathOf(filter));
  const isGateway = context.kind === 'gateway';
  const models = h('datalist', {id: 'models'});
  const tenants = h('datalist', {id: 'tenants'});
  const note = h('p.note', {role: 'status'}, 'Asking.');
  const body = h('tbody');
  const form = h('form.filter', {onsubmit: (event) => event.preventDefault(), onchange: change},
    h('label', 'show', select('show', SHOWN, filter.show)),
    h('label', 'at least', h('input', {name: 'min_ms', type: 'number', min: 0, max: 9999999, step: 1, value: filter.min_ms, placeholder: '0'}), 'ms'),
    h('label', 'model', h('input', {name: 'model', type: 'text', list: 'models', value: filter.model, placeholder: 'any', autocomplete: 'off'})),
    h('label', 'tenant', h('input', {name: 'tenant', type: 'text', list: 'tenants', value: filter.tenant, placeholder: 'any', autocomplete: 'off'})),
    h('label', 'order', select('order', ORDERS, filter.order)),
    h('label', 'bars', select('scale', {share: {title: 'share of each'}, time: {title: 'to one scale'}}, filter.scale)),
    h('label.check', h('input', {name: 'reads', type: 'checkbox', checked: filter.reads}), 'with reads'), models, tenants);
  const head = ['begun', 'request', 'model', 'tenant', isGateway ? 'upstream' : null, 'status', 'total', 'first token', 'tokens', 'cached', 'where the time went']
    .filter(Boolean).map((title) => h('th', {scope: 'col', class: ['total', 'first token', 'tokens', 'cached'].includes(title) ? 'num' : null}, title));
  root.append(form, note, h('div.scroll', h('table.requests', h('thead', h('tr', head)), body)));

  function change() {
    const given = new FormData(form);
    for (const name of ['show', 'order', 'scale', 'model', 'tenant']) filter[name] = String(given.get(name)).trim();
    filter.min_ms = String(Math.max(0, Math.round(Number(given.get('min_ms')))) || '');
    filter.reads = given.has('reads');
    writeFilter(filter);
    list.refresh().then(draw);
  }

  function draw() {
    const all = Array.isArray(list.value?.data) ? list.value.data.filter((record) => typeof record?.id === 'string') : [];
    const wanted = all.filter((record) => (filter.reads || !onlyReads(record)) && (filter.show !== 'failed' || hasFailed(record)));
    const sorted = wanted.toSorted(ORDERS[filter.order].by);
    const longest = Math.max(...sorted.map((record) => record.total_ns), 1);
    reconcile(body, sorted, (record) => `${record.id} ${record.span_id}`, (record) => makeRow(record, isGateway),
      (row, record) => updateRow(row, record, filter.scale === 'time' ? record.total_ns / longest : 1));
    offer(models, all.map((record) => record.model));
    offer(tenants, all.map((record) => record.tenant));
    setClass(body.parentElement, 'old', list.error !== null);
    setText(note, list.notice('Requests') || summarize(all, wanted));
  }

  function summarize(all, wanted) {
    const {finished, active} = list.value;
    const hidden = all.length - wanted.length;
    const what = wanted.length === 0 ? 'None of that kind' : `${count(wanted.length)} shown`;
    return `${what}${hidden > 0 ? `, ${count(hidden)} left out (reads, or not of that kind)` : ''}${all.length >= limitOf(filter) ? `; the newest ${limitOf(filter)} were looked at` : ''}. ` +
      `${count(finished)} finished since the start, ${count(active)} being served.`;
  }

  return {get pollMs() { return limitOf(filter) > LIMIT ? 5000 : 2000; }, poll: () => list.refresh().then(draw)};
}

function offer(datalist, values) {
  reconcile(datalist, [...new Set(values.filter(Boolean))].sort(), (value) => value, (value) => h('option', {value}), () => {});
}
