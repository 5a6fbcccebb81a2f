// The clock of the host, as the pages tell it from what the host says now and then.

import assert from "node:assert/strict";
import { test } from "node:test";

/** A module of its own for each test: what it was told stays in it. */
let serial = 0;
const clock = () => import(`../../host/http/dashboard/js/lib/clock.js?${serial += 1}`);

test("until the host has told its time, it is ours", async () => {
  const { hostNow } = await clock();
  assert.equal(hostNow(1000), 1000);
});

test("a host whose clock stands elsewhere is followed at our pace", async () => {
  const { hostNow, tellTime } = await clock();
  tellTime(500_000, 1000);
  tellTime(501_510, 2500);
  assert.equal(hostNow(2500), 501_510);
  assert.equal(hostNow(3500), 502_510);
});

test("a clock that runs faster is followed at its pace", async () => {
  const { hostNow, tellTime } = await clock();
  for (let n = 0; n < 3; n += 1) tellTime(1_000_000 + n * 90_000, 1000 + n * 1500);
  assert.equal(hostNow(5000), 1_240_000);
  assert.equal(hostNow(4000), 1_180_000);
});

test("a clock that was skipped once goes on at our pace", async () => {
  const { hostNow, tellTime } = await clock();
  tellTime(0, 0);
  tellTime(2000, 2000);
  tellTime(3_600_000, 4000);
  assert.equal(hostNow(5000), 3_601_000);
  tellTime(3_602_000, 6000);
  assert.equal(hostNow(7000), 3_603_000);
});

test("what is no time changes nothing", async () => {
  const { hostNow, tellTime } = await clock();
  tellTime(undefined, 1000);
  tellTime(Number.NaN, 1000);
  assert.equal(hostNow(2000), 2000);
});
