// What is said of an item, in words: for lists, labels, and screen readers.

import { duration } from "../lib/format.js";
import { stateWord } from "./model-state.js";
import { offset } from "./scale.js";

/** Its number and name: "3 PayActivity", "↶ RefundActivity". */
export function title(item) {
  if (item.kind === "letter") return `${item.parcel} ${item.name} to ${item.to}`;
  return item.name;
}

/** What it is, in a few letters: the task, or the step that is undone. */
export function numberOf(item) {
  if (item.kind === "undo") return `undo ${item.undo}`;
  if (item.kind === "letter") return `letter ${item.number}`;
  if (item.kind === "event") return "event";
  return item.run > 1 ? `${item.task} (run ${item.run})` : String(item.task);
}

/** How long it took, or has taken until `now`. */
export function tookMs(item, now) {
  if (item.kind === "event" && item.endedAt === null) return null;
  return Math.max(0, (item.endedAt ?? now) - item.scheduledAt);
}

/** All of it but its name, in one sentence. */
export function sentence(model, item, now) {
  const parts = [stateWord(item)];
  if (item.kind === "undo") {
    const step = model.byKey.get(item.undoes);
    parts.push(`undoes step ${item.undo}${step ? `, ${step.name}` : ""}`);
  }
  const count = item.attempts.filter((attempt) => attempt.endedAt !== null || attempt.startedAt <= now).length;
  if (count > 1) parts.push(`${count} attempts`);
  if (item.undoneBy?.length) parts.push("undone");
  if (item.failure) parts.push(item.failure.code);
  parts.push(`from ${offset(item.scheduledAt - (model.startedAt ?? item.scheduledAt))}`);
  const took = tookMs(item, now);
  if (took !== null) parts.push(`${item.endedAt === null ? "for" : "took"} ${duration(took)}`);
  return parts.join(", ");
}

/** What an event of the journal speaks of, in a few words. */
export function summary(kind, body, model) {
  const step = (task) => {
    const item = model.tasks.get(task) ?? model.byKey.get(`t${task}`);
    return item ? `${task} ${item.name}` : String(task ?? "");
  };
  const failure = body.failure ? `${body.failure.code}: ${body.failure.message}` : "";
  const pieces = {
    Started: () => body.name,
    Scheduled: () => `${body.task} ${body.function}`,
    ChildScheduled: () => `${body.task} ${body.function} as ${body.id}`,
    TimerCreated: () => `${body.task}`,
    EventAwaited: () => `${body.task} ${body.name}`,
    EventRaised: () => body.name,
    UndoScheduled: () => `${body.undo} by ${body.function}`,
    Repaired: () => `${body.step}, by ${body.by}: ${body.note}`,
    Logged: () => `${body.level}: ${body.message}`,
    Sent: () => `${Object.keys(body.parcel ?? {})[0] ?? ""} to ${body.to}`,
    Delivered: () => `letter ${body.letter}${body.problem ? `: ${body.problem}` : ""}`,
    EntityCalled: () => `${body.task} ${body.operation} of @${body.entity?.name}@${body.entity?.key}`,
    LockGranted: () => `@${body.entity?.name}@${body.entity?.key}`,
    Unwinding: () => Object.keys(body.cause ?? {})[0] ?? "",
  };
  if (pieces[kind]) return pieces[kind]();
  if (body.undo !== undefined) return `${body.undo}${body.attempt ? `, attempt ${body.attempt}` : ""} ${failure}`;
  if (body.task !== undefined) return `${step(body.task)}${body.attempt > 1 ? `, attempt ${body.attempt}` : ""} ${failure}`;
  return failure || body.reason || "";
}
