// The saga state of a model, by the rules of the host (host/core/src/undos.rs).

/** One of none, armed, past-pivot, compensating, compensated, stuck, committed. */
export function sagaState(model) {
  const count = { registered: 0, armed: 0, done: 0, active: 0, stuck: 0 };
  for (const { state } of model.undos.all.values()) {
    count.registered += 1;
    if (state === "running" || state === "retrying") count.active += 1;
    else if (state in count) count[state] += 1;
  }
  const status = model.end?.status;
  if (!status) {
    if (isStuck(model)) return "stuck";
    if (model.unwinding || model.undos.unwinds.length > 0 || count.active > 0) return "compensating";
    if (model.pastPivot) return "past-pivot";
    if (count.armed > 0) return "armed";
  }
  if (status === "Terminated" && model.pastPivot) return "past-pivot";
  if (status === "Completed" && count.armed > 0 && model.started.parent) return "armed";
  if (status === "Completed" && (model.pastPivot || count.armed > 0)) return "committed";
  if (status && count.armed > 0) return "armed";
  if (count.done > 0) return "compensated";
  if (status && count.registered > 0) return status === "Completed" ? "committed" : "compensated";
  return "none";
}

function isStuck(model) {
  return model.blocked?.reason === "pastPivot" || stuckItems(model).length > 0;
}

/** The steps and undos that need a person. */
export function stuckItems(model) {
  return model.end ? [] : model.items.filter((item) => item.state === "stuck");
}

/** From when to when something of an item is shown; `now` where it goes on. */
export function spanOf(item, now) {
  const from = item.scheduledAt;
  let to = item.endedAt ?? now;
  if (item.kind === "event" || item.kind === "mark") to = item.endedAt ?? from;
  for (const late of item.late ?? []) to = Math.max(to, late.at);
  return [from, Math.max(from, to)];
}

/** From the first to the last moment of a model. */
export function extent(model, now) {
  const from = model.startedAt ?? now;
  let to = model.end ? model.end.at : now;
  for (const item of model.items) {
    const [, end] = spanOf(item, model.end ? model.end.at : now);
    if (end > to) to = end;
  }
  return [from, Math.max(to, from + 1)];
}

const KINDS = {
  activity: "Step", http: "HTTP call", child: "Child", timer: "Timer", wait: "Wait for event",
  entity: "Entity call", lock: "Lock", compensation: "Undo asked for", undo: "Undo",
  letter: "Sent", event: "Event",
};

/** The word for the kind of an item. */
export const kindWord = (item) => KINDS[item.kind] ?? item.kind;

const STATES = {
  running: "running", retrying: "waits for its next attempt", waiting: "waiting",
  completed: "completed", failed: "failed", cancelled: "given up", stuck: "stuck",
  lost: "lost with the host", accepted: "accepted (202), asks again",
};

/** The word for the state of an item or attempt. */
export function stateWord(item) {
  if (item.kind === "event") return item.state === "waiting" ? "not waited for yet" : "taken";
  if (item.kind === "letter") {
    return { waiting: "on its way", completed: "delivered", failed: "never delivered" }[item.state];
  }
  if (item.kind === "undo" && item.state === "completed") return "undone";
  if (item.kind === "timer" && item.state === "completed") return "fired";
  if (item.recalled) return "kept from before the rewind";
  return STATES[item.state] ?? item.state;
}
