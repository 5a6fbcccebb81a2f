/**
 * The frame of all pages: which page a path shows, the way from one to
 * another, and what stands above them.
 *
 * A page is a module with `mount(main, context)`. It puts its content into
 * `main`, with one `h1`, and may return `{ update, leave }`: `update(query)`
 * is called where only the query of the path changed, and `leave()` before
 * the page goes. The context has
 *
 * - `params`: what the path names, such as `{ id }`;
 * - `query`: the query, as URLSearchParams;
 * - `session`: what the host says we may do (see lib/api.js);
 * - `signal`: aborted when the page goes, for requests and streams;
 * - `navigate(url, { replace })`: goes to another page, or another query;
 * - `setTitle(text)`: what the tab is called;
 * - `announce(text)`: said by screen readers.
 */

import { session, setKey, key } from "./lib/api.js";
import { keepTime } from "./lib/clock.js";
import { clear, fill, h } from "./lib/dom.js";
import { errorBox } from "./lib/dialog.js";
import { icon } from "./lib/icons.js";
import { badge } from "./lib/format.js";

const ROUTES = [
  { path: /^\/$/, page: "overview", title: "Overview", load: () => import("./pages/overview.js") },
  { path: /^\/sagas\/?$/, page: "sagas", title: "Sagas", load: () => import("./pages/sagas.js") },
  { path: /^\/sagas\/(?<id>[^/]+)\/?$/, page: "sagas", title: "Saga", load: () => import("./saga/page.js") },
  { path: /^\/functions\/?$/, page: "functions", title: "Functions", load: () => import("./pages/functions.js") },
  { path: /^\/functions\/(?<name>[^/]+)\/?$/, page: "functions", title: "Function", load: () => import("./pages/function.js") },
];

const main = document.getElementById("main");
let shown = null;
let turn = 0;
let keeping = null;

function routeOf(path) {
  for (const route of ROUTES) {
    const match = route.path.exec(path);
    if (!match) continue;
    const params = {};
    try {
      for (const [name, value] of Object.entries(match.groups ?? {})) {
        params[name] = decodeURIComponent(value);
      }
    } catch {
      return null;
    }
    return { ...route, params };
  }
  return null;
}

/** Shows the page of the present address. */
async function show({ moved = false, top = false } = {}) {
  const path = location.pathname;
  const query = new URLSearchParams(location.search);
  if (shown?.path === path && shown.handle?.update) {
    shown.search = location.search;
    shown.handle.update(query);
    return;
  }
  turn += 1;
  const mine = turn;
  leave();
  const route = routeOf(path);
  mark(route?.page);
  setTitle(route?.title ?? "Not found");
  if (!route) {
    fill(main, h("h1", { tabindex: "-1" }, "Not found"),
      h("p", null, "There is no page at this address. ", h("a", { href: "/" }, "Go to the overview.")));
    if (moved) settle(top);
    return;
  }
  const gone = new AbortController();
  shown = { path, search: location.search, gone, handle: null };
  main.setAttribute("aria-busy", "true");
  try {
    const [module, who] = await Promise.all([route.load(), session()]);
    if (mine !== turn) return;
    keeping ??= keepTime();
    tools(who);
    clear(main);
    const handle = await module.mount(main, {
      params: route.params, query, session: who, signal: gone.signal, navigate, setTitle, announce,
    });
    if (mine === turn) shown.handle = handle ?? null;
    else handle?.leave?.();
  } catch (error) {
    if (mine !== turn) return;
    shown = null;
    fill(main, h("h1", { tabindex: "-1" }, route.title), errorBox(error, () => show({ moved })));
  } finally {
    if (mine === turn) main.removeAttribute("aria-busy");
  }
  if (mine === turn && moved) settle(top);
}

function leave() {
  if (!shown) return;
  const { gone, handle } = shown;
  shown = null;
  handle?.leave?.();
  gone.abort();
}

