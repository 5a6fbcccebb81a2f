/** What is deployed: components, and the functions in them. */

import { api } from "../lib/api.js";
import { clear, fill, h, setText } from "../lib/dom.js";
import { errorBox } from "../lib/dialog.js";
import { copyText } from "../lib/json-view.js";
import { NOTHING, badge, count, duration, measure, number, percent, relative } from "../lib/format.js";
import { icon } from "../lib/icons.js";
import { inline } from "./prose.js";

const EVERY_MS = 5000;

const SIGNS = { orchestrator: "again", activity: "running", entity: "info" };

/** The functions of an answer. */
export function listOf(answer) {
  return Array.isArray(answer) ? answer : answer?.functions ?? [];
}

/** What kind of function it is. */
export function kindBadge(kind) {
  return badge(kind, kind === "orchestrator" ? "active" : "neutral", SIGNS[kind]);
}

/** The part of attempts that failed; nothing where there was none. */
export function failureRate(stats) {
  return stats?.attempts ? stats.failed / stats.attempts : NaN;
}

/** Who deployed the component of a function, as far as the host knows. */
export function deployer({ deployedBy, deployedVia }) {
  if (deployedBy) return ` by ${deployedBy}`;
  return deployedVia === "api" ? " over the API" : deployedVia === "folder" ? ", as a file" : null;
}

/** A digest, short, with a button that copies it. */
export function digestOf(digest) {
  return h("span", { class: "digest" },
    h("code", { title: digest }, digest.slice(0, 12)),
    h("button", {
      type: "button", class: "button quiet small", "aria-label": `Copy the digest ${digest.slice(0, 12)}`,
      on: { click: () => copyText(digest) },
    }, icon("copy")));
}

const COLUMNS = [
  { key: "name", title: "Function", value: (one) => one.name.toLowerCase() },
  { key: "kind", title: "Kind", value: (one) => one.kind },
  { key: "component", title: "Component", value: (one) => one.component },
  { key: "running", title: "Running", right: true, value: (one) => one.stats?.running, show: (one) => number(one.stats?.running) },
  { key: "rate", title: "Per s", right: true, value: (one) => one.stats?.perSecond, show: (one) => measure(one.stats?.perSecond) },
  { key: "attempts", title: "Attempts", right: true, value: (one) => one.stats?.attempts, show: (one) => number(one.stats?.attempts) },
  { key: "failed", title: "Failed", right: true, value: (one) => failureRate(one.stats), show: (one) => percent(failureRate(one.stats)) },
  { key: "p50", title: "p50", right: true, value: (one) => one.stats?.p50Ms, show: (one) => duration(one.stats?.p50Ms) },
  { key: "p95", title: "p95", right: true, value: (one) => one.stats?.p95Ms, show: (one) => duration(one.stats?.p95Ms) },
  { key: "p99", title: "p99", right: true, value: (one) => one.stats?.p99Ms, show: (one) => duration(one.stats?.p99Ms) },
];

