/** The dialog with one order, and its payment if the caller may read it. */

import { currencyDigits, formatAmount, formatClock, formatCount, formatFullTime } from "./format.js";
import { copyButton } from "./copy_button.js";
import { byId, el, update } from "./dom.js";
import { t, tEnum } from "./i18n.js";
import { showProblem } from "./problem_view.js";
import { RetryingRequest } from "./request.js";
import { packageName, statusLabel } from "./table.js";

/** @typedef {import("./api.js").ApiClient} ApiClient */
/** @typedef {import("./api.js").ApiResponse} ApiResponse */
/** @typedef {import("./api.js").Order} Order */
/** @typedef {import("./dom.js").Child} Child */

const PAYMENT_FIELDS = [
  "paid_amount",
  "paid_at",
  "method",
  "paid_account",
  "channel_order_no",
  "status_code",
  "created_at",
];

export class OrderDetail {
  #dialog = /** @type {HTMLDialogElement} */ (byId("detail"));
  #shown = "";
  #orderNo = "";
  #order = new DetailSection("detail-order");
  #payment = new DetailSection("detail-payment", ["invalid_request", "order_not_found"]);

  /** @param {() => void} onClose called when the user closes the dialog */
  constructor(onClose) {
    this.#dialog.addEventListener("close", () => {
      if (this.#orderNo) onClose();
      this.#shown = this.#orderNo = "";
    });
    this.#dialog.addEventListener("click", (event) => {
      if (event.target === this.#dialog) this.#dialog.close();
    });
    byId("detail-close").addEventListener("click", () => this.#dialog.close());
  }

  /** Close the dialog and empty it, and keep the order in the address. */
  hide() {
    this.#order.stop();
    this.#payment.stop();
    this.#orderNo = "";
    this.#dialog.close();
    for (const id of ["detail-title", "detail-copy"]) update(byId(id));
    this.#order.clear();
    this.#payment.clear();
  }

  /**
   * Show the order with this number, or close the dialog if it is empty.
   * @param {string} orderNo
   * @param {object} options
   * @param {string} options.key what the texts depend on: language and time zone
   * @param {ApiClient} options.api
   * @param {boolean} options.mayReadPayments
   * @param {Order | undefined} options.listed the row of the list, shown until the order is loaded
   * @param {string | undefined} options.currency
   */
  show(orderNo, { key, api, mayReadPayments, listed, currency }) {
    const shown = orderNo && `${orderNo} ${key}`;
    if (shown === this.#shown) return;
    this.#shown = shown;
    this.#orderNo = orderNo;
    this.#order.stop();
    this.#payment.stop();
    if (!orderNo) {
      this.#dialog.close();
      return;
    }
    update(byId("detail-title"), t("detail.title", { number: orderNo }));
    update(byId("detail-copy"), copyButton(orderNo, t("order_no")));
    const path = `v1/orders/${encodeURIComponent(orderNo)}`;
    this.#order.clear();
    this.#payment.clear();
    if (listed) this.#order.render(orderFields(listed, currency));
    if (!this.#dialog.open) this.#dialog.showModal();
    this.#order.load(api, path, ({ data, provenance }) => [
      ...orderFields(data, currency),
      field("details.as_of", formatClock(provenance.asOf, { seconds: true })),
    ]);
    if (mayReadPayments) this.#payment.load(api, `${path}/payment`, ({ data }) => paymentFields(data, currency));
    else this.#payment.render([note(t("detail.payment.forbidden"))]);
  }
}

/** A list of fields, or the problem that prevents it, which goes away by itself if it can. */
class DetailSection {
  #ignored;
  #list;
  #problem;
  #base = "";
  /** @type {(response: ApiResponse) => HTMLElement[]} */
  #fields = () => [];
  #request = new RetryingRequest((state) => this.#onState(state));

  /**
   * @param {string} id
   * @param {string[]} [ignored] codes of problems that another section shows
   */
  constructor(id, ignored = []) {
    this.#ignored = ignored;
    this.#list = byId(id);
    this.#problem = byId(`${id}-problem`);
  }

  /** @param {ApiClient} api @param {string} path @param {(response: ApiResponse) => HTMLElement[]} fields */
  load(api, path, fields) {
    this.#base = api.base;
    this.#fields = fields;
    void this.#request.run((signal) => api.get(path, undefined, signal));
  }

  stop() {
    this.#request.abort();
  }

  clear() {
    this.render([]);
    showProblem(this.#problem, null);
  }

  /** @param {HTMLElement[]} fields */
  render(fields) {
    update(this.#list, ...fields);
  }

  /** @param {import("./request.js").RequestState} state */
  #onState(state) {
    this.#list.toggleAttribute("aria-busy", state.kind === "loading");
    if (state.kind === "loading") return;
    const isMissing = state.kind === "problem" && state.problem.code === "payment_not_found";
    if (state.kind === "success") this.render(this.#fields(state.response));
    else if (isMissing) this.render([note(t("detail.payment.none"))]);
    const isShown = state.kind === "problem" && !isMissing && !this.#ignored.includes(state.problem.code);
    showProblem(this.#problem, isShown ? state : null, this.#base);
  }
}

/**
 * @param {Order} order
 * @param {string | undefined} currency
 */
function orderFields(order, currency) {
  return [
    field("actual_amount", amount(order.actual_amount, currency)),
    field("status", statusLabel(order.status)),
    field("package_name", packageName(order)),
    field("type", tEnum(order.type)),
    field("source", tEnum(order.source)),
    field("created_at", order.created_at && formatFullTime(order.created_at), order.created_at),
    field("quantity", order.quantity === undefined ? "" : formatCount(order.quantity)),
    field("unit_price", amount(order.unit_price, currency)),
  ];
}

/**
 * @param {Record<string, string>} payment
 * @param {string | undefined} currency
 */
function paymentFields(payment, currency) {
  const present = PAYMENT_FIELDS.filter((name) => payment[name] !== undefined);
  return present.map((name) => {
    const value = payment[name];
    if (name.endsWith("_at")) return field(name, formatFullTime(value), value);
    if (name === "paid_amount") return field(name, amount(value, currency));
    const copy = name === "channel_order_no" && copyButton(value, t(name));
    return field(name, el("span", {}, value, copy));
  });
}

/**
 * @param {string | undefined} decimal
 * @param {string | undefined} currency
 */
function amount(decimal, currency) {
  if (decimal === undefined) return "";
  return el("span", { title: decimal }, `${currency ?? ""} ${formatAmount(decimal, currencyDigits(currency))}`.trim());
}

/**
 * @param {string} name
 * @param {Child} value
 * @param {string} [title]
 */
function field(name, value, title) {
  return el("div", { "data-key": name }, el("dt", {}, t(name)), el("dd", { title }, value || "\u2014"));
}

/** @param {string} text */
function note(text) {
  return el("div", { class: "muted" }, el("dt", { class: "visually-hidden" }, t("status")), el("dd", {}, text));
}
