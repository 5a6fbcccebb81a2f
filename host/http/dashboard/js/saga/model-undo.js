// The undos of a model: what is armed, and what was done of it.

import { add, close, complete, open, stick, unstick } from "./model.js";

/** A fresh register of undos. */
export function begin(model) {
  const undos = {
    /** By name (`3`, `3.1`): state, compensation, and what was handed over. */
    all: new Map(),
    /** The item of each undo that has begun. */
    items: new Map(),
    unwinds: [],
    fresh: [],
    after: [],
    asking: false,
  };
  undos.register = (name, found) => {
    if (!model.pastPivot) undos.all.set(name, { state: "armed", ...found });
  };
  undos.arm = (item, undo) => {
    if (undo?.digest) undos.register(String(item.task), { undo });
  };
  undos.takeOver = (item, handed, completed) => {
    if (item.by_hand || item.byHand || (completed && undos.all.has(String(item.task)))) return;
    handed.forEach((undo, place) => {
      const undone = { instance: item.child, ...undo.undone };
      const name = `${item.task}.${handed.length - place}`;
      undos.register(name, { undo: undo.compensation, undone });
    });
  };
  undos.settle = (item) => {
    const undo = undos.all.get(String(item.task));
    if (undo?.state !== "armed" || item.kind === "undo") return;
    const when = undo.undo.when ?? "completedOrUnknown";
    const outcome = outcomeOf(item);
    const included = when === "always" || outcome === "completed"
      || (when === "completedOrUnknown" && outcome !== "failed");
    if (!included) undo.state = "dropped";
  };
  undos.dropArmed = () => {
    for (const undo of undos.all.values()) if (undo.state === "armed") undo.state = "dropped";
  };
  undos.begin = () => {
    undos.fresh = [];
    undos.after = [];
    undos.asking = false;
  };
  undos.repair = (at, event) => repair(model, at, event);
  model.undos = undos;
}

/** What became of a step, as far as that is known. */
export function outcomeOf(item) {
  if (item.state === "completed") return "completed";
  if (item.state === "failed" && (item.kind === "child" || !item.unknown)) return "failed";
  return "unknown";
}

/** The state of what would undo an item, where there is something. */
export function undoOf(model, item) {
  return model.undos.all.get(String(item.task));
}

/** How a person mended something, and the input or output that was given. */
export function repairOf({ repair }) {
  if (typeof repair === "string") return [repair, undefined];
  const how = Object.keys(repair ?? {})[0] ?? "";
  return [how, repair?.[how]];
}

function repair(model, at, event) {
  const item = model.undos.items.get(event.step);
  if (item?.state !== "stuck") return;
  const [how, given] = repairOf(event);
  (item.repairs ??= []).push({ ...event, at, how, given });
  if (how === "done") {
    unstick(item, at);
    return done(model, item, at, given);
  }
  if (how === "failed") return;
  unstick(item, at);
  if (how === "retryWith") item.mended = given;
  item.state = "running";
  item.failure = undefined;
  set(model, event.step, "running");
  open(item, (item.attempts.at(-1)?.number ?? 0) + 1, at);
}

function set(model, name, state) {
  const undo = model.undos.all.get(name);
  if (undo) undo.state = state;
  else model.undos.all.set(name, { state, undo: {} });
}

function done(model, item, at, output) {
  item.state = "completed";
  item.failure = undefined;
  item.output = output;
  item.endedAt = at;
  item.endIndex = model.events;
  model.undos.fresh.push(item.key);
  model.undos.asking = false;
  set(model, item.undo, "done");
  const step = model.byKey.get(item.undoes);
  if (step) step.undoneBy = [...(step.undoneBy ?? []), item.key];
}

/** The events of undos. */
export const undoEvents = {
  UndoScheduled(model, at, { undo: name, function: fn, outcome }) {
    const { undos } = model;
    if (!undos.asking) {
      undos.after = undos.fresh.length > 0 ? undos.fresh : undos.after;
      undos.fresh = [];
      undos.asking = true;
    }
    const registered = undos.all.get(name);
    const task = Number.parseInt(name, 10);
    const step = model.tasks.get(task);
    const undone = registered?.undone;
    const input = registered?.undo?.input;
    const item = add(model, {
      key: `u${name}`, kind: "undo", undo: name, task, name: fn, outcome, undone,
      undoes: step?.key, scheduledAt: at, after: undos.after,
      policy: registered?.undo?.policy,
      input: input !== undefined ? input : undone?.input ?? step?.mended ?? step?.input,
      number: undos.items.size + 1,
    });
    open(item, 1, at);
    undos.items.set(name, item);
    set(model, name, "running");
    if (step && !step.undos?.includes(item.key)) step.undos = [...(step.undos ?? []), item.key];
  },
  UndoCompleted(model, at, event) {
    const item = model.undos.items.get(event.undo);
    if (!item) return;
    close(item, at, event, "completed");
    done(model, item, at, event.output);
  },
  UndoAttemptFailed(model, at, event) {
    const item = model.undos.items.get(event.undo);
    if (!item) return;
    close(item, at, event, "failed");
    if (event.retryAt !== undefined) {
      item.state = "retrying";
      item.retryAt = event.retryAt;
      open(item, event.attempt + 1, event.retryAt);
      set(model, event.undo, "retrying");
    } else {
      stick(item, at, event.failure);
      set(model, event.undo, "stuck");
    }
  },
  UndoAttemptLost(model, at, event) {
    const item = model.undos.items.get(event.undo);
    if (!item) return;
    close(item, at, event, "lost");
    item.state = "running";
    open(item, event.attempt + 1, at);
    set(model, event.undo, "running");
  },
  CompensationRequested(model, at, { task, scope }) {
    const name = scope === 0 ? "all that was done so far" : `scope ${scope}`;
    const item = add(model, {
      key: `t${task}`, kind: "compensation", task, name, scope, scheduledAt: at, forward: true,
    });
    model.tasks.set(task, item);
    model.undos.begin();
    model.undos.unwinds.push(task);
  },
  CompensationDone(model, at, { task }) {
    model.undos.unwinds = model.undos.unwinds.filter((other) => other !== task);
    complete(model, model.tasks.get(task), at, { output: null });
  },
};
