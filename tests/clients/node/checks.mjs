// Drives a host through the client of Durable Functions for JavaScript:
//
//     NODE_PATH=… node checks.mjs http://127.0.0.1:7071 [rpc|urls]

import assert from "node:assert/strict";

import { base, check, client, df, ended, until } from "./client.mjs";

const withRpc = process.argv[3] !== "urls";
const durable = client(withRpc);
const waiting = { names: ["Go"] };

await check("start with an id and an input", async () => {
  const id = await durable.startNew("FanOut", { instanceId: "n-start", input: [3, 4] });
  assert.equal(id, "n-start");
  const status = await ended(durable, id);
  assert.equal(status.name, "FanOut");
  assert.equal(status.runtimeStatus, df.OrchestrationRuntimeStatus.Completed);
  assert.deepEqual([status.input, status.output], [[3, 4], 25]);
  assert.ok(status.createdTime <= status.lastUpdatedTime);
});

await check("start without an id gives one of 32 hex digits", async () => {
  const id = await durable.startNew("FanOut", { input: { count: 3 } });
  assert.match(id, /^[0-9a-f]{32}$/);
  assert.equal((await ended(durable, id)).output, 14);
});

await check("start without an input, where \"\" is sent", async () => {
  const nothing = await ended(durable, await durable.startNew("TestOrchNothing"));
  assert.equal(nothing.runtimeStatus, "Completed");
  const optional = await ended(durable, await durable.startNew("TestOrchTrap"));
  assert.equal(optional.input, null);
  const text = await ended(durable, await durable.startNew("TestOrchText"));
  assert.equal(text.output, "");
  await assert.rejects(durable.startNew("FanOut"), /400.*does not fit/);
});

await check("a string stays a string, whatever is in it", async () => {
  for (const input of ["7", '{"a":1}', '"quoted"', "null", "plain", "ä 🦀"]) {
    for (const name of ["TestOrchText", "TestOrchEcho"]) {
      const status = await ended(durable, await durable.startNew(name, { input }));
      assert.deepEqual([status.input, status.output], [input, input]);
    }
  }
  for (const input of [7, null, false, { a: [1, "2"] }]) {
    const status = await ended(durable, await durable.startNew("TestOrchEcho", { input }));
    assert.deepEqual([status.input, status.output], [input, input]);
  }
});

await check("start with a version", async () => {
  const id = await durable.startNew("FanOut", { input: [1], version: "2.0 beta" });
  assert.equal((await ended(durable, id)).output, 1);
});

await check("a start that is refused says why", async () => {
  await assert.rejects(durable.startNew("FanOat", { input: [1] }), /400.*no orchestrator 'FanOat'/);
  await assert.rejects(durable.startNew("FanOut", { input: "x" }), /400.*FanOut/);
  await durable.startNew("TestWaitEvents", { instanceId: "n-taken", input: waiting });
  const again = durable.startNew("TestWaitEvents", { instanceId: "n-taken", input: waiting });
  await assert.rejects(again, /409.*n-taken/);
  await durable.terminate("n-taken", "done");
});

await check("status with history", async () => {
  const id = await durable.startNew("FanOut", { instanceId: "n-history", input: [5] });
  await ended(durable, id);
  const plain = await durable.getStatus(id);
  assert.equal(plain.history, undefined);
  const told = await durable.getStatus(id, { showHistory: true, showHistoryOutput: true, showInput: true });
  const types = told.history.map((event) => event.EventType);
  assert.deepEqual(types, ["ExecutionStarted", "TaskCompleted", "ExecutionCompleted"]);
  assert.equal(told.history[1].FunctionName, "Square");
  assert.deepEqual([told.history[1].Result, told.history[2].Result], [25, 25]);
  assert.ok(new Date(told.history[1].ScheduledTime) <= new Date(told.history[1].Timestamp));
  const silent = await durable.getStatus(id, { showHistory: true });
  assert.equal(silent.history[1].Result, undefined);
});

await check("the keys the client needs are there, also without a value", async () => {
  const id = await durable.startNew("TestWaitEvents", { instanceId: "n-keys", input: waiting });
  const status = await durable.getStatus(id, { showInput: false });
  assert.deepEqual(status.input, withRpc ? waiting : null, "with rpcBaseUrl it does not ask for that");
  assert.deepEqual([status.output, status.customStatus], [null, null]);
  await durable.terminate(id, "done");
});

