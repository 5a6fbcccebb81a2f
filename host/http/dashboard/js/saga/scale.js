// The time axis: where a time stands in the picture, and how it is moved.

/** The shortest span that is shown, in milliseconds. */
const SHORTEST = 5;

/** Steps of an axis, in milliseconds. */
const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 10e3, 15e3, 30e3, 60e3, 120e3,
  300e3, 600e3, 900e3, 1800e3, 3600e3, 7200e3, 10800e3, 21600e3, 43200e3, 86400e3, 172800e3,
  604800e3, 2592000e3, 31536000e3];

/** A part of the whole time, with a little room on both sides. */
export function fit([from, to]) {
  const room = Math.max((to - from) * 0.03, 1);
  return [from - room, to + room];
}

/** The part after a zoom by a factor, around a place from 0 to 1. */
export function zoom([from, to], factor, at = 0.5, whole = null) {
  const most = whole ? (whole[1] - whole[0]) * 1.5 : Infinity;
  const span = Math.min(Math.max((to - from) * factor, SHORTEST), most);
  const fixed = from + (to - from) * at;
  return keepNear([fixed - span * at, fixed + span * (1 - at)], whole);
}

/** The part after it was moved by a part of itself. */
export function pan([from, to], by, whole = null) {
  const shift = (to - from) * by;
  return keepNear([from + shift, to + shift], whole);
}

/** Moves a part so that something of the whole stays in it. */
function keepNear([from, to], whole) {
  if (!whole) return [from, to];
  const span = to - from;
  const first = whole[0] - span / 2;
  const last = whole[1] - span / 2;
  const kept = Math.min(Math.max(from, first), Math.max(last, first));
  return [kept, kept + span];
}

/**
 * The ticks of an axis of so many pixels, counted from a beginning.
 *
 * @returns {{at: number, text: string}[]}
 */
export function ticks([from, to], width, origin) {
  const wanted = Math.max(2, Math.floor(width / 90));
  const step = STEPS.find((step) => (to - from) / step <= wanted) ?? STEPS.at(-1);
  const found = [];
  for (let at = origin + Math.ceil((from - origin) / step) * step; at <= to; at += step) {
    found.push({ at, text: offset(at - origin, step) });
    if (found.length > 60) break;
  }
  return found;
}

/** A time since the beginning: +120 ms, +3.5 s, +2:05 min, +3:20 h, +2 d 4 h. */
export function offset(ms, step = 1) {
  const sign = ms < 0 ? "−" : "+";
  const gap = Math.abs(ms);
  const two = (value) => String(value).padStart(2, "0");
  if (gap < 1000 && step < 1000) return `${sign}${Math.round(gap)} ms`;
  if (gap < 60e3) {
    const digits = step >= 1000 ? 0 : step >= 100 ? 1 : step >= 10 ? 2 : 3;
    return `${sign}${(gap / 1000).toFixed(digits)} s`;
  }
  const seconds = Math.floor(gap / 1000);
  if (gap < 3600e3) {
    const part = step < 1000 ? `.${String(Math.floor(gap % 1000)).padStart(3, "0")}` : "";
    return `${sign}${Math.floor(seconds / 60)}:${two(seconds % 60)}${part} min`;
  }
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  if (gap < 86400e3) {
    const part = step < 60e3 ? `:${two(seconds % 60)}` : "";
    return `${sign}${hours}:${two(minutes % 60)}${part} h`;
  }
  const days = Math.floor(hours / 24);
  return `${sign}${days} d${step < 86400e3 ? ` ${hours % 24}:${two(minutes % 60)} h` : ""}`;
}
