// The page's frame: which view is shown, the poll of once a second, and what is said when the server does not answer.
import {forgetKey, getJson, getText, keepKey} from './api.js';
import {h, replace, setClass, setText} from './dom.js';
import {longDuration} from './format.js';
import {History, snapshot} from './history.js';
import {parseMetrics} from './prometheus.js';
import {cacheView} from './cache.js';
import {overviewView} from './overview.js';
import {replicasView} from './replicas.js';
import {requestView} from './request.js';
import {requestsView} from './requests.js';
import {sloView} from './slo.js';
import {traceView} from './trace.js';

const POLL_MS = 1000;
const HIDDEN_POLL_MS = 5000;
const STALE_MS = 4000;

// A view is a function of (root, context, argument) that gives {update(), poll(), pollMs, close()}, all optional: `update` draws
// what the frame has polled, `poll` asks for what only this view needs.
const TABS = [
  {name: 'overview', title: 'Overview', view: overviewView},
  {name: 'requests', title: 'Requests', view: requestsView},
  {name: 'slo', title: 'Objectives', view: sloView},
  {name: 'replicas', title: 'Replicas', view: replicasView},
  {name: 'cache', title: 'Cache', view: cacheView},
];
const DETAILS = [
  {name: 'request', tab: 'requests', view: requestView},
  {name: 'trace', tab: 'requests', view: traceView},
];

const byId = (id) => document.getElementById(id);
const context = {
  history: new History(30),
  summary: null,       // of /console/data/summary, where there is one
  kind: null,          // 'server' or 'gateway'; null: not known yet
  isPaused: false,
  lastAnswerMs: null,
  error: null,         // of the last poll
};

let view = null;
let viewTimer = 0;
let hasSummary = true;

// "#request/id" or "#requests?min_ms=100" to {name, argument}.
function place() {
  const match = /^#?([a-z]*)[/?]?(.*)$/.exec(location.hash);
  return {name: match?.[1] || 'overview', argument: match?.[2] ?? ''};
}

function open() {
  if (location.hash === '#content') return;
  const {name, argument} = place();
  const entry = [...TABS, ...DETAILS].find((one) => one.name === name) ?? TABS[0];
  clearTimeout(viewTimer);
  view?.close?.();
  view = null;
  const root = h('div.view', {'data-view': entry.name});
  replace(byId('content'), root);
  for (const link of byId('tabs').children) {
    const isCurrent = link.dataset.tab === (entry.tab ?? entry.name);
    if (isCurrent) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  document.title = `${entry.title ?? argument.slice(0, 40)} · AutoGLM console`;
  view = entry.view(root, context, argument) ?? {};
  view.update?.();
  pollView(view);
}

async function pollView(polled) {
  if (polled.poll === undefined || polled !== view) return;
  if (!context.isPaused || !polled.wasPolled) await polled.poll();
  polled.wasPolled = true;
  if (polled !== view) return;
  clearTimeout(viewTimer);
  viewTimer = setTimeout(pollView, document.hidden ? HIDDEN_POLL_MS : polled.pollMs ?? 2000, polled);
}

async function pollOnce() {
  try {
    const [text, summary] = await Promise.all([getText('/metrics'), hasSummary ? getSummary() : null]);
    const taken = snapshot(parseMetrics(text), Date.now() / 1000);
    Object.assign(context, {summary: summary ?? context.summary, lastAnswerMs: Date.now(), error: null});
    const kind = summary?.kind ?? (taken.isGateway ? 'gateway' : 'server');
    const isNewKind = kind !== context.kind;
    context.kind = kind;
    context.history.push(taken);
    if (isNewKind) open();
  } catch (error) {
    context.error = error;
  }
}

// Servers without one are shown by their metrics alone.
async function getSummary() {
  try {
    return await getJson('/console/data/summary');
  } catch (error) {
    if (error.status === 404) hasSummary = false;
    else if (error.status !== 401) throw error;
    return null;
  }
}

async function loop() {
  if (!context.isPaused) await pollOnce();
  showFrame();
  view?.update?.();
  setTimeout(loop, document.hidden ? HIDDEN_POLL_MS : POLL_MS);
}

function showFrame() {
  const last = context.history.last;
  const version = context.summary?.version ?? last?.version;
  setText(byId('kind'), context.kind ?? '');
  const uptime = last === null || last.began === null ? null : last.t - last.began;
  setText(byId('about'), last === null ? '' : [context.summary?.name, version, uptime === null ? null : `up ${longDuration(uptime)}`]
    .filter(Boolean).join(' · '));
  const ageMs = context.lastAnswerMs === null ? null : Date.now() - context.lastAnswerMs;
  const isStale = context.error !== null && (ageMs === null || ageMs > STALE_MS);
  setClass(document.body, 'stale', isStale);
  setClass(document.body, 'paused', context.isPaused);
  const liveness = byId('liveness');
  liveness.dataset.state = isStale ? 'lost' : context.isPaused ? 'paused' : 'live';
  setText(liveness, isStale ? 'no answer' : context.isPaused ? 'paused' : ageMs === null ? 'connecting' : 'live');
  const notice = byId('notice');
  notice.hidden = !isStale;
  if (isStale) setText(notice, staleText(ageMs));
}

function staleText(ageMs) {
  const {status, message} = context.error;
  const what = status === 0 ? `This server does not answer (${message}).` : `This server answers with ${status}: ${message}`;
  const age = ageMs === null ? '' : ` What is shown is ${longDuration(ageMs / 1000)} old.`;
  return `${what}${age} Trying again every second.`;
}

function listen() {
  for (const {name, title} of TABS) byId('tabs').append(h('a', {href: `#${name}`, 'data-tab': name}, title));
  addEventListener('hashchange', open);
  byId('window').addEventListener('change', (event) => {
    context.history.setWindow(Number(event.target.value));
    view?.update?.();
  });
  byId('pause').addEventListener('click', () => {
    context.isPaused = !context.isPaused;
    byId('pause').setAttribute('aria-pressed', String(context.isPaused));
    setText(byId('pause'), context.isPaused ? 'Resume' : 'Pause');
    showFrame();
  });
  addEventListener('autoglm-key-wanted', ({detail}) => {
    if (detail.hadKey) forgetKey();
    if (detail.hadKey) setText(byId('login-error'), 'That key was refused.');
    byId('login').hidden = false;
  });
  byId('login').addEventListener('submit', (event) => {
    event.preventDefault();
    keepKey(byId('key').value.trim());
    byId('key').value = '';
    setText(byId('login-error'), '');
    byId('login').hidden = true;
    hasSummary = true;
    open();
  });
}

listen();
open();
loop();
