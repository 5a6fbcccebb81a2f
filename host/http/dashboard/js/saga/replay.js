// The slider through the journal: everything as it was after event n of m.

import { h, uid } from "../lib/dom.js";
import { clockText, count, number } from "../lib/format.js";
import { glyph } from "./glyphs.js";
import { kindOf } from "./model.js";

/** How long playing takes for the whole journal, at most, and for one event. */
const PLAY_MS = 12_000;
const EVENT_MS = 350;

/**
 * @param {{onAt: (at: number|null) => void}} options `null` is the end, live.
 */
export function replay({ onAt }) {
  const rangeId = uid("replay");
  let records = [];
  let at = null;
  let playing = 0;
  const range = h("input", {
    type: "range", id: rangeId, class: "rp-range", min: 0, max: 1, step: 1, value: "1",
    on: { input: () => { stop(); go(Number(range.value)); } },
  });
  const tool = (sign, label, action) => h("button", {
    type: "button", class: "button small", title: label, "aria-label": label, on: { click: action },
  }, glyph(sign));
  const play = tool("running", "Play", () => (playing ? stop() : start()));
  const live = h("button", { type: "button", class: "button small", "aria-pressed": "true", on: { click: () => { stop(); onAt(null); } } }, "Latest");
  const said = h("output", { class: "rp-said", for: rangeId });
  const root = h("section", { class: "rp card", "aria-label": "Through the journal" },
    h("div", { class: "rp-tools" },
      tool("first", "To the first event", () => { stop(); go(1); }),
      tool("back", "One event back", () => { stop(); go(place() - 1); }),
      play,
      tool("next", "One event on", () => { stop(); go(place() + 1); }),
      tool("last", "To the last event", () => { stop(); onAt(null); })),
    h("label", { for: rangeId, class: "hidden" }, "As it was after event"), range, live, said);

  const place = () => at ?? records.length;

  function go(to) {
    const next = Math.min(Math.max(to, 1), records.length);
    onAt(next >= records.length ? null : next);
  }

  function start() {
    if (records.length < 2) return;
    if (at === null) onAt(1);
    const many = Math.max(1, Math.ceil(records.length / (PLAY_MS / 60)));
    const every = Math.min(EVENT_MS, Math.max(60, PLAY_MS / records.length));
    playing = setInterval(() => {
      if (!root.isConnected || at === null) stop();
      else go(place() + many);
    }, every);
    show();
  }

  function stop() {
    clearInterval(playing);
    playing = 0;
    show();
  }

  function show() {
    play.replaceChildren(glyph(playing ? "waiting" : "running"));
    const label = playing ? "Pause" : "Play";
    play.setAttribute("aria-label", label);
    play.title = label;
  }

  function update(next) {
    ({ records, at } = next);
    range.max = String(Math.max(records.length, 1));
    range.min = "1";
    range.value = String(place());
    const record = records[place() - 1];
    const kind = record ? kindOf(record.event)[0] : "";
    const words = at === null ? `Latest, after ${count(records.length, "event")}`
      : `As it was after event ${number(at)} of ${number(records.length)}`;
    said.textContent = record ? `${words}: ${kind}, ${clockText(record.time, { fine: true, date: false })}` : "No event yet";
    range.setAttribute("aria-valuetext", said.textContent);
    live.setAttribute("aria-pressed", String(at === null));
    root.classList.toggle("past", at !== null);
  }

  return { root, update, stop };
}
