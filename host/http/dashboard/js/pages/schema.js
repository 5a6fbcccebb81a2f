/**
 * What a JSON schema asks for, as far as a form can show it. What is not known
 * here is typed as JSON; the host checks all of it in any case.
 */

import { isExact, stringify } from "../lib/json.js";

/** How many references are followed one after another. */
const DEEP = 32;

/** The schema without its reference; what stands beside the reference counts. */
export function resolve(schema, root) {
  let now = schema;
  for (let n = 0; n < DEEP; n += 1) {
    if (typeof now !== "object" || now === null || typeof now.$ref !== "string") return now;
    const { $ref, ...beside } = now;
    const target = pointed(root, $ref);
    if (target === undefined) return true;
    now = typeof target === "object" && target !== null ? { ...target, ...beside } : target;
  }
  return true;
}

function pointed(root, reference) {
  if (reference === "#") return root;
  if (!reference.startsWith("#/")) return undefined;
  let now = root;
  for (const part of reference.slice(2).split("/")) {
    let name;
    try {
      name = decodeURIComponent(part).replace(/~1/g, "/").replace(/~0/g, "~");
    } catch {
      return undefined;
    }
    if (typeof now !== "object" || now === null || !Object.hasOwn(now, name)) return undefined;
    now = now[name];
  }
  return now;
}

/**
 * How a schema is shown.
 *
 * @returns {{kind: string, schema: Object, [more: string]: *}} The kind is
 *   `const`, `choice` (with `options`), `nullable` (with `inner`), `variants`
 *   (with `options`), `object`, `array`, `integer`, `number`, `string`,
 *   `boolean`, `null` or `json`.
 */
export function shapeOf(given, root) {
  let schema = resolve(given, root);
  if (typeof schema !== "object" || schema === null) return { kind: "json", schema: {} };
  if (Array.isArray(schema.allOf)) schema = merged(schema, root);
  if (!schema) return { kind: "json", schema: given };
  if ("const" in schema) return { kind: "const", schema, value: schema.const };
  if (Array.isArray(schema.enum)) {
    return { kind: "choice", schema, options: schema.enum.map((value) => ({ value, text: "" })) };
  }
  const several = schema.oneOf ?? schema.anyOf;
  if (Array.isArray(several)) return severalOf(schema, several, root);
  if (Array.isArray(schema.type)) {
    const types = schema.type.filter((type) => type !== "null");
    const nullable = types.length < schema.type.length;
    if (types.length === 1) {
      const inner = { ...schema, type: types[0] };
      return nullable ? { kind: "nullable", schema, inner: withoutDefault(inner) } : shapeOf(inner, root);
    }
    const options = types.map((type) => ({ schema: { ...schema, type }, label: type }));
    return { kind: "variants", schema, options: nullable ? [...options, { schema: { type: "null" }, label: "null" }] : options };
  }
  const kind = schema.type ?? guessed(schema);
  if (kind === "object") {
    const free = !schema.properties || Object.keys(schema.properties).length === 0;
    // An object of which no key is known is typed.
    if (free && (typeof schema.additionalProperties !== "object") && schema.additionalProperties !== false) {
      return { kind: "json", schema };
    }
    if (schema.patternProperties) return { kind: "json", schema };
    return { kind, schema };
  }
  if (kind === "array") {
    const items = schema.items;
    if (!Array.isArray(schema.prefixItems) && (items === undefined || typeof items === "boolean")) return { kind: "json", schema };
    return { kind, schema };
  }
  if (["integer", "number", "string", "boolean", "null"].includes(kind)) return { kind, schema };
  return { kind: "json", schema };
}

function severalOf(schema, several, root) {
  const options = several.map((one) => resolve(one, root));
  const rest = { ...schema };
  delete rest.oneOf;
  delete rest.anyOf;
  const isNull = (one) => typeof one === "object" && one !== null && (one.type === "null" || one.const === null);
  const real = options.filter((one) => !isNull(one));
  if (real.length < options.length && real.length === 1) {
    const inner = withoutDefault({ ...rest, ...(typeof real[0] === "object" ? real[0] : {}) });
    return { kind: "nullable", schema, inner: { ...inner, description: rest.description ?? inner.description } };
  }
  const constants = real.length && real.every((one) => typeof one === "object" && one !== null && ("const" in one || Array.isArray(one.enum)));
  if (constants) {
    const choices = real.flatMap((one) => ("const" in one
      ? [{ value: one.const, text: one.description ?? one.title ?? "" }]
      : one.enum.map((value) => ({ value, text: one.description ?? "" }))));
    const all = { kind: "choice", schema, options: choices };
    return real.length < options.length ? { kind: "nullable", schema, inner: { oneOf: real } } : all;
  }
  // Keys that stand beside the variants belong to each of them.
  const shared = rest.properties ? rest : null;
  return {
    kind: "variants", schema,
    options: options.map((one) => ({ schema: shared ? joined(shared, one) : one, label: labelOf(one, root) })),
  };
}

