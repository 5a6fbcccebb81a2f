// Undo, as the page of a saga shows it and lets it be done: what was undone is told
// apart from what went forward, a cancel says before what it will undo, and what is
// stuck is mended in each of the ways that the page offers.

import { access, mkdir, rm, writeFile } from "node:fs/promises";
import { openSaga } from "../lib/saga.mjs";
import { assert, eventually, startHost, test } from "../lib/test.mjs";

const host = await startHost();

const isThere = (file) => access(file).then(() => true, () => false);
const effects = async (id, ...names) => {
  const there = [];
  for (const name of names) if (await isThere(host.file(id, name))) there.push(name);
  return there;
};

test("of a saga that failed, the undo is told apart on the timeline, in the table and on the diagram", async () => {
  await host.steps("failed", [{}, {}, { fault: "fail" }]);
  await host.ended("failed");
  const saga = await openSaga(host, "failed");
  await saga.shows("Failed", "compensated");

  const rows = await eventually("there are five rows", async () => {
    const now = await saga.rows();
    return now.length === 5 && now;
  });
  assert.deepEqual(rows.map(({ kind, undone }) => `${kind}${undone ? " undone" : ""}`),
    ["activity undone", "activity undone", "activity", "undo", "undo"]);
  assert.match(rows[3].text, /StepUndo.*Undo, undone, undoes step 1, StepDo/, "what was done last is undone first, and words say so");
  assert.match(rows[4].text, /StepUndo.*Undo, undone, undoes step 0, StepDo/);
  const [forward, undo] = [rows[0], rows[3]];
  const is = (bars, one, other) => bars.length > 0 && bars.every((type) => type.includes(one) && !type.includes(other));
  assert.ok(is(forward.bars, "forward", "undo") && is(undo.bars, "undo", "forward"), `${forward.bars}; ${undo.bars}`);
  assert.match(undo.fills[0], /saga-undo/, "a bar of an undo has a pattern");
  assert.doesNotMatch(forward.fills[0], /url/, "and one of a step has none");

  await saga.view("Table");
  const table = await saga.page.locator(".saga-table tbody tr").allInnerTexts();
  assert.equal(table.length, 5);
  assert.match(table[3], /undo 1\s+Undo\s+StepUndo\s+undone[\s\S]*undoes 1 StepDo/);
  assert.match(table[0], /undo 0/, "and each step names its undo");

  await saga.view("Diagram");
  await saga.page.waitForSelector(".dg-node.undo");
  const nodes = await saga.nodes();
  const byKey = new Map(nodes.map((node) => [node.key, node]));
  assert.deepEqual(nodes.filter((node) => node.undo).map(({ key }) => key).sort(), [rows[3].key, rows[4].key].sort());
  assert.match(byKey.get(rows[3].key).label, /StepUndo undoes 1/);
  assert.notEqual(byKey.get(rows[3].key).shape, byKey.get("t0").shape, "boxes of undos look otherwise");
  assert.ok(byKey.get(rows[3].key).top > byKey.get("t1").top, "an undo stands below its step");
  assert.ok(byKey.get("t1").undone && !byKey.get("t2").undone);
  const lines = await saga.page.evaluate(() => ["next", "back"].map((kind) => {
    const line = document.querySelector(`.dg-edge.${kind}`);
    return line && getComputedStyle(line).strokeDasharray;
  }));
  assert.equal(lines[0], "none", "a line forward is solid");
  assert.match(lines[1], /\d/, "and one of the undo is dashed");

  await saga.page.locator(`.dg-node[data-key="${rows[3].key}"]`).click();
  await saga.page.waitForFunction(() => /Undo StepUndo/.test(document.querySelector(".saga-details").innerText));
  const details = await saga.page.locator(".saga-details").innerText();
  assert.match(details, /Undoes\s+1 StepDo \(completed\)/);
});

