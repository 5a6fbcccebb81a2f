/** Small line charts, and their words for who cannot see them. */

import { fill, h, setText, svg } from "../lib/dom.js";
import { NOTHING, clockText, duration } from "../lib/format.js";

const WIDTH = 300;
const HEIGHT = 56;

/**
 * A chart of one or two lines over time.
 *
 * @param {object} options
 * @param {string} options.title What it shows.
 * @param {Array<{name: string, tone: string, of: (point: Object) => number|null}>} options.lines
 * @param {(value: number) => string} options.format
 * @returns {{element: HTMLElement, set: (points: Array<{at: number}>) => void}}
 *   `set` shows other points.
 */
export function chart({ title, lines, format }) {
  const picture = svg("svg", {
    class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img",
    "aria-label": `${title}: nothing is known yet.`,
  });
  const now = lines.map(() => h("span", { class: "spark-now num" }, NOTHING));
  const top = h("span", { class: "spark-top num" });
  const from = h("span", { class: "num" }, NOTHING);
  const tip = h("div", { class: "spark-tip num", hidden: true, "aria-hidden": "true" });
  const plot = h("div", { class: "spark-plot" }, picture, top, tip);
  let shown = [];
  let values = [];

  plot.addEventListener("pointermove", (event) => {
    if (shown.length < 2) return;
    const box = plot.getBoundingClientRect();
    const part = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    const index = Math.round(part * (shown.length - 1));
    fill(tip, `${clockText(shown[index].at, { date: false })}  `,
      lines.map((line, n) => `${n ? ", " : ""}${line.name} ${show(values[n][index])}`));
    tip.hidden = false;
    tip.style.left = `${part * 100}%`;
    tip.classList.toggle("left", part > 0.5);
  });
  plot.addEventListener("pointerleave", () => { tip.hidden = true; });

  const show = (value) => (value === null ? NOTHING : format(value));

  function set(points) {
    shown = points;
    values = lines.map((line) => points.map((point) => numeric(line.of(point))));
    const highest = Math.max(0, ...values.flat().filter((value) => value !== null));
    const scale = highest > 0 ? highest : 1;
    const x = (index) => (points.length > 1 ? (index / (points.length - 1)) * WIDTH : WIDTH);
    const y = (value) => HEIGHT - 2 - (value / scale) * (HEIGHT - 6);
    const drawn = lines.flatMap((line, n) => {
      const path = lineOf(values[n], x, y);
      if (!path) return [];
      const area = n === 0 && values[n].every((value) => value !== null)
        && svg("path", { class: `spark-area fill-${line.tone}`, d: `${path}L${WIDTH} ${HEIGHT}L0 ${HEIGHT}Z` });
      return [area, svg("path", { class: `spark-line line-${highest > 0 ? line.tone : "none"}${n ? " dashed" : ""}`, d: path })];
    });
    fill(picture, svg("line", { class: "spark-base", x1: 0, x2: WIDTH, y1: HEIGHT - 1, y2: HEIGHT - 1 }), drawn);
    setText(top, highest > 0 ? format(highest) : "");
    lines.forEach((line, n) => setText(now[n], show(values[n].at(-1) ?? null)));
    const span = points.length > 1 ? Math.round((points.at(-1).at - points[0].at) / 1000) * 1000 : 0;
    setText(from, span ? `${duration(span)} ago` : NOTHING);
    picture.setAttribute("aria-label", words(span));
  }

  function words(span) {
    const said = lines.map((line, n) => {
      const there = values[n].filter((value) => value !== null);
      if (!there.length) return `${line.name}: nothing`;
      return `${line.name}: ${show(there.at(-1))} now, lowest ${show(Math.min(...there))}, `
        + `highest ${show(Math.max(...there))}`;
    });
    return `${title} over the last ${duration(span)}. ${said.join(". ")}.`;
  }

  const element = h("figure", { class: "card chart" },
    h("figcaption", null,
      h("h2", { class: "chart-title" }, title),
      h("div", { class: "chart-now" }, lines.map((line, n) =>
        h("span", { class: "spark-key" },
          lines.length > 1 && h("span", { class: ["spark-swatch", `line-${line.tone}`, n > 0 && "dashed"], "aria-hidden": "true" }),
          now[n], " ", h("span", { class: "faint small" }, line.name))))),
    plot,
    h("div", { class: "spark-axis faint small" }, from, h("span", null, "now")));
  set([]);
  return { element, set };
}

function numeric(value) {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

/** A line that is broken where nothing is known. */
function lineOf(values, x, y) {
  let path = "";
  let joined = false;
  values.forEach((value, index) => {
    if (value === null) {
      joined = false;
      return;
    }
    path += `${joined ? "L" : "M"}${x(index).toFixed(1)} ${y(value).toFixed(1)}`;
    joined = true;
  });
  return path;
}
