// The timeline: a row for each item, in time. Only the rows that can be seen are
// made into elements. It is a list box: one row is chosen with the arrow keys.

import { fill, h, setText, svg, uid } from "../lib/dom.js";
import { duration } from "../lib/format.js";
import { ROW, barsOf } from "./bars.js";
import { glyph, toneOf } from "./glyphs.js";
import { kindWord } from "./model-state.js";
import { fit, offset, pan, ticks, zoom } from "./scale.js";
import { numberOf, sentence, title } from "./words.js";

/** How many rows more than can be seen are made, on each side. */
const SPARE = 6;

/**
 * @param {{onSelect: (key: string, open: boolean) => void}} options
 */
export function timeline({ onSelect }) {
  const listId = uid("timeline");
  let model = null;
  let rows = [];
  let now = 0;
  let domain = [0, 1];
  let whole = [0, 1];
  let view = null;
  let following = true;
  let selected = null;
  let width = 600;
  const made = new Map();

  const range = h("span", { class: "tl-range num", role: "status" });
  const tool = (sign, label, action) => h("button", {
    type: "button", class: "button small", title: label, "aria-label": label, on: { click: action },
  }, glyph(sign));
  const tools = h("div", { class: "tl-tools", role: "toolbar", "aria-label": "Timeline" },
    tool("minus", "Zoom out (−)", () => zoomBy(1.6)),
    tool("plus", "Zoom in (+)", () => zoomBy(1 / 1.6)),
    tool("fit", "Show all of it (0)", () => showAll()),
    tool("target", "Show the chosen row (Enter)", () => showSelected()),
    range,
    legend());
  const axis = svg("svg", { class: "tl-axis", "aria-hidden": "true", height: 40 });
  const space = h("div", { class: "tl-space" });
  const lines = h("div", { class: "tl-lines", "aria-hidden": "true" });
  const list = h("div", {
    class: "tl-rows", role: "listbox", id: listId, tabindex: "0",
    "aria-label": "Steps, timers, events and undos in time. Arrow keys up and down choose a row, left and right move in time, plus and minus zoom.",
  });
  space.append(lines, list);
  const body = h("div", { class: "tl-body" }, space);
  const strip = svg("svg", { class: "tl-strip", height: 22, "aria-hidden": "true" });
  const none = h("p", { class: "empty" }, "No step so far.");
  const root = h("div", { class: "tl" }, tools,
    h("div", { class: "tl-frame" },
      h("div", { class: "tl-head" }, h("div", { class: "tl-corner" }, "Step"), axis), body,
      h("div", { class: "tl-foot" }, h("div", { class: "tl-corner" }, "All of it"), strip)), none);

  const x = (time) => ((time - view[0]) / (view[1] - view[0])) * width;

  function update(next) {
    ({ model, now, domain } = next);
    rows = next.model.items;
    whole = fit(domain);
    if (view === null || following) view = whole;
    draw();
  }

  function zoomBy(factor, at = 0.5) {
    following = false;
    view = zoom(view, factor, at, whole);
    draw();
  }

  function panBy(by) {
    following = false;
    view = pan(view, by, whole);
    draw();
  }

  function showAll() {
    following = true;
    view = whole;
    draw();
  }

  function showSelected() {
    const item = model.byKey.get(selected);
    if (!item) return;
    following = false;
    const end = item.endedAt ?? Math.max(now, item.retryAt ?? 0, item.fireAt ?? 0);
    const span = Math.max(end - item.scheduledAt, 10);
    view = [item.scheduledAt - span * 0.3, item.scheduledAt + span * 1.3];
    draw();
  }

  function choose(key) {
    selected = key;
    for (const [other, row] of made) row.element.setAttribute("aria-selected", String(other === key));
    const place = rows.findIndex((item) => item.key === key);
    list.setAttribute("aria-activedescendant", place >= 0 ? `${listId}-${key}` : "");
    if (place >= 0) reveal(place);
  }

  function reveal(place) {
    const top = place * ROW;
    if (top < body.scrollTop) body.scrollTop = top;
    else if (top + ROW > body.scrollTop + body.clientHeight) {
      body.scrollTop = top + ROW - body.clientHeight;
    }
    drawRows();
  }

  function draw() {
    if (!root.isConnected || !model) return;
    none.hidden = rows.length > 0;
    root.querySelector(".tl-frame").hidden = rows.length === 0;
    width = Math.max(axis.clientWidth || axis.parentElement.clientWidth - 180, 60);
    space.style.height = `${rows.length * ROW}px`;
    drawAxis();
    drawLines();
    drawRows();
    drawStrip();
    const span = view[1] - view[0];
    setText(range, view === whole ? `All of it: ${duration(Math.round(domain[1] - domain[0]))}`
      : `${duration(Math.round(span))}, from ${offset(view[0] - model.startedAt, span / 10)}`);
  }

  function drawAxis() {
    axis.setAttribute("viewBox", `0 0 ${width} 40`);
    let free = -Infinity;
    const flags = marks().filter(({ at }) => x(at) >= 0 && x(at) <= width).map(({ at, type, text }) => {
      const left = x(at);
      const long = text.length * 6 + 8;
      const end = left + long > width;
      const from = end ? left - long : left;
      if (from < free) return null;
      free = from + long;
      return svg("text", { class: `tl-flag ${type}`, x: left, y: 35, "text-anchor": end ? "end" : "start" }, text);
    });
    fill(axis, flags, ticks(view, width, model.startedAt ?? view[0]).map(({ at, text }) => {
      const left = x(at);
      const half = text.length * 3.2;
      const anchor = left < half ? "start" : left > width - half ? "end" : "middle";
      return [svg("path", { class: "tl-tick", d: `M${left.toFixed(1)} 18v5` }),
        svg("text", { class: "tl-text", x: left.toFixed(1), y: 14, "text-anchor": anchor }, text)];
    }));
  }

  /** What happened to the whole, where it is to be seen. */
  function marks() {
    const words = {
      unwinding: "undo begins", suspended: "suspended", resumed: "resumed", rewound: "rewound",
      blocked: "blocked", unblocked: "goes on", end: "end", continued: "continued as new",
    };
    const all = model.marks.map(({ at, kind, text }) => ({ at, type: kind, text: words[kind] ?? text }));
    if (model.started.deadline) all.push({ at: model.started.deadline, type: "deadline", text: "deadline" });
    if (!model.end) all.push({ at: now, type: "now", text: "now" });
    return all;
  }

  function drawLines() {
    const line = (at, type) => {
      const left = x(at);
      return left >= 0 && left <= width && h("div", { class: `tl-line ${type}`, style: { left: `${left}px` } });
    };
    fill(lines, ticks(view, width, model.startedAt ?? view[0]).map(({ at }) => line(at, "tl-grid")),
      marks().map(({ at, type }) => line(at, type)));
  }

  function drawRows() {
    const first = Math.max(0, Math.floor(body.scrollTop / ROW) - SPARE);
    const last = Math.min(rows.length, Math.ceil((body.scrollTop + (body.clientHeight || 400)) / ROW) + SPARE);
    const wanted = new Set();
    for (let place = first; place < last; place += 1) wanted.add(rows[place].key);
    for (const [key, row] of made) {
      if (!wanted.has(key)) {
        row.element.remove();
        made.delete(key);
      }
    }
    for (let place = first; place < last; place += 1) drawRow(rows[place], place);
  }

  function drawRow(item, place) {
    let row = made.get(item.key);
    if (!row) {
      row = makeRow(item);
      made.set(item.key, row);
      list.appendChild(row.element);
    }
    row.element.style.transform = `translateY(${place * ROW}px)`;
    row.element.setAttribute("aria-posinset", String(place + 1));
    row.element.setAttribute("aria-setsize", String(rows.length));
    row.element.setAttribute("aria-selected", String(item.key === selected));
    setText(row.rest, `, ${kindWord(item)}, ${sentence(model, item, now)}`);
    row.element.setAttribute("class", rowClass(item));
    row.picture.setAttribute("viewBox", `0 0 ${width} ${ROW}`);
    fill(row.picture, barsOf(item, x, width, now));
  }

  function rowClass(item) {
    const chosen = model.byKey.get(selected);
    const linked = chosen && (chosen.undoes === item.key || item.undoes === chosen.key
      || chosen.takenBy === item.key || chosen.event === item.key);
    return `tl-row ${item.kind} tone-text-${toneOf(item)}${item.undoneBy?.length ? " undone" : ""}${linked ? " linked" : ""}`;
  }

  function makeRow(item) {
    const picture = svg("svg", { class: "tl-bars", height: ROW, "aria-hidden": "true" });
    const rest = h("span", { class: "hidden" });
    const undoes = item.kind === "undo";
    const element = h("div", {
      class: "tl-row", role: "option", id: `${listId}-${item.key}`,
      on: {
        click: () => onSelect(item.key, false),
        dblclick: () => { onSelect(item.key, false); showSelected(); },
      },
    },
    h("div", { class: "tl-name", title: `${kindWord(item)} ${numberOf(item)}: ${title(item)}` },
      glyph(item.kind), h("span", { class: "tl-number" }, undoes ? item.undo : item.task ?? ""), " ",
      h("span", { class: "tl-title" }, title(item)), rest),
    picture);
    return { element, picture, rest };
  }

  function drawStrip() {
    const [from, to] = whole;
    const at = (time) => ((time - from) / (to - from)) * width;
    strip.setAttribute("viewBox", `0 0 ${width} 22`);
    // Of many items the places are drawn, each place once.
    const drawn = new Set();
    const marks = [];
    for (const item of rows) {
      const left = Math.round(at(item.scheduledAt));
      const right = Math.round(at(item.endedAt ?? now));
      const lane = item.kind === "undo" ? 13 : 6;
      const name = `${left} ${right} ${lane}`;
      if (drawn.has(name)) continue;
      drawn.add(name);
      if (drawn.size > 1500) break;
      marks.push(`M${left} ${lane}H${Math.max(right, left + 1)}`);
    }
    const left = Math.max(at(view[0]), 0);
    const right = Math.min(at(view[1]), width);
    fill(strip,
      svg("path", { class: "tl-strip-marks", d: marks.join("") || "M0 0" }),
      svg("rect", { class: "tl-window", x: left, y: 1, width: Math.max(right - left, 4), height: 20, rx: 3 }));
  }

  list.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const place = rows.findIndex((item) => item.key === selected);
    const go = (to) => {
      const item = rows[Math.min(Math.max(to, 0), rows.length - 1)];
      if (item) onSelect(item.key, false);
    };
    const keys = {
      ArrowDown: () => go(place + 1), ArrowUp: () => go(place < 0 ? rows.length - 1 : place - 1),
      Home: () => go(0), End: () => go(rows.length - 1),
      PageDown: () => go(place + 10), PageUp: () => go(place - 10),
      ArrowLeft: () => panBy(-0.15), ArrowRight: () => panBy(0.15),
      "+": () => zoomBy(1 / 1.6), "=": () => zoomBy(1 / 1.6), "-": () => zoomBy(1.6),
      0: showAll, Enter: () => { if (selected) { showSelected(); onSelect(selected, true); } },
    };
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
  root.addEventListener("wheel", (event) => {
    const box = axis.getBoundingClientRect();
    if (event.ctrlKey) {
      event.preventDefault();
      zoomBy(event.deltaY > 0 ? 1.25 : 0.8, Math.min(Math.max((event.clientX - box.left) / width, 0), 1));
    } else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      event.preventDefault();
      panBy(((event.deltaX || event.deltaY) / width) * 0.8);
    }
  }, { passive: false });
  body.addEventListener("scroll", () => requestAnimationFrame(drawRows), { passive: true });
  drag(body, (moved) => panBy(-moved / width), (event) => event.target.closest(".tl-bars"));
  drag(axis, (moved) => panBy(-moved / width), () => true);
  drag(strip, (moved) => panBy((moved / width) * ((whole[1] - whole[0]) / (view[1] - view[0]))), () => true);
  const sizes = new ResizeObserver(() => draw());
  sizes.observe(root);

  return {
    root, update, choose, zoomBy, showAll,
    shown: draw, stop: () => sizes.disconnect(),
  };
}

