// The slider through the journal of a saga: at each event the page shows what was
// known then, and nothing of what came later.

import { openSaga } from "../lib/saga.mjs";
import { BOUND, assert, eventually, startHost, test } from "../lib/test.mjs";

const host = await startHost();

/** The journal as the host has it. */
async function journalOf(id) {
  const text = await host.get(`/api/instances/${id}/events`);
  return text.split("\n").filter((line) => line.startsWith("data:") && line.includes("\"index\""))
    .map((line) => JSON.parse(line.slice(5)).event);
}

const kindOf = (event) => (typeof event === "string" ? event : Object.keys(event)[0]);

/**
 * What is to be seen after a part of a journal, by rules of its own and only for the
 * events that these tests make.
 */
function expected(events) {
  const rows = [];
  const find = (kind, number) => rows.findLast((row) => row.kind === kind && row.number === number);
  const seen = { rows, status: "Running", ended: false, unwinding: false };
  for (const event of events) {
    const kind = kindOf(event);
    const said = event[kind] ?? {};
    const step = rows.find((row) => row.kind === "step" && row.number === said.task);
    const told = {
      Scheduled: () => rows.push({ kind: "step", number: said.task, name: said.function, state: "running" }),
      EventAwaited: () => rows.push({ kind: "wait", number: said.task, name: said.name, state: "waiting" }),
      EventRaised: () => {
        const wait = rows.find((row) => row.kind === "wait" && row.name === said.name && row.state === "waiting");
        if (wait) wait.state = "completed";
        rows.push({ kind: "event", name: said.name, state: wait ? "taken" : "not waited for yet" });
      },
      TaskCompleted: () => { step.state = "completed"; },
      AttemptFailed: () => { step.state = said.retryAt === undefined ? "failed" : "waits for its next attempt"; },
      Suspended: () => { seen.status = "Suspended"; },
      Resumed: () => { seen.status = "Running"; },
      Unwinding: () => { seen.unwinding = true; },
      UndoScheduled: () => rows.push({ kind: "undo", number: said.undo, name: said.function, state: "running" }),
      UndoAttemptFailed: () => { find("undo", said.undo).state = said.retryAt === undefined ? "stuck" : "waits for its next attempt"; },
      UndoCompleted: () => { find("undo", said.undo).state = "undone"; },
      Repaired: () => { find("undo", said.step).state = kindOf(said.repair) === "done" ? "undone" : "running"; },
      Failed: () => Object.assign(seen, { status: "Failed", ended: true }),
      Canceled: () => Object.assign(seen, { status: "Canceled", ended: true }),
    };
    told[kind]?.();
  }
  return seen;
}

const KINDS = { activity: "step", wait: "wait", event: "event", undo: "undo" };

/** What is to be seen on the page. */
async function shown(saga) {
  const rows = (await saga.rows()).map(({ kind, text }) => ({ kind: KINDS[kind], text }));
  const { page } = saga;
  return {
    rows, badges: await saga.badges(), said: await saga.said(),
    facts: await page.locator(".saga-facts").innerText(),
    outcome: await page.locator(".saga-outcome").isVisible(),
  };
}

function compare(now, seen, number, all, kind) {
  const at = `after event ${number}, ${kind}`;
  assert.equal(now.rows.length, seen.rows.length, `${at}: the number of rows`);
  seen.rows.forEach((row, place) => {
    const { kind: type, text } = now.rows[place];
    assert.equal(type, row.kind, `${at}: row ${place}`);
    assert.ok(text.includes(row.name) && new RegExp(`, ${row.state}(,|$)`).test(text), `${at}: row ${place} is ${row.name}, ${row.state}: ${text}`);
  });
  assert.equal(now.badges[0], seen.status, at);
  assert.match(now.facts, new RegExp(`Events\\s+${number}\\b`), at);
  assert.ok(now.said.includes(`: ${kind},`), `${at}: ${now.said}`);
  assert.ok(now.said.startsWith(number === all ? `Latest, after ${all} events` : `As it was after event ${number} of ${all}`), now.said);
  assert.equal(now.outcome, seen.unwinding || seen.ended, `${at}: the outcome is told only from then on`);
}

/** Goes to an event by a way, and compares all that is to be seen. */
async function check(saga, journal, number, go) {
  await go();
  const kind = kindOf(journal[number - 1]);
  const words = number === journal.length ? "Latest, after" : `As it was after event ${number} of`;
  await eventually(`the page is at event ${number}`, async () => (await saga.said()).startsWith(words), BOUND);
  compare(await shown(saga), expected(journal.slice(0, number)), number, journal.length, kind);
}

