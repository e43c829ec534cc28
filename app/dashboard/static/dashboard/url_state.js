/** Converts between the page's address and what it shows, and builds the API's query parameters. */

import { INTERVALS, addDays, dayCount, intervalFor, presetRange, today } from "./calendar.js";
import { viewerZone } from "./format.js";

/** @typedef {import("./calendar.js").Interval} Interval */

/**
 * @typedef {object} View
 * @property {string[]} status
 * @property {string[]} type
 * @property {string[]} source
 * @property {string} from the first day, as 2026-11-23, or empty
 * @property {string} to the last day, or empty
 * @property {string} amount_from a decimal, or empty
 * @property {string} amount_to a decimal, or empty
 * @property {string} q
 * @property {string} sort
 * @property {number} page
 * @property {number} limit
 * @property {string} order the number of the order that is open, or empty
 * @property {string} tz the IANA time zone of all days and times
 * @property {string} interval of the chart, or empty: the page decides
 * @property {string} measure `count`, or empty: the amount
 * @property {string} lang
 */

export const LIMITS = [25, 50, 100, 200];
export const ENUM_FILTERS = /** @type {const} */ (["status", "type", "source"]);
export const TEXT_FILTERS = /** @type {const} */ (["from", "to", "amount_from", "amount_to", "q"]);

/** The statuses that belong together, as in the API's summary. */
export const STATUS_GROUPS = {
  revenue: ["completed", "paid"],
  outstanding: ["unpaid"],
  lost: ["cancelled", "expired"],
};

/** The known values of each enum, in display order. Others may come: enums are open. */
export const STATUSES = Object.values(STATUS_GROUPS).flat();
const TYPES = ["new", "renewal", "upgrade", "overdue_correction", "overflow_correction"];
const SOURCES = ["self_service", "offline", "admin", "license", "redemption_code"];
export const ENUM_VALUES = { status: STATUSES, type: TYPES, source: SOURCES };
export const UNKNOWN = "unknown";

/** The most rows that the API returns at once. */
const API_LIMIT = 50;
const DATE = /^[0-9]{4}-[0-9]{2}-[0-9]{2}$/;
const AMOUNT = /^-?[0-9]{1,30}(\.[0-9]{1,30})?$/;
export const SORT_COLUMNS = ["created_at", "order_no", "status", "actual_amount"];
const SORTS = SORT_COLUMNS.flatMap((name) => [name, `-${name}`]);

/** The part of a view that "Clear filters" resets. */
export const NO_FILTERS = Object.freeze({
  status: [],
  type: [],
  source: [],
  from: "",
  to: "",
  amount_from: "",
  amount_to: "",
  q: "",
});

/** @type {Readonly<View>} */
export const DEFAULT_VIEW = Object.freeze({
  ...NO_FILTERS,
  sort: "",
  page: 1,
  limit: 25,
  order: "",
  tz: "",
  interval: "",
  measure: "",
  lang: "",
});

/**
 * The view for a query string. Invalid values are ignored. `period=last_month` and the like stand
 * for the days that they mean today.
 * @param {string} search
 * @returns {View}
 */
export function parseView(search) {
  const params = new URLSearchParams(search);
  /** @param {string} name @param {(text: string) => boolean} isValid */
  const get = (name, isValid) => {
    const text = params.get(name) ?? "";
    return isValid(text) ? text : "";
  };
  const isDate = (/** @type {string} */ text) => DATE.test(text) && !Number.isNaN(Date.parse(text));
  const isAmount = (/** @type {string} */ text) => AMOUNT.test(text);
  const page = Number(get("page", (text) => /^[1-9][0-9]{0,4}$/.test(text)));
  const limit = Number(params.get("limit"));
  const zone = canonicalZone(params.get("tz") ?? "") || viewerZone();
  const preset = presetRange(params.get("period") ?? "", today(zone));
  return {
    status: enumWords(params.getAll("status")),
    type: enumWords(params.getAll("type")),
    source: enumWords(params.getAll("source")),
    from: preset?.from ?? get("from", isDate),
    to: preset?.to ?? get("to", isDate),
    amount_from: get("amount_from", isAmount),
    amount_to: get("amount_to", isAmount),
    q: (params.get("q") ?? "").slice(0, 100),
    sort: get("sort", (text) => SORTS.includes(text)),
    page: page || 1,
    limit: LIMITS.includes(limit) ? limit : DEFAULT_VIEW.limit,
    order: get("order", (text) => /^[0-9A-Za-z_-]{1,64}$/.test(text)),
    tz: zone,
    interval: get("interval", (text) => INTERVALS.includes(/** @type {Interval} */ (text))),
    measure: get("measure", (text) => text === "count"),
    lang: get("lang", (text) => text === "en" || text === "zh"),
  };
}

