// Which promises are kept: budgets, how fast they are used up, who was called, and whether changes may be made.
import {Resource} from './api.js';
import {h, place, replace, setText} from './dom.js';
import {count, duration, longDuration, NONE, number, share, unixSeconds} from './format.js';

// Of the alerts that Google's SRE workbook describes: a page at 14.4 and 6, a ticket at 3 and 1.
const PAGE_BURN = 14.4;
const URGENT_BURN = 6;

// The answer of GET /v1/slo: {gate: {state, reason}, slos: [...]}. Burn rates stand by window, or windows by burn rate.
function objectivesOf(answer) {
  const list = answer?.slos ?? answer?.objectives ?? [];
  return (Array.isArray(list) ? list : []).map((one) => ({
    ...one,
    windows: one.windows ?? Object.fromEntries(Object.entries(one.burn_rate ?? {}).map(([name, burn_rate]) => [name, {burn_rate, error_ratio: one.error_ratio?.[name]}])),
    total: one.total ?? (typeof one.good === 'number' ? one.good + (one.bad ?? 0) : undefined),
    alerts: Array.isArray(one.alerts) ? one.alerts : [],
  }));
}

function gatePanel(gate) {
  if (gate === undefined || gate === null) return null;
  const state = String(gate.state ?? (gate.open === true ? 'open' : gate.open === false ? 'closed' : 'unknown'));
  const className = {open: 'is-good', closed: 'is-bad'}[state] ?? 'is-warm';
  const meaning = {open: 'Changes may be made', closed: 'Changes should wait'}[state] ?? 'Whether changes may be made is not known';
  return h('section.panel.gate', {'data-gate': state}, h(`span.status.${className}`, `gate ${state}`), h('strong', meaning), h('span.faint', String(gate.reason ?? '')));
}

function budgetBar(remaining) {
  const isKnown = typeof remaining === 'number';
  const isOverspent = isKnown && remaining < 0;
  const fill = place(h(`i.${!isKnown || remaining > 0.25 ? 'is-good' : remaining > 0 ? 'is-warm' : 'is-bad'}`), {width: `${isOverspent ? 100 : Math.min(isKnown ? remaining : 0, 1) * 100}%`});
  if (isOverspent) fill.classList.add('overspent');
  const text = !isKnown ? NONE : remaining < 0 ? `overspent by ${share(-remaining)}` : `${share(remaining)} left`;
  return h('div.budget', h('span', 'error budget'), h('div.meter', {role: 'img', 'aria-label': `Error budget: ${text}`}, fill), h('strong', {'data-figure': 'budget'}, text));
}

const SECONDS = {s: 1, m: 60, h: 3600, d: 86400, w: 604800};
const windowSeconds = (name) => Number.parseFloat(name) * (SECONDS[name.at(-1)] ?? 1) || 0;

function burnRow([name, {burn_rate: burn, error_ratio: errors, bad, total}]) {
  const className = burn >= PAGE_BURN ? 'is-bad' : burn >= 1 ? 'is-warm' : 'is-good';
  // A logarithm: 0.1 at the left end, 100 at the right, 1 a third of the way.
  const width = burn > 0 ? Math.min(Math.max((Math.log10(burn) + 1) / 3, 0.01), 1) : 0;
  return h('tr', {'data-window': name}, h('th', {scope: 'row'}, name), h('td.num', typeof burn === 'number' ? number(burn) : NONE),
    h('td.burn', h('div.meter', h('b.one', {title: '1: exactly used up at the end of the window'}), h('b.six', {title: `${URGENT_BURN}`}), h('b.page', {title: `${PAGE_BURN}`}),
      place(h(`i.${className}`), {width: `${width * 100}%`}))),
    h('td.num', share(errors)), h('td.num.faint', total === undefined ? NONE : `${count(bad)} of ${count(total)}`));
}

const th = (title, className) => h('th', {scope: 'col', class: className}, title);

function alertChip({severity, state, since}) {
  const isFiring = state === 'firing' || state === true;
  const began = unixSeconds(since);
  const age = began === null || began <= 0 ? '' : ` for ${longDuration(Date.now() / 1000 - began)}`;
  return h(`span.status.${isFiring ? (severity === 'page' ? 'is-bad' : 'is-warm') : 'is-quiet'}`, `${severity}: ${isFiring ? 'firing' : state ?? 'inactive'}${age}`);
}

// Only addresses of pages become links; a configuration may say anything.
function runbook(url) {
  if (!url) return null;
  return /^https?:\/\//.test(url) ? h('a', {href: url, rel: 'noreferrer noopener', target: '_blank'}, 'runbook') : h('code', String(url));
}

function card(one) {
  const goal = [
    one.threshold_seconds === undefined ? null : `within ${duration(one.threshold_seconds)}`,
    typeof one.target === 'number' ? `${Number((one.target * (one.target > 1 ? 1 : 100)).toPrecision(6))} % over ${one.window ?? NONE}` : null,
  ].filter(Boolean).join(', ');
  const windows = Object.entries(one.windows ?? {}).sort(([a], [b]) => windowSeconds(a) - windowSeconds(b));
  const head = [h('h2', [one.service, one.name].filter(Boolean).join(' / '), h('span.faint', [one.objective, goal].filter(Boolean).join(': '))),
    one.description || one.runbook_url ? h('p.note', String(one.description ?? ''), ' ', runbook(one.runbook_url)) : null];
  const gate = one.gate ? gatePanel(one.gate) : null;
  if (one.unknown) return h('section.panel.objective', {'data-objective': one.name}, head, h('p.note.warn', `Nothing is known of it: ${one.unknown}`), gate);
  return h('section.panel.objective', {'data-objective': one.name}, head, budgetBar(one.budget_remaining),
    h('p.note', `${count(one.bad)} bad of ${count(one.total)} requests in ${one.window ?? 'the window'}`),
    h('div.line', one.alerts.map(alertChip)),
    h('table', h('thead', h('tr', th('window'), th('burn rate', 'num'), h('th', {scope: 'col'}, h('div.scale', h('b.one', '1'), h('b.six', `${URGENT_BURN}`), h('b.page', `${PAGE_BURN}`))), th('bad', 'num'), th('requests', 'num'))),
      h('tbody', windows.map(burnRow))),
    gate);
}

export function sloView(root) {
  const status = new Resource('/v1/slo');
  const note = h('p.note', {role: 'status'}, 'Asking.');
  const content = h('div.cards');
  let shown = '';
  root.append(note, content);

  function draw() {
    if (status.isMissing && status.value === null) {
      setText(note, 'No objectives are configured here. With a file of them this page shows budgets, burn rates and alerts; docs/slo.md describes it.');
      return;
    }
    const objectives = objectivesOf(status.value);
    setText(note, status.notice('Objectives') || (objectives.length === 0 ? 'The file of objectives is empty.' : ''));
    const text = JSON.stringify(status.value);
    // Ages of alerts change by the minute even where nothing else does.
    if (status.value === null || text + Math.floor(Date.now() / 10000) === shown) return;
    shown = text + Math.floor(Date.now() / 10000);
    replace(content, gatePanel(status.value.gate), objectives.map(card));
  }

  return {get pollMs() { return status.isMissing ? 30000 : 3000; }, poll: () => status.refresh().then(draw)};
}
