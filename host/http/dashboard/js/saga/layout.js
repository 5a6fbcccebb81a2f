// Where everything stands in the diagram of the calls. Pure: a model in, boxes
// and lines out.
//
// What the code asked for comes in a layer after what it had been told by then.
// An undo stands beside its step, so that what goes forward and what goes back
// run in opposite directions.

export const BOX = { width: 196, height: 40, gap: 10, undo: 30, layer: 72, end: 84 };

/** Kinds that have a box of their own. */
const SHOWN = new Set(["activity", "http", "child", "timer", "wait", "entity", "lock", "compensation", "letter"]);

/**
 * The diagram of a model.
 *
 * @param {object} model
 * @param {boolean} [down] From above to below instead of from left to right.
 * @returns {{nodes: object[], edges: object[], width: number, height: number}}
 *   Nodes have `key`, `x`, `y`, `width`, `height`; edges `kind` and `points`.
 */
export function layout(model, down = false) {
  const items = model.items.filter((item) => SHOWN.has(item.kind));
  const undosOf = new Map();
  const loose = [];
  for (const item of model.items) {
    if (item.kind !== "undo") continue;
    const step = model.byKey.get(item.undoes);
    if (step && SHOWN.has(step.kind)) {
      if (!undosOf.has(step.key)) undosOf.set(step.key, []);
      undosOf.get(step.key).push(item);
    } else loose.push(item);
  }
  const { layers, joins } = inLayers(items, model);
  const nodes = new Map();
  const slots = place(layers, undosOf, nodes, down);
  const last = layers.length;
  const end = model.end && { key: "end", type: "end", text: model.end.status };
  const start = { key: "start", type: "start", text: model.name };
  setAt(start, 0, 0, slots.middle, BOX.end, BOX.height, slots, down);
  nodes.set("start", start);
  if (end) {
    setAt(end, last + 1, 0, slots.middle, BOX.end, BOX.height, slots, down);
    nodes.set("end", end);
  }
  loose.forEach((item, at) => {
    const node = { key: item.key, type: "undo", item };
    setAt(node, last + 1, 0, slots.middle + (at + 2) * (BOX.undo + BOX.gap), BOX.width, BOX.undo, slots, down);
    nodes.set(item.key, node);
  });
  const edges = connect(model, items, joins, nodes, down);
  const all = [...nodes.values()];
  return {
    nodes: all, edges,
    width: Math.max(...all.map((node) => node.x + node.width)) + 16,
    height: Math.max(...all.map((node) => node.y + node.height)) + 16,
  };
}

/** Items by how many came before them, and the sets that several wait for. */
function inLayers(items, model) {
  const depth = new Map();
  const joins = new Map();
  const layers = [];
  for (const item of items) {
    let deepest = 0;
    for (const key of item.after) deepest = Math.max(deepest, depth.get(key) ?? 0);
    // A rewind begins anew, after all that was there before.
    if (item.after.length === 0 && item.run > 1) {
      const before = items.filter((other) => other.run < item.run);
      deepest = Math.max(0, ...before.map((other) => depth.get(other.key) ?? 0));
    }
    const at = deepest + 1;
    depth.set(item.key, at);
    (layers[at - 1] ??= []).push(item);
    if (item.after.length > 1) {
      if (!joins.has(item.after)) joins.set(item.after, { at, items: [] });
      joins.get(item.after).items.push(item);
    }
  }
  return { layers: layers.map((layer) => layer ?? []), joins };
}

/** Gives each item its place in its layer, near what came before it. */
function place(layers, undosOf, nodes, down) {
  const size = down ? BOX.width : BOX.height;
  const middles = new Map();
  let least = 0;
  const tall = (item) => {
    const undos = undosOf.get(item.key)?.length ?? 0;
    return down ? size + (undos > 0 ? 14 : 0) : size + undos * (BOX.undo + 4);
  };
  const placed = layers.map((layer) => {
    const groups = new Map();
    for (const item of layer) {
      const name = item.after.join(" ");
      if (!groups.has(name)) groups.set(name, { items: [], height: 0, wanted: 0 });
      const group = groups.get(name);
      group.items.push(item);
      group.height += tall(item) + BOX.gap;
    }
    for (const group of groups.values()) {
      const before = group.items[0].after.map((key) => middles.get(key)).filter((at) => at !== undefined);
      const mean = before.length ? before.reduce((sum, at) => sum + at, 0) / before.length : 0;
      group.wanted = mean - (group.height - BOX.gap) / 2;
      if (group.items.length === 1) group.wanted = mean - size / 2;
    }
    let free = -Infinity;
    const row = [];
    for (const group of [...groups.values()].sort((one, other) => one.wanted - other.wanted)) {
      let at = Math.max(group.wanted, free);
      for (const item of group.items) {
        row.push({ item, at });
        middles.set(item.key, at + size / 2);
        least = Math.min(least, at);
        at += tall(item) + BOX.gap;
      }
      free = at;
    }
    return row;
  });
  const undoLines = down ? Math.max(0, ...placed.flat().map(({ item }) => undosOf.get(item.key)?.length ?? 0)) : 0;
  const slots = { middle: 0, shift: 16 - Math.min(least, -size / 2), layerSize: 0, undoLines };
  placed.forEach((row, layer) => {
    for (const { item, at } of row) {
      const node = { key: item.key, type: "item", item };
      setAt(node, layer + 1, at, null, BOX.width, BOX.height, slots, down);
      nodes.set(item.key, node);
      (undosOf.get(item.key) ?? []).forEach((undo, number) => {
        const box = { key: undo.key, type: "undo", item: undo };
        const offset = number * (BOX.undo + 4);
        Object.assign(box, {
          x: node.x + 10, y: node.y + BOX.height + 4 + offset, width: BOX.width - 10, height: BOX.undo,
        });
        nodes.set(undo.key, box);
      });
    }
  });
  return slots;
}

