/**
 * The clock of the host, which is that of its journals. It may be another one
 * than this machine's: on another machine, or in `sagahost dev`, where it can run
 * faster and be skipped to what comes next.
 */

import { api } from "./api.js";

/** The host is asked three times, so long apart, to see how fast its clock runs. */
const APART_MS = 1500;
const AT_FIRST = 3;

/** How often it is asked then: one that runs as ours does need not be asked often. */
const OFTEN_MS = 5000;
const SELDOM_MS = 300_000;

/** From here on a clock is one that runs faster, and is not only told late. */
const FASTER = 1.5;

let told = null;
let rate = 1;
let before = 1;

/** What the clock of the host says now; ours, until the host has told. */
export function hostNow(local = Date.now()) {
  return told === null ? local : Math.round(told.host + (local - told.local) * rate);
}

/** Takes in what the host says its time is. */
export function tellTime(host, local = Date.now()) {
  if (typeof host !== "number" || !Number.isFinite(host)) return;
  if (told !== null && local > told.local) {
    const gap = local - told.local;
    // Over a short while the way of the answer would count for too much.
    if (gap < APART_MS / 2) return;
    const measured = (host - told.host) / gap;
    // A clock that was skipped is not one that runs faster: that it shows twice.
    const same = Math.abs(measured - before) < 0.3 * before;
    rate = measured >= FASTER && same ? measured : 1;
    before = measured;
  }
  told = { host, local };
}

/** Asks the host for its time now, and again and again while the page is open. */
export async function keepTime() {
  for (let asked = 1; ; asked += 1) {
    if (!document.hidden) {
      try {
        tellTime((await api.get("/api/overview")).time);
      } catch { /* Times are told by our clock, or go on from the last answer. */ }
    }
    const pause = asked < AT_FIRST ? APART_MS : rate > 1 ? OFTEN_MS : SELDOM_MS;
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}
