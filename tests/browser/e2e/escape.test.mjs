// What sagas carry is text, whatever it looks like: nothing of it becomes markup,
// runs, leaves the origin, or breaks a page. (That nothing is against the content
// security policy, and that no other origin is asked, lib/browser.mjs sees to.)

import { openSaga } from "../lib/saga.mjs";
import { assert, open, startHost, test } from "../lib/test.mjs";

const host = await startHost();

/** Each would leave a trace if it were anything but text. */
const EVIL = [
  "<script>window.struck=1</script>",
  "<img src=x onerror=\"window.struck=1\"><struck-mark></struck-mark>",
  "<svg onload=window.struck=1><a xlink:href=\"javascript:window.struck=1\"><text>go</text></a></svg>",
  "javascript:window.struck=1",
  "\" autofocus onfocus=\"window.struck=1\" x=\"' onmouseover='window.struck=1",
  "</title></style></textarea></pre></script><struck-mark>",
  "<iframe src=\"http://127.0.0.1:9/\"></iframe><link rel=stylesheet href=\"//127.0.0.1:9/x.css\">",
  "&lt;b&gt;&amp;#39; ${window.struck=1} {{constructor.constructor('window.struck=1')()}}",
  "\u202Etxt.live\u2066 a name that is written from right to left",
  `w${"o".repeat(900)}rd`,
  "\u0000\u0007\u001b[31m\u2028\ufeff nothing that can be seen",
  "العربية עברית 😀 ﷽",
].join("\n");
/** What an id may hold of it: no slash, no question mark, no line break. */
const ID = "<img src=x onerror=window.struck=1><svg onload=window.struck=1><struck-mark>\"'&lt;\u202Edi";
const LONG = `<struck-mark>${"m".repeat(243)}`;
const WORD = "<struck-mark>\" onfocus=\"window.struck=1";

const quoted = encodeURIComponent(EVIL.replaceAll("\u0000", ""));
const managed = (id, rest) => `/runtime/webhooks/durabletask/instances/${encodeURIComponent(id)}${rest}`;

const tags = `?tag=${encodeURIComponent(`${WORD}:${WORD}`)}&tag=${encodeURIComponent(`k:${ID}`)}&version=${encodeURIComponent(WORD)}`;
await host.start("TestOrchEcho", ID, { [EVIL]: EVIL, list: [EVIL, { [WORD]: [EVIL] }] }, tags);
await host.start("TestOrchEcho", LONG, EVIL, tags);
await host.start("TestCallOne", "failed", { activity: "TestFail", input: { code: WORD, message: EVIL, details: { [EVIL]: EVIL } } });
await host.start("TestCallOne", "printed", { activity: "TestPrint", input: { stdout: EVIL, stderr: EVIL, log: EVIL } });
await host.start("TestWaitEvents", "events", { names: [WORD, "never", ID] });
await host.raise("events", WORD, { [EVIL]: EVIL });
await host.start("Approval", "status", { timeoutSeconds: 0.2, escalateTo: EVIL });
await host.start("Approval", "suspended", { timeoutSeconds: 600 });
await host.post(managed("suspended", `/suspend?reason=${quoted}`));
await host.start("Approval", "terminated", { timeoutSeconds: 600 });
await host.post(managed("terminated", `/terminate?reason=${quoted}`));
await host.start("RateArticle", "entity", { sku: ID, ratings: [{ stars: 5, text: EVIL }] });
await host.start("Parent", "parent", { children: 1, wait: true, ids: ID });
await host.steps("canceled", [{ note: EVIL }], { end: "wait" });
await host.until("canceled", ({ customStatus }) => customStatus === "waiting");
await host.post("/api/instances/canceled/cancel", { reason: EVIL });
await host.steps("mended", [{ undoFault: "fail" }, {}], { end: "fail" });
await host.until("mended", ({ sagaState }) => sagaState === "stuck");
await host.post("/api/instances/mended/undo/0/done", { note: EVIL.slice(0, 900), by: WORD, output: { [EVIL]: EVIL } });
await host.steps("stuck", [{ undoFault: "fail" }], { end: "fail" });
await host.until("stuck", ({ sagaState }) => sagaState === "stuck");
for (const id of [ID, LONG, "failed", "printed", "terminated", "entity", "canceled", "mended"]) await host.ended(id);
await host.until("status", ({ customStatus }) => /written from right/.test(customStatus));

