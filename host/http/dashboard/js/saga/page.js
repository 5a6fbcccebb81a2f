// The page of one saga: /sagas/{id}. What it shows is always the model after some
// event of the journal: the last one, or the one that the slider stands at.

import { hostNow } from "../lib/clock.js";
import { errorBox } from "../lib/dialog.js";
import { clear, fill, h, throttle, uid } from "../lib/dom.js";
import { actions } from "./actions.js";
import { details } from "./details.js";
import { diagram } from "./diagram.js";
import { patterns } from "./glyphs.js";
import { alerts, head, outcome } from "./head.js";
import { journalList, logList } from "./journal.js";
import { apply, empty, fold, statusOf } from "./model.js";
import { extent } from "./model-state.js";
import { repairTools } from "./repairs.js";
import { replay } from "./replay.js";
import { journal } from "./source.js";
import { itemTable } from "./table.js";
import { timeline } from "./timeline.js";

const VIEWS = [["timeline", "Timeline"], ["table", "Table"], ["diagram", "Diagram"], ["journal", "Journal"], ["logs", "Logs"]];

/**
 * Shows one saga in an element.
 *
 * @param {HTMLElement} root
 * @param {object} context See app.js; `params.id` names the saga.
 */
export function mount(root, context) {
  const { session, signal } = context;
  const id = context.params?.id ?? context.id;
  const navigate = context.navigate ?? ((url) => location.assign(url));
  let records = [];
  let live = empty();
  let at = null;
  let view = "timeline";
  let selected = null;
  let loaded = false;
  let announced = "";

  const select = (key, open = false) => {
    selected = key;
    for (const one of Object.values(views)) one.choose(key);
    draw();
    remember();
    if (open) {
      if (panel.root.getBoundingClientRect().top > innerHeight - 120) panel.root.scrollIntoView({ block: "start" });
      panel.focus();
    }
  };
  const goAt = (to) => {
    at = to === null || to >= records.length ? null : Math.max(to, 1);
    past = null;
    draw();
    remember();
  };
  const stuckTools = (item) => (at === null ? repairTools({ id, session, signal }, item)
    : h("p", { class: "faint small" }, "This is how it was then. Go to the latest event to mend what is stuck now."));

  const doing = actions({ id, session, signal, navigate, latest: () => live, again: () => source.again() });
  const top = head({ id, actions: doing.root });
  const alarm = alerts({ stuckTools, onSelect: select });
  const result = outcome();
  const slider = replay({ onAt: goAt });
  const panel = details({ onSelect: select, stuckTools });
  const views = {
    timeline: timeline({ onSelect: select }), table: itemTable({ onSelect: select }),
    diagram: diagram({ onSelect: select }), journal: journalList({ onSelect: select, onAt: goAt, id }),
    logs: logList({ onSelect: select }),
  };
  const tabs = tabList((name) => { view = name; show(); remember(); });
  const stage = h("div", { class: "saga-stage card", role: "tabpanel", id: tabs.panelId });
  const page = h("div", { class: "saga", hidden: true }, patterns(), top.root, alarm.root, result.root, slider.root,
    h("div", { class: "saga-main" },
      h("section", { class: "saga-views", "aria-label": "What happened" }, tabs.root, stage), panel.root));
  const wait = h("div", { class: "empty" }, h("h1", { tabindex: "-1", class: "break" }, id), h("p", null, "Reading the journal…"));
  root.append(wait, page);
  context.setTitle?.(id);

  let past = null;
  const model = () => {
    if (at === null) return live;
    past ??= fold(records, at);
    return past;
  };

  function show() {
    tabs.choose(view);
    stage.setAttribute("aria-labelledby", tabs.idOf(view));
    fill(stage, views[view].root);
    views[view].choose(selected);
    draw();
  }

  function draw() {
    if (!loaded) return;
    const shown = model();
    const time = nowAt(shown);
    const liveNow = nowAt(live, true);
    const next = { model: shown, now: time, records, selected, id, at, domain: extent(live, liveNow) };
    top.update(next);
    alarm.update(next);
    result.update(next);
    slider.update(next);
    doing.update(live);
    views[view].update(next);
    panel.update(next);
    const words = `${statusOf(live)}`;
    if (announced && announced !== words) context.announce?.(`${id} is ${words}`);
    announced = words;
  }

  /** The time at which a model is looked at. */
  function nowAt(shown, latest = at === null) {
    if (!latest) return records[at - 1]?.time ?? hostNow();
    if (shown.end) return Math.max(shown.end.at, records.at(-1)?.time ?? 0);
    return Math.max(hostNow(), records.at(-1)?.time ?? 0);
  }

  const drawSoon = throttle(() => signal.aborted || requestAnimationFrame(draw), 150);

  function remember() {
    const url = new URL(location.href);
    const set = (name, value) => (value ? url.searchParams.set(name, value) : url.searchParams.delete(name));
    set("view", view === "timeline" ? null : view);
    set("step", selected);
    set("at", at);
    if (url.href !== location.href) history.replaceState(history.state, "", url);
  }

  function readQuery(query) {
    const wanted = query.get("view");
    view = VIEWS.some(([name]) => name === wanted) ? wanted : "timeline";
    selected = query.get("step") || null;
    const place = Number.parseInt(query.get("at") ?? "", 10);
    at = place > 0 ? place : null;
    past = null;
  }

  function begin() {
    records = [];
    live = empty();
    at = null;
    past = null;
    views.timeline.showAll();
  }

  function take(record) {
    records.push(record);
    apply(live, record);
    if (at !== null && records.length <= at) past = null;
    if (!loaded) {
      loaded = true;
      wait.remove();
      page.hidden = false;
      // The rest of the first chunk comes before anything is drawn.
      setTimeout(() => { if (!signal.aborted) show(); }, 0);
    }
    drawSoon();
  }

  const source = journal(id, {
    signal, onRecord: take, onBegin: begin,
    onState(state, error) {
      const words = {
        connecting: "Connecting…", open: "Live", waiting: "Connection lost; trying again", ended: "It has ended",
        failed: "No connection", gone: "It is gone",
      };
      top.state(state === "ended" ? "ended" : state, words[state] ?? state);
      if (state === "gone" || state === "failed") {
        const box = errorBox(error, () => { box.remove(); source.again(); });
        if (loaded) page.prepend(box);
        else fill(wait, h("h1", { tabindex: "-1", class: "break" }, id), box, h("p", null, h("a", { href: "/sagas" }, "All sagas")));
      }
    },
  });

  readQuery(context.query ?? new URLSearchParams(location.search));
  const clock = setInterval(() => {
    if (!document.hidden && loaded && at === null && !live.end) drawSoon();
  }, 1000);
  signal.addEventListener("abort", () => {
    clearInterval(clock);
    slider.stop();
    views.timeline.stop();
    drawSoon.cancel();
    clear(root);
  }, { once: true });

  return {
    update(query) {
      readQuery(query);
      if (loaded) show();
    },
  };
}

/** The tabs of the views: arrow keys go from one to the next. */
function tabList(onChoose) {
  const panelId = uid("panel");
  const base = uid("tab");
  const buttons = new Map();
  const root = h("div", { class: "saga-tabs", role: "tablist", "aria-label": "Views" });
  VIEWS.forEach(([name, text], place) => {
    const button = h("button", {
      type: "button", role: "tab", id: `${base}-${name}`, "aria-controls": panelId, class: "saga-tab",
      on: {
        click: () => onChoose(name),
        keydown: (event) => {
          const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
          const to = event.key === "Home" ? 0 : event.key === "End" ? VIEWS.length - 1
            : step ? (place + step + VIEWS.length) % VIEWS.length : null;
          if (to === null) return;
          event.preventDefault();
          onChoose(VIEWS[to][0]);
          buttons.get(VIEWS[to][0]).focus();
        },
      },
    }, text);
    buttons.set(name, button);
    root.appendChild(button);
  });
  return {
    root, panelId,
    idOf: (name) => `${base}-${name}`,
    choose(chosen) {
      for (const [name, button] of buttons) {
        button.setAttribute("aria-selected", String(name === chosen));
        button.tabIndex = name === chosen ? 0 : -1;
      }
    },
  };
}
