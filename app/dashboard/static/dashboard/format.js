/** Formats times in the zone of the page, numbers, and amounts without changing a digit. */

import { periodEnd, periodStart } from "./calendar.js";
import { language, locale, t } from "./i18n.js";

/** @typedef {import("./calendar.js").Interval} Interval */

const FALLBACK_DIGITS = 2;
const MAX_FRACTION = 6;
const NAMED_INTERVALS = /** @type {const} */ (["month", "quarter"]);

let zone = viewerZone();

/** Constructing a format takes longer than using it a hundred times. @type {Map<string, any>} */
const formats = new Map();

/**
 * The format with these options, constructed once.
 * @param {string} tag BCP 47
 * @param {Intl.DateTimeFormatOptions} options
 * @returns {Intl.DateTimeFormat}
 */
function dateFormat(tag, options) {
  return cached(`date ${tag} ${JSON.stringify(options)}`, () => new Intl.DateTimeFormat(tag, options));
}

/**
 * @param {string} tag BCP 47
 * @param {Intl.NumberFormatOptions} options
 * @returns {Intl.NumberFormat}
 */
function numberFormat(tag, options) {
  return cached(`number ${tag} ${JSON.stringify(options)}`, () => new Intl.NumberFormat(tag, options));
}

/**
 * @param {string} key
 * @param {() => any} construct
 */
function cached(key, construct) {
  if (!formats.has(key)) formats.set(key, construct());
  return formats.get(key);
}

/** The viewer's IANA time zone; UTC if the browser does not know it. */
export function viewerZone() {
  const resolved = Intl.DateTimeFormat().resolvedOptions().timeZone;
  return !resolved || resolved === "Etc/Unknown" ? "UTC" : resolved;
}

/** @param {string} name IANA */
export function setZone(name) {
  zone = name;
}

/**
 * The number of decimals of a currency, 2 if it is not known.
 * @param {string} [currency] ISO 4217
 */
export function currencyDigits(currency) {
  if (!currency) return FALLBACK_DIGITS;
  const format = numberFormat("en", { style: "currency", currency });
  return format.resolvedOptions().maximumFractionDigits ?? FALLBACK_DIGITS;
}

/**
 * A decimal string with thousands separators. With `digits` it has as many decimals, and more only
 * where they are not zero; more than six are cut, with an ellipsis. Nothing is rounded.
 * @param {string} decimal
 * @param {number} [digits]
 */
export function formatAmount(decimal, digits) {
  const [, sign, integer, decimals = ""] = /^(-?)(\d+)(?:\.(\d+))?$/.exec(decimal) ?? ["", "", decimal];
  const grouped = integer.replace(/\B(?=(\d{3})+$)/g, ",");
  const padded = digits === undefined ? decimals : decimals.replace(/0+$/, "").padEnd(digits, "0");
  const fraction = padded.length > MAX_FRACTION ? `${padded.slice(0, MAX_FRACTION)}\u2026` : padded;
  return (sign ? "\u2212" : "") + grouped + (fraction && `.${fraction}`);
}

/**
 * A decimal string rounded to `digits` decimals, half away from zero.
 * @param {string} decimal
 * @param {number} digits
 */
export function roundAmount(decimal, digits) {
  const options = { minimumFractionDigits: digits, maximumFractionDigits: digits, useGrouping: true };
  // A string, unlike a number, is rounded from its exact value.
  const text = numberFormat("en", options).format(/** @type {`${number}`} */ (decimal));
  return text.replace("-", "\u2212");
}

/** @param {number} number */
export function formatCount(number) {
  return numberFormat(locale(), {}).format(number);
}

/**
 * A number in compact notation, for an axis.
 * @param {number} number
 */
export function formatCompact(number) {
  const options = /** @type {const} */ ({ notation: "compact", maximumFractionDigits: 1 });
  return numberFormat(locale(), options).format(number);
}

/**
 * A change as a percentage with its sign, for example +12.3 %.
 * @param {number} ratio
 */
export function formatChange(ratio) {
  const digits = Math.abs(ratio) < 1 ? 1 : 0;
  const options = /** @type {const} */ ({
    style: "percent",
    maximumFractionDigits: digits,
    signDisplay: "exceptZero",
  });
  return numberFormat(locale(), options).format(ratio);
}

/**
 * A time in the zone of the page, without its name: for a column whose header names the zone.
 * @param {string} timestamp RFC 3339
 */
