// A real host, for the tests of the pages: `target/debug/sagahost serve` on a free
// port of the loopback, with data of its own and with guests that `cargo test` built.
//
//   const host = await startHost({
//     functions: ["guest_activities", "guest_orchestrator", "test_guests"], // these, by default
//     args: ["--read-only"],          // more arguments of `serve`
//     command: ["dev", "--no-build"], // in the place of `serve`
//     manifest: "[host]\n",           // more lines of its manifest
//     keys: ["manage", "use"],        // API keys to make first: host.keys.manage, host.keys.use
//     seed: 100_000,                  // so many instances that it finds when it starts
//   });
//   host.url                          // http://127.0.0.1:12345
//   await host.post(path, body)       // the answer's JSON; throws where it is refused
//   await host.get(path)
//   await host.send(method, path, { body, key })   // { status, data }
//   await host.start("FanOut", "id", input)        // starts an orchestrator
//   await host.steps("id", [{ undoFault: "fail" }, {}], { end: "wait" })  // starts StepsSaga
//   await host.raise("id", "Go", value)
//   await host.status("id")           // the status of an instance
//   await host.until("id", (status) => status.sagaState === "stuck")
//   await host.ended("id")            // waits for its end, and gives its status
//   host.file("id", "s1")             // the path of a file of StepsSaga `id`
//   host.output()                     // all that it has printed
//   await host.stop()                 // asks it to end, and removes its folder
//   await host.kill9()                // ends it at once; its folder stays
//   await host.again({ args })        // starts it again on the same data, at the same address
//
// Hosts that still run when the tests are over are stopped by lib/test.mjs, or
// by stopAll().

import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFile, mkdir, mkdtemp, readFile, readdir, rename, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { ROOT, exists, run } from "./packages.mjs";

export const PROGRAM = path.join(ROOT, "target/debug/sagahost");
const FILL = path.join(ROOT, "target/debug/examples/fill");
const GUESTS = path.join(ROOT, "target/guests/wasm32-wasip2/guest");
const COMPILED = path.join(ROOT, "target/browser/components");
const MANAGED = "/runtime/webhooks/durabletask";

/** How long anything may take before it is given up. */
export const PATIENCE = 60_000;

/** How long the host may take to end by itself. */
const END_MS = 20_000;

export const sleep = (ms) => new Promise((done) => { setTimeout(done, ms); });

/**
 * Waits until a condition gives something, and gives that.
 *
 * @template T
 * @param {string} what Said where it does not come to that.
 * @param {() => T|Promise<T>} condition
 */
export async function eventually(what, condition, ms = PATIENCE) {
  const limit = Date.now() + ms;
  let last = null;
  for (;;) {
    try {
      last = null;
      const got = await condition();
      if (got) return got;
    } catch (error) {
      last = error;
    }
    if (Date.now() > limit) throw new Error(`Not within ${ms / 1000} s: ${what}${last ? ` (${last.message})` : ""}`);
    await sleep(25);
  }
}

const GRANTS = `
[[functions]]
names = ["OrderActivity", "PaymentActivity", "RollbackOrderActivity", "RollbackPaymentActivity", "ArticleLeft"]
dirs = [{ host = "shop", guest = "/shop", access = "write" }]
env = { CARD_LIMIT_CENTS = "100000" }

[[functions]]
names = ["TestUniqueEffect", "TestWriteFile", "StepDo", "StepUndo", "AppendLines", "CountRuns", "RequireFile"]
dirs = [{ host = "files", guest = "/files", access = "write" }]
`;

const running = new Set();

/** Starts a host. What it takes and gives stands at the top of this file. */
export async function startHost(options = {}) {
  if (!await exists(PROGRAM)) throw new Error(`${PROGRAM} is not there; run \`cargo build --locked\` first.`);
  const host = new Host(await mkdtemp(path.join(os.tmpdir(), "sagahost-browser-")));
  running.add(host);
  try {
    host.command = options.command ?? ["serve"];
    await host.prepare(options);
    await host.again({ args: options.args });
  } catch (error) {
    await host.stop();
    throw error;
  }
  return host;
}

/** Stops all hosts that were started. */
export async function stopAll() {
  await Promise.all([...running].map((host) => host.stop()));
}

// Whatever becomes of the tests, no host stays.
process.on("exit", () => { for (const host of running) host.child?.kill("SIGKILL"); });

class Host {
  constructor(folder) {
    this.folder = folder;
    this.keys = {};
    this.child = null;
    this.url = null;
    this.printed = "";
    this.digests = [];
  }

  path(...below) {
    return path.join(this.folder, ...below);
  }

  async prepare({ functions = ["guest_activities", "guest_orchestrator", "test_guests"], manifest = "", keys = [], seed = 0 }) {
    if (seed > 0) {
      if (!await exists(FILL)) throw new Error(`${FILL} is not there; \`cargo test --locked\` builds it.`);
      await run(FILL, [this.path("data"), String(seed)], { ms: 120_000 });
    }
    for (const name of ["data/components", "functions", "shop", "files"]) await mkdir(this.path(name), { recursive: true });
    await writeFile(this.path("sagahost.toml"), `${GRANTS}\n${manifest}`);
    for (const name of functions) {
      const from = path.join(GUESTS, `${name}.wasm`);
      if (!await exists(from)) throw new Error(`${from} is not there; \`cargo test --locked\` builds the guests.`);
      await copyFile(from, this.path("functions", `${name}.wasm`));
      this.digests.push(createHash("sha256").update(await readFile(from)).digest("hex"));
    }
    // Machine code of these components takes seconds to make; an earlier host has made it.
    await this.#copy(COMPILED, this.path("data/components"));
    for (const kind of keys) {
      const made = await run(PROGRAM, ["--json", "key", "create", "--kind", kind, "--name", kind, "--data", this.path("data")]);
      this.keys[kind] = JSON.parse(made).key;
    }
  }