test("a cancel shows before what it will undo, and then exactly that is undone", async () => {
  await host.steps("cancelled", [{}, {}, {}], { end: "wait" });
  await host.until("cancelled", ({ customStatus }) => customStatus === "waiting");
  const saga = await openSaga(host, "cancelled");
  await saga.shows("Running", "armed");
  const planned = (await host.get("/api/instances/cancelled/undo")).undo.map(({ step }) => step);
  await saga.button("Cancel…").click();
  await saga.page.waitForSelector(".saga-plan li");
  const items = await saga.page.locator(".saga-plan ol > li > p").allInnerTexts();
  assert.deepEqual(items.map((text) => /undoes step (\d+), StepDo, which completed/.exec(text)?.[1]), planned);
  assert.deepEqual(planned, ["2", "1", "0"]);
  await saga.confirm("Leave it");
  assert.equal((await host.status("cancelled")).runtimeStatus, "Running", "who does not confirm does nothing");

  await saga.button("Cancel…").click();
  await saga.page.getByLabel("Reason").fill("no more of it");
  await saga.confirm("Cancel the saga");
  await saga.shows("Canceled", "compensated");
  const undone = (await saga.rows()).filter(({ kind }) => kind === "undo").map(({ text }) => /undoes step (\d+)/.exec(text)[1]);
  assert.deepEqual(undone, planned, "it is undone as it was said");
  assert.match(await saga.page.locator(".saga-outcome").innerText(), /it was cancelled[\s\S]*no more of it/);
  assert.deepEqual(await effects("cancelled", "s0", "s1", "s2"), [], "and the effects are gone");
  assert.deepEqual((await saga.offered()).filter((name) => name.startsWith("Cancel")), []);
});

/** A saga whose undo of step 1 is stuck, with its page. */
async function stuckUndo(id, fault) {
  if (fault === "barred") {
    await mkdir(host.file(id, "."), { recursive: true });
    await writeFile(host.file(id, "s1.barred"), "");
  }
  await host.steps(id, [{}, { undoFault: fault }, {}], { end: "fail" });
  await host.until(id, ({ sagaState }) => sagaState === "stuck");
  const saga = await openSaga(host, id);
  await saga.shows("Running", "stuck");
  assert.match(await saga.page.locator(".saga-alert").innerText(), /The undo of step 1 is stuck/);
  return saga;
}

/** Fills in who and why, and confirms. */
async function mend(saga, name, why) {
  await saga.page.getByLabel("Why").fill(why);
  await saga.page.getByLabel("Who").fill("Ada");
  await saga.confirm(name);
}

const repairs = async (id, kind) => (await host.get(`/runtime/webhooks/durabletask/instances/${id}?showHistory=true`)).historyEvents
  .filter(({ EventType }) => EventType === kind).map(({ Repair, Reason, By }) => `${Repair}, ${Reason}, ${By}`);

test("an undo that is stuck is tried again when its cause is gone", async () => {
  const saga = await stuckUndo("barred", "barred");
  await saga.button("Try again…").first().click();
  await saga.dialog().getByRole("button", { name: "Try again", exact: true }).click();
  assert.equal(await saga.page.locator(".field-error:not(:empty)").count(), 2, "it takes a reason and a name");
  await mend(saga, "Try again", "perhaps now");
  await eventually("it failed again", async () => /failed after 2 attempts/.test(await saga.page.locator(".saga-alert").innerText()));
  await rm(host.file("barred", "s1.barred"));
  await saga.button("Try again…").first().click();
  assert.equal(await saga.page.getByLabel("Who").inputValue(), "Ada", "the name is remembered in this tab");
  await mend(saga, "Try again", "the bar is gone");
  await saga.shows("Failed", "compensated");
  assert.equal(await saga.page.locator(".saga-alert").count(), 0, "nothing is stuck any more");
  assert.deepEqual(await effects("barred", "s0", "s1", "s2"), []);
  assert.deepEqual(await repairs("barred", "UndoRepaired"), ["retry, perhaps now, Ada", "retry, the bar is gone, Ada"]);
});

test("an undo that is stuck is tried again with another input", async () => {
  const saga = await stuckUndo("edited", "fail");
  await saga.button("Try again with another input…").first().click();
  const input = saga.page.getByLabel("Input (JSON)");
  const { undoFault, ...rest } = JSON.parse(await input.inputValue());
  assert.equal(undoFault, "fail", "the input that it had is there to be changed");
  await input.fill("{\"dir\":");
  await saga.dialog().getByRole("button", { name: "Try again", exact: true }).click();
  assert.match((await saga.page.locator(".field-error").allInnerTexts()).join(), /not JSON/);
  await input.fill(JSON.stringify(rest));
  await mend(saga, "Try again", "wrong input");
  await saga.shows("Failed", "compensated");
  assert.deepEqual(await effects("edited", "s0", "s1", "s2"), []);
  assert.deepEqual(await repairs("edited", "UndoRepaired"), ["retry, wrong input, Ada"]);
});

