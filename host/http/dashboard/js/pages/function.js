/** One function: what it may do, how it does, and a form to try it. */

import { api } from "../lib/api.js";
import { fill, h, setText } from "../lib/dom.js";
import { errorBox } from "../lib/dialog.js";
import { jsonView } from "../lib/json-view.js";
import { NOTHING, bytes, duration, measure, number, percent, relative } from "../lib/format.js";
import { icon } from "../lib/icons.js";
import { deployer, digestOf, failureRate, importsOf, kindBadge, listOf } from "./functions.js";
import { prose } from "./prose.js";
import { tryActivity, sendOperation, startSaga } from "./try.js";

const EVERY_MS = 5000;

export async function mount(main, context) {
  const { params, signal, setTitle, session } = context;
  setTitle(params.name);
  const crumbs = h("p", { class: "crumbs" }, h("a", { href: "/functions" }, "Functions"), " /");
  const title = h("h1", { class: "break" }, params.name);
  let one;
  try {
    one = await find(params.name, signal);
  } catch (error) {
    if (signal.aborted) return null;
    fill(main, crumbs, title, errorBox(error));
    return null;
  }
  if (!one) {
    fill(main, crumbs, title, h("p", null, "No function of this name is deployed. ",
      h("a", { href: "/functions" }, "Show those that are.")));
    return null;
  }
  const stats = statsOf(one.kind);
  stats.set(one.stats);
  fill(main, crumbs,
    h("div", { class: "page-head" }, title, kindBadge(one.kind),
      one.kind === "orchestrator" && h("a", { class: "push", href: `/sagas?name=${encodeURIComponent(one.name)}` }, "Its sagas")),
    one.description && h("div", { class: "lead stack function-lead" }, prose(one.description)),
    stats.element,
    h("div", { class: "function-columns" },
      h("div", null, formOf(one, session, context)),
      h("div", null, aboutCard(one), schemasCard(one))));

  const timer = setInterval(async () => {
    if (document.hidden) return;
    try {
      const now = await find(params.name, signal);
      if (now) stats.set(now.stats);
    } catch { /* The figures stay what they were. */ }
  }, EVERY_MS);
  return { leave: () => clearInterval(timer) };
}

async function find(name, signal) {
  const all = listOf(await api.get("/api/functions", { signal }));
  return all.find((one) => one.name === name) ?? null;
}

function formOf(one, session, context) {
  const mine = { orchestrator: startSaga, activity: tryActivity, entity: sendOperation }[one.kind];
  const title = { orchestrator: "Start", activity: "Try", entity: "Send an operation" }[one.kind];
  if (!mine) return null;
  const section = h("section", { class: "card", "aria-labelledby": "try-title" }, h("h2", { id: "try-title" }, title));
  const needed = one.kind === "activity" ? session.mayManage : session.mayUse;
  if (session.readOnly || !needed) {
    section.appendChild(h("p", { class: "row faint" }, icon("lock"), session.readOnly
      ? "This host is read-only."
      : `The API key of this tab does not allow it; it takes one of the kind ${one.kind === "activity" ? "manage" : "use"}.`));
    return section;
  }
  section.appendChild(mine(one, context));
  return section;
}

const FIGURES = [
  // Of orchestrators nobody counts it.
  ["Running now", (stats) => (stats?.running === undefined || stats.running === null ? null : number(stats.running))],
  ["Per second", (stats) => measure(stats?.perSecond)],
  ["Attempts", (stats) => number(stats?.attempts)],
  ["Failed", (stats) => percent(failureRate(stats))],
  ["Took, p50", (stats) => duration(stats?.p50Ms)],
  ["Took, p95", (stats) => duration(stats?.p95Ms)],
  ["Took, p99", (stats) => duration(stats?.p99Ms)],
];

function statsOf(kind) {
  const values = FIGURES.map(() => h("dd", { class: "tile-value num" }, NOTHING));
  const name = (label) => (label === "Attempts" && kind === "orchestrator" ? "Ended" : label);
  const tiles = FIGURES.map(([label], n) => h("div", { class: "tile" }, h("dt", null, name(label)), values[n]));
  return {
    element: h("dl", { class: "tiles seven", "aria-label": "How it does" }, tiles),
    set: (stats) => FIGURES.forEach(([, of], n) => {
      const text = of(stats);
      tiles[n].hidden = text === null;
      setText(values[n], text ?? NOTHING);
    }),
  };
}

