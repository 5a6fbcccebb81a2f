/** The columns of the list, and which of them are shown. */

import { h, uid } from "../../lib/dom.js";
import { NOTHING, badge, duration, hasEnded, number, relative, shortTime, statusBadge } from "../../lib/format.js";
import { icon } from "../../lib/icons.js";
import { stringify } from "../../lib/json.js";

const STORED = "sagahost.columns";

/**
 * `width` is in rem, `grow` how much of what is left a column takes.
 *
 * @type {Array<{key: string, title: string, width: number, grow?: number,
 *   sort?: "created"|"updated", right?: boolean, off?: boolean, fixed?: boolean,
 *   cell: (row: Object) => *}>}
 */
export const COLUMNS = [
  { key: "id", title: "Id", width: 10.5, grow: 2, fixed: true, cell: idCell },
  { key: "name", title: "Orchestrator", width: 9.2, grow: 1, cell: (row) => row.name },
  { key: "status", title: "Status", width: 8.6, cell: status },
  { key: "saga", title: "Saga", width: 9.4, cell: (row) => statusBadge(row.sagaState ?? "none") },
  { key: "created", title: "Created", width: 7.25, sort: "created", cell: (row) => shortTime(row.created) },
  { key: "updated", title: "Changed", width: 6.5, sort: "updated", cell: (row) => relative(row.updated) },
  { key: "took", title: "Took", width: 5.5, right: true, cell: took },
  { key: "custom", title: "Custom status", width: 8, grow: 1, off: true, cell: (row) => textOf(row.customStatus) },
  { key: "tags", title: "Tags", width: 12.2, grow: 3, cell: tags },
  { key: "events", title: "Events", width: 4.5, right: true, off: true, cell: (row) => number(row.events) },
];

function idCell(row) {
  return h("a", { href: `/sagas/${encodeURIComponent(row.id)}`, class: "id-link", title: row.id }, row.id);
}

function status(row) {
  if (!row.blocked) return statusBadge(row.runtimeStatus);
  const shown = badge("blocked", "bad", "stuck");
  shown.title = `${row.runtimeStatus}, but its code cannot go on`;
  return shown;
}

function took(row) {
  if (!hasEnded(row.runtimeStatus)) return NOTHING;
  return duration(Math.max(0, row.updated - row.created));
}

function textOf(value) {
  if (value === undefined || value === null) return "";
  return typeof value === "string" ? value : stringify(value);
}

function tags(row) {
  return Object.entries(row.tags ?? {}).map(([word, value]) =>
    h("span", { class: "tag" }, `${word}: ${value}`));
}

/** The columns that are shown, in their order. */
export function chosen() {
  let keys = null;
  try {
    keys = JSON.parse(localStorage.getItem(STORED));
  } catch { /* What is stored may be anything. */ }
  if (!Array.isArray(keys)) return COLUMNS.filter((column) => !column.off);
  return COLUMNS.filter((column) => column.fixed || keys.includes(column.key));
}

function keep(columns) {
  try {
    localStorage.setItem(STORED, JSON.stringify(columns.map((column) => column.key)));
  } catch { /* Without storage it holds for this page. */ }
}

/**
 * The button that opens the choice of columns.
 *
 * @param {(columns: typeof COLUMNS) => void} onChange
 * @returns {HTMLElement}
 */
export function chooser(onChange) {
  const shown = new Set(chosen().map((column) => column.key));
  const id = uid("columns");
  return h("details", { class: "popover" },
    h("summary", { class: "button" }, icon("columns"), "Columns"),
    h("fieldset", { class: "popover-body", id },
      h("legend", null, "Columns"),
      COLUMNS.filter((column) => !column.fixed).map((column) => h("label", null,
        h("input", {
          type: "checkbox", checked: shown.has(column.key),
          on: {
            change: (event) => {
              if (event.target.checked) shown.add(column.key);
              else shown.delete(column.key);
              const now = COLUMNS.filter((one) => one.fixed || shown.has(one.key));
              keep(now);
              onChange(now);
            },
          },
        }), column.title))));
}