/** Calls back with each movement of a pointer that is held down. */
export function drag(element, moved, begins) {
  let last = null;
  element.addEventListener("pointerdown", (event) => {
    if (event.button === 0 && begins(event)) last = event.clientX;
  });
  element.addEventListener("pointermove", (event) => {
    if (last === null) return;
    const by = event.clientX - last;
    if (!element.hasPointerCapture(event.pointerId)) {
      // A click is no movement: only from some pixels on it is one.
      if (Math.abs(by) < 4) return;
      element.setPointerCapture(event.pointerId);
    }
    last = event.clientX;
    moved(by);
  });
  for (const end of ["pointerup", "pointercancel"]) element.addEventListener(end, () => { last = null; });
}

function legend() {
  const sample = (type, sign, text) => h("li", null,
    svg("svg", { viewBox: `0 0 34 ${ROW}`, width: 34, height: ROW, "aria-hidden": "true" },
      svg("rect", { class: `tl-bar ${type}`, x: 1, y: 6, width: 32, height: 16, rx: 2 })), glyph(sign), text);
  return h("details", { class: "tl-legend" }, h("summary", null, "Legend"),
    h("ul", null,
      sample("forward completed", "completed", "an attempt that gave a result"),
      sample("forward failed", "failed", "an attempt that failed"),
      sample("forward lost", "lost", "lost: the host ended while it ran"),
      sample("forward running", "running", "runs now"),
      sample("undo completed", "undo", "an undo of a step"),
      sample("hollow timer", "timer", "a timer, or something that is waited for"),
      h("li", null, svg("svg", { viewBox: `0 0 34 ${ROW}`, width: 34, height: ROW, "aria-hidden": "true" },
        svg("path", { class: "tl-between", d: "M1 14H33" })), glyph("retrying"), "waits for the next attempt"),
      h("li", null, svg("svg", { viewBox: `0 0 34 ${ROW}`, width: 34, height: ROW, "aria-hidden": "true" },
        svg("path", { class: "tl-stuck", d: "M1 14H33" })), glyph("stuck"), "stuck, until a person mends it")));
}
