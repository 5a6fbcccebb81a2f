// What is known of one step, timer, event or undo, or of the whole saga.

import { fill, h } from "../lib/dom.js";
import { badge, clockText, duration, time } from "../lib/format.js";
import { jsonView } from "../lib/json-view.js";
import { digestOf } from "../pages/functions.js";
import { glyph, TONES, toneOf } from "./glyphs.js";
import { inputOf } from "./model.js";
import { kindWord, stateWord } from "./model-state.js";
import { offset } from "./scale.js";
import { armedText } from "./table.js";
import { numberOf, title, tookMs } from "./words.js";

/** The page of another instance. */
export const sagaLink = (id, text = id) => h("a", { href: `/sagas/${encodeURIComponent(id)}`, class: "break" }, text);

export function details({ onSelect, stuckTools }) {
  let shown = "";
  const heading = h("h2", { tabindex: "-1", class: "saga-details-title" });
  const body = h("div", { class: "stack" });
  const root = h("aside", { class: "card saga-details", "aria-label": "Details" },
    h("div", { class: "row" }, heading,
      h("button", { type: "button", class: "button quiet small saga-unchoose", on: { click: () => onSelect(null) } }, "Whole saga")),
    body);

  function update({ model, now, selected, id }) {
    const item = selected ? model.byKey.get(selected) : null;
    root.querySelector(".saga-unchoose").hidden = !item;
    // A value that somebody unfolded stays as it is while nothing changes.
    const sign = item ? `${selected} ${model.started.execution} ${JSON.stringify([item.state, item.attempts.length, item.attempts.at(-1)?.endedAt, item.endedAt, item.undos, item.repairs, item.late, item.granted, item.deliveredAt, item.releasedAt, model.undos.all.get(String(item.task))?.state])}`
      : `all ${model.started.execution} ${model.statuses.length} ${model.end?.status} ${model.run} ${model.repairs.length} ${model.marks.length} ${model.events === 0}`;
    if (sign === shown) return;
    shown = sign;
    if (item) {
      fill(heading, glyph(item.kind), ` ${kindWord(item)} `, h("span", { class: "break" }, title(item)));
      fill(body, ofItem(model, item, now, id));
    } else {
      fill(heading, "The whole saga");
      fill(body, ofSaga(model, id));
    }
  }

  function link(model, key) {
    const item = model.byKey.get(key);
    return item ? h("button", { type: "button", class: "saga-link", on: { click: () => onSelect(key) } },
      `${numberOf(item)} ${title(item)}`) : key;
  }

  const links = (model, keys) => keys.slice(0, 12).map((key, at) => [at > 0 && ", ", link(model, key)])
    .concat(keys.length > 12 ? [` and ${keys.length - 12} more`] : []);

  function ofItem(model, item, now, id) {
    const took = tookMs(item, now);
    const undo = item.kind === "undo" ? null : item.undo;
    const key = idempotencyKey(model, item);
    const scope = model.scopes.find((found) => found.scope === item.scope);
    return [
      h("p", { class: "row" }, badge(stateWord(item), toneOf(item), null),
        item.pivot && badge("pivot", "active", "pivot"),
        item.undoneBy?.length > 0 && badge("undone", "undo", "undo")),
      item.state === "stuck" && stuckTools(item),
      facts([
        [item.kind === "undo" ? "Undo" : "Task", item.task === undefined ? null : numberOf(item)],
        ["Undoes", item.kind === "undo" && [item.undoes ? link(model, item.undoes) : item.undo, item.outcome && ` (${item.outcome})`]],
        ["Of the child", item.undone?.instance && [sagaLink(item.undone.instance), `, its step ${item.undone.task} ${item.undone.function}`]],
        ["Child", item.child && sagaLink(item.child)],
        ["To", item.to && (item.to.startsWith("@") ? item.to : sagaLink(item.to))],
        ["Entity", item.entity && `@${item.entity.name}@${item.entity.key}`],
        ["Asked for", [time(item.scheduledAt, { fine: true }), ` (${offset(item.scheduledAt - model.startedAt)})`]],
        ["After", item.after.length > 0 && links(model, item.after)],
        ["Fires at", item.fireAt && time(item.fireAt, { fine: true })],
        ["Next attempt", item.state === "retrying" && time(item.retryAt, { fine: true })],
        ["Delivered", item.deliveredAt && time(item.deliveredAt, { fine: true })],
        ["Locks", item.granted?.length > 0 && item.granted.map(({ entity, at }) => h("div", null, `@${entity.name}@${entity.key} at `, time(at, { fine: true })))],
        ["Let go", item.releasedAt && time(item.releasedAt, { fine: true })],
        [item.endedAt === null ? "For" : "Ended", took !== null && (item.endedAt === null ? duration(took) : [time(item.endedAt, { fine: true }), `, after ${duration(took)}`])],
        ["Scope", item.scope > 0 && `${item.scope}${scope?.parallel ? ", undone all at once" : ""}`],
        ["Brought by", item.event && link(model, item.event)],
        ["Given to", item.takenBy && link(model, item.takenBy)],
        ["Kept from", typeof item.recalled === "string" && link(model, item.recalled)],
        ["Problem", item.problem],
        ["Idempotency key", key && h("code", { class: "break" }, key)],
      ]),
      item.failure && failureBox(item.failure, "Failure"),
      item.input !== undefined && value("Input", inputOf(item), `${id}-${item.key}-input.json`),
      item.mended !== undefined && value("Input of the call", item.input, `${id}-${item.key}-first-input.json`),
      item.output !== undefined && !["timer", "lock", "compensation"].includes(item.kind) && value("Output", item.output, `${id}-${item.key}-output.json`),
      attemptList(item, model),
      (item.late ?? []).map((late) => section(`Late result of attempt ${late.attempt}`,
        h("p", { class: "faint" }, "It was given up before, and changes nothing."),
        late.failure && failureBox(late.failure, ""), late.output !== undefined && jsonView(late.output, { label: "Late result" }), logsOf(late.logs))),
      undo && section("Undo", facts([
        ["Function", undo.function],
        ["When", { always: "whatever became of the step", completed: "only if it completed" }[undo.when] ?? "if it completed, or nobody knows"],
        ["State", armedText(model, item) || "–"],
        ["Done by", item.undos?.length > 0 && links(model, item.undos)],
        ["Component", undo.digest ? digestOf(undo.digest) : "none is deployed: the step was not begun"],
      ]), undo.input !== undefined && jsonView(undo.input, { label: "Input of the undo", depth: 0 })),
      !undo && item.undos?.length > 0 && section("Undone by", h("p", null, links(model, item.undos))),
      item.repairs?.length > 0 && section("Repairs", repairs(item.repairs)),
      policyOf(item.policy),
    ];
  }

  function ofSaga(model, id) {
    const { started } = model;
    return [
      facts([
        ["Execution", started.execution && h("code", { class: "break" }, started.execution)],
        ["Component", started.digest && digestOf(started.digest)],
        ["Deadline", started.deadline && time(started.deadline)],
        ["Begins at", started.startAt && time(started.startAt)],
        ["Continued as new", started.carried && `${started.carried.rounds} times`],
        ["Trace", started.traceParent && h("code", { class: "break" }, started.traceParent)],
        ["Undone because", model.unwinding && Object.keys(model.unwinding.cause ?? {})[0]],
      ]),
      model.end?.reason !== undefined && h("p", { class: "break" }, "Reason: ", model.end.reason || "none was given"),
      model.end?.output !== undefined && value("Output", model.end.output, `${id}-output.json`),
      started.input !== undefined && value("Input", started.input, `${id}-input.json`),
      model.customStatus !== undefined && value("Custom status", model.customStatus, `${id}-status.json`),
      model.marks.length > 0 && section("What happened to it", h("ul", { class: "saga-marks" }, model.marks.map((mark) =>
        h("li", null, time(mark.at, { fine: true, date: false }), ` ${mark.kind}`, mark.text && mark.text !== mark.kind && `: ${mark.text}`)))),
      model.repairs.length > 0 && section("Repairs", repairs(model.repairs)),
      h("p", { class: "faint small" }, "Choose a step in the timeline, the table or the diagram to see what is known of it."),
    ];
  }

  return { root, update, focus: () => heading.focus() };
}

