// What an orchestration was after each event of its journal.
//
// `fold` is pure: the same records give the same model. It follows the rules of
// the host (host/core/src/apply.rs) as far as something of it is shown. An event
// of a kind that is not known here is kept among `others` and shown as it is.

import { sagaState } from "./model-state.js";
import { begin as beginUndos, repairOf, undoEvents } from "./model-undo.js";
import { mailEvents } from "./model-mail.js";

/** The kind of an event, and what it says: events without fields are bare words. */
export function kindOf(event) {
  if (typeof event === "string") return [event, {}];
  const kind = Object.keys(event ?? {})[0] ?? "";
  const body = event?.[kind];
  return [kind, body !== null && typeof body === "object" ? body : { value: body }];
}

/** The model after the first `upTo` records, or after all of them. */
export function fold(records, upTo = records.length) {
  const model = empty();
  for (let i = 0; i < upTo && i < records.length; i += 1) apply(model, records[i]);
  return model;
}

/** The model before the first event. */
export function empty() {
  const model = {
    events: 0,
    startedAt: null,
    begunAt: null,
    updated: null,
    name: "",
    started: {},
    pending: false,
    suspended: false,
    blocked: null,
    unwinding: null,
    end: null,
    pastPivot: false,
    customStatus: undefined,
    /** All that has a row, in the order in which it began. */
    items: [],
    byKey: new Map(),
    /** The items of the present run, by task. A rewind begins another run. */
    tasks: new Map(),
    run: 1,
    scopes: [{ scope: 0, parent: 0, parallel: false }],
    waits: new Map(),
    raised: new Map(),
    /** Timers and waits that are open, and pivots that are. */
    waiting: new Set(),
    pivots: new Set(),
    logs: [],
    statuses: [],
    /** What happened to the whole: suspended, unwinding, rewound... */
    marks: [],
    repairs: [],
    others: [],
    /** What was completed since the code last asked for something. */
    fresh: [],
    after: [],
    asking: false,
    letters: 0,
    mail: new Map(),
    locks: null,
  };
  beginUndos(model);
  return model;
}

/** Adds an item, and says what the code had been told when it asked for it. */
export function add(model, item) {
  if (item.forward) {
    if (!model.asking) {
      model.after = model.fresh.length > 0 ? model.fresh : model.after;
      model.fresh = [];
      model.asking = true;
    }
    item.after = model.after;
  }
  const prefix = model.run > 1 ? `r${model.run}-` : "";
  const whole = {
    attempts: [],
    after: [],
    run: model.run,
    state: "running",
    endedAt: null,
    endIndex: null,
    ...item,
    key: prefix + item.key,
    index: model.events,
  };
  model.items.push(whole);
  model.byKey.set(whole.key, whole);
  return whole;
}

function addTask(model, at, task, item) {
  const whole = add(model, { key: `t${task}`, task, scheduledAt: at, forward: true, ...item });
  model.tasks.set(task, whole);
  if (whole.kind === "timer" || whole.kind === "wait") model.waiting.add(whole);
  if (whole.pivot) model.pivots.add(whole);
  return whole;
}

/** An attempt that is under way. That it begins is not journaled. */
export function open(item, number, startedAt) {
  item.attempts.push({ number, startedAt, endedAt: null, state: "running", estimated: true });
}

/** The attempt that an event speaks of, closed as it says. */
export function close(item, at, event, state) {
  const number = event.attempt ?? item.attempts.at(-1)?.number ?? 1;
  let attempt = item.attempts.find((attempt) => attempt.number === number);
  if (!attempt) {
    attempt = { number };
    item.attempts.push(attempt);
  }
  attempt.state = state;
  attempt.endedAt = at;
  if (event.startedAt !== undefined) {
    attempt.startedAt = event.startedAt;
    attempt.estimated = false;
  }
  attempt.startedAt ??= item.scheduledAt;
  for (const key of ["failure", "logs", "output", "retryAt"]) {
    if (event[key] !== undefined) attempt[key] = event[key];
  }
  return attempt;
}

