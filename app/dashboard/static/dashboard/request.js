/** A request that is repeated after retryable problems. A newer run aborts the one before it. */

import { Problem } from "./api.js";
import { delayUntilVisible } from "./visibility.js";

/** @typedef {import("./api.js").ApiResponse} ApiResponse */

/**
 * `retryIn` is in seconds; 0 means that the request is not repeated automatically.
 * @typedef {{kind: "loading"}
 *   | {kind: "success", response: ApiResponse}
 *   | {kind: "problem", problem: Problem, retryIn: number, retry: () => void}} RequestState
 */

const MAX_DELAY = 15;
/** While the list is loading, its progress is polled. */
const PROGRESS_DELAY = 1;

export class RetryingRequest {
  /** @type {AbortController | undefined} */
  #controller;
  #onState;

  /** @param {(state: RequestState) => void} onState called on each change of state */
  constructor(onState) {
    this.#onState = onState;
  }

  /**
   * Send the request until it succeeds, fails with a problem that is not retryable, or is aborted.
   * @param {(signal: AbortSignal) => Promise<ApiResponse>} send
   * @param {{background?: boolean}} [options] background: skip the loading state
   */
  async run(send, { background = false } = {}) {
    this.abort();
    const { signal } = (this.#controller = new AbortController());
    if (!background) this.#onState({ kind: "loading" });
    for (let attempt = 0; ; attempt += 1) {
      try {
        const response = await send(signal);
        if (!signal.aborted) this.#onState({ kind: "success", response });
        return;
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof Problem)) throw error;
        const retryIn = error.retryable ? retryDelay(error, attempt) : 0;
        this.#onState({ kind: "problem", problem: error, retryIn, retry: () => void this.run(send) });
        if (!retryIn || !(await delayUntilVisible(retryIn, signal))) return;
      }
    }
  }

  abort() {
    this.#controller?.abort();
  }
}

/**
 * Seconds until the next attempt: Retry-After, with exponential backoff unless loading progresses or
 * the caller has reached a limit.
 * @param {Problem} problem
 * @param {number} attempt
 */
export function retryDelay(problem, attempt) {
  if (problem.code === "list_loading") return PROGRESS_DELAY;
  // Any request before that would get the same answer.
  if (problem.code === "rate_limited") return problem.retryAfter;
  return Math.min(Math.max(problem.retryAfter, 2 ** attempt), MAX_DELAY);
}
