/** Doing the same with many sagas: asked before, shown while, told after. */

import { ApiError, api, instancePath } from "../../lib/api.js";
import { fill, h, setText, uid } from "../../lib/dom.js";
import { confirmDialog, errorText, toast } from "../../lib/dialog.js";
import { count, hasEnded } from "../../lib/format.js";
import { icon } from "../../lib/icons.js";

/** Requests at the same time. */
const AT_ONCE = 4;

/** Ids and errors that are named; more are counted. */
const NAMED = 100;

const reason = { name: "reason", label: "Reason", help: "It is kept with each of them.", maxLength: 1000 };

/**
 * What can be done. `fits` says for which rows, `why` for which not.
 */
export const ACTIONS = [
  {
    key: "suspend", label: "Suspend", sign: "suspended", fields: [reason],
    fits: (row) => !hasEnded(row.runtimeStatus) && row.runtimeStatus !== "Suspended",
    why: "have ended or are suspended already",
    what: "Their code stops. What runs goes on, and what comes in is kept.",
    run: (row, { reason: said }) => api.post(instancePath(row.id, "/suspend"), { query: { reason: said } }),
  },
  {
    key: "resume", label: "Resume", sign: "running", fields: [reason],
    fits: (row) => row.runtimeStatus === "Suspended",
    why: "are not suspended",
    what: "Their code goes on where it stopped.",
    run: (row, { reason: said }) => api.post(instancePath(row.id, "/resume"), { query: { reason: said } }),
  },
  {
    key: "cancel", label: "Cancel", sign: "undo", danger: true, fields: [reason],
    fits: (row) => !hasEnded(row.runtimeStatus),
    why: "have ended",
    what: "What each of them did is undone, and then it ends as Canceled. One that is past its pivot refuses.",
    run: (row, { reason: said }) =>
      api.post(`/api/instances/${encodeURIComponent(row.id)}/cancel`, { query: { reason: said } }),
  },
  {
    key: "terminate", label: "Terminate", sign: "terminated", danger: true,
    fields: [reason, { name: "compensate", label: "Undo what they did first", type: "checkbox" }],
    fits: (row) => !hasEnded(row.runtimeStatus),
    why: "have ended",
    what: "Each of them ends where it is. What it did stays as it is, unless it is undone first.",
    run: (row, { reason: said, compensate }) =>
      api.post(instancePath(row.id, "/terminate"), { query: { reason: said, compensate: compensate || null } }),
  },
  {
    key: "restart", label: "Restart", sign: "again",
    fields: [{ name: "fresh", label: "Under a new id each", type: "checkbox", value: true,
      help: "Without it, those that have ended are replaced by a new run under the same id, and what is known of the old run is gone." }],
    fits: () => true,
    why: "",
    what: "The same orchestrator is started with the same input, on what is deployed now.",
    run: (row, { fresh }) =>
      api.post(instancePath(row.id, "/restart"), { query: { restartWithNewInstanceId: fresh } }),
  },
  {
    key: "rewind", label: "Rewind", sign: "undo", fields: [reason],
    fits: (row) => row.runtimeStatus === "Failed",
    why: "have not failed",
    what: "The steps that failed or were undone run again; those that completed are kept.",
    run: (row, { reason: said }) => api.post(instancePath(row.id, "/rewind"), { query: { reason: said } }),
  },
  {
    key: "purge", label: "Purge", sign: "trash", danger: true, fields: [],
    fits: (row) => hasEnded(row.runtimeStatus),
    why: "have not ended",
    what: "All that is known of them is removed. This cannot be taken back.",
    run: (row) => api.del(instancePath(row.id)),
  },
];

/**
 * The bar with what can be done with the picked rows.
 *
 * @param {object} options
 * @param {import("./selection.js").Selection} options.selection
 * @param {() => void} options.onAll Picks all that fit the filter.
 * @param {(faults: Map<string, string>, done: string[]) => void} options.onDone
 * @returns {{element: HTMLElement, update: () => void}}
 */
