/**
 * Making elements. Text only ever becomes a text node and a value only ever
 * an attribute or a property, so nothing that is shown can be taken for
 * markup. The content security policy forbids style attributes: styles are
 * set through the object model here.
 */

const SVG = "http://www.w3.org/2000/svg";

/** What is set as a property, since the attribute is only the first value. */
const PROPERTIES = new Set(["value", "checked", "selected", "indeterminate"]);

/**
 * Makes an HTML element.
 *
 * @param {string} tag
 * @param {Object<string, *>|null} [props] Attributes by name; `true` is an
 *   attribute without a value, and `false`, `null` and `undefined` leave it
 *   out. Besides: `class` (a string, or a list whose falsy items are left
 *   out), `on` (listeners by event), `data` (data attributes by their name
 *   in camel case), `style` (by property). `value`, `checked`, `selected`
 *   and `indeterminate` are set as properties.
 * @param {...*} children Nodes, texts, numbers, or lists of these; `null`,
 *   `undefined` and booleans are left out.
 * @returns {HTMLElement}
 */
export function h(tag, props, ...children) {
  const element = document.createElement(tag);
  const late = assign(element, props);
  append(element, children);
  // The value of a select counts only once its options are there.
  for (const [name, value] of late) element[name] = value;
  return element;
}

/**
 * Makes an SVG element. Takes the same as {@link h}.
 *
 * @param {string} tag
 * @param {Object<string, *>|null} [attrs]
 * @param {...*} children
 * @returns {SVGElement}
 */
export function svg(tag, attrs, ...children) {
  const element = document.createElementNS(SVG, tag);
  assign(element, attrs);
  append(element, children);
  return element;
}

/**
 * Takes everything out of an element.
 *
 * @template {Element} E
 * @param {E} element
 * @returns {E} The element.
 */
export function clear(element) {
  element.replaceChildren();
  return element;
}

/**
 * Puts other children into an element.
 *
 * @template {Element} E
 * @param {E} element
 * @param {...*} children As for {@link h}.
 * @returns {E} The element.
 */
export function fill(element, ...children) {
  const fragment = document.createDocumentFragment();
  append(fragment, children);
  element.replaceChildren(fragment);
  return element;
}

/** Sets a text only if it is another, so that screen readers stay calm. */
export function setText(element, text) {
  const wanted = String(text);
  if (element.textContent !== wanted) element.textContent = wanted;
  return element;
}

let counter = 0;

/** An id that no other element of this page has: for labels and the like. */
export function uid(prefix = "u") {
  counter += 1;
  return `${prefix}-${counter}`;
}

/**
 * A function that runs at most once in so many milliseconds, and always once
 * more after the last call. `cancel()` drops what still waits.
 */
export function throttle(action, ms) {
  let timer = 0;
  let last = 0;
  const run = () => {
    timer = 0;
    last = performance.now();
    action();
  };
  const call = () => {
    if (timer) return;
    timer = setTimeout(run, Math.max(0, ms - (performance.now() - last)));
  };
  call.cancel = () => {
    clearTimeout(timer);
    timer = 0;
  };
  return call;
}

/** A function that runs once it has not been called for so long. */
export function debounce(action, ms) {
  let timer = 0;
  const call = (...args) => {
    clearTimeout(timer);
    timer = setTimeout(() => action(...args), ms);
  };
  call.cancel = () => clearTimeout(timer);
  return call;
}

function assign(element, props) {
  const late = [];
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) {
      if (PROPERTIES.has(name) && value === false) late.push([name, false]);
      continue;
    }
    if (name === "class") {
      const classes = Array.isArray(value) ? value.filter(Boolean).join(" ") : value;
      if (classes) element.setAttribute("class", classes);
    } else if (name === "on") {
      for (const [event, listener] of Object.entries(value)) {
        if (listener) element.addEventListener(event, listener);
      }
    } else if (name === "data") {
      for (const [key, item] of Object.entries(value)) {
        if (item !== null && item !== undefined) element.dataset[key] = item;
      }
    } else if (name === "style") {
      for (const [key, item] of Object.entries(value)) {
        if (key.includes("-")) element.style.setProperty(key, item);
        else element.style[key] = item;
      }
    } else if (PROPERTIES.has(name)) {
      late.push([name, value]);
    } else {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  return late;
}

function append(parent, children) {
  for (const child of children) {
    if (child === null || child === undefined || typeof child === "boolean") continue;
    if (Array.isArray(child)) append(parent, child);
    else if (child instanceof Node) parent.appendChild(child);
    else parent.appendChild(document.createTextNode(String(child)));
  }
}
