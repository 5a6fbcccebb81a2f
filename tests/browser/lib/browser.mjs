// A Chromium for the tests of the pages.
//
//   const page = await open(host, "/sagas", {      // a page of Playwright, in a new profile
//     width: 1280, height: 900,                    // these, by default
//     colorScheme: "dark",                         // "light" by default
//     refused: [401, 403],                         // answers of the host that are no faults here
//     prepare: async (page) => { … },              // before the page is loaded
//   });
//   await page.waitForFunction(…)                  // waits, at most 20 seconds by default
//   const faults = await closePages();             // closes all, and gives what was wrong
//   await closeBrowser();
//
// With SAGAHOST_PAGES=disk in the environment the pages are read from host/http/dashboard
// instead of from the program: so they can be worked on without building it each time.
//
// What is wrong anywhere: an error on the console, an error nobody caught, anything
// against the content security policy, a request to another origin, and an answer of
// 400 and above that is not among `refused`. Where `test` of lib/test.mjs is used,
// the test fails of it, and pages and browser are closed by themselves.

import { accessSync, constants } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import path from "node:path";
import { ROOT, load } from "./packages.mjs";

/** How long a page may take to come to a condition. */
export const BOUND = 20_000;

const PLACES = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const FLAGS = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
  "--disable-sync", "--no-first-run", "--disable-dev-shm-usage",
];

let browser = null;
const pages = new Set();

function program() {
  for (const place of PLACES) {
    if (!place) continue;
    try {
      accessSync(place, constants.X_OK);
      return place;
    } catch { /* The next one, then. */ }
  }
  throw new Error("The browser tests need Chromium: `apt-get install chromium`, or name another one in the variable CHROMIUM.");
}

async function launch() {
  const executablePath = program();
  const { chromium } = await load("playwright-core");
  return chromium.launch({ executablePath, args: FLAGS, timeout: 60_000 });
}

/** Opens a page of a host in a new profile. */
export async function open(host, where, { width = 1280, height = 900, colorScheme = "light", refused = [], prepare, ...more } = {}) {
  browser ??= launch();
  const context = await (await browser).newContext({ viewport: { width, height }, colorScheme, acceptDownloads: true, ...more });
  const page = await context.newPage();
  page.setDefaultTimeout(BOUND);
  page.faults = [];
  pages.add(page);
  watch(page, host, refused);
  if (process.env.SAGAHOST_PAGES === "disk") await fromDisk(page);
  await prepare?.(page);
  await page.goto(host.url + where);
  return page;
}

function watch(page, host, refused) {
  const fault = (text) => page.faults.push(`${new URL(page.url(), host.url).pathname}: ${text}`);
  page.on("pageerror", (error) => fault(`not caught: ${error.stack ?? error.message}`));
  page.on("crash", () => fault("the page crashed"));
  page.on("console", (message) => {
    if (message.type() !== "error") return;
    const text = message.text();
    // The browser tells of each answer of 400 and above, and they are judged below.
    if (/^Failed to load resource: the server responded with a status of \d/.test(text)) return;
    if (page.offline && /^Failed to load resource: net::ERR_/.test(text)) return;
    fault(`on the console: ${text}`);
  });
  page.on("response", (response) => {
    if (response.status() >= 400 && !refused.includes(response.status())) fault(`${response.status()} for ${response.request().method()} ${response.url()}`);
  });
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (url.protocol !== "data:" && url.protocol !== "blob:" && url.origin !== host.url) fault(`asked another origin: ${url}`);
  });
  page.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) => {
      console.error(`against the content security policy: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`);
    });
  });
}

async function fromDisk(page) {
  const types = { ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml" };
  await page.route("**/dashboard/**", async (route) => {
    const { pathname } = new URL(route.request().url());
    const file = path.join(ROOT, "host/http/dashboard", pathname.slice("/dashboard/".length));
    await route.fulfill({ body: await readFile(file), contentType: types[path.extname(file)] });
  });
}

/** Closes all pages, and gives what was wrong on any. */
export async function closePages() {
  const all = [...pages];
  pages.clear();
  for (const page of all) await page.context().close();
  return all.flatMap((page) => page.faults);
}

/** Keeps how all open pages look, for whoever looks at a test that failed. */
export async function keepPictures(name) {
  const folder = path.join(ROOT, "target/browser/failed");
  await mkdir(folder, { recursive: true });
  const kept = [];
  for (const page of pages) {
    const file = path.join(folder, `${name.replace(/\W+/g, "-")}-${kept.length + 1}.png`);
    try {
      await page.screenshot({ path: file, timeout: 5_000 });
      kept.push(`${path.relative(ROOT, file)} (${page.url()})`);
    } catch { /* Without a picture of it, then. */ }
  }
  return kept;
}

/** Ends the browser. */
export async function closeBrowser() {
  const started = browser;
  browser = null;
  await (await started?.catch(() => null))?.close();
}
