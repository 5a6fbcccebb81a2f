// The journal as a list: what happened, when, and the event itself. And what was
// logged, in order.

import { debounce, fill, h, uid } from "../lib/dom.js";
import { badge, clockText, count } from "../lib/format.js";
import { download, jsonView } from "../lib/json-view.js";
import { icon } from "../lib/icons.js";
import { stringify } from "../lib/json.js";
import { kindOf } from "./model.js";
import { offset } from "./scale.js";
import { numberOf, summary, title } from "./words.js";

const PAGE = 150;

export function journalList({ onSelect, onAt, id }) {
  const kindId = uid("kind");
  const textId = uid("text");
  let last = null;
  let shown = PAGE;
  let newest = false;
  let text = "";
  let kind = "";
  let made = "";
  const open = new Set();
  const kinds = h("select", { id: kindId, on: { change: () => { kind = kinds.value; again(); } } });
  const search = h("input", {
    id: textId, type: "search", autocomplete: "off", spellcheck: "false",
    on: { input: debounce(() => { text = search.value.trim().toLowerCase(); again(); }, 200) },
  });
  const order = h("input", { type: "checkbox", on: { change: () => { newest = order.checked; again(); } } });
  const found = h("span", { class: "faint small", role: "status" });
  const list = h("ol", { class: "jl-list" });
  const more = h("div", { class: "row saga-more" });
  const root = h("div", { class: "jl" },
    h("div", { class: "row jl-tools" },
      h("label", { for: textId, class: "small" }, "Search"), search,
      h("label", { for: kindId, class: "small" }, "Kind"), kinds,
      h("label", { class: "row small" }, order, "newest first"),
      found,
      h("button", {
        type: "button", class: "button small", on: {
          click: () => download(stringify(last.records.map(({ index, time, event }) => ({ index, time, event })), 1), `${id}-journal.json`),
        },
      }, icon("download"), "Download")),
    list, more);

  function again() {
    shown = PAGE;
    made = "";
    draw();
  }

  function update(next) {
    last = next;
    draw();
  }

  function draw() {
    if (!last || !root.isConnected) return;
    const { model, records } = last;
    const sign = `${model.started.execution} ${model.events} ${records.length}`;
    if (sign === made) return;
    made = sign;
    const past = records.slice(0, model.events);
    drawKinds(past);
    let fitting = past;
    if (kind) fitting = fitting.filter(({ event }) => kindOf(event)[0] === kind);
    if (text) fitting = fitting.filter(({ event }) => stringify(event).toLowerCase().includes(text));
    if (newest) fitting = [...fitting].reverse();
    const focused = root.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    fill(found, kind || text ? `${fitting.length} of ${count(past.length, "event")}` : count(past.length, "event"));
    fill(list, fitting.slice(0, shown).map((record) => row(model, record)));
    const left = fitting.length - shown;
    fill(more, left > 0 && h("button", {
      type: "button", class: "button small", on: { click: () => { shown += PAGE; made = ""; draw(); } },
    }, `Show ${Math.min(PAGE, left)} more of ${left}`),
    fitting.length === 0 && h("p", { class: "empty" }, "No event fits."));
    if (focused) root.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
  }

  function drawKinds(past) {
    const counts = new Map();
    for (const { event } of past) {
      const [name] = kindOf(event);
      counts.set(name, (counts.get(name) ?? 0) + 1);
    }
    fill(kinds, h("option", { value: "" }, "all"),
      [...counts].sort(([one], [other]) => one.localeCompare(other)).map(([name, times]) =>
        h("option", { value: name }, `${name} (${times})`)));
    kinds.value = kind;
    if (kinds.value !== kind) kinds.value = kind = "";
  }

  function row(model, record) {
    const { index, time, event } = record;
    const [name, said] = kindOf(event);
    const inside = h("div", { class: "jl-inside" });
    const key = itemOf(model, name, said, index);
    const show = () => {
      fill(inside, h("div", { class: "row" },
        h("button", { type: "button", class: "button small", data: { key: `at-${index}` }, on: { click: () => onAt(index + 1) } }, "Show all as it was after this event"),
        key && h("button", { type: "button", class: "button small", on: { click: () => onSelect(key, true) } }, "Show the step")),
      jsonView(typeof event === "string" ? event : event[name], { label: `Event ${index}`, filename: `${id}-event-${index}.json` }));
    };
    const head = h("button", {
      type: "button", class: "jl-head", "aria-expanded": String(open.has(index)), data: { key: `event-${index}` },
      on: {
        click: () => {
          const now = !open.has(index);
          if (now) open.add(index);
          else open.delete(index);
          head.setAttribute("aria-expanded", String(now));
          inside.hidden = !now;
          if (now) show();
        },
      },
    },
    h("span", { class: "jl-index num" }, index),
    h("span", { class: "jl-time num", title: clockText(time, { fine: true }) },
      clockText(time, { fine: true, date: false }), h("span", { class: "faint" }, ` ${offset(time - model.startedAt)}`)),
    h("span", { class: "jl-kind" }, name),
    h("span", { class: "jl-summary" }, summary(name, said, model)));
    inside.hidden = !open.has(index);
    if (open.has(index)) show();
    return h("li", { value: index }, head, inside);
  }

  return { root, update, shown: draw, choose() {} };
}

