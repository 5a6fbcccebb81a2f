/**
 * JSON to look at: folded, searchable, to copy and to download. Of a huge
 * value only what is open is made into elements, and a long list is folded
 * into ranges.
 */

import { clear, debounce, fill, h, uid } from "./dom.js";
import { bytes, count } from "./format.js";
import { icon } from "./icons.js";
import { isExact, stringify } from "./json.js";
import { toast } from "./dialog.js";

/** Where a list or an object has more entries, they stand in ranges of so many. */
const PAGE = 100;

/** How much of a text is shown at first. */
const TEXT = 400;

/** How many places a search looks for, and how many values it looks at. */
const FOUND = 500;
const LOOKED = 2_000_000;

/**
 * Shows a value.
 *
 * @param {*} value
 * @param {object} [options]
 * @param {string} [options.label] What it is, for screen readers.
 * @param {string} [options.filename] What it is called when downloaded.
 * @param {number} [options.depth] How deep it is open at first.
 * @param {boolean} [options.tools] Whether there are search, copy and
 *   download; without being told, where the value is not a short one.
 * @returns {HTMLElement}
 */
export function jsonView(value, { label = "JSON", filename = "value.json", depth = 1, tools } = {}) {
  const simple = !isBranch(value) && !(typeof value === "string" && value.length > TEXT);
  const view = h("div", { class: "json", role: "group", "aria-label": label });
  const body = h("div", { class: "json-body", tabindex: simple ? null : "0" });
  const root = node(null, value, depth);
  body.appendChild(root.element);
  if (tools ?? !simple) view.appendChild(toolbar(value, filename, root));
  view.appendChild(body);
  return view;
}

function toolbar(value, filename, root) {
  const id = uid("json-search");
  const hits = h("span", { class: "json-hits", role: "status" });
  let found = [];
  let at = -1;
  const go = (step) => {
    if (!found.length) return;
    at = (at + step + found.length) % found.length;
    const more = found.capped ? "+" : "";
    fill(hits, `${at + 1} of ${found.length}${more}`);
    root.reveal(found[at]);
  };
  const look = debounce(() => {
    unmark(root.element.closest(".json"));
    found = input.value ? find(value, input.value) : [];
    at = -1;
    places.hidden = !input.value;
    if (!input.value) fill(hits);
    else if (!found.length) fill(hits, "Not found");
    else go(1);
  }, 200);
  const input = h("input", {
    id, type: "search", class: "json-search", placeholder: "Search", autocomplete: "off",
    spellcheck: "false",
    on: {
      input: look,
      keydown: (event) => {
        if (event.key !== "Enter") return;
        event.preventDefault();
        go(event.shiftKey ? -1 : 1);
      },
    },
  });
  const button = (sign, text, action) =>
    h("button", { type: "button", class: "button quiet small", on: { click: action } }, icon(sign), text);
  const places = h("span", { class: "json-places", hidden: true }, hits,
    button("up", h("span", { class: "hidden" }, "Previous place"), () => go(-1)),
    button("down", h("span", { class: "hidden" }, "Next place"), () => go(1)));
  return h("div", { class: "json-tools" },
    isBranch(value) && [
      h("label", { for: id, class: "hidden" }, "Search in this value"), input, places,
    ],
    h("span", { class: "json-space" }),
    button("copy", "Copy", () => copyText(textOf(value))),
    button("download", "Download", () => download(textOf(value), filename)));
}

/** The text of a value as it is copied: that of a string is the string's JSON. */
function textOf(value) {
  return stringify(value, 2);
}

/**
 * Puts a text into the clipboard and says so.
 *
 * @param {string} text
 */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast("Copied.", { kind: "good" });
  } catch {
    // Without a secure context there is no clipboard of that kind.
    const area = h("textarea", { class: "offscreen", readonly: true, value: text });
    const before = document.activeElement;
    (document.querySelector("dialog[open]") ?? document.body).appendChild(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    before?.focus?.();
    toast(done ? "Copied." : "The browser did not let it be copied.", { kind: done ? "good" : "bad" });
  }
}

/**
 * Saves a text as a file.
 *
 * @param {string} text
 * @param {string} filename
 * @param {string} [type]
 */
