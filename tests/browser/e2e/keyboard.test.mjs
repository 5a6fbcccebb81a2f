// Without a mouse: everything that can be done is reached with Tab, shows that it
// has the focus, and what was opened is closed by Escape.

import { openSaga } from "../lib/saga.mjs";
import { shop } from "../lib/shop.mjs";
import { assert, open, startHost, test } from "../lib/test.mjs";

const host = await startHost();
const goods = await shop(host);
await goods.going();
for (let n = 0; n < 6; n += 1) await goods.moment(n);
await goods.plainGift("gift-plain");
await goods.stuckOrder("order-stuck");
await host.steps("failed", [{}, {}], { end: "fail" });
await host.ended("failed");

/** How often Tab is pressed at most. */
const MOST = 250;

/**
 * Goes through a page with Tab, from its beginning to its end. Gives what can be
 * done and was not reached, and what was reached and does not show it.
 */
async function walk(page) {
  // Each gets a number, so that what is drawn again is not taken for another one.
  await page.evaluate(() => {
    const seen = (element) => element.checkVisibility({ visibilityProperty: true }) && element.getClientRects().length > 0;
    window.nameOf = (element) => `${element.tagName.toLowerCase()} ${(element.getAttribute("aria-label") ?? element.labels?.[0]?.innerText ?? element.textContent).trim().slice(0, 60)}`;
    window.expected = () => [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex='0'], [role='button']")]
      .filter((element) => seen(element) && !element.disabled && element.tabIndex >= 0).map(window.nameOf);
    document.activeElement?.blur();
    document.querySelector(".skip").focus();
  });
  const reached = new Set();
  const unseen = [];
  let before = null;
  for (let n = 0; n < MOST; n += 1) {
    const at = await page.evaluate(() => {
      const element = document.activeElement;
      if (element === document.body) return null;
      const shape = element.querySelector?.(":scope > .dg-shape");
      const style = getComputedStyle(shape ?? element);
      const shown = shape ? Number.parseFloat(style.strokeWidth) >= 3
        : style.outlineStyle !== "none" && Number.parseFloat(style.outlineWidth) >= 2;
      const box = element.getBoundingClientRect();
      const inSight = box.bottom > 0 && box.right > 0 && box.top < innerHeight && box.left < innerWidth;
      return { name: window.nameOf(element), shown, inSight };
    });
    if (at === null) break;
    reached.add(at.name);
    if (!at.shown) unseen.push(`${at.name} does not show that it has the focus`);
    if (!at.inSight) unseen.push(`${at.name} has the focus and is out of sight`);
    before = at.name;
    await page.keyboard.press("Tab");
  }
  const expected = await page.evaluate(() => window.expected());
  return [...expected.filter((name) => !reached.has(name)).map((name) => `${name} is not reached (the last one was ${before})`), ...unseen];
}

const PLACES = [
  ["/", ".changes tbody tr"], ["/sagas", ".id-link"], ["/functions", ".function-name"], ["/functions/OrderSaga", "form.try"],
  ["/functions/Square", "form.try"], ["/functions/Ratings", "form.try"],
  ["/sagas/gift-plain", ".tl-row"], ["/sagas/gift-plain?view=table", ".saga-table"], ["/sagas/gift-plain?view=diagram", ".dg-node"],
  ["/sagas/gift-plain?view=journal", ".jl-head"], ["/sagas/gift-plain?view=logs", ".saga-stage"], ["/sagas/order-stuck", ".saga-alert button"],
  ["/sagas/approve-invoice-88", ".saga-actions button"],
];
for (const width of [1280, 390]) {
  test(`each page can be walked through with Tab, ${width} wide`, async () => {
    const page = await open(host, "/", { width });
    for (const [where, ready] of PLACES) {
      await page.goto(host.url + where);
      await page.locator(ready).first().waitFor();
      assert.deepEqual(await walk(page), [], where);
    }
  });
}

