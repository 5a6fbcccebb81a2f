/** The forms that start an orchestrator, try an activity, or tell an entity. */

import { ApiError, BASE, api, instancePath, request } from "../lib/api.js";
import { clear, fill, h, uid } from "../lib/dom.js";
import { errorBox } from "../lib/dialog.js";
import { jsonView } from "../lib/json-view.js";
import { bytes, duration, hasEnded, statusBadge } from "../lib/format.js";
import { icon } from "../lib/icons.js";
import { prose } from "./prose.js";
import { isTag } from "./sagas/query.js";
import { schemaForm } from "./schema-form.js";

/** How often the state of what was started is asked for. */
const POLL_MS = 700;

/**
 * The form to start an orchestrator.
 *
 * @param {Object} one The function.
 * @param {{signal: AbortSignal}} context
 */
export function startSaga(one, { signal }) {
  const form = schemaForm(one.inputSchema);
  const id = entry("Id", { help: "Without one the host makes one.", check: (text) => (/[/\\#?]/.test(text) ? "An id has no /, \\, # or ?." : null) });
  const version = entry("Version", { help: "The orchestrator can ask for it." });
  const tags = entry("Tags", {
    help: "word:value, several with commas between them. The saga can be found by them.",
    check: (text) => (words(text).every(isTag) ? null : "Each is a word, a colon and a value."),
  });
  const startAt = entry("Start at", { type: "datetime-local", help: "Its code begins to run then; without it, at once." });
  const wait = h("input", { type: "checkbox", id: uid("wait"), checked: true });
  const more = h("details", { class: "try-more" }, h("summary", null, "Id, version, tags, time"),
    h("div", { class: "try-options" }, [id, version, tags, startAt].map((part) => part.element)));
  return working({
    label: "Start", sign: "running", form, signal,
    extra: [more, h("div", { class: "field check" }, h("label", { for: wait.id }, wait, "Wait for its result and show it here"))],
    parts: [id, version, tags, startAt],
    async run(value, result, stop) {
      const path = `/api/orchestrators/${encodeURIComponent(one.name)}`;
      const at = startAt.value() ? new Date(startAt.value()).toISOString() : "";
      const started = await api.post(id.value() ? `${path}/${encodeURIComponent(id.value())}` : path, {
        body: value, signal: stop, query: { version: version.value(), tag: words(tags.value()), startAt: at },
      });
      const link = h("p", { class: "row" }, icon("completed"), "Started: ",
        h("a", { class: "break", href: `/sagas/${encodeURIComponent(started.id)}` }, started.id));
      fill(result, link);
      if (wait.checked) await watch(started.id, result, link, stop);
    },
  });
}

/** Shows how a saga goes until it has ended. */
async function watch(id, result, link, signal) {
  const state = h("span", null);
  fill(result, link, h("p", { class: "row" }, state));
  for (;;) {
    const now = await api.get(instancePath(id), { signal });
    fill(state, statusBadge(now.runtimeStatus), " ",
      now.sagaState && now.sagaState !== "none" && statusBadge(now.sagaState));
    if (hasEnded(now.runtimeStatus)) {
      fill(result, link, h("p", { class: "row" }, state),
        h("h3", null, "Result"), jsonView(now.output ?? null, { label: "Result", filename: `${id}-output.json`, depth: 2 }));
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    signal.throwIfAborted();
  }
}

/** The form to run one activity by itself. */
export function tryActivity(one, { signal }) {
  const form = schemaForm(one.inputSchema);
  return working({
    label: "Run it once", sign: "running", form, signal, parts: [],
    lead: "It runs by itself: it belongs to no saga, and what it does is not undone.",
    async run(value, result, stop) {
      let report;
      try {
        report = (await request("POST", `/admin/functions/${encodeURIComponent(one.name)}`, { body: value, signal: stop })).data;
      } catch (error) {
        // A report that says how it failed is a result, too.
        if (!(error instanceof ApiError) || !error.data?.failure) throw error;
        report = error.data;
      }
      showReport(one, report, result);
    },
  });
}

function showReport(one, report, result) {
  const failed = Boolean(report.failure);
  const logs = [["Output stream", report.logs?.stdout], ["Error stream", report.logs?.stderr]];
  fill(result,
    h("p", { class: "row" }, statusBadge(failed ? "Failed" : "Completed"),
      h("span", { class: "faint num" }, `${duration(report.cpuMs)} of computing, ${bytes(report.peakMemoryBytes)} of memory`)),
    failed && errorBox({ message: `${report.failure.code ? `${report.failure.code}: ` : ""}${report.failure.message ?? "It failed."}` }),
    h("h3", null, failed ? "Failure" : "Result"),
    jsonView(failed ? report.failure : report.output ?? null, { label: "Result", filename: `${one.name}-result.json`, depth: 2 }),
    logs.map(([name, text]) => text && [h("h3", null, name), h("pre", { class: "log" }, typeof text === "string" ? text : JSON.stringify(text, null, 2))]),
    Array.isArray(report.logs) && report.logs.length > 0 && [h("h3", null, "Log"), jsonView(report.logs, { label: "Log" })]);
}

/** The form to send an operation to an entity, and to look at its state. */
export function sendOperation(one, { signal }) {
  const operations = one.operations ?? {};
  const names = Object.keys(operations);
  const key = entry("Key", { help: "Which of them: each key has a state of its own.", required: true });
  const selectId = uid("op");
  const place = h("div", null);
  let form = null;
  const select = h("select", { id: selectId, on: { change: draw } }, names.map((name) => h("option", { value: name }, name)));
  function draw() {
    const operation = operations[select.value] ?? {};
    form = operation.inputSchema ? schemaForm(operation.inputSchema) : null;
    fill(place, operation.description && h("div", { class: "field-help" }, prose(operation.description)),
      form ? form.element : h("p", { class: "faint" }, "It takes no input."));
  }
  draw();
  const where = () => `${BASE}/entities/${encodeURIComponent(one.name)}/${encodeURIComponent(key.value())}`;
  const showState = async (result, stop) => {
    let state;
    try {
      state = await api.get(where(), { signal: stop });
    } catch (error) {
      if (error.status !== 404) throw error;
      fill(result, h("p", null, "It has no state."));
      return;
    }
    fill(result, h("h3", null, "State"), jsonView(state, { label: "State", depth: 2 }));
  };
  return working({
    label: "Send", sign: "running", signal, parts: [key],
    form: { element: h("div", null, key.element, h("div", { class: "field" }, h("label", { for: selectId }, "Operation"), select), place),
      read: () => (form ? form.read() : { ok: true, value: null }) },
    lead: "It is done once, and nobody waits for its result.",
    others: [["Show its state", showState]],
    async run(value, result, stop) {
      await api.post(where(), { query: { op: select.value }, body: value ?? null, signal: stop });
      fill(result, h("p", { class: "row" }, icon("completed"), "It is journaled and will be done."));
    },
  });
}

/** What all of these forms have in common. */
function working({ label, sign, form, extra, parts, lead, others = [], run, signal }) {
  const result = h("div", { class: "try-result stack", "aria-live": "polite" });
  const button = h("button", { type: "submit", class: "button primary" }, icon(sign), label);
  const stopButton = h("button", { type: "button", class: "button", hidden: true }, "Stop waiting");
  let stopper = null;
  stopButton.addEventListener("click", () => stopper?.abort());
  signal.addEventListener("abort", () => stopper?.abort());

  async function go(action) {
    stopper?.abort();
    const mine = new AbortController();
    stopper = mine;
    button.disabled = true;
    stopButton.hidden = false;
    clear(result);
    try {
      await action(mine.signal);
    } catch (error) {
      if (!mine.signal.aborted) fill(result, errorBox(error));
    } finally {
      if (stopper === mine) {
        button.disabled = false;
        stopButton.hidden = true;
      }
    }
  }

  const checked = () => {
    const wrong = parts.filter((part) => part.check());
    wrong[0]?.focus();
    return wrong.length === 0;
  };

  return h("form", {
    class: "try", novalidate: true,
    on: {
      submit: (event) => {
        event.preventDefault();
        const got = form.read();
        if (!got.ok || !checked()) return;
        go((stop) => run(got.value, result, stop));
      },
    },
  },
  lead && h("p", { class: "faint" }, lead),
  form.element, extra,
  h("div", { class: "row try-buttons" }, button,
    others.map(([text, action]) => h("button", {
      type: "button", class: "button", on: { click: () => { if (checked()) go((stop) => action(result, stop)); } },
    }, text)), stopButton),
  result);
}

/** One line of text with a label. */
function entry(label, { help, type = "text", required = false, check } = {}) {
  const id = uid("entry");
  const helpId = uid("help");
  const wrong = h("p", { class: "field-error", "aria-live": "polite" });
  const input = h("input", { id, type, autocomplete: "off", spellcheck: "false", "aria-describedby": helpId });
  const part = {
    element: h("div", { class: "field" }, h("label", { for: id }, label), input,
      h("p", { id: helpId, class: "field-help" }, help), wrong),
    value: () => input.value.trim(),
    focus: () => {
      for (let at = input.parentElement; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
      input.focus();
    },
    check() {
      const text = input.value.trim();
      const said = required && !text ? `${label} is needed.` : text ? check?.(text) ?? null : null;
      fill(wrong, said);
      input.setAttribute("aria-invalid", String(Boolean(said)));
      return said;
    },
  };
  input.addEventListener("input", () => { if (wrong.textContent) part.check(); });
  return part;
}

function words(text) {
  return text.split(",").map((one) => one.trim()).filter(Boolean);
}
