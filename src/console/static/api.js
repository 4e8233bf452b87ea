// Asking the server that this page came from, and nobody else.
const KEY = 'autoglm.console.key';
const TIMEOUT_MS = 8000;

// status 0: no answer came.
export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export const hasKey = () => sessionStorage.getItem(KEY) !== null;
export const keepKey = (key) => sessionStorage.setItem(KEY, key);
export const forgetKey = () => sessionStorage.removeItem(KEY);

async function ask(path) {
  const key = sessionStorage.getItem(KEY);
  let response;
  try {
    response = await fetch(path, {
      headers: key === null ? {} : {Authorization: `Bearer ${key}`},
      cache: 'no-store', credentials: 'omit', redirect: 'error', signal: AbortSignal.timeout(TIMEOUT_MS),
    });
  } catch (error) {
    throw new ApiError(0, error.name === 'TimeoutError' ? `no answer within ${TIMEOUT_MS / 1000} s` : 'no connection');
  }
  if (response.ok) return response;
  if (response.status === 401) dispatchEvent(new CustomEvent('autoglm-key-wanted', {detail: {hadKey: key !== null}}));
  throw new ApiError(response.status, await messageOf(response));
}

async function messageOf(response) {
  try {
    const {error} = await response.json();
    return String(error?.message ?? error ?? response.status);
  } catch {
    return `status ${response.status}`;
  }
}

export async function getText(path) {
  return readBody(await ask(path), (response) => response.text());
}

export async function getJson(path) {
  return readBody(await ask(path), (response) => response.json());
}

async function readBody(response, read) {
  try {
    return await read(response);
  } catch {
    throw new ApiError(0, 'the answer broke off, or is not what it should be');
  }
}

// What a path last answered, with its age. Answers that were overtaken by a later question are dropped.
export class Resource {
  value = null;
  at = null;     // ms since 1970
  error = null;  // of the last time it was asked for
  #asked = 0;
  #path;

  // `path`: a text, or a function that gives it.
  constructor(path) {
    this.#path = path;
  }

  async refresh() {
    const number = ++this.#asked;
    const path = typeof this.#path === 'function' ? this.#path() : this.#path;
    try {
      const value = await getJson(path);
      if (number !== this.#asked) return;
      Object.assign(this, {value, at: Date.now(), error: null});
    } catch (error) {
      if (number === this.#asked) this.error = error;
    }
  }

  // Nothing is known of it, and this is said by the server itself.
  get isMissing() {
    return this.error?.status === 404;
  }

  // A sentence about what is wrong; empty: nothing.
  notice(what) {
    if (this.error === null) return '';
    const why = this.error.status === 0 ? `The server does not answer (${this.error.message})`
      : this.error.status === 401 ? 'The server asks for a key' : this.error.message;
    if (this.value === null) return `${what}: nothing to show. ${why}`;
    return `${what}: as of ${Math.round((Date.now() - this.at) / 1000)} s ago. ${why}`;
  }
}