function idempotencyKey(model, item) {
  const { execution } = model.started;
  if (!execution || model.run > 1) return null;
  if (item.kind === "activity" || item.kind === "http") return `${execution}-${item.task}`;
  if (item.kind !== "undo") return null;
  const step = item.undone ? item.undone.key : `${execution}-${item.task}`;
  return step ? `${step}-undo` : null;
}

function facts(rows) {
  const known = rows.filter(([, said]) => said !== null && said !== undefined && said !== false && said !== "");
  return known.length > 0 && h("dl", { class: "facts" },
    known.map(([name, said]) => [h("dt", null, name), h("dd", null, said)]));
}

function section(name, ...content) {
  return h("section", { class: "saga-section" }, h("h3", null, name), content);
}

function value(name, json, filename) {
  return section(name, jsonView(json, { label: name, filename, depth: 1 }));
}

const FAILURE_KINDS = {
  returned: "returned by its code", trap: "its code broke off", timeout: "it took too long", memoryLimit: "it wanted too much memory",
  cpuLimit: "it computed for too long", outputLimit: "its result is too large", badOutput: "its result is not what it has to be",
  hostLost: "the host ended while it ran", notStarted: "it was not begun", cancelled: "the host ended it", deadline: "the deadline passed",
};

/** A failure: its code, its message, and what more it says. */
export function failureBox(failure, name, level = "h3") {
  return h("div", { class: "saga-failure" },
    name && h(level, null, name),
    h("p", { class: "break" }, h("code", null, failure.code), " ", failure.message),
    h("p", { class: "faint small" }, [FAILURE_KINDS[failure.kind ?? "returned"] ?? failure.kind,
      failure.retryable ? "another attempt may go better" : "it says that another attempt is of no use",
      failure.retryAfterMs ? `not before ${duration(failure.retryAfterMs)}` : null].filter(Boolean).join("; ")),
    failure.details !== undefined && jsonView(failure.details, { label: "Details of the failure" }));
}

