/** Polls the API for changed orders while the page is visible. */

import { Problem } from "./api.js";
import { delayUntilVisible } from "./visibility.js";

/** @typedef {{change: string, order_no: string, order?: import("./api.js").Order}} Change */
/** @typedef {"live" | "reconnecting" | "off"} LiveStatus */

const MIN_DELAY = 1;
const MAX_DELAY = 60;

export class ChangePoller {
  #controller = new AbortController();
  #fetchChanges;
  #onChanges;
  #onStatus;

  /**
   * @param {object} options
   * @param {(cursor: string, signal: AbortSignal) => Promise<import("./api.js").ApiResponse>}
   *   options.fetchChanges with an empty cursor, gets the current cursor
   * @param {(changes: Change[] | null) => void} options.onChanges
   *   called after each poll; null if the changes are unknown and everything must be reloaded
   * @param {(status: LiveStatus) => void} options.onStatus
   */
  constructor({ fetchChanges, onChanges, onStatus }) {
    this.#fetchChanges = fetchChanges;
    this.#onChanges = onChanges;
    this.#onStatus = onStatus;
  }

  /** Poll until stopped, or until a problem that is not retryable. */
  async run() {
    const { signal } = this.#controller;
    let cursor = "";
    let failures = 0;
    while (!signal.aborted) {
      let delay = MAX_DELAY;
      try {
        const { data, meta } = await this.#fetchChanges(cursor, signal);
        if (signal.aborted) return;
        if (cursor) this.#onChanges(data);
        cursor = meta.cursor;
        delay = meta.poll_after;
        failures = 0;
        this.#onStatus("live");
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof Problem)) throw error;
        if (error.code === "cursor_expired") {
          cursor = "";
          delay = MIN_DELAY;
          this.#onChanges(null);
        } else if (error.retryable) {
          failures += 1;
          delay = Math.min(Math.max(error.retryAfter, 2 ** failures), MAX_DELAY);
          this.#onStatus("reconnecting");
        } else {
          return this.#onStatus("off");
        }
      }
      if (!(await delayUntilVisible(Math.max(delay, MIN_DELAY), signal))) return;
    }
  }

  stop() {
    this.#controller.abort();
  }
}
