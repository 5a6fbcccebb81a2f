// The model of one saga, on journals that a host wrote.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { fold, kindOf, statusOf, causeOf } from "../../host/http/dashboard/js/saga/model.js";
import { extent, sagaState, stuckItems } from "../../host/http/dashboard/js/saga/model-state.js";

const journal = (name) =>
  JSON.parse(readFileSync(new URL(`fixtures/${name}.json`, import.meta.url), "utf8"));
const of = (name, upTo) => fold(journal(name), upTo);
const item = (model, key) => model.byKey.get(key);
const attempts = (model, key) => item(model, key).attempts.map((attempt) => attempt.state);
const all = ["approved", "collect", "detacher", "fail-undo", "family", "lost", "mended", "order-terminated",
  "parallel-undo", "retries", "retry-child", "scoped", "stuck-fail", "suspended", "transfer"];

test("each journal ends in the state that its host told of it", () => {
  const states = {
    approved: ["Completed", "none"], collect: ["Running", "none"], detacher: ["Completed", "none"],
    "fail-undo": ["Failed", "compensated"], family: ["Failed", "compensated"],
    lost: ["Running", "armed"], mended: ["Failed", "compensated"], "order-terminated": ["Terminated", "armed"],
    "parallel-undo": ["Failed", "compensated"], retries: ["Completed", "committed"],
    "retry-child": ["Completed", "none"], scoped: ["Completed", "committed"],
    "stuck-fail": ["Running", "stuck"], suspended: ["Suspended", "armed"],
    transfer: ["Completed", "none"],
  };
  for (const name of all) {
    const model = of(name);
    assert.deepEqual([statusOf(model), sagaState(model)], states[name], name);
    assert.deepEqual(model.others, [], name);
  }
});

test("after each event the model is what the events until then say, whatever comes later", () => {
  for (const name of all) {
    const records = journal(name);
    for (let upTo = 0; upTo <= records.length; upTo += 1) {
      const model = fold(records, upTo);
      assert.equal(model.events, upTo);
      assert.deepEqual(strip(fold(records.slice(0, upTo))), strip(model), `${name} at ${upTo}`);
      const now = upTo > 0 ? records[upTo - 1].time : 0;
      const [from, to] = extent(model, now);
      assert.ok(from < to);
      for (const found of model.items) {
        assert.ok(found.endedAt === null || found.endedAt >= found.scheduledAt, `${name} ${found.key}`);
        for (const key of found.after) assert.ok(item(model, key).endIndex < found.index, name);
      }
    }
    assert.deepEqual(records, journal(name), "a fold changes no record");
  }
});

const strip = (model) => JSON.parse(JSON.stringify({ ...model, undos: [...model.undos.all] }));

test("a step that is tried again has its attempts", () => {
  const model = of("fail-undo");
  assert.deepEqual(attempts(model, "t1"), ["failed", "completed"]);
  assert.deepEqual(attempts(model, "t2"), ["failed", "failed"]);
  assert.equal(item(model, "t2").attempts[0].failure.code, "host.trap");
  assert.match(item(model, "t2").attempts[0].logs.stderr, /panicked/);
  const waiting = of("fail-undo", 5);
  assert.equal(item(waiting, "t1").state, "retrying");
  assert.deepEqual(attempts(waiting, "t1"), ["failed", "running"]);
  assert.equal(item(waiting, "t1").attempts[1].estimated, true);
});

test("an attempt that was lost with the host is followed by another one", () => {
  const model = of("lost");
  assert.deepEqual(attempts(model, "t1"), ["lost", "completed"]);
  assert.deepEqual(item(model, "t1").attempts.map((attempt) => Boolean(attempt.estimated)), [true, false]);
});

test("what is undone is linked to its step, in the order of undoing", () => {
  const model = of("fail-undo");
  const undos = model.items.filter((found) => found.kind === "undo");
  assert.deepEqual(undos.map((undo) => [undo.undoes, undo.outcome, undo.state]), [
    ["t2", "unknown", "completed"], ["t1", "completed", "completed"], ["t0", "completed", "completed"],
  ]);
  assert.deepEqual(undos.map((undo) => undo.after), [[], ["u2"], ["u1"]]);
  assert.deepEqual(item(model, "t1").undoneBy, ["u1"]);
  assert.equal(causeOf(model.unwinding.cause).failure.code, "host.trap");
  assert.equal(sagaState(of("fail-undo", 9)), "armed");
  assert.equal(sagaState(of("fail-undo", 10)), "compensating");
  const parallel = of("parallel-undo").items.filter((found) => found.kind === "undo");
  assert.deepEqual(parallel.map((undo) => undo.after), [[], [], [], []]);
});

test("a failed step that says that it did nothing is not armed any more", () => {
  const model = of("scoped");
  assert.equal(model.undos.all.get("2").state, "dropped");
  assert.equal(model.undos.all.get("1").state, "done");
  assert.equal(item(model, "t3").kind, "compensation");
  assert.deepEqual(item(model, "t4").after, ["t3"]);
  assert.equal(model.scopes[1].parallel, true);
});

test("what the code asked for at once comes after the same", () => {
  const model = of("parallel-undo");
  const steps = model.items.filter((found) => found.kind === "activity");
  assert.deepEqual(steps.map((step) => step.after), [[], [], [], []]);
  const chain = of("retries");
  assert.deepEqual(item(chain, "t1").after, ["t0"]);
  assert.deepEqual(item(chain, "t2").after, ["t1"]);
});

