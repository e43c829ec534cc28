/** Polls the API for changed orders while the page is visible. */

import { Problem } from "./api.js";
import { retryDelay } from "./request.js";
import { delayUntilVisible } from "./visibility.js";

/** @typedef {{change: string, order_no: string, order?: import("./api.js").Order}} Change */

const MIN_DELAY = 1;
/** Also with nothing to expect, so that a proxy that is gone is noticed soon. */
const MAX_DELAY = 15;
/** Problems that do not pass while the page is open. */
const FINAL_CODES = ["unauthenticated", "forbidden", "not_found"];

export class ChangePoller {
  #controller = new AbortController();
  #fetchChanges;
  #onChanges;
  #onProblem;

  /**
   * @param {object} options
   * @param {(cursor: string, signal: AbortSignal) => Promise<import("./api.js").ApiResponse>}
   *   options.fetchChanges with an empty cursor, gets the current cursor
   * @param {(changes: Change[] | null) => void} options.onChanges
   *   called after each poll; null if the changes are unknown and everything must be reloaded
   * @param {(problem: Problem | null) => void} options.onProblem called after each poll
   */
  constructor({ fetchChanges, onChanges, onProblem }) {
    this.#fetchChanges = fetchChanges;
    this.#onChanges = onChanges;
    this.#onProblem = onProblem;
  }

  /** Poll until stopped, or until a problem that does not pass. */
  async run() {
    const { signal } = this.#controller;
    let cursor = "";
    let failures = 0;
    while (!signal.aborted) {
      let delay = MIN_DELAY;
      try {
        const { data, meta } = await this.#fetchChanges(cursor, signal);
        if (signal.aborted) return;
        this.#onProblem(null);
        if (cursor || failures > 0) this.#onChanges(cursor ? data : []);
        cursor = meta.cursor;
        delay = Math.min(meta.poll_after, MAX_DELAY);
        failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof Problem)) throw error;
        if (error.code === "cursor_expired") {
          cursor = "";
          this.#onChanges(null);
        } else {
          this.#onProblem(error);
          if (FINAL_CODES.includes(error.code)) return;
          // What is not retryable may be fixed by the operator in the meantime.
          delay = error.retryable ? retryDelay(error, failures) : MAX_DELAY;
          failures += 1;
        }
      }
      if (!(await delayUntilVisible(Math.max(delay, MIN_DELAY), signal))) return;
    }
  }

  stop() {
    this.#controller.abort();
  }
}
