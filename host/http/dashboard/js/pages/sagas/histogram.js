/**
 * When the sagas of the list were created: bars over time. A click on a bar, or
 * drawing over several, narrows the list to that time. With the keyboard: the
 * arrow keys go from bar to bar, with Shift over several, and Enter narrows.
 */

import { api } from "../../lib/api.js";
import { fill, h, setText, svg } from "../../lib/dom.js";
import { STATUSES, clockText, count, duration, statusTone } from "../../lib/format.js";
import { narrowing } from "./query.js";

const BUCKETS = 60;
const HEIGHT = 56;
const STEP = 10;

/** From below to above in a bar; what is bad lies on top. */
const TONES = ["good", "neutral", "active", "warn", "bad"];
const TONE_WORDS = { good: "completed", neutral: "other", active: "running", warn: "suspended", bad: "failed" };

/**
 * @param {object} options
 * @param {(from: number, to: number) => void} options.onPick
 * @returns {{element: HTMLElement, load: (filter: Object, signal: AbortSignal) => void}}
 */
export function histogram({ onPick }) {
  let shown = null;
  let cursor = -1;
  let anchor = -1;
  let dragging = false;

  const picture = svg("svg", { viewBox: `0 0 ${BUCKETS * STEP} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  const range = svg("rect", { class: "histo-range", y: 0, height: HEIGHT, width: 0 });
  const said = h("span", { class: "histo-said num", role: "status" });
  const from = h("span", { class: "num" }, "–");
  const to = h("span", { class: "num" }, "–");
  const plot = h("div", {
    class: "histo-plot", tabindex: "0", role: "group",
    "aria-label": "Created over time. Arrow keys go from bar to bar, with Shift over several; Enter narrows the list to that time.",
    on: {
      pointerdown: (event) => {
        if (!shown || event.button !== 0) return;
        plot.setPointerCapture(event.pointerId);
        dragging = true;
        anchor = cursor = at(event);
        mark();
      },
      pointermove: (event) => {
        if (!shown) return;
        cursor = at(event);
        if (!dragging) anchor = cursor;
        mark();
      },
      pointerup: () => {
        if (!dragging) return;
        dragging = false;
        pick();
      },
      pointercancel: () => { dragging = false; unmark(); },
      pointerleave: () => { if (!dragging) unmark(); },
      blur: () => unmark(),
      keydown: keys,
    },
  }, picture);
  const legend = h("div", { class: "histo-legend small faint" }, TONES.map((tone) =>
    h("span", null, h("span", { class: `histo-swatch swatch-${tone}`, "aria-hidden": "true" }), TONE_WORDS[tone])));
  const element = h("section", { class: "histo", "aria-label": "When they were created" },
    h("div", { class: "histo-head small" }, said, legend), plot,
    h("div", { class: "histo-axis small faint" }, from, to));

  function at(event) {
    const box = plot.getBoundingClientRect();
    const part = (event.clientX - box.left) / box.width;
    return Math.max(0, Math.min(shown.buckets.length - 1, Math.floor(part * shown.buckets.length)));
  }

  function keys(event) {
    if (!shown) return;
    const last = shown.buckets.length - 1;
    const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -last, End: last };
    if (event.key in steps) {
      event.preventDefault();
      if (cursor < 0) cursor = event.key === "ArrowLeft" || event.key === "End" ? last : 0;
      else cursor = Math.max(0, Math.min(last, cursor + steps[event.key]));
      if (!event.shiftKey || anchor < 0) anchor = cursor;
      mark();
    } else if (event.key === "Enter" && cursor >= 0) {
      event.preventDefault();
      pick();
    } else if (event.key === "Escape") {
      unmark();
    }
  }

  function bounds() {
    const first = Math.min(cursor, anchor);
    const last = Math.max(cursor, anchor);
    return { first, last, from: shown.buckets[first].at, to: Math.min(shown.to, shown.buckets[last].at + shown.widthMs - 1) };
  }

  function mark() {
    const { first, last, from: begin, to: end } = bounds();
    const step = (BUCKETS * STEP) / shown.buckets.length;
    range.setAttribute("x", first * step);
    range.setAttribute("width", (last - first + 1) * step);
    const total = shown.buckets.slice(first, last + 1).reduce((sum, bucket) => sum + all(bucket), 0);
    setText(said, `${clockText(begin)} to ${clockText(end)}: ${count(total, "saga")}`);
  }

  function unmark() {
    cursor = anchor = -1;
    range.setAttribute("width", 0);
    summary();
  }

  function pick() {
    const { from: begin, to: end } = bounds();
    unmark();
    onPick(begin, end);
  }

  function summary() {
    if (!shown) return;
    const total = shown.buckets.reduce((sum, bucket) => sum + all(bucket), 0);
    const part = shown.complete ? "" : " counted so far";
    setText(said, `${count(total, "saga")}${part}, ${duration(shown.widthMs)} a bar`);
  }

  function draw() {
    const highest = Math.max(1, ...shown.buckets.map(all));
    const step = (BUCKETS * STEP) / shown.buckets.length;
    const bars = [];
    shown.buckets.forEach((bucket, index) => {
      let y = HEIGHT;
      for (const [tone, value] of byTone(bucket)) {
        // What is there can be seen, even beside a bar that is far higher.
        const height = Math.max(1.5, (value / highest) * (HEIGHT - 2));
        y -= height;
        bars.push(svg("rect", { class: `bar-${tone}`, x: index * step + 1, y: Math.max(0, y), width: step - 2, height }));
      }
    });
    fill(picture, svg("line", { class: "spark-base", x1: 0, x2: BUCKETS * STEP, y1: HEIGHT - 0.5, y2: HEIGHT - 0.5 }), bars, range);
    setText(from, clockText(shown.from));
    setText(to, clockText(shown.to));
    summary();
  }

  function show(sum) {
    const marked = cursor >= 0 && shown?.buckets.length === sum.buckets.length;
    shown = sum.buckets.length ? sum : null;
    element.classList.toggle("nothing", !shown);
    if (!marked) cursor = anchor = -1;
    if (shown) {
      draw();
      if (marked) mark();
      return;
    }
    fill(picture);
    setText(said, "Nothing to show over time.");
  }

  return {
    element,
    async load(filter, signal) {
      let token = null;
      let sum = null;
      try {
        // The host counts as many as it can soon, and says where to go on.
        do {
          const part = await api.get("/api/instances/histogram", {
            signal, query: { ...narrowing(filter), buckets: BUCKETS, token },
          });
          if (signal.aborted) return;
          sum = added(sum, part);
          token = part.next ?? null;
          show(sum);
        } while (token !== null);
      } catch (error) {
        if (!signal.aborted) setText(said, `Not known over time: ${error.message}`);
      }
    },
  };
}

function all(bucket) {
  return Object.values(bucket.counts).reduce((sum, value) => sum + value, 0);
}

/** Two parts as one: they have the same bars. */
function added(sum, part) {
  if (!sum || sum.buckets.length !== part.buckets.length) return part;
  const buckets = part.buckets.map((bucket, index) => {
    const counts = { ...sum.buckets[index].counts };
    for (const [status, value] of Object.entries(bucket.counts)) counts[status] = (counts[status] ?? 0) + value;
    return { at: bucket.at, counts };
  });
  return { ...part, buckets };
}

function byTone(bucket) {
  const sums = new Map(TONES.map((tone) => [tone, 0]));
  for (const [status, value] of Object.entries(bucket.counts)) {
    const tone = STATUSES.includes(status) ? statusTone(status) : "neutral";
    sums.set(tone, (sums.get(tone) ?? 0) + value);
  }
  return [...sums].filter(([, value]) => value > 0);
}
