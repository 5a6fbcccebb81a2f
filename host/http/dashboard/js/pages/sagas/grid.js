/**
 * The table of the list. Only the rows that can be seen, and some around them,
 * are elements; above and below them is empty room. One row at a time can be
 * reached with Tab; the arrow keys go to the others.
 */

import { fill, h } from "../../lib/dom.js";
import { number } from "../../lib/format.js";

/** Rows beyond those that can be seen. */
const AROUND = 12;

/** No browser has elements of any height: how many rows have room at a time. */
const ROOM = 200_000;

/**
 * @param {object} options
 * @param {(sort: string) => void} options.onSort
 * @param {import("./selection.js").Selection|null} options.selection
 * @returns {Object} See the returned functions.
 */
export function grid({ onSort, selection }) {
  let listing = null;
  let columns = [];
  let base = 0;
  let current = 0;
  let shownFrom = 0;
  const made = new Map();
  const faults = new Map();

  const head = h("tr", { role: "row", "aria-rowindex": 1 });
  const above = h("tbody", { class: "room", "aria-hidden": "true" });
  const body = h("tbody", { role: "rowgroup" });
  const below = h("tbody", { class: "room", "aria-hidden": "true" });
  const roomAbove = room(above);
  const roomBelow = room(below);
  const table = h("table", { class: "grid", role: "table", "aria-label": "Sagas", "aria-rowcount": -1 },
    h("thead", { role: "rowgroup" }, head), above, body, below);
  const foot = h("div", { class: "grid-foot" });
  const view = h("div", {
    class: "grid-view", role: "region", "aria-label": "List of sagas; the arrow keys go from row to row", tabindex: "-1",
    on: { scroll: () => draw(), keydown: keys },
  }, table, foot);
  const watcher = new ResizeObserver(() => draw(true));
  watcher.observe(view);

  const narrow = matchMedia("(max-width: 40rem)");
  const rowHeight = () => (narrow.matches ? 76 : 36);
  const relayout = () => { made.clear(); body.replaceChildren(); draw(true); };
  narrow.addEventListener("change", relayout);

  function room(part) {
    const cell = h("td", null);
    part.appendChild(h("tr", null, cell));
    return cell;
  }

  function setColumns(next) {
    columns = next;
    made.clear();
    body.replaceChildren();
    // Rows are laid out as grids, so that they can be cards on a phone. The
    // roles say that it is a table all the same.
    const widths = columns.map((column) => (column.grow ? `minmax(${column.width}rem, ${column.grow}fr)` : `${column.width}rem`));
    table.style.setProperty("--columns", [selection && "2.5rem", ...widths].filter(Boolean).join(" "));
    table.style.setProperty("--least", `${columns.reduce((sum, column) => sum + column.width, selection ? 2.5 : 0)}rem`);
    heads();
    draw(true);
  }

  function heads() {
    const filter = listing?.filter;
    fill(head,
      selection && h("th", { scope: "col", role: "columnheader", class: "col-pick" }, selection.headBox()),
      columns.map((column) => {
        const sorted = filter && column.sort === filter.sort;
        return h("th", {
          scope: "col", role: "columnheader", class: column.right ? "right" : null,
          "aria-sort": sorted ? (filter.order === "asc" ? "ascending" : "descending") : column.sort ? "none" : null,
        }, column.sort
          ? h("button", { type: "button", class: "sort", on: { click: () => onSort(column.sort) } },
            column.title, h("span", { class: "sort-sign", "aria-hidden": "true" }, sorted ? (filter.order === "asc" ? "▲" : "▼") : "↕"))
          : column.title);
      }));
  }

  function setListing(next) {
    listing = next;
    made.clear();
    faults.clear();
    body.replaceChildren();
    base = 0;
    current = 0;
    view.scrollTop = 0;
    heads();
    draw(true);
  }

  /** Draws what can be seen; `all` also where nothing moved. */
  function draw(all = false) {
    if (!listing) return;
    const height = rowHeight();
    const most = Math.max(0, Math.min(ROOM, listing.length - base));
    let first = Math.floor(view.scrollTop / height);
    const fit = Math.ceil(view.clientHeight / height) + 1;
    // Near an end of the room the room moves on over the list.
    if (most === ROOM && first > ROOM * 0.9) shift(ROOM / 2);
    else if (base > 0 && first < ROOM * 0.05) shift(-Math.min(base, ROOM / 2));
    first = Math.max(0, Math.floor(view.scrollTop / height));
    const from = base + Math.max(0, Math.min(first, most) - AROUND);
    const to = Math.min(base + most, base + first + fit + AROUND);
    shownFrom = base + first;
    if (!all && from === draw.from && to === draw.to) return;
    draw.from = from;
    draw.to = to;
    listing.want(from, base + first + fit + 100);
    roomAbove.style.height = `${(from - base) * height}px`;
    roomBelow.style.height = `${Math.max(0, base + Math.min(ROOM, listing.length - base) - to) * height}px`;
    place(from, to);
  }

  function shift(by) {
    base += by;
    view.scrollTop -= by * rowHeight();
  }

  function place(from, to) {
    const focused = made.get(current)?.element.contains(document.activeElement);
    for (const [index, one] of made) {
      if (index >= from && index < to) continue;
      one.element.remove();
      made.delete(index);
    }
    if (focused && !made.has(current)) view.focus({ preventScroll: true });
    let before = null;
    for (let index = from; index < to; index += 1) {
      const row = listing.row(index);
      let one = made.get(index);
      if (!one || one.row !== row || one.stamp !== stampOf(row)) {
        const element = rowOf(index, row);
        const had = one?.element.contains(document.activeElement) ? document.activeElement : null;
        const kept = had ? had.className : null;
        if (one) one.element.replaceWith(element);
        one = { element, row, stamp: stampOf(row) };
        made.set(index, one);
        if (kept !== null) (element.querySelector(`.${kept}`) ?? element.querySelector("a"))?.focus({ preventScroll: true });
      }
      const wanted = before ? before.nextSibling : body.firstChild;
      if (one.element !== wanted) body.insertBefore(one.element, wanted);
      before = one.element;
    }
    rove();
  }

  /** What a row shows, as far as it changes. */
  function stampOf(row) {
    if (!row) return "";
    return `${row.runtimeStatus} ${row.sagaState} ${row.updated} ${row.events} ${row.fresh ?? ""} ${faults.get(row.id) ?? ""}`;
  }

  function rowOf(index, row) {
    if (!row) {
      return h("tr", { role: "row", "aria-rowindex": index + 2, class: "coming" },
        h("td", { role: "cell", colspan: columns.length + (selection ? 1 : 0) }, "…"));
    }
    const fault = faults.get(row.id);
    const element = h("tr", {
      role: "row", "aria-rowindex": index + 2, data: { index },
      class: [selection?.picked.has(row.id) && "is-picked", row.stuck && "is-stuck", row.fresh && "is-fresh", fault && "is-fault"],
    },
    selection && h("td", { role: "cell", class: "col-pick" }, selection.box(row)),
    columns.map((column) => h(column.key === "id" ? "th" : "td", {
      scope: column.key === "id" ? "row" : null, role: column.key === "id" ? "rowheader" : "cell",
      class: [`col-${column.key}`, column.right && "right num"], data: { title: column.title },
    }, column.cell(row), column.key === "id" && fault && h("span", { class: "row-fault", title: fault }, ` ${fault}`))));
    return element;
  }

  /** Only the current row is a stop of the Tab key. */
  function rove() {
    let stop = made.has(current) ? current : null;
    if (stop === null) stop = made.has(shownFrom) ? shownFrom : [...made.keys()][0] ?? null;
    for (const [index, { element }] of made) {
      const tab = index === stop ? "0" : "-1";
      for (const part of element.querySelectorAll("a, input")) part.setAttribute("tabindex", tab);
    }
  }

  function go(index, kind = "a") {
    const most = listing.length - 1;
    const height = rowHeight();
    current = Math.max(0, Math.min(index, most));
    if (current < base || current >= base + ROOM) {
      base = Math.max(0, Math.min(current - ROOM / 2, listing.length - ROOM / 2));
    }
    const top = (current - base) * height;
    const headHeight = head.offsetHeight;
    if (top < view.scrollTop) view.scrollTop = top;
    else if (top + height + headHeight > view.scrollTop + view.clientHeight) {
      view.scrollTop = top + height + headHeight - view.clientHeight;
    }
    draw(true);
    made.get(current)?.element.querySelector(kind)?.focus({ preventScroll: true });
  }

  function keys(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || !listing?.length) return;
    if (head.contains(event.target)) return;
    const kind = event.target.matches?.("input") ? "input" : "a";
    const fit = Math.max(1, Math.floor(view.clientHeight / rowHeight()) - 2);
    const steps = {
      ArrowDown: 1, ArrowUp: -1, PageDown: fit, PageUp: -fit, Home: -current, End: listing.length - 1 - current,
    };
    if (event.key in steps) {
      event.preventDefault();
      const before = current;
      go(current + steps[event.key], kind);
      if (event.shiftKey) selection?.extend(listing, before, current);
    } else if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
      event.preventDefault();
      go(current, event.key === "ArrowLeft" && selection ? "input" : "a");
    } else if (event.key === " " && kind === "a" && selection) {
      event.preventDefault();
      const row = listing.row(current);
      if (row) selection.toggle(row);
    }
  }

  body.addEventListener("focusin", (event) => {
    const index = Number(event.target.closest("tr")?.dataset.index);
    if (Number.isInteger(index)) {
      current = index;
      rove();
    }
  });

  /** Shows what stands below the rows. */
  function setFoot(...content) {
    fill(foot, ...content);
  }

  return {
    element: view, setColumns, setListing, setFoot,
    redraw: () => draw(true),
    setFaults(next) {
      for (const [id, text] of next) faults.set(id, text);
      draw(true);
    },
    /** Whether one looks at the first rows, and is not among them with the keyboard. */
    atTop: () => view.scrollTop === 0 && base === 0 && !body.contains(document.activeElement),
    where: () => ({ top: view.scrollTop, base, current }),
    goTo(place) {
      base = place.base;
      current = place.current;
      draw(true);
      view.scrollTop = place.top;
      draw(true);
    },
    range: () => `${number(shownFrom + 1)} to ${number(Math.min(listing?.length ?? 0, shownFrom + Math.floor(view.clientHeight / rowHeight())))}`,
    leave() {
      watcher.disconnect();
      narrow.removeEventListener("change", relayout);
    },
  };
}