export function formatDateTime(timestamp) {
  return formatDate(new Date(timestamp), { dateStyle: "medium", timeStyle: "short" });
}

/**
 * A time with seconds and the name of the zone.
 * @param {string} timestamp RFC 3339
 */
export function formatFullTime(timestamp) {
  const options = /** @type {const} */ ({ hour: "2-digit", minute: "2-digit", second: "2-digit" });
  return formatDate(new Date(timestamp), { ...dayOptions(), ...options, timeZoneName: "short" });
}

/**
 * The time of day with the name of the zone, with the date unless it is today.
 * @param {Date} date
 * @param {{seconds?: boolean}} [options]
 */
export function formatClock(date, { seconds = false } = {}) {
  const day = (/** @type {Date} */ at) => formatDate(at, { dateStyle: "short" });
  return formatDate(date, {
    ...(day(date) === day(new Date()) ? {} : dayOptions()),
    hour: "2-digit",
    minute: "2-digit",
    second: seconds ? "2-digit" : undefined,
    timeZoneName: "short",
  });
}

/**
 * 23 Nov 2026 or 2026年11月23日.
 * @returns {Intl.DateTimeFormatOptions}
 */
function dayOptions() {
  return { year: "numeric", month: language() === "zh" ? "long" : "short", day: "numeric" };
}

/** @param {string} day as 2026-11-23 */
export function formatDay(day) {
  return formatUtc(day, dayOptions());
}

/**
 * A range of days, by its name if it is a month or a quarter.
 * @param {{from: string, to: string}} range
 * @returns {string}
 */
export function formatRange({ from, to }) {
  const named = NAMED_INTERVALS.find((one) => periodStart(from, one) === from && periodEnd(from, one) === to);
  if (named) return formatPeriod(from, named);
  if (language() === "en") {
    return dateFormat(locale(), { ...dayOptions(), timeZone: "UTC" }).formatRange(new Date(from), new Date(to));
  }
  // In Chinese, formatRange() writes the months as in 2026/11/23.
  const year = from.slice(0, 4) === to.slice(0, 4) ? undefined : "numeric";
  return t("range", { from: formatDay(from), to: formatUtc(to, { ...dayOptions(), year }) });
}

/**
 * The name of a period.
 * @param {string} start its first day
 * @param {Interval} interval
 */
export function formatPeriod(start, interval) {
  if (interval === "day") return formatDay(start);
  if (interval === "week") return formatRange({ from: start, to: periodEnd(start, interval) });
  if (interval === "month") return formatUtc(start, { year: "numeric", month: "short" });
  return t("quarter", { quarter: quarterOf(start), year: start.slice(0, 4) });
}

/**
 * A short label for a period on an axis.
 * @param {string} start its first day
 * @param {Interval} interval
 * @param {boolean} withYear
 */
export function formatTick(start, interval, withYear) {
  if (interval === "quarter") {
    return withYear ? formatPeriod(start, interval) : t("quarter.short", { quarter: quarterOf(start) });
  }
  const year = withYear ? /** @type {const} */ ({ year: "numeric" }) : {};
  const day = interval === "month" ? {} : /** @type {const} */ ({ day: "numeric" });
  return formatUtc(start, { month: "short", ...day, ...year });
}

/**
 * A duration in its largest unit.
 * @param {number} seconds
 */
export function formatAge(seconds) {
  /** @type {[number, string][]} */
  const units = [
    [86400, "day"],
    [3600, "hour"],
    [60, "minute"],
    [1, "second"],
  ];
  const [size, unit] = units.find(([size]) => seconds >= size) ?? [1, "second"];
  const options = /** @type {const} */ ({ style: "unit", unit, unitDisplay: "short" });
  return numberFormat(locale(), options).format(Math.floor(seconds / size));
}

/** @param {string} day */
function quarterOf(day) {
  return Math.ceil(Number(day.slice(5, 7)) / 3);
}

/**
 * @param {string} day
 * @param {Intl.DateTimeFormatOptions} options
 */
function formatUtc(day, options) {
  return dateFormat(locale(), { timeZone: "UTC", ...options }).format(new Date(day));
}

/**
 * @param {Date} date
 * @param {Intl.DateTimeFormatOptions} options
 */
function formatDate(date, options) {
  return dateFormat(locale(), { timeZone: zone, hourCycle: "h23", ...options }).format(date);
}