/** A task is complete, and the code is told so. */
export function complete(model, item, at, outcome) {
  if (!item || item.endedAt !== null) return;
  item.endedAt = at;
  item.endIndex = model.events;
  model.waiting.delete(item);
  model.pivots.delete(item);
  if ("failure" in outcome) {
    item.state = "failed";
    item.failure = outcome.failure;
  } else {
    item.state = "completed";
    item.failure = undefined;
    item.output = outcome.output;
    if (item.pivot) passPivot(model);
  }
  model.asking = false;
  model.fresh.push(item.key);
  model.undos.settle(item);
  if (model.unwinding) stopWaiting(model, at);
}

function passPivot(model) {
  model.pastPivot = true;
  model.undos.dropArmed();
  const cause = model.unwinding?.cause;
  model.unwinding = null;
  if (cause?.failed) model.blocked = { reason: "pastPivot", failure: cause.failed };
}

/** Where all is undone the code waits for nothing any more. */
function stopWaiting(model, at) {
  if (model.pivots.size > 0) return;
  for (const item of [...model.waiting]) giveUp(model, item, at);
  model.waits.clear();
}

function giveUp(model, item, at) {
  model.waiting.delete(item);
  model.pivots.delete(item);
  unstick(item, at);
  item.state = "cancelled";
  item.endedAt = at;
  item.endIndex = model.events;
  for (const attempt of item.attempts) {
    if (attempt.endedAt === null) {
      attempt.state = "cancelled";
      attempt.endedAt = at;
    }
  }
}

function mark(model, at, kind, text, more = {}) {
  model.marks.push({ at, index: model.events, kind, text, ...more });
}

function finish(model, at, status, more) {
  model.end = { status, at, index: model.events, ...more };
  model.blocked = null;
  for (const item of model.items) {
    if (item.endedAt === null && item.kind !== "letter" && item.kind !== "event") {
      giveUp(model, item, at);
    }
  }
  mark(model, at, "end", status);
}

/** It needs nobody any more. */
export function unstick(item, at) {
  const last = item.stuckFor?.at(-1);
  if (last && last.to === null) last.to = at;
}

/** The words of a cause: what set the undo off. */
export function causeOf(cause) {
  const kind = Object.keys(cause ?? {})[0] ?? "";
  const said = cause?.[kind];
  return typeof said === "object" && said !== null
    ? { kind, failure: said, text: `${said.code}: ${said.message}` }
    : { kind, text: String(said ?? "") };
}

/** The input that a step has now: the one of its call, or that of a repair. */
export const inputOf = (item) => (item.mended !== undefined ? item.mended : item.input);

function attemptFailed(model, at, event) {
  const item = model.tasks.get(event.task);
  if (!item) return;
  const { failure } = event;
  const accepted = item.kind === "http" && failure?.code === "host.http-accepted";
  close(item, at, event, accepted ? "accepted" : "failed");
  item.unknown ||= accepted || !["returned", "notStarted"].includes(failure?.kind ?? "returned");
  if (accepted) item.mended = failure.details;
  if (event.retryAt !== undefined) {
    item.state = "retrying";
    item.retryAt = event.retryAt;
    open(item, event.attempt + 1, event.retryAt);
  } else if (model.pastPivot || (item.pivot && item.unknown)) {
    stick(item, at, failure);
  } else {
    complete(model, item, at, { failure });
  }
}

/** It needs a person from now on. */
export function stick(item, at, failure) {
  (item.stuckFor ??= []).push({ from: at, to: null });
  item.state = "stuck";
  item.failure = failure;
  item.stuckSince = at;
}

function raise(model, at, name, input, more = {}) {
  const item = add(model, {
    key: `e${model.events}`, kind: "event", name, input, scheduledAt: at, state: "waiting", ...more,
  });
  const wait = model.waits.get(name)?.shift();
  if (wait) take(model, at, wait, item);
  else queue(model, name).push(item);
  return item;
}

function queue(model, name) {
  if (!model.raised.has(name)) model.raised.set(name, []);
  return model.raised.get(name);
}

function take(model, at, wait, event) {
  event.state = "completed";
  event.endedAt = at;
  event.takenBy = wait.key;
  wait.event = event.key;
  complete(model, wait, at, { output: event.input });
}

