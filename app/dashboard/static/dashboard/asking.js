/** One question at a time: a newer one ends the older, and what may be asked again is. */

import { Problem } from "./api.js";
import { whenSeen } from "./moments.js";

/** @typedef {import("./api.js").Answer} Answer */

/**
 * How a question stands.
 * @typedef {{kind: "loading"}
 *   | {kind: "answer", answer: Answer}
 *   | {kind: "problem", problem: Problem, wait: number, again: () => void}} Standing
 */

const LONGEST_WAIT = 60;

export class Asking {
  /** @type {AbortController | undefined} */
  #controller;
  #show;

  /** @param {(standing: Standing) => void} show */
  constructor(show) {
    this.#show = show;
  }

  /**
   * Ask, and show how it stands until there is an answer or a problem that stays.
   * @param {(signal: AbortSignal) => Promise<Answer>} ask
   * @param {{quietly?: boolean}} [manner] quietly: what is shown stays until there is something new
   */
  async put(ask, { quietly = false } = {}) {
    this.stop();
    const { signal } = (this.#controller = new AbortController());
    if (!quietly) this.#show({ kind: "loading" });
    for (let turn = 0; ; turn += 1) {
      try {
        const answer = await ask(signal);
        if (!signal.aborted) this.#show({ kind: "answer", answer });
        return;
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof Problem)) throw error;
        const wait = error.retryable ? waitFor(error, turn) : 0;
        this.#show({ kind: "problem", problem: error, wait, again: () => void this.put(ask) });
        if (!wait || !(await whenSeen(wait, signal))) return;
      }
    }
  }

  stop() {
    this.#controller?.abort();
  }
}

/**
 * Seconds until the next turn: what the API says, and longer each time unless it makes progress.
 * @param {Problem} problem
 * @param {number} turn
 */
function waitFor(problem, turn) {
  if (problem.progress) return problem.retryAfter;
  return Math.min(Math.max(problem.retryAfter, 2 ** turn), LONGEST_WAIT);
}
