/** The totals of all orders that match: figures, plots and shares. Sums are the API's own. */

import { addressOf } from "./address.js";
import { draw, make, renew } from "./elements.js";
import { amount, count } from "./formats.js";
import { plot } from "./plots.js";
import { STATUSES, UNKNOWN, VALUES, say, sayValue } from "./words.js";

/**
 * @typedef {{count: number, actual_amount: string}} Sum
 * @typedef {Sum & {amounts_unknown: number,
 *   by_status: (Sum & {status: string})[], by_type: (Sum & {type: string})[],
 *   by_source: (Sum & {source: string})[],
 *   by_month: (Sum & {month: string, status: string})[]}} Summary
 * @typedef {import("./address.js").View} View
 */

/** What stands for months that are not known. */
const UNDATED = "unknown";

/**
 * @param {HTMLElement} container
 * @param {View} view
 * @param {Summary} summary
 * @param {string | undefined} currency
 */
export function showTotals(container, view, summary, currency) {
  container.removeAttribute("aria-busy");
  const open = [...container.querySelectorAll("details[open]")].map((one) => one.getAttribute("data-open"));
  const dated = summary.by_month.filter(({ month }) => month !== UNDATED);
  const undated = summary.by_month.filter(({ month }) => month === UNDATED);
  const missing = undated.reduce((sum, row) => sum + row.count, 0);
  // A status that is newer than this page is drawn too, or columns and total would not agree.
  const statuses = [...new Set([...STATUSES, UNKNOWN, ...summary.by_status.map(({ status }) => status)])];
  const counts = dated.map((row) => ({ ...row, size: row.count, text: count(row.count) }));
  // Rounding does not show in a drawing; what is read is the text.
  const amounts = dated.map((row) => ({
    ...row,
    size: Number(row.actual_amount),
    text: amount(row.actual_amount),
  }));
  renew(
    container,
    make(
      "div",
      { class: "card tiles" },
      tile(
        say("orders"),
        count(summary.count),
        missing ? say("plot.undated", { count: count(missing) }) : "",
      ),
      tile(
        currency ? `${say("amount")} (${currency})` : say("amount"),
        amount(summary.actual_amount),
        summary.amounts_unknown ? say("amount.unknown", { count: count(summary.amounts_unknown) }) : "",
      ),
      summary.count > 0 && shares(view, "status", summary),
    ),
    ...(summary.count === 0
      ? []
      : [
          plot(say("plot.count"), counts, statuses),
          plot(say("plot.amount"), amounts, statuses),
          make(
            "div",
            { class: "card shares" },
            shares(view, "type", summary),
            shares(view, "source", summary),
          ),
        ]),
  );
  for (const details of container.querySelectorAll("details")) {
    details.open = open.includes(details.getAttribute("data-open"));
  }
}

/** @param {HTMLElement} container */
export function showTotalsLoading(container) {
  container.setAttribute("aria-busy", "true");
  if (container.childElementCount > 0) return;
  const card = (/** @type {string} */ kind) =>
    make("div", { class: `card ${kind}` }, make("span", { class: "bone" }));
  renew(container, card("tiles"), card("plot"), card("plot"));
}

/**
 * @param {string} name
 * @param {string} value
 * @param {string} note
 */
function tile(name, value, note) {
  return make(
    "div",
    { class: "tile" },
    make("p", { class: "quiet" }, name),
    make("p", { class: "value" }, value),
    note && make("p", { class: "quiet" }, note),
  );
}

/**
 * How the orders divide; each name leads to those orders alone, and back.
 * @param {View} view
 * @param {"status" | "type" | "source"} name
 * @param {Summary} summary
 */
function shares(view, name, summary) {
  /** @type {(Sum & Record<string, any>)[]} */
  const parts = [...summary[`by_${name}`]].sort((one, other) => placeOf(name, one) - placeOf(name, other));
  const rows = parts.map((part) => {
    const value = part[name];
    const alone = view[name].length === 1 && view[name][0] === value;
    const href = addressOf({ ...view, [name]: alone ? [] : [value], page: 1 });
    const share = summary.count ? (part.count / summary.count) * 100 : 0;
    return make(
      "tr",
      {},
      make(
        "th",
        { scope: "row" },
        make(
          "a",
          {
            href,
            class: name === "status" ? `mark ${value}` : "",
            "data-key": `${name}-${value}`,
            "aria-current": alone,
          },
          sayValue(value),
        ),
        bar(share, name === "status" ? value : ""),
      ),
      make("td", { class: "number" }, count(part.count)),
      make("td", { class: "number" }, amount(part.actual_amount)),
    );
  });
  return make(
    "table",
    { class: "division" },
    make("caption", {}, say(`by.${name}`)),
    make(
      "thead",
      { class: "unseen" },
      make("tr", {}, ...[name, "orders", "amount"].map((word) => make("th", { scope: "col" }, say(word)))),
    ),
    make("tbody", {}, ...rows),
  );
}

/**
 * Where a part stands: as in the filters, and what nobody told us of last.
 * @param {"status" | "type" | "source"} name
 * @param {Record<string, any>} part
 */
function placeOf(name, part) {
  const place = VALUES[name].indexOf(part[name]);
  return place < 0 ? VALUES[name].length : place;
}

/**
 * @param {number} share percent
 * @param {string} kind
 */
function bar(share, kind) {
  return draw(
    "svg",
    { class: "share", width: "100%", height: 3, "aria-hidden": "true" },
    draw("rect", { class: `fill ${kind}`, width: `${share.toFixed(2)}%`, height: 3 }),
  );
}
