/**
 * The filter of the list. It is the query of the page's address, and, with the
 * same words, that of the API.
 */

import { SAGA_STATES, STATUSES } from "../../lib/format.js";

/**
 * @typedef {{search: string, status: string[], saga: string[], name: string,
 *   idPrefix: string, tags: string[], from: number|null, to: number|null,
 *   sort: "created"|"updated", order: "asc"|"desc"}} Filter
 */

/** @returns {Filter} What an address asks for; what it cannot ask is left out. */
export function read(query) {
  const list = (name, known) =>
    (query.get(name) ?? "").split(",").filter((value) => known.includes(value));
  const at = (name) => {
    const value = Number(query.get(name));
    return query.get(name) && Number.isFinite(value) ? value : null;
  };
  return {
    search: query.get("search") ?? "",
    status: list("status", STATUSES),
    saga: list("saga", SAGA_STATES),
    name: query.get("name") ?? "",
    idPrefix: query.get("idPrefix") ?? "",
    tags: query.getAll("tag").filter(isTag),
    from: at("from"),
    to: at("to"),
    sort: query.get("sort") === "updated" ? "updated" : "created",
    order: query.get("order") === "asc" ? "asc" : "desc",
  };
}

/** Whether a text is a tag: a word, a colon, and a value. */
export function isTag(text) {
  return /^[^:]+:/.test(text);
}

/** The filter as a query, without what is not set. */
export function write(filter) {
  return {
    search: filter.search,
    status: filter.status.join(","),
    saga: filter.saga.join(","),
    name: filter.name,
    idPrefix: filter.idPrefix,
    tag: filter.tags,
    from: filter.from,
    to: filter.to,
    sort: filter.sort === "created" ? "" : filter.sort,
    order: filter.order === "desc" ? "" : filter.order,
  };
}

/** The filter without sorting, for the histogram. */
export function narrowing(filter) {
  const { sort: _sort, order: _order, ...rest } = write(filter);
  return rest;
}

/** Whether the filter leaves anything out. */
export function isNarrow(filter) {
  return Object.values(narrowing(filter)).some((value) =>
    (Array.isArray(value) ? value.length > 0 : value !== "" && value !== null));
}

/**
 * Whether what changed would be in the list. Tags are not told of with a
 * change; with a filter for one nothing is taken to fit.
 */
export function fits(filter, change) {
  const word = filter.search.toLowerCase();
  return (!filter.status.length || filter.status.includes(change.runtimeStatus))
    && (!filter.saga.length || filter.saga.includes(change.sagaState))
    && (!filter.name || change.name === filter.name)
    && (!filter.idPrefix || change.id.startsWith(filter.idPrefix))
    && (!word || change.id.toLowerCase().includes(word) || change.name.toLowerCase().includes(word))
    && filter.tags.length === 0
    && (filter.from === null || (change.created ?? 0) >= filter.from)
    && (filter.to === null || (change.created ?? 0) <= filter.to);
}
