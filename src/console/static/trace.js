// All records of one trace that this process has, on one axis of time.
import {Resource} from './api.js';
import {copyable, h, place, replace, setText} from './dom.js';
import {clock, duration, nanoseconds} from './format.js';
import {showBar, statusClass, statusText} from './requests.js';

function lane(record, beginNs, spanNs) {
  const bar = h('div.bar');
  showBar(bar, record, Math.max(record.total_ns / spanNs, 0.002));
  place(bar, {'margin-left': `${((record.begun_unix_ns - beginNs) / spanNs) * 100}%`});
  return h('div.lane.traced',
    h('span.what', h('a.id', {href: `#request/${encodeURIComponent(record.id)}`}, record.id), h('small', [record.method, record.route, record.model].filter(Boolean).join(' '))),
    h('div.track', bar), h('span.length', h(`span.status.${statusClass(record)}`, statusText(record)), ` ${nanoseconds(record.total_ns)}`));
}

export function traceView(root, context, argument) {
  const trace = new Resource(`/v1/traces/${encodeURIComponent(argument)}`);
  const note = h('p.note', {role: 'status'}, 'Asking.');
  const content = h('div');
  root.append(h('div.back', h('a', {href: '#requests'}, 'All requests'), note), content);

  function draw() {
    const records = Array.isArray(trace.value?.data) ? trace.value.data.toSorted((a, b) => a.begun_unix_ns - b.begun_unix_ns) : [];
    setText(note, trace.notice('This trace'));
    if (records.length === 0) return;
    const beginNs = records[0].begun_unix_ns;
    const endNs = Math.max(...records.map((record) => record.begun_unix_ns + record.total_ns));
    const spanNs = Math.max(endNs - beginNs, 1);
    replace(content, h('section.panel', h('h2', 'Trace ', copyable(argument)),
      h('p.note', `${records.length === 1 ? 'One request' : `${records.length} requests`} of this process, from ${clock(beginNs / 1e6, true)}, ${duration(spanNs / 1e9)} in all. ` +
        'What other processes did in it, their own consoles and a collector of spans know.'),
      h('div.waterfall', records.map((record) => lane(record, beginNs, spanNs)))));
  }

  return {pollMs: 5000, poll: () => trace.refresh().then(draw)};
}
