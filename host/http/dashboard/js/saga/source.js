// The journal as it comes in. It goes on where a connection breaks, where the
// instance continues as new or is restarted (another journal begins), and where it
// is rewound (the journal goes on after its end).

import { api, ApiError, instancePath, send } from "../lib/api.js";
import { parse } from "../lib/json.js";
import { follow } from "../lib/sse.js";

/** How often an instance that has ended is asked for: whether it was purged, and,
 * where no stream tells of it, whether it began anew. */
const PURGED_MS = 60_000;
const ASK_MS = 10_000;

/**
 * @param {string} id
 * @param {object} options
 * @param {AbortSignal} options.signal
 * @param {(record: object) => void} options.onRecord One more record.
 * @param {() => void} options.onBegin The journal that comes begins anew.
 * @param {(state: string, error?: Error) => void} options.onState One of
 *   connecting, open, waiting, ended, gone and failed.
 */
export function journal(id, { signal, onRecord, onBegin, onState }) {
  const path = `/api/instances/${encodeURIComponent(id)}/events`;
  let stream = null;
  let length = 0;
  let execution = null;
  let failures = 0;
  let unwatch = () => {};
  let turn = 0;

  function connect(from) {
    if (signal.aborted) return;
    let ended = false;
    stream = follow(path, {
      signal,
      query: from > 0 ? { after: from } : undefined,
      onEvent: ({ event, data }) => {
        if (event === "end") {
          ended = true;
          stream.close();
          onState("ended");
          watch();
        } else if (typeof data?.index === "number") {
          failures = 0;
          take(data);
        }
      },
      onState: (state, error) => {
        if (ended || signal.aborted) return;
        if (state === "failed") onState(error?.status === 404 ? "gone" : "failed", error);
        else if (state === "open" || state === "connecting") onState(state);
        else if (state === "waiting") {
          // Whether it is the same journal still is seen before it goes on.
          ended = true;
          stream.close();
          onState("waiting");
          failures += 1;
          later(again, Math.min(500 * 2 ** failures, 15_000));
        }
      },
    });
  }

  function take(record) {
    if (record.index === 0) {
      if (length > 0) onBegin();
      execution = record.event?.Started?.execution ?? null;
      length = 0;
    }
    if (record.index < length) return;
    length = record.index + 1;
    onRecord(record);
  }

  async function again() {
    turn += 1;
    const mine = turn;
    if (signal.aborted) return;
    if (document.hidden) await visible(signal);
    if (signal.aborted) return;
    try {
      const from = await isSame() ? length : 0;
      if (mine === turn) connect(from);
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ApiError && error.status === 404) onState("gone", error);
      else {
        failures += 1;
        later(again, Math.min(500 * 2 ** failures, 15_000));
      }
    }
  }

  /** Whether the journal that is there now is the one that was read. */
  async function isSame() {
    if (execution === null) return false;
    const asked = new AbortController();
    const stop = () => asked.abort();
    signal.addEventListener("abort", stop, { once: true });
    try {
      const response = await send("GET", path, { signal: asked.signal, headers: { accept: "text/event-stream" } });
      if (!response.ok) throw new ApiError(response.status, `The host answered ${response.status}.`);
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      for (;;) {
        const { done, value } = await reader.read();
        text += value ?? "";
        const data = /^data: ?(\{.*)\r?\n/m.exec(text);
        if (data) return parse(data[1]).event?.Started?.execution === execution;
        if (done) return false;
      }
    } finally {
      signal.removeEventListener("abort", stop);
      asked.abort();
    }
  }

  /** It has ended: waits until something happens to it all the same. */
  function watch() {
    let done = false;
    unwatch = () => {
      done = true;
      changes.close();
      clearInterval(asking);
    };
    const go = () => {
      if (done || signal.aborted) return;
      unwatch();
      again();
    };
    let updated = null;
    const ask = async () => {
      try {
        const now = await api.get(instancePath(id), { signal, query: { showInput: "false" } });
        const sign = `${now.createdTime} ${now.lastUpdatedTime} ${now.runtimeStatus}`;
        updated ??= sign;
        if (sign !== updated) go();
      } catch (error) {
        if (error instanceof ApiError && error.status === 404) {
          unwatch();
          onState("gone", error);
        }
      }
    };
    const every = (ms) => setInterval(() => document.hidden || ask(), ms);
    let asking = every(PURGED_MS);
    const changes = follow("/api/events", {
      query: { idPrefix: id }, signal,
      onEvent: ({ event, data }) => {
        if (event === "reset" || (event === "change" && data?.id === id)) go();
      },
      onState: (state) => {
        if (state !== "failed" || done) return;
        // A host without that stream, or a key that is not enough for it.
        clearInterval(asking);
        ask();
        asking = every(ASK_MS);
      },
    });
    signal.addEventListener("abort", () => clearInterval(asking), { once: true });
  }

  function later(action, ms) {
    const timer = setTimeout(action, ms);
    signal.addEventListener("abort", () => clearTimeout(timer), { once: true });
  }

  connect(0);
  return {
    /** Looks again, now: something was done that begins it anew, or it failed. */
    again() {
      unwatch();
      stream?.close();
      again();
    },
  };
}

function visible(signal) {
  return new Promise((resolve) => {
    const look = () => {
      if (document.hidden && !signal.aborted) return;
      document.removeEventListener("visibilitychange", look);
      resolve();
    };
    document.addEventListener("visibilitychange", look);
    signal.addEventListener("abort", look, { once: true });
  });
}