const OPENED = [
  ["approve-invoice-88", ["Raise event…", "Suspend…", "Cancel…", "Terminate…"]], ["approve-invoice-91", ["Resume…"]],
  ["failed", ["Rewind…", "Restart…", "Purge…"]], ["order-stuck", ["Try again…", "Try again with another input…", "It was done by hand…"]],
];
test("the keyboard opens each dialog, stays in it, and Escape goes back to where it was", async () => {
  for (const [id, names] of OPENED) {
    const saga = await openSaga(host, id);
    const { page } = saga;
    for (const name of names) {
      const button = saga.button(name).first();
      await button.focus();
      await page.keyboard.press("Enter");
      await page.waitForSelector("dialog[open]");
      for (let n = 0; n < 8; n += 1) {
        const outside = await page.evaluate(() => document.activeElement !== document.body && !document.activeElement.closest("dialog"));
        assert.equal(outside, false, `${name}: the focus stays in the dialog`);
        await page.keyboard.press("Tab");
      }
      await page.keyboard.press("Escape");
      await page.waitForSelector("dialog", { state: "detached" });
      assert.equal(await button.evaluate((one) => one === document.activeElement), true, `${name}: the focus is back`);
    }
    const answer = await host.status(id);
    assert.equal(answer.runtimeStatus, { failed: "Failed", "approve-invoice-91": "Suspended" }[id] ?? "Running", "nothing was done");
  }
});

test("the keyboard opens each menu, and Escape closes it", async () => {
  const page = await open(host, "/sagas");
  await page.waitForSelector(".id-link");
  const menus = await page.locator("details.popover > summary").all();
  assert.equal(menus.length, 4);
  for (const menu of menus) {
    await menu.focus();
    await page.keyboard.press("Enter");
    await page.waitForSelector("details.popover[open]");
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => Boolean(document.activeElement.closest("details.popover[open]"))), true, "Tab goes into it");
    await page.keyboard.press("Escape");
    assert.equal(await page.locator("details.popover[open]").count(), 0);
    assert.equal(await menu.evaluate((one) => one === document.activeElement), true, "the focus is back");
  }
});

test("views, rows and nodes are chosen with the arrow keys", async () => {
  const saga = await openSaga(host, "gift-plain");
  const { page } = saga;
  await page.getByRole("tab", { name: "Timeline" }).focus();
  await page.keyboard.press("ArrowRight");
  assert.equal(await page.locator("[role=tab][aria-selected=true]").innerText(), "Table");
  await page.keyboard.press("ArrowRight");
  await page.locator(".dg-node[tabindex='0']").focus();
  await page.keyboard.press(await page.locator(".dg").getByRole("button", { name: "From left to right" }).count() ? "ArrowDown" : "ArrowRight");
  assert.match(await page.evaluate(() => document.activeElement.getAttribute("aria-label")), /OrderSaga/);
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => /OrderSaga/.test(document.querySelector(".saga-details-title").innerText));
  assert.equal(await page.evaluate(() => document.activeElement.className), "saga-details-title", "the details are read next");
  await page.getByRole("tab", { name: "Diagram" }).focus();
  await page.keyboard.press("Home");
  await page.locator(".tl-rows").focus();
  await page.keyboard.press("ArrowDown");
  await page.waitForFunction(() => /Step OrderActivity/.test(document.querySelector(".saga-details-title").innerText));
  const chosen = await page.locator(".tl-rows").getAttribute("aria-activedescendant");
  assert.match(await page.locator(`[id="${chosen}"]`).innerText(), /OrderActivity/);
});

test("nothing moves by itself for who asked for that", async () => {
  const page = await open(host, "/", { reducedMotion: "reduce" });
  for (const [where, ready] of PLACES) {
    await page.goto(host.url + where);
    await page.locator(ready).first().waitFor();
    const moving = await page.evaluate(() => [...document.querySelectorAll("*")].filter((element) => {
      const { animationName, transitionDuration, scrollBehavior } = getComputedStyle(element);
      return animationName !== "none" || /[1-9]/.test(transitionDuration) || scrollBehavior === "smooth";
    }).map((element) => element.outerHTML.slice(0, 100)));
    assert.deepEqual(moving, [], where);
    assert.equal(await page.evaluate(() => document.getAnimations().length), 0, where);
  }
});
