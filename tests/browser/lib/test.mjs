// Tests in a browser. `test` is that of node:test, and
//
// - fails of what was wrong on any page that was opened (see lib/browser.mjs);
// - closes the pages when a test is over, and keeps pictures of them in
//   target/browser/failed/ where it failed;
// - closes the browser and stops the hosts after the last one.
//
//   import { test, assert, open, startHost, eventually } from "../lib/test.mjs";

import nodeAssert from "node:assert/strict";
import { after, test as nodeTest } from "node:test";
import { closeBrowser, closePages, keepPictures } from "./browser.mjs";
import { stopAll } from "./host.mjs";

export { BOUND, open } from "./browser.mjs";
export { eventually, sleep, startHost } from "./host.mjs";
export const assert = nodeAssert;

/** How long one test may take. */
const TEST_MS = 240_000;

export function test(name, body) {
  nodeTest(name, { timeout: TEST_MS }, async (t) => {
    try {
      await body(t);
    } catch (error) {
      for (const kept of await keepPictures(name)) t.diagnostic(`picture: ${kept}`);
      for (const fault of await closePages()) t.diagnostic(`fault: ${fault}`);
      throw error;
    }
    const faults = await closePages();
    assert.deepEqual(faults, [], `something was wrong on a page:\n${faults.join("\n")}`);
  });
}

after(async () => {
  await closePages();
  await closeBrowser();
  await stopAll();
});
