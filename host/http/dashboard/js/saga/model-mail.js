// What an orchestration sends: letters, calls of entities, and locks. Each has a
// number among its letters, which is journaled only for some of them, and counted
// here as the host counts it (host/core/src/letters.rs).

import { add, complete } from "./model.js";

export const entityName = ({ name, key }) => `@${name}@${key}`;

function post(model, item) {
  model.letters += 1;
  if (item) model.mail.set(model.letters, item);
}

function task(model, at, event, item) {
  const whole = add(model, {
    key: `t${event.task}`, task: event.task, scheduledAt: at, forward: true, state: "waiting",
    ...item,
  });
  model.tasks.set(event.task, whole);
  return whole;
}

function lockNext(model, at) {
  const { item, entities, granted } = model.locks;
  if (granted < entities.length) post(model, item);
  else complete(model, item, at, { output: null });
}

/** The events of mail. */
export const mailEvents = {
  Sent(model, at, { number, to, parcel }) {
    const kind = Object.keys(parcel ?? {})[0] ?? "";
    const said = parcel?.[kind] ?? {};
    const item = add(model, {
      key: `l${number}`, kind: "letter", number, to, parcel: kind, scheduledAt: at, forward: true,
      name: said.name ?? said.operation ?? kind, input: said.input, said, state: "waiting",
    });
    model.letters = number;
    model.mail.set(number, item);
  },
  EntityCalled(model, at, event) {
    const { entity, operation, input, refused } = event;
    const item = task(model, at, event, { kind: "entity", name: operation, entity, input });
    if (refused) complete(model, item, at, { failure: refused });
    else post(model, item);
  },
  EntityAnswered(model, at, { task: number, outcome }) {
    const item = model.tasks.get(number);
    const failed = outcome !== null && typeof outcome === "object" && "Err" in outcome;
    complete(model, item, at, failed ? { failure: outcome.Err } : { output: outcome?.Ok });
  },
  LocksRequested(model, at, event) {
    const { entities, refused } = event;
    const name = entities.map(entityName).join(", ");
    const item = task(model, at, event, { kind: "lock", name, entities, granted: [] });
    if (refused) return complete(model, item, at, { failure: refused });
    model.locks = { item, entities, granted: 0 };
    lockNext(model, at);
  },
  LockGranted(model, at, { task: number, entity }) {
    if (model.locks?.item.task !== number) return;
    model.locks.granted += 1;
    model.locks.item.granted.push({ entity, at });
    lockNext(model, at);
  },
  LocksReleased(model, at) {
    if (!model.locks) return;
    const { item, entities, granted } = model.locks;
    for (let i = 0; i < Math.min(granted + 1, entities.length); i += 1) post(model, null);
    item.releasedAt = at;
    model.locks = null;
    const message = "The locks were let go before all of them were had.";
    complete(model, item, at, { failure: { code: "host.cancelled", kind: "cancelled", message } });
  },
  Delivered(model, at, { letter, problem }) {
    const item = model.mail.get(letter);
    if (!item) return;
    if (item.kind !== "letter") {
      item.deliveredAt = at;
      if (problem !== undefined) item.problem = problem;
      return;
    }
    item.endedAt = at;
    item.state = problem === undefined ? "completed" : "failed";
    item.problem = problem;
  },
};
