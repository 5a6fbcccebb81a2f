#!/usr/bin/env node
// Tries the page of one saga in a real browser, against a real host that has the
// test guests: it looks at sagas, follows some that run, and does with them what
// the page offers.
//
//   node tests/browser/saga-page.mjs --page http://127.0.0.1:7190 --files DIR \
//     [--playwright PATH] [--chromium /usr/bin/chromium]
//
// `page` serves the dashboard and the host (see devserver.mjs); `files` is the
// folder that StepDo and StepUndo write to as /files. Playwright is `playwright-core`
// where node finds it, or the module at PATH. Exits with 1 if anything was wrong.

import { mkdirSync, rmSync } from "node:fs";
import path from "node:path";

const args = new Map();
for (let i = 2; i < process.argv.length; i += 2) args.set(process.argv[i].replace(/^--/, ""), process.argv[i + 1]);
const base = args.get("page");
const files = args.get("files");
if (!base || !files) {
  console.error("Both --page and --files are needed.");
  process.exit(2);
}
const { chromium } = await import(args.get("playwright") ?? "playwright-core");
const managed = "/runtime/webhooks/durabletask";
const run = Date.now().toString(36);
let wrong = 0;

const post = async (where, body) => {
  const answer = await fetch(base + where, {
    method: "POST", headers: { "content-type": "application/json" }, body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`${where}: ${answer.status} ${await answer.text()}`);
};
const start = (name, id, input) => post(`/api/orchestrators/${name}/${encodeURIComponent(id)}`, input);
const raise = (id, event, value) => post(`${managed}/instances/${id}/raiseEvent/${event}`, value);
const steps = (id, list, more = {}) => {
  mkdirSync(path.join(files, id), { recursive: true });
  return start("StepsSaga", id, {
    steps: list.map((step, place) => ({ dir: `/files/${id}`, id: `s${place}`, ...step })), ...more,
  });
};

function check(what, right) {
  console.log(right ? "ok  " : "FAIL", what);
  if (!right) wrong += 1;
}

/** Waits until a condition holds, at most 20 seconds. */
async function until(what, condition) {
  const limit = Date.now() + 20_000;
  for (;;) {
    const holds = await condition().catch(() => false);
    if (holds || Date.now() > limit) {
      check(what, holds);
      return;
    }
    await new Promise((done) => setTimeout(done, 50));
  }
}

const browser = await chromium.launch({
  executablePath: args.get("chromium") ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
const page = await (await browser.newContext({ viewport: { width: 1280, height: 900 } })).newPage();
const faults = [];
page.on("pageerror", (error) => faults.push(error.stack));
page.on("console", (message) => {
  // What the host refuses is told by the page; the browser tells of it as well.
  if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) faults.push(message.text());
});
const open = async (id, query = "") => {
  await page.goto(`${base}/sagas/${encodeURIComponent(id)}${query}`);
  await page.waitForSelector(".saga:not([hidden]) .saga-tab");
};
const button = (name, exact = true) => page.getByRole("button", { name, exact });
const badges = async () => (await page.locator(".saga-head .badge").allInnerTexts()).map((text) => text.trim());
const has = (badge) => async () => (await badges()).includes(badge);
const rows = () => page.locator(".tl-row").count();

async function lookAtEach() {
  const list = await (await fetch(`${base}${managed}/instances?top=40&showInput=false`)).json();
  for (const { instanceId } of list) {
    await open(instanceId);
    for (const view of ["Table", "Diagram", "Journal", "Logs", "Timeline"]) await page.getByRole("tab", { name: view }).click();
  }
  check(`${list.length} sagas in all views`, faults.length === 0);
}

async function followAndCancel(id) {
  await steps(id, [{ holdMs: 700 }, { undoFault: "fail" }, {}], { end: "wait" });
  await open(id);
  await until("it follows: three steps and a wait", async () => await rows() === 4);
  await button("Suspend…").click();
  await page.getByLabel("Reason").fill("a look");
  await button("Suspend").click();
  await until("suspended", has("Suspended"));
  await button("Resume…").click();
  await button("Resume").click();
  await until("resumed", has("Running"));
  await button("Cancel…").click();
  await until("what would be undone is shown first", async () => await page.locator(".saga-plan li").count() === 3);
  await button("Cancel the saga").click();
  await until("what is stuck is told", () => page.locator(".saga-alert").isVisible());
  check("what is being undone cannot be cancelled", await button("Cancel…").count() === 0);
  await button("It was done by hand…").first().click();
  await button("Take it as done").click();
  check("a repair needs a reason and a name", await page.locator(".field-error:not(:empty)").count() === 2);
  await page.getByLabel("Why").fill("<b>removed</b>");
  await page.getByLabel("Who").fill("Ada");
  await button("Take it as done").click();
  await until("canceled and undone", async () => (await badges()).join() === "Canceled,compensated");
  check("the repair is told, as text", (await page.locator(".saga-details").innerText()).includes("<b>removed</b>"));
}

async function goThroughTheJournal() {
  await page.getByRole("slider").focus();
  await page.keyboard.press("ArrowLeft");
  await until("one event back", has("compensating"));
  check("it says so", (await page.locator(".rp-said").innerText()).startsWith("As it was after event"));
  await button("To the first event").click();
  await until("the first event", async () => await rows() === 0);
  await button("Play").click();
  await until("played to the end", has("Canceled"));
}

async function restartAndPurge(id) {
  rmSync(path.join(files, id), { recursive: true });
  mkdirSync(path.join(files, id));
  await button("Restart…").click();
  await page.getByLabel("Under a new id").uncheck();
  await button("Restart").click();
  await until("restarted in place, and it begins anew", async () => (await has("Running")()) && await rows() === 4);
  await button("Raise event…").click();
  const event = page.getByLabel("Event", { exact: true });
  check("it offers the event that is waited for", await event.inputValue() === "Go");
  await page.getByLabel("What comes").fill("{\"a\":1");
  await button("Raise the event").click();
  check("what is no JSON is told", (await page.locator(".field-error").allInnerTexts()).join().includes("not JSON"));
  await page.getByLabel("What comes").fill("{\"a\":1}");
  await button("Raise the event").click();
  await until("completed", async () => (await badges()).join() === "Completed,committed");
  await button("Purge…").click();
  await button("Purge").click();
  await until("purged", async () => page.url() === `${base}/sagas`);
}

async function continueAsNew(id) {
  await start("CollectEvents", id, { rounds: 4, perRound: 2 });
  await open(id);
  for (let number = 1; number <= 6; number += 1) await raise(id, "E", number);
  await until("it follows what continues as new", async () => (await page.locator(".saga-facts").innerText()).includes("3 times"));
  for (let number = 7; number <= 8; number += 1) await raise(id, "E", number);
  await until("to its end", has("Completed"));
}

async function escape(id) {
  await start("TestOrchEcho", id, { html: "<img src=x onerror=alert(1)>" });
  await open(id);
  await until("ended", has("Completed"));
  check("an id is text", await page.locator("h1").innerText() === id);
  check("nothing of it became an element", await page.locator("main img, main b:text('bold')").count() === 0);
  await page.goto(`${base}/sagas/no-such-${run}`);
  await until("an unknown id is told", async () => (await page.locator(".error-box").innerText()).includes("There is no instance"));
}

async function many(id) {
  await start("TestSequence", id, { activity: "TestEcho", count: 1500 });
  await open(id);
  await until("1500 steps ended", has("Completed"));
  check("only the rows in sight are there", await rows() < 60);
  await page.locator("[role=listbox]").focus();
  await page.keyboard.press("End");
  await until("the keyboard chooses the last one", async () => page.url().endsWith("step=t1499"));
  await page.getByRole("tab", { name: "Diagram" }).click();
  check("only the nodes in sight are there", await page.locator(".dg-node").count() < 60);
  check("the chosen one is", await page.locator(".dg-node.chosen").count() === 1);
}

try {
  await lookAtEach();
  await followAndCancel(`page-${run}`);
  await goThroughTheJournal();
  await restartAndPurge(`page-${run}`);
  await continueAsNew(`rounds-${run}`);
  await escape(`<b>bold ${run}<!--`);
  await many(`many-${run}`);
  check("no script failed, and nothing was against the content security policy", faults.length === 0);
  for (const fault of faults) console.log(fault);
} finally {
  await browser.close();
}
process.exit(wrong > 0 ? 1 : 0);
