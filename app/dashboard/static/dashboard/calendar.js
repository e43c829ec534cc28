/** Arithmetic with days, written as 2026-11-23, and with the periods that charts and filters use. */

/** @typedef {"day" | "week" | "month" | "quarter"} Interval */
/** @typedef {{from: string, to: string}} Range both days inclusive */

/** @type {Interval[]} */
export const INTERVALS = ["day", "week", "month", "quarter"];
export const PRESETS = [
  "today",
  "last_7_days",
  "last_30_days",
  "this_month",
  "last_month",
  "this_quarter",
  "last_quarter",
  "this_year",
  "last_year",
];

const DAY_MS = 86_400_000;
const MONTHS_OF = { month: 1, quarter: 3, year: 12 };

/**
 * The current day in a time zone.
 * @param {string} zone IANA
 * @param {Date} [now]
 */
export function today(zone, now = new Date()) {
  const options = /** @type {const} */ ({ year: "numeric", month: "2-digit", day: "2-digit" });
  const parts = new Intl.DateTimeFormat("en", { timeZone: zone, calendar: "gregory", ...options });
  const values = Object.fromEntries(parts.formatToParts(now).map(({ type, value }) => [type, value]));
  return `${values.year}-${values.month}-${values.day}`;
}

/**
 * @param {string} day
 * @param {number} count may be negative
 */
export function addDays(day, count) {
  return isoDay(new Date(Date.parse(day) + count * DAY_MS));
}

/**
 * The number of days of a range.
 * @param {Range} range
 */
export function dayCount({ from, to }) {
  return Math.round((Date.parse(to) - Date.parse(from)) / DAY_MS) + 1;
}

/**
 * The days of a preset. Periods that contain today end today.
 * @param {string} preset
 * @param {string} day today
 * @returns {Range | undefined}
 */
export function presetRange(preset, day) {
  const days = { today: 1, last_7_days: 7, last_30_days: 30 }[preset];
  if (days) return { from: addDays(day, 1 - days), to: day };
  const [which, unit] = preset.split("_");
  const months = MONTHS_OF[/** @type {keyof typeof MONTHS_OF} */ (unit)];
  if (!months || (which !== "this" && which !== "last")) return undefined;
  const start = startOfMonths(day, months);
  if (which === "this") return { from: start, to: day };
  return { from: addMonths(start, -months), to: addDays(start, -1) };
}

/**
 * The range of equal length before `range`: as many whole months if it is made of them, else days.
 * @param {Range} range
 * @returns {Range}
 */
export function previousRange(range) {
  const { from, to } = range;
  const before = addDays(from, -1);
  const after = addDays(to, 1);
  if (from.endsWith("-01") && after.endsWith("-01")) {
    return { from: addMonths(from, monthIndex(from) - monthIndex(after)), to: before };
  }
  return { from: addDays(from, -dayCount(range)), to: before };
}

/**
 * The first day of the period that contains `day`. Weeks begin on Monday (ISO 8601).
 * @param {string} day
 * @param {Interval} interval
 */
export function periodStart(day, interval) {
  if (interval === "day") return day;
  if (interval === "week") return addDays(day, -((new Date(day).getUTCDay() + 6) % 7));
  return startOfMonths(day, MONTHS_OF[interval]);
}

/**
 * The last day of the period that begins on `start`.
 * @param {string} start
 * @param {Interval} interval
 */
export function periodEnd(start, interval) {
  return addDays(nextPeriod(start, interval), -1);
}

/**
 * The first days of all periods from `first` to `last`, the last `max` at most.
 * @param {string} first
 * @param {string} last
 * @param {Interval} interval
 * @param {number} max
 */
export function periodsBetween(first, last, interval, max) {
  const starts = [];
  let start = periodStart(last, interval);
  const end = periodStart(first, interval);
  while (start >= end && starts.length < max) {
    starts.unshift(start);
    start = periodStart(addDays(start, -1), interval);
  }
  return starts;
}

/**
 * The interval that divides a number of days into a readable number of periods.
 * @param {number} days
 * @returns {Interval}
 */
export function intervalFor(days) {
  if (days <= 31) return "day";
  if (days <= 190) return "week";
  return days <= 5 * 366 ? "month" : "quarter";
}

/**
 * @param {string} start
 * @param {Interval} interval
 */
function nextPeriod(start, interval) {
  if (interval === "day") return addDays(start, 1);
  return interval === "week" ? addDays(start, 7) : addMonths(start, MONTHS_OF[interval]);
}

/**
 * The first day of the calendar period of so many months (1, 3 or 12) that contains `day`.
 * @param {string} day
 * @param {number} months
 */
function startOfMonths(day, months) {
  const index = monthIndex(day);
  return firstOfMonth(index - (index % months));
}

/**
 * @param {string} first the first day of a month
 * @param {number} count
 */
function addMonths(first, count) {
  return firstOfMonth(monthIndex(first) + count);
}

/** @param {string} day */
function monthIndex(day) {
  return Number(day.slice(0, 4)) * 12 + Number(day.slice(5, 7)) - 1;
}

/** @param {number} index */
function firstOfMonth(index) {
  const year = String(Math.floor(index / 12)).padStart(4, "0");
  return `${year}-${String((index % 12) + 1).padStart(2, "0")}-01`;
}

/** @param {Date} date */
function isoDay(date) {
  return date.toISOString().slice(0, 10);
}
