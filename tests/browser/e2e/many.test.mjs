// A hundred thousand instances in the list, and a saga of thousands of steps: all of
// it can be reached, and only what can be seen is there.

import { openList } from "../lib/list.mjs";
import { openSaga } from "../lib/saga.mjs";
import { assert, eventually, startHost, test } from "../lib/test.mjs";

const MANY = 100_000;

/** More rows than this are never elements. */
const AT_ONCE = 100;

const host = await startHost({ seed: MANY });

/** The place of an instance in the order of creation: it is in its id. */
const numberOf = (id) => (id.startsWith("order-") ? Number(id.slice(6)) : Number.parseInt(id.slice(0, 16), 16));

/**
 * Scrolls from where the list stands to its end, a screen at a time, and notes each
 * row that is seen, by its place. Fails of a place that shows another row than before.
 */
async function scrollThrough(page) {
  return page.evaluate(async (patience) => {
    const view = document.querySelector(".grid-view");
    const foot = view.querySelector(".grid-foot");
    const frame = () => new Promise((done) => { requestAnimationFrame(done); });
    const seen = [];
    let most = 0;
    let wrong = null;
    let moved = performance.now();
    const look = () => {
      const rows = view.querySelectorAll("tbody:not(.room) tr");
      most = Math.max(most, rows.length);
      let last = -1;
      for (const row of rows) {
        if (!row.dataset.index) continue;
        const index = Number(row.dataset.index);
        const id = row.querySelector(".id-link").title;
        if (seen[index] !== undefined && seen[index] !== id) wrong ??= `place ${index} was ${seen[index]} and is ${id}`;
        if (index <= last) wrong ??= `place ${index} stands after ${last}`;
        last = index;
        seen[index] = id;
      }
    };
    look();
    while (!wrong) {
      const before = view.scrollTop;
      view.scrollTop = before + view.clientHeight;
      if (view.scrollTop > before) {
        moved = performance.now();
        // The browser tells of it before it paints next. To paint all screens would
        // take minutes, so the list is told at once.
        view.dispatchEvent(new Event("scroll"));
        look();
      } else if (foot.textContent.includes(`That is all: ${seen.length.toLocaleString("en")} `)) {
        break;
      } else if (performance.now() - moved > patience) {
        wrong = `it does not go on from ${before}`;
      } else {
        await frame();
        look();
      }
    }
    return { seen, most, wrong };
  }, 20_000);
}

test("a hundred thousand instances are scrolled through, and each is seen once, in its place", async () => {
  // A high window and few columns, so that it does not take minutes to lay out all of them.
  const { page, ...list } = await openList(host, "", {
    height: 1800,
    prepare: (one) => one.addInitScript(() => localStorage.setItem("sagahost.columns", "[\"id\",\"status\"]")),
  });
  const { seen, most, wrong } = await scrollThrough(page);
  assert.equal(wrong, null);
  assert.equal(seen.length, MANY);
  const misplaced = seen.findIndex((id, place) => id === undefined || numberOf(id) !== MANY - 1 - place);
  assert.equal(misplaced, -1, `place ${misplaced} has ${seen[misplaced]}`);
  assert.ok(most <= AT_ONCE, `${most} rows were elements at once`);
  await page.waitForFunction((many) => document.querySelector(".sagas-head").innerText.includes(`${many} sagas`), MANY.toLocaleString("en"));

  // Back at the top, whose rows may have been forgotten meanwhile, it is as it was.
  const goTo = (part) => page.locator(".grid-view").evaluate((view, to) => { view.scrollTop = view.scrollHeight * to; }, part);
  const shows = async (from, to) => {
    const rows = await list.rows();
    return rows.length > 10 && rows.every(({ index, id }) => seen[index] === id && index >= from && index < to);
  };
  await goTo(0);
  await eventually("the first rows are there again", () => shows(0, 100));
  await goTo(1 / 2);
  await eventually("the rows of the middle are there", () => shows(MANY / 3, MANY * 2 / 3));
  await goTo(1);
  await eventually("the last rows are there", () => shows(MANY - 100, MANY));
});

