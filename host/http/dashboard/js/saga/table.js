// The timeline in words: a table that says the same.

import { fill, h } from "../lib/dom.js";
import { badge, duration, time } from "../lib/format.js";
import { glyph, toneOf } from "./glyphs.js";
import { kindWord, stateWord } from "./model-state.js";
import { offset } from "./scale.js";
import { numberOf, title, tookMs } from "./words.js";

/** How many rows are shown at a time. */
const PAGE = 200;

export function itemTable({ onSelect }) {
  let shown = PAGE;
  let last = null;
  let selected = null;
  const body = h("tbody");
  const more = h("div", { class: "row saga-more" });
  const root = h("div", { class: "saga-table" },
    h("div", { class: "table-wrap", tabindex: "0", role: "region", "aria-label": "Table of steps" },
      h("table", null,
        h("caption", { class: "hidden" }, "Steps, timers, events and undos in the order in which they began"),
        h("thead", null, h("tr", null,
          ["No.", "What", "Name", "State", "Attempts", "Begun", "Took", "Undo"].map((name) =>
            h("th", { scope: "col" }, name)))),
        body)), more);

  function update(next) {
    last = next;
    draw();
  }

  function draw() {
    if (!last || !root.isConnected) return;
    const { model, now } = last;
    const focused = root.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    const items = model.items.slice(0, shown);
    fill(body, items.map((item) => row(model, item, now)));
    const left = model.items.length - items.length;
    fill(more, left > 0 && h("button", {
      type: "button", class: "button small", on: { click: () => { shown += PAGE; draw(); } },
    }, `Show ${Math.min(PAGE, left)} more of ${left}`),
    model.items.length === 0 && h("p", { class: "empty" }, "No step so far."));
    if (focused) body.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
  }

  function row(model, item, now) {
    const step = model.byKey.get(item.undoes);
    const undo = item.kind === "undo" ? h("span", null, "undoes ", link(step, item.undo))
      : item.undos?.length ? item.undos.map((key) => [link(model.byKey.get(key), key), " "])
        : armedText(model, item);
    const took = tookMs(item, now);
    return h("tr", { class: item.key === selected ? "chosen" : null },
      h("td", { class: "num" }, numberOf(item)),
      h("td", { class: "num" }, glyph(item.kind), " ", kindWord(item)),
      h("th", { scope: "row" }, h("button", {
        type: "button", class: "saga-link", data: { key: item.key },
        "aria-pressed": String(item.key === selected), on: { click: () => onSelect(item.key, true) },
      }, title(item))),
      h("td", null, badge(stateWord(item), toneOf(item), null),
        item.failure && h("span", { class: "faint small" }, ` ${item.failure.code}`)),
      h("td", { class: "num" }, item.attempts.filter((attempt) => attempt.endedAt !== null || !attempt.estimated || attempt.startedAt <= now).length || ""),
      h("td", { class: "num" }, time(item.scheduledAt, { fine: true, date: false }),
        h("span", { class: "faint small" }, ` ${offset(item.scheduledAt - model.startedAt)}`)),
      h("td", { class: "num" }, took === null ? "" : duration(took), item.endedAt === null && took !== null ? "…" : ""),
      h("td", null, undo));
  }

  function link(item, text) {
    if (!item) return text;
    return h("button", {
      type: "button", class: "saga-link", on: { click: () => onSelect(item.key, true) },
    }, item.kind === "undo" ? `undo ${item.undo}` : `${numberOf(item)} ${item.name}`);
  }

  return {
    root, update, shown: draw,
    choose(key) {
      selected = key;
      const place = last?.model.items.findIndex((item) => item.key === key) ?? -1;
      if (place >= shown) shown = Math.ceil((place + 1) / PAGE) * PAGE;
      draw();
    },
  };
}

/** What is known of an undo that has not begun. */
export function armedText(model, item) {
  if (item.run !== model.run) return "";
  const undo = model.undos.all.get(String(item.task));
  if (!undo || item.kind === "undo") return "";
  const words = { armed: "would be undone", dropped: "not needed", done: "undone" };
  return words[undo.state] ?? undo.state;
}
