// The list of sagas: its filter is its address, and what is picked in it is done at once.

import { openList, onList } from "../lib/list.mjs";
import { BOUND, assert, eventually, open, startHost, test } from "../lib/test.mjs";

const host = await startHost();
for (const [number, shop] of [[1, "a"], [2, "b"], [3, "a"]]) {
  await host.start("Approval", `ask-${number}`, { timeoutSeconds: 600 }, `?tag=shop:${shop}`);
  await host.start("FanOut", `Fan-${number}`, [number]);
  await host.ended(`Fan-${number}`);
}
await host.steps("failed-1", [{}, {}], { end: "fail" });
await host.ended("failed-1");

test("a filter is in the address, and whoever opens that address sees the same", async () => {
  const list = await openList(host);
  await list.has("failed-1", "Fan-3", "ask-3", "Fan-2", "ask-2", "Fan-1", "ask-1");
  await list.choose("Status", "Running");
  await list.has("ask-3", "ask-2", "ask-1");
  await list.choose("Status", "Failed");
  await list.has("failed-1", "ask-3", "ask-2", "ask-1");
  await list.name.fill("Approval");
  await list.page.keyboard.press("Tab");
  await list.has("ask-3", "ask-2", "ask-1");
  await list.page.locator("form.filters summary", { hasText: "More" }).click();
  await list.page.locator(".more-filters").getByLabel("Tags", { exact: true }).fill("shop:a");
  await list.page.keyboard.press("Tab");
  await list.has("ask-3", "ask-1");
  await list.page.keyboard.press("Escape");
  await list.search.fill("K-");
  await eventually("the search is in the address", () => new URL(list.page.url()).searchParams.get("search") === "K-");
  await list.page.getByRole("button", { name: /^Created/ }).click();
  await list.has("ask-1", "ask-3");
  const query = new URL(list.page.url()).searchParams;
  assert.deepEqual(Object.fromEntries(query), {
    status: "Running,Failed", name: "Approval", tag: "shop:a", search: "K-", order: "asc",
  });

  const other = await openList(host, new URL(list.page.url()).search);
  await other.has("ask-1", "ask-3");
  assert.deepEqual(await other.chips(), await list.chips());
  assert.equal(await other.search.inputValue(), "K-");
  assert.equal(await other.name.inputValue(), "Approval");
  assert.equal(await other.page.locator("th[aria-sort=ascending]").innerText(), await list.page.locator("th[aria-sort=ascending]").innerText());
  assert.deepEqual((await other.rows()).map(({ status }) => status), ["Running", "Running"]);

  // Each step of the filter is a step back, and a chip takes away its part.
  await list.page.goBack();
  await list.has("ask-3", "ask-1");
  await list.page.locator(".chip", { hasText: "shop:a" }).click();
  await list.has("ask-3", "ask-2", "ask-1");
  await list.page.getByRole("button", { name: "Clear all" }).click();
  await list.has("failed-1", "Fan-3", "ask-3", "Fan-2", "ask-2", "Fan-1", "ask-1");
  assert.equal(new URL(list.page.url()).search, "");
});

test("what is drawn over the bars narrows the time, with the mouse and with keys", async () => {
  const list = await openList(host);
  const { page } = list;
  await page.waitForSelector(".histo-plot svg rect[class^=bar]");
  const box = await page.locator(".histo-plot").boundingBox();
  await page.mouse.move(box.x + 200, box.y + 20);
  await page.mouse.down();
  await page.mouse.move(box.x + 400, box.y + 20, { steps: 4 });
  await page.mouse.up();
  await page.waitForFunction(() => /from=\d+&to=\d+/.test(location.search));
  assert.equal((await list.chips()).length, 2);
  const narrow = page.url();
  const { from, to } = Object.fromEntries(new URL(narrow).searchParams);
  const shown = await eventually("the rows of that time are shown", async () => {
    const { instances, complete } = await host.get(`/api/instances?from=${from}&to=${to}`);
    const ids = await list.ids();
    return complete && ids.join() === instances.map(({ id }) => id).join() && ids;
  }, BOUND);
  assert.ok(shown.length < 7, "and they are fewer");
  await page.locator(".histo-plot").focus();
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("Shift+ArrowRight");
  await page.keyboard.press("Enter");
  await page.waitForFunction((was) => location.href !== was, narrow);
  await page.goBack();
  assert.equal(page.url(), narrow);
  await page.goBack();
  await page.waitForFunction(() => document.querySelectorAll(".chip").length === 0);
});

/** Picks these rows, and does something with them. */
async function doWith(list, ids, action, { fill = async () => {} } = {}) {
  for (const id of await list.ids()) await list.page.getByLabel(`Pick ${id}`, { exact: true }).setChecked(ids.includes(id));
  await list.page.waitForFunction((many) => document.querySelector(".batch-many").innerText.startsWith(`${many} saga`), ids.length);
  await list.page.locator(".batch").getByRole("button", { name: action, exact: true }).click();
  const dialog = list.page.locator("dialog[open]");
  const named = await dialog.locator(".id-list li").allInnerTexts();
  await fill(dialog);
  await dialog.locator("button[type=submit]").click();
  await list.page.locator("#notices").getByText(`${action}: ${named.length} done`).waitFor();
  // What it was done with is picked no more; what was left out is.
  await list.page.waitForFunction((done) => done.every((id) => !document.querySelector(`input.pick[data-id="${id}"]`)?.checked), named);
  return named.sort();
}

