/** The chart, its table, and the breakdowns of the orders in the list. The API computes the sums. */

import { periodEnd, periodsBetween } from "./calendar.js";
import { StackedChart } from "./charts.js";
import { amountCell, columnDigits } from "./amount.js";
import { byId, el, svg, update } from "./dom.js";
import { currencyDigits, formatAmount, formatCount, formatPeriod } from "./format.js";
import { t, tCount, tEnum } from "./i18n.js";
import { ENUM_VALUES, STATUSES, UNKNOWN, chartInterval, viewUrl } from "./url_state.js";

/**
 * @typedef {import("./calendar.js").Interval} Interval
 * @typedef {import("./charts.js").Column} Column
 * @typedef {import("./orders_api.js").Summary} Summary
 * @typedef {import("./orders_api.js").Totals} Totals
 * @typedef {import("./url_state.js").View} View
 */

/** The API's periods of orders without a creation time, and of those before the newest periods. */
const UNDATED = "unknown";
const EARLIER = "earlier";
const MIN_COLUMNS = { day: 7, week: 6, month: 6, quarter: 4 };
/** Keeps a single very old order from squeezing all other columns together. */
const MAX_COLUMNS = 120;

export class Analysis {
  #chart = new StackedChart();
  #navigate;

  /** @param {(patch: Partial<View>) => void} navigate */
  constructor(navigate) {
    this.#navigate = navigate;
    byId("chart").append(this.#chart.element);
  }

  /**
   * @param {View} view
   * @param {Summary} summary
   * @param {string | undefined} currency
   */
  show(view, summary, currency) {
    const interval = chartInterval(view);
    const measure = view.measure || "amount";
    const title = t(`chart.title.${measure}.${interval}`) + (measure === "amount" && currency ? ` (${currency})` : "");
    // Statuses that this page does not know are drawn too, or columns and totals would disagree.
    const statuses = [...new Set([...STATUSES, UNKNOWN, ...summary.by_status.map(({ status }) => status)])];
    const columns = columnsOf(view, summary, measure, interval, currency);
    const periods = summary.by_period.map(({ period }) => period).filter((period) => /^\d/.test(period));
    const isCut = columns.length > 0 && [EARLIER, ...periods].some((one) => isBefore(one, columns[0].start, summary));
    const undated = summary.by_period.filter(({ period }) => period === UNDATED);
    const undatedCount = undated.reduce((sum, { count }) => sum + count, 0);
    update(byId("chart-title"), title);
    this.#chart.show({
      title,
      columns,
      statuses,
      interval,
      onPick: (start) => this.#navigate(pick(view, start, interval)),
    });
    update(
      byId("chart-notes"),
      isCut && el("p", {}, t("chart.earlier")),
      undatedCount > 0 && el("p", {}, tCount("chart.undated", undatedCount)),
    );
    update(byId("chart-table"), dataTable(view, title, summary, measure, interval, statuses, currency));
    byId("chart-data").hidden = summary.by_period.length === 0;
    update(byId("breakdowns"), ...breakdowns(view, summary, currency));
    byId("analysis").hidden = summary.count === 0;
  }

  /** Hide it, and leave no amount in the page for whoever uses the computer next. */
  clear() {
    byId("analysis").hidden = true;
    this.#chart.clear();
    for (const id of ["chart-notes", "chart-table", "breakdowns"]) update(byId(id));
  }
}

/**
 * @param {string} period
 * @param {string} first
 * @param {Summary} summary
 */
function isBefore(period, first, summary) {
  return period === EARLIER ? summary.by_period[0]?.period === EARLIER : period < first;
}

/**
 * The days of a period, within those of the view.
 * @param {View} view
 * @param {string} start
 * @param {Interval} interval
 * @returns {Partial<View>}
 */
function pick({ from, to }, start, interval) {
  const end = periodEnd(start, interval);
  return { from: from > start ? from : start, to: to && to < end ? to : end, interval: "" };
}

/**
 * @param {View} view
 * @param {Summary} summary
 * @param {string} measure
 * @param {Interval} interval
 * @param {string | undefined} currency
 * @returns {Column[]}
 */
function columnsOf(view, summary, measure, interval, currency) {
  const dated = summary.by_period.filter(({ period }) => /^\d/.test(period));
  if (dated.length === 0) return [];
  const rows = Map.groupBy(dated, ({ period }) => period);
  const last = dated[dated.length - 1].period;
  // A few empty columns, so that a single one does not fill the chart.
  const [earliest] = periodsBetween("0001-01-01", last, interval, MIN_COLUMNS[interval]);
  const first = view.from || (dated[0].period < earliest ? dated[0].period : earliest);
  const end = view.to && view.from ? view.to : last;
  return periodsBetween(first, end > last ? end : last, interval, MAX_COLUMNS).map((start) => {
    const parts = rows.get(start) ?? [];
    return {
      start,
      // The floating-point number is only drawn; the label has the exact digits.
      parts: new Map(parts.map((part) => [part.status, { size: sizeOf(part, measure), label: label(part, measure, currency) }])),
      total: label(sum(parts), measure, currency),
    };
  });
}

/**
 * @param {Totals} totals
 * @param {string} measure
 */
function sizeOf(totals, measure) {
  return measure === "count" ? totals.count : Number(totals.actual_amount);
}

