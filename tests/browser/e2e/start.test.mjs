// What is started from the pages of functions, by the forms that are made of the
// functions' JSON schemas.

import { onSaga } from "../lib/saga.mjs";
import { assert, open, startHost, test } from "../lib/test.mjs";

const host = await startHost();

const field = (page, name) => page.locator("form.try").getByLabel(name, { exact: true });
const button = (page, name) => page.locator("form.try").getByRole("button", { name, exact: true });

async function functionOf(page, name) {
  await page.locator(".function-name", { hasText: new RegExp(`^${name}$`) }).click();
  await page.waitForSelector("form.try");
}

test("a saga is started from a form and watched to its end without a reload", async () => {
  const page = await open(host, "/functions");
  await page.evaluate(() => { window.marker = "still here"; });
  await functionOf(page, "OrderSaga");
  assert.equal(await page.evaluate(() => document.activeElement.tagName), "H1", "reading begins at the heading of the new page");
  await button(page, "Start").click();
  assert.equal(await page.evaluate(() => document.activeElement.getAttribute("aria-invalid")), "true", "what is wrong has the focus");
  await field(page, "card").fill("4242");
  await field(page, "customer").fill("Ada");
  await field(page, "id").fill("from-a-form");
  await button(page, "Add an item").click();
  await field(page, "sku").fill("print");
  await field(page, "quantity").fill("two");
  await field(page, "price_cents").fill("1250");
  await button(page, "Start").click();
  assert.ok((await page.locator(".field-error").allInnerTexts()).includes("This is not a number."));
  assert.equal((await host.get("/api/instances?name=OrderSaga")).instances.length, 0, "nothing is started of what is wrong");
  await field(page, "quantity").fill("2");
  await button(page, "Start").click();
  await page.waitForFunction(() => /Completed[\s\S]*Result\s+true/.test(document.querySelector(".try-result").innerText));

  await page.locator('.try-result a[href^="/sagas/"]').click();
  const saga = onSaga(page);
  await saga.shows("Completed", "committed");
  const id = decodeURIComponent(new URL(page.url()).pathname.split("/").at(-1));
  const status = await host.status(id);
  assert.deepEqual(status.input, {
    id: "from-a-form", card: "4242", customer: "Ada", items: [{ sku: "print", quantity: 2, price_cents: 1250 }],
  });
  assert.equal(await page.evaluate(() => window.marker), "still here", "the page was never loaded again");
});

test("a saga that was started from a form is seen to run, to wait, and to end", async () => {
  const page = await open(host, "/functions/Approval");
  await page.waitForSelector("form.try");
  await page.evaluate(() => { window.marker = "still here"; });
  await field(page, "timeoutSeconds").fill("600");
  await page.getByText("Id, version, tags, time").click();
  await field(page, "Id").fill("approve me");
  await field(page, "Tags").fill("shop:a, kind:gift");
  await field(page, "Wait for its result and show it here").uncheck();
  await button(page, "Start").click();
  await page.locator(".try-result a").click();
  const saga = onSaga(page);
  await saga.shows("Running");
  await page.waitForFunction(() => /Wait for event/.test(document.querySelector(".tl-rows").textContent));
  await host.raise("approve me", "Approved", { approved: true, by: "Ada" });
  await saga.shows("Completed");
  assert.match(await page.locator(".saga-details").innerText(), /Output/);
  assert.deepEqual((await host.get("/api/instances?tag=shop:a&tag=kind:gift")).instances.map(({ id }) => id), ["approve me"]);
  assert.equal(await page.evaluate(() => window.marker), "still here", "the page was never loaded again");
});

test("a form can be JSON, and a form again, and loses nothing", async () => {
  const page = await open(host, "/functions/OrderSaga");
  await page.waitForSelector("form.try");
  await field(page, "card").fill("4242");
  await field(page, "customer").fill("Ada");
  await field(page, "id").fill("typed");
  await button(page, "Add an item").click();
  await field(page, "sku").fill("print");
  await field(page, "quantity").fill("1");
  await field(page, "price_cents").fill("100");
  await button(page, "Type JSON instead").click();
  const text = page.locator("textarea.mono");
  const typed = JSON.parse(await text.inputValue());
  assert.deepEqual(typed, { id: "typed", card: "4242", customer: "Ada", items: [{ sku: "print", quantity: 1, price_cents: 100 }] });
  await text.fill(JSON.stringify({ ...typed, unknown: 1 }));
  await button(page, "Fill in a form").click();
  assert.equal(await text.count(), 1, "a form that would lose something is not shown");
  await text.fill(JSON.stringify({ ...typed, customer: "<b>Ada</b>" }));
  await button(page, "Fill in a form").click();
  assert.equal(await field(page, "customer").inputValue(), "<b>Ada</b>");
});

test("one of several kinds of input is chosen, and a number keeps all its digits", async () => {
  // The square of that number is too large for the activity: it fails, and names the number.
  const page = await open(host, "/functions/FanOut", { refused: [422] });
  await page.waitForSelector("form.try");
  await page.locator("form.try select").selectOption({ label: "The numbers from 1 on, so many" });
  await field(page, "count").fill("4");
  await button(page, "Start").click();
  await page.waitForFunction(() => /Result\s+30/.test(document.querySelector(".try-result").innerText));

  await page.goto(`${host.url}/functions/Square`);
  await field(page, "Input").fill("9007199254740993");
  await button(page, "Run it once").click();
  await page.waitForFunction(() => /9007199254740993 squared/.test(document.querySelector(".try-result").innerText));
});

test("a function that is not there is told of", async () => {
  const page = await open(host, "/functions/Nothing");
  await page.waitForFunction(() => /No function of this name/.test(document.querySelector("main").innerText));
});
