/**
 * Dialogs and short notices. A dialog is the browser's own: it keeps the
 * focus, Escape closes it, and the focus goes back to where it was.
 */

import { fill, h, uid } from "./dom.js";
import { icon } from "./icons.js";

/**
 * @typedef {{name: string, label: string, type?: string, value?: string,
 *   required?: boolean, help?: string, maxLength?: number, rows?: number,
 *   options?: string[], autocomplete?: string,
 *   check?: (text: string) => string|null}} Field
 * `type` is that of an input, or `textarea`, `select`, `checkbox`, or `json`:
 * a text that must be JSON. `check` says what is wrong with a value.
 */

/**
 * Asks before something is done.
 *
 * @param {object} options
 * @param {string} options.title A question, or what is about to be done.
 * @param {*} [options.body] What follows from it: text, nodes, or a list.
 * @param {string} options.confirmLabel What the button does, as a verb.
 * @param {string} [options.cancelLabel]
 * @param {boolean} [options.danger] Whether it cannot be taken back.
 * @param {Field[]} [options.fields] What else is needed.
 * @param {(values: Object<string, *>) => Promise<void>} [options.run] Does it,
 *   while the dialog stays open and shows what went wrong, if it throws.
 * @returns {Promise<Object<string, *>|null>} The values of the fields, by
 *   name; null if it was called off.
 */
export function confirmDialog({
  title, body, confirmLabel, cancelLabel = "Go back", danger = false, fields = [], run,
}) {
  return new Promise((resolve) => {
    const titleId = uid("dialog");
    const bodyId = uid("dialog");
    const wrong = h("p", { class: "dialog-error", role: "alert" });
    const inputs = fields.map(fieldOf);
    const cancel = h("button", { type: "button", class: "button", on: { click: () => dialog.close() } },
      cancelLabel);
    const confirm = h("button", {
      type: "submit", class: danger ? "button danger" : "button primary",
      autofocus: fields.length === 0 && !danger,
    }, confirmLabel);
    if (danger && fields.length === 0) cancel.setAttribute("autofocus", "");
    let result = null;
    const form = h("form", {
      novalidate: true,
      on: {
        submit: async (event) => {
          event.preventDefault();
          const values = {};
          let first = null;
          for (const input of inputs) {
            const said = input.check();
            if (said) first ??= input;
            values[input.name] = input.value();
          }
          if (first) {
            first.focus();
            return;
          }
          if (run) {
            form.classList.add("busy");
            confirm.disabled = true;
            try {
              await run(values);
            } catch (error) {
              wrong.textContent = errorText(error);
              return;
            } finally {
              form.classList.remove("busy");
              confirm.disabled = false;
            }
          }
          result = values;
          dialog.close();
        },
      },
    },
    h("h2", { id: titleId, class: "dialog-title" }, title),
    h("div", { id: bodyId, class: "dialog-body" }, typeof body === "string" ? h("p", null, body) : body),
    inputs.map((input) => input.element),
    wrong,
    h("div", { class: "dialog-buttons" }, cancel, confirm));
    const dialog = h("dialog", {
      class: "dialog", "aria-labelledby": titleId, "aria-describedby": bodyId,
      on: {
        close: () => {
          dialog.remove();
          resolve(result);
        },
      },
    }, form);
    document.body.appendChild(dialog);
    dialog.showModal();
  });
}

/**
 * Shows something in a dialog that is only read.
 *
 * @param {string} title
 * @param {...*} content
 * @returns {Promise<void>} Done when it is closed.
 */
export function showDialog(title, ...content) {
  return new Promise((resolve) => {
    const titleId = uid("dialog");
    const dialog = h("dialog", {
      class: "dialog wide", "aria-labelledby": titleId,
      on: { close: () => { dialog.remove(); resolve(); } },
    },
    h("div", { class: "dialog-head" },
      h("h2", { id: titleId, class: "dialog-title" }, title),
      h("button", { type: "button", class: "button quiet", on: { click: () => dialog.close() } },
        icon("close"), "Close")),
    h("div", { class: "dialog-body" }, content));
    document.body.appendChild(dialog);
    dialog.showModal();
  });
}

/**
 * Asks for an API key.
 *
 * @param {boolean} again Whether one was given that the host did not take.
 * @returns {Promise<string|null>}
 */
export async function askKey(again) {
  const values = await confirmDialog({
    title: "API key",
    body: again
      ? "The host did not take the key that this tab had. Give another one."
      : "This host asks for an API key. It is kept in this tab only, until the tab is closed.",
    confirmLabel: "Use this key",
    cancelLabel: "Not now",
    fields: [{ name: "key", label: "Key", type: "password", required: true, autocomplete: "off",
      check: (text) => (/^[\x21-\x7e]+$/.test(text.trim()) ? null : "A key has letters, digits and signs only.") }],
  });
  return values ? values.key.trim() : null;
}

