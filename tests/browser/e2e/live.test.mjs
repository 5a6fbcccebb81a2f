// The list follows what happens, by a stream and without asking for it again and again.

import { openList } from "../lib/list.mjs";
import { openSaga } from "../lib/saga.mjs";
import { BOUND, assert, eventually, open, sleep, startHost, test } from "../lib/test.mjs";

const host = await startHost();

/** How long it is looked whether anything is asked for. */
const QUIET_MS = 4_000;

/** All that a page asks the host for, but its own files. */
function asked(page) {
  const all = [];
  page.on("request", (request) => {
    const { pathname } = new URL(request.url());
    if (!pathname.startsWith("/dashboard/")) all.push(pathname);
  });
  return all;
}

/** Waits until the page has learnt what it wants to know when it is opened: also the host's clock, three times. */
async function settled(page, all) {
  await page.waitForFunction(() => document.querySelector(".live")?.dataset.state === "open");
  await eventually("the clock of the host is known", () => all.filter((path) => path === "/api/overview").length >= 3);
}

test("a saga that is started elsewhere comes into the list and moves to its end, and nothing is asked meanwhile", async () => {
  await host.start("FanOut", "old-1", [1]);
  await host.ended("old-1");
  let all;
  const list = await openList(host, "", { prepare: (page) => { all = asked(page); } });
  await list.has("old-1");
  await settled(list.page, all);
  const before = all.length;
  await sleep(QUIET_MS);
  assert.deepEqual(all.slice(before), [], "while nothing happens nothing is asked");

  await host.steps("new-1", [{}], { end: "wait" });
  await list.has("new-1", "old-1");
  await eventually("it is seen to run", async () => (await list.rows())[0].status === "Running" && (await list.rows())[0].saga === "armed", BOUND);
  const asking = all.slice(before);
  assert.ok(asking.length > 0 && asking.length <= 3 && asking.every((path) => path === "/api/instances"), `for the new row the list was asked: ${asking}`);
  const then = all.length;
  await host.raise("new-1", "Go");
  await eventually("it is seen to end", async () => (await list.rows())[0].status === "Completed", BOUND);
  assert.equal((await list.rows())[0].saga, "committed");
  await sleep(QUIET_MS / 2);
  assert.deepEqual(all.slice(then), [], "its way to the end came by the stream");
});

test("what does not fit the filter does not come into the list", async () => {
  const list = await openList(host, "?name=FanOut&idPrefix=fits-");
  await list.whole();
  await host.start("Approval", "fits-not", { timeoutSeconds: 600 });
  await host.start("FanOut", "nor-this", [1]);
  await host.start("FanOut", "fits-1", [1]);
  await list.has("fits-1");
  await host.start("FanOut", "fits-2", [1]);
  await list.has("fits-2", "fits-1");
});

test("who is further down in the list, or picks, is told of what is new, and nothing moves", async () => {
  for (let number = 0; number < 60; number += 1) await host.start("FanOut", `many-${number}`, [1]);
  const list = await openList(host, "?idPrefix=many-");
  await list.whole();
  const { page } = list;
  const view = page.locator(".grid-view");
  await view.evaluate((one) => { one.scrollTop = 600; });
  await page.waitForSelector('tr[data-index="20"]');
  const at20 = async () => (await list.rows()).find(({ index }) => index === 20).id;
  const was = await at20();
  await host.start("FanOut", "many-new", [1]);
  await page.waitForFunction(() => /^1 new$/.test(document.querySelector(".news").innerText.trim()));
  assert.equal(await at20(), was, "the row is where it was");
  await page.locator(".news").click();
  await eventually("it is read again", async () => (await list.ids())[0] === "many-new");
  await page.waitForFunction(() => document.querySelector(".news").hidden);

  await page.getByLabel("Pick many-new", { exact: true }).check();
  await host.start("FanOut", "many-newer", [1]);
  await page.waitForFunction(() => /^1 new$/.test(document.querySelector(".news").innerText.trim()));
  assert.equal((await list.ids())[0], "many-new");
});