function aboutCard(one) {
  const fact = (name, ...value) => [h("dt", null, name), h("dd", null, value)];
  const may = one.capabilities ?? {};
  const limits = may.limits ?? {};
  return h("section", { class: "card" }, h("h2", null, "What it is, and what it may do"),
    h("dl", { class: "facts" },
      fact("Component", one.component),
      fact("Digest", digestOf(one.digest)),
      fact("Deployed", one.deployedAt ? relative(one.deployedAt) : NOTHING, deployer(one)),
      one.undo && fact("Undone by", undoOf(one.undo)),
      one.pivot && fact("Pivot", "once it is done, there is no way back"),
      fact("HTTP", listing(may.http, (rule) => (typeof rule === "string" ? rule : `${rule.to}${rule.methods ? ` (${rule.methods.join(", ")})` : ""}`))),
      fact("Files", listing(may.files, (dir) => `${dir.guest}, to ${dir.access}${dir.host ? ` (${dir.host})` : ""}`)),
      fact("Environment", listing(may.env, (name) => name)),
      fact("Memory", bytes(limits.memoryBytes)),
      fact("Computing time", duration(limits.cpuMs)),
      fact("Time to answer", duration(one.timeoutMs ?? limits.timeoutMs)),
      fact("Result", bytes(limits.outputBytes)),
      limits.concurrency !== undefined && fact("At the same time", number(limits.concurrency)),
      limits.rate !== undefined && fact("How often", limits.rate),
      limits.reuse !== undefined && fact("Each instance serves", `up to ${number(limits.reuse)} attempts`),
      one.retry && fact("Retries", retryText(one.retry)),
      one.runsAhead !== undefined && fact("Begins", beginning(one)),
      fact("Imports", importsOf(one.imports))));
}

function listing(all, text) {
  if (!all?.length) return h("span", { class: "faint" }, "none");
  return h("ul", { class: "plain" }, all.map((one) => h("li", { class: "break" }, h("code", null, text(one)))));
}

/** Whether its attempts wait until their steps are on disk, and why. */
function beginning({ runsAhead, capabilities: may = {} }) {
  if (runsAhead) return "before its step is on disk, as it is granted nothing that could leave a trace";
  const granted = [[may.http, "send HTTP requests"], [may.files, "reach files"], [may.env, "read variables"]]
    .filter(([grants]) => grants?.length).map(([, what]) => what);
  if (!granted.length && may.limits?.reuse !== undefined) {
    return "once its step is on disk, as the next attempt finds what this one leaves in memory";
  }
  return `once its step is on disk${granted.length ? `, as it may ${granted.join(" and ")}` : ""}`;
}

function undoOf(undo) {
  const name = typeof undo === "string" ? undo : undo.function ?? undo.name;
  return name ? h("a", { href: `/functions/${encodeURIComponent(name)}` }, name) : NOTHING;
}

function retryText(retry) {
  const parts = [`up to ${retry.maxAttempts} attempts`];
  if (retry.firstIntervalMs) parts.push(`first after ${duration(retry.firstIntervalMs)}`);
  if (retry.backoff && retry.backoff !== 1) parts.push(`${retry.backoff} times as long each time`);
  if (retry.maxIntervalMs) parts.push(`at most ${duration(retry.maxIntervalMs)}`);
  return parts.join(", ");
}

function schemasCard(one) {
  const schemas = [["Input", one.inputSchema], ["Result", one.outputSchema], ["State", one.stateSchema]].filter(([, schema]) => schema);
  if (!schemas.length) return null;
  return h("section", { class: "card" }, h("h2", null, "Schemas"),
    schemas.map(([label, schema]) => h("details", { class: "schema-details" }, h("summary", null, label),
      jsonView(schema, { label: `${label} schema`, filename: `${one.name}-${label.toLowerCase()}.schema.json`, depth: 2 }))));
}
