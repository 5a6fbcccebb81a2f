// What one row of the timeline shows: bars of attempts, and what was waited for.

import { svg } from "../lib/dom.js";
import { glyphAt } from "./glyphs.js";

export const ROW = 28;
const TOP = 6;
const HEIGHT = 16;
const MIDDLE = TOP + HEIGHT / 2;

/**
 * The marks of one item.
 *
 * @param {object} item
 * @param {(time: number) => number} x Where a time stands, in pixels.
 * @param {number} width Of the picture.
 * @param {number} now Up to when it is known.
 * @returns {SVGElement[]}
 */
export function barsOf(item, x, width, now) {
  const draw = { item, width, now, out: [], x: (time) => clamp(x(time), width) };
  (DRAW[item.kind] ?? attempts)(draw);
  for (const late of item.late ?? []) {
    const at = draw.x(late.at);
    draw.out.push(svg("path", { class: "tl-late", d: `M${at} ${TOP}v${HEIGHT}` }));
  }
  return draw.out;
}

const clamp = (x, width) => Math.min(Math.max(x, -40), width + 40);

function line({ out, x }, from, to, type) {
  if (to <= from) return;
  out.push(svg("path", { class: type, d: `M${x(from).toFixed(1)} ${MIDDLE}H${x(to).toFixed(1)}` }));
}

/** One bar, with the sign of how it ended. */
function bar({ out, x, width }, from, to, type, sign, { open = false, least = 3 } = {}) {
  const left = x(from);
  const long = Math.max(x(to) - left, least);
  if (left > width || left + long < 0) return;
  out.push(svg("rect", {
    class: `tl-bar ${type}`, x: left.toFixed(1), y: TOP, width: long.toFixed(1), height: HEIGHT,
    rx: open ? 0 : 2,
  }));
  if (!sign) return;
  if (long >= 17) {
    const at = Math.min(Math.max(left + 3, 3), left + long - 15);
    // On a pattern a sign needs a ground of its own.
    if (!type.includes("completed") || type.includes("undo")) {
      out.push(svg("rect", { class: "tl-ground", x: at - 1, y: TOP + 1, width: 14, height: 14, rx: 3 }));
    }
    out.push(glyphAt(sign, at, TOP + 2, 12, `tl-sign ${type}`));
  } else {
    out.push(glyphAt(sign, left + long + 2, TOP + 3, 10, `tl-sign out ${type}`));
  }
}

function attempts(draw) {
  const { item, now } = draw;
  const forward = item.kind === "undo" ? "undo" : "forward";
  let before = item.scheduledAt;
  item.attempts.forEach((attempt, place) => {
    const from = Math.max(attempt.startedAt ?? before, before);
    const last = place === item.attempts.length - 1;
    const waits = attempt.endedAt === null && from > now;
    const mended = (item.stuckFor ?? []).some(({ to }) => to !== null && to <= from && to >= before);
    if (!mended) line(draw, before, waits ? from : Math.min(from, attempt.endedAt ?? now), place ? "tl-between" : "tl-queue");
    if (waits) {
      draw.out.push(glyphAt("retrying", draw.x(from) + 2, TOP + 3, 10, "tl-sign out retrying"));
      return;
    }
    const to = attempt.endedAt ?? Math.max(now, from);
    // Of a close row of signs only the last says anything.
    const next = item.attempts[place + 1];
    const room = !next || draw.x(next.startedAt ?? now) - draw.x(to) > 13;
    const sign = last || room || draw.x(to) - draw.x(from) >= 17 ? attempt.state : null;
    bar(draw, from, to, `${forward} ${attempt.state} ${item.kind}`, sign,
      { open: attempt.endedAt === null });
    before = to;
  });
  for (const { from, to } of item.stuckFor ?? []) {
    line(draw, from, to ?? Math.max(now, from), "tl-stuck");
    if (to !== null) draw.out.push(svg("path", { class: "tl-mended", d: `M${draw.x(to).toFixed(1)} ${TOP}v${HEIGHT}` }));
  }
  if (item.state === "stuck") {
    draw.out.push(glyphAt("stuck", Math.min(draw.x(Math.max(now, before)) + 2, draw.width - 14), TOP + 1, 13, "tl-sign out stuck"));
  } else if (item.endedAt !== null && item.endedAt > before && !item.stuckFor) {
    line(draw, before, item.endedAt, "tl-between");
  }
  if (item.recalled) {
    draw.out.push(glyphAt("completed", draw.x(item.scheduledAt), TOP + 2, 12, "tl-sign out kept"));
  }
}

function timer(draw) {
  const { item, now } = draw;
  const end = item.endedAt ?? now;
  bar(draw, item.scheduledAt, item.state === "waiting" ? item.fireAt : end, "hollow timer", null);
  bar(draw, item.scheduledAt, Math.min(end, item.fireAt), `timer ${item.state}`,
    item.state === "completed" ? "timer" : item.state === "cancelled" ? "cancelled" : "timer");
}

function wait(draw) {
  const { item, now } = draw;
  const open = item.endedAt === null;
  bar(draw, item.scheduledAt, item.endedAt ?? now, `hollow wait ${item.state}`,
    open ? "wait" : item.state === "cancelled" ? "cancelled" : item.state, { open });
}

function event(draw) {
  const { item, now, out, x } = draw;
  const at = x(item.scheduledAt);
  line(draw, item.scheduledAt, item.endedAt ?? now, "tl-between");
  out.push(svg("path", {
    class: `tl-point ${item.state}`, d: `M${at.toFixed(1)} ${TOP + 1}l7 7l-7 7l-7-7z`,
  }));
}

function letter(draw) {
  const { item, now } = draw;
  bar(draw, item.scheduledAt, item.endedAt ?? now, `hollow letter ${item.state}`,
    item.state === "failed" ? "failed" : "letter");
}

function lock(draw) {
  const { item, now } = draw;
  const end = item.endedAt ?? now;
  bar(draw, item.scheduledAt, end, `hollow wait ${item.state}`, item.state === "completed" ? null : "lock");
  if (item.state === "completed") bar(draw, end, item.releasedAt ?? now, "lock held", "lock");
}

function call(draw) {
  const { item, now } = draw;
  bar(draw, item.scheduledAt, item.endedAt ?? now, `forward ${item.state === "waiting" ? "running" : item.state}`,
    item.state === "waiting" ? "running" : item.state, { open: item.endedAt === null });
}

function compensation(draw) {
  const { item, now } = draw;
  bar(draw, item.scheduledAt, item.endedAt ?? now, `hollow undo ${item.state}`, "undo");
}

const DRAW = { timer, wait, event, letter, lock, entity: call, compensation };