/** Puts the focus where reading begins, and says where one is. */
function settle(top) {
  if (top) scrollTo(0, 0);
  const heading = main.querySelector("h1");
  if (heading) {
    if (!heading.hasAttribute("tabindex")) heading.setAttribute("tabindex", "-1");
    heading.focus({ preventScroll: true });
  }
  announce(document.title);
}

function mark(page) {
  for (const link of document.querySelectorAll(".nav a")) {
    if (link.dataset.page === page) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function setTitle(text) {
  document.title = text === "Sagahost" ? text : `${text} · Sagahost`;
}

function announce(text) {
  const region = document.getElementById("announce");
  // The same text again is a change only if it was gone in between.
  region.textContent = "";
  setTimeout(() => { region.textContent = text; }, 50);
}

/** Goes to another page of the dashboard, or to another query of this one. */
export function navigate(url, { replace = false } = {}) {
  const to = new URL(url, location.href);
  if (to.origin !== location.origin || (!routeOf(to.pathname))) {
    location.assign(to);
    return;
  }
  const same = to.href === location.href;
  history[replace || same ? "replaceState" : "pushState"](null, "", to);
  show({ moved: true, top: true });
}

/** What stands at the right of the top: what one may do, key, theme. */
function tools(who) {
  const place = document.getElementById("tools");
  const right = who.readOnly ? ["Read-only", "lock"]
    : !who.mayUse ? ["No actions", "lock"]
      : !who.mayManage ? ["May start and read", "key"] : null;
  fill(place,
    right && badge(right[0], "neutral", right[1]),
    who.keysConfigured && key() && h("button", {
      type: "button", class: "button quiet small", title: "Forget the API key of this tab",
      on: { click: () => { setKey(null); location.reload(); } },
    }, icon("key"), h("span", { class: "wide-only" }, "Forget key")),
    themeButton());
}

const THEMES = { auto: ["auto", "System"], light: ["sun", "Light"], dark: ["moon", "Dark"] };

function themeButton() {
  const button = h("button", { type: "button", class: "button quiet small" });
  const draw = () => {
    const now = document.documentElement.dataset.theme ?? "auto";
    const [sign, word] = THEMES[now];
    fill(button, icon(sign), h("span", { class: "hidden" }, `Colours: ${word}. Change.`));
    button.title = `Colours: ${word}`;
  };
  button.addEventListener("click", () => {
    const names = Object.keys(THEMES);
    const now = document.documentElement.dataset.theme ?? "auto";
    const next = names[(names.indexOf(now) + 1) % names.length];
    if (next === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
    try {
      if (next === "auto") localStorage.removeItem("sagahost.theme");
      else localStorage.setItem("sagahost.theme", next);
    } catch { /* Without storage it holds for this page. */ }
    draw();
    announce(`Colours: ${THEMES[next][1]}`);
  });
  draw();
  return button;
}

document.addEventListener("click", (event) => {
  if (event.defaultPrevented || event.button !== 0) return;
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = event.target.closest?.("a[href]");
  if (!link || link.target || link.hasAttribute("download")) return;
  const to = new URL(link.href, location.href);
  if (to.origin !== location.origin || !routeOf(to.pathname)) return;
  if (to.hash && to.pathname === location.pathname && to.search === location.search) return;
  event.preventDefault();
  navigate(to.href);
});

addEventListener("popstate", () => {
  // A link to a part of the page is no other page.
  if (shown?.path === location.pathname && shown.search === location.search) return;
  show({ moved: true });
});

show();

const OPENS = "details.popover[open], details.tl-legend[open]";

// What opens below a button closes when something else is clicked, or by Escape.
document.addEventListener("pointerdown", (event) => {
  for (const open of document.querySelectorAll(OPENS)) {
    if (!open.contains(event.target)) open.open = false;
  }
});
document.addEventListener("keydown", (event) => {
  const open = event.key === "Escape" && event.target.closest?.(OPENS);
  if (!open) return;
  open.open = false;
  open.querySelector("summary").focus();
});