await check("status of an id that there is not", async () => {
  await assert.rejects(durable.getStatus("n-none"), /404.*n-none/);
});

await check("status of one that failed", async () => {
  const id = await durable.startNew("TestOrchTrap");
  const status = await ended(durable, id);
  assert.equal(status.runtimeStatus, "Failed");
  assert.notEqual(status.output, null);
});

await check("list by filter, over more than one page", async () => {
  const from = new Date(Math.floor(Date.now() / 1000) * 1000 - 1000);
  const large = { names: ["Go"], padding: "x".repeat(900_000) };
  const ids = [];
  for (let n = 0; n < 20; n += 1) {
    ids.push(await durable.startNew("TestWaitEvents", { instanceId: `n-page-${n}`, input: large }));
  }
  let pages = 0;
  const counted = client(withRpc);
  counted.axiosInstance.interceptors.response.use((response) => {
    pages += 1;
    return response;
  });
  const filter = { createdTimeFrom: from, runtimeStatus: [df.OrchestrationRuntimeStatus.Running] };
  const found = (await counted.getStatusBy(filter)).map((status) => status.instanceId);
  assert.ok(pages > 1, `${pages} page`);
  assert.deepEqual(found.filter((id) => ids.includes(id)).sort(), ids.sort());
  assert.equal(new Set(found).size, found.length);
  const all = (await counted.getStatusAll()).map((status) => status.instanceId);
  assert.ok(ids.every((id) => all.includes(id)) && all.includes("n-start"));
  const early = await counted.getStatusBy({ createdTimeFrom: new Date(0), createdTimeTo: new Date(1000) });
  assert.deepEqual(early, []);
  for (const id of ids) await durable.terminate(id, "seen");
});

await check("raise events, with and without a value", async () => {
  const names = ["Go", "Zwäi te", "Go", "Nothing"];
  const id = await durable.startNew("TestWaitEvents", { instanceId: "n-event", input: { names } });
  await durable.raiseEvent(id, "Zwäi te", "two");
  await durable.raiseEvent(id, "Go", { n: 1 });
  await durable.raiseEvent(id, "Go", "[3]", { taskHubName: "Other", connectionName: "Other" });
  await durable.raiseEvent(id, "Nothing");
  assert.deepEqual((await ended(durable, id)).output, [{ n: 1 }, "two", "[3]", null]);
  await durable.raiseEvent(id, "Go", "late: 410 is success");
  await assert.rejects(durable.raiseEvent("n-none", "Go", 1), /No instance with ID 'n-none' found/);
});

await check("suspend and resume", async () => {
  const id = await durable.startNew("TestWaitEvents", { instanceId: "n-pause", input: waiting });
  await durable.suspend(id, "for lunch");
  await until(durable, id, (status) => status === "Suspended");
  await durable.raiseEvent(id, "Go", 1);
  assert.equal((await durable.getStatus(id)).runtimeStatus, "Suspended");
  await durable.resume(id, "back");
  assert.deepEqual((await ended(durable, id)).output, [1]);
  await durable.suspend(id, "late: 410 is success");
  await durable.resume(id, "late: 410 is success");
  await assert.rejects(durable.suspend("n-none", "x"), /No instance/);
  await assert.rejects(durable.resume("n-none", "x"), /No instance/);
});

await check("rewind", async () => {
  const input = { dir: "/files" };
  const id = await durable.startNew("Rewindable", { instanceId: "n-rewind", input });
  assert.equal((await ended(durable, id)).runtimeStatus, "Failed");
  // What was missing: this makes the file.
  const made = { file: "/files/b", failures: 0 };
  await ended(durable, await durable.startNew("FailingChild", { input: made }));
  await durable.rewind(id, "the file is there");
  const status = await ended(durable, id);
  assert.deepEqual([status.runtimeStatus, status.output], ["Completed", { a: 1, c: 1 }]);
  // What it says is a body that the client cannot put into words.
  await assert.rejects(durable.rewind(id, "it has not failed: 412"));
  await assert.rejects(durable.rewind("n-none", "x"));
});