test("at each event of a journal the page shows the picture of that prefix", async () => {
  const id = "all-of-it";
  await host.steps(id, [{ attempts: 2, fault: "flaky" }, { undoFault: "fail" }, {}], { end: "wait-fail" });
  await host.until(id, ({ customStatus }) => customStatus === "waiting");
  const managed = `/runtime/webhooks/durabletask/instances/${id}`;
  await host.send("POST", `${managed}/suspend?reason=a+look`);
  await host.until(id, ({ runtimeStatus }) => runtimeStatus === "Suspended");
  await host.raise(id, "Other", 1);
  await host.send("POST", `${managed}/resume?reason=looked`);
  await host.raise(id, "Go", 2);
  await host.until(id, ({ sagaState }) => sagaState === "stuck");
  await host.post(`/api/instances/${id}/undo/1/done`, { note: "by hand", by: "Ada", output: true });
  await host.ended(id);

  const journal = await journalOf(id);
  const kinds = journal.map(kindOf);
  for (const kind of ["AttemptFailed", "EventAwaited", "Suspended", "Resumed", "EventRaised", "Unwinding", "UndoAttemptFailed", "Repaired", "UndoCompleted", "Failed"]) {
    assert.ok(kinds.includes(kind), `the journal has ${kind}: ${kinds}`);
  }
  const saga = await openSaga(host, id);
  await saga.shows("Failed", "compensated");
  // Backwards and forwards by the slider, by its keys, and by the buttons.
  for (let number = journal.length; number >= 1; number -= 1) await check(saga, journal, number, () => saga.toEvent(number));
  await saga.page.getByRole("slider").focus();
  for (let number = 2; number <= journal.length; number += 1) await check(saga, journal, number, () => saga.page.keyboard.press("ArrowRight"));
  await check(saga, journal, 1, () => saga.button("To the first event").click());
  await check(saga, journal, 2, () => saga.button("One event on").click());
  await check(saga, journal, 1, () => saga.button("One event back").click());

  const unwinding = kinds.indexOf("Unwinding") + 1;
  await check(saga, journal, unwinding, () => saga.toEvent(unwinding));
  assert.equal((await saga.badges())[1], "compensating");
  await saga.view("Diagram");
  await saga.page.waitForSelector(".dg-node");
  assert.deepEqual((await saga.nodes()).filter(({ key, undo }) => undo || key === "end"), [], "the diagram has no undo yet, and no end");
  await saga.view("Journal");
  assert.equal(await saga.page.locator(".jl-list > li").count(), unwinding, "and the journal has no event yet that came later");

  // A link to a place in the journal is one.
  const there = await openSaga(host, id, { query: new URL(saga.page.url()).search });
  assert.match(await there.said(), new RegExp(`^As it was after event ${unwinding} of`));
  await saga.button("Latest").click();
  await saga.shows("Failed", "compensated");
});

test("a journal is played to its end", async () => {
  await host.steps("played", [{}, {}], { end: "fail" });
  await host.ended("played");
  const saga = await openSaga(host, "played");
  await saga.shows("Failed", "compensated");
  await saga.button("To the first event").click();
  await eventually("no step is there at first", async () => (await saga.rows()).length === 0);
  await saga.button("Play").click();
  const counts = [];
  await eventually("it is at the end", async () => {
    const { length } = await saga.rows();
    if (counts.at(-1) !== length) counts.push(length);
    return (await saga.said()).startsWith("Latest");
  });
  assert.deepEqual(counts, [...counts].sort((one, other) => one - other), "rows are added one after another");
  assert.ok(counts.length >= 3, `what is between is seen, too: ${counts}`);
  await saga.shows("Failed", "compensated");
});

test("who looks at the past of a saga that goes on stays there", async () => {
  await host.steps("goes-on", [{}], { end: "wait" });
  await host.until("goes-on", ({ customStatus }) => customStatus === "waiting");
  const saga = await openSaga(host, "goes-on");
  await saga.shows("Running", "armed");
  await saga.toEvent(2);
  await eventually("it is in the past", async () => (await saga.said()).startsWith("As it was after event 2 of"));
  await host.raise("goes-on", "Go");
  await host.ended("goes-on");
  const { length } = await journalOf("goes-on");
  await eventually("it says how many there are now", async () => (await saga.said()).startsWith(`As it was after event 2 of ${length}`));
  assert.deepEqual((await saga.badges())[0], "Running");
  await saga.button("Latest").click();
  await saga.shows("Completed", "committed");
});

test("sagas of all kinds are shown in each view", async () => {
  await host.start("TestStatusAndLog", "logs");
  await host.start("TestTimers", "timers", { ms: [1, 20] });
  await host.start("ParentSaga", "family", { before: { dir: "/files/all-of-it", id: "p" }, children: [{ steps: [] }], end: "fail" });
  await host.start("FanOut", "wide", { count: 40 });
  for (const id of ["logs", "timers", "family", "wide"]) {
    await host.ended(id);
    const saga = await openSaga(host, id);
    const many = (await journalOf(id)).length;
    await eventually("all of it is there", async () => (await saga.said()).startsWith(`Latest, after ${many} events`));
    for (const [view, shown] of [["Table", ".saga-table tbody tr"], ["Diagram", ".dg-node.end"], ["Journal", ".jl-list > li"], ["Logs", ".jl"], ["Timeline", ".tl-row"]]) {
      await saga.view(view);
      await saga.page.locator(shown).first().waitFor();
    }
    if (id !== "logs") continue;
    await saga.view("Logs");
    assert.ok(await saga.page.locator(".log-line").count() >= 3, "what the code logged is there");
  }
});
