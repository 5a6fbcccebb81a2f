// The diagram: what was called after what, and what undid what. Only what is in
// sight is drawn. One node at a time can be reached with Tab; arrow keys go on.

import { fill, h, svg } from "../lib/dom.js";
import { glyph, glyphAt, toneOf } from "./glyphs.js";
import { layout } from "./layout.js";
import { kindWord } from "./model-state.js";
import { sentence, title } from "./words.js";

/** How far beyond what is in sight is drawn, and how many lines are many. */
const MARGIN = 200;
const MANY = 300;

/** Of no more items than so many both ways of drawing are tried. */
const FEW = 200;

export function diagram({ onSelect }) {
  let model = null;
  let now = 0;
  let drawn = null;
  let scale = null;
  let down = null;
  let selected = null;
  let current = "start";
  let signature = "";
  const edges = svg("g", { class: "dg-edges" });
  const nodes = svg("g");
  const picture = svg("svg", { class: "dg-picture", role: "group", "aria-label": "Diagram of the calls; arrow keys go from one to the next" },
    edges, nodes);
  const box = h("div", { class: "dg-box" }, picture);
  const tool = (sign, label, action) => h("button", {
    type: "button", class: "button small", title: label, "aria-label": label, on: { click: action },
  }, glyph(sign));
  const turn = h("button", {
    type: "button", class: "button small", on: { click: () => { down = !down; signature = ""; draw(); } },
  });
  const root = h("div", { class: "dg" },
    h("div", { class: "tl-tools", role: "toolbar", "aria-label": "Diagram" },
      tool("minus", "Smaller", () => setScale(scale / 1.25)),
      tool("plus", "Larger", () => setScale(scale * 1.25)),
      tool("fit", "Show all of it", () => fitAll()),
      turn),
    box,
    h("ul", { class: "dg-legend" },
      h("li", { class: "forward" }, "solid: asked for after what stands before it"),
      h("li", { class: "back" }, glyph("undo"), "dashed: undone, in this order")));

  function update(next) {
    ({ model, now } = next);
    draw();
  }

  function draw() {
    if (!model || !root.isConnected) return;
    down ??= goesDown();
    turn.textContent = down ? "From left to right" : "From above to below";
    const sign = `${model.run} ${model.items.length} ${model.end?.status} ${down} ${model.name} `
      + `${model.items.filter((item) => item.kind === "undo").length}`;
    const first = signature === "";
    if (sign !== signature) {
      signature = sign;
      drawn = layout(model, down);
      drawn.byKey = new Map(drawn.nodes.map((node) => [node.key, node]));
      if (!drawn.byKey.has(current)) current = "start";
      // What is only a little too large is made to fit.
      scale ??= Math.min(1, Math.max(0.85, Math.min(box.clientWidth / drawn.width, (innerHeight * 0.64) / drawn.height)));
    }
    size();
    if (first) reveal(selected && drawn.byKey.has(selected) ? selected : "start");
    drawVisible();
  }

  /** Whether more of it is to be seen from above to below. */
  function goesDown() {
    if (model.items.length > FEW) return box.clientWidth < 620;
    const part = (one) => Math.min(box.clientWidth / one.width, (innerHeight * 0.6) / one.height, 1);
    return part(layout(model, true)) > part(layout(model, false)) * 1.1;
  }

  function size() {
    picture.setAttribute("width", drawn.width * scale);
    picture.setAttribute("height", drawn.height * scale);
    picture.setAttribute("viewBox", `0 0 ${drawn.width} ${drawn.height}`);
  }

  function setScale(to, keep = true) {
    const middle = [(box.scrollLeft + box.clientWidth / 2) / scale, (box.scrollTop + box.clientHeight / 2) / scale];
    scale = Math.min(Math.max(to, 0.15), 2.5);
    size();
    if (keep) {
      box.scrollLeft = middle[0] * scale - box.clientWidth / 2;
      box.scrollTop = middle[1] * scale - box.clientHeight / 2;
    }
    drawVisible();
  }

  function fitAll() {
    setScale(Math.min(box.clientWidth / drawn.width, Math.max(box.clientHeight, 300) / drawn.height, 1.2), false);
  }

  function drawVisible() {
    const view = [
      box.scrollLeft / scale - MARGIN, box.scrollTop / scale - MARGIN,
      (box.scrollLeft + (box.clientWidth || 800)) / scale + MARGIN,
      (box.scrollTop + (box.clientHeight || 600)) / scale + MARGIN,
    ];
    const inSight = ([x1, y1, x2, y2]) => x2 > view[0] && x1 < view[2] && y2 > view[1] && y1 < view[3];
    fill(edges, edgesOf(drawn.edges.filter((edge) => inSight(edge.box)), view));
    const focused = nodes.contains(document.activeElement);
    const seen = drawn.nodes.filter((node) =>
      node.key === current || inSight([node.x, node.y, node.x + node.width, node.y + node.height]));
    fill(nodes, seen.map(nodeOf));
    if (focused) nodeElement(current)?.focus({ preventScroll: true });
  }

  /** The lines, those of a kind in one path: there may be thousands. */
  function edgesOf(seen, [left, top, right, bottom]) {
    const within = ([x, y]) => x > left && x < right && y > top && y < bottom;
    const shown = seen.length > MANY ? seen.filter((edge) => edge.ends.some(within)) : seen;
    const paths = new Map();
    for (const edge of shown) {
      const chosen = selected && (edge.from === selected || edge.to === selected);
      const type = `${edge.kind}${chosen ? " chosen" : ""}`;
      if (!paths.has(type)) paths.set(type, { lines: [], heads: [] });
      paths.get(type).lines.push(edge.path);
      paths.get(type).heads.push(edge.head);
    }
    return [...paths].map(([type, { lines, heads }]) => [
      svg("path", { class: `dg-edge ${type}`, d: lines.join("") }),
      svg("path", { class: `dg-arrow ${type}`, d: heads.join("") || "M0 0" }),
    ]);
  }

  const nodeElement = (key) => nodes.querySelector(`[data-key="${CSS.escape(key)}"]`);

  function nodeOf(node) {
    const { item, type, x, y, width, height } = node;
    const state = item?.state ?? type;
    const text = item ? title(item) : type === "start" ? "Start" : model.end?.status ?? "";
    // What is too long is cut off in the picture only: dots stand there, which are no text.
    const long = text.length > Math.floor((width - 36) / (type === "undo" ? 6.6 : 7.1));
    const small = type === "undo" ? `undoes ${item.undo}` : item ? `${kindWord(item)}${item.task === undefined ? "" : item.kind === "compensation" ? ` (${item.task})` : ` ${item.task}`}` : "";
    const label = item ? `${text} ${small}, ${sentence(model, item, now)}`
      : type === "start" ? `Start of ${model.name}` : `${text}, the end`;
    const group = svg("g", {
      class: `dg-node ${type} ${item?.kind ?? ""} ${state} tone-text-${item ? toneOf(item) : "neutral"}${node.key === selected ? " chosen" : ""}${item?.undoneBy?.length ? " undone" : ""}`,
      transform: `translate(${x} ${y})`, role: "button", tabindex: node.key === current ? "0" : "-1",
      "aria-label": label, "aria-pressed": String(node.key === selected), data: { key: node.key },
      on: {
        click: () => { current = node.key; onSelect(item ? item.key : null, false); },
        keydown: (event) => key(event, node),
        focus: () => { current = node.key; },
      },
    },
    svg("title", { "aria-hidden": "true" }, text),
    svg("rect", { class: "dg-shape", width, height, rx: type === "start" || type === "end" ? 20 : 5 }),
    item?.kind === "child" && svg("rect", { class: "dg-inner", x: 3, y: 3, width: width - 6, height: height - 6, rx: 3 }),
    item?.pivot && svg("path", { class: "dg-pivot", d: `M${width} 0v${height}` }));
    if (!item) {
      group.append(svg("text", { class: "dg-name", x: width / 2, y: height / 2 + 5, "text-anchor": "middle" }, text));
      return group;
    }
    const one = type === "undo";
    group.append(glyphAt(item.kind, 7, one ? 8 : 6, 13, "dg-kind"),
      svg("svg", { x: 25, width: width - 37, height }, svg("text", { class: "dg-name", y: one ? 13.5 : 17 }, text)),
      " ", svg("text", { class: "dg-small", x: 25, y: one ? 25 : 32 }, small),
      long && item ? svg("path", { class: "dg-dots", d: `M${width - 11} ${one ? 13 : 16.5}h0m3 0h0m3 0h0` }) : "",
      glyphAt(item.state, width - 19, height - 17, 12, "dg-state"));
    return group;
  }

  function key(event, node) {
    const keys = {
      Enter: () => onSelect(node.item ? node.key : null, true),
      " ": () => onSelect(node.item ? node.key : null, false),
      ArrowRight: () => go(node, 1, 0), ArrowLeft: () => go(node, -1, 0),
      ArrowDown: () => go(node, 0, 1), ArrowUp: () => go(node, 0, -1),
      Home: () => to("start"), End: () => to(drawn.nodes.at(-1).key),
      "+": () => setScale(scale * 1.25), "-": () => setScale(scale / 1.25), 0: fitAll,
    };
    if (!keys[event.key] || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    keys[event.key]();
  }

  /** To the nearest node in a direction. */
  function go(node, dx, dy) {
    const middle = (one) => [one.x + one.width / 2, one.y + one.height / 2];
    const [x, y] = middle(node);
    let best = null;
    let least = Infinity;
    for (const other of drawn.nodes) {
      const [ox, oy] = middle(other);
      const along = (ox - x) * dx + (oy - y) * dy;
      const across = Math.abs((ox - x) * dy) + Math.abs((oy - y) * dx);
      const far = along + across * 2.5;
      if (along > 6 && far < least) [best, least] = [other, far];
    }
    if (best) to(best.key);
  }

  function to(target) {
    current = target;
    reveal(target);
    drawVisible();
    nodeElement(target)?.focus({ preventScroll: true });
  }

  function reveal(target) {
    const node = drawn?.byKey.get(target);
    if (!node) return;
    const [left, top] = [node.x * scale, node.y * scale];
    const [right, bottom] = [(node.x + node.width) * scale, (node.y + node.height) * scale];
    if (left < box.scrollLeft) box.scrollLeft = left - 24;
    else if (right > box.scrollLeft + box.clientWidth) box.scrollLeft = right - box.clientWidth + 24;
    if (top < box.scrollTop) box.scrollTop = top - 24;
    else if (bottom > box.scrollTop + box.clientHeight) box.scrollTop = bottom - box.clientHeight + 24;
  }

  box.addEventListener("scroll", () => requestAnimationFrame(() => drawn && drawVisible()), { passive: true });
  box.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return;
    event.preventDefault();
    setScale(scale * (event.deltaY > 0 ? 0.85 : 1.18));
  }, { passive: false });
  let held = null;
  box.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "mouse" && event.button === 0 && !event.target.closest(".dg-node")) {
      held = [event.clientX, event.clientY];
      box.setPointerCapture(event.pointerId);
    }
  });
  box.addEventListener("pointermove", (event) => {
    if (!held) return;
    box.scrollLeft -= event.clientX - held[0];
    box.scrollTop -= event.clientY - held[1];
    held = [event.clientX, event.clientY];
  });
  for (const end of ["pointerup", "pointercancel"]) box.addEventListener(end, () => { held = null; });

  return {
    root, update, shown: draw,
    choose(target) {
      selected = target;
      if (target && drawn?.byKey.has(target)) {
        current = target;
        if (root.isConnected) reveal(target);
      }
      if (drawn && root.isConnected) drawVisible();
    },
  };
}
