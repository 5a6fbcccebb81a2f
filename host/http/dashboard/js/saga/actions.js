// What can be done to an instance, each asked about before it is done. What is
// offered depends on its state and on what the session allows; whether it is done
// decides the host, and its refusals are shown as it says them.

import { api, instancePath } from "../lib/api.js";
import { confirmDialog, errorBox, toast } from "../lib/dialog.js";
import { h } from "../lib/dom.js";
import { parse } from "../lib/json.js";
import { glyph } from "./glyphs.js";
import { statusOf } from "./model.js";
import { undoPlan } from "./repairs.js";

const ENDED = ["Completed", "Failed", "Canceled", "Terminated"];

/**
 * The buttons of the actions that fit. All states are those of the latest event.
 *
 * @param {{id: string, session: object, signal: AbortSignal, latest: () => object,
 *   navigate: (url: string) => void, again: () => void}} context
 */
export function actions(context) {
  const root = h("div", { class: "row saga-actions", role: "toolbar", "aria-label": "Actions" });
  let made = "";
  return {
    root,
    update(model) {
      const list = fitting(context, model);
      const sign = list.map(({ name }) => name).join(" ");
      if (sign === made) return;
      made = sign;
      const focused = root.contains(document.activeElement) ? document.activeElement.textContent : null;
      root.replaceChildren(...list.map(({ name, sign: mark, danger, run }) => h("button", {
        type: "button", class: danger ? "button small danger" : "button small", on: { click: () => run(context) },
      }, glyph(mark), name)));
      if (focused) [...root.children].find((button) => button.textContent === focused)?.focus();
    },
  };
}

function fitting({ session }, model) {
  if (model.events === 0 || session.readOnly) return [];
  const status = statusOf(model);
  const ended = ENDED.includes(status);
  const undone = model.unwinding !== null;
  const all = [
    { name: "Raise event…", sign: "wait", run: raiseEvent, use: true, fits: !ended },
    { name: "Suspend…", sign: "waiting", run: suspend, fits: !ended && !model.suspended && !undone },
    { name: "Resume…", sign: "running", run: resume, fits: !ended && model.suspended },
    { name: "Cancel…", sign: "undo", run: cancel, danger: true, fits: !ended && !model.pastPivot && !undone },
    { name: "Terminate…", sign: "failed", run: terminate, danger: true, fits: !ended },
    { name: "Rewind…", sign: "retrying", run: rewind, fits: status === "Failed" },
    { name: "Restart…", sign: "retrying", run: restart, fits: ended },
    { name: "Purge…", sign: "failed", run: purge, danger: true, fits: ended },
  ];
  return all.filter(({ fits, use }) => fits && (use ? session.mayUse : session.mayManage));
}

const reasonField = { name: "reason", label: "Reason", type: "text", maxLength: 1000, help: "It is kept in the journal." };

/** The value of a field of JSON; what is empty is `null`. */
export const jsonOf = (text) => (text.trim() ? parse(text) : null);