function withoutDefault(schema) {
  const { default: _default, ...rest } = schema;
  return rest;
}

function guessed(schema) {
  if (schema.properties || schema.required || schema.additionalProperties) return "object";
  if (schema.items || schema.prefixItems) return "array";
  if ("minimum" in schema || "maximum" in schema || "multipleOf" in schema) return "number";
  if ("minLength" in schema || "maxLength" in schema || "pattern" in schema) return "string";
  return null;
}

/** All of `allOf` in one, if they are objects. */
function merged(schema, root) {
  const { allOf, ...rest } = schema;
  let now = rest;
  for (const one of allOf) {
    const part = resolve(one, root);
    if (typeof part !== "object" || part === null) continue;
    now = joined(now, part);
  }
  return now;
}

function joined(a, b) {
  if (typeof b !== "object" || b === null) return a;
  return {
    ...a, ...b,
    ...(a.properties || b.properties ? { properties: { ...a.properties, ...b.properties } } : {}),
    ...(a.required || b.required ? { required: [...new Set([...(a.required ?? []), ...(b.required ?? [])])] } : {}),
    ...(a.description ? { description: a.description } : {}),
  };
}

/** What one of several is called. */
export function labelOf(given, root) {
  const schema = resolve(given, root);
  if (typeof schema !== "object" || schema === null) return "anything";
  if (schema.title) return schema.title;
  if ("const" in schema) return stringify(schema.const);
  const properties = schema.properties ?? {};
  for (const [name, part] of Object.entries(properties)) {
    const resolved = resolve(part, root);
    if (resolved && typeof resolved === "object" && "const" in resolved) return `${name}: ${stringify(resolved.const)}`;
  }
  if (schema.description) {
    const sentence = schema.description.split(/[.\n]/)[0];
    if (sentence.length <= 60) return sentence;
  }
  const keys = schema.required?.length ? schema.required : Object.keys(properties);
  if (keys.length) return `object with ${keys.slice(0, 3).join(", ")}`;
  return [schema.type ?? guessed(schema) ?? "anything"].flat().join(" or ");
}

/** Whether a value may be meant by a schema: enough to pick one of several. */
export function mayBe(value, given, root) {
  const schema = resolve(given, root);
  if (typeof schema !== "object" || schema === null) return schema !== false;
  if ("const" in schema) return same(value, schema.const);
  if (Array.isArray(schema.enum)) return schema.enum.some((one) => same(value, one));
  const several = schema.oneOf ?? schema.anyOf;
  if (Array.isArray(several)) return several.some((one) => mayBe(value, one, root));
  const types = [schema.type ?? guessed(schema) ?? []].flat();
  if (types.length && !types.some((type) => isA(value, type))) return false;
  if (!isA(value, "object")) return true;
  const properties = schema.properties ?? {};
  return (schema.required ?? []).every((name) => Object.hasOwn(value, name))
    && Object.entries(value).every(([name, part]) => (Object.hasOwn(properties, name)
      ? mayBe(part, properties[name], root) : schema.additionalProperties !== false));
}

/** Whether a value is of a type of JSON schema. */
export function isA(value, type) {
  if (isExact(value)) return type === "integer" || type === "number";
  switch (type) {
    case "null": return value === null;
    case "integer": return Number.isInteger(value);
    case "array": return Array.isArray(value);
    case "object": return typeof value === "object" && value !== null && !Array.isArray(value);
    default: return typeof value === type;
  }
}

/** Whether two values are the same JSON, in whatever order their keys stand. */
export function same(a, b) {
  return sorted(a) === sorted(b);
}

function sorted(value) {
  if (typeof value !== "object" || value === null || isExact(value)) return stringify(value);
  if (Array.isArray(value)) return `[${value.map(sorted).join(",")}]`;
  return `{${Object.keys(value).sort().map((name) => `${stringify(name)}:${sorted(value[name])}`).join(",")}}`;
}
