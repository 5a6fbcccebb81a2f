// Where the host's clock is not ours, times are told by the host's.

import { openSaga } from "../lib/saga.mjs";
import { assert, open, startHost, test } from "../lib/test.mjs";

const host = await startHost({
  functions: ["guest_activities", "guest_orchestrator"], command: ["dev", "--no-build", "--time-factor", "600"],
});

test("times are told by the clock of a host that runs faster", async () => {
  await host.start("Approval", "asked", { timeoutSeconds: 8_000_000 });
  const saga = await openSaga(host, "asked");
  // Ten minutes are a second here, so this comes long before ten minutes have passed.
  await saga.page.waitForFunction(() => /\((\d\d|[2-9]) min ago\)/.test(document.querySelector(".saga-facts").innerText));
  await saga.page.waitForFunction(() => /For\s+(\d h|[3-9]\d min)/.test(document.querySelector(".saga-facts").innerText));
  const page = await open(host, "/sagas");
  await page.waitForFunction(() => /(min|h) ago/.test(document.querySelector(".grid time[data-ago]")?.innerText));
  assert.match(await page.locator(".grid time[data-ago]").first().innerText(), /^\d+ (min|h|d) ago$/);
});