async function raiseEvent({ id, signal, latest }) {
  const waits = [...latest().waits].filter(([, items]) => items.length > 0).map(([name]) => name);
  const done = await confirmDialog({
    title: "Raise an event",
    body: waits.length > 0 ? `It waits for: ${waits.join(", ")}.` : "It waits for no event now. One that comes is kept until it does.",
    confirmLabel: "Raise the event",
    fields: [
      { name: "name", label: "Event", required: true, value: waits[0] ?? "" },
      { name: "input", label: "What comes with it (JSON)", type: "json", value: "null" },
    ],
    run: ({ name, input }) => api.post(instancePath(id, `/raiseEvent/${encodeURIComponent(name.trim())}`), {
      body: jsonOf(input), signal, headers: { "idempotency-key": crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}` },
    }),
  });
  if (done) toast(`The event ${done.name} was raised.`, { kind: "good" });
}

async function suspend({ id, signal }) {
  const done = await confirmDialog({
    title: "Suspend this saga?",
    body: "Its code stops until it is resumed. What runs goes on, and what comes in is kept.",
    confirmLabel: "Suspend", fields: [reasonField],
    run: ({ reason }) => api.post(instancePath(id, "/suspend"), { query: { reason }, signal }),
  });
  if (done) toast("It is suspended.", { kind: "good" });
}

async function resume({ id, signal }) {
  const done = await confirmDialog({
    title: "Resume this saga?", body: "Its code goes on where it was.",
    confirmLabel: "Resume", fields: [reasonField],
    run: ({ reason }) => api.post(instancePath(id, "/resume"), { query: { reason }, signal }),
  });
  if (done) toast("It goes on.", { kind: "good" });
}

/** What would be undone now, in a dialog, as the host says it. */
function preview({ id, signal }) {
  const place = h("div", { "aria-live": "polite", class: "saga-preview" }, h("p", null, "Asking what would be undone…"));
  const ask = () => api.get(`/api/instances/${encodeURIComponent(id)}/undo`, { signal }).then(
    (undo) => place.replaceChildren(undoPlan(undo)),
    (error) => place.replaceChildren(errorBox(error, ask)),
  );
  ask();
  return place;
}

async function cancel(context) {
  const { id, signal } = context;
  const done = await confirmDialog({
    title: "Cancel this saga?",
    body: [h("p", null, "What it did is undone, without its code, and it ends as Canceled. This cannot be called off."), preview(context)],
    confirmLabel: "Cancel the saga", cancelLabel: "Leave it", danger: true, fields: [reasonField],
    run: ({ reason }) => api.post(`/api/instances/${encodeURIComponent(id)}/cancel`, { body: { reason }, signal }),
  });
  if (done) toast("It is being cancelled.", { kind: "good" });
}

async function terminate(context) {
  const { id, signal, latest } = context;
  const done = await confirmDialog({
    title: "Terminate this saga?",
    body: [h("p", null, "It ends where it is. What it did stays as it is, unless it is undone first."), preview(context)],
    confirmLabel: "Terminate", cancelLabel: "Leave it", danger: true,
    fields: [
      { name: "compensate", label: "Undo what it did, first", type: "checkbox", value: !latest().pastPivot && !latest().unwinding },
      reasonField,
    ],
    run: ({ reason, compensate }) => api.post(instancePath(id, "/terminate"), {
      query: { reason, compensate: compensate ? "true" : "" }, signal,
    }),
  });
  if (done) toast(done.compensate ? "It is undone, and ends then." : "It is terminated.", { kind: "good" });
}

async function rewind({ id, signal, again }) {
  const done = await confirmDialog({
    title: "Rewind this saga?",
    body: "It goes on although it failed: steps that completed and were not undone are kept, the others are done again.",
    confirmLabel: "Rewind", fields: [reasonField],
    run: ({ reason }) => api.post(instancePath(id, "/rewind"), { query: { reason }, signal }),
  });
  if (!done) return;
  toast("It goes on.", { kind: "good" });
  again();
}

async function restart({ id, signal, navigate, again }) {
  let answer = null;
  const done = await confirmDialog({
    title: "Restart this saga?",
    body: "The same orchestrator is started with the same input, on what is deployed now.",
    confirmLabel: "Restart",
    fields: [{
      name: "anew", label: "Under a new id", type: "checkbox", value: true,
      help: "Otherwise it replaces this instance, whose journal is gone then.",
    }],
    run: async ({ anew }) => {
      answer = await api.post(instancePath(id, "/restart"), { query: { restartWithNewInstanceId: String(anew) }, signal });
    },
  });
  if (!done) return;
  const started = answer?.id ?? id;
  toast("It was started again.", { kind: "good" });
  if (started !== id) navigate(`/sagas/${encodeURIComponent(started)}`);
  else again();
}

async function purge({ id, signal, navigate }) {
  const done = await confirmDialog({
    title: "Purge this saga?",
    body: `All that is kept of ${id} is deleted: its state, its output, and its journal. This cannot be taken back.`,
    confirmLabel: "Purge", cancelLabel: "Keep it", danger: true,
    run: () => api.del(instancePath(id), { signal }),
  });
  if (!done) return;
  toast(`${id} was purged.`, { kind: "good" });
  navigate("/sagas");
}
