/** Formats numbers, amounts and times. Amounts stay decimal strings: they are never computed with. */

import { locale } from "./i18n.js";

const resolved = Intl.DateTimeFormat().resolvedOptions().timeZone;
/** The viewer's IANA time zone; UTC if the browser does not know it. */
export const ZONE = !resolved || resolved === "Etc/Unknown" ? "UTC" : resolved;

/**
 * A decimal string with thousands separators; no digit changes.
 * @param {string} decimal
 */
export function formatAmount(decimal) {
  const [, sign, integer, fraction] = /^(-?)(\d+)(.*)$/.exec(decimal) ?? ["", "", decimal, ""];
  return (sign ? "\u2212" : "") + integer.replace(/\B(?=(\d{3})+$)/g, ",") + fraction;
}

/** @param {number} number */
export function formatCount(number) {
  return number.toLocaleString(locale());
}

/**
 * A number in compact notation, for an axis.
 * @param {number} number
 */
export function formatCompact(number) {
  const options = /** @type {const} */ ({ notation: "compact", maximumFractionDigits: 1 });
  return number.toLocaleString(locale(), options);
}

/** @param {string} timestamp RFC 3339 */
export function formatDateTime(timestamp) {
  return formatDate(new Date(timestamp), { dateStyle: "medium", timeStyle: "short" });
}

/**
 * The time, with the date unless it is today.
 * @param {Date} date
 */
export function formatTime(date) {
  const isToday = new Date().toDateString() === date.toDateString();
  return formatDate(date, isToday ? { timeStyle: "medium" } : { dateStyle: "medium", timeStyle: "short" });
}

/**
 * @param {string} month as 2026-11
 * @param {boolean} [withYear]
 */
export function formatMonth(month, withYear = true) {
  const first = new Date(`${month}-01T00:00:00Z`);
  const options = /** @type {const} */ ({ month: "short", timeZone: "UTC" });
  return formatDate(first, withYear ? { ...options, year: "numeric" } : options);
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
  return Math.floor(seconds / size).toLocaleString(locale(), options);
}

/**
 * @param {Date} date
 * @param {Intl.DateTimeFormatOptions} options
 */
function formatDate(date, options) {
  return new Intl.DateTimeFormat(locale(), { timeZone: ZONE, hourCycle: "h23", ...options }).format(date);
}
