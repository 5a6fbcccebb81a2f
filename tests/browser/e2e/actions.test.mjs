// What the page of a saga offers to do with it: each action once, after a question,
// and what comes of it. (Cancel and repairs are in undo.test.mjs.)

import { mkdir, writeFile } from "node:fs/promises";
import { openSaga, sameSet } from "../lib/saga.mjs";
import { assert, eventually, startHost, test } from "../lib/test.mjs";

const host = await startHost();

async function waiting(id, steps = [{}]) {
  await host.steps(id, steps, { end: "wait" });
  await host.until(id, ({ customStatus }) => customStatus === "waiting");
  return openSaga(host, id);
}

test("what is offered is what fits the state of the saga", async () => {
  const saga = await waiting("offers");
  await saga.shows("Running", "armed");
  sameSet(await saga.offered(), ["Raise event…", "Suspend…", "Cancel…", "Terminate…"]);
  await host.raise("offers", "Go");
  await saga.shows("Completed", "committed");
  sameSet(await saga.offered(), ["Restart…", "Purge…"]);
});

test("an event is raised, with what is JSON, and the saga goes on", async () => {
  const saga = await waiting("raised");
  await saga.button("Raise event…").click();
  assert.equal(await saga.page.getByLabel("Event", { exact: true }).inputValue(), "Go", "what is waited for is offered");
  await saga.page.getByLabel("What comes").fill("{\"a\":1");
  await saga.dialog().getByRole("button", { name: "Raise the event" }).click();
  assert.match((await saga.page.locator(".field-error").allInnerTexts()).join(), /not JSON/);
  await saga.page.getByLabel("What comes").fill("{\"large\": 9007199254740993}");
  await saga.confirm("Raise the event");
  await saga.shows("Completed", "committed");
  const journal = await host.get("/api/instances/raised/events");
  assert.match(journal, /"EventRaised":\{"name":"Go","input":\{"large": ?9007199254740993\}/, "it arrives as it was typed");
});

test("a saga is suspended, and resumed", async () => {
  const saga = await waiting("suspended");
  await saga.button("Suspend…").click();
  await saga.page.getByLabel("Reason").fill("a look");
  await saga.confirm("Suspend");
  await saga.shows("Suspended", "armed");
  assert.equal((await host.status("suspended")).runtimeStatus, "Suspended");
  await host.raise("suspended", "Go");
  await eventually("the event came, and is not taken", async () => (await saga.rows()).some(({ kind }) => kind === "event"));
  assert.equal((await host.status("suspended")).runtimeStatus, "Suspended");
  await saga.button("Resume…").click();
  await saga.confirm("Resume");
  await saga.shows("Completed", "committed");
  assert.match(await saga.page.locator(".saga-marks").first().innerText(), /suspended: a look/);
});

test("a saga is terminated, and what it did is left, or undone first", async () => {
  const left = await waiting("left");
  await left.button("Terminate…").click();
  await left.page.getByLabel("Undo what it did, first").uncheck();
  await left.page.getByLabel("Reason").fill("enough");
  await left.confirm("Terminate");
  await left.shows("Terminated", "armed");
  assert.equal((await host.status("left")).output, "enough");
  assert.deepEqual((await left.rows()).filter(({ kind }) => kind === "undo"), []);

  const undone = await waiting("undone", [{}, {}]);
  await undone.button("Terminate…").click();
  await undone.page.waitForSelector(".saga-plan li");
  assert.equal(await undone.page.locator(".saga-plan ol > li").count(), 2);
  await undone.page.getByLabel("Undo what it did, first").check();
  await undone.confirm("Terminate");
  await undone.shows("Terminated", "compensated");
  assert.equal((await undone.rows()).filter(({ kind }) => kind === "undo").length, 2);
});

test("a saga that failed is rewound, when what made it fail is mended", async () => {
  await mkdir(host.path("files/kept"), { recursive: true });
  await host.start("Rewindable", "rewound", { dir: "/files/kept" });
  await host.ended("rewound");
  const saga = await openSaga(host, "rewound");
  await eventually("it has failed", async () => (await saga.badges())[0] === "Failed");
  const failed = (await saga.rows()).length;
  await writeFile(host.path("files/kept/b"), "");
  await saga.button("Rewind…").click();
  await saga.page.getByLabel("Reason").fill("the file is there");
  await saga.confirm("Rewind");
  await eventually("it goes on to its end", async () => (await saga.badges())[0] === "Completed");
  const rows = await saga.rows();
  assert.ok(rows.length > failed, "the first run is still there");
  assert.ok(rows.some(({ text }) => /kept from before the rewind/.test(text)), "and what was kept is told");
  assert.match(await saga.page.locator(".saga-facts").innerText(), /Rewound\s+1 time/);
  assert.equal((await host.status("rewound")).runtimeStatus, "Completed");
});

test("a saga is restarted, under a new id or in its place, and purged", async () => {
  const input = { activity: "TestEcho", count: 3 };
  await host.start("TestSequence", "again", input);
  await host.ended("again");
  // When it is purged the page looks for itself whether it is gone.
  const saga = await openSaga(host, "again", { refused: [404] });
  await saga.shows("Completed");
  await saga.button("Restart…").click();
  await saga.confirm("Restart");
  await saga.page.waitForURL((url) => url.pathname !== "/sagas/again");
  const other = decodeURIComponent(new URL(saga.page.url()).pathname.split("/").at(-1));
  await saga.shows("Completed");
  assert.deepEqual((await host.status(other)).input, input);
  assert.equal((await host.status("again")).runtimeStatus, "Completed", "the first one is still there");

  const before = (await host.status("again")).createdTime;
  await saga.page.goto(`${host.url}/sagas/again`);
  await saga.shows("Completed");
  await saga.button("Restart…").click();
  await saga.page.getByLabel("Under a new id").uncheck();
  await saga.confirm("Restart");
  await host.until("again", ({ createdTime, runtimeStatus }) => createdTime !== before && runtimeStatus === "Completed");
  await saga.shows("Completed");
  await eventually("its new journal is shown", async () => (await saga.rows()).length === 3);

  await saga.button("Purge…").click();
  await saga.confirm("Keep it");
  assert.equal((await host.send("GET", "/runtime/webhooks/durabletask/instances/again")).status, 200);
  await saga.button("Purge…").click();
  await saga.confirm("Purge");
  await saga.page.waitForURL(`${host.url}/sagas`);
  assert.equal((await host.send("GET", "/runtime/webhooks/durabletask/instances/again")).status, 404);
});

test("what the host refuses is told as it says it, and the dialog stays", async () => {
  await host.steps("refuses", [{}], { end: "wait" });
  await host.until("refuses", ({ customStatus }) => customStatus === "waiting");
  const saga = await openSaga(host, "refuses", { refused: [410] });
  await saga.button("Cancel…").click();
  await saga.page.waitForSelector(".saga-plan li");
  await host.raise("refuses", "Go");
  await host.ended("refuses");
  await saga.dialog().getByRole("button", { name: "Cancel the saga" }).click();
  await saga.page.waitForFunction(() => document.querySelector(".dialog-error")?.textContent.length > 0);
  const { data } = await host.send("POST", "/api/instances/refuses/cancel", { body: {} });
  assert.ok((await saga.page.locator(".dialog-error").innerText()).includes(data.Message), data.Message);
  await saga.page.keyboard.press("Escape");
  await saga.shows("Completed", "committed");
});

test("a saga that continues as new is followed into its next rounds", async () => {
  await host.start("CollectEvents", "rounds", { rounds: 4, perRound: 2 });
  const saga = await openSaga(host, "rounds");
  for (let number = 1; number <= 6; number += 1) await host.raise("rounds", "E", number);
  await eventually("three rounds are over", async () => /3 times/.test(await saga.page.locator(".saga-facts").innerText()));
  for (let number = 7; number <= 8; number += 1) await host.raise("rounds", "E", number);
  await saga.shows("Completed");
});

test("parent and children link to each other, and a child that was not there is told of", async () => {
  await host.start("ParentSaga", "family", { children: [{ steps: [] }] });
  await host.ended("family");
  const saga = await openSaga(host, "family", { refused: [404] });
  await saga.shows("Completed");
  await saga.page.locator(".tl-row.child").click();
  await saga.page.locator('.saga-details a[href^="/sagas/"]').first().click();
  await saga.page.waitForURL((url) => url.pathname !== "/sagas/family");
  await saga.page.waitForFunction(() => /StepsSaga/.test(document.querySelector(".saga-facts")?.innerText));
  await saga.page.locator(".saga-facts a", { hasText: /^family$/ }).click();
  await saga.page.waitForURL(`${host.url}/sagas/family`);
  await saga.page.goto(`${host.url}/sagas/nobody`);
  await saga.page.waitForFunction(() => /There is no instance/.test(document.querySelector(".error-box")?.innerText));
});