export function download(text, filename, type = "application/json") {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = h("a", { href: url, download: filename.replace(/[^\w.@-]+/g, "-") });
  document.body.appendChild(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

function isBranch(value) {
  return typeof value === "object" && value !== null && !isExact(value);
}

/** One value: its line, and what is in it once it is open. */
function node(name, value, depth) {
  const label = name === null ? null
    : h("span", { class: typeof name === "number" ? "json-index" : "json-key" },
      typeof name === "number" ? name : stringify(name));
  if (!isBranch(value)) return leaf(label, value);
  const keys = Array.isArray(value) ? null : Object.keys(value);
  const size = keys ? keys.length : value.length;
  const marks = keys ? ["{", "}"] : ["[", "]"];
  if (size === 0) return line(h("div", { class: "json-line" }, label, label && ": ", marks.join("")));
  const what = keys ? count(size, "key") : count(size, "item");
  const inner = entries({ value, keys, depth }, 0, size);
  return fold([label, label && ": ", marks[0], h("span", { class: "json-size" }, what), marks[1]],
    depth > 0, inner);
}

/**
 * What is in a list or an object, from one place to another: the entries, or,
 * if these are many, ranges of them that open by themselves.
 */
function entries(of, from, to) {
  const { value, keys, depth } = of;
  let step = 1;
  while ((to - from) / step > PAGE) step *= PAGE;
  let parts = new Map();
  const indexOf = (key) => (keys ? keys.indexOf(key) : key);
  return {
    open(place) {
      parts = new Map();
      const fragment = document.createDocumentFragment();
      for (let at = from; at < to; at += step) {
        const key = keys ? keys[at] : at;
        const part = step === 1 ? node(key, value[key], depth - 1)
          : fold(h("span", { class: "json-size" }, `${at} to ${Math.min(to, at + step) - 1}`),
            at === 0 && depth > 0, entries(of, at, Math.min(to, at + step)));
        parts.set(at, part);
        fragment.appendChild(part.element);
      }
      place.replaceChildren(fragment);
    },
    close: () => { parts = new Map(); },
    reveal(path) {
      const index = indexOf(path[0]);
      const part = parts.get(from + Math.floor((index - from) / step) * step);
      part?.reveal(step === 1 ? path.slice(1) : path);
    },
  };
}

/** A line that opens. `inner` makes what is in it, and forgets it again. */
function fold(title, wide, inner) {
  const children = h("div", { class: "json-children" });
  let open = false;
  const set = (next) => {
    if (next === open) return;
    open = next;
    head.setAttribute("aria-expanded", String(open));
    if (open) inner.open(children);
    else {
      clear(children);
      inner.close();
    }
    children.hidden = !open;
  };
  const head = h("button", {
    type: "button", class: "json-fold", "aria-expanded": "false",
    on: {
      click: () => set(!open),
      keydown: (event) => {
        if (event.key === "ArrowRight" && !open) set(true);
        else if (event.key === "ArrowLeft" && open) set(false);
        else return;
        event.preventDefault();
      },
    },
  }, icon("right"), title);
  children.hidden = true;
  if (wide) set(true);
  return {
    element: h("div", { class: "json-branch" }, head, children),
    reveal(path) {
      if (!path.length) {
        mark(head);
        return;
      }
      set(true);
      inner.reveal(path);
    },
  };
}

function leaf(label, value) {
  return line(h("div", { class: "json-line" }, label, label && ": ", scalar(value)));
}

/** A line that does not open. */
function line(element) {
  return { element, reveal: () => mark(element) };
}

function scalar(value) {
  if (isExact(value)) return h("span", { class: "json-number" }, stringify(value));
  if (typeof value !== "string") {
    const kind = value === null ? "null" : typeof value;
    return h("span", { class: `json-${kind}` }, String(value));
  }
  const whole = stringify(value);
  if (whole.length <= TEXT) return h("span", { class: "json-string" }, whole);
  const text = h("span", { class: "json-string" }, `${whole.slice(0, TEXT)}…`);
  let shown = TEXT;
  const longer = h("button", {
    type: "button", class: "button quiet small",
    on: {
      click: () => {
        shown = Math.min(whole.length, shown * 16);
        const all = shown >= whole.length;
        text.textContent = all ? whole : `${whole.slice(0, shown)}…`;
        if (all) longer.remove();
      },
    },
  }, `Show more of ${bytes(whole.length)}`);
  return h("span", null, text, " ", longer);
}

function mark(element) {
  unmark(element.closest(".json"));
  element.classList.add("json-mark");
  element.scrollIntoView({ block: "nearest" });
}

function unmark(view) {
  for (const old of view?.querySelectorAll(".json-mark") ?? []) old.classList.remove("json-mark");
}

/** The ways to all keys and values that have the text in them. */
function find(value, text) {
  const wanted = text.toLowerCase();
  const found = [];
  found.capped = false;
  let looked = 0;
  const stack = [[value, []]];
  while (stack.length) {
    const [here, path] = stack.pop();
    looked += 1;
    if (looked > LOOKED || found.length >= FOUND) {
      found.capped = true;
      break;
    }
    const name = path.length && typeof path.at(-1) === "string" ? path.at(-1) : "";
    const own = isBranch(here) ? "" : isExact(here) ? stringify(here) : String(here);
    if (`${name}\n${own}`.toLowerCase().includes(wanted)) found.push(path);
    if (!isBranch(here)) continue;
    const keys = Array.isArray(here) ? here.keys() : Object.keys(here);
    const parts = [...keys].map((key) => [here[key], [...path, key]]);
    for (const part of parts.reverse()) stack.push(part);
  }
  return found;
}
