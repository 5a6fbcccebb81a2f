/** The list of sagas. What it shows is the query of its address. */

import { api, withQuery } from "../lib/api.js";
import { clear, debounce, fill, h, setText, throttle } from "../lib/dom.js";
import { errorBox, toast } from "../lib/dialog.js";
import { count, number } from "../lib/format.js";
import { icon } from "../lib/icons.js";
import { follow } from "../lib/sse.js";
import { STREAM_WORDS } from "./changes.js";
import { batchBar } from "./sagas/batch.js";
import { chooser, chosen } from "./sagas/columns.js";
import { filters } from "./sagas/filters.js";
import { grid } from "./sagas/grid.js";
import { histogram } from "./sagas/histogram.js";
import { Listing } from "./sagas/listing.js";
import { fits, isNarrow, read, write } from "./sagas/query.js";
import { Selection } from "./sagas/selection.js";

/** How many can be picked at once by the filter. */
const MOST_PICKED = 10_000;

/** The list as it was left, for who comes back to it. */
let left = null;
const LEFT_MS = 300_000;

export function mount(main, { query, signal, session, navigate, announce }) {
  const mayAct = session.mayManage && !session.readOnly;
  let filter = read(query);
  let listing = null;
  let asked = new AbortController();
  let stream = null;
  const fresh = new Set();
  let between = false;
  let taking = false;

  const selection = mayAct ? new Selection(() => bar.update()) : null;
  const table = grid({ onSort: sort, selection });
  const bar = mayAct ? batchBar({ selection, onAll: pickAll, onDone: acted }) : null;
  const live = h("span", { class: "live", role: "status", data: { state: "connecting" } }, STREAM_WORDS.connecting);
  const news = h("button", { type: "button", class: "button small news", hidden: true, on: { click: reload } });
  const newsSaid = h("span", { class: "hidden", "aria-live": "polite" });
  const state = h("span", { class: "faint small num", role: "status" });
  const again = h("button", { type: "button", class: "button", on: { click: reload } }, icon("again"), "Read again");
  const picture = histogram({ onPick: (from, to) => change({ from, to }, false) });
  const form = filters({ onChange: change, tools: [chooser((columns) => table.setColumns(columns)), again] });
  const trouble = h("div", null);

  fill(main,
    h("div", { class: "page-head sagas-head" }, h("h1", null, "Sagas"), live,
      h("span", { class: "push row" }, news, newsSaid, state)),
    form.element, form.chips, picture.element, trouble, table.element, bar?.element);
  table.setColumns(chosen());

  const redraw = throttle(() => table.redraw(), 100);

  function change(part, replace) {
    const next = { ...filter, ...part };
    navigate(withQuery("/sagas", write(next)), { replace });
  }

  function sort(by) {
    const order = filter.sort === by && filter.order === "desc" ? "asc" : "desc";
    change({ sort: by, order }, false);
  }

  /** Reads the list from its beginning. */
  function reload() {
    asked.abort();
    asked = new AbortController();
    listing?.stop();
    fresh.clear();
    tellNews();
    begin(new Listing(filter, () => listed()));
    picture.load(filter, asked.signal);
    watch();
  }

  function begin(next) {
    listing = next;
    listing.onChange = listed;
    if (selection) selection.listing = listing;
    clear(trouble);
    table.setListing(listing);
    form.show(filter);
    listed();
  }

  function listed() {
    redraw();
    catchUp();
    selection?.mark();
    const all = listing.complete ? "" : listing.loading ? ", looking for more" : ", more below";
    setText(state, `${count(listing.length, "saga")}${all}`);
    if (listing.error) {
      if (!trouble.firstChild) fill(trouble, errorBox(listing.error, () => { clear(trouble); listing.retry(); }));
    } else {
      clear(trouble);
    }
    table.setFoot(footOf());
  }

  function footOf() {
    if (listing.error) return null;
    if (!listing.complete) {
      return h("p", { class: "faint grid-more" }, listing.length ? "Reading more…" : "Looking…");
    }
    if (listing.length) return h("p", { class: "faint grid-more" }, `That is all: ${count(listing.length, "saga")}.`);
    return h("div", { class: "empty" },
      h("p", null, isNarrow(filter) ? "No saga fits this filter." : "No saga was started yet."),
      isNarrow(filter) ? h("p", null, h("a", { href: "/sagas" }, "Show all sagas"))
        : h("p", null, h("a", { href: "/functions" }, "Start one from the functions")));
  }

  /** Follows what changes: rows that are shown change where they are. What is new
   * comes on top where somebody looks at the newest; otherwise it is only told, so
   * that nothing moves. */
  function watch(lastId = "") {
    stream?.close();
    let begun = lastId !== "";
    stream = follow("/api/events", {
      signal, lastId, query: { name: filter.name, idPrefix: filter.idPrefix },
      onState: (next) => {
        live.dataset.state = next;
        setText(live, STREAM_WORDS[next]);
        if (next !== "open" || begun) return;
        begun = true;
        between = true;
        catchUp();
      },
      onEvent: ({ event, data }) => {
        if (event === "reset") {
          fresh.add("");
          tellNews();
        } else if (event === "change" && typeof data === "object") {
          changed(data);
        }
      },
    });
  }

  function changed(data) {
    const row = listing.find(data.id);
    if (data.kinds?.includes("Purged")) {
      if (fresh.delete(data.id)) tellNews();
      // Another may have its id by now.
      if (row && row.created <= data.created) removed(row);
      return;
    }
    if (row) {
      row.runtimeStatus = data.runtimeStatus;
      row.sagaState = data.sagaState;
      row.updated = data.updated;
      row.stuck = data.sagaState === "stuck";
      if (selection?.picked.has(row.id)) selection.picked.set(row.id, row);
      redraw();
    } else if (isNew(data) && fits(filter, data) && fresh.size < 10_000) {
      fresh.add(data.id);
      tellNews();
    }
  }

  /** Takes out a row that is there no more. */
  function removed(row) {
    listing.remove(row.id);
    selection?.picked.delete(row.id);
    selection?.changed();
    listed();
  }

  /** Whether it was started since the list was read. */
  function isNew(data) {
    return data.created === undefined ? data.kinds?.includes("Started") : data.created >= listing.at;
  }

  /** Whether what is new is put on top of the list by itself. */
  function follows() {
    return filter.sort === "created" && filter.order === "desc" && table.atTop() && !selection?.size
      && !document.querySelector("dialog[open]") && !document.hidden && !fresh.has("");
  }

  /** Takes what began after the list was read and before the stream was there. */
  function catchUp() {
    if (!between || !listing.begun) return;
    between = false;
    takeNew();
  }

  async function takeNew() {
    if (taking || !listing.begun || !follows()) return;
    taking = true;
    const mine = listing;
    const told = [...fresh];
    try {
      const ids = await mine.newer();
      if (mine !== listing || ids === null) return;
      for (const id of [...told, ...ids]) fresh.delete(id);
    } catch {
      // They are told of, and can be asked for by hand.
    } finally {
      taking = false;
      if (mine === listing) showNews();
    }
    if (fresh.size) tellNews();
  }

  const sayNews = debounce(() => setText(newsSaid, news.hidden ? "" : news.textContent), 3000);
  const tellNews = throttle(() => {
    if (fresh.size && listing.begun && follows()) takeNew();
    else showNews();
  }, 500);

  function showNews() {
    news.hidden = fresh.size === 0;
    if (fresh.size) fill(news, icon("up"), fresh.has("") ? "Something was missed: read again" : `${number(fresh.size)} new`);
    sayNews();
  }

  async function pickAll() {
    const mine = asked.signal;
    let token = null;
    const rows = new Map();
    toast(`Picking up to ${number(MOST_PICKED)} sagas that fit the filter.`);
    try {
      do {
        const answer = await api.get("/api/instances", {
          signal: mine, query: { ...write(filter), top: 1000, token },
        });
        for (const row of answer.instances) if (rows.size < MOST_PICKED) rows.set(row.id, row);
        token = answer.next ?? null;
      } while (token !== null && rows.size < MOST_PICKED);
    } catch (error) {
      if (!mine.aborted) toast(`Not all could be picked: ${error.message}`, { kind: "bad" });
      return;
    }
    selection.set(rows.values());
    announce(`${count(rows.size, "saga")} picked${token === null ? "" : ", and there are more"}`);
    if (token !== null) toast(`${number(MOST_PICKED)} are picked; there are more that fit.`);
  }

  function acted(faults, done) {
    table.setFaults(faults);
    for (const id of done) selection.picked.delete(id);
    selection.changed();
    if (done.length) reload();
    if (faults.size) table.setFaults(faults);
  }

  api.get("/api/functions", { signal }).then((got) => {
    const all = Array.isArray(got) ? got : got.functions ?? [];
    form.offer(all.filter((one) => one.kind === "orchestrator").map((one) => one.name).sort());
  }).catch(() => { /* Names can be typed, too. */ });

  let here = location.search;
  if (left?.search === here && Date.now() - left.at < LEFT_MS && left.listing.length) {
    const { place } = left;
    const was = left.listing;
    was.stopper = new AbortController();
    was.error = null;
    begin(was);
    table.goTo(place);
    picture.load(filter, asked.signal);
    // What happened in between is told from where the stream was left.
    watch(left.lastId);
  } else {
    reload();
  }

  return {
    update(next) {
      here = location.search;
      filter = read(next);
      selection?.clear();
      reload();
    },
    leave() {
      left = { search: here, listing, place: table.where(), lastId: stream.lastId(), at: Date.now() };
      asked.abort();
      listing.stop();
      redraw.cancel();
      table.leave();
    },
  };
}
