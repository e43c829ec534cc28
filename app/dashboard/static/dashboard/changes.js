/** Finds out what changed since the viewer last looked: from the changes feed and from the rows. */

/** @typedef {import("./api.js").Order} Order */
/** @typedef {import("./poller.js").Change} Change */

const MARK_MS = 60_000;
const MAX_KNOWN = 5000;

export class ChangeTracker {
  /** The rows that were shown, by order number. @type {Map<string, Order>} */
  #known = new Map();
  /** The changes that were announced, so that none is announced twice. @type {Set<string>} */
  #announced = new Set();
  /** @type {Map<string, {kind: string, until: number}>} */
  #marks = new Map();
  /** The newest creation time that was shown before; empty where new rows cannot be told apart. */
  #newest = "";

  /**
   * The kind of the recent change of each order: `created` or `updated`.
   * @returns {Map<string, string>}
   */
  get marks() {
    for (const [orderNo, { until }] of this.#marks) if (until < Date.now()) this.#marks.delete(orderNo);
    return new Map([...this.#marks].map(([orderNo, { kind }]) => [orderNo, kind]));
  }

  /**
   * Take over the changes of the feed.
   * @param {Change[]} changes
   * @returns {string[]} what to announce, one per order: `created`, `updated`, `removed` or the new status
   */
  addFeed(changes) {
    return changes.flatMap(({ change, order_no: orderNo, order }) =>
      change === "updated" && order ? this.#updated(order) : this.#announce(orderNo, change, change),
    );
  }

  /**
   * Compare rows with those that were shown before.
   * @param {Order[]} rows
   * @param {object} options
   * @param {boolean} options.isBackground they replace earlier rows of the same query
   * @param {boolean} options.isNewestFirst the first row is the newest of all
   * @returns {string[]} as `addFeed`
   */
  addRows(rows, { isBackground, isNewestFirst }) {
    const announcements = rows.flatMap((row) => {
      const before = this.#known.get(row.order_no);
      if (!isBackground || !row.order_no) return [];
      if (before) return isSame(before, row) ? [] : this.#updated(row);
      const isNew = this.#newest && (row.created_at ?? "") > this.#newest;
      return isNew ? this.#announce(row.order_no, "created", "created") : [];
    });
    if (this.#known.size > MAX_KNOWN) this.#known.clear();
    for (const row of rows) this.#known.set(row.order_no, row);
    if (!isNewestFirst) this.#newest = "";
    else if (!isBackground) this.#newest = rows.map((row) => row.created_at ?? "").reduce(later, "");
    return announcements;
  }

  /** @param {Order} order */
  #updated(order) {
    const before = this.#known.get(order.order_no);
    const hasNewStatus = before !== undefined && before.status !== order.status;
    return this.#announce(order.order_no, "updated", hasNewStatus ? order.status : "updated", JSON.stringify(order));
  }

  /**
   * @param {string} orderNo
   * @param {string} kind
   * @param {string} text
   * @param {string} [state] tells two updates of the same order apart
   */
  #announce(orderNo, kind, text, state = "") {
    const key = `${orderNo} ${kind} ${state}`;
    if (this.#announced.has(key)) return [];
    if (this.#announced.size > MAX_KNOWN) this.#announced.clear();
    this.#announced.add(key);
    this.#marks.set(orderNo, { kind, until: Date.now() + MARK_MS });
    return [text];
  }
}

/**
 * @param {Order} left
 * @param {Order} right
 */
function isSame(left, right) {
  return JSON.stringify(left) === JSON.stringify(right);
}

/**
 * @param {string} left
 * @param {string} right
 */
function later(left, right) {
  return left > right ? left : right;
}