test("an undo that is stuck is taken as done by hand", async () => {
  const saga = await stuckUndo("by-hand", "fail");
  await saga.button("It was done by hand…").first().click();
  await mend(saga, "Take it as done", "<b>removed</b> it myself");
  await saga.shows("Failed", "compensated");
  assert.deepEqual(await effects("by-hand", "s0", "s1", "s2"), ["s1"], "the host takes it at its word");
  assert.match(await saga.page.locator(".saga-details").innerText(), /taken as done by hand by Ada: <b>removed<\/b> it myself/);
  assert.deepEqual(await repairs("by-hand", "UndoRepaired"), ["done, <b>removed</b> it myself, Ada"]);
});

/** A saga past its pivot whose step 1 is stuck, with its page. */
async function stuckStep(id) {
  await host.steps(id, [{}, { fault: "fail" }, {}], { pivot: 0 });
  await host.until(id, ({ sagaState }) => sagaState === "stuck");
  const saga = await openSaga(host, id);
  await saga.shows("Running", "stuck");
  assert.match(await saga.page.locator(".saga-alert").innerText(), /Step 1 is stuck/);
  assert.deepEqual((await saga.offered()).filter((name) => name.startsWith("Cancel")), [], "past the pivot nothing is undone");
  return saga;
}

test("a step past the pivot that is stuck is mended in each way", async () => {
  const edited = await stuckStep("step-edited");
  await edited.button("Try again with another input…").first().click();
  const input = edited.page.getByLabel("Input (JSON)");
  const { fault: _fault, ...rest } = JSON.parse(await input.inputValue());
  await input.fill(JSON.stringify(rest));
  await mend(edited, "Try again", "wrong input");
  await edited.shows("Completed", "committed");
  assert.deepEqual(await effects("step-edited", "s0", "s1", "s2"), ["s0", "s1", "s2"]);

  const done = await stuckStep("step-done");
  await done.button("It was done by hand…").first().click();
  await done.page.getByLabel("Result (JSON)").fill("{\"id\":\"s1\",\"attempt\":0}");
  await mend(done, "Take it as done", "did it");
  await done.shows("Completed", "committed");
  assert.deepEqual(await effects("step-done", "s0", "s1", "s2"), ["s0", "s2"]);

  const failed = await stuckStep("step-failed");
  await failed.button("Try again…").first().click();
  await mend(failed, "Try again", "perhaps now");
  await eventually("it failed again", async () => /failed after 2 attempts/.test(await failed.page.locator(".saga-alert").innerText()));
  await failed.button("It did nothing…").first().click();
  await mend(failed, "Take it as failed", "looked it up");
  await failed.page.waitForFunction(() => /Its code failed past the pivot/.test(document.querySelector(".saga-alerts").innerText));
  assert.deepEqual(await repairs("step-failed", "TaskRepaired"), ["retry, perhaps now, Ada", "failed, looked it up, Ada"]);
  await failed.button("Terminate…").click();
  await failed.page.getByLabel("Reason").fill("did the rest by hand");
  await failed.confirm("Terminate");
  await failed.shows("Terminated", "past pivot");
});

test("in the past of a saga nothing can be mended", async () => {
  await host.steps("past", [{ undoFault: "fail" }], { end: "fail" });
  await host.until("past", ({ sagaState }) => sagaState === "stuck");
  const saga = await openSaga(host, "past");
  await saga.shows("Running", "stuck");
  const events = Number(/after (\d+) events/.exec(await saga.said())[1]);
  await host.send("POST", "/api/instances/past/undo/0/done", { body: { note: "by hand", by: "Grace", output: null } });
  await saga.shows("Failed", "compensated");
  await saga.toEvent(events);
  await saga.shows("Running", "stuck");
  assert.equal(await saga.button("Try again…").count(), 0);
  assert.match(await saga.page.locator(".saga-alert").innerText(), /This is how it was then/);
});
