/** Column charts by month, stacked by status. */

import { el, svg } from "./dom.js";
import { formatCompact, formatMonth } from "./format.js";
import { t, tEnum } from "./i18n.js";

/**
 * The part of one month's column for one status; `label` is the exact value as text.
 * @typedef {{month: string, status: string, size: number, label: string}} Segment
 */

const HEIGHT = 210;
const MARGIN = { top: 10, right: 4, bottom: 24, left: 46 };
const MAX_COLUMN_WIDTH = 44;
const MIN_MONTHS = 6;
/** Keeps a single very old order from squeezing all other columns together. */
const MAX_MONTHS = 120;
const LABEL_WIDTH = 74;

/**
 * A figure whose chart is drawn again when its width changes.
 * @param {string} title
 * @param {Segment[]} segments
 * @param {string[]} statuses from bottom to top
 */
export function stackedChart(title, segments, statuses) {
  const dataMonths = segments.map((segment) => segment.month);
  const months = monthRange(dataMonths);
  const readout = el("p", { class: "readout", "aria-hidden": "true" }, t("chart.hint"));
  const area = el("div", { class: "chart-area" });
  const figure = el("figure", { class: "card chart" }, el("figcaption", {}, title), area);
  if (months.length === 0) {
    area.append(el("p", { class: "empty" }, t("chart.empty")));
    return figure;
  }
  const label = t("chart.label", {
    title,
    first: formatMonth(months[0]),
    last: formatMonth(months[months.length - 1]),
  });
  const onSelect = (/** @type {string} */ month) => {
    const values = statuses
      .map((status) => segments.find((segment) => segment.month === month && segment.status === status))
      .map((segment) => segment && `${tEnum(segment.status)} ${segment.label}`)
      .filter(Boolean)
      .join(" \u00b7 ");
    readout.textContent = `${formatMonth(month)}: ${values || "\u2014"}`;
  };
  let drawnWidth = 0;
  new ResizeObserver(([{ contentRect }]) => {
    const width = Math.floor(contentRect.width);
    if (width === drawnWidth || width === 0) return;
    drawnWidth = width;
    area.replaceChildren(drawChart({ width, months, segments, statuses, label, onSelect }));
  }).observe(area);
  const allMonths = [...new Set([...dataMonths, ...months])].sort();
  if (allMonths.length > months.length) figure.append(el("p", { class: "muted" }, t("chart.earlier")));
  figure.append(readout, legend(segments, statuses), dataTable(title, allMonths, segments, statuses));
  return figure;
}

/**
 * Values for an axis from 0 to at least `max`, in steps of 1, 2 or 5 times a power of ten.
 * @param {number} max
 */
export function axisTicks(max) {
  if (!(max > 0)) return [0, 1];
  const minStep = max / 4;
  const power = 10 ** Math.floor(Math.log10(minStep));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= minStep) ?? minStep;
  const count = Math.ceil(max / step);
  return Array.from({ length: count + 1 }, (_, index) => index * step);
}

/**
 * All months from the first to the last: extended backwards to MIN_MONTHS, cut to the last MAX_MONTHS.
 * @param {string[]} months as 2026-11, in any order
 */
export function monthRange(months) {
  const sorted = [...new Set(months)].sort();
  if (sorted.length === 0) return [];
  const last = monthIndex(sorted[sorted.length - 1]);
  const extended = Math.min(monthIndex(sorted[0]), last - MIN_MONTHS + 1);
  const first = Math.max(extended, last - MAX_MONTHS + 1);
  return Array.from({ length: last - first + 1 }, (_, index) => {
    const year = String(Math.floor((first + index) / 12)).padStart(4, "0");
    return `${year}-${String(((first + index) % 12) + 1).padStart(2, "0")}`;
  });
}

/** @param {string} month */
function monthIndex(month) {
  return Number(month.slice(0, 4)) * 12 + Number(month.slice(5, 7)) - 1;
}

/**
 * @param {{width: number, months: string[], segments: Segment[], statuses: string[], label: string,
 *   onSelect: (month: string) => void}} options
 */
