// One request: its stages in time order, what the gateway tried, and the figures beside them.
import {Resource} from './api.js';
import {copyable, h, place, replace, setText} from './dom.js';
import {bytes, clock, count, duration, microseconds, nanoseconds, number, share} from './format.js';
import {statusClass, statusText, tokensText} from './requests.js';
import {byOrder, groupOf, meaningOf, stageTitle} from './stages.js';

// From here on what nobody can explain deserves a look.
const UNEXPLAINED_LIMIT = 0.05;

function tickStep(totalUs) {
  const power = 10 ** Math.floor(Math.log10(totalUs / 4));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => totalUs / step <= 6);
}

function axis(totalUs) {
  const step = tickStep(totalUs);
  const ticks = [];
  for (let at = 0; at <= totalUs; at += step) {
    ticks.push(place(h('span', at === 0 ? '0' : microseconds(at)), {left: `${(at / totalUs) * 100}%`}));
  }
  return h('div.lane.axis', h('span.what'), h('div.track', ticks), h('span.length'));
}

// A bar that is too short to be seen is drawn two pixels wide.
function bar(className, beginUs, lengthUs, totalUs) {
  return place(h(`i.${className}`), {left: `${(beginUs / totalUs) * 100}%`, width: `max(2px, ${(lengthUs / totalUs) * 100}%)`});
}

function mark(className, atUs, totalUs, title) {
  return place(h(`b.${className}`, {title}), {left: `${(atUs / totalUs) * 100}%`});
}

const isSuspicious = (record, stage) => groupOf(stage) === 'unexplained' && unexplainedShare(record) > UNEXPLAINED_LIMIT;

function spanLane(span, totalUs, firstUs, isUnexplained) {
  const beside = [
    span.tokens ? `${count(span.tokens)} tokens` : null, span.batch ? `batch ${count(span.batch)}` : null,
    span.parts > 1 ? `${count(span.parts)} pieces` : null,
  ].filter(Boolean).join(', ');
  return h(isUnexplained ? 'div.lane.is-unexplained' : 'div.lane', {'data-stage': span.stage, title: `${meaningOf(span.stage)}. Begins at ${microseconds(span.begin_us)}.`},
    h('span.what', stageTitle(span.stage), beside ? h('small', beside) : null),
    h('div.track', bar(`s-${groupOf(span.stage)}`, span.begin_us, span.length_us, totalUs), firstUs > 0 ? mark('first', firstUs, totalUs) : null),
    h('span.length', microseconds(span.length_us)));
}

function attemptLane(attempt, totalUs) {
  const endUs = attempt.end_us || totalUs;
  const kinds = ['retry', 'hedge', 'continuation'].filter((kind) => attempt[kind]);
  const outcome = attempt.failed ? `failed: ${attempt.failed}` : attempt.answer ? 'gave the answer' : attempt.end_us ? 'not used' : 'goes on';
  const status = attempt.status ? `${attempt.status}, ` : '';
  return h('div.lane.attempt', {title: `Began at ${microseconds(attempt.begin_us)}`},
    h('span.what', String(attempt.upstream ?? ''), h('small', [...kinds, `${status}${outcome}`].join(', '))),
    h('div.track', bar(attempt.failed ? 'a-failed' : attempt.answer ? 'a-answer' : 'a-other', attempt.begin_us, endUs - attempt.begin_us, totalUs),
      attempt.first_byte_us ? mark('first', attempt.first_byte_us, totalUs, `First byte at ${microseconds(attempt.first_byte_us)}`) : null),
    h('span.length', microseconds(endUs - attempt.begin_us)));
}

function waterfall(record) {
  const spans = Array.isArray(record.spans) ? record.spans : [];
  const attempts = Array.isArray(record.attempts) ? record.attempts : [];
  const totalUs = Math.max(record.total_ns / 1000, ...spans.map((span) => span.begin_us + span.length_us), 1);
  const firstUs = (record.first_token_ns ?? 0) / 1000;
  // Steps that follow each other closely are one span, with what lies between them.
  const note = h('p.note', firstUs > 0 ? [h('b.first-key'), ` first token after ${microseconds(firstUs)}. `] : null,
    record.stages_ns?.decode_stall > 0 ? 'The span of decode has its stalls within; the table of stages tells them apart.' : null);
  return h('section.panel', h('h2', 'Waterfall'), spans.length === 0 ? h('p.note', 'No spans were kept of it.') : null,
    h('div.waterfall', axis(totalUs), spans.map((span) => spanLane(span, totalUs, firstUs, isSuspicious(record, span.stage))),
      attempts.length > 0 ? h('h3', 'Attempts at upstreams') : null, attempts.map((attempt) => attemptLane(attempt, totalUs))),
    note);
}

// Little of it is normal; only much is worth a colour.
const unexplainedShare = (record) => (record.stages_ns?.unexplained ?? 0) / record.total_ns;