export function batchBar({ selection, onAll, onDone }) {
  const many = h("span", { class: "batch-many num", role: "status" });
  const buttons = ACTIONS.map((action) => h("button", {
    type: "button", class: ["button small", action.danger && "danger"], on: { click: () => begin(action) },
  }, icon(action.sign), action.label));
  const element = h("div", { class: "batch", role: "group", "aria-label": "What to do with the picked sagas", hidden: true },
    many,
    h("button", { type: "button", class: "button quiet small", on: { click: onAll } }, "Pick all that fit the filter"),
    h("button", { type: "button", class: "button quiet small", on: { click: () => selection.clear() } }, "Pick none"),
    h("span", { class: "batch-buttons" }, buttons));

  async function begin(action) {
    const all = [...selection.picked.values()];
    const rows = all.filter(action.fits);
    const left = all.length - rows.length;
    if (!rows.length) {
      toast(`None of the picked sagas can do that: they ${action.why}.`, { kind: "info" });
      return;
    }
    const values = await confirmDialog({
      title: `${action.label} ${count(rows.length, "saga")}?`,
      body: [
        h("p", null, action.what),
        h("ul", { class: "id-list mono", tabindex: "0", "aria-label": "Which" },
          rows.slice(0, NAMED).map((row) => h("li", null, row.id)),
          rows.length > NAMED && h("li", null, `and ${rows.length - NAMED} more`)),
        left > 0 && h("p", null, `${count(left, "picked saga is", "picked sagas are")} left out: they ${action.why}.`),
      ],
      confirmLabel: `${action.label} ${rows.length}`,
      danger: action.danger,
      fields: action.fields,
    });
    if (!values) return;
    const { faults, done } = await working(action, rows, values);
    onDone(faults, done);
  }

  return {
    element,
    update() {
      element.hidden = selection.size === 0;
      setText(many, `${count(selection.size, "saga")} picked`);
      const all = [...selection.picked.values()];
      ACTIONS.forEach((action, n) => { buttons[n].disabled = !all.some(action.fits); });
    },
  };
}

/** Does it, with a dialog that shows how far it is. */
function working(action, rows, values) {
  return new Promise((resolve) => {
    const titleId = uid("batch");
    const stopper = new AbortController();
    const faults = new Map();
    const done = [];
    let ended = 0;
    let over = false;

    const bar = h("progress", { max: rows.length, "aria-labelledby": titleId });
    bar.value = 0;
    const said = h("p", { class: "num", role: "status" });
    const list = h("ul", { class: "batch-faults" });
    const button = h("button", {
      type: "button", class: "button", on: { click: () => (over ? dialog.close() : stopper.abort()) },
    }, "Stop");
    const dialog = h("dialog", {
      class: "dialog", "aria-labelledby": titleId,
      on: {
        cancel: (event) => {
          // Escape stops first, and closes once nothing is under way.
          if (over) return;
          event.preventDefault();
          stopper.abort();
        },
        close: () => {
          dialog.remove();
          resolve({ faults, done });
        },
      },
    },
    h("h2", { id: titleId, class: "dialog-title" }, `${action.label}: ${count(rows.length, "saga")}`),
    h("div", { class: "dialog-body" }, bar, said, list),
    h("div", { class: "dialog-buttons" }, button));
    document.body.appendChild(dialog);
    dialog.showModal();

    const show = () => {
      bar.value = ended;
      const failed = faults.size ? `, ${faults.size} refused or failed` : "";
      setText(said, `${ended} of ${rows.length} asked${failed}`);
    };

    let next = 0;
    async function one() {
      while (next < rows.length && !stopper.signal.aborted) {
        const row = rows[next];
        next += 1;
        try {
          await action.run(row, values);
          done.push(row.id);
        } catch (error) {
          faults.set(row.id, error?.message ?? String(error));
          if (faults.size <= NAMED) {
            list.appendChild(h("li", null, h("span", { class: "mono" }, row.id), `: ${errorText(error)}`));
          }
          // Without a key, or a host, the next one would fare no better.
          if (error instanceof ApiError && [0, 401, 403].includes(error.status)) stopper.abort();
        }
        ended += 1;
        show();
      }
    }

    show();
    Promise.all(Array.from({ length: AT_ONCE }, one)).then(() => {
      over = true;
      const left = rows.length - ended;
      const parts = [`${done.length} done`];
      if (faults.size) parts.push(`${faults.size} refused or failed`);
      if (left) parts.push(`${left} not asked`);
      const summary = `${action.label}: ${parts.join(", ")}.`;
      setText(said, summary);
      if (faults.size > NAMED) list.appendChild(h("li", null, `and ${faults.size - NAMED} more`));
      fill(button, "Close");
      button.focus();
      if (!faults.size && !left) {
        dialog.close();
        toast(summary, { kind: "good" });
      }
    });
  });
}
