// Who computes: a gateway's upstreams and why traffic goes where it goes, or a server's models.
import {Resource} from './api.js';
import {h, place, reconcile, setClass, setText} from './dom.js';
import {explainPanel} from './explain.js';
import {bytes, count, duration, NONE, number, share} from './format.js';

export function replicasView(root, context) {
  if (context.kind === null) return {};
  return context.kind === 'gateway' ? gatewayReplicas(root, context) : serverModels(root, context);
}

const stateClass = (state) => ({available: 'is-good', loaded: 'is-good', closed: 'is-good', draining: 'is-warm', 'half-open': 'is-warm', loading: 'is-warm'}[state] ??
  (state === 'unloaded' ? 'is-quiet' : 'is-bad'));

function status(element, state) {
  setText(element, state ?? NONE);
  element.className = `status ${stateClass(state)}`;
}

const milliseconds = (ms) => (typeof ms === 'number' ? duration(ms / 1000) : NONE);

const UPSTREAM_COLUMNS = ['upstream', 'state', 'breaker', 'traffic', '', 'in flight', 'failed', 'first byte', 'round trip', 'weight', 'it says: run, wait, KV'];
const NUMERIC = new Set(['traffic', 'in flight', 'failed', 'first byte', 'round trip', 'weight', 'it says: run, wait, KV']);

const headRow = (titles) => h('tr', titles.map((title) => h('th', {scope: 'col', class: NUMERIC.has(title) ? 'num' : null}, title)));

function makeUpstream({name, url}) {
  return h('tr', {'data-upstream': name}, h('td.name', h('span.id', name), url && url !== name ? h('small', url) : null), h('td', h('span.status')), h('td', h('span.status')),
    h('td.num'), h('td.meter-cell', h('div.meter', h('i.s-prefill'))), h('td.num'), h('td.num'), h('td.num'), h('td.num'), h('td.num'), h('td.num'));
}

function updateUpstream(row, one, live) {
  const cells = row.children;
  status(cells[1].firstChild, one.state);
  status(cells[2].firstChild, one.breaker);
  setText(cells[3], share(live.share));
  place(cells[4].querySelector('i'), {width: `${(live.share ?? 0) * 100}%`});
  setText(cells[5], count(one.inflight));
  setText(cells[6], live.requests > 0 ? share(live.failures / live.requests) : NONE);
  setClass(cells[6], 'warn', live.failures > 0);
  setText(cells[7], milliseconds(one.response_ms));
  setText(cells[8], milliseconds(one.round_trip_ms));
  // Slow start: what came back gets its share little by little.
  setText(cells[9], number(one.weight) + (one.share < 1 ? ` × ${number(one.share)}` : ''));
  setText(cells[10], one.reported ? `${count(one.reported.running)}, ${count(one.reported.waiting)}, ${share(one.reported.kv_usage)}` : NONE);
  cells[3].title = `${count(one.requests)} requests since the start, ${count(one.failures)} failed`;
}

function makeRoute(route) {
  const element = h('section.panel', {'data-route': route.name}, h('h2', `Route ${route.name}`, h('span.faint')), h('div.scroll', h('table.upstreams', h('thead', headRow(UPSTREAM_COLUMNS)), h('tbody'))));
  return element;
}

function updateRoute(element, route, upstreams) {
  const policy = route.next_request?.policy;
  const facts = [policy ? `policy ${policy}` : null, `${count(route.waiting)} waiting`, `${count(route.retries_left)} retries left`,
    typeof route.known_prefix_blocks === 'number' ? `${count(route.known_prefix_blocks)} blocks known` : null];
  setText(element.querySelector('h2 .faint'), facts.filter(Boolean).join(' · '));
  const list = Array.isArray(route.upstreams) ? route.upstreams : [];
  const of = (one) => upstreams[`${route.name} ${one.name}`] ?? {requests: 0, failures: 0};
  const all = list.reduce((sum, one) => sum + of(one).requests, 0);
  reconcile(element.querySelector('tbody'), list, (one) => one.name, makeUpstream,
    (row, one) => updateUpstream(row, one, {...of(one), share: all > 0 ? of(one).requests / all : null}));
}