test("what is picked in the list is done with all of it, after a question that names it", async () => {
  for (const id of ["b-1", "b-2", "b-3"]) {
    await host.steps(id, [{}], { end: "wait" });
    await host.until(id, ({ customStatus }) => customStatus === "waiting");
  }
  await host.steps("b-4", [{}], { end: "fail" });
  await host.ended("b-4");
  const list = await openList(host, "?idPrefix=b-&order=asc");
  const all = ["b-1", "b-2", "b-3", "b-4"];
  await list.has(...all);
  const statuses = async (...expected) => eventually(`they are ${expected}`, async () =>
    (await Promise.all(all.map((id) => host.status(id)))).map(({ runtimeStatus }) => runtimeStatus).join() === expected.join());

  // Escape calls it off, and nothing is done.
  await list.page.getByLabel("Pick b-1", { exact: true }).check();
  await list.page.locator(".batch").getByRole("button", { name: "Terminate", exact: true }).click();
  await list.page.locator("dialog[open]").waitFor();
  await list.page.keyboard.press("Escape");
  await eventually("the question is gone", async () => (await list.page.locator("dialog").count()) === 0);
  assert.equal((await host.status("b-1")).runtimeStatus, "Running");
  await list.page.getByLabel("Pick b-1", { exact: true }).uncheck();

  const reason = (text) => ({ fill: (dialog) => dialog.getByLabel("Reason").fill(text) });
  assert.deepEqual(await doWith(list, all, "Suspend", reason("a pause")), ["b-1", "b-2", "b-3"], "what has ended is left out");
  await statuses("Suspended", "Suspended", "Suspended", "Failed");
  await list.has(...all);
  await doWith(list, all, "Resume", reason("go on"));
  await statuses("Running", "Running", "Running", "Failed");
  await list.has(...all);
  await doWith(list, ["b-1"], "Cancel", reason("no more"));
  await statuses("Canceled", "Running", "Running", "Failed");
  assert.equal((await host.status("b-1")).output, "no more", "the reason arrives");
  await list.has(...all);
  await doWith(list, ["b-2"], "Terminate", { fill: (dialog) => dialog.getByLabel("Undo what they did first").check() });
  await statuses("Canceled", "Terminated", "Running", "Failed");
  assert.equal((await host.status("b-2")).sagaState, "compensated");
  await list.has(...all);
  await doWith(list, ["b-4"], "Rewind", reason("try it"));
  await eventually("it was rewound, and failed again", async () => {
    const { historyEvents } = await host.get("/runtime/webhooks/durabletask/instances/b-4?showHistory=true");
    return /Rewound/.test(JSON.stringify(historyEvents)) && (await host.status("b-4")).runtimeStatus === "Failed";
  });
  await list.has(...all);
  await doWith(list, ["b-1", "b-2"], "Restart", { fill: (dialog) => dialog.getByLabel("Under a new id each").uncheck() });
  await statuses("Running", "Running", "Running", "Failed");
  // Both began anew at the same time, in whichever order.
  const again = async (...before) => eventually(`${before} stand before the two that began anew`, async () => {
    const ids = (await list.ids()).join();
    return [["b-1", "b-2"], ["b-2", "b-1"]].some((two) => ids === [...before, ...two].join());
  });
  await again("b-3", "b-4");
  assert.deepEqual(await doWith(list, all, "Purge"), ["b-4"]);
  await again("b-3");
});

test("the keyboard goes through the list, and picks", async () => {
  const list = await openList(host, "?order=asc");
  const { page } = list;
  await page.locator('tr[data-index="0"] .id-link').focus();
  const focused = () => page.evaluate(() => document.activeElement.closest("tr")?.dataset.index);
  for (const [key, index] of [["ArrowDown", "1"], ["ArrowDown", "2"], ["ArrowUp", "1"], ["Home", "0"]]) {
    await page.keyboard.press(key);
    assert.equal(await focused(), index, key);
  }
  assert.equal(await page.locator('.grid tbody a[tabindex="0"]').count(), 1, "one row is a stop of the Tab key");
  await page.keyboard.press(" ");
  await page.keyboard.press("Shift+ArrowDown");
  await page.waitForFunction(() => document.querySelector(".batch-many").innerText === "2 sagas picked");
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/sagas\/Fan-1$/);
});

test("the columns are chosen, and the choice is kept", async () => {
  const list = await openList(host);
  await list.page.locator("summary", { hasText: "Columns" }).click();
  await list.page.locator("details[open]").getByLabel("Events", { exact: true }).check();
  await list.page.locator("details[open]").getByLabel("Tags", { exact: true }).uncheck();
  const heads = () => list.page.locator(".grid thead th").allInnerTexts();
  const now = (await heads()).join();
  assert.match(now, /Events/);
  assert.doesNotMatch(now, /Tags/);
  await list.page.reload();
  await onList(list.page).loaded();
  assert.equal((await heads()).join(), now);
});

test("a light and a dark theme are there, and a choice of them holds", async () => {
  const page = await open(host, "/functions", { colorScheme: "dark" });
  await page.waitForSelector(".function-name");
  const colour = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const dark = await colour();
  await page.locator("#tools button").last().click();
  await page.waitForFunction((was) => getComputedStyle(document.body).backgroundColor !== was, dark);
  const light = await colour();
  await page.reload();
  await page.waitForSelector(".function-name");
  assert.equal(await colour(), light);
});