/** Sets the box of a node, given its layer and its place across. */
function setAt(node, layer, at, middle, width, height, slots, down) {
  const step = down ? BOX.height + 40 + slots.undoLines * (BOX.undo + 4) : BOX.width + BOX.layer;
  const first = down ? BOX.height + 34 : BOX.end + BOX.layer;
  const along = layer === 0 ? 16 : 16 + first + (layer - 1) * step;
  const across = (middle === null ? at : middle - (down ? width : height) / 2) + slots.shift;
  Object.assign(node, down ? { x: across, y: along } : { x: along, y: across }, { width, height });
}

function connect(model, items, joins, nodes, down) {
  const edges = [];
  const add = (from, to, kind) => {
    const one = nodes.get(from);
    const other = nodes.get(to);
    if (one && other) edges.push(curve(out(one, down), into(other, down), kind, down, from, to));
  };
  const followed = new Set();
  for (const item of items) {
    for (const key of item.after) followed.add(key);
    const join = joins.get(item.after);
    if (!join) add(item.after[0] ?? "start", item.key, "next");
  }
  for (const [after, join] of joins) {
    // All of these, and then all of those: they meet in one point.
    const first = nodes.get(join.items[0].key);
    const middles = join.items.map((item) => into(nodes.get(item.key), down));
    const mean = middles.reduce((sum, point) => sum + point[down ? 0 : 1], 0) / middles.length;
    const point = down ? [mean, first.y - 14] : [first.x - 20, mean];
    for (const key of after) {
      const node = nodes.get(key);
      if (node) edges.push(curve(out(node, down), point, "join", down, key, null));
    }
    for (const item of join.items) {
      edges.push(curve(point, into(nodes.get(item.key), down), "next", down, null, item.key));
    }
  }
  const ends = items.filter((item) => !followed.has(item.key) && item.run === model.run);
  const shown = ends.length > 40 ? ends.slice(-40) : ends;
  for (const item of shown) add(item.key, "end", item.state === "cancelled" ? "dropped" : "next");
  if (items.length === 0) add("start", "end", "next");
  for (const item of model.items) {
    if (item.kind !== "undo") continue;
    const own = nodes.get(item.key);
    for (const key of item.after) {
      const before = nodes.get(key);
      if (before) edges.push(back(before, own, down, key, item.key));
    }
  }
  return edges;
}

const out = (node, down) => (down
  ? [node.x + node.width / 2, node.y + node.height] : [node.x + node.width, node.y + node.height / 2]);
const into = (node, down) => (down
  ? [node.x + node.width / 2, node.y] : [node.x, node.y + node.height / 2]);

function curve(from, to, kind, down, fromKey, toKey) {
  const [x1, y1] = from;
  const [x2, y2] = to;
  const bend = Math.max(Math.abs(down ? y2 - y1 : x2 - x1) / 2, 16);
  const path = down
    ? `M${x1} ${y1}C${x1} ${y1 + bend} ${x2} ${y2 - bend} ${x2} ${y2}`
    : `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`;
  const head = kind === "join" ? "" : tip(x2, y2, down ? "down" : "right");
  return { kind, path, head, from: fromKey, to: toKey, ends: [from, to], box: box(x1, y1, x2, y2) };
}

/** The head of an arrow whose point is here. */
function tip(x, y, way) {
  const sides = { right: "l-8 -4v8z", left: "l8 -4v8z", down: "l-4 -8h8z", up: "l-4 8h8z" };
  return `M${x} ${y}${sides[way]}`;
}

/** From one undo to the next: against the direction of the rest. */
function back(one, other, down, from, to) {
  const side = (node) => [node.x + node.width, node.y + node.height / 2];
  if (Math.abs(one.x - other.x) < one.width) {
    // One above the other: around them, on the side.
    const [x1, y1] = side(one);
    const [x2, y2] = side(other);
    const bend = 20 + Math.min(Math.abs(y2 - y1) / 8, 30);
    const path = `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 + bend} ${y2} ${x2} ${y2}`;
    return {
      kind: "back", path, head: tip(x2, y2, "left"), from, to, ends: [[x1, y1], [x2, y2]], box: box(x1, y1, x2 + bend, y2),
    };
  }
  const [x1, y1] = down ? [one.x + one.width / 2, one.y] : [one.x, one.y + one.height / 2];
  const [x2, y2] = down ? [other.x + other.width / 2, other.y + other.height] : side(other);
  const bend = Math.max(Math.abs(down ? y2 - y1 : x2 - x1) / 2, 14);
  const path = down
    ? `M${x1} ${y1}C${x1} ${y1 - bend} ${x2} ${y2 + bend} ${x2} ${y2}`
    : `M${x1} ${y1}C${x1 - bend} ${y1} ${x2 + bend} ${y2} ${x2} ${y2}`;
  const head = tip(x2, y2, down ? "up" : "left");
  return { kind: "back", path, head, from, to, ends: [[x1, y1], [x2, y2]], box: box(x1, y1, x2, y2) };
}

const box = (x1, y1, x2, y2) =>
  [Math.min(x1, x2) - 20, Math.min(y1, y2) - 20, Math.max(x1, x2) + 20, Math.max(y1, y2) + 20];