  async #copy(from, to) {
    if (!await exists(from)) return;
    await mkdir(to, { recursive: true });
    for (const name of await readdir(from)) {
      const target = path.join(to, name);
      if (!this.digests.some((digest) => name.startsWith(digest)) || await exists(target)) continue;
      const partial = `${target}.${process.pid}`;
      await copyFile(path.join(from, name), partial);
      await rename(partial, target);
    }
  }

  /** Starts it, or starts it again on the same data, at the same address. */
  async again({ args = [] } = {}) {
    const listen = this.url ? new URL(this.url).host : "127.0.0.1:0";
    this.child = spawn(PROGRAM, [
      ...this.command, "--listen", listen, "--data", this.path("data"), "--functions", this.path("functions"),
      "--config", this.path("sagahost.toml"), ...args,
    ], { cwd: this.folder, stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, RUST_BACKTRACE: "0" } });
    const child = this.child;
    child.on("error", (error) => { this.printed += `${error.message}\n`; });
    const from = this.printed.length;
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (bytes) => { this.printed += bytes; });
    this.url = await eventually("the host says where it listens", () => {
      if (child.exitCode !== null || child.signalCode !== null) return "ended";
      return /http:\/\/127\.0\.0\.1:\d+/.exec(this.printed.slice(from))?.[0];
    });
    if (this.url === "ended") throw new Error(`The host ended at once:\n${this.printed}`);
    await eventually("the host answers", async () => (await fetch(`${this.url}/health`)).status < 500);
    await this.#copy(this.path("data/components"), COMPILED);
    return this;
  }

  output() {
    return this.printed;
  }

  async send(method, where, { body, key = this.keys.manage, headers = {} } = {}) {
    const answer = await fetch(this.url + where, {
      method,
      headers: { ...(body === undefined ? {} : { "content-type": "application/json" }), ...(key ? { "x-functions-key": key } : {}), ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(PATIENCE),
    });
    const text = await answer.text();
    let data = text;
    try {
      data = text ? JSON.parse(text) : null;
    } catch { /* Then it is no JSON. */ }
    return { status: answer.status, data };
  }

  async #done(method, where, options) {
    const { status, data } = await this.send(method, where, options);
    if (status >= 400) throw new Error(`${method} ${where}: ${status} ${JSON.stringify(data)}`);
    return data;
  }

  get(where) {
    return this.#done("GET", where);
  }

  post(where, body) {
    return this.#done("POST", where, { body });
  }

  /** Starts an orchestrator; `query` is for tags and the like. */
  start(name, id, input = null, query = "") {
    return this.post(`/api/orchestrators/${name}${id ? `/${encodeURIComponent(id)}` : ""}${query}`, input);
  }

  /** Starts StepsSaga, whose steps are s0, s1 and so on, with a folder of its own. */
  async steps(id, steps, more = {}) {
    await mkdir(this.path("files", id), { recursive: true });
    return this.start("StepsSaga", id, {
      steps: steps.map((step, place) => ({ dir: `/files/${id}`, id: `s${place}`, ...step })), ...more,
    });
  }

  /** The path of a file of a StepsSaga. */
  file(id, name) {
    return this.path("files", id, name);
  }

  raise(id, event, value = null) {
    return this.post(`${MANAGED}/instances/${encodeURIComponent(id)}/raiseEvent/${encodeURIComponent(event)}`, value);
  }

  status(id) {
    return this.get(`${MANAGED}/instances/${encodeURIComponent(id)}`);
  }

  /** Waits until the status of an instance is as it should be, and gives it. */
  async until(id, condition) {
    let last = null;
    try {
      return await eventually(`${id} is as it should be`, async () => {
        last = await this.status(id);
        return condition(last) ? last : null;
      });
    } catch (error) {
      throw new Error(`${error.message}; it was ${JSON.stringify(last)}`);
    }
  }

  ended(id) {
    return this.until(id, ({ runtimeStatus }) => ["Completed", "Failed", "Canceled", "Terminated"].includes(runtimeStatus));
  }

  async #gone(signal) {
    const { child } = this;
    if (!child) return;
    this.child = null;
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const end = new Promise((done) => { child.once("exit", done); });
    child.kill(signal);
    const limit = setTimeout(() => child.kill("SIGKILL"), END_MS);
    await end;
    clearTimeout(limit);
  }

  /** Ends it at once, as a power cut would. */
  kill9() {
    return this.#gone("SIGKILL");
  }

  /** Asks it to end; its folder stays. */
  terminate() {
    return this.#gone("SIGTERM");
  }

  /** Ends it, and removes its folder. */
  async stop() {
    // Nothing of it is needed any more, and what hangs in a guest need not end first.
    await this.#gone("SIGKILL");
    running.delete(this);
    await rm(this.folder, { recursive: true, force: true });
  }
}
