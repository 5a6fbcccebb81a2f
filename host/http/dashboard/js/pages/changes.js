/**
 * What changed lately, as it happens. The list holds still while it is paused,
 * pointed at or has the focus, so that nothing moves away under a hand. What
 * a screen reader says is a sentence now and then, not each row.
 */

import { api } from "../lib/api.js";
import { fill, h, setText } from "../lib/dom.js";
import { clockText, count, hasEnded, statusBadge } from "../lib/format.js";
import { icon } from "../lib/icons.js";
import { follow } from "../lib/sse.js";

/** How many are shown, how often the list moves, and how often it is told. */
const ROWS = 10;
const MOVE_MS = 1000;
const TELL_MS = 15_000;

/** What the state of a stream is called. */
export const STREAM_WORDS = {
  connecting: "Connecting…",
  open: "Live",
  waiting: "Connection lost",
  paused: "Paused",
  failed: "Not live",
  closed: "Not live",
};

/** "TaskCompleted" as words. */
export function kindText(kind) {
  return kind.replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase();
}

/**
 * @param {{signal: AbortSignal}} options
 * @returns {{element: HTMLElement}}
 */
export function changes({ signal }) {
  let paused = false;
  let held = false;
  let rows = [];
  let waiting = new Map();
  const tally = { changed: new Set(), ended: 0, failed: 0 };

  const body = h("tbody", null);
  const state = h("span", { class: "live", role: "status", data: { state: "connecting" } }, STREAM_WORDS.connecting);
  const said = h("p", { class: "hidden", "aria-live": "polite" });
  const more = h("span", { class: "faint small num" });
  const button = h("button", {
    type: "button", class: "button small", "aria-pressed": "false",
    on: { click: () => { paused = !paused; label(); flush(); } },
  });
  const label = () => {
    fill(button, icon(paused ? "running" : "suspended"), paused ? "Continue" : "Pause");
    button.setAttribute("aria-pressed", String(paused));
  };
  label();

  const table = h("table", { class: "changes" },
    h("caption", { class: "hidden" }, "What changed lately, the newest first"),
    h("thead", null, h("tr", null, ["Time", "Saga", "Orchestrator", "Status", "What happened"]
      .map((text) => h("th", { scope: "col" }, text)))),
    body);
  const wrap = h("div", {
    class: "table-wrap changes-wrap",
    on: {
      pointerenter: (event) => { if (event.pointerType === "mouse") { held = true; flush(); } },
      pointerleave: () => { held = wrap.contains(document.activeElement); flush(); },
      focusin: () => { held = true; flush(); },
      focusout: () => { held = false; },
    },
  }, table, h("p", { class: "empty changes-empty" }, "Nothing has happened yet."));
  const element = h("section", { class: "card", "aria-labelledby": "changes-title" },
    h("div", { class: "row changes-head" },
      h("h2", { id: "changes-title" }, "What changed lately"), state, more,
      h("span", { class: "push" }, button)),
    said, wrap);

  function flush() {
    const still = paused || held;
    setText(more, waiting.size && still ? `${count(waiting.size, "change")} held back` : "");
    if (still || !waiting.size) return;
    const fresh = [...waiting.values()].reverse();
    waiting = new Map();
    const ids = new Set(fresh.map((one) => one.id));
    rows = [...fresh, ...rows.filter((one) => !ids.has(one.id))].slice(0, ROWS);
    wrap.classList.add("some");
    fill(body, rows.map(rowOf));
  }

  function tell() {
    if (paused || !tally.changed.size) return;
    const parts = [`${count(tally.changed.size, "saga")} changed`];
    if (tally.ended) parts.push(`${tally.ended} ended`);
    if (tally.failed) parts.push(`${tally.failed} failed`);
    setText(said, `${parts.join(", ")}.`);
    tally.changed.clear();
    tally.ended = 0;
    tally.failed = 0;
  }

  const moving = setInterval(flush, MOVE_MS);
  const telling = setInterval(tell, TELL_MS);
  signal.addEventListener("abort", () => { clearInterval(moving); clearInterval(telling); });

  follow("/api/events", {
    signal,
    onState: (next) => {
      state.dataset.state = next;
      setText(state, STREAM_WORDS[next]);
    },
    onEvent: ({ event, data }) => {
      if (event !== "change" || typeof data !== "object") return;
      // The same saga again takes the place of what it was, as the newest.
      const before = waiting.get(data.id);
      waiting.delete(data.id);
      waiting.set(data.id, before ? { ...data, kinds: [...before.kinds, ...data.kinds].slice(-20) } : data);
      if (waiting.size > 200) waiting.delete(waiting.keys().next().value);
      tally.changed.add(data.id);
      if (data.ended) tally.ended += 1;
      if (data.ended && data.runtimeStatus === "Failed") tally.failed += 1;
    },
  });
  begin(signal).then((known) => {
    if (signal.aborted || !known.length) return;
    const there = new Set(rows.map((one) => one.id));
    rows = [...rows, ...known.filter((one) => !there.has(one.id))].slice(0, ROWS);
    wrap.classList.add("some");
    fill(body, rows.map(rowOf));
  });
  return { element };
}

/** What changed before the page was opened, as the list has it. */
async function begin(signal) {
  const known = [];
  let token = null;
  try {
    // An answer may have few rows, and say that there are more to look at.
    for (let tries = 0; tries < 20 && known.length < ROWS; tries += 1) {
      const page = await api.get("/api/instances", { signal, query: { sort: "updated", order: "desc", top: ROWS, token } });
      known.push(...page.instances);
      token = page.next;
      if (page.complete || !token) break;
    }
  } catch { /* What comes by the stream is shown all the same. */ }
  return known.map((row) => ({ ...row, kinds: [hasEnded(row.runtimeStatus) ? "Ended" : row.updated > row.created ? "GoesOn" : "Started"] }));
}

function rowOf(one) {
  const kinds = one.kinds ?? [];
  const words = [...new Set(kinds.map(kindText))];
  return h("tr", null,
    h("td", { class: "num faint" }, clockText(one.updated, { date: false })),
    h("th", { scope: "row" }, kinds.at(-1) === "Purged" ? h("span", { class: "break" }, one.id)
      : h("a", { class: "break", href: `/sagas/${encodeURIComponent(one.id)}` }, one.id)),
    h("td", null, one.name),
    h("td", null, statusBadge(one.runtimeStatus), " ",
      one.sagaState && !["none", "committed"].includes(one.sagaState) && statusBadge(one.sagaState)),
    h("td", { class: "faint changes-kinds" }, words.slice(-3).reverse().join(", "),
      words.length > 3 && ` and ${words.length - 3} more`));
}
