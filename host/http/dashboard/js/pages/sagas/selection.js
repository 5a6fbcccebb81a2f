/** Which rows are picked. They stay picked while the list moves on. */

import { h } from "../../lib/dom.js";

export class Selection {
  /** @param {() => void} onChange */
  constructor(onChange) {
    this.onChange = onChange;
    /** The rows as they were when they were picked, by id. */
    this.picked = new Map();
    this.head = null;
    this.listing = null;
  }

  get size() {
    return this.picked.size;
  }

  /** The box of one row. */
  box(row) {
    return h("input", {
      type: "checkbox", class: "pick", checked: this.picked.has(row.id), "aria-label": `Pick ${row.id}`,
      data: { id: row.id },
      on: { change: () => this.toggle(row) },
    });
  }

  /** The box above them all: it picks all rows that are loaded, or none. */
  headBox() {
    this.head = h("input", {
      type: "checkbox", class: "pick", "aria-label": "Pick all rows that are loaded",
      on: {
        change: (event) => {
          if (event.target.checked) for (const row of this.listing.rows()) this.picked.set(row.id, row);
          else this.picked.clear();
          this.changed();
        },
      },
    });
    this.mark();
    return this.head;
  }

  toggle(row) {
    if (this.picked.has(row.id)) this.picked.delete(row.id);
    else this.picked.set(row.id, row);
    this.changed();
  }

  /** Picks all from one place to another. */
  extend(listing, from, to) {
    for (let index = Math.min(from, to); index <= Math.max(from, to); index += 1) {
      const row = listing.row(index);
      if (row) this.picked.set(row.id, row);
    }
    this.changed();
  }

  /** Picks other rows than before. */
  set(rows) {
    this.picked = new Map([...rows].map((row) => [row.id, row]));
    this.changed();
  }

  clear() {
    this.picked.clear();
    this.changed();
  }

  changed() {
    for (const box of document.querySelectorAll("input.pick[data-id]")) {
      box.checked = this.picked.has(box.dataset.id);
      box.closest("tr")?.classList.toggle("is-picked", box.checked);
    }
    this.mark();
    this.onChange();
  }

  mark() {
    if (!this.head || !this.listing) return;
    const loaded = this.listing.places.size;
    this.head.checked = this.size > 0 && this.size >= loaded;
    this.head.indeterminate = this.size > 0 && !this.head.checked;
  }
}
