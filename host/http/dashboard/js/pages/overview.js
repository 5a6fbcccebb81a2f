/** The overview: is it well, what runs, and what needs somebody. */

import { api, send } from "../lib/api.js";
import { tellTime } from "../lib/clock.js";
import { clear, fill, h, setText } from "../lib/dom.js";
import { errorBox } from "../lib/dialog.js";
import {
  NOTHING, badge, bytes, count, duration, measure, number, relative,
} from "../lib/format.js";
import { icon } from "../lib/icons.js";
import { changes } from "./changes.js";
import { chart } from "./chart.js";

const EVERY_MS = 2000;

/** How many stuck sagas are named here; the rest is in the list. */
const NAMED = 8;

export function mount(main, { signal, session, setTitle }) {
  const verdict = h("span", { class: "verdict", role: "status" }, badge("Asking…", "neutral", "pending"));
  const facts = h("p", { class: "faint num overview-facts" }, NOTHING);
  const trouble = h("div", { class: "overview-trouble" });
  const stuck = h("div", null);
  const tiles = tilesOf();
  const throughput = chart({
    title: "Sagas per second", format: measure,
    lines: [
      { name: "started", tone: "active", of: (point) => point.startedPerSecond },
      { name: "ended", tone: "good", of: (point) => point.endedPerSecond },
    ],
  });
  const failures = chart({
    title: "Failures per second", format: measure,
    lines: [{ name: "failed", tone: "bad", of: (point) => point.failedPerSecond }],
  });
  const commits = chart({
    title: "Commit latency", format: duration,
    lines: [{ name: "per commit", tone: "undo", of: (point) => point.commitMs }],
  });
  const latency = latencyTable();
  const lately = changes({ signal });

  fill(main,
    h("div", { class: "page-head" }, h("h1", null, "Overview"), verdict, h("div", { class: "push" }, facts)),
    trouble, stuck,
    tiles.element,
    h("div", { class: "charts" }, throughput.element, failures.element, commits.element, latency.element),
    lately.element);

  let named = "";
  let timer = 0;

  async function ask() {
    try {
      const [now, ready] = await Promise.all([
        api.get("/api/overview", { signal }),
        readiness(signal),
      ]);
      show(now, ready);
      clear(trouble);
    } catch (error) {
      if (signal.aborted) return;
      fill(verdict, badge("Not known", "bad", "stuck"));
      if (!trouble.firstChild) fill(trouble, errorBox(error));
    }
    if (!signal.aborted) timer = setTimeout(next, EVERY_MS);
  }

  function next() {
    if (document.hidden) timer = setTimeout(next, EVERY_MS);
    else ask();
  }

  function show(now, ready) {
    tellTime(now.time);
    const stuckNow = now.instances?.stuck ?? 0;
    const [text, tone, sign] = ready
      ? [`Cannot take work: ${ready}`, "bad", "stuck"]
      : stuckNow ? [`${count(stuckNow, "saga needs", "sagas need")} a person`, "bad", "stuck"]
        : ["Healthy", "good", "completed"];
    if (verdict.textContent !== text) fill(verdict, badge(text, tone, sign));
    setTitle(stuckNow ? `Overview (${stuckNow} stuck)` : "Overview");
    setText(facts, `Version ${session.version} · up for ${duration(Math.floor(now.uptimeMs / 1000) * 1000)} · ${bytes(now.memoryBytes)} of memory`);
    tiles.set(now);
    const points = perSecond(now.series ?? []);
    throughput.set(points);
    failures.set(points);
    commits.set(points);
    latency.set(now);
    if (!stuckNow) {
      named = "";
      clear(stuck);
    } else {
      nameStuck(stuckNow);
    }
  }

  async function nameStuck(total) {
    let rows = [];
    let token = null;
    try {
      // An answer may come with few rows and say that there are more to look at.
      for (let tries = 0; tries < 20; tries += 1) {
        const page = await api.get("/api/instances", {
          signal, query: { saga: "stuck", top: NAMED, sort: "updated", order: "desc", token },
        });
        rows = [...rows, ...page.instances].slice(0, NAMED);
        token = page.next;
        if (page.complete || !token || rows.length >= NAMED) break;
      }
    } catch {
      if (signal.aborted) return;
    }
    const now = `${total} ${rows.map((row) => `${row.id} ${row.updated}`).join(" ")}`;
    if (now === named) return;
    const whys = await Promise.all(rows.map((row) => why(row, signal)));
    if (signal.aborted) return;
    named = now;
    fill(stuck, h("section", { class: "card stuck-card", "aria-labelledby": "stuck-title" },
      h("div", { class: "row" },
        h("h2", { id: "stuck-title" }, icon("stuck"), ` ${count(total, "saga is", "sagas are")} stuck`),
        h("span", { class: "push" }, h("a", { href: "/sagas?saga=stuck" }, "Show all in the list"))),
      h("p", { class: "faint" }, "A step or an undo cannot be done. Each needs a person to try it again, or to say how it ended."),
      h("ul", { class: "stuck-list" }, rows.map((row, place) => h("li", null,
        h("a", { class: "break", href: `/sagas/${encodeURIComponent(row.id)}` }, row.id),
        h("span", { class: "break" }, row.name),
        h("span", { class: "break stuck-why" }, whys[place]),
        h("span", { class: "faint" }, "since ", relative(row.updated)))))));
  }

  ask();
  return { leave: () => clearTimeout(timer) };
}

