// Building the page. Every text that is put into it goes through text nodes, so that nothing a server, a tenant or a client
// named can become markup.

// h('a.link', {href: '#x', onclick: f}, 'text', node, null): attributes by name, handlers by "on...", children that are null
// are left out.
export function h(selector, ...rest) {
  const [tag, ...classes] = selector.split('.');
  return fill(document.createElement(tag), classes, rest);
}

// The same in SVG's namespace.
export function s(selector, ...rest) {
  const [tag, ...classes] = selector.split('.');
  return fill(document.createElementNS('http://www.w3.org/2000/svg', tag), classes, rest);
}

function fill(element, classes, rest) {
  if (classes.length > 0) element.setAttribute('class', classes.join(' '));
  const hasAttributes = rest.length > 0 && rest[0] !== null && typeof rest[0] === 'object' && !(rest[0] instanceof Node) &&
    !Array.isArray(rest[0]);
  for (const [name, value] of Object.entries(hasAttributes ? rest.shift() : {})) setAttribute(element, name, value);
  append(element, rest);
  return element;
}

function setAttribute(element, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
  else if (name === 'value' || name === 'checked' || name === 'selected') element[name] = value;
  else element.setAttribute(name, value === true ? '' : String(value));
}

function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) element.append(child instanceof Node ? child : String(child));
  }
}

export function setText(element, text) {
  const wanted = String(text);
  if (element.textContent !== wanted) element.textContent = wanted;
}

export function setClass(element, name, isOn) {
  element.classList.toggle(name, Boolean(isOn));
}

export function replace(element, ...children) {
  element.replaceChildren();
  append(element, children);
  return element;
}

// Where inline styles are forbidden, properties may still be set one by one.
export function place(element, properties) {
  for (const [name, value] of Object.entries(properties)) element.style.setProperty(name, value);
  return element;
}

// Makes the children of `parent` what `items` say and keeps elements whose key stays, with their focus and selection.
// `create(item)` gives an element, `update(element, item)` brings it up to date.
export function reconcile(parent, items, keyOf, create, update) {
  const old = parent.elementsByKey ?? new Map();
  const now = new Map();
  let next = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    if (now.has(key)) continue;
    const element = old.get(key) ?? create(item);
    now.set(key, element);
    if (element === next) next = next.nextElementSibling;
    else parent.insertBefore(element, next);
    update(element, item);
  }
  for (const [key, element] of old) if (!now.has(key)) element.remove();
  parent.elementsByKey = now;
}

// A text with a button that copies it.
export function copyable(text) {
  const shown = h('code.id', text);
  const button = h('button.copy', {type: 'button', 'aria-label': `Copy ${text}`, onclick: () => copy(text, shown, button)}, 'copy');
  return h('span.copyable', shown, button);
}

async function copy(text, shown, button) {
  try {
    await navigator.clipboard.writeText(text);
    setText(button, 'copied');
  } catch {
    // Without TLS browsers have no clipboard for pages of other machines.
    getSelection().selectAllChildren(shown);
    setText(button, 'selected');
  }
  setTimeout(() => setText(button, 'copy'), 1500);
}
