// "Why did traffic go there?": a request that is described, and each scorer's word on every upstream.
import {getJson} from './api.js';
import {h, place, reconcile, replace, setText} from './dom.js';
import {NONE, number} from './format.js';

// Weighted words of the scorers, and their sum. Words may be negative; the bar is what an upstream leads the last one by.
function resultTable(answer) {
  const candidates = Array.isArray(answer.candidates) ? answer.candidates : [];
  const scorers = [...new Set(candidates.flatMap((one) => Object.keys(one.scores ?? {})))];
  const totals = candidates.map((one) => one.total).filter((total) => typeof total === 'number');
  const best = Math.max(...totals);
  const worst = Math.min(...totals);
  const weightOf = (name) => candidates.find((one) => one.scores?.[name])?.scores[name].weight;
  const head = h('tr', h('th', {scope: 'col'}, 'upstream'),
    scorers.map((name) => h('th.num', {scope: 'col'}, name, h('small', `× ${number(weightOf(name))}`))), h('th.num', {scope: 'col'}, 'total'), h('th', {scope: 'col'}, ''));
  const rows = candidates.toSorted((a, b) => (b.total ?? -Infinity) - (a.total ?? -Infinity)).map((one) => {
    if (one.left_out) return h('tr', h('td.name', h('span.id', one.upstream)), h('td.warn', {colspan: scorers.length + 2}, `left out: ${one.left_out}`));
    const lead = best > worst ? (one.total - worst) / (best - worst) : 1;
    return h('tr', {'data-upstream': one.upstream}, h('td.name', h('span.id', one.upstream)),
      scorers.map((name) => h('td.num', one.scores?.[name] ? number(one.scores[name].score) : NONE)), h('td.num', h('strong', number(one.total))),
      h('td.meter-cell', h('div.meter', place(h('i.s-decode'), {width: `${lead * 100}%`}))));
  });
  return [
    h('div.scroll', h('table.scores', h('thead', head), h('tbody', rows))),
    h('p.note', verdict(answer, candidates, totals, best)),
  ];
}

function verdict(answer, candidates, totals, best) {
  if (candidates.length === 0) return 'The route has no upstreams.';
  if (totals.length === 0) return 'All upstreams are left out: such a request would wait in line.';
  const leaders = candidates.filter((one) => one.total === best).map((one) => one.upstream);
  const where = leaders.length === 1 ? `to ${leaders[0]}` : `to one of ${leaders.length} that score alike`;
  return `By policy ${answer.policy ?? NONE} such a request would go ${where} now. This asks nobody and changes nothing.`;
}

export function explainPanel() {
  const route = h('select', {name: 'route'});
  const result = h('div', {'aria-live': 'polite'});
  const field = (name, title, placeholder) => h('label', title, h('input', {name, type: 'text', placeholder, autocomplete: 'off'}));
  const form = h('form.filter.explain', {onsubmit: ask}, h('label', 'route', route), field('model', 'model', 'any'), field('session', 'session', 'none'),
    h('label.wide', 'prompt', h('textarea', {name: 'prompt', rows: 2, placeholder: 'its beginning, as the upstream would see it'})), h('button', {type: 'submit'}, 'Explain'));

  async function ask(event) {
    event.preventDefault();
    const query = new URLSearchParams();
    for (const [name, value] of new FormData(form)) if (value !== '') query.set(name, value);
    // As the gateway reads queries: a blank is %20.
    try {
      replace(result, resultTable(await getJson(`/gateway/explain?${query.toString().replaceAll('+', '%20')}`)));
    } catch (error) {
      replace(result, h('p.note.warn', `No explanation: ${error.message}`));
    }
  }

  function offer(names) {
    reconcile(route, names, (name) => name, (name) => h('option', {value: name}), (option, name) => setText(option, name));
  }

  const element = h('section.panel', h('h2', 'Why did traffic go there?'), form, result);
  return {element, offer};
}
