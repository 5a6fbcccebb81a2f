/**
 * The parts of a form for a JSON schema. A part is made when it is needed: a
 * schema may refer to itself.
 *
 * Each part has `element`, `read()`, which answers `{ ok, value }` and shows
 * what is wrong, and `focusFault()`, which answers whether it had one.
 */

import { fill, h, uid } from "../lib/dom.js";
import { jsonFault } from "../lib/dialog.js";
import { icon } from "../lib/icons.js";
import { parse, stringify } from "../lib/json.js";
import { prose } from "./prose.js";
import { isA, mayBe, same, shapeOf } from "./schema.js";

/** How deep parts stand in one another before they are typed as JSON. */
const DEEP = 8;

/**
 * @param {*} schema
 * @param {{root: *, label: string, required?: boolean, initial?: *, depth: number}} options
 */
export function control(schema, options) {
  const shape = options.depth > DEEP ? { kind: "json", schema: {} } : shapeOf(schema, options.root);
  const initial = options.initial !== undefined ? options.initial : shape.schema.default;
  return MAKERS[shape.kind]({ ...options, initial, shape, schema: shape.schema });
}

const MAKERS = {
  const: constant, choice, nullable, variants, object, array, json,
  integer: numeric, number: numeric, string: textual, boolean, null: nothing,
};

/** A label, what is entered, what it is for, and what is wrong with it. */
function field({ label, schema, required }, input, read) {
  const helpId = uid("help");
  const wrongId = uid("wrong");
  const help = [schema.description, boundsOf(schema)].filter(Boolean).join(" ");
  const wrong = h("p", { id: wrongId, class: "field-error", "aria-live": "polite" });
  input.id = uid("in");
  input.setAttribute("aria-describedby", help ? `${helpId} ${wrongId}` : wrongId);
  if (required && input.type !== "checkbox") input.setAttribute("aria-required", "true");
  const caption = h("label", { for: input.id }, input.type === "checkbox" ? [input, label] : label);
  let fault = null;
  // What was found wrong is looked at again while it is mended.
  input.addEventListener("input", () => { if (fault) part.read(); });
  const part = {
    element: h("div", { class: input.type === "checkbox" ? "field check" : "field" }, caption,
      help && h("div", { id: helpId, class: "field-help" }, prose(help)),
      input.type !== "checkbox" && input, wrong),
    read(quiet = false) {
      const got = read();
      fault = got.fault ?? null;
      if (!quiet) {
        fill(wrong, fault);
        input.setAttribute("aria-invalid", String(Boolean(fault)));
      }
      return { ok: !fault, value: got.value };
    },
    focusFault() {
      if (fault) input.focus();
      return Boolean(fault);
    },
  };
  return part;
}

function boundsOf(schema) {
  const said = [];
  const low = schema.minimum ?? schema.exclusiveMinimum;
  const high = schema.maximum ?? schema.exclusiveMaximum;
  if (low !== undefined && high !== undefined) said.push(`From ${low} to ${high}.`);
  else if (low !== undefined) said.push(`${schema.minimum === undefined ? "More than" : "At least"} ${low}.`);
  else if (high !== undefined) said.push(`${schema.maximum === undefined ? "Less than" : "At most"} ${high}.`);
  if (schema.multipleOf !== undefined) said.push(`A multiple of ${schema.multipleOf}.`);
  if (schema.minLength) said.push(`At least ${schema.minLength} characters.`);
  if (schema.maxLength !== undefined) said.push(`At most ${schema.maxLength} characters.`);
  if (schema.pattern) said.push(`It fits ${schema.pattern}.`);
  if (["date-time", "date", "time", "email", "uri", "uuid", "duration"].includes(schema.format)) said.push(`Format: ${schema.format}.`);
  return said.join(" ");
}