function gatewayReplicas(root, context) {
  const gateway = new Resource('/gateway/status');
  const note = h('p.note', {role: 'status'}, 'Asking.');
  const routes = h('div');
  const explain = explainPanel();
  root.append(note, routes, explain.element);

  function draw() {
    const list = Array.isArray(gateway.value?.routes) ? gateway.value.routes : [];
    const upstreams = context.history.latest?.upstreams ?? {};
    reconcile(routes, list, (route) => route.name, makeRoute, (element, route) => updateRoute(element, route, upstreams));
    setClass(routes, 'old', gateway.error !== null);
    explain.offer(list.map((route) => route.name));
    const modes = [gateway.value?.draining ? 'This gateway is draining.' : null, gateway.value?.faults_allowed ? 'Faults on purpose are allowed.' : null];
    setText(note, gateway.notice('Upstreams') || [...modes, `Traffic and failures are of the last ${context.history.windowS} s.`].filter(Boolean).join(' '));
  }

  return {pollMs: 1000, poll: () => gateway.refresh().then(draw), update: draw};
}

const MODEL_COLUMNS = ['model', 'state', 'running', 'waiting', 'backlog', 'KV in use', '', 'memory', 'context', 'loads, evictions'];
const MODEL_NUMERIC = new Set(['running', 'waiting', 'backlog', 'KV in use', 'memory', 'context', 'loads, evictions']);

function makeModel({name}) {
  return h('tr', {'data-model': name}, h('td.name', h('span.id', name)), h('td', h('span.status')), h('td.num'), h('td.num'), h('td.num'), h('td.num'),
    h('td.meter-cell', h('div.meter', h('i.s-prefill'))), h('td.num'), h('td.num'), h('td.num'));
}

function updateModel(row, one) {
  const cells = row.children;
  status(cells[1].firstChild, one.state);
  setText(cells[2], count(one.running));
  setText(cells[3], count(one.waiting));
  setText(cells[4], duration(one.backlog_s));
  setText(cells[5], share(one.kv_usage));
  place(cells[6].querySelector('i'), {width: `${(one.kv_usage ?? 0) * 100}%`});
  setText(cells[7], bytes(one.memory_bytes));
  setText(cells[8], typeof one.max_model_len === 'number' ? `${count(one.max_model_len)} tokens` : NONE);
  setText(cells[9], `${count(one.loads)}, ${count(one.evictions)}`);
}

// Which there are, say /v1/models and the summary; how they are, the metrics.
function serverModels(root, context) {
  const models = new Resource('/v1/models');
  const note = h('p.note', {role: 'status'}, 'Asking.');
  const body = h('tbody');
  const process = h('p.note');
  root.append(note, h('section.panel', h('h2', 'Models'), h('div.scroll', h('table.models', h('thead', h('tr', MODEL_COLUMNS.map((title) => h('th', {scope: 'col', class: MODEL_NUMERIC.has(title) ? 'num' : null}, title)))), body)), process));

  function draw() {
    const listed = Array.isArray(models.value?.data) ? models.value.data : [];
    const live = Array.isArray(context.summary?.models) ? context.summary.models : [];
    const known = new Map(listed.map((one) => [one.id, {...one, name: one.id}]));
    for (const one of live) known.set(one.name, {...known.get(one.name), ...one});
    for (const [name, one] of known) known.set(name, {...one, ...context.history.last?.models[name]});
    reconcile(body, [...known.values()], (one) => one.name, makeModel, updateModel);
    setText(note, models.notice('Models') || (known.size === 0 ? 'No model is served.' : ''));
    const latest = context.history.latest;
    setText(process, latest === null ? '' : `This process: ${bytes(latest.memory)} in memory, ${number(latest.cpu)} processors busy.`);
  }

  return {pollMs: 3000, poll: () => models.refresh().then(draw), update: draw};
}
