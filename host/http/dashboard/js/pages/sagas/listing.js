/**
 * The rows of the list, as far as they were asked for. Those that are far from
 * what is looked at are forgotten and asked for again: a list of a million
 * rows takes no more memory than one of some ten thousand.
 */

import { api } from "../../lib/api.js";
import { hostNow } from "../../lib/clock.js";
import { write } from "./query.js";

/** Rows asked for at first, and at a time by who scrolls on; about how many are kept. */
const PAGE = 200;
const NEXT = 1000;
const KEPT = 20_000;

/** How long to wait before the host is asked to look further. */
const PAUSE_MS = 20;

/** How often a page that was forgotten is asked for until all of it is there. */
const TRIES = 50;

/** How many rows may come on top of the list before it is read again instead. */
const MOST_ON_TOP = 2000;

/**
 * One answer: where it begins in the list, how many rows it had, and how to
 * ask for it again. Its rows are null where they were forgotten. The one that is
 * `top` has what was created after the list was read.
 *
 * @typedef {{token: string|null, next: string|null, start: number,
 *   count: number, rows: Object[]|null, coming: boolean, used: number, top?: boolean}} Page
 */

export class Listing {
  /**
   * @param {import("./query.js").Filter} filter
   * @param {() => void} onChange Called when there is something else to show.
   */
  constructor(filter, onChange) {
    this.filter = filter;
    this.onChange = onChange;
    /** @type {Page[]} */
    this.pages = [];
    this.places = new Map();
    this.length = 0;
    this.kept = 0;
    this.wanted = 0;
    this.next = null;
    this.begun = false;
    this.loading = false;
    this.error = null;
    this.at = hostNow();
    this.stopper = new AbortController();
  }

  /** Whether all rows were asked for. */
  get complete() {
    return this.begun && this.next === null;
  }

  /** Stops asking. */
  stop() {
    this.stopper.abort();
  }

  /** The row of a place; null while it is asked for again. */
  row(index) {
    const page = this.pageOf(index);
    return page?.rows ? page.rows[index - page.start] ?? null : null;
  }

  /** The row of an id, if it is kept. */
  find(id) {
    return this.places.get(id) ?? null;
  }

  /** All rows that are kept, in no order that counts. */
  rows() {
    return this.places.values();
  }

