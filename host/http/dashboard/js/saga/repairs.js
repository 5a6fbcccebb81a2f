// Mending what is stuck, and what would be undone.

import { api } from "../lib/api.js";
import { confirmDialog, toast } from "../lib/dialog.js";
import { h } from "../lib/dom.js";
import { badge } from "../lib/format.js";
import { jsonView } from "../lib/json-view.js";
import { stringify } from "../lib/json.js";
import { jsonOf } from "./actions.js";
import { glyph } from "./glyphs.js";
import { inputOf } from "./model.js";

/** Who repairs, as it was last said in this tab. */
const NAME = "sagahost.by";

/**
 * The buttons that mend one step or undo. Nothing where the session does not
 * allow it.
 *
 * @param {{id: string, session: object, signal: AbortSignal}} context
 * @param {object} item One that is stuck.
 */
export function repairTools(context, item) {
  const { session } = context;
  if (session.readOnly || !session.mayManage) {
    return h("p", { class: "faint small" }, "To mend it takes a key of the kind manage, on a host that is not read-only.");
  }
  const forward = item.kind !== "undo";
  const button = (sign, text, how) => h("button", {
    type: "button", class: "button small", on: { click: () => mend(context, item, how) },
  }, glyph(sign), text);
  return h("div", { class: "row", role: "group", "aria-label": `Mend ${item.name}` },
    button("retrying", "Try again…", "retry"),
    button("retrying", "Try again with another input…", "edit"),
    button("completed", "It was done by hand…", "done"),
    forward && button("failed", "It did nothing…", "failed"));
}

const WORDS = {
  retry: ["Try it again", "It is attempted again, as it is. Do this when the cause is gone.", "Try again"],
  edit: ["Try it again with another input", "It is attempted again, with this input from now on.", "Try again"],
  done: ["It was done by hand", "It is taken as done, and the saga goes on. Do this only once it is really done.", "Take it as done"],
  failed: ["It did nothing", "The step is taken as failed: it did nothing. Do this only once that is certain.", "Take it as failed"],
};

async function mend({ id, signal }, item, how) {
  const [heading, body, confirmLabel] = WORDS[how];
  const step = item.kind === "undo" ? item.undo : String(item.task);
  const forward = item.kind !== "undo";
  const fields = [
    how === "edit" && { name: "value", label: "Input (JSON)", type: "json", required: true, rows: 8, value: stringify(inputOf(item), 2) },
    how === "done" && {
      name: "value", label: forward ? "Result (JSON)" : "What the undo would have answered (JSON)", type: "json", value: "null",
      help: forward ? "The code of the saga is given this." : null,
    },
    { name: "note", label: "Why", type: "textarea", rows: 2, required: true, maxLength: 1000, help: "For those who look at it later. It is kept in the journal." },
    { name: "by", label: "Who", required: true, maxLength: 200, value: remembered(), autocomplete: "name" },
  ].filter(Boolean);
  const done = await confirmDialog({
    title: `${heading}: ${forward ? "step" : "undo of step"} ${step}, ${item.name}`,
    body, confirmLabel, danger: how === "done" || how === "failed", fields,
    run: ({ note, by, value }) => {
      const said = { note: note.trim(), by: by.trim() };
      if (how === "edit") said.input = jsonOf(value);
      if (how === "done") said.output = jsonOf(value);
      const route = how === "edit" ? "retry" : how;
      return api.post(`/api/instances/${encodeURIComponent(id)}/undo/${encodeURIComponent(step)}/${route}`, { body: said, signal });
    },
  });
  if (!done) return;
  remember(done.by.trim());
  toast("The host took it in.", { kind: "good" });
}

function remembered() {
  try {
    return sessionStorage.getItem(NAME) ?? "";
  } catch {
    return "";
  }
}

function remember(name) {
  try {
    sessionStorage.setItem(NAME, name);
  } catch { /* It is asked for again, then. */ }
}

/** What would be undone, in order, as the host says it. */
export function undoPlan(undo) {
  const tones = { armed: "neutral", running: "active", retrying: "warn", stuck: "bad", done: "undo" };
  const row = ({ step, function: name, state, of, input }) => h("li", null,
    h("div", { class: "row" }, h("b", null, name),
      state !== "armed" && badge(state, tones[state] ?? "neutral", null)),
    h("p", { class: "small" }, `undoes step ${step}, ${of.function}`, of.instanceId && ` of ${of.instanceId}`,
      h("span", { class: "faint" }, of.outcome === "running" ? ", which still runs: it may turn out not to be needed" : `, which ${of.outcome === "unknown" ? "may have happened" : of.outcome}`)),
    h("details", null, h("summary", { class: "small" }, "Input"), jsonView(input, { label: "Input", depth: 0, tools: false })));
  const list = undo.undo ?? [];
  return h("div", { class: "saga-plan" },
    h("h3", null, list.length === 0 ? "Nothing would be undone" : `Would be undone, in this order (${list.length})`),
    list.length > 0 && h("ol", null, list.slice(0, 100).map(row)),
    list.length > 100 && h("p", null, `and ${list.length - 100} more`),
    undo.undone?.length > 0 && h("p", { class: "faint small" }, `${undo.undone.length} undone already.`),
    undo.children?.length > 0 && h("p", { class: "small" },
      "Children that have not ended, with undos of their own: ", undo.children.slice(0, 20).join(", "), undo.children.length > 20 && "…"));
}
