// Accessibility: each page, in each state it can be in, has nothing that axe-core
// calls a fault, light and dark, on a wide screen and on a phone.

import { inspect } from "../lib/axe.mjs";
import { openSaga } from "../lib/saga.mjs";
import { shop } from "../lib/shop.mjs";
import { assert, open, startHost, test } from "../lib/test.mjs";

const host = await startHost();
const goods = await shop(host);
await goods.going();
for (let n = 0; n < 12; n += 1) await goods.moment(n);
await goods.plainGift("gift-plain");
await goods.stuckOrder("order-stuck");
await goods.hangingGift("gift-canceled");
await goods.cancel("gift-canceled", "the customer called it off");
await host.steps("failed", [{}, { fault: "flaky", attempts: 2 }, {}], { end: "fail" });
await host.ended("failed");
await host.steps("stuck-step", [{}, { fault: "fail" }, {}], { pivot: 0 });
await host.until("stuck-step", ({ sagaState }) => sagaState === "stuck");
await host.start("TestStatusAndLog", "logs");
await host.ended("logs");

/** Fails of all that is wrong with a page as it is. */
async function sound(page, what, options) {
  const found = await inspect(page, options);
  assert.deepEqual(found, [], `${what}:\n${found.join("\n")}`);
}

const press = (page, name) => page.getByRole("button", { name, exact: true }).click();
const summary = (page, text) => page.locator("summary", { hasText: text }).first().click();

test("the overview is sound", async () => {
  const page = await open(host, "/");
  await page.waitForSelector(".stuck-list a");
  await page.waitForSelector(".changes tbody tr");
  await page.waitForFunction(() => [...document.querySelectorAll("svg.spark")].every((one) => /now, lowest/.test(one.getAttribute("aria-label"))));
  await sound(page, "the overview");
  await press(page, "Pause");
  await sound(page, "the overview, paused");
});

test("the list is sound, with rows and without, its menus open, and rows picked", async () => {
  const page = await open(host, "/sagas");
  await page.waitForSelector(".id-link");
  await sound(page, "the list");
  for (const name of ["Status", "Saga", "More", "Columns"]) {
    await summary(page, name);
    await page.waitForSelector("details.popover[open]");
    await sound(page, `the menu ${name}`);
    await page.keyboard.press("Escape");
  }
  await page.locator("tbody input.pick").first().check();
  await sound(page, "rows picked");
  await page.locator(".batch").getByRole("button", { name: "Purge" }).click();
  await page.waitForSelector("dialog[open]");
  await sound(page, "the question before many are purged");
  await page.keyboard.press("Escape");
  await page.goto(`${host.url}/sagas?search=nothing-like-it&status=Failed&tag=a:b`);
  await page.waitForFunction(() => /No saga fits/.test(document.querySelector("main").innerText));
  await sound(page, "the empty list");
});

const STATES = [
  ["approve-invoice-88", "one that waits"], ["approve-invoice-91", "a suspended one"], ["black-friday", "one that begins later"],
  ["gift-plain", "one with a child and a scope that was undone"],
  ["gift-canceled", "a canceled one"], ["failed", "one that failed and was undone"], ["order-stuck", "one whose undo is stuck"],
  ["stuck-step", "one whose step is stuck"],
];
for (const [id, what] of STATES) {
  test(`the page of ${what} is sound`, async () => {
    const { page } = await openSaga(host, id);
    await sound(page, what);
  });
}

test("the page of one that runs is sound, and its dialogs", async () => {
  await goods.hangingGift("gift-running");
  const saga = await openSaga(host, "gift-running");
  await sound(saga.page, "one that runs", { schemes: ["light"] });
  for (const name of ["Cancel…", "Terminate…"]) await dialog(saga, name);
});

for (const view of ["table", "diagram", "journal", "logs"]) {
  test(`the view ${view} is sound`, async () => {
    for (const id of ["gift-plain", "logs"]) {
      const { page } = await openSaga(host, id, { query: `?view=${view}` });
      await sound(page, `${view} of ${id}`);
      if (view === "journal") {
        await page.locator(".jl-head").nth(1).click();
        await sound(page, `an event of the journal of ${id}, open`);
      }
    }
  });
}

test("the details of a step, the legend, a search and a moment of the past are sound", async () => {
  const saga = await openSaga(host, "gift-plain");
  const { page } = saga;
  await summary(page, "Legend");
  await sound(page, "the legend");
  await page.keyboard.press("Escape");
  assert.equal(await page.locator(".tl-legend[open]").count(), 0, "Escape closes the legend");
  const rows = await saga.rows();
  for (const kind of ["child", "activity", "compensation", "undo"]) {
    const row = rows.findIndex((one) => one.kind === kind);
    assert.ok(row >= 0, `there is a row of the kind ${kind}`);
    await page.locator(`.tl-row[aria-posinset="${row + 1}"]`).click();
    await sound(page, `the details of ${rows[row].text}`, { schemes: ["light"] });
  }
  await press(page, "Whole saga");
  await page.getByLabel("Search in this value").first().fill("parcel");
  await page.waitForSelector(".json-mark");
  await sound(page, "a place that was found");
  await saga.toEvent(9);
  await sound(page, "a moment of the past");
});

