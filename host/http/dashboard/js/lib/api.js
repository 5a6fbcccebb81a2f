/**
 * Asking the host. A host with API keys wants one with every request; the
 * person is asked for it when the host says so, and it is kept for this tab
 * only, until the tab is closed.
 */

import { askKey } from "./dialog.js";
import { parse, stringify } from "./json.js";

const STORED = "sagahost.key";

/** The path of the management API of Durable Functions. */
export const BASE = "/runtime/webhooks/durabletask";

/** A request that was not answered with what it asked for. */
export class ApiError extends Error {
  /**
   * @param {number} status The HTTP status; 0 if there was no answer.
   * @param {string} message What was wrong.
   * @param {{hint?: string, type?: string, data?: *}} [more] What to do
   *   about it, the host's name for the error, and the body of the answer.
   */
  constructor(status, message, { hint = "", type = "", data = null } = {}) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.hint = hint;
    this.type = type;
    this.data = data;
  }
}

const HINTS = {
  0: "Check that the host is running and that this machine can reach it.",
  401: "Give an API key of this host.",
  403: "Ask for an API key of the kind manage, or use a host that is not read-only.",
  404: "It may have been purged since this page was loaded.",
  409: "Look at its present state, and try again if that still makes sense.",
  410: "It has ended; look at its present state.",
  412: "It has not ended yet.",
  413: "Send less at a time.",
  429: "Wait a little, and try again.",
  503: "Try again in a moment; if it goes on, look at the host's log.",
};

let asking = null;

/** The key of this tab, or null. */
export function key() {
  return sessionStorage.getItem(STORED);
}

/** Keeps a key for this tab; null forgets it. */
export function setKey(value) {
  if (value) sessionStorage.setItem(STORED, value);
  else sessionStorage.removeItem(STORED);
  sessionPromise = null;
}

/**
 * Sends one request with the key, asks for a key where the host wants one,
 * and hands back the answer as it is. Throws {@link ApiError} only where no
 * answer came, or no key is given.
 *
 * @param {string} method
 * @param {string} path
 * @param {{query?: Object, headers?: Object, body?: *, signal?: AbortSignal}} [options]
 * @returns {Promise<Response>}
 */
export async function send(method, path, { query, headers, body, signal } = {}) {
  for (;;) {
    const used = key();
    const all = new Headers(headers);
    if (used) all.set("x-functions-key", used);
    let sent;
    if (body !== undefined) {
      sent = stringify(body);
      if (!all.has("content-type")) all.set("content-type", "application/json");
    }
    let response;
    try {
      response = await fetch(withQuery(path, query), {
        method, headers: all, body: sent, signal, cache: "no-store", redirect: "error",
      });
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new ApiError(0, "The host did not answer.", { hint: HINTS[0] });
    }
    if (response.status !== 401) return response;
    await response.body?.cancel();
    // Another request may have been given a key in the meantime.
    if (key() !== used) continue;
    asking ??= askKey(used !== null).finally(() => { asking = null; });
    const given = await asking;
    if (!given) {
      throw new ApiError(401, "This host asks for an API key.", { hint: HINTS[401] });
    }
    if (key() === used) setKey(given);
  }
}

/**
 * Sends one request and reads the answer.
 *
 * @param {string} method
 * @param {string} path
 * @param {{query?: Object, headers?: Object, body?: *, signal?: AbortSignal}} [options]
 *   In the query, lists repeat their key, and what is empty is left out.
 *   The body is sent as JSON.
 * @returns {Promise<{status: number, headers: Headers, data: *}>}
 * @throws {ApiError}
 */
export async function request(method, path, options = {}) {
  const response = await send(method, path, options);
  let text;
  try {
    text = await response.text();
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new ApiError(0, "The answer broke off.", { hint: HINTS[0] });
  }
  let data = null;
  if (text) {
    try {
      data = parse(text);
    } catch {
      data = text;
    }
  }
  if (!response.ok) {
    const known = data !== null && typeof data === "object";
    const said = known ? data.Message ?? data.message ?? data.failure?.message : null;
    throw new ApiError(
      response.status,
      said ?? `The host answered ${response.status} ${response.statusText}`.trim() + ".",
      { hint: HINTS[response.status] ?? "", type: (known && data.ExceptionType) || "", data },
    );
  }
  return { status: response.status, headers: response.headers, data };
}

/**
 * The bodies of answers. Each takes the options of {@link request} and
 * throws {@link ApiError}.
 */
export const api = {
  get: async (path, options) => (await request("GET", path, options)).data,
  post: async (path, options) => (await request("POST", path, options)).data,
  del: async (path, options) => (await request("DELETE", path, options)).data,
};

/**
 * @typedef {{version: string, readOnly: boolean, mayUse: boolean,
 *   mayManage: boolean, keysConfigured: boolean}} Session
 */

let sessionPromise = null;

/**
 * Who we are to this host, and what we may do. It is asked once and kept
 * until another key is given.
 *
 * @returns {Promise<Session>}
 */
export function session() {
  sessionPromise ??= api.get("/api/session").catch((error) => {
    sessionPromise = null;
    throw error;
  });
  return sessionPromise;
}

/** The path of one instance in the management API, and what follows it. */
export function instancePath(id, rest = "") {
  return `${BASE}/instances/${encodeURIComponent(id)}${rest}`;
}

/** A path with a query: lists repeat their key, what is empty is left out. */
export function withQuery(path, query) {
  const words = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) {
    for (const item of Array.isArray(value) ? value : [value]) {
      if (item !== undefined && item !== null && item !== "") words.append(name, String(item));
    }
  }
  const text = words.toString();
  return text ? `${path}${path.includes("?") ? "&" : "?"}${text}` : path;
}
