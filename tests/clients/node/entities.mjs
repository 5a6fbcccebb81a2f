// Drives a host's entities through the client of Durable Functions for
// JavaScript:
//
//     NODE_PATH=… node entities.mjs http://127.0.0.1:7071 [rpc|urls]

import assert from "node:assert/strict";

import { base, check, client, df, stateOf } from "./client.mjs";

const durable = client(process.argv[3] !== "urls");
const account = (key) => new df.EntityId("Account", key);
const logged = (entity, count) => stateOf(durable, entity, (state) => state.log.length === count);

await check("an entity that there is not", async () => {
  const read = await durable.readEntityState(account("n-none"));
  assert.deepEqual([read.entityExists, read.entityState], [false, undefined]);
});

await check("signals are done in order", async () => {
  const entity = account("n-order");
  for (const amount of [5, 0, -2]) await durable.signalEntity(entity, "add", amount);
  await durable.signalEntity(entity, "set", 7, { taskHubName: "Other", connectionName: "Other" });
  const state = await logged(entity, 4);
  assert.deepEqual(state, { balance: 7, log: ["add 5", "add 0", "add -2", "set 7"] });
});

await check("an operation without an input", async () => {
  const entity = account("n-nothing");
  await durable.signalEntity(entity, "fail");
  await durable.signalEntity(entity, "get");
  await durable.signalEntity(entity, "add", 1);
  assert.deepEqual(await logged(entity, 1), { balance: 1, log: ["add 1"] });
});

await check("an input that is an object", async () => {
  const entity = new df.EntityId("Ratings", "n-lamp");
  await durable.signalEntity(entity, "add", { stars: 5, text: '"brïght" & 🦀' });
  const state = await stateOf(durable, entity, (state) => state.count === 1);
  assert.deepEqual(state, { count: 1, stars: 5, last: '"brïght" & 🦀' });
  await durable.signalEntity(entity, "reset");
  const end = Date.now() + 60_000;
  while ((await durable.readEntityState(entity)).entityExists) assert.ok(Date.now() < end);
});

await check("a key with other characters, which the client does not encode", async () => {
  // What ends a path or is half an encoding it would send as it is.
  const entity = account("n my@own ä🦀 +&=");
  await durable.signalEntity(entity, "add", 3);
  assert.equal((await logged(entity, 1)).balance, 3);
});

await check("a name in lower case, as the client spells it in ids", async () => {
  const entity = account("n-case");
  assert.equal(String(entity), "@account@n-case");
  const { name, key } = df.EntityId.getEntityIdFromSchedulerId(String(entity));
  await durable.signalEntity(new df.EntityId(name, key), "add", 3);
  assert.equal((await logged(entity, 1)).balance, 3);
});

await check("without an operation none is sent, which is refused", async () => {
  await assert.rejects(durable.signalEntity(account("n-no-op")), /400.*Say with 'op'/);
});

await check("what is refused says why", async () => {
  const refused = (entity, ...rest) => durable.signalEntity(entity, ...rest);
  await assert.rejects(refused(account("n-bad"), "ad", 1), /400.*it has: add/);
  await assert.rejects(refused(account("n-bad"), "add", "x"), /400.*is not of type/);
  await assert.rejects(refused(account("n-bad"), "add"), /400.*null is not of type/);
  await assert.rejects(refused(new df.EntityId("Nobody", "n-bad"), "add", 1), /404.*deployed are/);
  await assert.rejects(durable.readEntityState(account("k".repeat(300))), /400/);
  assert.equal((await durable.readEntityState(account("n-bad"))).entityExists, false);
});

await check("an orchestration finds what the client did", async () => {
  await durable.signalEntity(new df.EntityId("Ratings", "n-bulb"), "add", { stars: 2 });
  const input = { sku: "n-bulb", ratings: [{ stars: 4 }] };
  const url = `${base}orchestrators/RateArticle?timeout=60&pollingInterval=1`;
  const answer = await fetch(url, { method: "POST", body: JSON.stringify(input) });
  assert.deepEqual(await answer.json(), { count: 2, average: 3, last: null });
});
