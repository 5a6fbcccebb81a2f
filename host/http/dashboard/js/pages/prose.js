/** What people wrote about their code: paragraphs, lists, and code in it. */

import { h } from "../lib/dom.js";

/**
 * @param {string} text
 * @returns {HTMLElement[]} A line that ends within a paragraph does not end it.
 */
export function prose(text) {
  return String(text).trim().split(/\n\s*\n/).map((part) => {
    const lines = part.split("\n");
    const first = lines.findIndex((line) => /^\s*[-*] /.test(line));
    if (first < 0) return h("p", null, inline(lines.join(" ")));
    const items = [];
    for (const line of lines.slice(first)) {
      if (/^\s*[-*] /.test(line)) items.push(line.replace(/^\s*[-*] /, ""));
      else items[items.length - 1] += ` ${line.trim()}`;
    }
    return h("div", null, first > 0 && h("p", null, inline(lines.slice(0, first).join(" "))),
      h("ul", null, items.map((item) => h("li", null, inline(item)))));
  });
}

/** One line, in which what stands between backticks is code. */
export function inline(text) {
  return text.split(/(`[^`]+`)/).map((part) => (/^`[^`]+`$/.test(part) ? h("code", null, part.slice(1, -1)) : part));
}
