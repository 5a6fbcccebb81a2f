// Made-up answers for developing the pages of the dashboard. Nothing here ran.

const NAMES = ["OrderSaga", "GiftSaga", "GreetingChain", "FanOut", "Approval", "Reminder", "ReserveSaga"];
const ENDS = ["Completed", "Completed", "Completed", "Completed", "Completed", "Completed", "Failed", "Canceled", "Terminated"];
const SHOPS = ["berlin", "lima", "oslo", "kyoto"];

/** A number from 0 to 1 that is always the same for the same seed. */
function random(seed) {
  let x = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return ((x ^ (x >>> 16)) >>> 0) / 4294967296;
}

export function fake({ count, readOnly, key, host, only }) {
  const born = Date.now();
  const changed = new Map();
  const gone = new Set();
  const listeners = new Set();
  const log = [];
  const epoch = born.toString(36);
  let total = count;
  let events = 0;

  /** Row 0 is the oldest. */
  function row(n) {
    const touched = changed.get(n);
    if (touched) return touched;
    const created = Math.round(born - (count - n) * 2600 - random(n) * 2000);
    const open = count - n < 60 ? random(n + 7) < 0.5 : random(n + 7) < 0.0004;
    const name = NAMES[Math.floor(random(n + 1) * NAMES.length)];
    const runtimeStatus = open
      ? (random(n + 9) < 0.15 ? "Suspended" : random(n + 9) < 0.2 ? "Pending" : "Running")
      : ENDS[Math.floor(random(n + 2) * ENDS.length)];
    const saga = name.endsWith("Saga");
    const stuck = open && saga && random(n + 3) < 0.12;
    const sagaState = !saga ? "none" : stuck ? "stuck"
      : open ? ["armed", "armed", "past-pivot", "compensating"][Math.floor(random(n + 4) * 4)]
        : runtimeStatus === "Completed" ? "committed" : "compensated";
    return {
      id: `${name.replace("Saga", "").toLowerCase()}-${String(n).padStart(7, "0")}`,
      name, runtimeStatus, sagaState, created,
      updated: open ? Math.round(born - random(n + 5) * 9e5) : created + Math.round(random(n + 5) ** 4 * 40000),
      ...(saga ? { customStatus: ["paying", "packing", { step: 3, of: 7 }, "done"][Math.floor(random(n + 6) * 4)] } : {}),
      tags: random(n + 8) < 0.4 ? { shop: SHOPS[Math.floor(random(n + 8) * 10)] ?? "oslo", ...(random(n) < 0.2 ? { tier: "gold" } : {}) } : {},
      ...(stuck ? { stuck: true } : {}),
      ...(open && random(n + 11) < 0.01 ? { blocked: true } : {}),
      events: 3 + Math.floor(random(n + 10) * 40),
    };
  }

  const numberOf = (id) => {
    const n = Number(/-(\d{7,})$/.exec(id)?.[1] ?? NaN);
    return n < total && !gone.has(n) && row(n).id === id ? n : null;
  };

  function tests(query) {
    const list = (name) => query.get(name)?.split(",").filter(Boolean) ?? [];
    const [status, saga, name] = [list("status"), list("saga"), query.get("name")];
    const [search, prefix] = [query.get("search")?.toLowerCase(), query.get("idPrefix")];
    const [from, to] = [Number(query.get("from") ?? -Infinity), Number(query.get("to") ?? Infinity)];
    const tags = query.getAll("tag").map((tag) => tag.split(/:(.*)/s));
    return (one) => (!status.length || status.includes(one.runtimeStatus))
      && (!saga.length || saga.includes(one.sagaState))
      && (!name || one.name === name)
      && (!prefix || one.id.startsWith(prefix))
      && (!search || one.id.toLowerCase().includes(search) || one.name.toLowerCase().includes(search))
      && one.created >= from && one.created <= to
      && tags.every(([word, value]) => one.tags[word] === value);
  }

  function list(query) {
    const fits = tests(query);
    const top = Math.min(Number(query.get("top") ?? 100), 1000);
    const asc = query.get("order") === "asc";
    let at = query.has("token") ? Number(query.get("token")) : asc ? 0 : total - 1;
    const rows = [];
    const until = performance.now() + 60;
    const inside = () => (asc ? at < total : at >= 0);
    while (inside() && rows.length < top) {
      if (!gone.has(at)) {
        const one = row(at);
        if (fits(one)) rows.push(one);
      }
      at += asc ? 1 : -1;
      if (at % 512 === 0 && performance.now() > until) break;
    }
    const full = rows.length >= top;
    return { instances: rows, next: inside() ? String(at) : null, complete: full || !inside() };
  }

  function histogram(query) {
    const fits = tests(query);
    const buckets = Number(query.get("buckets") ?? 60);
    const kept = query.get("token")?.split(" ") ?? [];
    const from = Number(kept[1] ?? query.get("from") ?? row(0).created);
    const to = Number(kept[2] ?? query.get("to") ?? Date.now());
    const widthMs = Math.max(1, Math.ceil((to - from + 1) / buckets));
    const step = Math.max(1, Math.floor(total / 20000));
    const all = Array.from({ length: buckets }, (_, n) => ({ at: from + n * widthMs, counts: {} }));
    const begin = Number(kept[0] ?? 0);
    const end = begin + Math.ceil(total / 3);
    for (let n = begin; n < Math.min(end, total); n += step) {
      const one = row(n);
      if (!fits(one)) continue;
      const counts = all[Math.min(buckets - 1, Math.max(0, Math.floor((one.created - from) / widthMs)))].counts;
      counts[one.runtimeStatus] = (counts[one.runtimeStatus] ?? 0) + step;
    }
    return { from, to, widthMs, buckets: all, next: end < total ? `${end} ${from} ${to}` : null, complete: end >= total };
  }

  function tell(n, kinds) {
    const one = changed.get(n) ?? row(n);
    events += 1;
    const data = {
      id: one.id, name: one.name, runtimeStatus: one.runtimeStatus, sagaState: one.sagaState,
      updated: one.updated, created: one.created, kinds,
      ended: ["Completed", "Failed", "Canceled", "Terminated"].includes(one.runtimeStatus),
    };
    const text = `id: ${epoch}-${events}\nevent: change\ndata: ${JSON.stringify(data)}\n\n`;
    log.push({ n: events, text });
    if (log.length > 1000) log.shift();
    for (const send of listeners) send(text);
  }

  function live() {
    const now = Date.now();
    if (Math.random() < 0.5) {
      const n = total;
      total += 1;
      changed.set(n, { ...row(n), created: now, updated: now, runtimeStatus: "Running", events: 2 });
      tell(n, ["ExecutionStarted"]);
    } else {
      const n = total - 1 - Math.floor(Math.random() * Math.min(40, total));
      const one = { ...row(n), updated: now };
      if (one.runtimeStatus !== "Running") return;
      one.events += 2;
      if (Math.random() < 0.4) one.runtimeStatus = ENDS[Math.floor(Math.random() * ENDS.length)];
      changed.set(n, one);
      tell(n, one.runtimeStatus === "Running" ? ["TaskCompleted", "TaskScheduled"] : ["TaskCompleted", "ExecutionCompleted"]);
    }
  }
  setInterval(live, 700).unref();

  function overview() {
    const now = Date.now();
    const series = Array.from({ length: 60 }, (_, n) => {
      const at = now - (60 - n) * 5000;
      const seed = Math.floor(at / 5000);
      const started = Math.round(40 + 25 * Math.sin(seed / 9) + random(seed) * 15);
      return { at, started, ended: Math.max(0, started - Math.round(random(seed + 1) * 6)),
        failed: random(seed + 2) < 0.2 ? Math.round(random(seed + 3) * 4) : 0, commitMs: 0.8 + random(seed + 4) * 1.4 };
    });
    return {
      time: now, uptimeMs: now - born + 93_600_000, memoryBytes: 312_000_000 + Math.round(random(now >> 12) * 2e7),
      instances: { open: 431, unsuccessful: 222_010, stuck: 7 }, compensating: 12, waiting: 360, running: 52, queueDepth: Math.round(random(now >> 11) * 30),
      rates: { startedPerSecond: 8.4, endedPerSecond: 8.1, attemptsPerSecond: 31.2, commitsPerSecond: 22.9 },
      latency: { commitMs: { p50: 1.1, p99: 4.8 }, turnMs: { p50: 0.42, p99: 2.2 }, sagaMs: { p50: 182, p99: 3120 } },
      residents: 388, series,
    };
  }

  async function functions(headers) {
    const answer = await fetch(new URL("/admin/components", host), { headers });
    const components = await answer.json();
    return components.flatMap((component) => component.functions.map((one, n) => ({
      ...one, component: component.component, digest: component.digest, deployedAt: born - 3_600_000 * (n + 2),
      imports: component.imports,
      capabilities: one.kind === "activity"
        ? { http: ["https://api.example.com (GET, POST)"], files: [{ guest: "/shop", access: "write" }], env: ["CARD_LIMIT_CENTS"],
          limits: { memoryBytes: 67_108_864, cpuMs: 2000, timeoutMs: 30_000, outputBytes: 1_048_576 } }
        : { limits: { memoryBytes: 134_217_728 } },
      stats: { attempts: Math.round(random(n) * 90_000), failed: Math.round(random(n + 1) * 400), running: Math.round(random(n + 2) * 6),
        perSecond: random(n + 3) * 9, p50Ms: 3 + random(n + 4) * 40, p95Ms: 60 + random(n + 5) * 90, p99Ms: 160 + random(n + 6) * 900 },
    })));
  }

  function stream(request, response) {
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
    const [theirs, last] = (request.headers["last-event-id"] ?? "").split("-");
    if (theirs && (theirs !== epoch || Number(last) < (log[0]?.n ?? 1) - 1)) {
      events += 1;
      response.write(`id: ${epoch}-${events}\nevent: reset\ndata: {}\n\n`);
    } else {
      response.write(`: made up\n\n`);
      if (theirs) for (const one of log) if (one.n > Number(last)) response.write(one.text);
    }
    const send = (text) => response.write(text);
    const beat = setInterval(() => response.write(": alive\n\n"), 15_000);
    listeners.add(send);
    response.on("close", () => { listeners.delete(send); clearInterval(beat); });
  }

  const json = (response, status, body) => {
    response.writeHead(status, { "content-type": "application/json" });
    response.end(body === undefined ? "" : JSON.stringify(body));
    return true;
  };

  function act(id, action, response) {
    const n = numberOf(id);
    if (n === null) return false;
    const one = { ...row(n), updated: Date.now() };
    const ended = ["Completed", "Failed", "Canceled", "Terminated"].includes(one.runtimeStatus);
    if (action === "purge") {
      if (!ended) return json(response, 412, { Message: `Instance '${id}' has not ended.`, ExceptionType: "NotEnded" });
      gone.add(n);
      return json(response, 200, { instancesDeleted: 1 });
    }
    if (action !== "restart" && action !== "rewind" && ended) {
      return json(response, 410, { Message: `Instance '${id}' has ended.`, ExceptionType: "Ended" });
    }
    one.runtimeStatus = { suspend: "Suspended", resume: "Running", cancel: "Canceled", terminate: "Terminated", rewind: "Running" }[action] ?? one.runtimeStatus;
    changed.set(n, one);
    tell(n, ["ExecutionChanged"]);
    return json(response, 202, action === "restart" ? { id: `${id}-again` } : undefined);
  }

  return async (request, response, url) => {
    const where = url.pathname;
    if (only === "lists" && where !== "/api/instances" && where !== "/api/instances/histogram") return false;
    if (request.method === "GET") {
      if (where === "/api/session") {
        return json(response, 200, { version: "0.1.0 (made-up data)", readOnly, mayUse: !readOnly, mayManage: !readOnly, keysConfigured: Boolean(key) });
      }
      if (where === "/api/instances") return json(response, 200, list(url.searchParams));
      if (where === "/api/instances/histogram") return json(response, 200, histogram(url.searchParams));
      if (where === "/api/overview") return json(response, 200, overview());
      if (where === "/api/functions") return json(response, 200, await functions({}));
      if (where === "/api/events") {
        stream(request, response);
        return true;
      }
    }
    const one = /^\/runtime\/webhooks\/durabletask\/instances\/([^/]+)(?:\/(\w+))?$/.exec(where);
    if (one && request.method === "POST") return act(decodeURIComponent(one[1]), one[2], response);
    if (one && request.method === "DELETE") return act(decodeURIComponent(one[1]), "purge", response);
    const cancel = /^\/api\/instances\/([^/]+)\/cancel$/.exec(where);
    if (cancel && request.method === "POST") return act(decodeURIComponent(cancel[1]), "cancel", response);
    return false;
  };
}
