/** How numbers, times and states are shown. */

import { hostNow } from "./clock.js";
import { h } from "./dom.js";
import { icon } from "./icons.js";

const NUMBER = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const FINE = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

/** What stands where there is nothing to show. */
export const NOTHING = "–";

/** A whole number, with its thousands told apart. */
export function number(value) {
  return known(value) ? NUMBER.format(value) : NOTHING;
}

/** A rate or a measure, to three digits: 0.12, 3.4, 1,230. */
export function measure(value) {
  if (!known(value)) return NOTHING;
  return Math.abs(value) >= 1000 ? NUMBER.format(value) : FINE.format(value);
}

/** A part of a whole, from 0 to 1, as a percentage. */
export function percent(value) {
  if (!known(value)) return NOTHING;
  if (value > 0 && value < 0.001) return "<0.1 %";
  return `${FINE.format(value * 100)} %`;
}

/** A size: 512 B, 1.5 MiB. */
export function bytes(value) {
  if (!known(value)) return NOTHING;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let size = value;
  let unit = 0;
  while (Math.abs(size) >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${FINE.format(size)} ${units[unit]}`;
}

/**
 * How long something took or takes: 340 µs, 12 ms, 3.4 s, 2 min 5 s, 3 h 20 min.
 *
 * @param {number} ms Milliseconds.
 */
export function duration(ms) {
  if (!known(ms)) return NOTHING;
  if (ms < 0) return `-${duration(-ms)}`;
  if (ms === 0) return "0 ms";
  if (ms < 1) return `${FINE.format(ms * 1000)} µs`;
  // What is not yet a second is not shown as one, and so on.
  if (ms < 1000) return `${FINE.format(ms < 100 ? ms : Math.floor(ms))} ms`;
  if (ms < 60_000) return `${FINE.format(ms < 10_000 ? Math.floor(ms / 10) / 100 : Math.floor(ms / 100) / 10)} s`;
  const units = [["d", 86_400_000], ["h", 3_600_000], ["min", 60_000], ["s", 1000]];
  const first = units.findIndex(([, size]) => ms >= size);
  const [name, size] = units[first];
  const whole = Math.floor(ms / size);
  const next = units[first + 1];
  const rest = next ? Math.floor((ms - whole * size) / next[1]) : 0;
  return rest ? `${whole} ${name} ${rest} ${next[0]}` : `${whole} ${name}`;
}

/**
 * Milliseconds since 1970 of a time that the API gives as such a number or
 * as a text; NaN if it is none.
 */
export function toMs(value) {
  if (typeof value === "number") return value;
  if (value === null || value === undefined) return NaN;
  return Date.parse(value);
}

const two = (value) => String(value).padStart(2, "0");

/** A time of this machine's zone: 2026-11-23 14:05:09, and .123 if `fine`. */
export function clockText(value, { fine = false, date = true } = {}) {
  const at = new Date(toMs(value));
  if (Number.isNaN(at.getTime())) return NOTHING;
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  const time = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  const part = fine ? `.${String(at.getMilliseconds()).padStart(3, "0")}` : "";
  return `${date ? `${day} ` : ""}${time}${part}`;
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/**
 * A time as an element, no longer than it must be: 14:05:09 of today,
 * Nov 23, 14:05 of this year, and 2025-11-23 before. All of it is its title.
 *
 * @param {number|string} value
 * @returns {HTMLElement}
 */
export function shortTime(value) {
  const ms = toMs(value);
  if (!valid(ms)) return h("span", null, NOTHING);
  const [at, now] = [new Date(ms), new Date(hostNow())];
  const full = clockText(ms, { fine: true });
  const text = at.toDateString() === now.toDateString() ? clockText(ms, { date: false })
    : at.getFullYear() === now.getFullYear() ? `${MONTHS[at.getMonth()]} ${at.getDate()}, ${full.slice(11, 16)}` : full.slice(0, 10);
  return h("time", { datetime: at.toISOString(), class: "num", title: full }, text);
}

/** A time from the host's now on: "12 s ago", "in 3 min", "just now". */
export function relativeText(value, now = hostNow()) {
  const ms = toMs(value);
  if (!known(ms)) return NOTHING;
  const gap = now - ms;
  if (Math.abs(gap) < 1000) return "just now";
  const units = [["d", 86_400_000], ["h", 3_600_000], ["min", 60_000], ["s", 1000]];
  const [name, size] = units.find(([, one]) => Math.abs(gap) >= one);
  const count = Math.floor(Math.abs(gap) / size);
  return gap >= 0 ? `${count} ${name} ago` : `in ${count} ${name}`;
}

/**
 * A time as an element.
 *
 * @param {number|string} value
 * @param {{fine?: boolean, date?: boolean}} [options]
 * @returns {HTMLElement}
 */
export function time(value, options) {
  const ms = toMs(value);
  if (!valid(ms)) return h("span", null, NOTHING);
  return h("time", { datetime: new Date(ms).toISOString(), class: "num" }, clockText(ms, options));
}

/**
 * How long ago something was, as an element that stays true by itself. The
 * time itself is its title.
 *
 * @param {number|string} value
 * @returns {HTMLElement}
 */
export function relative(value) {
  const ms = toMs(value);
  if (!valid(ms)) return h("span", null, NOTHING);
  startTicking();
  return h("time", {
    datetime: new Date(ms).toISOString(), class: "num", title: clockText(ms, { fine: true }),
    data: { ago: ms },
  }, relativeText(ms));
}

let ticking = 0;

function startTicking() {
  ticking ||= setInterval(() => {
    if (document.hidden) return;
    const now = hostNow();
    for (const element of document.querySelectorAll("time[data-ago]")) {
      const text = relativeText(Number(element.dataset.ago), now);
      if (element.textContent !== text) element.textContent = text;
    }
  }, 1000);
}

/** The states of an instance, in the order in which they are offered. */
export const STATUSES = [
  "Pending", "Running", "Suspended", "Completed", "Failed", "Canceled", "Terminated",
];

/** The states of a saga. */
export const SAGA_STATES = [
  "none", "armed", "past-pivot", "compensating", "compensated", "stuck", "committed",
];

const LOOKS = {
  Pending: ["neutral", "pending"],
  Running: ["active", "running"],
  Completed: ["good", "completed"],
  Failed: ["bad", "failed"],
  Canceled: ["neutral", "canceled"],
  Terminated: ["neutral", "terminated"],
  Suspended: ["warn", "suspended"],
  ContinuedAsNew: ["active", "again"],
  none: ["quiet", "none"],
  armed: ["active", "armed"],
  "past-pivot": ["active", "pivot"],
  compensating: ["undo", "undo"],
  compensated: ["undo", "completed"],
  stuck: ["bad", "stuck"],
  committed: ["quiet", "committed"],
};

const WORDS = { none: "no undo", "past-pivot": "past pivot" };

/** The words of a status or the state of a saga. */
export function statusText(value) {
  return WORDS[value] ?? String(value);
}

/** The tone of a status: good, bad, warn, active, undo, neutral or quiet. */
export function statusTone(value) {
  return LOOKS[value]?.[0] ?? "neutral";
}

/**
 * A status or the state of a saga: a sign and the word. The colour says
 * nothing that the word does not say.
 *
 * @param {string} value
 * @returns {HTMLElement}
 */
export function statusBadge(value) {
  const [tone, sign] = LOOKS[value] ?? ["neutral", "info"];
  return badge(statusText(value), tone, sign);
}

/**
 * A word with a sign.
 *
 * @param {string} text
 * @param {"good"|"bad"|"warn"|"active"|"undo"|"neutral"|"quiet"} tone
 * @param {string|null} [sign] A name in icons.js.
 * @returns {HTMLElement}
 */
export function badge(text, tone, sign = null) {
  return h("span", { class: `badge tone-${tone}` }, sign && icon(sign), text);
}

/** Whether an instance has ended and will not go on. */
export function hasEnded(status) {
  return ["Completed", "Failed", "Canceled", "Terminated"].includes(status);
}

/** "1 saga", "3 sagas". */
export function count(value, one, many = `${one}s`) {
  return `${number(value)} ${value === 1 ? one : many}`;
}

function known(value) {
  return typeof value === "number" && Number.isFinite(value);
}

/** Whether a date can hold this time. */
function valid(ms) {
  return known(ms) && Math.abs(ms) <= 8.64e15;
}
