/** One answer on the page: asks for it, and shows it with its age or with what is in its way. */

import { Asking } from "./asking.js";
import { ProvenanceLine } from "./provenance.js";
import { showTrouble } from "./troubles.js";

/**
 * @typedef {import("./api.js").Answer} Answer
 * @typedef {import("./api.js").Api} Api
 * @typedef {import("./asking.js").Standing} Standing
 * @typedef {Extract<Standing, {kind: "problem"}>} Trouble
 */

export class Panel {
  /** @type {Answer | undefined} */
  answer;
  /** @type {Trouble | null} */
  trouble = null;
  /** The question that was asked last, and the one that is answered on the page. */
  #asked = "";
  #shown = "";
  #base = "";
  #asking = new Asking((standing) => this.#stand(standing));
  #line;
  #troubleBox;
  #draw;

  /**
   * @param {object} parts
   * @param {HTMLElement} parts.trouble where problems are shown
   * @param {HTMLElement} parts.provenance where it says how old the answer is
   * @param {object} parts.draw
   * @param {() => void} parts.draw.loading
   * @param {(answer: Answer) => void} parts.draw.answer
   * @param {(isComing: boolean) => void} parts.draw.nothing
   * @param {() => void} parts.draw.problem
   */
  constructor({ trouble, provenance, draw }) {
    this.#troubleBox = trouble;
    this.#line = new ProvenanceLine(provenance);
    this.#draw = draw;
  }

  /**
   * Ask, if it has not been asked yet; quietly: ask again, and leave what is shown until then.
   * @param {Api} api
   * @param {string} path
   * @param {URLSearchParams} parameters
   * @param {boolean} quietly
   */
  ask(api, path, parameters, quietly) {
    const question = parameters.toString();
    this.#base = api.base;
    if (!quietly && question === this.#asked) {
      this.showAgain();
      return;
    }
    this.#asked = question;
    void this.#asking.put((signal) => api.ask(path, parameters, signal), { quietly });
  }

  /** Show what is known in the language that is spoken now. */
  showAgain() {
    if (this.answer !== undefined) this.#show(this.answer);
    this.showTrouble();
  }

  /**
   * Show the problem there is, unless it is told elsewhere.
   * @param {string} [elsewhere] the code of the problem that is
   */
  showTrouble(elsewhere) {
    const told = this.trouble !== null && this.trouble.problem.code === elsewhere;
    const where = { base: this.#base, older: this.answer !== undefined };
    showTrouble(this.#troubleBox, told ? null : this.trouble, where);
  }

  /** Tell the age that the answer has by now. */
  tick() {
    this.#line.tick();
  }

  /** Forget everything, because somebody else asks. */
  reset() {
    this.#asking.stop();
    this.#asked = this.#shown = "";
    this.answer = undefined;
    this.trouble = null;
    this.#line.show(undefined);
    this.#draw.nothing(true);
    this.showTrouble();
  }

  /** @param {Standing} standing */
  #stand(standing) {
    if (standing.kind === "loading") {
      this.#draw.loading();
    } else if (standing.kind === "answer") {
      this.#shown = this.#asked;
      this.answer = standing.answer;
      this.trouble = null;
      this.showAgain();
      this.#draw.problem();
    } else {
      this.trouble = standing;
      if (this.#shown !== this.#asked) {
        // What was an answer to another question is no answer to this one.
        this.answer = undefined;
        this.#line.show(undefined);
        this.#draw.nothing(standing.problem.progress !== undefined);
      } else if (this.answer !== undefined) {
        this.#show(this.answer);
      }
      this.showTrouble();
      this.#draw.problem();
    }
  }

  /** @param {Answer} answer */
  #show(answer) {
    this.#draw.answer(answer);
    this.#line.show(answer.provenance);
  }
}
