// What is not computed again: which prefixes the cache holds, where they lie, how often they are found.
import {Resource} from './api.js';
import {h, place, reconcile, replace, setText} from './dom.js';
import {bytes, count, longDuration, NONE, number, plural, share} from './format.js';
import {panel} from './overview.js';
import {treemap} from './treemap.js';

// Wide enough for a map that is wider than high; tiles are placed in percent of it.
const MAP_WIDTH = 300;
const MAP_HEIGHT = 100;
const MAX_TILES = 200;

const HIT_RATE = {
  title: 'Hit rate', hint: 'Share of looked up prompt tokens that were found in the cache.', format: share, max: 1, id: 'cache',
  series: [{label: 'hit rate', colour: 'good', value: (point) => point.hitRate}],
};
const PRESSURE = {
  title: 'Blocks in use, preemptions', hint: 'Share of blocks in use; preemptions are requests that gave theirs back.', format: share, max: 1, id: 'pressure',
  series: [{label: 'in use', colour: 'cool', value: (point) => point.kvUsage}],
  figures: [{label: 'preemptions', value: (point) => (point.preemptions === null ? NONE : `${number(point.preemptions)} /s`), id: 'preemptions'}],
};
const MATCH = {
  title: 'Known prefixes', hint: 'Share of prompts that the chosen upstream had in memory, as far as that is known.', format: share, max: 1, id: 'match',
  series: [{label: 'matched', colour: 'good', value: (point) => point.match}],
};

// One cache, or one for each model.
function cachesOf(answer) {
  const list = Array.isArray(answer) ? answer : Array.isArray(answer?.data) ? answer.data : answer ? [answer] : [];
  return list.filter((one) => one !== null && typeof one === 'object');
}

function segment(className, title, value, total) {
  return {className, title, value, share: total > 0 ? value / total : 0};
}

function blockSegments({blocks_total: total, blocks_used: used, blocks_free: free, evictable}) {
  if (typeof total !== 'number') return [];
  const known = Math.min(evictable ?? 0, used ?? total);
  return [
    segment('u-held', 'held by requests', (used ?? 0) - known, total),
    segment('u-kept', 'kept, may be evicted', known, total),
    segment('u-free', 'free', free ?? total - (used ?? 0), total),
  ];
}

function stripe(segments, label) {
  const text = segments.map((one) => `${one.title} ${count(one.value)}`).join(', ');
  return [
    h('div.strip', {role: 'img', 'aria-label': `${label}: ${text}`}, segments.map((one) => place(h(`i.${one.className}`, {title: `${one.title}: ${count(one.value)}`}), {'flex-grow': String(one.share)}))),
    h('dl.figures', segments.map((one) => h('div', h('dt', h(`i.swatch.${one.className}`), one.title), h('dd', `${count(one.value)} (${share(one.share)})`)))),
  ];
}

function tierRows(tiers) {
  const list = Array.isArray(tiers) ? tiers : [];
  const largest = Math.max(...list.map((tier) => tier.bytes ?? 0), 1);
  return list.map((tier) => h('tr', {'data-tier': tier.name}, h('th', {scope: 'row'}, String(tier.name)), h('td.meter-cell', h('div.meter', place(h('i.u-kept'), {width: `${((tier.bytes ?? 0) / largest) * 100}%`}))),
    h('td.num', bytes(tier.bytes)), h('td.num', typeof tier.blocks === 'number' ? plural(tier.blocks, 'block') : NONE)));
}

// Recency in five steps of logarithm: now, seconds, a minute, ten minutes, an hour, longer.
const AGES = [[5, 'a0', '< 5 s'], [60, 'a1', '< 1 min'], [600, 'a2', '< 10 min'], [3600, 'a3', '< 1 h'], [Infinity, 'a4', 'longer ago']];
const ageClass = (seconds) => (typeof seconds === 'number' ? AGES.find(([limit]) => seconds < limit)[1] : 'a4');

