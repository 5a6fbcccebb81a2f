/** The signs that stand beside words. They never stand alone. */

import { svg } from "./dom.js";

/** Each is drawn with lines in a square of 16. */
const PATHS = {
  pending: "M8 2.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 1 0 0-11M8 5v3.2l2 1.3",
  running: "M5.5 3.5v9l7-4.5z",
  completed: "M3 8.5l3.2 3.2L13 4.8",
  failed: "M4 4l8 8M12 4l-8 8",
  canceled: "M8 2.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 1 0 0-11M4.2 11.8l7.6-7.6",
  terminated: "M4 4h8v8h-8z",
  suspended: "M5.5 3.5v9M10.5 3.5v9",
  again: "M13 8a5 5 0 1 1-1.6-3.7M13 2.5v3h-3",
  undo: "M6 4L2.8 7.2L6 10.4M3 7.2h6a3.6 3.6 0 0 1 0 7.2H7",
  stuck: "M8 2.2l6.3 11.3H1.7zM8 6.4v3.4M8 11.6v.4",
  armed: "M8 2l5 1.8v4c0 3-2 5-5 6.2c-3-1.2-5-3.2-5-6.2v-4z",
  pivot: "M3 8h9M8.5 4.2L12.3 8l-3.8 3.8",
  committed: "M8 2l5 1.8v4c0 3-2 5-5 6.2c-3-1.2-5-3.2-5-6.2v-4zM5.5 8l1.8 1.8l3.2-3.5",
  none: "M4 8h8",
  search: "M7 2.8a4.2 4.2 0 1 0 0 8.4a4.2 4.2 0 1 0 0-8.4M10.2 10.2l3.3 3.3",
  sun: "M8 5.3a2.7 2.7 0 1 0 0 5.4a2.7 2.7 0 1 0 0-5.4M8 1.5v1.6M8 12.9v1.6M1.5 8h1.6M12.9 8h1.6M3.4 3.4l1.1 1.1M11.5 11.5l1.1 1.1M3.4 12.6l1.1-1.1M11.5 4.5l1.1-1.1",
  moon: "M13 9.6A5.6 5.6 0 0 1 6.4 3a5.6 5.6 0 1 0 6.6 6.6z",
  auto: "M8 2.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 1 0 0-11M8 2.5v11M10.7 3.4v9.2",
  copy: "M5.5 5.5h7v8h-7zM3.5 10.5v-8h7",
  download: "M8 2.5v7.5M4.8 7L8 10.2L11.2 7M3 13.5h10",
  close: "M4 4l8 8M12 4l-8 8",
  up: "M4 10l4-4l4 4",
  down: "M4 6l4 4l4-4",
  right: "M6 4l4 4l-4 4",
  plus: "M8 3v10M3 8h10",
  trash: "M3 4.5h10M6.5 4.5v-2h3v2M4.5 4.5l.6 9h5.8l.6-9",
  filter: "M2.5 3.5h11l-4.2 5v4.5l-2.6-1.5v-3z",
  columns: "M2.5 3h11v10h-11zM6.2 3v10M9.8 3v10",
  key: "M5.2 7.8a2.7 2.7 0 1 0 0 .4M5.2 7.9M7.9 8h6v2.5M11.5 8v2",
  lock: "M4 7.5h8v6H4zM5.5 7.5V5.2a2.5 2.5 0 0 1 5 0v2.3",
  info: "M8 2.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 1 0 0-11M8 7.3v3.6M8 5v.3",
};

/**
 * A sign. It is hidden from screen readers: the word beside it says the same.
 *
 * @param {string} name One of the names in this file.
 * @returns {SVGElement}
 */
export function icon(name) {
  return svg("svg", { class: "icon", viewBox: "0 0 16 16", "aria-hidden": "true", focusable: "false" },
    svg("path", { d: PATHS[name] ?? PATHS.none }));
}
