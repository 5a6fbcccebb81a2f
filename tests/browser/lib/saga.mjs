// The page of one saga, as a test looks at it.
//
//   const saga = await openSaga(host, "id", { query: "?view=diagram" });  // and the options of `open`
//   saga.page                        // Playwright's page
//   await saga.shows("Canceled", "compensated")   // waits for exactly these states
//   await saga.badges()
//   saga.button("Cancel…")           // a button by its name
//   await saga.view("Diagram")       // another view
//   await saga.rows()                // of the timeline: [{ key, name, kind, text }]
//   await saga.nodes()               // of the diagram: [{ key, undo, label }]
//   await saga.toEvent(3)            // puts the slider there

import { BOUND, assert, eventually, open } from "./test.mjs";

/** Opens the page of a saga, and waits until it shows something. */
export async function openSaga(host, id, { query = "", ...options } = {}) {
  const page = await open(host, `/sagas/${encodeURIComponent(id)}${query}`, options);
  const saga = onSaga(page);
  await saga.loaded();
  return saga;
}

/** The same, for a page that is there. */
export function onSaga(page) {
  const saga = {
    page,
    loaded: () => page.waitForSelector(".saga:not([hidden]) .saga-tab"),
    badges: async () => (await page.locator(".saga-head .badge").allInnerTexts()).map((text) => text.trim()),
    async shows(...states) {
      let last = [];
      await eventually(`the page shows ${states}`, async () => {
        last = await saga.badges();
        return last.join() === states.join();
      }, BOUND).catch((error) => { throw new Error(`${error.message}; it showed ${last}`); });
    },
    button: (name) => page.getByRole("button", { name, exact: true }),
    offered: () => page.locator(".saga-actions button").allInnerTexts(),
    dialog: () => page.locator("dialog[open]"),
    /** Presses a button of the dialog, which is gone then. */
    async confirm(name) {
      await page.locator("dialog[open]").getByRole("button", { name, exact: true }).click();
      await page.waitForSelector("dialog", { state: "detached" });
    },
    view: (name) => page.getByRole("tab", { name, exact: true }).click(),
    rows: () => page.locator(".tl-row").evaluateAll((rows) => rows
      .sort((one, other) => Number(one.ariaPosInSet) - Number(other.ariaPosInSet))
      .map((row) => ({
        key: row.id.replace(/^.*?-(?=[a-z])/, ""), text: row.textContent.replace(/\s+/g, " ").trim(),
        kind: row.classList[1],
        undone: row.classList.contains("undone"),
        bars: [...row.querySelectorAll(".tl-bar")].map((bar) => bar.getAttribute("class")),
        fills: [...row.querySelectorAll(".tl-bar")].map((bar) => getComputedStyle(bar).fill),
      }))),
    nodes: () => page.locator(".dg-node").evaluateAll((nodes) => nodes.map((node) => ({
      key: node.dataset.key, label: node.getAttribute("aria-label"),
      undo: node.classList.contains("undo"), undone: node.classList.contains("undone"),
      shape: (({ strokeDasharray, fill }) => `${strokeDasharray} ${fill}`)(getComputedStyle(node.querySelector(".dg-shape"))),
      top: node.getBoundingClientRect().top,
    }))),
    async toEvent(number) {
      await page.getByRole("slider").evaluate((range, to) => {
        range.value = String(to);
        range.dispatchEvent(new Event("input", { bubbles: true }));
      }, number);
    },
    said: () => page.locator(".rp-said").innerText(),
  };
  return saga;
}

/** Fails unless these are the same, whatever their order. */
export function sameSet(got, expected, message) {
  assert.deepEqual([...got].sort(), [...expected].sort(), message);
}