export function mount(main, { signal }) {
  let all = [];
  let sort = { key: "name", down: false };
  let cells = new Map();
  let drawn = "";
  const trouble = h("div", null);
  const body = h("tbody", null);
  const head = h("tr", null);
  const components = h("div", { class: "components" });
  const many = h("span", { class: "faint small num", role: "status" });
  const filter = h("input", {
    id: "function-filter", type: "search", placeholder: "Name or description", autocomplete: "off", spellcheck: "false",
    on: { input: () => draw(true) },
  });

  fill(main,
    h("div", { class: "page-head" }, h("h1", null, "Functions"), many,
      h("div", { class: "push row" }, h("label", { for: "function-filter", class: "small faint" }, "Filter"), filter)),
    trouble,
    h("section", { class: "card flush", "aria-label": "Functions" },
      h("div", { class: "table-wrap" }, h("table", { class: "functions" },
        h("caption", { class: "hidden" }, "Functions, with how they did lately"),
        h("thead", null, head), body))),
    h("h2", { class: "components-title" }, "Components"), components);

  function heads() {
    fill(head, COLUMNS.map((column) => {
      const sorted = sort.key === column.key;
      return h("th", {
        scope: "col", class: column.right && "right",
        "aria-sort": sorted ? (sort.down ? "descending" : "ascending") : "none",
      }, h("button", {
        type: "button", class: "sort",
        on: {
          click: () => {
            sort = { key: column.key, down: sorted ? !sort.down : Boolean(column.right) };
            draw(true);
            head.querySelector(`[aria-sort]:not([aria-sort="none"]) button`)?.focus();
          },
        },
      }, column.title, h("span", { class: "sort-sign", "aria-hidden": "true" }, sorted ? (sort.down ? "▼" : "▲") : "↕")));
    }));
  }

  function draw(anew = false) {
    const wanted = filter.value.trim().toLowerCase();
    const shown = all.filter((one) => !wanted || one.name.toLowerCase().includes(wanted)
      || (one.description ?? "").toLowerCase().includes(wanted));
    const deployed = all.map((one) => `${one.name} ${one.digest}`).join();
    if (!anew && deployed === drawn) {
      // Only figures are other ones: the rows stay where they are.
      for (const one of shown) {
        for (const [column, cell] of cells.get(one.name) ?? []) setText(cell, column.show(one));
      }
      return;
    }
    drawn = deployed;
    heads();
    const column = COLUMNS.find((one) => one.key === sort.key);
    shown.sort((a, b) => compare(column.value(a), column.value(b)) * (sort.down ? -1 : 1) || compare(a.name, b.name));
    cells = new Map();
    fill(body, shown.map((one) => rowOf(one)));
    setText(many, wanted ? `${shown.length} of ${count(all.length, "function")}` : count(all.length, "function"));
    if (!shown.length) {
      fill(body, h("tr", null, h("td", { colspan: COLUMNS.length, class: "empty" },
        wanted ? "No function has that in its name or description." : "No component is deployed yet. Put one into the functions folder, or deploy it with sagahost deploy.")));
    }
    fill(components, componentsOf(all));
  }

  function rowOf(one) {
    const figures = COLUMNS.filter((column) => column.show).map((column) =>
      [column, h("td", { class: "right num" }, column.show(one))]);
    cells.set(one.name, figures);
    return h("tr", null,
      h("th", { scope: "row" }, h("a", { class: "function-name", href: `/functions/${encodeURIComponent(one.name)}` }, one.name),
        one.description && h("div", { class: "function-about faint" }, inline(one.description.split(/\n\s*\n/)[0].replaceAll("\n", " ")))),
      h("td", null, kindBadge(one.kind)),
      h("td", { class: "faint" }, one.component),
      figures.map(([, cell]) => cell));
  }

  let timer = 0;
  async function ask() {
    try {
      all = listOf(await api.get("/api/functions", { signal }));
      clear(trouble);
      draw(!drawn);
    } catch (error) {
      if (signal.aborted) return;
      fill(trouble, errorBox(error));
    }
    if (!signal.aborted) timer = setTimeout(next, EVERY_MS);
  }
  function next() {
    if (document.hidden) timer = setTimeout(next, EVERY_MS);
    else ask();
  }
  heads();
  ask();
  return { leave: () => clearTimeout(timer) };
}

/** What is not known comes first, as nothing. */
function compare(a, b) {
  if (typeof a === "string") return a < b ? -1 : a > b ? 1 : 0;
  const [x, y] = [a, b].map((value) => (typeof value === "number" && !Number.isNaN(value) ? value : -1));
  return x - y;
}

function componentsOf(all) {
  const byName = new Map();
  for (const one of all) {
    const there = byName.get(one.component) ?? [];
    there.push(one);
    byName.set(one.component, there);
  }
  return [...byName].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, functions]) => {
    const [first] = functions;
    return h("section", { class: "card" },
      h("h3", null, name),
      h("dl", { class: "facts" },
        h("dt", null, "Digest"), h("dd", null, digestOf(first.digest)),
        h("dt", null, "Deployed"), h("dd", null, first.deployedAt ? relative(first.deployedAt) : NOTHING,
          deployer(first)),
        h("dt", null, "Functions"), h("dd", { class: "links" }, functions.map((one) => one.name).sort().map((text) =>
          h("a", { href: `/functions/${encodeURIComponent(text)}` }, text))),
        h("dt", null, "Imports"), h("dd", null, importsOf(first.imports))));
  });
}

/** What a component imports, folded where it is much. */
export function importsOf(imports) {
  if (!imports?.length) return "nothing";
  return h("details", null, h("summary", null, count(imports.length, "interface")),
    h("ul", { class: "plain mono" }, imports.map((one) => h("li", { class: "break" }, one))));
}