test("sorted by what is oldest, the last one is reached by dragging the bar down", async () => {
  const { page, ...list } = await openList(host, "?order=asc");
  await eventually("the oldest is the first row", async () => numberOf((await list.ids())[0]) === 0);
  await page.evaluate(async () => {
    const view = document.querySelector(".grid-view");
    const frame = () => new Promise((done) => { requestAnimationFrame(done); });
    while (!view.querySelector(".grid-foot").textContent.includes("That is all")) {
      view.scrollTop = view.scrollHeight;
      await frame();
    }
  });
  await eventually("the newest is the last row", async () => {
    // The room for the rows that came last is made a little after they came.
    await page.locator(".grid-view").evaluate((view) => { view.scrollTop = view.scrollHeight; });
    const rows = await list.rows();
    return rows.at(-1).index === MANY - 1 && rows.every(({ index, id }) => numberOf(id) === index);
  });
});

test("the keyboard reaches the last of what is read, and the row it comes from keeps its place", async () => {
  const list = await openList(host, "?status=Failed&order=asc");
  const { page } = list;
  await page.locator('tr[data-index="0"] .id-link').focus();
  await eventually("the End key comes to the end of all", async () => {
    await page.keyboard.press("End");
    return /That is all/.test(await page.locator(".grid-foot").innerText());
  });
  let last = 0;
  await eventually("the last of all has the focus", async () => {
    // The room for the rows that came last is made a little after they came.
    await page.keyboard.press("End");
    last = await page.evaluate(() => Number(document.activeElement.closest("tr")?.dataset.index));
    return (await page.locator(".sagas-head").innerText()).includes(`${(last + 1).toLocaleString("en")} sagas`);
  });
  assert.ok(last > 1000, `${last}`);
  await page.keyboard.press("Home");
  assert.equal(await page.evaluate(() => document.activeElement.closest("tr").dataset.index), "0");

  // Who follows a link and comes back finds the list where it was left.
  await page.locator(".grid-view").evaluate((view) => { view.scrollTop = 3000; });
  const row = page.locator('tr[data-index="90"] .id-link');
  const id = await row.getAttribute("title");
  await row.click();
  await page.waitForURL((url) => url.pathname !== "/sagas");
  await page.goBack();
  await page.waitForFunction((title) => document.querySelector(".grid-view")?.scrollTop === 3000
    && [...document.querySelectorAll(".id-link")].some((one) => one.title === title), id);
});

test("a search that finds little among many reads on by itself, until all was looked at", async () => {
  const list = await openList(host);
  await list.search.fill("order-999");
  await list.page.waitForFunction(() => /search=order-999/.test(location.search));
  await list.whole();
  await eventually("only what is searched for is there", async () => {
    const ids = await list.ids();
    return ids.length > 0 && ids.every((id) => id.includes("order-999"));
  });
  const found = [];
  for (let token = ""; token !== null;) {
    const answer = await host.get(`/api/instances?search=order-999&top=1000&token=${token}`);
    found.push(...answer.instances);
    token = answer.next ?? null;
  }
  let counted = 0;
  await eventually("all that is found is counted", async () => {
    const head = await list.page.locator(".sagas-head").innerText();
    counted = Number(/([\d,]+) sagas?/.exec(head)?.[1].replaceAll(",", ""));
    return counted === found.length;
  }).catch((error) => { throw new Error(`${error.message}: ${counted}, and there are ${found.length}`); });
});

test("of a saga with thousands of steps only those in sight are there, on the timeline and on the diagram", async () => {
  await host.start("TestSequence", "long", { activity: "TestEcho", count: 3000 });
  await host.ended("long");
  const saga = await openSaga(host, "long");
  await saga.shows("Completed");
  assert.ok((await saga.rows()).length < 60);
  await saga.page.locator("[role=listbox]").focus();
  await saga.page.keyboard.press("End");
  await saga.page.waitForFunction(() => /step=t2999\b/.test(location.search));
  assert.ok((await saga.rows()).length < 60);
  await saga.view("Diagram");
  await saga.page.waitForSelector(".dg-node.chosen");
  assert.ok((await saga.nodes()).length < 60);
});
