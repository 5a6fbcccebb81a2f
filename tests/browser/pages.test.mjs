// The parts of the pages that need no browser: schemas, filters, numbers.
//
//   node --test tests/browser/

import assert from "node:assert/strict";
import { test } from "node:test";

import { bytes, duration, percent, relativeText } from "../../host/http/dashboard/js/lib/format.js";
import { parse, stringify } from "../../host/http/dashboard/js/lib/json.js";
import { fits, isNarrow, read, write } from "../../host/http/dashboard/js/pages/sagas/query.js";
import { labelOf, mayBe, resolve, same, shapeOf } from "../../host/http/dashboard/js/pages/schema.js";
import { withQuery } from "../../host/http/dashboard/js/lib/api.js";

const kind = (schema) => shapeOf(schema, schema).kind;

test("a duration has as many digits as it needs", () => {
  const texts = [[0, "0 ms"], [0.25, "250 µs"], [12, "12 ms"], [999.99, "999 ms"], [1000, "1 s"], [3456, "3.45 s"],
    [59_999, "59.9 s"], [60_000, "1 min"], [125_000, "2 min 5 s"], [3_600_000, "1 h"], [93_600_000, "1 d 2 h"], [-5, "-5 ms"]];
  for (const [ms, text] of texts) assert.equal(duration(ms), text);
  for (const nothing of [null, undefined, NaN, "5"]) assert.equal(duration(nothing), "–");
});

test("sizes, parts and times ago", () => {
  assert.equal(bytes(1024), "1 KiB");
  assert.equal(bytes(64 * 1024 * 1024), "64 MiB");
  assert.equal(percent(0.5), "50 %");
  assert.equal(percent(0.0001), "<0.1 %");
  assert.equal(percent(0), "0 %");
  assert.equal(relativeText(1_000_000, 1_000_500), "just now");
  assert.equal(relativeText(0, 90_000), "1 min ago");
  assert.equal(relativeText(7_200_000, 0), "in 2 h");
});

test("a number that does not fit a double stays what it is, where the machine can do that", () => {
  const text = '{"id":12345678901234567890,"small":1,"part":0.1234567890123456}';
  const again = stringify(parse(text));
  if (typeof JSON.rawJSON === "function") assert.equal(again, text);
  else assert.deepEqual(JSON.parse(again), JSON.parse(text));
});

test("what a schema asks for", () => {
  assert.equal(kind({ type: "integer", minimum: 0 }), "integer");
  assert.equal(kind({ type: ["string", "null"] }), "nullable");
  assert.equal(kind({ enum: ["a", "b"] }), "choice");
  assert.equal(kind({ oneOf: [{ const: "a" }, { const: "b" }] }), "choice");
  assert.equal(kind({ anyOf: [{ type: "string" }, { type: "null" }] }), "nullable");
  assert.equal(kind({ anyOf: [{ type: "string" }, { type: "integer" }] }), "variants");
  assert.equal(kind({ properties: { a: {} } }), "object");
  assert.equal(kind({ type: "object", additionalProperties: { type: "string" } }), "object");
  assert.equal(kind({ type: "array", items: { type: "string" } }), "array");
  // What a form cannot show is typed as JSON.
  for (const schema of [{}, true, { type: "object" }, { type: "array" }, { type: "object", patternProperties: { x: {} } }]) {
    assert.equal(kind(schema), "json");
  }
});

test("allOf of objects is one object that needs what each of them needs", () => {
  const schema = {
    allOf: [{ $ref: "#/$defs/a" }, { properties: { b: { type: "integer" } }, required: ["b"] }],
    $defs: { a: { type: "object", properties: { a: { type: "string" } }, required: ["a"] } },
  };
  const shape = shapeOf(schema, schema);
  assert.equal(shape.kind, "object");
  assert.deepEqual(Object.keys(shape.schema.properties), ["a", "b"]);
  assert.deepEqual(shape.schema.required, ["a", "b"]);
});

test("references are followed, also when they go in circles or nowhere", () => {
  const root = { $defs: { "a/b": { type: "string" }, self: { $ref: "#/$defs/self" }, proto: { $ref: "#/__proto__/x" } } };
  assert.deepEqual(resolve({ $ref: "#/$defs/a~1b", description: "mine" }, root), { type: "string", description: "mine" });
  assert.equal(resolve({ $ref: "#/$defs/self" }, root), true);
  assert.equal(resolve({ $ref: "#/$defs/proto" }, root), true);
  assert.equal(resolve({ $ref: "#/$defs/%E0" }, root), true);
  assert.equal(resolve({ $ref: "https://example.com/x" }, root), true);
});

test("one of several is told apart by its value, and has a name", () => {
  const root = {};
  const many = { type: "object", properties: { items: { type: "array" } }, required: ["items"] };
  const one = { type: "object", properties: { kind: { const: "one" }, n: { type: "integer" } }, required: ["kind"], additionalProperties: false };
  assert.equal(mayBe({ items: [] }, many, root), true);
  assert.equal(mayBe({ kind: "one" }, many, root), false);
  assert.equal(mayBe({ kind: "one", n: 3 }, one, root), true);
  assert.equal(mayBe({ kind: "two" }, one, root), false);
  assert.equal(mayBe({ kind: "one", more: 1 }, one, root), false);
  assert.equal(labelOf(one, root), 'kind: "one"');
  assert.equal(labelOf(many, root), "object with items");
});

test("values are the same in whatever order their keys stand", () => {
  assert.equal(same({ a: 1, b: [2, { c: null }] }, { b: [2, { c: null }], a: 1 }), true);
  assert.equal(same([1, 2], [2, 1]), false);
});

test("a filter is its address, and the address is the filter", () => {
  const filter = {
    search: "a b", status: ["Failed", "Running"], saga: ["stuck"], name: "OrderSaga", idPrefix: "o-",
    tags: ["shop:berlin", "note:a:b"], from: 5, to: 9, sort: "updated", order: "asc",
  };
  const url = new URL(withQuery("/sagas", write(filter)), "http://localhost");
  assert.deepEqual({ ...read(url.searchParams), status: filter.status }, filter);
  assert.equal(withQuery("/sagas", write(read(new URLSearchParams()))), "/sagas");
  assert.equal(isNarrow(read(new URLSearchParams("sort=updated"))), false);
  assert.equal(isNarrow(read(new URLSearchParams("tag=a:b"))), true);
});

test("what an address cannot ask is left out", () => {
  const filter = read(new URLSearchParams("status=Failed,Exploded&saga=none,what&from=soon&to=&tag=bare&sort=name&order=up"));
  assert.deepEqual(filter, {
    search: "", status: ["Failed"], saga: ["none"], name: "", idPrefix: "", tags: [], from: null, to: null,
    sort: "created", order: "desc",
  });
});

test("a change fits a filter as the host would say", () => {
  const change = { id: "order-7", name: "OrderSaga", runtimeStatus: "Running", sagaState: "armed", created: 10 };
  const fit = (query) => fits(read(new URLSearchParams(query)), change);
  for (const query of ["", "search=ORDER", "search=saga", "status=Running,Failed", "saga=armed", "idPrefix=order-", "from=10&to=10"]) {
    assert.equal(fit(query), true, query);
  }
  for (const query of ["search=x", "status=Failed", "saga=stuck", "name=Order", "idPrefix=rder", "to=9", "from=11", "tag=a:b"]) {
    assert.equal(fit(query), false, query);
  }
});