/** What each event changes. */
const EVENTS = {
  Started(model, at, event) {
    model.started = event;
    model.name = event.name ?? "";
    model.startedAt = at;
    model.pending = (event.startAt ?? 0) > at;
    model.begunAt = model.pending ? event.startAt : at;
    model.letters = event.carried?.sent ?? 0;
    if (event.carried?.customStatus !== undefined) model.customStatus = event.carried.customStatus;
    for (const [name, input] of event.carried?.events ?? []) {
      raise(model, at, name, input, { key: `c${model.items.length}`, carried: true });
    }
  },
  Begun(model, at) {
    model.pending = false;
    model.begunAt = at;
  },
  Scheduled(model, at, event) {
    const { task, function: name } = event;
    const kind = name === "host:http" ? "http" : "activity";
    const item = addTask(model, at, task, { ...event, kind, name, scope: event.scope ?? 0 });
    open(item, 1, at);
    model.undos.arm(item, event.undo);
  },
  ChildScheduled(model, at, event) {
    const { task, function: name, id } = event;
    const item = addTask(model, at, task, {
      ...event, kind: "child", name, child: id, scope: event.scope ?? 0,
    });
    open(item, 1, at);
    item.attempts[0].child = id;
    model.undos.arm(item, event.undo);
  },
  ChildCompleted(model, at, event) {
    const item = model.tasks.get(event.task);
    if (!item) return;
    model.undos.takeOver(item, event.handed ?? [], true);
    close(item, at, { output: event.output }, "completed");
    complete(model, item, at, { output: event.output });
  },
  ChildFailed(model, at, event) {
    const item = model.tasks.get(event.task);
    if (!item) return;
    const attempt = close(item, at, { failure: event.failure, retryAt: event.retryAt }, "failed");
    if (event.retryAt !== undefined) {
      item.state = "retrying";
      item.retryAt = event.retryAt;
      open(item, attempt.number + 1, event.retryAt);
      item.attempts.at(-1).child = `${item.id}:${attempt.number + 1}`;
      item.child = item.attempts.at(-1).child;
      return;
    }
    model.undos.takeOver(item, event.handed ?? [], false);
    complete(model, item, at, { failure: event.failure });
  },
  ScopeOpened(model, at, { scope, parent }) {
    model.scopes.push({ scope, parent, parallel: false, at, index: model.events });
  },
  ParallelUndo(model, at, event) {
    const scope = model.scopes.find((found) => found.scope === event.scope);
    if (scope) scope.parallel = true;
  },
  TimerCreated(model, at, { task, fireAt }) {
    addTask(model, at, task, { kind: "timer", name: "Timer", fireAt, state: "waiting" });
  },
  TimerFired(model, at, { task }) {
    complete(model, model.tasks.get(task), at, { output: null });
  },
  EventAwaited(model, at, { task, name }) {
    const item = addTask(model, at, task, { kind: "wait", name, state: "waiting" });
    const raised = model.raised.get(name)?.shift();
    if (raised) {
      take(model, at, item, raised);
    } else {
      if (!model.waits.has(name)) model.waits.set(name, []);
      model.waits.get(name).push(item);
    }
  },
  EventRaised(model, at, { name, input, from }) {
    raise(model, at, name, input, { from });
  },
  TaskCancelled(model, at, { task, requeued }) {
    const item = model.tasks.get(task);
    if (!item) return;
    if (requeued) {
      const event = model.byKey.get(item.event);
      const next = model.waits.get(item.name)?.shift();
      if (event && next) take(model, at, next, event);
      else if (event) {
        Object.assign(event, { state: "waiting", endedAt: null, takenBy: undefined });
        queue(model, item.name).unshift(event);
      }
      item.event = undefined;
    } else {
      const waits = model.waits.get(item.name) ?? [];
      model.waits.set(item.name, waits.filter((wait) => wait !== item));
      if (item.endedAt !== null) return;
    }
    giveUp(model, item, at);
  },
  TaskCompleted(model, at, event) {
    const item = model.tasks.get(event.task);
    if (!item) return;
    close(item, at, event, "completed");
    complete(model, item, at, { output: event.output });
  },
  AttemptFailed: attemptFailed,
  AttemptLost(model, at, event) {
    const item = model.tasks.get(event.task);
    if (!item) return;
    close(item, at, event, "lost");
    item.unknown = true;
    item.state = "running";
    open(item, event.attempt + 1, at);
  },
  LateResult(model, at, event) {
    const item = model.tasks.get(event.task);
    if (!item) return;
    const number = event.attempt;
    item.late = [...(item.late ?? []), { ...event, at, number }];
  },
  RetriesEnded(model, at, { task }) {
    const item = model.tasks.get(task);
    if (!item) return;
    item.attempts = item.attempts.filter((attempt) => attempt.endedAt !== null);
    const failure = { code: "host.cancelled", kind: "cancelled", message: "It is not attempted again, because it is to be undone." };
    complete(model, item, at, { failure });
  },
  Unwinding(model, at, { cause }) {
    model.unwinding = { cause, at, index: model.events };
    model.blocked = null;
    model.undos.begin();
    stopWaiting(model, at);
    mark(model, at, "unwinding", causeOf(cause).text, { cause });
  },
  Repaired(model, at, event) {
    model.repairs.push({ ...event, at, index: model.events });
    const item = model.tasks.get(Number(event.step));
    const isStep = !String(event.step).includes(".") && item?.state === "stuck";
    if (!isStep) return model.undos.repair(at, event);
    const [how, given] = repairOf(event);
    unstick(item, at);
    (item.repairs ??= []).push({ ...event, at, how, given });
    if (how === "done") return complete(model, item, at, { output: given });
    if (how === "failed") return complete(model, item, at, { failure: item.failure });
    if (how === "retryWith") item.mended = given;
    item.state = "running";
    item.failure = undefined;
    open(item, (item.attempts.at(-1)?.number ?? 0) + 1, at);
  },
  Suspended(model, at, { reason }) {
    model.suspended = true;
    mark(model, at, "suspended", reason);
  },
  Resumed(model, at, { reason }) {
    model.suspended = false;
    mark(model, at, "resumed", reason);
  },
  StatusSet(model, at, { status }) {
    model.customStatus = status;
    model.statuses.push({ at, index: model.events, status });
  },
  Logged(model, at, { level, message }) {
    model.logs.push({ at, index: model.events, level, message });
  },
  ContinuedAsNew(model, at, { input }) {
    mark(model, at, "continued", "continued as new", { input });
  },
  Blocked(model, at, event) {
    model.blocked = { ...event, at };
    mark(model, at, "blocked", event.reason ?? "");
  },
  Unblocked(model, at) {
    model.blocked = null;
    mark(model, at, "unblocked", "");
  },
  Completed: (model, at, { output }) => finish(model, at, "Completed", { output }),
  Failed: (model, at, { failure }) => finish(model, at, "Failed", { failure }),
  Canceled: (model, at, { reason }) => finish(model, at, "Canceled", { reason }),
  Terminated: (model, at, { reason }) => finish(model, at, "Terminated", { reason }),
  Rewound(model, at, event) {
    model.run += 1;
    Object.assign(model, {
      tasks: new Map(), end: null, unwinding: null, blocked: null, suspended: false,
      pastPivot: false, waits: new Map(), raised: new Map(), fresh: [], after: [], asking: false,
      locks: null, scopes: [{ scope: 0, parent: 0, parallel: false }],
      waiting: new Set(), pivots: new Set(),
    });
    beginUndos(model);
    mark(model, at, "rewound", event.reason ?? "");
  },
  Recalled(model, at, event) {
    const item = model.tasks.get(event.task);
    if (!item) return;
    const same = (found) => found.run < item.run && found.kind === item.kind
      && found.name === item.name && found.state === "completed" && !found.undoneBy
      && JSON.stringify(found.input) === JSON.stringify(item.input);
    const before = model.items.filter(same);
    const found = before.find((found) => found.endedAt === event.at) ?? before[0];
    item.recalled = found?.key ?? true;
    item.attempts = [];
    complete(model, item, at, { output: found?.output });
  },
  ...undoEvents,
  ...mailEvents,
};

/** Whether events of this kind are known here. */
export const isKnown = (kind) => Object.hasOwn(EVENTS, kind);

/** Applies one more record, `{index, time, event}`, to the model. */
export function apply(model, { time, event }) {
  const [kind, body] = kindOf(event);
  if (model.end === null && time > (model.updated ?? 0)) model.updated = time;
  if (isKnown(kind)) EVENTS[kind](model, time, body);
  else {
    model.others.push({ at: time, index: model.events, kind, event });
    mark(model, time, "other", kind);
  }
  model.events += 1;
}

/** The runtime status, as the API spells it. */
export function statusOf(model) {
  if (model.end) return model.end.status;
  if (model.suspended && !model.unwinding) return "Suspended";
  return model.pending && !model.unwinding ? "Pending" : "Running";
}

export { sagaState };
