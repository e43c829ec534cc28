/** A column chart by period, stacked by status. A click on a column selects its period. */

import { el, svg, update } from "./dom.js";
import { formatCompact, formatPeriod, formatTick } from "./format.js";
import { t, tEnum } from "./i18n.js";

/** @typedef {import("./calendar.js").Interval} Interval */

/**
 * What a column shows: the sizes of its parts by status, and the exact texts.
 * @typedef {object} Column
 * @property {string} start the first day of the period
 * @property {Map<string, {size: number, label: string}>} parts
 * @property {string} total
 */

/**
 * @typedef {object} ChartData
 * @property {string} title
 * @property {Column[]} columns
 * @property {string[]} statuses from bottom to top
 * @property {Interval} interval
 * @property {(start: string) => void} onPick
 */

const HEIGHT = 220;
const MARGIN = { top: 10, right: 4, bottom: 26, left: 52 };
const MAX_COLUMN_WIDTH = 44;
const LABEL_GAP = 10;
const MIN_PART_HEIGHT = 1;

/** A figure that draws its chart again when its width or its data changes. */
export class StackedChart {
  #area = el("div", { class: "chart-area" });
  #readout = el("p", { class: "readout", "aria-hidden": "true" });
  #legend = el("ul", { class: "legend" });
  #width = 0;
  /** @type {ChartData | undefined} */
  #data;
  /** The period of the last tap. */
  #tapped = "";
  element = el("figure", { class: "chart" }, this.#area, this.#readout, this.#legend);

  constructor() {
    new ResizeObserver(([{ contentRect }]) => {
      const width = Math.floor(contentRect.width);
      if (width === this.#width) return;
      this.#width = width;
      this.#draw();
    }).observe(this.#area);
  }

  /** @param {ChartData} data */
  show(data) {
    this.#data = data;
    this.#readout.textContent = t("chart.hint");
    this.#draw();
  }

  clear() {
    this.#data = undefined;
    this.#readout.textContent = "";
    update(this.#area);
    update(this.#legend);
  }

  #draw() {
    const data = this.#data;
    if (!data || this.#width === 0) return;
    if (data.columns.length === 0) {
      update(this.#area, el("p", { class: "empty" }, t("chart.empty")));
      update(this.#legend);
      return;
    }
    const present = data.statuses.filter((status) => data.columns.some(({ parts }) => parts.has(status)));
    update(
      this.#legend,
      ...present.map((status) => el("li", {}, el("span", { class: `swatch ${status}` }, tEnum(status)))),
    );
    const onRead = (/** @type {Column} */ column) => this.#read(column, present);
    const onClick = (/** @type {PointerEvent} */ event, /** @type {string} */ start) => {
      // A finger cannot hover: the first tap shows the numbers.
      const isFirstTap = event.pointerType === "touch" && this.#tapped !== start;
      this.#tapped = start;
      if (!isFirstTap) data.onPick(start);
    };
    update(this.#area, drawChart(data, present, this.#width, onRead, onClick));
  }

  /**
   * @param {Column} column
   * @param {string[]} statuses
   */
  #read({ start, parts, total }, statuses) {
    const values = statuses.flatMap((status) => {
      const part = parts.get(status);
      return part ? [`${tEnum(status)} ${part.label}`] : [];
    });
    const period = formatPeriod(start, this.#data?.interval ?? "month");
    this.#readout.textContent = [`${period}: ${t("total")} ${total}`, ...values].join(" \u00b7 ");
  }
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
 * @param {ChartData} data
 * @param {string[]} statuses
 * @param {number} width
 * @param {(column: Column) => void} onRead
 * @param {(event: PointerEvent, start: string) => void} onClick
 */
function drawChart({ title, columns, interval }, statuses, width, onRead, onClick) {
  const baseline = HEIGHT - MARGIN.bottom;
  const maxHeight = baseline - MARGIN.top;
  const bandWidth = (width - MARGIN.left - MARGIN.right) / columns.length;
  const columnWidth = Math.max(1, Math.min(bandWidth * 0.72, MAX_COLUMN_WIDTH));
  const ticks = axisTicks(Math.max(...columns.map(heightOf)));
  const scale = maxHeight / ticks[ticks.length - 1];
  const label = t("chart.label", {
    title,
    first: formatPeriod(columns[0].start, interval),
    last: formatPeriod(columns[columns.length - 1].start, interval),
  });
  const lines = ticks.flatMap((tick) => {
    const y = baseline - tick * scale;
    const line = { class: tick ? "grid-line" : "grid-line baseline", x1: MARGIN.left, x2: width - MARGIN.right };
    const text = { class: "tick", x: MARGIN.left - 8, y: y + 4, "text-anchor": "end" };
    return [svg("line", { ...line, y1: y, y2: y }), svg("text", text, formatCompact(tick))];
  });
  const bars = columns.map((column, index) => {
    const left = MARGIN.left + index * bandWidth;
    const x = left + (bandWidth - columnWidth) / 2;
    let y = baseline;
    const parts = statuses.flatMap((status) => {
      // Negative values have no height: they are in the readout and in the table.
      const size = (column.parts.get(status)?.size ?? 0) * scale;
      if (size <= 0) return [];
      const height = Math.max(size, MIN_PART_HEIGHT);
      y -= height;
      return [svg("rect", { class: `fill ${status}`, x, y, width: columnWidth, height })];
    });
    const handlers = {
      pointerenter: () => onRead(column),
      click: (/** @type {PointerEvent} */ event) => onClick(event, column.start),
    };
    return svg(
      "g",
      { class: "column", "data-key": column.start, ...handlers },
      svg("rect", { class: "hit-area", x: left, y: MARGIN.top, width: bandWidth, height: maxHeight }),
      ...parts,
    );
  });
  const centers = columns.map((_, index) => MARGIN.left + (index + 0.5) * bandWidth);
  return svg(
    "svg",
    { role: "img", "aria-label": label, width, height: HEIGHT },
    ...lines,
    ...bars,
    ...axisLabels(columns, interval, centers, width),
  );
}

/** @param {Column} column */
function heightOf({ parts }) {
  return [...parts.values()].reduce((sum, { size }) => sum + Math.max(size, 0), 0);
}

/**
 * As many labels as fit without overlapping, in equal steps back from the last column. The first
 * one and each one of another year than the one before have the year.
 * @param {Column[]} columns
 * @param {Interval} interval
 * @param {number[]} centers
 * @param {number} width
 */
function axisLabels(columns, interval, centers, width) {
  const measure = textMeasure();
  const texts = (/** @type {number} */ step) => {
    let year = "";
    return columns.map(({ start }, index) => {
      if ((columns.length - 1 - index) % step !== 0) return "";
      const withYear = start.slice(0, 4) !== year;
      year = start.slice(0, 4);
      return formatTick(start, interval, withYear);
    });
  };
  for (let step = 1; ; step += 1) {
    const labels = texts(step).flatMap((text, index) => {
      if (!text) return [];
      const half = measure(text) / 2;
      return [{ text, half, x: Math.min(Math.max(centers[index], half), width - half) }];
    });
    const fits = labels.every((label, index) => {
      const next = labels[index + 1];
      return !next || label.x + label.half + LABEL_GAP <= next.x - next.half;
    });
    if (!fits && step < columns.length) continue;
    return labels.map(({ text, x }) => svg("text", { class: "tick", x, y: HEIGHT - 6, "text-anchor": "middle" }, text));
  }
}

/** @returns {(text: string) => number} the width of a tick label, in pixels */
function textMeasure() {
  const context = document.createElement("canvas").getContext("2d");
  if (!context) return (text) => text.length * 12;
  context.font = `11px ${getComputedStyle(document.body).fontFamily}`;
  return (text) => context.measureText(text).width;
}
