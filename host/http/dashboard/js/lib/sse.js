/**
 * Following server-sent events. `EventSource` cannot send a header, and so no
 * API key; this reads the stream of an ordinary request.
 */

import { ApiError, send } from "./api.js";
import { parse } from "./json.js";

/** A stream on which nothing came for so long, not even a comment, is dead. */
const SILENCE_MS = 60_000;

/** How long a hidden tab stays connected: a browser has few connections for
 * one host, which would be used up by tabs that nobody looks at. */
const HIDDEN_MS = 10_000;

/**
 * Follows a stream until it is told to stop, connects again where it breaks
 * off, and goes on after the last event that came.
 *
 * @param {string} path
 * @param {object} options
 * @param {Object} [options.query]
 * @param {(event: {event: string, id: string, data: *}) => void} options.onEvent
 *   `data` is what the JSON says, or the text if it is none.
 * @param {(state: "connecting"|"open"|"waiting"|"paused"|"failed"|"closed",
 *   error?: Error) => void} [options.onState] `waiting` tells of the time until
 *   the next try, `paused` of a hidden tab; after `failed` and `closed` nothing
 *   follows.
 * @param {AbortSignal} [options.signal]
 * @param {string} [options.lastId] Go on after this event.
 * @returns {{close: () => void, lastId: () => string}}
 */
export function follow(path, { query, onEvent, onState = () => {}, signal, lastId = "" }) {
  const ended = new AbortController();
  let last = lastId;
  let retryMs = 1000;
  let state = "";
  const tell = (next, error) => {
    if (next === state && !error) return;
    state = next;
    onState(next, error);
  };
  const close = () => ended.abort();
  if (signal?.aborted) close();
  signal?.addEventListener("abort", close, { once: true });

  async function run() {
    let failures = 0;
    while (!ended.signal.aborted) {
      if (document.hidden) await shown(ended.signal, tell);
      if (ended.signal.aborted) break;
      tell("connecting");
      try {
        await once(() => { failures = 0; tell("open"); });
      } catch (error) {
        if (ended.signal.aborted) break;
        if (error instanceof ApiError && fatal(error.status)) {
          tell("failed", error);
          return;
        }
        failures += 1;
      }
      if (ended.signal.aborted) break;
      tell("waiting");
      const wait = Math.min(retryMs * 2 ** Math.min(failures, 5), 15_000);
      await sleep(wait * (0.75 + Math.random() / 2), ended.signal);
    }
    tell("closed");
  }

  async function once(opened) {
    const connection = new AbortController();
    const abort = () => connection.abort();
    ended.signal.addEventListener("abort", abort, { once: true });
    let silence = 0;
    let hidden = 0;
    const alive = () => {
      clearTimeout(silence);
      silence = setTimeout(abort, SILENCE_MS);
    };
    const visibility = () => {
      clearTimeout(hidden);
      if (document.hidden) hidden = setTimeout(abort, HIDDEN_MS);
    };
    document.addEventListener("visibilitychange", visibility);
    visibility();
    try {
      alive();
      const headers = { accept: "text/event-stream" };
      if (last) headers["last-event-id"] = last;
      const response = await send("GET", path, { query, headers, signal: connection.signal });
      if (!response.ok) {
        let said = "";
        try {
          said = (await response.json()).Message ?? "";
        } catch { /* The status says enough. */ }
        throw new ApiError(response.status, said || `The host answered ${response.status}.`);
      }
      opened();
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      const feed = reading(deliver, (ms) => { retryMs = ms; });
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        alive();
        feed(value);
        if (ended.signal.aborted) return;
      }
    } finally {
      clearTimeout(silence);
      clearTimeout(hidden);
      document.removeEventListener("visibilitychange", visibility);
      ended.signal.removeEventListener("abort", abort);
      connection.abort();
    }
  }

  function deliver({ event, id, text }) {
    if (id !== null) last = id;
    if (text === null || ended.signal.aborted) return;
    let data = text;
    try {
      data = parse(text);
    } catch { /* Not everything is JSON. */ }
    onEvent({ event, id: last, data });
  }

  run();
  return { close, lastId: () => last };
}

/** Whether asking again would not help. */
function fatal(status) {
  return status >= 400 && status < 500 && status !== 408 && status !== 429;
}

/** Takes the stream apart: calls back with each event. */
function reading(deliver, retry) {
  let rest = "";
  let event = "";
  let id = null;
  let data = [];
  const line = (text) => {
    if (text === "") {
      deliver({ event: event || "message", id, text: data.length ? data.join("\n") : null });
      event = "";
      id = null;
      data = [];
      return;
    }
    const colon = text.indexOf(":");
    if (colon === 0) return;
    const field = colon < 0 ? text : text.slice(0, colon);
    const value = colon < 0 ? "" : text.slice(colon + 1).replace(/^ /, "");
    if (field === "data") data.push(value);
    else if (field === "event") event = value;
    else if (field === "id" && !value.includes("\0")) id = value;
    else if (field === "retry" && /^\d+$/.test(value)) retry(Number(value));
  };
  return (chunk) => {
    rest += chunk;
    // A carriage return at the end may be the first half of a line's end.
    const held = rest.endsWith("\r") ? 1 : 0;
    const lines = rest.slice(0, rest.length - held).split(/\r\n|\n|\r/);
    const carried = lines.pop();
    rest = carried + (held ? "\r" : "");
    for (const text of lines) line(text);
  };
}

function sleep(ms, signal) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
  });
}

/** Waits until the tab can be seen. */
function shown(signal, tell) {
  tell("paused");
  return new Promise((resolve) => {
    const look = () => {
      if (document.hidden && !signal.aborted) return;
      document.removeEventListener("visibilitychange", look);
      signal.removeEventListener("abort", look);
      resolve();
    };
    document.addEventListener("visibilitychange", look);
    signal.addEventListener("abort", look);
  });
}
