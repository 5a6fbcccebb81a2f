// Where things stand in the pictures of one saga.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";

import { layout } from "../../host/http/dashboard/js/saga/layout.js";
import { fold } from "../../host/http/dashboard/js/saga/model.js";
import { fit, offset, pan, ticks, zoom } from "../../host/http/dashboard/js/saga/scale.js";

const folder = new URL("fixtures/", import.meta.url);
const journals = readdirSync(folder).filter((name) => name.endsWith(".json"))
  .map((name) => [name, JSON.parse(readFileSync(new URL(name, folder), "utf8"))]);

test("nothing in a diagram covers anything else, after any event", () => {
  for (const [name, records] of journals) {
    for (let upTo = 1; upTo <= records.length; upTo += 1) {
      for (const down of [false, true]) {
        const { nodes, width, height } = layout(fold(records, upTo), down);
        for (const node of nodes) {
          assert.ok(node.x >= 0 && node.y >= 0, `${name} ${upTo} ${node.key}: ${node.x} ${node.y}`);
          assert.ok(node.x + node.width <= width && node.y + node.height <= height);
          for (const other of nodes) {
            const apart = node === other || node.x + node.width <= other.x || other.x + other.width <= node.x
              || node.y + node.height <= other.y || other.y + other.height <= node.y;
            assert.ok(apart, `${name} ${upTo} ${down}: ${node.key} covers ${other.key}`);
          }
        }
      }
    }
  }
});

test("each call has a line from what came before it, and stands behind that", () => {
  for (const [name, records] of journals) {
    const model = fold(records);
    const { nodes, edges } = layout(model);
    const byKey = new Map(nodes.map((node) => [node.key, node]));
    for (const node of nodes.filter(({ type }) => type === "item")) {
      assert.ok(edges.some((edge) => edge.to === node.key), `${name} ${node.key}`);
      for (const key of node.item.after) {
        assert.ok(byKey.get(key).x + byKey.get(key).width < node.x, `${name}: ${key} before ${node.key}`);
      }
    }
    for (const node of nodes.filter(({ type }) => type === "undo")) {
      for (const key of node.item.after) {
        assert.ok(edges.some((edge) => edge.kind === "back" && edge.from === key && edge.to === node.key));
      }
    }
  }
});

test("a fan-out of many that is followed by as many has no more lines than it has calls", () => {
  const records = [{ index: 0, time: 0, event: { Started: { name: "Fan", input: null, execution: "e", digest: "d" } } }];
  const next = (event) => records.push({ index: records.length, time: records.length, event });
  const policy = { retry: { maxAttempts: 1 }, timeoutMs: 1 };
  for (let round = 0; round < 3; round += 1) {
    for (let task = 0; task < 500; task += 1) next({ Scheduled: { task: round * 500 + task, function: "F", input: 0, policy } });
    for (let task = 0; task < 500; task += 1) next({ TaskCompleted: { task: round * 500 + task, attempt: 1, startedAt: 0, output: 0 } });
  }
  const { nodes, edges } = layout(fold(records));
  assert.equal(nodes.length, 1501);
  assert.ok(edges.length <= 3000, String(edges.length));
});

test("a zoom keeps what is under the pointer, and something of the whole in sight", () => {
  const whole = fit([1000, 2000]);
  const view = zoom(whole, 0.5, 0.25, whole);
  assert.equal(Math.round(view[1] - view[0]), Math.round((whole[1] - whole[0]) / 2));
  assert.ok(Math.abs((view[0] + (view[1] - view[0]) * 0.25) - (whole[0] + (whole[1] - whole[0]) * 0.25)) < 1e-6);
  let far = whole;
  for (let i = 0; i < 50; i += 1) far = pan(far, 0.5, whole);
  assert.ok(far[0] < whole[1] && far[1] > whole[0]);
  let near = whole;
  for (let i = 0; i < 100; i += 1) near = zoom(near, 0.5, 0.5, whole);
  assert.ok(near[1] - near[0] >= 5);
});

test("an axis has a few ticks, at round times from the beginning", () => {
  for (const span of [5, 80, 900, 20_000, 7_000_000, 90_000_000, 4e10]) {
    const found = ticks([1_000_000, 1_000_000 + span], 600, 1_000_000);
    assert.ok(found.length >= 1 && found.length <= 8, `${span}: ${found.length}`);
    assert.equal(new Set(found.map(({ text }) => text)).size, found.length, `${span}: ${found.map(({ text }) => text)}`);
  }
  assert.deepEqual([offset(0), offset(1500, 500), offset(125_000, 1000), offset(-20), offset(3_600_000 * 27, 3_600_000)],
    ["+0 ms", "+1.5 s", "+2:05 min", "−20 ms", "+1 d 3:00 h"]);
});
