/**
 * JSON as it is: a whole number that is too large for a JavaScript number
 * stays the number that was written, where the browser can do that.
 */

const EXACT = typeof JSON.rawJSON === "function" && typeof JSON.isRawJSON === "function";

/**
 * Reads JSON. Whole numbers beyond 2^53 become `JSON.rawJSON` objects, which
 * {@link stringify} writes as they came.
 *
 * @param {string} text
 * @returns {*}
 */
export function parse(text) {
  if (!EXACT || !/\d{16}/.test(text)) return JSON.parse(text);
  return JSON.parse(text, (_key, value, context) => {
    if (typeof value !== "number" || Number.isSafeInteger(value)) return value;
    const source = context?.source;
    return source && /^-?\d+$/.test(source) ? JSON.rawJSON(source) : value;
  });
}

/**
 * Writes JSON.
 *
 * @param {*} value
 * @param {number} [indent] Spaces; without, everything stands on one line.
 * @returns {string}
 */
export function stringify(value, indent) {
  return JSON.stringify(value, null, indent) ?? "null";
}

/** Whether a value is a number that is kept as it was written. */
export function isExact(value) {
  return EXACT && typeof value === "object" && value !== null && JSON.isRawJSON(value);
}
