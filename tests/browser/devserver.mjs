#!/usr/bin/env node
// A development tool for the pages of the dashboard: it serves their files as
// they are now, with the headers of the host, and hands everything else on to
// a host. With --fake it answers the lists, figures and events itself, with
// MADE-UP data (see fake.mjs): a million sagas that never ran.
//
//   node tests/browser/devserver.mjs --port 7190 --host http://127.0.0.1:7071 [--fake]
//
// With --fake lists only the list and its histogram are made up. With --fake
// also: --sagas N (how many), --read-only, --key KEY (asked for),
// --delay MS (of each answer).

import http from "node:http";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { fake } from "./fake.mjs";

const args = new Map();
for (let i = 2; i < process.argv.length; i += 1) {
  const name = process.argv[i].replace(/^--/, "");
  const next = process.argv[i + 1];
  if (next === undefined || next.startsWith("--")) args.set(name, true);
  else { args.set(name, next); i += 1; }
}

const port = Number(args.get("port") ?? 7190);
const host = new URL(args.get("host") ?? "http://127.0.0.1:7071");
const folder = path.resolve(fileURLToPath(import.meta.url), "../../../host/http/dashboard");
const delay = Number(args.get("delay") ?? 0);
const key = args.get("key");

const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".svg": "image/svg+xml",
};

const HEADERS = {
  "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    + "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cache-control": "no-cache",
};

const answers = args.has("fake")
  ? fake({ count: Number(args.get("sagas") ?? 1_000_000), readOnly: args.has("read-only"), key, host, only: args.get("fake") })
  : () => false;

async function file(url, response) {
  const page = url === "/" || /^\/(sagas|functions)(\/|$)/.test(url);
  if (!page && !url.startsWith("/dashboard/")) return false;
  const name = path.join(folder, page ? "index.html" : decodeURIComponent(url).slice("/dashboard".length));
  if (!name.startsWith(folder + path.sep)) return false;
  try {
    const body = await readFile(name);
    response.writeHead(200, { ...HEADERS, "content-type": TYPES[path.extname(name)] ?? "application/octet-stream" });
    response.end(body);
  } catch {
    response.writeHead(404, { ...HEADERS, "content-type": "text/plain" });
    response.end("no such file\n");
  }
  return true;
}

function handOn(request, response) {
  const on = http.request(host, {
    method: request.method, path: request.url, headers: { ...request.headers, host: host.host },
  }, (answer) => {
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  });
  on.on("error", (error) => {
    if (!response.headersSent) response.writeHead(502, { "content-type": "application/json" });
    response.end(JSON.stringify({ Message: `The host does not answer: ${error.message}.` }));
  });
  response.on("close", () => on.destroy());
  request.pipe(on);
}

http.createServer(async (request, response) => {
  const url = new URL(request.url, "http://localhost");
  if (request.method === "GET" && await file(url.pathname, response)) return;
  if (delay) await new Promise((done) => setTimeout(done, delay));
  if (key && request.headers["x-functions-key"] !== key) {
    response.writeHead(401, { "content-type": "application/json" });
    response.end(JSON.stringify({ Message: "This host asks for an API key.", ExceptionType: "KeyMissing" }));
    return;
  }
  if (await answers(request, response, url)) return;
  handOn(request, response);
}).listen(port, "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${port}/ ${args.has("fake") ? "with made-up data" : ""}, the rest from ${host.origin}`);
});
