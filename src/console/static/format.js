// Numbers as people read them, of few and steady widths. What is not known is a dash.
export const NONE = '–';

const isNumber = (value) => typeof value === 'number' && Number.isFinite(value);

// Three significant digits, no exponent.
export function number(value) {
  if (!isNumber(value)) return NONE;
  const size = Math.abs(value);
  if (size >= 1e9) return `${digits(value / 1e9)} G`;
  if (size >= 1e6) return `${digits(value / 1e6)} M`;
  if (size >= 1e4) return `${digits(value / 1e3)} k`;
  return digits(value);
}

function digits(value) {
  const size = Math.abs(value);
  if (size >= 99.95 || value === 0) return value.toFixed(0);
  if (size >= 9.995) return value.toFixed(1);
  return value.toFixed(2);
}

export const count = (value) => (isNumber(value) ? Math.round(value).toLocaleString('en-US') : NONE);

export function duration(seconds) {
  if (!isNumber(seconds)) return NONE;
  const size = Math.abs(seconds);
  if (size === 0) return '0 ms';
  if (size < 0.9995e-3) return `${digits(seconds * 1e6)} µs`;
  if (size < 0.9995) return `${digits(seconds * 1e3)} ms`;
  if (size < 99.5) return `${digits(seconds)} s`;
  return longDuration(seconds);
}

export const nanoseconds = (ns) => (isNumber(ns) ? duration(ns / 1e9) : NONE);
export const microseconds = (us) => (isNumber(us) ? duration(us / 1e6) : NONE);

// "2 d 03 h", "4 min 05 s".
export function longDuration(seconds) {
  if (!isNumber(seconds)) return NONE;
  const steps = [[86400, 'd', 3600, 'h'], [3600, 'h', 60, 'min'], [60, 'min', 1, 's']];
  const whole = Math.max(0, Math.round(seconds));
  for (const [unit, name, smaller, smallerName] of steps) {
    if (whole < unit) continue;
    const rest = Math.floor((whole % unit) / smaller);
    return `${Math.floor(whole / unit)} ${name} ${String(rest).padStart(2, '0')} ${smallerName}`;
  }
  return `${whole} s`;
}

export function bytes(value) {
  if (!isNumber(value)) return NONE;
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let index = 0;
  while (Math.abs(value) >= 1023.5 && index < units.length - 1) {
    value /= 1024;
    ++index;
  }
  return `${index === 0 ? value.toFixed(0) : digits(value)} ${units[index]}`;
}

// 0.123 is "12.3 %".
export function share(value) {
  if (!isNumber(value)) return NONE;
  const percent = value * 100;
  const size = Math.abs(percent);
  if (size !== 0 && size < 0.1) return percent < 0 ? '> -0.1 %' : '< 0.1 %';
  return `${size >= 99.95 || size === 0 ? percent.toFixed(0) : percent.toFixed(1)} %`;
}

const pad = (value, width = 2) => String(value).padStart(width, '0');

// "14:03:21", and with milliseconds where `withMs`.
export function clock(unixMs, withMs = false) {
  if (!isNumber(unixMs)) return NONE;
  const date = new Date(unixMs);
  const text = `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`;
  return withMs ? `${text}.${pad(date.getMilliseconds(), 3)}` : text;
}

// Seconds since 1970 from whatever form they come in: ISO text, seconds, milliseconds.
export function unixSeconds(value) {
  if (typeof value === 'string') {
    const parsed = Date.parse(value);
    return Number.isNaN(parsed) ? null : parsed / 1000;
  }
  if (!isNumber(value)) return null;
  return value > 1e11 ? value / 1000 : value;
}

export const plural = (value, one, many = `${one}s`) => `${count(value)} ${value === 1 ? one : many}`;