function drawChart({ width, months, segments, statuses, label, onSelect }) {
  const baseline = HEIGHT - MARGIN.bottom;
  const maxHeight = baseline - MARGIN.top;
  const innerWidth = width - MARGIN.left - MARGIN.right;
  const bandWidth = innerWidth / months.length;
  const columnWidth = Math.max(1, Math.min(bandWidth * 0.72, MAX_COLUMN_WIDTH));
  const totals = new Map(months.map((month) => [month, 0]));
  for (const { month, size } of segments) {
    const total = totals.get(month);
    // Negative values have no height: they are in the readout and the table only.
    if (total !== undefined) totals.set(month, total + Math.max(size, 0));
  }
  const ticks = axisTicks(Math.max(...totals.values()));
  const max = ticks[ticks.length - 1];
  const scale = (/** @type {number} */ size) => (size / max) * maxHeight;
  const chart = svg("svg", { role: "img", "aria-label": label, width, height: HEIGHT });
  for (const tick of ticks) {
    const y = baseline - scale(tick);
    chart.append(
      svg("line", {
        class: tick ? "grid-line" : "grid-line baseline",
        x1: MARGIN.left,
        x2: width - MARGIN.right,
        y1: y,
        y2: y,
      }),
      svg("text", { class: "tick", x: MARGIN.left - 8, y: y + 4, "text-anchor": "end" }, formatCompact(tick)),
    );
  }
  const labelEvery = Math.ceil(LABEL_WIDTH / bandWidth);
  months.forEach((month, index) => {
    const left = MARGIN.left + index * bandWidth;
    const column = svg("g", {
      class: "column",
      pointerenter: () => onSelect(month),
      pointerdown: () => onSelect(month),
    });
    column.append(
      svg("rect", { class: "hit-area", x: left, y: MARGIN.top, width: bandWidth, height: maxHeight }),
    );
    const x = left + (bandWidth - columnWidth) / 2;
    let y = baseline;
    for (const status of statuses) {
      const segment = segments.find((segment) => segment.month === month && segment.status === status);
      const height = segment ? scale(segment.size) : 0;
      if (height <= 0) continue;
      y -= height;
      column.append(svg("rect", { class: `fill ${status}`, x, y, width: columnWidth, height }));
    }
    chart.append(column);
    if ((months.length - 1 - index) % labelEvery === 0) {
      const withYear = labelEvery > 1 || month.endsWith("-01") || index === 0;
      const center = left + bandWidth / 2;
      const atEdge = center + LABEL_WIDTH / 2 > width;
      const position = atEdge ? { x: width, "text-anchor": "end" } : { x: center, "text-anchor": "middle" };
      chart.append(svg("text", { class: "tick", y: HEIGHT - 6, ...position }, formatMonth(month, withYear)));
    }
  });
  return chart;
}

/**
 * @param {Segment[]} segments
 * @param {string[]} statuses
 */
function legend(segments, statuses) {
  const present = statuses.filter((status) => segments.some((segment) => segment.status === status));
  const entries = present.map((status) =>
    el("li", {}, el("span", { class: `swatch ${status}` }, tEnum(status))),
  );
  return el("ul", { class: "legend" }, ...entries);
}

/**
 * The numbers of the chart as a table.
 * @param {string} title
 * @param {string[]} months
 * @param {Segment[]} segments
 * @param {string[]} statuses
 */
function dataTable(title, months, segments, statuses) {
  const present = statuses.filter((status) => segments.some((segment) => segment.status === status));
  const labels = new Map(segments.map((segment) => [`${segment.month} ${segment.status}`, segment.label]));
  const headers = [t("month"), ...present.map(tEnum)].map((text, index) =>
    el("th", { scope: "col", class: index ? "number" : "" }, text),
  );
  const rows = months.map((month) => {
    const cells = present.map((status) =>
      el("td", { class: "number" }, labels.get(`${month} ${status}`) ?? "\u2014"),
    );
    return el("tr", {}, el("th", { scope: "row" }, formatMonth(month)), ...cells);
  });
  const table = el(
    "table",
    {},
    el("caption", { class: "visually-hidden" }, title),
    el("thead", {}, el("tr", {}, ...headers)),
    el("tbody", {}, ...rows),
  );
  const scroll = el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": title }, table);
  return el(
    "details",
    { class: "chart-data", "data-title": title },
    el("summary", {}, t("chart.table")),
    scroll,
  );
}