function updateTile(element, {item, x, y, width, height}, pixels) {
  const {prefix} = item;
  element.className = `tile ${ageClass(prefix.last_used_s)}${prefix.users > 0 ? ' in-use' : ''}`;
  place(element, {left: `${(x / MAP_WIDTH) * 100}%`, top: `${(y / MAP_HEIGHT) * 100}%`, width: `${(width / MAP_WIDTH) * 100}%`, height: `${(height / MAP_HEIGHT) * 100}%`});
  const text = [plural(prefix.tokens, 'token'), plural(prefix.blocks, 'block'), prefix.users > 0 ? `used by ${count(prefix.users)}` : 'not in use',
    typeof prefix.last_used_s === 'number' ? `last used ${prefix.last_used_s < 1 ? 'now' : `${longDuration(prefix.last_used_s)} ago`}` : null].filter(Boolean);
  element.title = text.join('\n');
  element.setAttribute('aria-label', text.join(', '));
  // Only where it fits.
  setText(element, width * pixels > 38 && height * pixels > 17 ? count(prefix.tokens) : '');
}

function prefixMap() {
  const map = h('div.map', {role: 'list', 'aria-label': 'Prefixes by size and recency'});
  const legend = h('dl.figures', AGES.map(([, className, title]) => h('div', h('dt', h(`i.swatch.${className}`), title))), h('div', h('dt', h('i.swatch.a1.in-use'), 'in use')));
  const note = h('p.note');
  return {
    element: h('div', h('h3', 'Prefixes: area by blocks, shade by last use'), map, legend, note),
    draw(prefixes) {
      const list = (Array.isArray(prefixes) ? prefixes : []).filter((prefix) => prefix?.blocks > 0).sort((a, b) => b.blocks - a.blocks);
      const shown = list.slice(0, MAX_TILES);
      const tiles = treemap(shown.map((prefix, index) => ({size: prefix.blocks, prefix, index})), MAP_WIDTH, MAP_HEIGHT);
      reconcile(map, tiles, (tile) => tile.item.index, () => h('div.tile', {role: 'listitem'}), (element, tile) => updateTile(element, tile, map.clientWidth / MAP_WIDTH));
      setText(note, list.length === 0 ? 'No prefix is cached.' : `${plural(list.length, 'prefix', 'prefixes')}${list.length > shown.length ? `, the ${MAX_TILES} largest shown` : ''}. A number is its tokens.`);
    },
  };
}

function makeCache(one) {
  const blocks = h('div');
  const tiers = h('tbody');
  const map = prefixMap();
  const element = h('section.panel', {'data-cache': one.model}, h('h2', String(one.model ?? 'Cache'), h('span.faint')), blocks, map.element,
    h('h3', 'Where it lies'), h('table.tiers', tiers));
  element.draw = (cache) => {
    setText(element.querySelector('h2 .faint'), typeof cache.block_tokens === 'number' ? `blocks of ${plural(cache.block_tokens, 'token')}, ${count(cache.blocks_total)} in all` : '');
    replace(blocks, stripe(blockSegments(cache), 'Blocks'));
    map.draw(cache.prefixes);
    replace(tiers, tierRows(cache.tiers));
  };
  return element;
}

export function cacheView(root, context) {
  if (context.kind === null) return {};
  const isGateway = context.kind === 'gateway';
  const cache = new Resource('/v1/cache');
  const note = h('p.note', {role: 'status'}, 'Asking.');
  const maps = h('div');
  const panels = (isGateway ? [MATCH] : [HIT_RATE, PRESSURE]).map(panel);
  root.append(h('div.panels.two', panels.map((one) => one.element)), note, maps);
  if (isGateway) setText(note, 'A gateway caches nothing itself: what each upstream has in memory, its own console shows.');

  function draw() {
    const missing = 'This server does not tell what its cache holds.';
    setText(note, cache.isMissing && cache.value === null ? missing : cache.notice('Cache'));
    reconcile(maps, cachesOf(cache.value), (one) => one.model ?? '', makeCache, (element, one) => element.draw(one));
  }

  return {
    get pollMs() { return cache.isMissing ? 30000 : 2000; },
    poll: isGateway ? undefined : () => cache.refresh().then(draw),
    update() {
      if (context.history.last !== null) for (const one of panels) one.draw(context.history, context.history.last.t);
    },
    close() {
      for (const one of panels) one.chart.destroy();
    },
  };
}