const DIALOGS = [
  ["approve-invoice-88", ["Raise event…", "Suspend…", "Terminate…"]], ["approve-invoice-91", ["Resume…"]],
  ["failed", ["Rewind…", "Restart…", "Purge…"]],
  ["order-stuck", ["Try again…", "Try again with another input…", "It was done by hand…"]],
  ["stuck-step", ["It did nothing…"]],
];
for (const [id, names] of DIALOGS) {
  test(`the dialogs of ${id} are sound: ${names.join(" ")}`, async () => {
    const saga = await openSaga(host, id);
    for (const name of names) await dialog(saga, name);
  });
}

/** Opens a dialog by its button, looks at it, and closes it. */
async function dialog(saga, name) {
  await saga.button(name).first().click();
  await saga.page.waitForFunction(() => /^(?!.*Asking what)/s.test(document.querySelector("dialog[open]")?.innerText ?? "Asking what"));
  await sound(saga.page, name);
  await saga.page.keyboard.press("Escape");
  await saga.page.waitForSelector("dialog", { state: "detached" });
}

test("the dialog says what is missing, soundly", async () => {
  const saga = await openSaga(host, "order-stuck");
  await saga.button("It was done by hand…").first().click();
  await saga.dialog().getByRole("button", { name: "Take it as done", exact: true }).click();
  await saga.page.waitForSelector(".field-error:not(:empty)");
  await sound(saga.page, "a dialog with faults");
});

test("the functions are sound, and each kind of form", async () => {
  const page = await open(host, "/functions");
  await page.waitForSelector(".function-name");
  await sound(page, "the functions");
  await page.getByLabel("Filter").fill("nothing like it");
  await sound(page, "no function");
  for (const name of ["OrderSaga", "FanOut", "Square", "Ratings"]) {
    await page.goto(`${host.url}/functions/${name}`);
    await page.waitForSelector("form.try");
    await page.locator("main details").evaluateAll((all) => all.forEach((one) => { one.open = true; }));
    await sound(page, `the page of ${name}`);
  }
  await page.goto(`${host.url}/functions/OrderSaga`);
  await page.waitForSelector("form.try");
  await press(page, "Add an item");
  await press(page, "Start");
  await page.waitForSelector(".field-error:not(:empty)");
  await sound(page, "a form with faults");
  await press(page, "Type JSON instead");
  await sound(page, "a form of JSON");
});

test("results are sound", async () => {
  const page = await open(host, "/functions/Square");
  await page.waitForSelector("form.try");
  await page.locator("form.try").getByLabel("Input", { exact: true }).fill("12");
  await press(page, "Run it once");
  await page.waitForFunction(() => /Result\s+144/.test(document.querySelector(".try-result").innerText));
  await sound(page, "a result");
});

test("what is not there is told of, soundly", async () => {
  const page = await open(host, "/functions/Nothing", { refused: [404] });
  await page.waitForFunction(() => /No function of this name/.test(document.querySelector("main").innerText));
  await sound(page, "no such function");
  await page.goto(`${host.url}/sagas/nothing`);
  await page.waitForSelector(".error-box");
  await sound(page, "no such saga");
  await page.evaluate(() => { history.pushState(null, "", "/sagas/a/b"); dispatchEvent(new PopStateEvent("popstate")); });
  await page.waitForFunction(() => /Not found/.test(document.querySelector("h1").innerText));
  await sound(page, "no such page");
});

test("the question for a key is sound, and the page without one", async () => {
  const closed = await startHost({ functions: ["guest_activities"], keys: ["manage"], args: ["--read-only"] });
  const page = await open(closed, "/", { refused: [401] });
  await page.waitForSelector("dialog[open]");
  await sound(page, "the question for a key");
  await page.getByRole("button", { name: "Not now" }).click();
  await page.waitForSelector(".error-box");
  await sound(page, "the page without a key");
  await press(page, "Try again");
  await page.getByRole("textbox", { name: "Key" }).fill(closed.keys.manage);
  await press(page, "Use this key");
  await page.waitForSelector(".tile-value");
  await sound(page, "the overview of a read-only host");
  await page.goto(`${closed.url}/sagas`);
  await page.waitForFunction(() => /No saga was started/.test(document.querySelector("main").innerText));
  await sound(page, "the list of a host without sagas");
});
