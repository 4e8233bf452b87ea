// The stages of a request's life in their order, as src/telemetry/stage.h names them, and how they are drawn. As on the Grafana
// boards, waiting is red and orange, computing blue and green, moving bytes purple, and what nobody can explain grey.
const STAGES = [
  // name, group, what it is
  ['receive_head', 'receive', 'First byte to the end of the head'],
  ['receive_body', 'receive', 'Receiving the body'],
  ['auth', 'checks', 'Who sends it'],
  ['rate_limit', 'checks', 'Limits of its key'],
  ['parse', 'checks', 'Reading the body'],
  ['handle', 'checks', 'Work of requests that do not generate'],
  ['model_load', 'load', 'Until the model is in memory'],
  ['template', 'tokenize', 'Chat template'],
  ['tokenize', 'tokenize', 'Text to tokens'],
  ['admission', 'checks', 'Whether there is room for it'],
  ['kv_restore', 'restore', 'Keys and values from disk or compressed memory'],
  ['line', 'queue', 'In line in front of the route'],
  ['queue', 'queue', 'In the queue until its first step'],
  ['preempted', 'preempted', 'In the queue again: others needed its blocks'],
  ['prefill', 'prefill', 'Steps that compute its prompt'],
  ['prefill_stall', 'prefill_stall', 'Between those: others had theirs'],
  ['decode', 'decode', 'Steps that generate its tokens'],
  ['decode_stall', 'decode_stall', 'Between those'],
  ['route', 'route', 'Choosing an upstream'],
  ['connect', 'route', 'Connecting to it'],
  ['send', 'send', 'Sending it there'],
  ['wait', 'wait', "For the first byte of the upstream's answer"],
  ['stream', 'stream', 'Until its last byte'],
  ['retry_wait', 'retry', 'Between two attempts'],
  ['fault', 'retry', 'Put in on purpose'],
  ['deliver', 'deliver', "Until the kernel had the answer's last byte"],
  ['unexplained', 'unexplained', 'What no other stage explains'],
];

// Groups in the order of charts, from below. Colours are those of console.css: --stage-GROUP.
export const GROUPS = [
  ['receive', 'receive'], ['checks', 'checks'], ['load', 'model load'], ['tokenize', 'template, tokenize'], ['restore', 'KV restore'],
  ['route', 'route, connect'], ['send', 'send'], ['queue', 'queue'], ['preempted', 'preempted'], ['retry', 'retry, fault'],
  ['prefill', 'prefill'], ['prefill_stall', 'prefill stall'], ['wait', 'upstream: first byte'], ['decode', 'decode'],
  ['decode_stall', 'decode stall'], ['stream', 'upstream: stream'], ['deliver', 'deliver'], ['unexplained', 'unexplained'],
].map(([name, title]) => ({name, title}));

const ORDER = new Map(STAGES.map(([name], index) => [name, index]));
const GROUP_OF = new Map(STAGES.map(([name, group]) => [name, group]));
const MEANING = new Map(STAGES.map(([name, , meaning]) => [name, meaning]));

// A stage that a newer server has and this page does not know is drawn as unexplained, under its own name.
export const groupOf = (stage) => GROUP_OF.get(stage) ?? 'unexplained';
export const meaningOf = (stage) => MEANING.get(stage) ?? 'A stage that this page does not know';
export const stageTitle = (stage) => String(stage).replaceAll('_', ' ');
export const byOrder = (a, b) => (ORDER.get(a) ?? 99) - (ORDER.get(b) ?? 99);

// {group: value} from {stage: value}.
export function byGroup(stages) {
  const groups = {};
  for (const [stage, value] of Object.entries(stages ?? {})) {
    if (typeof value === 'number') groups[groupOf(stage)] = (groups[groupOf(stage)] ?? 0) + value;
  }
  return groups;
}