  pageOf(index) {
    let low = 0;
    let high = this.pages.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const page = this.pages[middle];
      if (index < page.start) high = middle - 1;
      else if (index >= page.start + page.count) low = middle + 1;
      else return page;
    }
    return null;
  }

  /** Makes sure that the rows from one place to another are there or coming. */
  want(from, to) {
    for (let index = Math.max(0, from); index < Math.min(to, this.length);) {
      const page = this.pageOf(index);
      if (!page) break;
      page.used = performance.now();
      if (!page.rows && !page.coming) this.again(page);
      index = page.start + page.count;
    }
    this.wanted = to;
    this.more();
  }

  /** Asks once more after an error. */
  retry() {
    this.error = null;
    this.more();
    this.onChange();
  }

  /** Asks for rows until there are as many as are wanted. An answer may have
   * few or none, if the host has to look further than it can at once. */
  async more() {
    const { signal } = this.stopper;
    if (this.loading) return;
    this.loading = true;
    try {
      while (!signal.aborted && !this.error && !this.complete && this.length < this.wanted) {
        const top = this.begun && this.length >= PAGE ? NEXT : PAGE;
        const answer = await api.get("/api/instances", {
          signal, query: { ...write(this.filter), top, token: this.next },
        });
        this.add(answer);
        this.onChange();
        if (answer.instances.length < top) {
          await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
        }
      }
    } catch (error) {
      if (signal.aborted) return;
      this.error = error;
    } finally {
      this.loading = false;
    }
    if (!signal.aborted) this.onChange();
  }

  add({ instances, next }) {
    // What changed between two answers may be in both.
    const rows = instances.filter((row) => !this.places.has(row.id));
    const page = {
      token: this.next, next: next ?? null, start: this.length, count: rows.length, rows,
      coming: false, used: performance.now(),
    };
    this.next = page.next;
    this.begun = true;
    if (!rows.length) return;
    this.pages.push(page);
    this.length += rows.length;
    this.keep(page, rows);
  }

  /**
   * Asks for what was created since and puts it on top of the list, which begins
   * with the newest.
   *
   * @returns {Promise<string[]|null>} The ids of the new rows; null if there are so
   *   many that the list is better read again.
   */
  async newer() {
    const { signal } = this.stopper;
    const newest = this.row(0)?.created ?? null;
    const asked = write(this.filter);
    const rows = [];
    let token = null;
    for (let tries = 0; tries < TRIES && rows.length < PAGE; tries += 1) {
      const answer = await api.get("/api/instances", {
        signal, query: { ...asked, from: Math.max(newest ?? 0, asked.from ?? 0) || null, top: PAGE, token },
      });
      rows.push(...answer.instances.filter((row) => !this.places.has(row.id)));
      token = answer.next ?? null;
      if (token === null) break;
    }
    const top = this.pages[0]?.top ? this.pages[0] : null;
    if (token !== null || rows.length + (top?.count ?? 0) > MOST_ON_TOP) return null;
    if (signal.aborted || !rows.length) return [];
    for (const row of rows) row.fresh = true;
    const page = top ?? { token: null, next: null, start: 0, count: 0, rows: [], coming: false, used: 0, top: true };
    if (!top) this.pages.unshift(page);
    this.kept -= page.count;
    const all = [...rows, ...page.rows];
    this.resize(page, all.length);
    this.keep(page, all);
    this.onChange();
    return rows.map((row) => row.id);
  }

  /** Takes out the row of an id, if it is kept: those that follow move up. */
  remove(id) {
    const page = this.pages.find(({ rows }) => rows?.some((row) => row.id === id));
    if (!page) return;
    this.places.delete(id);
    this.kept -= 1;
    page.rows = page.rows.filter((row) => row.id !== id);
    this.resize(page, page.rows.length);
  }

  keep(page, rows) {
    page.rows = rows;
    this.kept += rows.length;
    for (const row of rows) this.places.set(row.id, row);
    this.forget(page);
  }

  /** Reads a page again that was forgotten. */
  async again(page) {
    const { signal } = this.stopper;
    page.coming = true;
    try {
      const rows = [];
      let token = page.token;
      for (let tries = 0; tries < TRIES && rows.length < page.count; tries += 1) {
        const answer = await api.get("/api/instances", {
          signal, query: { ...write(this.filter), top: page.count - rows.length, token },
        });
        rows.push(...answer.instances.filter((row) => !this.places.has(row.id)));
        token = answer.next ?? null;
        if (token === null || token === page.next) break;
      }
      // Rows may have been purged since: those that follow move up.
      if (rows.length !== page.count) this.resize(page, rows.length);
      this.keep(page, rows);
    } catch (error) {
      if (!signal.aborted) this.error = error;
    } finally {
      page.coming = false;
    }
    if (!signal.aborted) this.onChange();
  }

  resize(page, count) {
    page.count = count;
    let start = page.start;
    for (const one of this.pages.slice(this.pages.indexOf(page))) {
      one.start = start;
      start += one.count;
    }
    this.length = start;
  }

  /** Lets go of the rows that were looked at the longest ago. */
  forget(but) {
    if (this.kept <= KEPT) return;
    // What is at the top cannot be asked for again: newer ones would come.
    const full = this.pages.filter((page) => page.rows && page !== but && page.token !== null);
    full.sort((a, b) => a.used - b.used);
    for (const page of full) {
      if (this.kept <= KEPT * 0.8) return;
      for (const row of page.rows) this.places.delete(row.id);
      this.kept -= page.rows.length;
      page.rows = null;
    }
  }
}
