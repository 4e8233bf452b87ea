// Lines and stacked areas over the last five minutes, by Chart.js. Axes keep their width, and scales shrink late, so that nothing
// jumps from second to second.
import {SHOWN_S} from './history.js';
import {clock} from './format.js';

const AXIS_WIDTH = 52;
const Y_PARTS = 4;
const charts = new Set();

export const areChartsThere = () => typeof globalThis.Chart === 'function';

export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

// 1, 2 or 5 times a power of ten.
function roundUp(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value * 0.9999);
}

// Grey stripes: what nobody can explain must not look like a colour among others.
function stripes(name) {
  const tile = document.createElement('canvas');
  tile.width = tile.height = 6;
  const context = tile.getContext('2d');
  context.fillStyle = colour('panel');
  context.fillRect(0, 0, 6, 6);
  context.strokeStyle = colour(name);
  context.lineWidth = 2;
  for (const shift of [-6, 0, 6]) {
    context.beginPath();
    context.moveTo(shift, 6);
    context.lineTo(shift + 6, 0);
    context.stroke();
  }
  return context.createPattern(tile, 'repeat');
}

function paint(dataset) {
  dataset.borderColor = colour(dataset.colourName);
  if (dataset.fill) dataset.backgroundColor = dataset.isStriped ? stripes(dataset.colourName) : colour(dataset.colourName);
}

function makeDataset({label, colour: colourName, isArea, isStriped}) {
  return {
    label, colourName, isStriped, data: [], fill: isArea ? 'stack' : false, borderWidth: isArea ? 0 : 1.5, pointRadius: 0,
    pointHitRadius: 0, pointHoverRadius: isArea ? 0 : 3, spanGaps: false,
  };
}

// {series: [{label, colour, isArea, isStriped}], format, max}: `max` fixes the scale, `isStacked` adds the series up.
export class TimeChart {
  #chart = null;
  #max = 0;
  #fixedMax;

  constructor(canvas, {series, format, max, isStacked = false}) {
    this.#fixedMax = max;
    if (!areChartsThere()) return;
    globalThis.Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
    this.#chart = new globalThis.Chart(canvas, {
      type: 'line',
      data: {datasets: series.map(makeDataset)},
      options: options(format, isStacked),
    });
    this.paint();
    charts.add(this);
  }

  // `columns`: for each series its values, null where there is none; `times` in seconds. A young page shows what it has, at least a minute.
  show(times, columns, now) {
    if (this.#chart === null) return;
    const {data, options: {scales}} = this.#chart;
    columns.forEach((values, index) => {
      data.datasets[index].data = values.map((y, i) => ({x: times[i], y}));
      data.datasets[index].hidden = values.every((value) => value === null || value === 0) && data.datasets[index].fill !== false;
    });
    const begin = Math.min(Math.max(times[0] ?? now, now - SHOWN_S), now - 60);
    Object.assign(scales.x, {min: begin, max: now});
    scales.y.max = this.#fixedMax ?? this.#maxOf(columns, scales.y.stacked);
    this.#chart.update('none');
  }

  #maxOf(columns, isStacked) {
    let top = 0;
    const length = columns[0]?.length ?? 0;
    for (let i = 0; i < length; ++i) {
      const values = columns.map((column) => column[i] ?? 0);
      top = Math.max(top, isStacked ? values.reduce((a, b) => a + b, 0) : Math.max(...values));
    }
    const wanted = roundUp(top * 1.05);
    if (wanted > this.#max || wanted < this.#max * 0.3) this.#max = wanted;
    return this.#max;
  }

  setFormat(format, max) {
    this.#fixedMax = max;
    this.#max = 0;
    if (this.#chart !== null) Object.assign(this.#chart.options, options(format, this.#chart.options.scales.y.stacked));
    this.paint();
  }

  paint() {
    if (this.#chart === null) return;
    this.#chart.data.datasets.forEach(paint);
    for (const scale of Object.values(this.#chart.options.scales)) {
      scale.grid.color = colour('line');
      scale.grid.borderColor = colour('line');
      scale.ticks.color = colour('faint');
    }
    this.#chart.update('none');
  }

  destroy() {
    charts.delete(this);
    this.#chart?.destroy();
  }
}

const MINUTES = {
  type: 'linear',
  grid: {drawTicks: false, display: true},
  afterBuildTicks: (scale) => {
    const seconds = scale.max - scale.min;
    const step = [15, 30, 60, 120].find((one) => (one / seconds) * scale.width > (one < 60 ? 68 : 44)) ?? 300;
    scale.ticks = [];
    for (let t = Math.ceil(scale.min / step) * step; t <= scale.max; t += step) scale.ticks.push({value: t});
  },
  ticks: {autoSkip: true, maxRotation: 0, padding: 6, callback: (t) => clock(t * 1000).slice(0, t % 60 === 0 ? 5 : 8)},
};

function options(format, isStacked) {
  return {
    animation: false, parsing: false, normalized: true, responsive: true, maintainAspectRatio: false, events: ['mousemove', 'mouseout'],
    interaction: {mode: 'index', intersect: false, axis: 'x'},
    layout: {padding: {right: 8, top: 6}},
    scales: {
      x: {...MINUTES, grid: {...MINUTES.grid}, ticks: {...MINUTES.ticks, font: {size: 11}}},
      y: {
        type: 'linear', stacked: isStacked, min: 0, grid: {drawTicks: false, drawBorder: false},
        afterFit: (scale) => (scale.width = AXIS_WIDTH),
        afterBuildTicks: (scale) => {
          const parts = scale.chart.height > 150 ? Y_PARTS : 2;
          scale.ticks = Array.from({length: parts + 1}, (_, index) => ({value: (scale.max * index) / parts}));
        },
        // Round numbers need no decimals.
        ticks: {padding: 6, font: {size: 11}, callback: (value) => format(value).replace(/(\.\d*?)0+(?!\d)/, '$1').replace(/\.(?!\d)/, '')},
      },
    },
    plugins: {
      legend: {display: false},
      tooltip: {
        filter: (item) => item.parsed.y !== null && (item.parsed.y !== 0 || !isStacked), position: 'nearest', animation: false,
        caretSize: 0, boxPadding: 4, itemSort: isStacked ? (a, b) => b.datasetIndex - a.datasetIndex : undefined,
        callbacks: {
          title: (items) => (items.length > 0 ? clock(items[0].parsed.x * 1000) : ''),
          label: (item) => `${item.dataset.label}  ${format(item.parsed.y)}`,
          labelColor: (item) => ({borderColor: 'transparent', backgroundColor: colour(item.dataset.colourName)}),
        },
      },
    },
  };
}

// Light became dark, or the other way round.
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => charts.forEach((chart) => chart.paint()));