/** The key of the item that an event speaks of. */
function itemOf(model, kind, said, index) {
  if (kind === "EventRaised") return `e${index}`;
  if (kind === "Sent") return `l${said.number}`;
  const found = model.items.find((item) => item.index === index)
    ?? (said.undo !== undefined && kind.startsWith("Undo") ? model.undos.items.get(said.undo) : model.tasks.get(said.task));
  return found?.key ?? null;
}

export function logList({ onSelect }) {
  let last = null;
  let made = "";
  let shown = PAGE;
  const list = h("ol", { class: "jl-list" });
  const more = h("div", { class: "row saga-more" });
  const root = h("div", { class: "jl" }, list, more);

  function linesOf(model) {
    const lines = model.logs.map(({ at, level, message }) => ({ at, level, message, from: null }));
    for (const item of model.items) {
      for (const attempt of item.attempts) {
        for (const stream of ["stdout", "stderr"]) {
          const text = attempt.logs?.[stream];
          if (text) lines.push({ at: attempt.endedAt, level: stream, message: text.trim(), from: item, number: attempt.number });
        }
      }
    }
    return lines.sort((one, other) => one.at - other.at);
  }

  function draw() {
    if (!last || !root.isConnected) return;
    const { model } = last;
    const sign = `${model.started.execution} ${model.events} ${shown}`;
    if (sign === made) return;
    made = sign;
    const lines = linesOf(model);
    const tones = { error: "bad", warn: "warn", info: "active", debug: "neutral" };
    fill(list, lines.slice(0, shown).map(({ at, level, message, from, number }) => h("li", { class: "log-line" },
      h("span", { class: "jl-time num", title: clockText(at, { fine: true }) }, clockText(at, { fine: true, date: false })),
      badge(level, tones[level] ?? "neutral", null),
      h("span", { class: "log-from" }, from
        ? h("button", { type: "button", class: "saga-link", on: { click: () => onSelect(from.key, true) } },
          `${numberOf(from)} ${title(from)}${number > 1 ? `, attempt ${number}` : ""}`) : "the orchestrator"),
      h("pre", { class: "saga-log" }, message))));
    const left = lines.length - shown;
    fill(more, left > 0 && h("button", {
      type: "button", class: "button small", on: { click: () => { shown += PAGE; draw(); } },
    }, `Show ${Math.min(PAGE, left)} more of ${left}`),
    lines.length === 0 && h("p", { class: "empty" }, "Nothing was logged so far."));
  }

  return { root, update(next) { last = next; draw(); }, shown: draw, choose() {} };
}