/** What of a saga is stuck, and what it failed with, in a few words. */
async function why(row, signal) {
  let found;
  try {
    found = (await api.get(`/api/instances/${encodeURIComponent(row.id)}/undo`, { signal })).stuck?.[0];
  } catch { /* Its own page says it. */ }
  if (!found) return "";
  return [h("b", null, found.function), found.failure && [": ", h("code", null, found.failure.code), ` ${cut(found.failure.message)}`]];
}

const cut = (text) => (text.length > 160 ? `${text.slice(0, 160)}…` : text);

/** Why the host cannot take work; null if it can. */
async function readiness(signal) {
  const response = await send("GET", "/readyz", { signal });
  if (response.ok) return null;
  try {
    const said = await response.json();
    return said.reason ?? said.Message ?? said.status ?? `status ${response.status}`;
  } catch {
    return `status ${response.status}`;
  }
}

/** Points of a chart; more would only be noise. */
const POINTS = 75;

/** Some points as one: counts add up, and times are averaged. */
function thinned(series) {
  const many = Math.ceil(series.length / POINTS);
  if (many <= 1) return series;
  const made = [];
  // The newest ones make a full group, so that the last point does not jump.
  for (let end = series.length; end > 0; end -= many) {
    const group = series.slice(Math.max(0, end - many), end);
    if (group.length < many) break;
    const sum = (name) => group.reduce((total, point) => total + (point[name] ?? 0), 0);
    const commits = group.map((point) => point.commitMs).filter((ms) => typeof ms === "number");
    made.unshift({
      at: group[0].at, started: sum("started"), ended: sum("ended"), failed: sum("failed"),
      commitMs: commits.length ? commits.reduce((total, ms) => total + ms, 0) / commits.length : null,
    });
  }
  return made;
}

/** The points of the series as rates, whatever time each stands for. */
function perSecond(all) {
  const series = thinned(all);
  return series.map((point, index) => {
    const other = series[index + 1] ?? series[index - 1];
    const seconds = other ? Math.max(0.001, Math.abs(other.at - point.at) / 1000) : 1;
    return {
      at: point.at,
      startedPerSecond: point.started / seconds,
      endedPerSecond: point.ended / seconds,
      failedPerSecond: (point.failed ?? 0) / seconds,
      commitMs: point.commitMs,
    };
  });
}

/** What the sagas are at, and, less prominently, what the host is at. */
const TILES = [
  { label: "Open", href: "/sagas?status=Pending,Running,Suspended", of: (now) => now.instances?.open, help: "sagas have not ended" },
  { label: "Waiting", of: (now) => now.waiting, help: "for an event, a timer, another" },
  { label: "Being undone", href: "/sagas?saga=compensating", of: (now) => now.compensating, tone: "undo", help: "sagas" },
  { label: "Stuck", href: "/sagas?saga=stuck", of: (now) => now.instances?.stuck, tone: "bad", help: "sagas need a person" },
  { label: "Unsuccessful", href: "/sagas?status=Failed,Canceled,Terminated", of: (now) => now.instances?.unsuccessful, help: "failed, canceled, terminated" },
];

const HOST_TILES = [
  { label: "Attempts running", of: (now) => now.running },
  { label: "Attempts per second", of: (now) => now.rates?.attemptsPerSecond, format: measure },
  { label: "Commits per second", of: (now) => now.rates?.commitsPerSecond, format: measure },
  { label: "Writes waiting", of: (now) => now.queueDepth },
  { label: "Sagas in memory", of: (now) => now.residents },
];

function tilesOf() {
  const make = (tile) => {
    const value = h("dd", { class: "tile-value num" }, NOTHING);
    const element = h("div", { class: "tile" },
      h("dt", null, tile.href ? h("a", { href: tile.href }, tile.label) : tile.label),
      value,
      tile.help && h("dd", { class: "tile-help faint" }, tile.help));
    return { tile, value, element };
  };
  const sagas = TILES.map(make);
  const host = HOST_TILES.map(make);
  return {
    element: h("div", { class: "tile-rows" },
      h("dl", { class: "tiles", "aria-label": "Sagas now" }, sagas.map((part) => part.element)),
      h("dl", { class: "tiles minor", "aria-label": "The host now" }, host.map((part) => part.element))),
    set(now) {
      for (const { tile, value, element } of [...sagas, ...host]) {
        const got = tile.of(now);
        // What this host does not tell has no place.
        element.hidden = got === undefined;
        setText(value, (tile.format ?? number)(got));
        element.dataset.tone = tile.tone && got > 0 ? tile.tone : "";
      }
    },
  };
}

const LATENCIES = [
  ["A saga", "sagaMs"], ["One turn", "turnMs"], ["A commit", "commitMs"],
];

function latencyTable() {
  const cells = LATENCIES.map(() => [h("td", { class: "right num" }, NOTHING), h("td", { class: "right num" }, NOTHING)]);
  return {
    element: h("section", { class: "card chart", "aria-labelledby": "latency-title" },
      h("h2", { id: "latency-title", class: "chart-title" }, "How long things take"),
      h("table", { class: "latency" },
        h("thead", null, h("tr", null, h("th", { scope: "col" }, h("span", { class: "hidden" }, "What")),
          h("th", { scope: "col", class: "right" }, h("abbr", { title: "half of them took no longer" }, "p50")),
          h("th", { scope: "col", class: "right" }, h("abbr", { title: "99 in 100 took no longer" }, "p99")))),
        h("tbody", null, LATENCIES.map(([label], n) =>
          h("tr", null, h("th", { scope: "row" }, label), cells[n]))))),
    set(now) {
      LATENCIES.forEach(([, name], n) => {
        setText(cells[n][0], duration(now.latency?.[name]?.p50));
        setText(cells[n][1], duration(now.latency?.[name]?.p99));
      });
    },
  };
}
