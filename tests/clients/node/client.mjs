// The client of Durable Functions for JavaScript, outside of Azure, and what a
// script of checks needs. The package is looked for on NODE_PATH.

import assert from "node:assert/strict";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);

// Without it the client puts the address of Azure's local host into all URLs.
process.env.WEBSITE_HOSTNAME = "127.0.0.1";
export const df = require("durable-functions");

const [host] = process.argv.slice(2);
assert.ok(host, "the address of a host is needed, such as http://127.0.0.1:7071");
export const base = `${host}/runtime/webhooks/durabletask/`;

/// What Azure hands a function that has a durable client among its inputs.
function binding(withRpc) {
  const id = "INSTANCEID";
  const query = "taskHub=Shop&connection=Storage&code=none";
  const instance = `${base}instances/${id}`;
  const create = `${base}orchestrators/{functionName}[/{instanceId}]?${query}`;
  return {
    taskHubName: "Shop",
    creationUrls: {
      createNewInstancePostUri: create,
      createAndWaitOnNewInstancePostUri: `${create}&timeout={timeoutInSeconds}&pollingInterval={intervalInSeconds}`,
    },
    managementUrls: {
      id,
      statusQueryGetUri: `${instance}?${query}`,
      sendEventPostUri: `${instance}/raiseEvent/{eventName}?${query}`,
      terminatePostUri: `${instance}/terminate?reason={text}&${query}`,
      rewindPostUri: `${instance}/rewind?reason={text}&${query}`,
      purgeHistoryDeleteUri: `${instance}?${query}`,
      restartPostUri: `${instance}/restart?${query}`,
      suspendPostUri: `${instance}/suspend?reason={text}&${query}`,
      resumePostUri: `${instance}/resume?reason={text}&${query}`,
    },
    baseUrl: base.replace(/\/$/, ""),
    requiredQueryStringParameters: query,
    ...(withRpc ? { rpcBaseUrl: base } : {}),
  };
}

/// A client; with `rpcBaseUrl` it makes its URLs itself, without it fills in
/// those of the binding.
export function client(withRpc) {
  const input = df.input.durableClient();
  const context = {
    options: { extraInputs: [input] },
    extraInputs: new Map([[input, binding(withRpc)]]),
  };
  return df.getClient(context);
}

/// Runs one check and tells what became of it.
export async function check(name, body) {
  try {
    await body();
    console.log(`ok ${name}`);
  } catch (error) {
    console.log(`FAILED ${name}: ${error.stack ?? error}`);
    process.exitCode = 1;
  }
}

const ENDS = ["Completed", "Failed", "Canceled", "Terminated"];

/// Waits for a status that will do, at most for a minute.
export async function until(client, id, good) {
  const end = Date.now() + 60_000;
  for (;;) {
    const status = await client.getStatus(id);
    if (good(status.runtimeStatus)) return status;
    assert.ok(Date.now() < end, `${id} is still ${status.runtimeStatus}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/// Waits until the state of an entity will do, at most for a minute.
export async function stateOf(client, entity, good) {
  const end = Date.now() + 60_000;
  for (;;) {
    const read = await client.readEntityState(entity);
    if (read.entityExists && good(read.entityState)) return read.entityState;
    assert.ok(Date.now() < end, `${entity} is still ${JSON.stringify(read)}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/// Waits for the end of an instance.
export const ended = (client, id) => until(client, id, (status) => ENDS.includes(status));
