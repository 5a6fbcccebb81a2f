#!/usr/bin/env node
// Tries the overview, the list and the pages of functions in a real browser. The
// list is that of the made-up sagas, the functions are those of a real host with
// the sample's components:
//
//   node tests/browser/devserver.mjs --port 7190 --host http://127.0.0.1:7071 --fake
//   node tests/browser/pages.mjs --page http://127.0.0.1:7190 \
//     [--playwright PATH] [--chromium /usr/bin/chromium] [--axe PATH/axe.min.js]
//
// Playwright is `playwright-core` where node finds it, or the module at PATH. With
// axe-core each page is also looked at for faults of accessibility, in both
// themes and two widths. Exits with 1 if anything was wrong.

import { readFileSync } from "node:fs";

const args = new Map();
for (let i = 2; i < process.argv.length; i += 2) args.set(process.argv[i].replace(/^--/, ""), process.argv[i + 1]);
const base = args.get("page");
if (!base) {
  console.error("--page is needed.");
  process.exit(2);
}
const { chromium } = await import(args.get("playwright") ?? "playwright-core");
const BOUND = 20_000;
let wrong = 0;

function check(what, right, more = "") {
  if (!right) wrong += 1;
  console.log(`${right ? "ok    " : "WRONG "} ${what}${right ? "" : ` ${more}`}`);
}

const browser = await chromium.launch({
  executablePath: args.get("chromium") ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync"],
});

const faults = [];
async function open(where, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(BOUND);
  page.on("pageerror", (error) => faults.push(`${where}: ${error.stack}`));
  page.on("console", (message) => {
    // What a request was refused with is told here, too, and is no fault.
    if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) faults.push(`${where}: ${message.text()}`);
  });
  await page.goto(base + where);
  return page;
}

/** Waits until something holds, and says whether it came to. */
async function until(page, test, argument) {
  try {
    await page.waitForFunction(test, argument, { timeout: BOUND });
    return true;
  } catch {
    return false;
  }
}

const focused = (page) => page.evaluate(() => document.activeElement.closest("tr")?.dataset.index ?? document.activeElement.tagName);

async function overview() {
  const page = await open("/");
  check("the overview says how it is", await until(page, () => !/Asking/.test(document.querySelector(".verdict")?.textContent ?? "Asking")));
  check("what is stuck is named, with links", await until(page, () => document.querySelectorAll(".stuck-list a").length > 0));
  check("what is stuck stands first", await page.evaluate(() =>
    document.querySelector(".stuck-card").getBoundingClientRect().top < document.querySelector(".tiles").getBoundingClientRect().top));
  check("each chart has words", await until(page, () => [...document.querySelectorAll("svg.spark")].every((one) => /now, lowest/.test(one.getAttribute("aria-label")))));
  check("changes come in", await until(page, () => document.querySelectorAll(".changes tbody tr").length > 1));
  await page.getByRole("button", { name: "Pause" }).click();
  const before = await page.locator(".changes tbody").innerText();
  check("a pause holds them back", await until(page, () => /held back/.test(document.querySelector(".changes-head").innerText)));
  check("and the list stays", before === await page.locator(".changes tbody").innerText());
  await page.context().close();
}

