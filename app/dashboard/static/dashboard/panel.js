/** One API response on the page, with its age, or with the problem that prevents it. */

import { showProblem } from "./problem_view.js";
import { ProvenanceLine } from "./provenance.js";
import { RetryingRequest } from "./request.js";

/**
 * @typedef {import("./api.js").ApiResponse} ApiResponse
 * @typedef {import("./api.js").ApiClient} ApiClient
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
  #provenance;
  #problemContainer;
  #render;

  /**
   * @param {object} options
   * @param {HTMLElement} options.problem container for problems
   * @param {HTMLElement} options.provenance container for the provenance line
   * @param {object} options.render
   * @param {() => void} options.render.loading
   * @param {(response: ApiResponse) => void} options.render.response
   * @param {(isLoading: boolean) => void} options.render.empty
   * @param {() => void} options.render.problem called when the problem appears, changes or ends
   */
  constructor({ problem, provenance, render }) {
    this.#problemContainer = problem;
    this.#provenance = new ProvenanceLine(provenance);
    this.#render = render;
  }

  /**
   * Send the request, unless it is the last one that was sent.
   * @param {ApiClient} api
   * @param {string} path
   * @param {URLSearchParams} params
   * @param {boolean} background send it in any case, and keep the content until it completes
   */
  load(api, path, params, background) {
    const query = params.toString();
    this.#base = api.base;
    if (!background && query === this.#requestedQuery) {
      this.render();
      return;
    }
    this.#requestedQuery = query;
    void this.#request.run((signal) => api.get(path, params, signal), { background });
  }

  /** Render the current response and problem again, in the current language. */
  render() {
    if (this.response !== undefined) this.#renderResponse(this.response);
    this.showProblem();
  }

  /**
   * @param {string} [shownElsewhere] the code of a problem that another panel shows already
   */
  showProblem(shownElsewhere) {
    const isDuplicate = this.problem !== null && this.problem.problem.code === shownElsewhere;
    const options = { base: this.#base, hasOlderData: this.response !== undefined };
    showProblem(this.#problemContainer, isDuplicate ? null : this.problem, options);
  }

  /** Update the age that is shown. */
  tick() {
    this.#provenance.tick();
  }

  /** Abort the request and discard its response, because the API or the API key has changed. */
  reset() {
    this.#request.abort();
    this.#requestedQuery = this.#shownQuery = "";
    this.response = undefined;
    this.problem = null;
    this.#provenance.show(undefined);
    this.#render.empty(true);
    this.showProblem();
  }

  /** @param {RequestState} state */
  #onState(state) {
    if (state.kind === "loading") {
      this.#render.loading();
    } else if (state.kind === "success") {
      this.#shownQuery = this.#requestedQuery;
      this.response = state.response;
      this.problem = null;
      this.render();
      this.#render.problem();
    } else {
      this.problem = state;
      if (this.#shownQuery !== this.#requestedQuery) {
        // The response on the page belongs to another query.
        this.response = undefined;
        this.#provenance.show(undefined);
        this.#render.empty(state.problem.progress !== undefined);
      } else if (this.response !== undefined) {
        this.#renderResponse(this.response);
      }
      this.showProblem();
      this.#render.problem();
    }
  }

  /** @param {ApiResponse} response */
  #renderResponse(response) {
    this.#render.response(response);
    this.#provenance.show(response.provenance);
  }
}
