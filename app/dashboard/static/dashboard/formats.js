/** Numbers and times as people read them. Amounts are text: they are spaced, never computed. */

import { locale } from "./words.js";

const resolved = Intl.DateTimeFormat().resolvedOptions().timeZone;
/** The viewer's time zone, IANA. */
export const ZONE = !resolved || resolved === "Etc/Unknown" ? "UTC" : resolved;

/**
 * A decimal text with its thousands apart, digit for digit.
 * @param {string} decimal
 */
export function amount(decimal) {
  const [, sign, whole, rest] = /^(-?)(\d+)(.*)$/.exec(decimal) ?? ["", "", decimal, ""];
  return (sign ? "\u2212" : "") + whole.replace(/\B(?=(\d{3})+$)/g, ",") + rest;
}

/** @param {number} number */
export function count(number) {
  return number.toLocaleString(locale());
}

/**
 * A number short enough for an axis.
 * @param {number} number
 */
export function compact(number) {
  const how = /** @type {const} */ ({ notation: "compact", maximumFractionDigits: 1 });
  return number.toLocaleString(locale(), how);
}

/** @param {string} moment RFC 3339 */
export function dateAndTime(moment) {
  return format(new Date(moment), { dateStyle: "medium", timeStyle: "short" });
}

/** @param {Date} moment */
export function timeOfDay(moment) {
  const sameDay = new Date().toDateString() === moment.toDateString();
  return format(moment, sameDay ? { timeStyle: "medium" } : { dateStyle: "medium", timeStyle: "short" });
}

/**
 * @param {string} month as 2026-11
 * @param {boolean} [withYear]
 */
export function monthName(month, withYear = true) {
  const first = new Date(`${month}-01T00:00:00Z`);
  const how = /** @type {const} */ ({ month: "short", timeZone: "UTC" });
  return format(first, withYear ? { ...how, year: "numeric" } : how);
}

/**
 * An age in its largest unit.
 * @param {number} seconds
 */
export function age(seconds) {
  /** @type {[number, string][]} */
  const units = [
    [86400, "day"],
    [3600, "hour"],
    [60, "minute"],
    [1, "second"],
  ];
  const [size, unit] = units.find(([least]) => seconds >= least) ?? [1, "second"];
  const how = /** @type {const} */ ({ style: "unit", unit, unitDisplay: "short" });
  return Math.floor(seconds / size).toLocaleString(locale(), how);
}

/**
 * @param {Date} moment
 * @param {Intl.DateTimeFormatOptions} how
 */
function format(moment, how) {
  return new Intl.DateTimeFormat(locale(), { timeZone: ZONE, hourCycle: "h23", ...how }).format(moment);
}