async function list() {
  const page = await open("/sagas");
  await page.waitForSelector(".id-link");
  const view = page.locator(".grid-view");
  const rows = () => Number.parseInt(document.querySelector(".sagas-head .row > .num").innerText.replace(",", ""), 10);
  await page.evaluate(`globalThis.rows = ${rows}`);
  for (let n = 0; n < 10; n += 1) {
    const before = await page.evaluate(() => globalThis.rows());
    check("scrolling to the end reads more", await until(page, (was) => {
      const list = document.querySelector(".grid-view");
      list.scrollTop = list.scrollHeight;
      return globalThis.rows() > was;
    }, before), `than ${before}`);
  }
  check("of many rows few are elements", await page.locator(".grid tbody:not(.room) tr").count() < 80);

  await view.evaluate((one) => { one.scrollTop = 0; });
  await page.waitForSelector('tr[data-index="0"]');
  await page.locator('tr[data-index="0"] .id-link').focus();
  for (const [key, index] of [["ArrowDown", "1"], ["ArrowDown", "2"], ["ArrowUp", "1"], ["Home", "0"]]) {
    await page.keyboard.press(key);
    check(`${key} goes to row ${index}`, await focused(page) === index, await focused(page));
  }
  await page.keyboard.press("PageDown");
  check("PageDown goes further", Number(await focused(page)) > 5);
  await page.keyboard.press("Home");
  check("one row is a stop of the Tab key", await page.locator('.grid tbody a[tabindex="0"]').count() === 1);

  await page.keyboard.press(" ");
  await page.keyboard.press("Shift+ArrowDown");
  check("the keyboard picks rows", await page.locator(".batch-many").innerText() === "2 sagas picked");
  await page.locator(".batch").getByRole("button", { name: "Restart" }).click();
  const dialog = page.locator("dialog[open]");
  check("a dialog says how many", /Restart 2 sagas\?/.test(await dialog.innerText()));
  check("and which", await dialog.locator(".id-list li").count() === 2);
  await page.keyboard.press("Escape");
  check("Escape calls it off", await page.locator("dialog").count() === 0);
  check("and nothing is done", await page.locator(".batch-many").innerText() === "2 sagas picked");
  await page.locator(".batch").getByRole("button", { name: "Restart" }).click();
  await page.locator("dialog[open] button[type=submit]").click();
  check("it is done and told", await until(page, () => /Restart: 2 done/.test(document.getElementById("notices").innerText)));

  await page.goto(`${base}/sagas`);
  await page.waitForSelector(".histo-plot svg rect[class^=bar]");
  const box = await page.locator(".histo-plot").boundingBox();
  await page.mouse.move(box.x + 200, box.y + 20);
  await page.mouse.down();
  await page.mouse.move(box.x + 400, box.y + 20, { steps: 4 });
  await page.mouse.up();
  check("drawing over bars narrows the time", await until(page, () => /from=\d+&to=\d+/.test(location.search)));
  check("chips say so", await page.locator(".chip").count() === 2);
  const narrow = page.url();
  await page.locator(".histo-plot").focus();
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("Shift+ArrowRight");
  await page.keyboard.press("Enter");
  check("so does the keyboard", await until(page, (was) => location.href !== was, narrow));
  await page.goBack();
  check("back goes back", page.url() === narrow);
  await page.goBack();
  check("and back to all", await until(page, () => document.querySelectorAll(".chip").length === 0));

  await page.getByLabel("Search", { exact: true }).fill("order-00099");
  check("a search reads on by itself until the end", await until(page, () => /That is all/.test(document.querySelector(".grid-foot").innerText)));
  check("and is in the address", page.url().includes("search=order-00099"));

  await page.goto(`${base}/sagas`);
  await page.waitForSelector(".id-link");
  check("what is new is told, and nothing moves", await until(page, () => /\d+ new/.test(document.querySelector(".news").innerText)));
  check("the list stays where it is until asked", await page.locator('tr[data-index="0"]').count() === 1);
  await page.locator(".news").click();
  check("then it is read again", await until(page, () => document.querySelector(".news").hidden));

  await page.locator(".grid-view").evaluate((one) => { one.scrollTop = 3000; });
  await page.waitForSelector('tr[data-index="90"]');
  const id = await page.locator('tr[data-index="90"] .id-link').innerText();
  await page.locator('tr[data-index="90"] .id-link').click();
  await until(page, () => location.pathname !== "/sagas");
  await page.goBack();
  check("who comes back finds the list where it was left", await until(page, (text) =>
    document.querySelector(".grid-view")?.scrollTop === 3000 && [...document.querySelectorAll(".id-link")].some((one) => one.innerText === text), id));
  await page.context().close();
}