test("what is purged elsewhere goes out of the list, where it stands and where it is only told of", async () => {
  const purge = (id) => host.send("DELETE", `/runtime/webhooks/durabletask/instances/${id}`);
  for (const number of [1, 2, 3]) {
    await host.start("FanOut", `gone-${number}`, [number]);
    await host.ended(`gone-${number}`);
  }
  const list = await openList(host, "?idPrefix=gone-&order=asc");
  await list.has("gone-1", "gone-2", "gone-3");
  await list.page.waitForFunction(() => document.querySelector(".live").dataset.state === "open");
  await purge("gone-2");
  await list.has("gone-1", "gone-3");
  await host.start("FanOut", "gone-4", [4]);
  await host.ended("gone-4");
  await list.page.waitForFunction(() => /^1 new$/.test(document.querySelector(".news").innerText.trim()));
  await purge("gone-4");
  await list.page.waitForFunction(() => document.querySelector(".news").hidden);
  await list.has("gone-1", "gone-3");
});

test("a crash of the host is told, and the pages go on by themselves afterwards", async () => {
  const crash = await startHost();
  await crash.steps("before", [{ fault: "hang-once" }, {}], { end: "wait" });
  const list = await openList(crash);
  const saga = await openSaga(crash, "before");
  for (const { page } of [list, saga]) {
    page.offline = true;
    await page.waitForFunction(() => document.querySelector(".live").dataset.state === "open");
  }
  await crash.kill9();
  for (const { page } of [list, saga]) await page.waitForFunction(() => document.querySelector(".live").dataset.state !== "open");
  await crash.again();
  for (const { page } of [list, saga]) await page.waitForFunction(() => document.querySelector(".live").dataset.state === "open", null, { timeout: 60_000 });
  await crash.until("before", ({ customStatus }) => customStatus === "waiting");
  await crash.raise("before", "Go");
  await saga.shows("Completed", "committed");
  const [first] = await saga.rows();
  assert.match(first.text, /2 attempts/, "the attempt that was lost is shown");
  assert.ok(first.bars.some((type) => /\blost\b/.test(type)), `as a lost one: ${first.bars}`);
  // The list cannot know what it missed: it says so, and has it when it is read again.
  await list.page.waitForFunction(() => /Something was missed: read again/.test(document.querySelector(".news").innerText));
  await list.page.locator(".news").click();
  await eventually("the list has its end", async () => (await list.rows())[0].status === "Completed", BOUND);
});

test("the overview tells what happens, and what needs a person", async () => {
  await host.steps("needs-me", [{ undoFault: "fail" }], { end: "fail" });
  await host.until("needs-me", ({ sagaState }) => sagaState === "stuck");
  const page = await open(host, "/");
  await page.waitForSelector('.stuck-list a[href="/sagas/needs-me"]');
  assert.ok(await page.evaluate(() => document.querySelector(".stuck-card").getBoundingClientRect().top
    < document.querySelector(".tiles").getBoundingClientRect().top), "what is stuck stands first");
  await page.waitForFunction(() => [...document.querySelectorAll("svg.spark")].length > 0
    && [...document.querySelectorAll("svg.spark")].every((one) => /now, lowest/.test(one.getAttribute("aria-label"))));
  await host.start("FanOut", "seen-on-the-overview", [1]);
  await page.waitForFunction(() => /seen-on-the-overview/.test(document.querySelector(".changes tbody").innerText));
  await page.getByRole("button", { name: "Pause" }).click();
  await host.start("FanOut", "held-back", [1]);
  await page.waitForFunction(() => /held back/.test(document.querySelector(".changes-head").innerText));
  assert.doesNotMatch(await page.locator(".changes tbody").innerText(), /held-back/);
  await page.getByRole("link", { name: "needs-me" }).first().click();
  await page.waitForURL(/\/sagas\/needs-me$/);
});
