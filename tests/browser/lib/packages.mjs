// The npm packages of the browser tests. They are installed below target/, once
// for each package-lock.json, without running any script of theirs.
//
//   const { chromium } = await load("playwright-core");
//   const text = await source("axe-core/axe.min.js");

import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFile, mkdir, readFile, rename, rm, stat } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

/** The root of the repository. */
export const ROOT = path.resolve(fileURLToPath(import.meta.url), "../../../..");

const HERE = path.join(ROOT, "tests/browser");
const LISTS = ["package.json", "package-lock.json"];

/** How long the registry may take. */
const INSTALL_MS = 300_000;

/** Whether there is something at a path. */
export const exists = (where) => stat(where).then(() => true, () => false);

/**
 * Runs a program, and gives what it printed. One that does not end in time is killed.
 *
 * @param {string} program
 * @param {string[]} args
 * @param {{cwd?: string, ms?: number}} [options]
 * @returns {Promise<string>}
 */
export function run(program, args, { cwd = ROOT, ms = 60_000 } = {}) {
  return new Promise((resolve, reject) => {
    let printed = "";
    const child = spawn(program, args, { cwd, stdio: ["ignore", "pipe", "pipe"] });
    const limit = setTimeout(() => child.kill("SIGKILL"), ms);
    child.stdout.on("data", (bytes) => { printed += bytes; });
    child.stderr.on("data", (bytes) => { printed += bytes; });
    child.on("error", (error) => { clearTimeout(limit); reject(new Error(`${program} does not start: ${error.message}`)); });
    child.on("close", (code, signal) => {
      clearTimeout(limit);
      if (code === 0) resolve(printed);
      else reject(new Error(`${[program, ...args].join(" ")} ended with ${signal ?? code}${signal ? ` (it may take ${ms / 1000} s)` : ""}:\n${printed}`));
    });
  });
}

let folder = null;

/** The folder `node_modules` of the packages, which are installed if they are not. */
export function packages() {
  folder ??= install();
  return folder;
}

async function install() {
  const hash = createHash("sha256").update(process.version);
  for (const list of LISTS) hash.update(await readFile(path.join(HERE, list)));
  const all = path.join(ROOT, "target/browser");
  const place = path.join(all, `npm-${hash.digest("hex").slice(0, 16)}`);
  const modules = path.join(place, "node_modules");
  if (await exists(place)) return modules;
  // It gets its name once it is whole; of two that install at once one wins.
  const partial = `${place}.${process.pid}.partial`;
  await rm(partial, { recursive: true, force: true });
  await mkdir(partial, { recursive: true });
  for (const list of LISTS) await copyFile(path.join(HERE, list), path.join(partial, list));
  try {
    await run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], { cwd: partial, ms: INSTALL_MS });
  } catch (error) {
    throw new Error(`The browser tests need playwright-core and axe-core from npm. npm has to be on the PATH, and the \
registry that \`npm config get registry\` names has to be reachable at the first run.\n${error.message}`);
  }
  try {
    await rename(partial, place);
  } catch (error) {
    if (!await exists(place)) throw error;
    await rm(partial, { recursive: true, force: true });
  }
  return modules;
}

/** A package, imported. */
export async function load(name) {
  const require = createRequire(path.join(await packages(), "any.js"));
  const module = await import(pathToFileURL(require.resolve(name)));
  return module.default ?? module;
}

/** The text of a file of a package. */
export async function source(file) {
  return readFile(path.join(await packages(), file), "utf8");
}