/** The element in which notices appear; a screen reader reads them out. */
function notices() {
  let region = document.getElementById("notices");
  if (!region) {
    region = h("div", { id: "notices", class: "notices", role: "status", "aria-live": "polite" });
    document.body.appendChild(region);
  }
  return region;
}

/**
 * Tells of something for a while.
 *
 * @param {string} message
 * @param {{kind?: "good"|"bad"|"info", link?: {href: string, text: string}}} [options]
 *   What is bad stays until it is closed.
 */
export function toast(message, { kind = "info", link } = {}) {
  const region = notices();
  const signs = { good: "completed", bad: "stuck", info: "info" };
  const note = h("div", { class: `notice notice-${kind}` },
    icon(signs[kind]),
    h("p", null, message, link && " ", link && h("a", { href: link.href }, link.text)),
    h("button", {
      type: "button", class: "button quiet small", "aria-label": "Close this notice",
      on: { click: () => note.remove() },
    }, icon("close")));
  region.appendChild(note);
  while (region.children.length > 4) region.firstElementChild.remove();
  if (kind === "bad") return;
  let left = setTimeout(() => note.remove(), 8000);
  const stay = () => clearTimeout(left);
  const go = () => { left = setTimeout(() => note.remove(), 4000); };
  for (const event of ["pointerenter", "focusin"]) note.addEventListener(event, stay);
  for (const event of ["pointerleave", "focusout"]) note.addEventListener(event, go);
}

/** What an error says, and what to do about it, in one text. */
export function errorText(error) {
  const message = error?.message || String(error);
  return error?.hint ? `${message} ${error.hint}` : message;
}

/**
 * An error as an element that stands where the content would have been.
 *
 * @param {Error} error
 * @param {() => void} [retry]
 * @returns {HTMLElement}
 */
export function errorBox(error, retry) {
  return h("div", { class: "error-box", role: "alert" },
    icon("stuck"),
    h("div", null,
      h("p", { class: "error-title" }, error?.message || String(error)),
      error?.hint && h("p", null, error.hint),
      retry && h("button", { type: "button", class: "button", on: { click: retry } }, "Try again")));
}

function fieldOf(field) {
  const id = uid("field");
  const helpId = uid("help");
  const wrongId = uid("wrong");
  const wrong = h("p", { id: wrongId, class: "field-error", "aria-live": "polite" });
  const common = {
    id, name: field.name, autocomplete: field.autocomplete ?? "off",
    "aria-describedby": field.help ? `${helpId} ${wrongId}` : wrongId,
    "aria-required": field.required ? "true" : null, maxlength: field.maxLength,
  };
  const type = field.type ?? "text";
  let input;
  if (type === "textarea" || type === "json") {
    input = h("textarea", { ...common, rows: field.rows ?? 4, class: type === "json" ? "mono" : null,
      spellcheck: type === "json" ? "false" : null, value: field.value ?? "" });
  } else if (type === "select") {
    input = h("select", { ...common, value: field.value ?? "" },
      (field.options ?? []).map((option) => h("option", { value: option }, option)));
  } else if (type === "checkbox") {
    input = h("input", { ...common, type, checked: field.value === true });
  } else {
    input = h("input", { ...common, type, value: field.value ?? "" });
  }
  const check = () => {
    let said = null;
    if (type !== "checkbox") {
      const text = input.value;
      if (field.required && !text.trim()) said = `${field.label} is needed.`;
      else if (type === "json" && text.trim()) said = jsonFault(text);
      if (!said && text.trim()) said = field.check?.(text) ?? null;
    }
    fill(wrong, said);
    input.setAttribute("aria-invalid", said ? "true" : "false");
    return said;
  };
  input.addEventListener("input", () => { if (wrong.textContent) check(); });
  const help = field.help && h("p", { id: helpId, class: "field-help" }, field.help);
  const element = type === "checkbox"
    ? h("div", { class: "field check" }, h("label", { for: id }, input, field.label), help, wrong)
    : h("div", { class: "field" }, h("label", { for: id }, field.label), input, help, wrong);
  return {
    name: field.name, element, check,
    focus: () => input.focus(),
    value: () => (type === "checkbox" ? input.checked : input.value),
  };
}

/** What is wrong with a text that is to be JSON; null if nothing. */
export function jsonFault(text) {
  try {
    JSON.parse(text);
    return null;
  } catch (error) {
    return `This is not JSON: ${error.message}.`;
  }
}