/**
 * @param {Totals} totals
 * @param {string} measure
 * @param {string | undefined} currency
 */
function label(totals, measure, currency) {
  return measure === "count" ? formatCount(totals.count) : formatAmount(totals.actual_amount, currencyDigits(currency));
}

/**
 * The exact sum.
 * @param {Totals[]} parts
 * @returns {Totals}
 */
function sum(parts) {
  const decimals = parts.map((part) => part.actual_amount);
  const digits = Math.max(0, ...decimals.map((decimal) => (decimal.split(".")[1] ?? "").length));
  const scaled = decimals.map((decimal) => {
    const [integer, fraction = ""] = decimal.split(".");
    return BigInt(integer + fraction.padEnd(digits, "0"));
  });
  const total = scaled.reduce((left, right) => left + right, 0n);
  const text = String(total < 0n ? -total : total).padStart(digits + 1, "0");
  const point = text.length - digits;
  const amount = (total < 0n ? "-" : "") + text.slice(0, point) + (digits ? `.${text.slice(point)}` : "");
  return { count: parts.reduce((count, part) => count + part.count, 0), actual_amount: amount };
}

/**
 * The numbers of the chart as a table, with totals. Each period is a link that selects it.
 * @param {View} view
 * @param {string} title
 * @param {Summary} summary
 * @param {string} measure
 * @param {Interval} interval
 * @param {string[]} statuses
 * @param {string | undefined} currency
 */
function dataTable(view, title, summary, measure, interval, statuses, currency) {
  const present = statuses.filter((status) => summary.by_status.some((one) => one.status === status));
  const digits = columnDigits(summary.by_period.map((part) => part.actual_amount), currency);
  const number = (/** @type {Totals[]} */ parts) => {
    const total = sum(parts);
    const value = measure === "count" ? formatCount(total.count) : amountCell(total.actual_amount, digits);
    return el("td", { class: "number" }, parts.length ? value : "\u2014");
  };
  const cells = (/** @type {Summary["by_period"]} */ parts) => [
    ...present.map((status) => number(parts.filter((part) => part.status === status))),
    number(parts),
  ];
  const rows = [...Map.groupBy(summary.by_period, ({ period }) => period)].map(([period, parts]) =>
    el("tr", { "data-key": period }, el("th", { scope: "row" }, periodName(view, period, interval)), ...cells(parts)),
  );
  const headers = [t("chart.period"), ...present.map(tEnum), t("total")].map((text, index) =>
    el("th", { scope: "col", class: index ? "number" : "" }, text),
  );
  return el(
    "table",
    {},
    el("caption", { class: "visually-hidden" }, title),
    el("thead", {}, el("tr", {}, ...headers)),
    el("tbody", {}, ...rows),
    el("tfoot", {}, el("tr", {}, el("th", { scope: "row" }, t("total")), ...cells(summary.by_period))),
  );
}

/**
 * @param {View} view
 * @param {string} period
 * @param {Interval} interval
 */
function periodName(view, period, interval) {
  if (period === EARLIER) return t("chart.before");
  if (period === UNDATED) return tEnum(UNKNOWN);
  const name = formatPeriod(period, interval);
  const href = viewUrl({ ...view, ...pick(view, period, interval), page: 1 });
  return el("a", { href, title: t("chart.pick", { period: name }) }, name);
}

/**
 * @param {View} view
 * @param {Summary} summary
 * @param {string | undefined} currency
 */
function breakdowns(view, summary, currency) {
  if (summary.count === 0) return [];
  return [breakdown(view, "status", summary, currency), breakdown(view, "type", summary, currency), breakdown(view, "source", summary, currency)];
}

/**
 * Counts and amounts by one enum; each name is a link that switches the filter for it.
 * @param {View} view
 * @param {"status" | "type" | "source"} name
 * @param {Summary} summary
 * @param {string | undefined} currency
 */
function breakdown(view, name, summary, currency) {
  /** @type {(Totals & Record<string, any>)[]} */
  const groups = [...summary[`by_${name}`]].sort(
    (left, right) => sortPosition(name, left) - sortPosition(name, right),
  );
  const digits = columnDigits(groups.map((group) => group.actual_amount), currency);
  const rows = groups.map((group) => {
    const value = group[name];
    const isOnlyFilter = view[name].length === 1 && view[name][0] === value;
    const href = viewUrl({ ...view, [name]: isOnlyFilter ? [] : [value], page: 1 });
    const percent = summary.count ? (group.count / summary.count) * 100 : 0;
    const swatch = name === "status" ? `swatch ${value}` : "";
    return el(
      "tr",
      { "data-key": value },
      el(
        "th",
        { scope: "row" },
        el("a", { href, class: swatch, "aria-current": isOnlyFilter && "true" }, tEnum(value)),
        shareBar(percent, name === "status" ? value : ""),
      ),
      el("td", { class: "number" }, formatCount(group.count)),
      el("td", { class: "number" }, amountCell(group.actual_amount, digits)),
    );
  });
  return el(
    "table",
    { class: "breakdown", "data-key": name },
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
 * @param {string} status sets the color; may be empty
 */
function shareBar(percent, status) {
  return svg(
    "svg",
    { class: "share-bar", width: "100%", height: 3, "aria-hidden": "true" },
    svg("rect", { class: `fill ${status}`, width: `${percent.toFixed(2)}%`, height: 3 }),
  );
}
