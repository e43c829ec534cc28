/** Converts between the page's URL and what it shows, and builds the API's query parameters. */

/**
 * @typedef {object} View
 * @property {string[]} status
 * @property {string[]} type
 * @property {string[]} source
 * @property {string} from the first day, as 2026-11-23, or empty
 * @property {string} to the last day, or empty
 * @property {string} q
 * @property {string} sort
 * @property {number} page
 * @property {number} limit
 * @property {string} order the number of the order that is open, or empty
 * @property {string} lang
 */

export const LIMITS = [10, 20, 50];
export const ENUM_FILTERS = /** @type {const} */ (["status", "type", "source"]);

/** The known values of each enum, in display order. Others may come: enums are open. */
export const STATUSES = ["completed", "paid", "unpaid", "cancelled", "expired"];
const TYPES = ["new", "renewal", "upgrade", "overdue_correction", "overflow_correction"];
const SOURCES = ["self_service", "offline", "admin", "license", "redemption_code"];
export const ENUM_VALUES = { status: STATUSES, type: TYPES, source: SOURCES };
export const UNKNOWN = "unknown";

const DATE = /^[0-9]{4}-[0-9]{2}-[0-9]{2}$/;
const SORTS = ["created_at", "actual_amount", "order_no"].flatMap((name) => [name, `-${name}`]);

/** @type {Readonly<View>} */
export const DEFAULT_VIEW = Object.freeze({
  status: [],
  type: [],
  source: [],
  from: "",
  to: "",
  q: "",
  sort: "",
  page: 1,
  limit: 20,
  order: "",
  lang: "",
});

/**
 * The view for a query string. Invalid values are ignored.
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
  const page = Number(get("page", (text) => /^[1-9][0-9]{0,5}$/.test(text)));
  const limit = Number(params.get("limit"));
  return {
    status: enumWords(params.getAll("status")),
    type: enumWords(params.getAll("type")),
    source: enumWords(params.getAll("source")),
    from: get("from", isDate),
    to: get("to", isDate),
    q: (params.get("q") ?? "").slice(0, 100),
    sort: get("sort", (text) => SORTS.includes(text)),
    page: page || 1,
    limit: LIMITS.includes(limit) ? limit : DEFAULT_VIEW.limit,
    order: get("order", (text) => /^(?=.*[0-9])[0-9A-Za-z_-]{1,64}$/.test(text)),
    lang: get("lang", (text) => text === "en" || text === "zh"),
  };
}

/**
 * The relative URL of a view. Default values are left out.
 * @param {View} view
 */
export function viewUrl(view) {
  const params = new URLSearchParams();
  for (const name of ENUM_FILTERS) for (const value of view[name]) params.append(name, value);
  for (const name of /** @type {const} */ (["from", "to", "q", "sort", "order", "lang"])) {
    if (view[name]) params.set(name, view[name]);
  }
  if (view.page !== DEFAULT_VIEW.page) params.set("page", String(view.page));
  if (view.limit !== DEFAULT_VIEW.limit) params.set("limit", String(view.limit));
  return `?${params}`;
}

/** @param {View} view */
export function isFiltered(view) {
  return ENUM_FILTERS.some((name) => view[name].length > 0) || Boolean(view.from || view.to || view.q);
}

/**
 * The API's filters for a view. Dates are in the viewer's zone; the API's end is exclusive.
 * @param {View} view
 * @param {string} zone IANA
 */
function filterParams(view, zone) {
  const params = new URLSearchParams();
  for (const name of ENUM_FILTERS) for (const value of view[name]) params.append(name, value);
  if (view.from) params.set("created_from", view.from);
  if (view.to) params.set("created_to", nextDay(view.to));
  if (view.q.trim()) params.set("q", view.q.trim());
  if (view.from || view.to) params.set("time_zone", zone);
  return params;
}

/**
 * The API's parameters for an export of a view: filters and sort order.
 * @param {View} view
 * @param {string} zone IANA
 */
export function exportParams(view, zone) {
  const params = filterParams(view, zone);
  if (view.sort) params.set("sort", view.sort);
  return params;
}

/**
 * The API's parameters for the page of a view.
 * @param {View} view
 * @param {string} zone IANA
 */
export function pageParams(view, zone) {
  const params = exportParams(view, zone);
  params.set("page", String(view.page));
  params.set("limit", String(view.limit));
  return params;
}

/**
 * The API's parameters for the summary of a view.
 * @param {View} view
 * @param {string} zone IANA
 */
export function summaryParams(view, zone) {
  const params = filterParams(view, zone);
  params.set("time_zone", zone);
  return params;
}

/** @param {string} day */
function nextDay(day) {
  const next = new Date(`${day}T00:00:00Z`);
  next.setUTCDate(next.getUTCDate() + 1);
  return next.toISOString().slice(0, 10);
}

/** @param {string[]} values */
function enumWords(values) {
  return [...new Set(values)].filter((value) => /^[a-z_]{1,40}$/.test(value));
}
