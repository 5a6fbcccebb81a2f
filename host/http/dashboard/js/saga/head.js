// What stands above: which saga it is, how it stands, and first of all what needs
// a person.

import { fill, h } from "../lib/dom.js";
import { badge, count, duration, number, relative, statusBadge, time } from "../lib/format.js";
import { copyText } from "../lib/json-view.js";
import { stringify } from "../lib/json.js";
import { icon } from "../lib/icons.js";
import { failureBox, sagaLink } from "./details.js";
import { causeOf, statusOf } from "./model.js";
import { sagaState, stuckItems } from "./model-state.js";

/** The title, the states, and the facts of a saga. */
export function head({ id, actions }) {
  const badges = h("div", { class: "row" });
  const live = h("span", { class: "live", role: "status" });
  const line = h("dl", { class: "saga-facts" });
  const heading = h("h1", { tabindex: "-1", class: "break" }, id);
  const root = h("header", { class: "saga-head" },
    h("p", { class: "crumbs" }, h("a", { href: "/sagas" }, "Sagas"), " /"),
    h("div", { class: "page-head" },
      h("div", { class: "saga-title" }, heading,
        h("button", { type: "button", class: "button quiet small", "aria-label": "Copy the id", title: "Copy the id", on: { click: () => copyText(id) } }, icon("copy"))),
      badges, h("div", { class: "push" }, live)),
    line, actions);

  function update({ model, now }) {
    const { started } = model;
    const status = statusOf(model);
    const saga = sagaState(model);
    const sign = `${status} ${saga} ${model.blocked?.reason}`;
    if (badges.dataset.sign !== sign) {
      badges.dataset.sign = sign;
      fill(badges, statusBadge(status), saga !== "none" && statusBadge(saga),
        model.blocked && badge("blocked", "bad", "stuck"));
    }
    const end = model.end ? model.end.at : now;
    const fact = (name, ...said) => [h("div", null, h("dt", null, name), h("dd", null, said))];
    const tags = Object.entries(started.tags ?? {});
    const custom = model.customStatus;
    const short = custom !== undefined && (custom === null || typeof custom !== "object") ? String(custom) : null;
    const next = [
      fact("Orchestrator", h("a", { href: `/functions/${encodeURIComponent(model.name)}` }, model.name)),
      started.version !== undefined && fact("Version", started.version),
      fact("Started", time(model.startedAt), " ", h("span", { class: "faint" }, "(", relative(model.startedAt), ")")),
      model.pending && fact("Begins", time(model.begunAt), " ", h("span", { class: "faint" }, "(", relative(model.begunAt), ")")),
      fact(model.end ? "Took" : "For", duration(Math.max(0, end - model.startedAt))),
      fact("Events", number(model.events)),
      started.deadline !== undefined && !model.end && fact("Deadline", time(started.deadline)),
      started.parent && fact("Child of", sagaLink(started.parent.id), `, its step ${started.parent.task}`),
      started.carried?.rounds > 0 && fact("Continued as new", count(started.carried.rounds, "time")),
      model.run > 1 && fact("Rewound", count(model.run - 1, "time")),
      custom !== undefined && fact("Custom status", short ?? h("code", { class: "break" }, cut(stringify(custom)))),
      tags.length > 0 && fact("Tags", h("span", { class: "tags" }, tags.map(([word, value]) =>
        h("a", { class: "tag", href: `/sagas?tag=${encodeURIComponent(`${word}:${value}`)}` }, `${word}: ${value}`)))),
    ];
    fill(line, next);
  }

  return {
    root, update, heading,
    state(state, text) {
      live.dataset.state = state;
      if (live.textContent !== text) live.textContent = text;
    },
  };
}

const cut = (text) => (text.length > 160 ? `${text.slice(0, 160)}…` : text);

/** What needs a person, and what to do about it. */
export function alerts({ stuckTools, onSelect }) {
  const root = h("div", { class: "saga-alerts", role: "region", "aria-label": "What needs a person" });
  let made = "";
  function update({ model }) {
    const stuck = stuckItems(model);
    const sign = stringify([stuck.map((item) => [item.key, item.attempts.length, item.stuckSince]), model.blocked, model.started.execution]);
    if (sign === made) return;
    made = sign;
    root.hidden = stuck.length === 0 && !model.blocked;
    fill(root, model.blocked && blocked(model.blocked),
      stuck.slice(0, 20).map((item) => one(model, item)),
      stuck.length > 20 && h("p", null, `And ${stuck.length - 20} more that are stuck: see the table.`));
  }

  function one(model, item) {
    const undo = item.kind === "undo";
    const step = model.byKey.get(item.undoes);
    const tries = item.attempts.filter((attempt) => attempt.endedAt !== null).length;
    return h("section", { class: "saga-alert" },
      h("h2", null, icon("stuck"), undo ? `The undo of step ${item.undo} is stuck` : `Step ${item.task} is stuck`),
      h("p", null, h("button", { type: "button", class: "saga-link", on: { click: () => onSelect(item.key, true) } }, item.name),
        undo && step && ` undoes ${step.name}`, `, failed after ${count(tries, "attempt")}, `, relative(item.stuckSince), "."),
      item.failure && failureBox(item.failure, ""),
      h("p", null, undo
        ? "What comes after it in the order waits. Find out why it failed; then try it again, or do it by hand and say so here."
        : "The saga can only go forward. Find out whether the step happened; then try it again, or say here what became of it."),
      stuckTools(item));
  }

  function blocked({ reason, message, failure, position, journal, code }) {
    const words = {
      mismatch: ["Its code does not match its journal", `At request ${position} the journal has ${journal}, and the code asked for ${code}. Deploy the code that it was started with, or cancel it: that needs no code.`],
      unavailable: ["Its component cannot be loaded", message],
      pastPivot: ["Its code failed past the pivot", "Nothing can be undone any more. Look at what is left to do, do it, and terminate the saga with a reason that says so."],
    };
    const [title, text] = words[reason] ?? [`It is blocked: ${reason}`, message ?? ""];
    return h("section", { class: "saga-alert" }, h("h2", null, icon("stuck"), title), h("p", { class: "break" }, text),
      failure && failureBox(failure, ""));
  }

  return { root, update };
}

/** Why it failed, or is undone. The output stands among the details. */
export function outcome() {
  const root = h("section", { class: "saga-outcome", "aria-label": "Outcome" });
  let made = "";
  return {
    root,
    update({ model }) {
      const cause = model.unwinding?.cause ? causeOf(model.unwinding.cause) : null;
      const sign = stringify([model.end?.status, cause, model.started.execution, model.run]);
      if (sign === made) return;
      made = sign;
      const { end } = model;
      const told = end?.failure && cause?.failure?.code === end.failure.code && cause.failure.message === end.failure.message;
      fill(root,
        cause && !told && h("div", { class: "saga-cause" }, h("h2", null, icon("undo"), ` It ${end ? "was" : "is"} undone as a whole: ${{ failed: "it failed", deadline: "its deadline passed", canceled: "it was cancelled", terminated: "it was terminated", parent: "its parent is undone" }[cause.kind] ?? cause.kind}`),
          cause.failure ? failureBox(cause.failure, "") : cause.text && h("p", { class: "break" }, cause.text)),
        end?.failure && failureBox(end.failure, told ? "It failed, and was undone" : "It failed", "h2"),
        end?.reason && !cause && h("p", { class: "break" }, `${end.status}: ${end.reason}`));
      root.hidden = root.childElementCount === 0;
    },
  };
}