await check("terminate", async () => {
  const id = await durable.startNew("TestWaitEvents", { instanceId: "n-end", input: waiting });
  await durable.terminate(id, "no longer needed");
  const status = await ended(durable, id);
  assert.deepEqual([status.runtimeStatus, status.output], ["Terminated", "no longer needed"]);
  await durable.terminate(id, "late: 410 is success");
  await assert.rejects(durable.terminate("n-none", "x"), /No instance/);
});

await check("purge one", async () => {
  const id = await durable.startNew("FanOut", { instanceId: "n-purge", input: [1] });
  await ended(durable, id);
  assert.equal((await durable.purgeInstanceHistory(id)).instancesDeleted, 1);
  await assert.rejects(durable.getStatus(id), /404/);
  assert.equal((await durable.purgeInstanceHistory(id)).instancesDeleted, 0);
  await durable.startNew("TestWaitEvents", { instanceId: id, input: waiting });
  await assert.rejects(durable.purgeInstanceHistory(id), /412/);
  await durable.terminate(id, "done");
});

await check("purge by filter", async () => {
  const id = await durable.startNew("TestOrchTrap", { instanceId: "n-purge-by" });
  await ended(durable, id);
  const failed = {
    createdTimeFrom: new Date(0),
    createdTimeTo: new Date(Date.now() + 60_000),
    runtimeStatus: [df.OrchestrationRuntimeStatus.Failed],
  };
  const before = (await durable.getStatusBy(failed)).length;
  assert.ok(before > 0);
  assert.equal((await durable.purgeInstanceHistoryBy(failed)).instancesDeleted, before);
  assert.equal((await durable.purgeInstanceHistoryBy(failed)).instancesDeleted, 0);
  assert.equal((await durable.getStatus("n-start")).runtimeStatus, "Completed");
});

const request = { url: `${new URL(base).origin}/api/orders` };
const soon = { timeoutInMilliseconds: 30_000, retryIntervalInMilliseconds: 20 };
const atOnce = { timeoutInMilliseconds: 40, retryIntervalInMilliseconds: 20 };

await check("wait for completion", async () => {
  const id = await durable.startNew("FanOut", { input: [6] });
  const done = await durable.waitForCompletionOrCreateCheckStatusResponse(request, id, soon);
  assert.deepEqual([done.status, await done.json()], [200, 36]);
  const trap = await durable.startNew("TestOrchTrap");
  const failed = await durable.waitForCompletionOrCreateCheckStatusResponse(request, trap, soon);
  assert.deepEqual([failed.status, (await failed.json()).runtimeStatus], [500, "Failed"]);
  const slow = await durable.startNew("TestWaitEvents", { input: waiting });
  const pending = await durable.waitForCompletionOrCreateCheckStatusResponse(request, slow, atOnce);
  assert.deepEqual([pending.status, (await pending.json()).id], [202, slow]);
  await durable.terminate(slow, "done");
});

await check("the links of a check-status response lead there", async () => {
  const id = await durable.startNew("TestWaitEvents", { instanceId: "n-links", input: waiting });
  const response = durable.createCheckStatusResponse(request, id);
  assert.equal(response.status, 202);
  assert.equal(response.headers.get("retry-after"), "10");
  const links = await response.json();
  assert.equal(response.headers.get("location"), links.statusQueryGetUri);
  assert.deepEqual(durable.createHttpManagementPayload(id), links);
  const post = (url, body) =>
    fetch(url, { method: "POST", body, headers: { "content-type": "application/json" } });
  assert.equal((await fetch(links.statusQueryGetUri)).status, 202);
  assert.equal((await post(links.suspendPostUri.replace("{text}", "a%20while"))).status, 202);
  assert.equal((await post(links.resumePostUri.replace("{text}", "on"))).status, 202);
  assert.equal((await post(links.sendEventPostUri.replace("{eventName}", "Go"), "1")).status, 202);
  await ended(durable, id);
  assert.equal((await fetch(links.statusQueryGetUri)).status, 200);
  assert.equal((await post(links.terminatePostUri.replace("{text}", "x"))).status, 410);
  const restarted = await post(links.restartPostUri);
  assert.equal(restarted.status, 202);
  const ours = await restarted.json();
  assert.deepEqual(Object.keys(ours).sort(), Object.keys(links).sort());
  assert.equal((await post(ours.terminatePostUri.replace("{text}", "x"))).status, 202);
  assert.equal((await fetch(links.purgeHistoryDeleteUri, { method: "DELETE" })).status, 200);
});
