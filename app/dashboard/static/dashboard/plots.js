/** Columns by month, stacked by status. Numbers become pixels here, and are shown nowhere else. */

import { draw, make } from "./elements.js";
import { compact, monthName } from "./formats.js";
import { say, sayValue } from "./words.js";

/**
 * One month's part of one status. `size` is for the drawing, `text` for the reader.
 * @typedef {{month: string, status: string, size: number, text: string}} Part
 */

const HEIGHT = 210;
const MARGIN = { top: 10, right: 4, bottom: 24, left: 46 };
const WIDEST_COLUMN = 44;
const FEWEST_MONTHS = 6;
/** One order with a date of long ago must not press all others into a corner. */
const MOST_MONTHS = 120;
const LABEL_WIDTH = 74;

/**
 * A figure that redraws itself as its room changes.
 * @param {string} title
 * @param {Part[]} parts those with a month
 * @param {string[]} statuses the lowest first
 */
export function plot(title, parts, statuses) {
  const named = parts.map((part) => part.month);
  const months = span(named);
  const readout = make("p", { class: "readout", "aria-hidden": "true" }, say("plot.hint"));
  const stage = make("div", { class: "stage" });
  const figure = make("figure", { class: "card plot" }, make("figcaption", {}, title), stage);
  if (months.length === 0) {
    stage.append(make("p", { class: "nothing" }, say("plot.none")));
    return figure;
  }
  const about = say("plot.about", {
    first: monthName(months[0]),
    last: monthName(months[months.length - 1]),
  });
  const label = `${title}. ${about}`;
  const read = (/** @type {string} */ month) => {
    const told = statuses.map((status) =>
      parts.find((part) => part.month === month && part.status === status),
    );
    const list = told
      .map((part) => part && `${sayValue(part.status)} ${part.text}`)
      .filter(Boolean)
      .join(" \u00b7 ");
    readout.textContent = `${monthName(month)}: ${list || "\u2014"}`;
  };
  let drawn = 0;
  new ResizeObserver(([{ contentRect }]) => {
    const width = Math.floor(contentRect.width);
    if (width === drawn || width === 0) return;
    drawn = width;
    stage.replaceChildren(columns({ width, months, parts, statuses, label, read }));
  }).observe(stage);
  const all = [...new Set([...named, ...months])].sort();
  const earlier = all.length > months.length && make("p", { class: "quiet" }, say("plot.earlier"));
  if (earlier) figure.append(earlier);
  figure.append(readout, legend(parts, statuses), alternative(title, all, parts, statuses));
  return figure;
}

/**
 * Marks of an axis from 0 to at least `most`: 1, 2 or 5 times a power of ten apart.
 * @param {number} most
 */
export function ticks(most) {
  if (!(most > 0)) return [0, 1];
  const rough = most / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((times) => times * power).find((size) => size >= rough) ?? rough;
  const count = Math.ceil(most / step);
  return Array.from({ length: count + 1 }, (_, index) => index * step);
}

/**
 * Every month from the first to the last, and some before if they are few; of too many the last.
 * @param {string[]} named
 */
export function span(named) {
  const sorted = [...new Set(named)].sort();
  if (sorted.length === 0) return [];
  const last = numberOf(sorted[sorted.length - 1]);
  const few = Math.min(numberOf(sorted[0]), last - FEWEST_MONTHS + 1);
  const first = Math.max(few, last - MOST_MONTHS + 1);
  return Array.from({ length: last - first + 1 }, (_, index) => {
    const year = String(Math.floor((first + index) / 12)).padStart(4, "0");
    return `${year}-${String(((first + index) % 12) + 1).padStart(2, "0")}`;
  });
}

/** @param {string} month */
function numberOf(month) {
  return Number(month.slice(0, 4)) * 12 + Number(month.slice(5, 7)) - 1;
}

/**
 * @param {{width: number, months: string[], parts: Part[], statuses: string[], label: string,
 *   read: (month: string) => void}} what
 */