/**
 * The relative address of a view. It always has the time zone; default values are left out.
 * @param {View} view
 */
export function viewUrl(view) {
  const params = new URLSearchParams();
  for (const name of ENUM_FILTERS) for (const value of view[name]) params.append(name, value);
  const texts = /** @type {const} */ ([...TEXT_FILTERS, "sort", "order", "interval", "measure", "lang"]);
  for (const name of texts) if (view[name]) params.set(name, view[name]);
  if (view.page !== DEFAULT_VIEW.page) params.set("page", String(view.page));
  if (view.limit !== DEFAULT_VIEW.limit) params.set("limit", String(view.limit));
  params.set("tz", view.tz);
  return `?${params}`.replaceAll("%2F", "/");
}

/** @param {View} view */
export function isFiltered(view) {
  return ENUM_FILTERS.some((name) => view[name].length > 0) || TEXT_FILTERS.some((name) => view[name]);
}

/**
 * The name of the first range that ends before it begins.
 * @param {View} view
 * @returns {"dates" | "amounts" | undefined}
 */
export function reversedRange({ from, to, amount_from: least, amount_to: most }) {
  if (from && to && from > to) return "dates";
  // Only compared: the API gets the texts.
  return least && most && Number(least) > Number(most) ? "amounts" : undefined;
}

/**
 * The interval of the chart: the chosen one, else one that suits the days of the view.
 * @param {View} view
 * @returns {Interval}
 */
export function chartInterval({ interval, from, to, tz }) {
  if (interval) return /** @type {Interval} */ (interval);
  return from ? intervalFor(dayCount({ from, to: to || today(tz) })) : "month";
}

/**
 * The API's filters for a view. The API's end of a range of times is exclusive.
 * @param {View} view
 */
function filterParams(view) {
  const params = new URLSearchParams();
  for (const name of ENUM_FILTERS) for (const value of view[name]) params.append(name, value);
  if (view.from) params.set("created_from", view.from);
  if (view.to) params.set("created_to", addDays(view.to, 1));
  if (view.amount_from) params.set("amount_from", view.amount_from);
  if (view.amount_to) params.set("amount_to", view.amount_to);
  if (view.q.trim()) params.set("q", view.q.trim());
  if (view.from || view.to) params.set("time_zone", view.tz);
  return params;
}

/** @param {View} view */
function listParams(view) {
  const params = filterParams(view);
  if (view.sort) params.set("sort", view.sort);
  return params;
}

/**
 * The API's parameters for an export of a view. The times in the file are in the zone of the page.
 * @param {View} view
 */
export function exportParams(view) {
  const params = listParams(view);
  params.set("time_zone", view.tz);
  return params;
}

/**
 * The API's parameters for the page of a view: several pages if it has more rows than one.
 * @param {View} view
 * @returns {URLSearchParams[]}
 */
export function pageParams(view) {
  const limit = Math.min(view.limit, API_LIMIT);
  const count = view.limit / limit;
  return Array.from({ length: count }, (_, index) => {
    const params = listParams(view);
    params.set("page", String((view.page - 1) * count + index + 1));
    params.set("limit", String(limit));
    return params;
  });
}

/**
 * The API's parameters for the summary of a view.
 * @param {View} view
 */
export function summaryParams(view) {
  const params = filterParams(view);
  params.set("time_zone", view.tz);
  params.set("interval", chartInterval(view));
  return params;
}

/** @param {string[]} values */
function enumWords(values) {
  return [...new Set(values)].filter((value) => /^[a-z_]{1,40}$/.test(value));
}

/**
 * The canonical name of a time zone, or empty. Offsets such as +08:00 are none: the API has names.
 * @param {string} name
 */
function canonicalZone(name) {
  try {
    return /^[A-Za-z]/.test(name) ? Intl.DateTimeFormat("en", { timeZone: name }).resolvedOptions().timeZone : "";
  } catch {
    return "";
  }
}