function textual(options) {
  const { schema, initial } = options;
  const long = (schema.maxLength ?? 0) > 200 || (typeof initial === "string" && /\n|.{80}/.test(initial));
  const value = typeof initial === "string" ? initial : "";
  const input = long ? h("textarea", { rows: 3, value })
    : h("input", { type: "text", value, spellcheck: "false", autocomplete: "off", placeholder: exampleOf(schema) });
  return field(options, input, () => {
    const text = input.value;
    const length = [...text].length;
    let fault = null;
    if (length < (schema.minLength ?? 0)) fault = `At least ${schema.minLength} characters are needed.`;
    else if (length > (schema.maxLength ?? Infinity)) fault = `At most ${schema.maxLength} characters are taken.`;
    else if (schema.pattern && !fitsPattern(text, schema.pattern)) fault = `It does not fit ${schema.pattern}.`;
    return { value: text, fault };
  });
}

function fitsPattern(text, pattern) {
  try {
    return new RegExp(pattern, "u").test(text);
  } catch {
    return true;
  }
}

function exampleOf(schema) {
  const example = schema.examples?.[0];
  return typeof example === "string" || typeof example === "number" ? String(example) : null;
}

function numeric(options) {
  const { schema, initial, shape } = options;
  const whole = shape.kind === "integer";
  // Not an input for numbers: that one loses what does not fit a double, and
  // changes with the wheel.
  const input = h("input", {
    type: "text", inputmode: whole && (schema.minimum ?? -1) >= 0 ? "numeric" : "text", class: "number",
    value: isA(initial, "number") ? stringify(initial) : "", autocomplete: "off", placeholder: exampleOf(schema),
  });
  return field(options, input, () => {
    const text = input.value.trim();
    if (!/^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/.test(text)) {
      return { value: undefined, fault: text ? "This is not a number." : "A number is needed." };
    }
    const value = Number(text);
    let fault = null;
    if (whole && !Number.isInteger(value)) fault = "A whole number is needed.";
    else if (value < schema.minimum) fault = `At least ${schema.minimum} is needed.`;
    else if (value > schema.maximum) fault = `At most ${schema.maximum} is taken.`;
    else if (value <= schema.exclusiveMinimum) fault = `More than ${schema.exclusiveMinimum} is needed.`;
    else if (value >= schema.exclusiveMaximum) fault = `Less than ${schema.exclusiveMaximum} is needed.`;
    return { value: parse(text), fault };
  });
}

function boolean(options) {
  const input = h("input", { type: "checkbox", checked: options.initial === true });
  return field(options, input, () => ({ value: input.checked }));
}

function nothing({ label, schema }) {
  return still(label, schema, null);
}

function constant({ label, schema, shape }) {
  return still(label, schema, shape.value);
}

/** What cannot be another. */
function still(label, schema, value) {
  return {
    element: h("div", { class: "field" }, h("span", { class: "label" }, label, ": ", h("code", null, stringify(value))),
      schema.description && h("div", { class: "field-help" }, prose(schema.description))),
    read: () => ({ ok: true, value }),
    focusFault: () => false,
  };
}

function choice(options) {
  const { shape, initial, required } = options;
  const at = shape.options.findIndex((one) => same(one.value, initial ?? null));
  const input = h("select", { value: at >= 0 ? String(at) : required ? "0" : "" },
    shape.options.map((one, n) => h("option", { value: n },
      typeof one.value === "string" ? one.value : stringify(one.value), one.text && ` – ${one.text.split("\n")[0]}`)));
  if (input.selectedIndex < 0) input.selectedIndex = 0;
  return field(options, input, () => ({ value: shape.options[Number(input.value)]?.value }));
}

function json(options) {
  const { initial } = options;
  const input = h("textarea", { class: "mono", rows: 3, spellcheck: "false", value: initial === undefined ? "" : stringify(initial, 2) });
  return field({ ...options, label: `${options.label} (JSON)` }, input, () => {
    const text = input.value.trim();
    if (!text) return { value: undefined, fault: options.required && options.depth > 0 ? "JSON is needed, such as null." : null };
    const fault = jsonFault(text);
    return { value: fault ? undefined : parse(text), fault };
  });
}