test("what is stuck needs a person until that one mends it", () => {
  const model = of("stuck-fail");
  assert.deepEqual(stuckItems(model).map((found) => [found.key, found.failure.code]), [["u1", "injected"]]);
  const mended = of("mended");
  assert.deepEqual(stuckItems(mended), []);
  const undo = item(mended, "u1");
  assert.deepEqual(undo.repairs.map((repair) => repair.how), ["retryWith", "done"]);
  assert.deepEqual(undo.output, { removed: true });
  assert.equal(undo.failure, undefined);
  assert.equal(undo.stuckFor.length, 2);
  assert.ok(undo.stuckFor.every(({ from, to }) => to > from));
  assert.deepEqual(undo.input, { ...undo.input, undoFault: "fail" });
});

test("an event goes to the wait that was there, and ends it", () => {
  const model = of("approved");
  assert.equal(item(model, "t0").state, "completed");
  assert.deepEqual(item(model, "t0").output, { approved: true, by: "Ada" });
  assert.equal(item(model, "e4").takenBy, "t0");
  assert.equal(item(model, "t1").state, "cancelled");
  assert.equal(model.customStatus, "waiting for approval");
});

test("children have their ids, and hand over what would undo them", () => {
  const retried = of("retry-child");
  assert.deepEqual(item(retried, "t0").attempts.map((attempt) => attempt.child),
    ["failing-1", "failing-1:2", "failing-1:3"]);
  assert.equal(of("retry-child", 3).byKey.get("t0").child, "failing-1:2");
  const family = of("family");
  const undone = family.items.filter((found) => found.kind === "undo").map((undo) => undo.undo);
  assert.ok(undone.includes("1.1") && undone.includes("2.2"), String(undone));
  assert.match(item(family, "u1.1").undone.instance, /:0001$/);
});

test("letters, calls and locks are told of as they were delivered", () => {
  const model = of("detacher");
  assert.equal(item(model, "l1").state, "completed");
  assert.deepEqual([item(model, "l2").state, item(model, "l2").problem],
    ["failed", "there is no instance with id 'nobody'"]);
  const transfer = of("transfer");
  assert.equal(item(transfer, "t0").granted.length, 2);
  assert.equal(item(transfer, "t2").output, -7);
  assert.ok(item(transfer, "t5").deliveredAt > 0);
  assert.equal(item(transfer, "t0").releasedAt, item(transfer, "t5").endedAt);
  assert.equal(of("transfer", 4).byKey.get("t0").state, "waiting");
});

test("one that ended has nothing that goes on", () => {
  const model = of("order-terminated");
  assert.ok(model.items.every((found) => found.endedAt !== null));
  assert.equal(model.end.reason, "enough");
});

test("an event that is not known here is kept and shown", () => {
  const records = [...journal("approved"), { index: 7, time: 1, event: { Levitated: { height: 3 } } },
    { index: 8, time: 2, event: "Landed" }];
  const model = fold(records);
  assert.deepEqual(model.others.map((other) => other.kind), ["Levitated", "Landed"]);
  assert.equal(model.events, 9);
  assert.equal(statusOf(model), "Completed");
  assert.deepEqual(kindOf("Landed"), ["Landed", {}]);
});

test("a rewind begins another run, which is told what was kept", () => {
  const records = journal("fail-undo");
  const [scheduled] = records.filter(({ event }) => event.Scheduled?.task === 0);
  const next = (event) => records.push({ index: records.length, time: 2e12, event });
  next({ Rewound: { reason: "again", digest: "d" } });
  assert.deepEqual([statusOf(fold(records)), sagaState(fold(records))], ["Running", "none"]);
  next(scheduled.event);
  next({ AttemptLost: { task: 0, attempt: 1 } });
  const model = fold(records);
  assert.deepEqual(item(model, "r2-t0").attempts.map((attempt) => attempt.state), ["lost", "running"]);
  assert.equal(item(model, "t0").state, "completed");
  assert.equal(sagaState(model), "armed");
  const kept = journal("fail-undo").slice(0, 3);
  kept.push({ index: 3, time: 2e12, event: { Failed: { failure: { code: "c", message: "m" } } } });
  kept.push({ index: 4, time: 2e12, event: { Rewound: { reason: "", digest: "d" } } });
  kept.push({ index: 5, time: 2e12, event: scheduled.event });
  kept.push({ index: 6, time: 2e12, event: { Recalled: { task: 0, at: kept[2].time } } });
  const recalled = item(fold(kept), "r2-t0");
  assert.deepEqual([recalled.state, recalled.recalled, recalled.output?.id], ["completed", "t0", "s0"]);
});

test("a journal of thousands of events is folded at once", () => {
  const [started, ...rest] = journal("retries").slice(0, 3);
  const records = [started];
  for (let task = 0; task < 20_000; task += 1) {
    for (const { time, event } of rest) {
      const [kind, body] = kindOf(event);
      records.push({ index: records.length, time: time + task, event: { [kind]: { ...body, task } } });
    }
  }
  const model = fold(records);
  assert.equal(model.items.length, 20_000);
  assert.ok(model.items.every((found) => found.state === "completed"));
});
