/** One order alone, with its payment where the caller may read it. */

import { Problem } from "./api.js";
import { byId, make } from "./elements.js";
import { amount, count, dateAndTime } from "./formats.js";
import { ProvenanceLine } from "./provenance.js";
import { packageName, statusMark } from "./table.js";
import { titleOf } from "./troubles.js";
import { say, sayValue } from "./words.js";

/** @typedef {import("./api.js").Order} Order */
/** @typedef {import("./elements.js").Child} Child */

const PAYMENT = [
  "paid_amount",
  "paid_at",
  "method",
  "paid_account",
  "channel_order_no",
  "status_code",
  "created_at",
];

export class Detail {
  #dialog = /** @type {HTMLDialogElement} */ (byId("detail"));
  #shown = "";
  #language = "";
  #controller = new AbortController();
  /** @type {ProvenanceLine | undefined} */
  #provenance;

  /** @param {() => void} closed told when a person closes it */
  constructor(closed) {
    this.#dialog.addEventListener("close", () => {
      if (this.#shown) closed();
      this.#shown = "";
    });
    this.#dialog.addEventListener("click", (event) => {
      if (event.target === this.#dialog) this.#dialog.close();
    });
  }

  /**
   * Show the order of this number; an empty one closes.
   * @param {string} number
   * @param {object} ways
   * @param {string} ways.language
   * @param {import("./api.js").Api} ways.api
   * @param {boolean} ways.mayReadPayments
   * @param {Order | undefined} ways.listed the row that was read with the list
   */
  show(number, { language, api, mayReadPayments, listed }) {
    if (number === this.#shown && language === this.#language) return;
    this.#language = language;
    this.#controller.abort();
    this.#controller = new AbortController();
    this.#shown = number;
    if (!number) {
      this.#dialog.close();
      return;
    }
    const { signal } = this.#controller;
    const order = make("dl", { "aria-busy": "true" });
    const line = new ProvenanceLine(make("div", { class: "provenance" }));
    this.#provenance = line;
    const payment = make("dl", { "aria-busy": mayReadPayments });
    const close = make(
      "button",
      { type: "button", class: "plain", click: () => this.#dialog.close() },
      say("detail.close"),
    );
    this.#dialog.replaceChildren(
      make("header", {}, make("h2", { id: "detail-title" }, say("detail.title", { number })), close),
      order,
      line.container,
      make("h3", {}, say("detail.payment")),
      payment,
    );
    if (!this.#dialog.open) this.#dialog.showModal();
    const path = `v1/orders/${encodeURIComponent(number)}`;
    if (listed) showOrder(order, listed);
    void answer(order, api.ask(path, undefined, signal), (told) => {
      showOrder(order, told.data);
      line.show(told.provenance);
    });
    if (mayReadPayments) {
      void answer(payment, api.ask(`${path}/payment`, undefined, signal), (told) =>
        showPayment(payment, told.data),
      );
    } else {
      payment.replaceChildren(make("dd", { class: "quiet" }, say("detail.payment.forbidden")));
    }
  }

  /** Update the age that is shown. */
  tick() {
    this.#provenance?.tick();
  }
}

/**
 * @param {HTMLElement} list
 * @param {Promise<import("./api.js").Answer>} asked
 * @param {(answer: import("./api.js").Answer) => void} show
 */
async function answer(list, asked, show) {
  try {
    show(await asked);
  } catch (error) {
    if (!(error instanceof Problem)) return;
    const none = error.code === "payment_not_found";
    const text = none ? say("detail.payment.none") : `${titleOf(error)} (${error.code})`;
    list.replaceChildren(
      make(
        "div",
        { class: none ? "quiet" : "fault" },
        make("dt", { class: "unseen" }, say("status")),
        make("dd", {}, text),
      ),
    );
  }
  list.removeAttribute("aria-busy");
}

/**
 * @param {HTMLElement} list
 * @param {Order} order
 */
function showOrder(list, order) {
  list.replaceChildren(
    term("package_name", packageName(order)),
    term("status", statusMark(order.status)),
    term("type", sayValue(order.type)),
    term("source", sayValue(order.source)),
    term("created_at", order.created_at && dateAndTime(order.created_at)),
    term("quantity", order.quantity === undefined ? "" : count(order.quantity)),
    term("unit_price", order.unit_price && amount(order.unit_price)),
    term("actual_amount", order.actual_amount && amount(order.actual_amount)),
  );
}

/**
 * @param {HTMLElement} list
 * @param {Record<string, string>} payment
 */
function showPayment(list, payment) {
  const shown = PAYMENT.filter((name) => payment[name] !== undefined);
  list.replaceChildren(...shown.map((name) => term(name, inWords(name, payment[name]))));
}

/**
 * @param {string} name
 * @param {string} value
 */
function inWords(name, value) {
  if (name.endsWith("_at")) return dateAndTime(value);
  return name === "paid_amount" ? amount(value) : value;
}

/**
 * @param {string} word
 * @param {Child} value
 */
function term(word, value) {
  return make("div", {}, make("dt", {}, say(word)), make("dd", {}, value || "\u2014"));
}
