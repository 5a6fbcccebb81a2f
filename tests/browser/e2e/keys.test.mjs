// Who may do what: a host that is read-only, and one that asks for API keys.

import { openList } from "../lib/list.mjs";
import { openSaga, onSaga, sameSet } from "../lib/saga.mjs";
import { assert, open, startHost, test } from "../lib/test.mjs";

const host = await startHost({ keys: ["manage", "use"] });
await host.steps("stuck", [{ undoFault: "fail" }], { end: "fail" });
await host.until("stuck", ({ sagaState }) => sagaState === "stuck");
await host.steps("waits", [{}], { end: "wait" });
await host.until("waits", ({ customStatus }) => customStatus === "waiting");

/** Everything in which a key must not be. */
const places = (page) => page.evaluate(() => ({
  url: location.href, local: JSON.stringify(localStorage), cookies: document.cookie, name: window.name, state: JSON.stringify(history.state),
  page: document.documentElement.outerHTML,
}));

async function give(page, key) {
  await page.waitForSelector("dialog[open] input[type=password]");
  await page.getByLabel("Key", { exact: true }).fill(key);
  await page.getByRole("button", { name: "Use this key" }).click();
}

test("a host with keys is asked with the key that a person gives, which is in no address and is not kept", async () => {
  const sent = [];
  const page = await open(host, "/sagas/waits", {
    refused: [401],
    prepare: (one) => one.on("request", (request) => sent.push({ url: request.url(), key: request.headers()["x-functions-key"] })),
  });
  await give(page, "not-a-key");
  await page.getByText("The host did not take the key").waitFor();
  await give(page, host.keys.manage);
  const saga = onSaga(page);
  await saga.shows("Running", "armed");
  for (const [place, text] of Object.entries(await places(page))) assert.ok(!text.includes(host.keys.manage), `the key is in: ${place}`);
  assert.ok(sent.every(({ url }) => !url.includes(host.keys.manage)), "no address has it");
  assert.ok(sent.some(({ key }) => key === host.keys.manage), "it is sent in a header");
  assert.ok(sent.filter(({ url }) => url.includes("/dashboard/")).every(({ key }) => key === undefined), "and not for what is open to all");
  sameSet(await saga.offered(), ["Raise event…", "Suspend…", "Cancel…", "Terminate…"]);

  // It holds for this tab: after a reload, and on the other pages.
  await page.reload();
  await saga.shows("Running", "armed");
  await page.getByRole("link", { name: "Functions", exact: true }).click();
  await page.waitForSelector(".function-name");
  // Another tab is asked for its own.
  const other = await page.context().newPage();
  await other.goto(`${host.url}/sagas`);
  await other.waitForSelector("dialog[open] input[type=password]");
  await other.close();
  // It can be forgotten.
  await page.getByRole("button", { name: "Forget key" }).click();
  await page.waitForSelector("dialog[open] input[type=password]");
  assert.equal(await page.evaluate(() => sessionStorage.getItem("sagahost.key")), null);
});

test("who gives no key is told so, and can give one later", async () => {
  const page = await open(host, "/sagas", { refused: [401] });
  await page.waitForSelector("dialog[open] input[type=password]");
  await page.getByRole("button", { name: "Not now" }).click();
  await page.waitForFunction(() => /asks for an API key/.test(document.querySelector(".error-box")?.innerText));
  await page.getByRole("button", { name: "Try again" }).click();
  await give(page, host.keys.use);
  await page.waitForSelector(".id-link");
});

/** Opens with a key that is there already, as after a reload. */
const withKey = (key) => (page) => page.addInitScript((value) => sessionStorage.setItem("sagahost.key", value), key);

test("a key that may only start and read is offered nothing that it may not do", async () => {
  const prepare = withKey(host.keys.use);
  const list = await openList(host, "", { prepare });
  assert.match(await list.page.locator("#tools").innerText(), /May start and read/);
  assert.equal(await list.page.locator("input.pick").count(), 0, "nothing can be picked");
  const saga = await openSaga(host, "waits", { prepare });
  await saga.shows("Running", "armed");
  assert.deepEqual(await saga.offered(), ["Raise event…"]);
  const stuck = await openSaga(host, "stuck", { prepare });
  await stuck.shows("Running", "stuck");
  assert.equal(await stuck.button("Try again…").count(), 0);
  assert.match(await stuck.page.locator(".saga-alert").innerText(), /key of the kind manage/);
  const start = await open(host, "/functions/FanOut", { prepare });
  await start.waitForSelector("form.try");
  await start.getByRole("button", { name: "Start", exact: true }).waitFor();
  const activity = await open(host, "/functions/Square", { prepare });
  await activity.waitForSelector("h1");
  await activity.waitForFunction(() => /What it is/.test(document.querySelector("main").innerText));
  assert.equal(await activity.locator("form.try").count(), 0, "an activity is not tried with it");

  // The host says no itself, whatever a page offers.
  for (const where of ["/api/instances/waits/cancel", "/api/instances/stuck/undo/0/retry", "/admin/functions/Square"]) {
    const { status } = await host.send("POST", where, { body: {}, key: host.keys.use });
    assert.equal(status, 403, where);
  }
  // And what it may, it does.
  await saga.button("Raise event…").click();
  await saga.confirm("Raise the event");
  await saga.shows("Completed", "committed");
});

test("a host that is read-only is looked at, and offers nothing", async () => {
  const quiet = await startHost({});
  await quiet.steps("waits", [{}], { end: "wait" });
  await quiet.until("waits", ({ customStatus }) => customStatus === "waiting");
  await quiet.steps("stuck", [{ undoFault: "fail" }], { end: "fail" });
  await quiet.until("stuck", ({ sagaState }) => sagaState === "stuck");
  await quiet.terminate();
  await quiet.again({ args: ["--read-only"] });

  const list = await openList(quiet);
  assert.match(await list.page.locator("#tools").innerText(), /Read-only/);
  assert.equal(await list.page.locator("input.pick").count(), 0);
  assert.deepEqual((await list.ids()).sort(), ["stuck", "waits"]);
  for (const [id, state] of [["waits", "armed"], ["stuck", "stuck"]]) {
    const saga = await openSaga(quiet, id);
    await saga.shows("Running", state);
    assert.deepEqual(await saga.offered(), []);
    assert.equal(await saga.button("Try again…").count(), 0);
  }
  for (const name of ["FanOut", "Square"]) {
    const page = await open(quiet, `/functions/${name}`);
    await page.waitForFunction(() => /What it is/.test(document.querySelector("main").innerText));
    assert.equal(await page.locator("form.try").count(), 0, name);
  }
  assert.equal((await quiet.send("POST", "/api/instances/waits/cancel", { body: {} })).status, 403);
});