async function functions() {
  const page = await open("/functions");
  await page.waitForSelector(".function-name");
  const field = (name) => page.getByLabel(name, { exact: true });
  const result = () => page.locator(".try-result").innerText();
  await page.locator(".function-name", { hasText: /^OrderSaga$/ }).click();
  await page.waitForSelector("form.try");
  check("the heading has the focus on a new page", await page.evaluate(() => document.activeElement.tagName) === "H1");
  await page.getByRole("button", { name: "Start" }).click();
  check("what is wrong has the focus", await page.evaluate(() => document.activeElement.getAttribute("aria-invalid")) === "true");
  await field("card").fill("4242");
  await field("customer").fill("Ada");
  await field("id").fill(`page-${Date.now()}`);
  await page.getByRole("button", { name: "Add an item" }).click();
  await field("sku").fill("print");
  await field("quantity").fill("two");
  await field("price_cents").fill("1250");
  await page.getByRole("button", { name: "Start" }).click();
  check("a number has to be one", (await page.locator(".field-error").allInnerTexts()).includes("This is not a number."));
  await field("quantity").fill("2");
  await page.getByRole("button", { name: "Type JSON instead" }).click();
  const typed = JSON.parse(await page.locator("textarea.mono").inputValue());
  check("the form is JSON, too", typed.items?.[0]?.quantity === 2 && !("fault" in typed));
  await page.locator("textarea.mono").fill(JSON.stringify({ ...typed, unknown: 1 }));
  await page.getByRole("button", { name: "Fill in a form" }).click();
  check("a form that would lose something is not shown", await page.locator("textarea.mono").count() === 1);
  await page.locator("textarea.mono").fill(JSON.stringify({ ...typed, customer: "<b>Ada</b>" }));
  await page.getByRole("button", { name: "Fill in a form" }).click();
  check("JSON is a form again", await field("customer").inputValue() === "<b>Ada</b>");
  await page.getByRole("button", { name: "Start" }).click();
  check("its result is shown", await until(page, () => /Completed[\s\S]*Result/.test(document.querySelector(".try-result").innerText)), await result());
  check("with a link to its page", await page.locator('.try-result a[href^="/sagas/"]').count() === 1);

  await page.goto(`${base}/functions/FanOut`);
  await page.waitForSelector("form.try");
  await page.locator("form.try select").selectOption({ index: 1 });
  await field("count").fill("4");
  await page.getByRole("button", { name: "Start" }).click();
  check("one of several kinds of input", await until(page, () => /Result\s+30/.test(document.querySelector(".try-result").innerText)), await result());

  await page.goto(`${base}/functions/Square`);
  await field("Input").fill("9007199254740993");
  await page.getByRole("button", { name: "Run it once" }).click();
  check("a large number is sent as it is", await until(page, () => /9007199254740993 squared/.test(document.querySelector(".try-result").innerText)), await result());

  await page.goto(`${base}/functions/Nothing`);
  check("a function that is not there is told", await until(page, () => /No function of this name/.test(document.querySelector("main").innerText)));
  await page.context().close();
}

async function themes() {
  const page = await open("/functions", { colorScheme: "dark" });
  await page.waitForSelector(".function-name");
  const colour = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const dark = await colour();
  await page.locator("#tools button").last().click();
  check("a theme is chosen", await colour() !== dark);
  await page.reload();
  await page.waitForSelector(".function-name");
  check("and kept", await colour() !== dark);
  await page.keyboard.press("Tab");
  check("the first stop skips to the content", await page.evaluate(() => document.activeElement.className) === "skip");
  await page.context().close();
}

async function accessible() {
  const source = readFileSync(args.get("axe"), "utf8");
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [1280, 390]) {
      for (const where of ["/", "/sagas", "/sagas?status=Failed&search=gift", "/functions", "/functions/OrderSaga", "/functions/Shelf"]) {
        const page = await open(where, { colorScheme, viewport: { width, height: 900 }, bypassCSP: true });
        await page.waitForSelector(".tile-value, .id-link, .function-name");
        await page.evaluate(source);
        const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
        check(`${where} is accessible: ${colorScheme}, ${width} wide`, found.violations.length === 0,
          found.violations.map((one) => `${one.id}: ${one.nodes.slice(0, 3).map((node) => node.target).join(" ")}`).join("; "));
        check("and no wider than the screen", await page.evaluate(() => document.documentElement.scrollWidth <= document.documentElement.clientWidth));
        await page.context().close();
      }
    }
  }
}

try {
  await overview();
  await list();
  await functions();
  await themes();
  if (args.has("axe")) await accessible();
  check("no script failed, and nothing was against the content security policy", faults.length === 0);
  for (const fault of faults) console.log(fault);
} finally {
  await browser.close();
}
process.exit(wrong > 0 ? 1 : 0);