function columns({ width, months, parts, statuses, label, read }) {
  const floor = HEIGHT - MARGIN.bottom;
  const room = floor - MARGIN.top;
  const inner = width - MARGIN.left - MARGIN.right;
  const band = inner / months.length;
  const thick = Math.max(1, Math.min(band * 0.72, WIDEST_COLUMN));
  const heights = new Map(months.map((month) => [month, 0]));
  for (const { month, size } of parts) {
    const below = heights.get(month);
    // What is less than nothing has no height: it is read, and not drawn.
    if (below !== undefined) heights.set(month, below + Math.max(size, 0));
  }
  const marks = ticks(Math.max(...heights.values()));
  const most = marks[marks.length - 1];
  const up = (/** @type {number} */ size) => (size / most) * room;
  const svg = draw("svg", { role: "img", "aria-label": label, width, height: HEIGHT });
  for (const mark of marks) {
    const y = floor - up(mark);
    svg.append(
      draw("line", {
        class: mark ? "rule" : "rule floor",
        x1: MARGIN.left,
        x2: width - MARGIN.right,
        y1: y,
        y2: y,
      }),
      draw("text", { class: "tick", x: MARGIN.left - 8, y: y + 4, "text-anchor": "end" }, compact(mark)),
    );
  }
  const every = Math.ceil(LABEL_WIDTH / band);
  months.forEach((month, index) => {
    const left = MARGIN.left + index * band;
    const column = draw("g", {
      class: "column",
      pointerenter: () => read(month),
      pointerdown: () => read(month),
    });
    column.append(draw("rect", { class: "reach", x: left, y: MARGIN.top, width: band, height: room }));
    let y = floor;
    for (const status of statuses) {
      const part = parts.find((one) => one.month === month && one.status === status);
      const height = part ? up(part.size) : 0;
      if (height <= 0) continue;
      y -= height;
      column.append(
        draw("rect", { class: `fill ${status}`, x: left + (band - thick) / 2, y, width: thick, height }),
      );
    }
    svg.append(column);
    if ((months.length - 1 - index) % every === 0) {
      const withYear = every > 1 || month.endsWith("-01") || index === 0;
      const middle = left + band / 2;
      const atEdge = middle + LABEL_WIDTH / 2 > width;
      const place = atEdge ? { x: width, "text-anchor": "end" } : { x: middle, "text-anchor": "middle" };
      svg.append(draw("text", { class: "tick", y: HEIGHT - 6, ...place }, monthName(month, withYear)));
    }
  });
  return svg;
}

/**
 * @param {Part[]} parts
 * @param {string[]} statuses
 */
function legend(parts, statuses) {
  const present = statuses.filter((status) => parts.some((part) => part.status === status));
  const entries = present.map((status) =>
    make("li", {}, make("span", { class: `mark ${status}` }, sayValue(status))),
  );
  return make("ul", { class: "legend" }, ...entries);
}

/**
 * The same numbers as text.
 * @param {string} title
 * @param {string[]} months
 * @param {Part[]} parts
 * @param {string[]} statuses
 */
function alternative(title, months, parts, statuses) {
  const present = statuses.filter((status) => parts.some((part) => part.status === status));
  const texts = new Map(parts.map((part) => [`${part.month} ${part.status}`, part.text]));
  const head = [say("month"), ...present.map(sayValue)].map((text, index) =>
    make("th", { scope: "col", class: index ? "number" : "" }, text),
  );
  const rows = months.map((month) => {
    const cells = present.map((status) =>
      make("td", { class: "number" }, texts.get(`${month} ${status}`) ?? "\u2014"),
    );
    return make("tr", {}, make("th", { scope: "row" }, monthName(month)), ...cells);
  });
  const table = make(
    "table",
    {},
    make("caption", { class: "unseen" }, title),
    make("thead", {}, make("tr", {}, ...head)),
    make("tbody", {}, ...rows),
  );
  const scroll = make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": title }, table);
  return make(
    "details",
    { class: "numbers", "data-open": title },
    make("summary", {}, say("plot.table")),
    scroll,
  );
}
