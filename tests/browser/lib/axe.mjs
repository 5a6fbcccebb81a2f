// Looking for faults of accessibility with axe-core.

import { source } from "./packages.mjs";

const SIZES = [[1280, 900], [390, 844]];
const SCHEMES = ["light", "dark"];

/**
 * Looks at a page as it is now, wide and narrow, light and dark, and gives what is
 * wrong: one line for each rule and each look.
 *
 * @returns {Promise<string[]>}
 */
export async function inspect(page, { sizes = SIZES, schemes = SCHEMES } = {}) {
  const text = await source("axe-core/axe.min.js");
  if (!await page.evaluate(() => Boolean(window.axe))) await page.evaluate(text);
  const found = [];
  for (const [width, height] of sizes) {
    await page.setViewportSize({ width, height });
    for (const colorScheme of schemes) {
      await page.emulateMedia({ colorScheme });
      // What follows the size of the window has followed after two frames.
      await page.evaluate(() => new Promise((done) => { requestAnimationFrame(() => requestAnimationFrame(done)); }));
      const violations = await page.evaluate(async () => (await window.axe.run(document, { resultTypes: ["violations"] })).violations
        .map(({ id, impact, help, nodes }) => `${impact}: ${id}: ${help}: ${nodes.slice(0, 3)
          .map((node) => `${node.target.join(" ")} ${(node.any[0] ?? node.all[0] ?? node.none[0])?.message ?? ""} ${node.html.slice(0, 160)}`).join(" | ")}`));
      found.push(...violations.map((one) => `${width} ${colorScheme} ${one}`));
    }
  }
  return found;
}
