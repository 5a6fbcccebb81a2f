// The signs of one saga's items: what an item is, and how an attempt ended. In
// pictures they tell apart what colour alone must not.

import { svg } from "../lib/dom.js";

/** Each is drawn with lines in a square of 16. */
const PATHS = {
  activity: "M3 5h10v6H3z",
  http: "M8 2.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 1 0 0-11M2.5 8h11M8 2.5c-4 4-4 7 0 11c4-4 4-7 0-11",
  child: "M2.5 3h6v4h-6zM7.5 9.5h6v4h-6zM5.5 7v4.5h2",
  timer: "M8 2.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 1 0 0-11M8 5v3.2l2 1.3",
  wait: "M2.5 4h11v8h-11zM2.5 4.5L8 8.8l5.5-4.3",
  event: "M8 2.5L13.5 8L8 13.5L2.5 8z",
  entity: "M8 2l5 3v6l-5 3l-5-3V5zM3 5l5 3l5-3M8 8v6",
  lock: "M4 7.5h8v6H4zM5.5 7.5V5.2a2.5 2.5 0 0 1 5 0v2.3",
  compensation: "M6 4L2.8 7.2L6 10.4M3 7.2h6a3.6 3.6 0 0 1 0 7.2H7",
  undo: "M6 4L2.8 7.2L6 10.4M3 7.2h6a3.6 3.6 0 0 1 0 7.2H7",
  letter: "M2.5 8L13.5 3L9.5 13.5L7.5 9zM7.5 9L13.5 3",
  completed: "M3 8.5l3.2 3.2L13 4.8",
  failed: "M4 4l8 8M12 4l-8 8",
  lost: "M5.3 6a2.7 2.7 0 1 1 3.9 2.4c-.8.4-1.2.9-1.2 1.8M8 12.6v.3",
  running: "M5.5 3.5v9l7-4.5z",
  retrying: "M13 8a5 5 0 1 1-1.6-3.7M13 2.5v3h-3",
  waiting: "M5.5 3.5v9M10.5 3.5v9",
  cancelled: "M4 8h8",
  accepted: "M13 8a5 5 0 1 1-1.6-3.7M13 2.5v3h-3",
  stuck: "M8 2.2l6.3 11.3H1.7zM8 6.4v3.4M8 11.6v.4",
  pivot: "M3 8h9M8.5 4.2L12.3 8l-3.8 3.8",
  plus: "M8 3v10M3 8h10",
  minus: "M3 8h10",
  fit: "M2.5 6V2.5H6M10 2.5h3.5V6M13.5 10v3.5H10M6 13.5H2.5V10",
  target: "M8 4.5a3.5 3.5 0 1 0 0 7a3.5 3.5 0 1 0 0-7M8 1.5v3M8 11.5v3M1.5 8h3M11.5 8h3",
  first: "M4 3.5v9M12.5 3.5L6 8l6.5 4.5z",
  back: "M10.5 3.5L4.5 8l6 4.5z",
  next: "M5.5 3.5L11.5 8l-6 4.5z",
  last: "M12 3.5v9M3.5 3.5L10 8l-6.5 4.5z",
};

/** A sign in a line of text; the words beside it say the same. */
export function glyph(name, type = "") {
  return svg("svg", {
    class: `icon ${type}`, viewBox: "0 0 16 16", "aria-hidden": "true", focusable: "false",
  }, svg("path", { d: PATHS[name] ?? PATHS.activity }));
}

/** A sign within a picture, with its upper left corner at x and y. */
export function glyphAt(name, x, y, size, type = "") {
  const scale = size / 16;
  return svg("path", {
    class: `glyph ${type}`, d: PATHS[name] ?? PATHS.activity,
    transform: `translate(${x.toFixed(1)} ${y.toFixed(1)}) scale(${scale})`,
  });
}

/** The patterns by which bars are told apart. Once in a page. */
export function patterns() {
  const lines = (id, d) => svg("pattern", {
    id, class: id, width: 8, height: 8, patternUnits: "userSpaceOnUse",
  }, svg("rect", { width: 8, height: 8 }), svg("path", { d }));
  return svg("svg", { class: "offscreen", width: 0, height: 0, "aria-hidden": "true" },
    svg("defs", null,
      lines("saga-failed", "M0 0L8 8M8 0L0 8"),
      lines("saga-lost", "M2 2h1M6 6h1"),
      lines("saga-running", "M0 8L8 0M-2 2L2 -2M6 10L10 6"),
      lines("saga-undo", "M0 0L8 8M-2 6L2 10M6 -2L10 2")));
}

/** The colours of a state, as the badges have them. */
export const TONES = {
  running: "active", retrying: "warn", waiting: "neutral", completed: "good", failed: "bad",
  cancelled: "neutral", stuck: "bad", lost: "warn", accepted: "active",
};

/** The tone of an item. */
export function toneOf(item) {
  if (item.kind === "undo" && item.state === "completed") return "undo";
  if (item.kind === "event" || item.kind === "letter") {
    return item.state === "failed" ? "bad" : "neutral";
  }
  return TONES[item.state] ?? "neutral";
}
