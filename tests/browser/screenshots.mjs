#!/usr/bin/env node
// Takes the pictures of the pages that the guides show, into docs/screenshots:
//
//   cargo build --locked && node tests/browser/screenshots.mjs [--only saga,stuck] [--pages disk]
//
// It starts a host, lets a shop be busy for a minute, and takes each page light and
// dark, wide and narrow. `--pages disk` takes the pages from host/http/dashboard.

import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";

const args = new Map();
for (let at = 2; at < process.argv.length; at += 2) args.set(process.argv[at].replace(/^--/, ""), process.argv[at + 1]);
if (args.get("pages") === "disk") process.env.SAGAHOST_PAGES = "disk";

const { closeBrowser, closePages, open } = await import("./lib/browser.mjs");
const { sleep, startHost, stopAll } = await import("./lib/host.mjs");
const { ROOT } = await import("./lib/packages.mjs");
const { smaller } = await import("./lib/png.mjs");
const { shop } = await import("./lib/shop.mjs");

const FOLDER = path.join(ROOT, "docs/screenshots");
const SIZES = { wide: [1280, 800], narrow: [390, 844] };

/** How long the shop is busy before the first picture, so that the charts have something to show. */
const BUSY_MS = Number(args.get("busy") ?? 60) * 1000;

const host = await startHost({ functions: ["guest_activities", "guest_orchestrator"] });
const goods = await shop(host);

const PICTURES = {
  overview: {
    where: "/", ready: ".stuck-list a",
    then: (page) => page.waitForFunction(() => document.querySelectorAll(".changes tbody tr").length > 8
      && /highest [1-9]/.test(document.querySelector("svg.spark").getAttribute("aria-label"))),
  },
  sagas: { where: "/sagas", ready: ".id-link", then: (page) => page.waitForSelector(".histo-plot svg rect") },
  saga: { where: "/sagas/gift-2042", ready: ".tl-row" },
  stuck: { where: "/sagas/order-7741", ready: ".saga-alert button" },
  diagram: { where: "/sagas/gift-2041?view=diagram", ready: ".dg-node" },
  cancel: {
    where: "/sagas/gift-2043", ready: ".tl-row", before: () => goods.hangingGift("gift-2043"),
    async then(page) {
      await page.getByRole("button", { name: "Cancel…", exact: true }).click();
      await page.waitForSelector(".saga-plan li");
    },
  },
  functions: { where: "/functions", ready: "table.functions tbody tr" },
  function: {
    where: "/functions/OrderSaga", ready: "form.try",
    async then(page) {
      const form = page.locator("form.try");
      const field = (name) => form.getByLabel(name, { exact: true });
      await field("card").fill("4242 4242 4242 4242");
      await field("customer").fill("Ada");
      await field("id").fill("order-2001");
      await form.getByRole("button", { name: "Add an item" }).click();
      await field("sku").fill("lamp");
      await field("quantity").fill("2");
      await field("price_cents").fill("4900");
      await page.evaluate(() => { document.activeElement.blur(); scrollTo(0, 0); });
    },
  },
};

async function take(name, { where, ready, then }, size, colorScheme) {
  const [width, height] = SIZES[size];
  const page = await open(host, where, { width, height, colorScheme, deviceScaleFactor: 1, timezoneId: "UTC", locale: "en" });
  // No room for a bar that is in no picture.
  await page.evaluate(() => { document.documentElement.style.scrollbarGutter = "auto"; });
  await page.locator(ready).first().waitFor();
  await then?.(page);
  await page.evaluate(() => new Promise((done) => { requestAnimationFrame(() => requestAnimationFrame(done)); }));
  const picture = smaller(await page.screenshot({ animations: "disabled", caret: "hide" }));
  const file = `${name}-${size}-${colorScheme}.png`;
  await writeFile(path.join(FOLDER, file), picture);
  console.log(`${file} ${Math.round(picture.length / 1024)} KiB`);
  const faults = await closePages();
  if (faults.length) throw new Error(`something was wrong on ${where}:\n${faults.join("\n")}`);
}

let busy = true;
async function beBusy() {
  for (let n = 0; busy; n += 1) {
    await goods.moment(n);
    await sleep(n % 10 < 6 ? 150 : 700);
  }
}

try {
  await mkdir(FOLDER, { recursive: true });
  await goods.going();
  const work = beBusy();
  await sleep(BUSY_MS / 2);
  await goods.plainGift("gift-2041");
  await goods.hangingGift("gift-2042");
  await goods.cancelSlowly("gift-2042", "the customer called it off");
  await goods.stuckOrder("order-7741");
  await sleep(BUSY_MS / 2);
  const only = args.get("only")?.split(",");
  for (const [name, picture] of Object.entries(PICTURES)) {
    if (only && !only.includes(name)) continue;
    await picture.before?.();
    for (const size of Object.keys(SIZES)) {
      for (const scheme of ["light", "dark"]) await take(name, picture, size, scheme);
    }
  }
  busy = false;
  await work;
} finally {
  busy = false;
  await closePages();
  await closeBrowser();
  await stopAll();
}