/** A part that is there only if its box is ticked. */
function optional({ label, schema, on, make, off }) {
  const place = h("div", { class: "schema-inner" });
  let inner = null;
  const box = h("input", { type: "checkbox", checked: on, on: { change: draw } });
  function draw() {
    if (box.checked) inner ??= make();
    fill(place, box.checked && inner.element);
    place.hidden = !box.checked;
    help.hidden = box.checked;
  }
  const help = h("div", { class: "field-help" }, schema.description && prose(schema.description));
  const element = h("div", { class: "schema-optional" },
    h("label", { class: "schema-give" }, box, h("span", null, "Give ", h("b", null, label))), help, place);
  draw();
  return {
    element,
    read: (quiet) => (box.checked ? inner.read(quiet) : { ok: true, value: off }),
    focusFault: () => box.checked && inner.focusFault(),
  };
}

function nullable(options) {
  const { shape, initial, label, depth, root } = options;
  return optional({
    label, schema: shape.schema, off: null, on: initial !== undefined && initial !== null,
    make: () => control(shape.inner, { root, label, required: true, initial: initial ?? undefined, depth: depth + 1 }),
  });
}

function variants(options) {
  const { shape, initial, label, depth, root, schema } = options;
  const found = initial === undefined ? 0 : shape.options.findIndex((one) => mayBe(initial, one.schema, root));
  const made = new Map();
  const place = h("div", { class: "schema-inner" });
  const id = uid("variant");
  const select = h("select", { id, value: String(Math.max(0, found)), on: { change: draw } },
    shape.options.map((one, n) => h("option", { value: n }, one.label)));
  const now = () => made.get(select.value);
  function draw() {
    const n = Number(select.value);
    if (!made.has(select.value)) {
      made.set(select.value, control(shape.options[n].schema, {
        root, label: shape.options[n].label, required: true, initial: n === found ? initial : undefined, depth: depth + 1,
      }));
    }
    fill(place, now().element);
  }
  draw();
  return {
    element: h("div", { class: "field" }, h("label", { for: id }, label),
      schema.description && h("div", { class: "field-help" }, prose(schema.description)), select, place),
    read: (quiet) => now().read(quiet),
    focusFault: () => now().focusFault(),
  };
}

function object(options) {
  const { schema, initial, label, depth, root } = options;
  const given = isA(initial, "object") ? initial : {};
  const needed = new Set(schema.required ?? []);
  // What is needed comes first; generated schemas have keys by the alphabet.
  const properties = Object.entries(schema.properties ?? {});
  properties.sort(([a], [b]) => Number(needed.has(b)) - Number(needed.has(a)));
  const parts = properties.map(([name, property]) => {
    const shape = shapeOf(property, root);
    const make = (required, value) => control(property, { root, label: name, required, initial: value, depth: depth + 1 });
    if (needed.has(name)) return [name, make(true, given[name])];
    // What may be left out and may be null is left out, and needs one box only.
    const inner = shape.kind === "nullable" ? shape.inner : property;
    return [name, optional({
      label: name, schema: shape.schema, off: undefined, on: given[name] !== undefined && given[name] !== null,
      make: () => control(inner, { root, label: name, required: true, initial: given[name] ?? shape.schema.default ?? undefined, depth: depth + 1 }),
    })];
  });
  const free = typeof schema.additionalProperties === "object" ? map(options, given, new Set(parts.map(([name]) => name))) : null;
  const body = [
    depth > 0 && schema.description && h("div", { class: "field-help" }, prose(schema.description)),
    parts.map(([, part]) => part.element), free?.element,
    parts.length === 0 && !free && h("p", { class: "field-help" }, "It has no keys."),
  ];
  return {
    element: depth === 0 ? h("div", null, body) : h("fieldset", { class: "schema-group" }, h("legend", null, label), body),
    read(quiet) {
      const value = {};
      let ok = true;
      for (const [name, part] of parts) {
        const got = part.read(quiet);
        ok &&= got.ok;
        if (got.value !== undefined) value[name] = got.value;
      }
      const more = free?.read(quiet);
      if (more) {
        ok &&= more.ok;
        Object.assign(value, more.value);
      }
      return { ok, value };
    },
    focusFault: () => parts.some(([, part]) => part.focusFault()) || Boolean(free?.focusFault()),
  };
}

