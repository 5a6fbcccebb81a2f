/** A form for a JSON schema, with the JSON itself beside it. */

import { fill, h, uid } from "../lib/dom.js";
import { jsonFault } from "../lib/dialog.js";
import { parse, stringify } from "../lib/json.js";
import { control } from "./schema-fields.js";
import { same, shapeOf } from "./schema.js";

/**
 * @param {*} schema Without one, any JSON is taken.
 * @param {{label?: string, value?: *}} [options] `value` is what stands in it
 *   at first.
 * @returns {{element: HTMLElement, read: () => {ok: boolean, value: *}, set: (value: *) => void}}
 *   `read` says what is wrong in the form itself, and puts the focus there;
 *   the value is undefined where nothing is given.
 */
export function schemaForm(schema, { label = "Input", value } = {}) {
  const root = schema ?? {};
  const known = shapeOf(root, root).kind !== "json";
  let raw = !known;
  let current = null;
  const place = h("div", { class: "schema-place" });
  const note = h("p", { class: "field-error", role: "status" });
  const jsonId = uid("json");
  const wrongId = uid("wrong");
  const wrong = h("p", { id: wrongId, class: "field-error", "aria-live": "polite" });
  const text = h("textarea", { id: jsonId, class: "mono", rows: 8, spellcheck: "false", "aria-describedby": wrongId });
  const box = h("div", { class: "field" },
    h("label", { for: jsonId }, known ? `${label} as JSON` : `${label}, as JSON; leave it empty for none`), text, wrong);
  const toggle = h("button", { type: "button", class: "button small", on: { click: change } });

  function change() {
    fill(note);
    if (raw) {
      const read = readRaw();
      if (!read.ok) return;
      build(read.value);
      const shown = current.read();
      // A form that would lose something of it must not take it over.
      if (read.value !== undefined && (shown.value === undefined || !same(shown.value, read.value))) {
        fill(note, "The form cannot show all of this; it stays JSON.");
        return;
      }
      raw = false;
    } else {
      const { value: now } = current.read(true);
      text.value = now === undefined ? "" : stringify(now, 2);
      raw = true;
    }
    draw();
  }

  function build(initial) {
    current = control(root, { root, label, required: true, initial, depth: 0 });
  }

  function readRaw() {
    const typed = text.value.trim();
    const fault = typed ? jsonFault(typed) : null;
    fill(wrong, fault);
    text.setAttribute("aria-invalid", String(Boolean(fault)));
    if (fault) {
      text.focus();
      return { ok: false, value: undefined };
    }
    return { ok: true, value: typed ? parse(typed) : undefined };
  }

  function draw() {
    fill(place, raw ? box : current.element);
    fill(toggle, raw ? "Fill in a form" : "Type JSON instead");
    toggle.hidden = !known;
  }

  function set(next) {
    build(next);
    text.value = next === undefined ? "" : stringify(next, 2);
    draw();
  }

  set(value);
  return {
    element: h("div", { class: "schema-form" }, place, note, toggle),
    read: () => (raw ? readRaw() : readForm()),
    set,
  };

  function readForm() {
    const got = current.read();
    if (!got.ok) current.focusFault();
    return got;
  }
}
