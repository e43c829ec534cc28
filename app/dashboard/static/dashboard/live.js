/** Follows what changes, while somebody looks. Knows no table: it tells, and others show. */

import { Problem } from "./api.js";
import { whenSeen } from "./moments.js";

/** @typedef {{change: string, order_no: string, order?: import("./api.js").Order}} Change */
/** @typedef {"live" | "waiting" | "off"} Pulse */

const SOONEST = 1;
const LONGEST_WAIT = 60;

export class Live {
  #controller = new AbortController();
  #ask;
  #changed;
  #felt;

  /**
   * @param {object} ways
   * @param {(cursor: string, signal: AbortSignal) => Promise<import("./api.js").Answer>} ways.ask
   *   an empty cursor asks for the present one
   * @param {(changes: Change[] | null) => void} ways.changed after each look; null: all may differ
   * @param {(pulse: Pulse) => void} ways.felt
   */
  constructor({ ask, changed, felt }) {
    this.#ask = ask;
    this.#changed = changed;
    this.#felt = felt;
  }

  /** Look until stopped, or until it is clear that looking is not permitted. */
  async follow() {
    const { signal } = this.#controller;
    let cursor = "";
    let failures = 0;
    while (!signal.aborted) {
      let wait = LONGEST_WAIT;
      try {
        const { data, meta } = await this.#ask(cursor, signal);
        if (signal.aborted) return;
        if (cursor) this.#changed(data);
        cursor = meta.cursor;
        wait = meta.poll_after;
        failures = 0;
        this.#felt("live");
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof Problem)) throw error;
        if (error.code === "cursor_gone") {
          cursor = "";
          wait = SOONEST;
          this.#changed(null);
        } else if (error.retryable) {
          failures += 1;
          wait = Math.min(Math.max(error.retryAfter, 2 ** failures), LONGEST_WAIT);
          this.#felt("waiting");
        } else {
          return this.#felt("off");
        }
      }
      if (!(await whenSeen(Math.max(wait, SOONEST), signal))) return;
    }
  }

  stop() {
    this.#controller.abort();
  }
}