/** Keys of one's own, all with values of one kind. */
function map({ schema, root, depth }, given, known) {
  const entries = Object.entries(given).filter(([name]) => !known.has(name));
  return rows({
    schema: {}, what: "key", initial: entries,
    make: (entry) => {
      const name = h("input", { type: "text", "aria-label": "Key", placeholder: "Key", value: entry?.[0] ?? "", spellcheck: "false" });
      const value = control(schema.additionalProperties, { root, label: "Value", required: true, initial: entry?.[1], depth: depth + 1 });
      return {
        element: h("div", { class: "schema-pair" }, name, value.element),
        read: (quiet) => {
          const got = value.read(quiet);
          return { ok: got.ok && name.value !== "", value: [name.value, got.value] };
        },
        focusFault: () => {
          if (name.value === "") name.focus();
          return name.value === "" || value.focusFault();
        },
      };
    },
    join: (pairs) => Object.fromEntries(pairs),
  });
}

function array(options) {
  const { schema, initial, label, depth, root } = options;
  const given = Array.isArray(initial) ? initial : [];
  const prefix = Array.isArray(schema.prefixItems) ? schema.prefixItems : [];
  const fixed = prefix.map((one, n) => control(one, { root, label: `${n + 1}`, required: true, initial: given[n], depth: depth + 1 }));
  const free = prefix.length === 0 || (typeof schema.items === "object" && schema.items !== null);
  const list = free && rows({
    schema, what: "item", initial: given.slice(prefix.length),
    make: (value, n) => control(schema.items, { root, label: `${prefix.length + n + 1}`, required: true, initial: value, depth: depth + 1 }),
    join: (values) => values,
  });
  return {
    element: h("fieldset", { class: "schema-group" }, h("legend", null, label),
      schema.description && h("div", { class: "field-help" }, prose(schema.description)),
      fixed.map((part) => part.element), list && list.element),
    read(quiet) {
      const got = fixed.map((part) => part.read(quiet));
      const more = list ? list.read(quiet) : { ok: true, value: [] };
      return { ok: got.every((one) => one.ok) && more.ok, value: [...got.map((one) => one.value), ...more.value] };
    },
    focusFault: () => fixed.some((part) => part.focusFault()) || Boolean(list && list.focusFault()),
  };
}

/** A list that grows and shrinks. */
function rows({ schema, what, initial, make, join }) {
  const parts = [];
  const list = h("ol", { class: "schema-rows" });
  const wrong = h("p", { class: "field-error", role: "status" });
  const least = schema.minItems ?? 0;
  const most = schema.maxItems ?? Infinity;
  let fault = false;
  const grow = h("button", { type: "button", class: "button small", on: { click: () => add(undefined).querySelector("input, select, textarea")?.focus() } },
    icon("plus"), `Add ${what === "item" ? "an item" : "a key"}`);

  function add(value) {
    const part = make(value, parts.length);
    const row = h("li", null, h("div", { class: "schema-row" }, part.element,
      h("button", {
        type: "button", class: "button quiet small", "aria-label": `Remove this ${what}`,
        on: {
          click: () => {
            parts.splice(parts.indexOf(part), 1);
            row.remove();
            bounds();
            grow.focus();
          },
        },
      }, icon("trash"))));
    parts.push(part);
    list.appendChild(row);
    bounds();
    return row;
  }

  function bounds() {
    grow.disabled = parts.length >= most;
  }

  for (const value of initial) add(value);
  while (parts.length < least) add(undefined);
  return {
    element: h("div", { class: "schema-list" }, list, wrong, grow),
    read(quiet) {
      const got = parts.map((part) => part.read(quiet));
      fault = parts.length < least || parts.length > most;
      if (!quiet) fill(wrong, fault && `It takes ${least} or more${most < Infinity ? `, and at most ${most}` : ""}.`);
      return { ok: !fault && got.every((one) => one.ok), value: join(got.map((one) => one.value)) };
    },
    focusFault() {
      if (parts.some((part) => part.focusFault())) return true;
      if (fault) grow.focus();
      return fault;
    },
  };
}
