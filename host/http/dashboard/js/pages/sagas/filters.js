/** The form of the filter, and the chips that say what it leaves out. */

import { debounce, fill, h, uid } from "../../lib/dom.js";
import { SAGA_STATES, STATUSES, clockText, statusText } from "../../lib/format.js";
import { icon } from "../../lib/icons.js";
import { isTag } from "./query.js";

/** How long after the last letter the list is asked for. */
const TYPING_MS = 350;

/**
 * @param {object} options
 * @param {(part: Partial<import("./query.js").Filter>, replace: boolean) => void} options.onChange
 *   `replace` is for letters that are typed one after another: they make one
 *   step of the browser's history, not one each.
 * @param {HTMLElement[]} options.tools What stands at the end of the form.
 * @returns {{element: HTMLElement, chips: HTMLElement, show: (filter: Object) => void,
 *   offer: (names: string[]) => void}}
 */
export function filters({ onChange, tools }) {
  const ids = { list: uid("names") };
  let typing = false;

  const typed = (name, read) => {
    const later = debounce((value) => {
      onChange({ [name]: value }, typing);
      typing = true;
    }, TYPING_MS);
    return {
      input: (event) => {
        const value = read(event.target);
        if (value !== undefined) later(value);
      },
      blur: () => { typing = false; },
    };
  };

  const search = h("input", {
    id: uid("search"), type: "search", placeholder: "Search in ids and names", spellcheck: "false", autocomplete: "off",
    on: typed("search", (input) => input.value.trim()),
  });
  const name = h("input", {
    id: uid("name"), list: ids.list, spellcheck: "false", autocomplete: "off", placeholder: "Any",
    on: { change: () => onChange({ name: name.value.trim() }, false) },
  });
  const names = h("datalist", { id: ids.list });
  const prefix = h("input", {
    id: uid("prefix"), spellcheck: "false", autocomplete: "off", on: typed("idPrefix", (input) => input.value.trim()),
  });
  const tagHelp = uid("help");
  const tag = h("input", {
    id: uid("tag"), spellcheck: "false", autocomplete: "off", placeholder: "word:value", "aria-describedby": tagHelp,
    on: {
      change: () => {
        const all = tag.value.split(",").map((text) => text.trim()).filter(Boolean);
        const right = all.every(isTag);
        tag.setAttribute("aria-invalid", String(!right));
        if (right) onChange({ tags: all }, false);
      },
    },
  });
  const from = moment("from");
  const to = moment("to");
  const status = several("Status", STATUSES, (value) => onChange({ status: value }, false));
  const saga = several("Saga", SAGA_STATES, (value) => onChange({ saga: value }, false));
  const order = h("select", {
    id: uid("order"),
    on: {
      change: () => {
        const [sort, direction] = order.value.split(" ");
        onChange({ sort, order: direction }, false);
      },
    },
  }, [["created desc", "Newest first"], ["created asc", "Oldest first"],
    ["updated desc", "Newest change"], ["updated asc", "Oldest change"]]
    .map(([value, text]) => h("option", { value }, text)));

  function moment(which) {
    const input = h("input", {
      id: uid(which), type: "datetime-local", step: "1",
      on: {
        change: () => {
          const ms = new Date(input.value).getTime();
          onChange({ [which]: input.value && Number.isFinite(ms) ? ms : null }, false);
        },
      },
    });
    return input;
  }

  const field = (label, input, type = "") =>
    h("div", { class: `filter ${type}` }, h("label", { for: input.id }, label), input);

  const more = h("details", { class: "popover" },
    h("summary", { class: "button" }, icon("filter"), "More"),
    h("div", { class: "popover-body more-filters" },
      field("Id begins with", prefix),
      field("Tags", tag), h("p", { id: tagHelp, class: "field-help" }, "Several with commas between them; all have to be there."),
      field("Created from", from), field("Created until", to)));

  const element = h("form", {
    class: "filters", role: "search", "aria-label": "Filter of the list",
    on: { submit: (event) => event.preventDefault() },
  },
  field("Search", search, "wide"), status.element, saga.element, field("Orchestrator", name), names,
  field("Order", order, "narrow-only"), more, h("div", { class: "filters-tools" }, tools));
  const chips = h("div", { class: "chips", "aria-label": "What the filter asks for", role: "group" });

  function show(filter) {
    set(search, filter.search);
    set(name, filter.name);
    set(prefix, filter.idPrefix);
    set(tag, filter.tags.join(", "));
    set(from, localTime(filter.from));
    set(to, localTime(filter.to));
    status.show(filter.status);
    saga.show(filter.saga);
    order.value = `${filter.sort} ${filter.order}`;
    const hidden = [filter.idPrefix, ...filter.tags, filter.from, filter.to].filter((value) => value !== "" && value !== null);
    more.classList.toggle("in-use", hidden.length > 0);
    fill(chips, chipsOf(filter));
  }

  function chipsOf(filter) {
    const made = [];
    const chip = (text, part) => made.push(h("button", {
      type: "button", class: "chip", on: { click: () => onChange(part, false) },
    }, text, icon("close"), h("span", { class: "hidden" }, "Remove from the filter")));
    if (filter.search) chip(`“${filter.search}”`, { search: "" });
    for (const value of filter.status) chip(`status ${value}`, { status: filter.status.filter((one) => one !== value) });
    for (const value of filter.saga) chip(`saga ${statusText(value)}`, { saga: filter.saga.filter((one) => one !== value) });
    if (filter.name) chip(`orchestrator ${filter.name}`, { name: "" });
    if (filter.idPrefix) chip(`id ${filter.idPrefix}…`, { idPrefix: "" });
    for (const value of filter.tags) chip(`tag ${value}`, { tags: filter.tags.filter((one) => one !== value) });
    if (filter.from !== null) chip(`from ${clockText(filter.from)}`, { from: null });
    if (filter.to !== null) chip(`until ${clockText(filter.to)}`, { to: null });
    if (made.length > 1) {
      made.push(h("button", {
        type: "button", class: "button quiet small",
        on: {
          click: () => onChange({
            search: "", status: [], saga: [], name: "", idPrefix: "", tags: [], from: null, to: null,
          }, false),
        },
      }, "Clear all"));
    }
    return made;
  }

  return {
    element, chips, show,
    offer: (all) => fill(names, all.map((one) => h("option", { value: one }))),
  };
}

/** Does not take away what somebody is typing. */
function set(input, value) {
  if (document.activeElement !== input && input.value !== value) input.value = value;
}

function localTime(ms) {
  return ms === null ? "" : clockText(ms).replace(" ", "T");
}

/** A choice of several: a button with the boxes behind it. */
function several(label, values, onChange) {
  const picked = new Set();
  const summary = h("summary", { class: "button" });
  const boxes = values.map((value) => h("input", {
    type: "checkbox", value,
    on: {
      change: (event) => {
        if (event.target.checked) picked.add(value);
        else picked.delete(value);
        onChange(values.filter((one) => picked.has(one)));
      },
    },
  }));
  const element = h("details", { class: "popover" }, summary,
    h("fieldset", { class: "popover-body" }, h("legend", null, label),
      boxes.map((box, n) => h("label", null, box, statusText(values[n])))));
  function show(now) {
    picked.clear();
    for (const value of now) picked.add(value);
    for (const box of boxes) box.checked = picked.has(box.value);
    const said = now.length ? `: ${now.length === 1 ? statusText(now[0]) : `${now.length} of ${values.length}`}` : "";
    fill(summary, `${label}${said}`, icon("down"));
    element.classList.toggle("in-use", now.length > 0);
  }
  show([]);
  return { element, show };
}