/** Fails of anything on the page that is more than text. */
async function harmless(page, where) {
  for (const width of [1280, 390]) {
    await page.setViewportSize({ width, height: 844 });
    await page.evaluate(() => new Promise((done) => { requestAnimationFrame(() => requestAnimationFrame(done)); }));
    const seen = await page.evaluate(() => {
      const wider = [...document.querySelectorAll("main *")].find((element) => {
        const box = element.getBoundingClientRect();
        if (box.width <= 1 || box.right <= innerWidth + 1) return false;
        // What is scrolled or cut off within something narrower is no fault.
        for (let up = element.parentElement; up; up = up.parentElement) {
          if (up.matches("svg") || getComputedStyle(up).overflowX !== "visible") return false;
        }
        return true;
      });
      const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
      const turned = [];
      while (texts.nextNode()) {
        const element = texts.currentNode.parentElement;
        if (!texts.currentNode.data.includes("\u202E") || element.closest("svg, textarea, option, title")) continue;
        const { display, unicodeBidi } = getComputedStyle(element);
        if (display === "inline" && !/isolate|plaintext/.test(unicodeBidi)) turned.push(element.outerHTML.slice(0, 120));
      }
      return {
        struck: window.struck ?? null,
        made: [...document.querySelectorAll("struck-mark, img, iframe, object, embed, base, style, form[action], [onerror], [onload], [onfocus], [onmouseover]")].map((one) => one.outerHTML.slice(0, 120)),
        scripts: [...document.scripts].map((one) => one.getAttribute("src") ?? one.text),
        sheets: [...document.querySelectorAll("link[rel=stylesheet]")].filter((one) => !one.getAttribute("href").startsWith("/dashboard/css/")).length,
        links: [...document.querySelectorAll("a")].map((one) => one.href).filter((href) => typeof href !== "string" || (!href.startsWith(location.origin) && !href.startsWith("blob:"))),
        scrolls: document.documentElement.scrollWidth > innerWidth,
        wider: wider?.outerHTML.slice(0, 200) ?? null, turned: turned.slice(0, 3),
      };
    });
    assert.deepEqual(seen, {
      struck: null, made: [], scripts: ["/dashboard/js/theme.js", "/dashboard/js/app.js"], sheets: 0, links: [],
      scrolls: false, wider: null, turned: [],
    }, `${where}, ${width} wide`);
  }
  await page.setViewportSize({ width: 1280, height: 844 });
}

/** Waits until a text is to be read, letter by letter. */
const reads = (page, text, where = "main") => page.waitForFunction(([inside, part]) =>
  document.querySelector(inside).textContent.includes(part), [where, text]);

const SHOWN = [
  [ID, "<script>window.struck=1</script>"], [LONG, "</textarea>"], ["failed", "<iframe src"], ["printed", null], ["events", WORD],
  ["status", "<iframe src"], ["suspended", "javascript:window.struck=1"], ["terminated", "<iframe src"], ["entity", "<img src=x"], ["parent", "<img src=x"],
  ["canceled", "<iframe src"], ["mended", WORD], ["stuck", null],
];
for (const [id, text] of SHOWN) {
  test(`the page of ${JSON.stringify(id.slice(0, 30))} is only text, in each view`, async () => {
    const saga = await openSaga(host, id);
    const { page } = saga;
    assert.equal(await page.locator("h1").innerText(), id);
    assert.ok((await page.title()).startsWith(id.slice(0, 12)));
    if (text) await reads(page, text);
    await harmless(page, "the timeline");
    for (const row of await page.locator(".tl-row").all()) {
      await row.click();
      await page.waitForSelector(".saga-unchoose:not([hidden])");
      await harmless(page, `the details of ${(await row.innerText()).slice(0, 60)}`);
    }
    for (const view of ["Table", "Diagram", "Journal", "Logs"]) {
      await saga.view(view);
      await page.locator(`[role=tab][aria-selected=true]`, { hasText: view }).waitFor();
      if (view === "Journal") for (const event of await page.locator(".jl-head").all()) await event.click();
      await harmless(page, view);
    }
    if (id === "printed") await reads(page, "<iframe src", ".saga-stage");
  });
}

test("dialogs show it as text", async () => {
  const saga = await openSaga(host, "events");
  await saga.button("Raise event…").click();
  await saga.page.waitForSelector("dialog[open]");
  await harmless(saga.page, "the dialog of an event");
  await saga.page.keyboard.press("Escape");
  await saga.button("Terminate…").click();
  await reads(saga.page, "Nothing would be undone", "dialog");
  await saga.page.getByLabel("Reason").fill(EVIL.replaceAll("\n", " "));
  await saga.confirm("Terminate");
  await saga.shows("Terminated");
  await harmless(saga.page, "terminated with a reason");

  await host.steps("planned", [{ note: EVIL }], { end: "wait" });
  await host.until("planned", ({ customStatus }) => customStatus === "waiting");
  const planned = await openSaga(host, "planned");
  await planned.button("Cancel…").click();
  await reads(planned.page, "Would be undone", "dialog");
  await planned.page.locator("dialog details").evaluateAll((all) => all.forEach((one) => { one.open = true; }));
  await harmless(planned.page, "what would be undone");
});