function logsOf(logs) {
  if (!logs) return null;
  const part = (name, text) => text && h("div", null, h("p", { class: "faint small" }, name), h("pre", { class: "saga-log", tabindex: "0" }, text.trim()));
  return [part("stdout", logs.stdout), part("stderr", logs.stderr),
    logs.truncated && h("p", { class: "faint small" }, "More was written than is kept.")];
}

function attemptList(item, model) {
  const list = item.attempts;
  if (list.length === 0) return null;
  const more = list.length > 50;
  return section(list.length > 1 ? `Attempts (${list.length})` : "Attempt", h("ol", { class: "saga-attempts" },
    (more ? list.slice(-50) : list).map((attempt) => {
      const state = attempt.endedAt === null && item.state === "retrying" ? "retrying" : attempt.state;
      const took = attempt.endedAt !== null ? attempt.endedAt - attempt.startedAt : null;
      return h("li", { value: attempt.number },
        h("div", { class: "row" }, h("b", { class: "num" }, `${attempt.number}.`),
          badge(stateWord({ state }), TONES[state] ?? "neutral", null),
          h("span", { class: "num small", title: clockText(attempt.startedAt, { fine: true }) },
            `${attempt.estimated ? "about " : ""}${offset(attempt.startedAt - model.startedAt)}${took === null ? "" : `, ${duration(took)}`}`)),
        attempt.child && h("p", null, sagaLink(attempt.child)),
        attempt.failure && failureBox(attempt.failure, ""),
        attempt.retryAt !== undefined && h("p", { class: "faint small" }, `the next one at ${clockText(attempt.retryAt, { fine: true })}`),
        logsOf(attempt.logs));
    })));
}

function repairs(list) {
  const words = { retry: "tried again", retryWith: "tried again with another input", done: "taken as done by hand", failed: "taken as failed" };
  return h("ul", { class: "saga-marks" }, list.map((repair) => h("li", null,
    time(repair.at, { fine: true }), ` step ${repair.step} ${words[repair.how ?? Object.keys(repair.repair ?? {})[0]] ?? words[repair.repair] ?? ""} by `,
    h("b", { class: "break" }, repair.by), ": ", h("span", { class: "break" }, repair.note))));
}

function policyOf(policy) {
  if (!policy) return null;
  const { retry, timeoutMs } = policy;
  return section("Policy", facts([
    ["Attempts", retry && (retry.maxAttempts === 0 ? "without limit" : `at most ${retry.maxAttempts}`)],
    ["Intervals", retry && retry.maxAttempts !== 1 && `${duration(retry.firstIntervalMs)}, then times ${retry.backoff}, at most ${duration(retry.maxIntervalMs)}${retry.jitter ? `, give or take ${Math.round(retry.jitter * 100)} %` : ""}`],
    ["In all", retry?.totalTimeMs && `no attempt later than ${duration(retry.totalTimeMs)} after the start`],
    ["Not after", retry?.doNotRetry?.length > 0 && retry.doNotRetry.join(", ")],
    ["Timeout", timeoutMs && duration(timeoutMs)],
  ]));
}
