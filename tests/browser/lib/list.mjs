// The list of sagas, as a test looks at it.
//
//   const list = await openList(host, "?status=Failed", { … });   // and the options of `open`
//   list.page                      // Playwright's page
//   await list.rows()              // those that are elements: [{ index, id, status, saga, name }]
//   await list.ids()
//   await list.has("a", "b")       // waits until these are the ids, in this order
//   await list.whole()             // waits until the list is read to its end

import { BOUND, eventually, open } from "./test.mjs";

/** Opens the list, and waits until it shows something. */
export async function openList(host, query = "", options = {}) {
  const list = onList(await open(host, `/sagas${query}`, options));
  await list.loaded();
  return list;
}

/** The same, for a page that is there. */
export function onList(page) {
  const list = {
    page,
    loaded: () => page.waitForSelector("tr[data-index], .grid-foot .empty"),
    whole: () => page.waitForFunction(() => /That is all|No saga/.test(document.querySelector(".grid-foot").innerText)),
    rows: () => page.locator(".grid tbody tr[data-index]").evaluateAll((rows) => rows.map((row) => {
      const cell = (name) => row.querySelector(`.col-${name}`)?.innerText.trim();
      return { index: Number(row.dataset.index), id: row.querySelector(".id-link").title, name: cell("name"), status: cell("status"), saga: cell("saga") };
    })),
    ids: async () => (await list.rows()).map(({ id }) => id),
    async has(...ids) {
      let last = [];
      await eventually(`the list has ${ids}`, async () => {
        last = await list.ids();
        return last.join() === ids.join();
      }, BOUND).catch((error) => { throw new Error(`${error.message}; it had ${last}`); });
    },
    row: (id) => page.locator("tr[data-index]", { has: page.locator(`.id-link[title="${id}"]`) }),
    /** Picks one value behind a button of the filter. */
    async choose(label, value) {
      await page.locator("form.filters summary", { hasText: label }).click();
      await page.locator("form.filters details[open]").getByLabel(value, { exact: true }).click();
      await page.keyboard.press("Escape");
    },
    chips: () => page.locator(".chip").evaluateAll((chips) => chips.map((chip) => chip.firstChild.textContent)),
    search: page.getByLabel("Search", { exact: true }),
    name: page.getByRole("combobox", { name: "Orchestrator" }),
  };
  return list;
}
