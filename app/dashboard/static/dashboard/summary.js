/** Renders the totals, charts and breakdowns of all matching orders. The API computes the sums. */

import { stackedChart } from "./charts.js";
import { el, replaceContent, svg } from "./dom.js";
import { formatAmount, formatCount } from "./format.js";
import { t, tCount, tEnum } from "./i18n.js";
import { ENUM_VALUES, STATUSES, UNKNOWN, viewUrl } from "./url_state.js";

/**
 * @typedef {{count: number, actual_amount: string}} Totals
 * @typedef {Totals & {amounts_unknown: number,
 *   by_status: (Totals & {status: string})[], by_type: (Totals & {type: string})[],
 *   by_source: (Totals & {source: string})[],
 *   by_month: (Totals & {month: string, status: string})[]}} Summary
 * @typedef {import("./url_state.js").View} View
 */

/** The API's `month` of orders without a creation time. */
const UNDATED = "unknown";

/**
 * @param {HTMLElement} container
 * @param {View} view
 * @param {Summary} summary
 * @param {string | undefined} currency
 */
export function showSummary(container, view, summary, currency) {
  container.removeAttribute("aria-busy");
  const open = [...container.querySelectorAll("details[open]")].map((details) =>
    details.getAttribute("data-title"),
  );
  const dated = summary.by_month.filter(({ month }) => month !== UNDATED);
  const undated = summary.by_month.filter(({ month }) => month === UNDATED);
  const undatedCount = undated.reduce((sum, row) => sum + row.count, 0);
  // Statuses that this page does not know are drawn too, or columns and totals would disagree.
  const statuses = [...new Set([...STATUSES, UNKNOWN, ...summary.by_status.map(({ status }) => status)])];
  const counts = dated.map((row) => ({ ...row, size: row.count, label: formatCount(row.count) }));
  const undatedNote = undatedCount ? tCount("chart.undated", undatedCount) : "";
  // The floating-point number is only drawn; the label has the exact digits.
  const amounts = dated.map((row) => ({
    ...row,
    size: Number(row.actual_amount),
    label: formatAmount(row.actual_amount),
  }));
  replaceContent(
    container,
    el(
      "div",
      { class: "card tiles" },
      tile(t("orders"), formatCount(summary.count), undatedNote),
      tile(
        currency ? `${t("amount")} (${currency})` : t("amount"),
        formatAmount(summary.actual_amount),
        summary.amounts_unknown ? tCount("amount.excluded", summary.amounts_unknown) : "",
      ),
      summary.count > 0 && breakdown(view, "status", summary),
    ),
    ...(summary.count === 0
      ? []
      : [
          stackedChart(t("chart.count"), counts, statuses),
          stackedChart(t("chart.amount"), amounts, statuses),
          el(
            "div",
            { class: "card breakdowns" },
            breakdown(view, "type", summary),
            breakdown(view, "source", summary),
          ),
        ]),
  );
  for (const details of container.querySelectorAll("details")) {
    details.open = open.includes(details.getAttribute("data-title"));
  }
}

/** @param {HTMLElement} container */
export function showSummarySkeleton(container) {
  container.setAttribute("aria-busy", "true");
  if (container.childElementCount > 0) return;
  const card = (/** @type {string} */ kind) =>
    el("div", { class: `card ${kind}` }, el("span", { class: "skeleton" }));
  replaceContent(container, card("tiles"), card("chart"), card("chart"));
}

/**
 * @param {string} name
 * @param {string} value
 * @param {string} note
 */
function tile(name, value, note) {
  return el(
    "div",
    { class: "tile" },
    el("p", { class: "muted" }, name),
    el("p", { class: "value" }, value),
    note && el("p", { class: "muted" }, note),
  );
}

/**
 * Counts and amounts by one enum; each name is a link that switches the filter for it.
 * @param {View} view
 * @param {"status" | "type" | "source"} name
 * @param {Summary} summary
 */
function breakdown(view, name, summary) {
  /** @type {(Totals & Record<string, any>)[]} */
  const groups = [...summary[`by_${name}`]].sort(
    (left, right) => sortPosition(name, left) - sortPosition(name, right),
  );
  const rows = groups.map((group) => {
    const value = group[name];
    const isOnlyFilter = view[name].length === 1 && view[name][0] === value;
    const href = viewUrl({ ...view, [name]: isOnlyFilter ? [] : [value], page: 1 });
    const percent = summary.count ? (group.count / summary.count) * 100 : 0;
    return el(
      "tr",
      {},
      el(
        "th",
        { scope: "row" },
        el(
          "a",
          {
            href,
            class: name === "status" ? `swatch ${value}` : "",
            "data-key": `${name}-${value}`,
            "aria-current": isOnlyFilter,
          },
          tEnum(value),
        ),
        shareBar(percent, name === "status" ? value : ""),
      ),
      el("td", { class: "number" }, formatCount(group.count)),
      el("td", { class: "number" }, formatAmount(group.actual_amount)),
    );
  });
  return el(
    "table",
    { class: "breakdown" },
    el("caption", {}, t(`by.${name}`)),
    el(
      "thead",
      { class: "visually-hidden" },
      el("tr", {}, ...[name, "orders", "amount"].map((key) => el("th", { scope: "col" }, t(key)))),
    ),
    el("tbody", {}, ...rows),
  );
}

/**
 * Known values have the order of the filters; all others come last.
 * @param {"status" | "type" | "source"} name
 * @param {Record<string, any>} group
 */
function sortPosition(name, group) {
  const position = ENUM_VALUES[name].indexOf(group[name]);
  return position < 0 ? ENUM_VALUES[name].length : position;
}

/**
 * @param {number} percent
 * @param {string} status sets the colour; may be empty
 */
function shareBar(percent, status) {
  return svg(
    "svg",
    { class: "share-bar", width: "100%", height: 3, "aria-hidden": "true" },
    svg("rect", { class: `fill ${status}`, width: `${percent.toFixed(2)}%`, height: 3 }),
  );
}
