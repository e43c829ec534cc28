/** One answer on the page, loaded again in the background, or the problem that prevents it. */

import { showProblem } from "./problem_view.js";
import { RetryingRequest } from "./request.js";

/**
 * @typedef {import("./api.js").ApiResponse} ApiResponse
 * @typedef {import("./request.js").RequestState} RequestState
 * @typedef {import("./problem_view.js").ProblemState} ProblemState
 */

export class Panel {
  /** @type {ApiResponse | undefined} */
  response;
  /** @type {ProblemState | null} */
  problem = null;
  /** The query that was sent last, and the query of the response that is shown. */
  #requestedQuery = "";
  #shownQuery = "";
  #base = "";
  #request = new RetryingRequest((state) => this.#onState(state));
  #problemContainer;
  #render;

  /**
   * @param {HTMLElement} problem container for a problem; with an older response it stays empty
   * @param {object} render
   * @param {() => void} render.loading
   * @param {(response: ApiResponse, isBackground: boolean) => void} render.response
   * @param {() => void} render.empty called when the page has nothing for the query
   * @param {() => void} render.state called when a response arrives and when the problem changes
   */
  constructor(problem, render) {
    this.#problemContainer = problem;
    this.#render = render;
  }

  /**
   * Send the request, unless it is the last one that was sent.
   * @param {string} base the API's URL
   * @param {string} query identifies the request
   * @param {(signal: AbortSignal) => Promise<ApiResponse>} send
   * @param {boolean} background send it in any case, and keep the content until it completes
   */
  load(base, query, send, background) {
    this.#base = base;
    if (!background && query === this.#requestedQuery) {
      this.render();
      return;
    }
    this.#requestedQuery = query;
    void this.#request.run(send, { background });
  }

  /** Render the current response and problem again, in the current language. */
  render() {
    if (this.response !== undefined) this.#render.response(this.response, true);
    this.showProblem();
  }

  /**
   * Show the problem where the content would be. With older content it is left to the status line.
   * @param {string} [shownElsewhere] the code of a problem that another panel shows already
   */
  showProblem(shownElsewhere) {
    const isShown = this.response === undefined && this.problem?.problem.code !== shownElsewhere;
    showProblem(this.#problemContainer, isShown ? this.problem : null, this.#base);
  }

  /** Abort the request and discard its response. */
  reset() {
    this.#request.abort();
    this.#requestedQuery = this.#shownQuery = "";
    this.response = undefined;
    this.problem = null;
    this.#render.empty();
    this.showProblem();
  }

  /** @param {RequestState} state */
  #onState(state) {
    if (state.kind === "loading") {
      this.#render.loading();
      return;
    }
    const isSameQuery = this.#shownQuery === this.#requestedQuery;
    if (state.kind === "success") {
      this.#shownQuery = this.#requestedQuery;
      this.response = state.response;
      this.problem = null;
      this.showProblem();
      this.#render.response(state.response, isSameQuery);
    } else {
      this.problem = state;
      if (this.response !== undefined && isSameQuery) {
        this.#render.response(this.response, true);
      } else {
        this.response = undefined;
        this.#render.empty();
        if (state.problem.code === "list_loading") this.#render.loading();
      }
      this.showProblem();
    }
    this.#render.state();
  }
}