function stageTable(record) {
  const stages = Object.entries(record.stages_ns ?? {}).sort(([a], [b]) => byOrder(a, b));
  const sum = stages.reduce((total, [, ns]) => total + ns, 0);
  const rows = stages.map(([stage, ns]) => h(`tr${isSuspicious(record, stage) ? '.is-unexplained' : ''}`, {'data-stage': stage},
    h('th', {scope: 'row', title: meaningOf(stage)}, h(`i.swatch.s-${groupOf(stage)}`), stageTitle(stage)),
    h('td.num', nanoseconds(ns)), h('td.num', share(ns / record.total_ns))));
  const unexplained = unexplainedShare(record);
  const verdict = Math.abs(sum - record.total_ns) > 1000 ? `The stages add up to ${nanoseconds(sum)}, not to the total.`
    : unexplained > UNEXPLAINED_LIMIT ? `${share(unexplained)} of it is explained by no stage.` : `The stages add up to the total; ${share(unexplained)} is unexplained.`;
  return h('section.panel', h('h2', 'Stages'),
    h('table.stages', h('tbody', rows), h('tfoot', h('tr', h('th', {scope: 'row'}, 'total'), h('td.num', nanoseconds(record.total_ns)), h('td')))),
    h(unexplained > UNEXPLAINED_LIMIT ? 'p.note.warn' : 'p.note', verdict));
}

// [title, text, why it matters]; what a record does not have is left out.
function sideFigures(record) {
  const {tcp} = record;
  const tokens = record.completion_tokens;
  const perToken = tokens > 1 && record.first_token_ns ? (record.total_ns - record.first_token_ns) / (tokens - 1) : null;
  const given = (value, text) => (value === undefined || value === null ? null : text(value));
  return [
    ['tokens, in → out', tokens === undefined ? null : tokensText(record)],
    ['of the prompt from the cache', given(record.cached_tokens, (n) => `${count(n)} (${share(n / record.prompt_tokens)})`)],
    ['first token', given(record.first_token_ns, nanoseconds)],
    ['time per token after it', given(perToken, nanoseconds)],
    ['choices', record.choices > 1 ? count(record.choices) : null],
    ['steps, of which prefill', given(record.steps, (n) => `${count(n)}, ${count(record.prefill_steps ?? 0)}`)],
    ['batch, mean and largest', given(record.mean_batch, (n) => `${number(n)}, ${count(record.largest_batch)}`)],
    ['preemptions', given(record.preemptions, count), true],
    ['CPU time, its share', given(record.cpu_ns, nanoseconds)],
    ['waited for a processor', given(record.run_queue_ns, nanoseconds), record.run_queue_ns > 0.05 * record.total_ns],
    ['answer waited for the client', given(record.write_blocked_ns, nanoseconds), record.write_blocked_ns > 0.05 * record.total_ns],
    ['bytes received, sent', given(record.received_bytes, (n) => `${bytes(n)}, ${bytes(record.sent_bytes)}`)],
    ['TCP round trip', tcp ? `${microseconds(tcp.rtt_us)} ± ${microseconds(tcp.rtt_variation_us)}` : null],
    ['TCP smallest round trip', tcp ? microseconds(tcp.min_rtt_us) : null],
    ['retransmits of the connection', tcp ? count(tcp.retransmits) : null, tcp?.retransmits > 0],
    ['limited by the receiver', tcp?.receiver_limited_us ? microseconds(tcp.receiver_limited_us) : null, true],
    ['limited by the send buffer', tcp?.buffer_limited_us ? microseconds(tcp.buffer_limited_us) : null, true],
    ['delivery rate', tcp?.delivery_bytes_per_s ? `${bytes(tcp.delivery_bytes_per_s)}/s` : null],
  ].filter(([, text]) => text !== null);
}

function figuresPanel(record) {
  return h('section.panel', h('h2', 'Beside it'), h('dl.side', sideFigures(record).map(([title, text, isNotable]) =>
    h(isNotable ? 'div.warn' : 'div', h('dt', title), h('dd', text)))));
}

function headOf(record) {
  const facts = [
    ['model', record.model], ['route', [record.method, record.route].filter(Boolean).join(' ')], ['tenant', record.tenant], ['class', record.slo_class],
    ['upstream', record.upstream], ['begun', clock(record.begun_unix_ns / 1e6, true)],
  ].filter(([, value]) => value);
  return h('section.panel.head',
    h('div.line', copyable(record.id), h(`span.status.${statusClass(record)}`, statusText(record)), record.violates_slo ? h('span.status.is-late', 'broke an objective') : null,
      h('strong', {'data-figure': 'total'}, nanoseconds(record.total_ns))),
    h('dl.facts', facts.map(([title, value]) => h('div', h('dt', title), h('dd', String(value)))),
      record.trace_id ? h('div', h('dt', 'trace'), h('dd', copyable(record.trace_id), h('a', {href: `#trace/${encodeURIComponent(record.trace_id)}`}, 'show'))) : null));
}

function decoded(argument) {
  try {
    return decodeURIComponent(argument);
  } catch {
    return argument;
  }
}

export function requestView(root, context, argument) {
  const id = decoded(argument);
  const timing = new Resource(`/v1/requests/${encodeURIComponent(id)}/timing`);
  const note = h('p.note', {role: 'status'}, 'Asking.');
  const content = h('div');
  let shown = '';
  root.append(h('div.back', h('a', {href: '#requests'}, 'All requests'), note), content);

  return {
    pollMs: 1000,
    async poll() {
      // A request that has ended does not change any more.
      if (timing.value?.state === 'done') return;
      await timing.refresh();
      setText(note, timing.notice('This request'));
      const record = timing.value;
      const text = JSON.stringify(record);
      if (record === null || text === shown) return;
      shown = text;
      if (record.state !== 'done') setText(note, `It is being served: in ${stageTitle(record.state)}, ${duration(record.total_ns / 1e9)} so far.`);
      replace(content, headOf(record), waterfall(record), h('div.columns', stageTable(record), figuresPanel(record)));
    },
  };
}
