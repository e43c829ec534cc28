/** Amounts whose decimal points line up in a column. The exact text is shown on hover. */

import { el } from "./dom.js";
import { currencyDigits, formatAmount, roundAmount } from "./format.js";

/**
 * The number of decimals that a column of amounts needs.
 * @param {(string | undefined)[]} decimals
 * @param {string | undefined} currency
 */
export function columnDigits(decimals, currency) {
  const digits = currencyDigits(currency);
  const shown = decimals.map((decimal) => fractionOf(formatAmount(decimal ?? "0", digits)).length);
  return { digits, width: Math.max(digits && digits + 1, ...shown) };
}

/**
 * An amount in a column: with the decimals of the currency, and as wide as the longest fraction.
 * @param {string | undefined} decimal
 * @param {{digits: number, width: number}} column
 */
export function amountCell(decimal, { digits, width }) {
  if (decimal === undefined) return "\u2014";
  const text = formatAmount(decimal, digits);
  const padding = ".000000\u2026".slice(fractionOf(text).length, width);
  // Hidden text takes the room of the digits that are not there, in any font.
  const pad = padding && el("span", { class: "pad", "aria-hidden": "true" }, padding);
  return el("span", { class: "amount", title: decimal }, text, pad);
}

/**
 * A total, rounded to the decimals of the currency.
 * @param {string} decimal
 * @param {string | undefined} currency
 * @param {boolean} [withCode] the code of the currency
 */
export function money(decimal, currency, withCode = true) {
  const text = roundAmount(decimal, currencyDigits(currency));
  return el(
    "span",
    { class: "money", title: decimal },
    withCode && currency && el("span", { class: "currency" }, currency),
    withCode && currency && " ",
    text,
  );
}

/** @param {string} text */
function fractionOf(text) {
  const point = text.indexOf(".");
  return point < 0 ? "" : text.slice(point);
}