test("the list and its filters show it as text", async () => {
  const page = await open(host, "/sagas", {
    prepare: (one) => one.addInitScript(() => localStorage.setItem("sagahost.columns", JSON.stringify(["name", "status", "saga", "created", "updated", "custom", "tags", "events"]))),
  });
  await page.waitForSelector(".id-link");
  await reads(page, ID);
  await reads(page, WORD, ".grid");
  await harmless(page, "the list");
  await page.getByRole("checkbox", { name: `Pick ${ID}`, exact: true }).check();
  await page.locator(".batch").getByRole("button", { name: "Purge" }).click();
  await page.waitForSelector("dialog[open]");
  await harmless(page, "the question before many are purged");
  const words = new URLSearchParams({ search: EVIL.slice(0, 200), name: WORD, idPrefix: WORD, from: WORD, status: WORD, sort: WORD });
  words.append("tag", `${WORD}:${WORD}`);
  await page.goto(`${host.url}/sagas?${words}`);
  await page.waitForFunction(() => /No saga fits/.test(document.querySelector("main").innerText));
  await reads(page, WORD, ".chips");
  await harmless(page, "a filter");
  await page.goto(`${host.url}/sagas?${new URLSearchParams({ tag: `${WORD}:${WORD}` })}`);
  await page.waitForFunction(() => document.querySelectorAll(".id-link").length === 2);
  await harmless(page, "what has a tag");
});

test("the overview shows it as text, also what comes while it is open", async () => {
  const page = await open(host, "/");
  await page.waitForSelector(".stuck-list a");
  await reads(page, "stuck", ".stuck-list");
  await host.start("TestOrchEcho", `${ID} 2`, EVIL);
  await reads(page, `${ID} 2`, ".changes");
  await harmless(page, "the overview");
});

test("addresses that are made up show it as text", async () => {
  const page = await open(host, `/functions/${encodeURIComponent(WORD)}`, { refused: [404] });
  await page.waitForFunction(() => /No function of this name/.test(document.querySelector("main").innerText));
  await reads(page, WORD);
  await harmless(page, "no such function");
  await page.goto(`${host.url}/sagas/${encodeURIComponent(`${ID} none`)}`);
  await page.waitForSelector(".error-box");
  await harmless(page, "no such saga");
  await page.goto(`${host.url}/sagas/failed?${new URLSearchParams({ view: WORD, step: WORD, at: WORD })}`);
  await page.waitForSelector(".tl-row");
  await harmless(page, "a view that is none");
});

test("forms and results show it as text", async () => {
  const page = await open(host, "/functions/TestEcho");
  await page.waitForSelector("form.try");
  await page.locator("form.try textarea, form.try input").first().fill(JSON.stringify({ [EVIL]: [EVIL] }));
  await page.getByRole("button", { name: "Run it once" }).click();
  await reads(page, "</textarea>", ".try-result");
  await harmless(page, "a result");
  await page.goto(`${host.url}/functions/Greet`);
  await page.locator("form.try").getByLabel("Input", { exact: true }).fill(EVIL.replaceAll("\n", " "));
  await page.getByRole("button", { name: "Run it once" }).click();
  await reads(page, "Hello, <script>", ".try-result");
  await harmless(page, "a greeting");
});

test("pages, files and answers say what they are, and what they may do", async () => {
  const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    + "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
  const types = {
    "/": "text/html", "/sagas": "text/html", [`/sagas/${encodeURIComponent(ID)}`]: "text/html", "/functions": "text/html",
    [`/functions/${encodeURIComponent(WORD)}`]: "text/html", "/dashboard/js/app.js": "text/javascript", "/dashboard/css/base.css": "text/css",
    "/dashboard/favicon.svg": "image/svg+xml",
  };
  for (const [where, type] of Object.entries(types)) {
    const answer = await fetch(host.url + where);
    assert.equal(answer.status, 200, where);
    assert.equal(answer.headers.get("content-security-policy"), policy, where);
    assert.equal(answer.headers.get("x-content-type-options"), "nosniff", where);
    assert.ok(answer.headers.get("content-type").startsWith(type), `${where}: ${answer.headers.get("content-type")}`);
    await answer.text();
  }
  // Who opens an answer of the API by itself is shown no page, either.
  for (const where of ["/api/instances", managed(ID, ""), managed("<b>none", ""), "/api/overview"]) {
    const answer = await fetch(host.url + where, { headers: { accept: "text/html" } });
    assert.ok(answer.headers.get("content-type").startsWith("application/json"), where);
    assert.equal(answer.headers.get("x-content-type-options"), "nosniff", where);
    await answer.text();
  }
});
