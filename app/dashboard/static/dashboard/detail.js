/** The dialog with one order, and its payment if the caller may read it. */

import { Problem } from "./api.js";
import { byId, el } from "./dom.js";
import { formatAmount, formatCount, formatDateTime } from "./format.js";
import { t, tEnum } from "./i18n.js";
import { problemTitle } from "./problem_view.js";
import { ProvenanceLine } from "./provenance.js";
import { packageName, statusLabel } from "./table.js";

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
  #orderNo = "";
  #language = "";
  #controller = new AbortController();
  /** @type {ProvenanceLine | undefined} */
  #provenance;

  /** @param {() => void} onClose called when the user closes the dialog */
  constructor(onClose) {
    this.#dialog.addEventListener("close", () => {
      if (this.#orderNo) onClose();
      this.#orderNo = "";
    });
    this.#dialog.addEventListener("click", (event) => {
      if (event.target === this.#dialog) this.#dialog.close();
    });
  }

  /**
   * Show the order with this number, or close the dialog if it is empty.
   * @param {string} orderNo
   * @param {object} options
   * @param {string} options.language
   * @param {import("./api.js").ApiClient} options.api
   * @param {boolean} options.mayReadPayments
   * @param {Order | undefined} options.listed the row of the list, shown until the order is loaded
   */
  show(orderNo, { language, api, mayReadPayments, listed }) {
    if (orderNo === this.#orderNo && language === this.#language) return;
    this.#language = language;
    this.#controller.abort();
    this.#controller = new AbortController();
    this.#orderNo = orderNo;
    if (!orderNo) {
      this.#dialog.close();
      return;
    }
    const { signal } = this.#controller;
    const order = el("dl", { "aria-busy": "true" });
    const provenance = new ProvenanceLine(el("div", { class: "provenance" }));
    this.#provenance = provenance;
    const payment = el("dl", { "aria-busy": mayReadPayments });
    const close = el(
      "button",
      { type: "button", class: "plain", click: () => this.#dialog.close() },
      t("detail.close"),
    );
    this.#dialog.replaceChildren(
      el("header", {}, el("h2", { id: "detail-title" }, t("detail.title", { number: orderNo })), close),
      order,
      provenance.container,
      el("h3", {}, t("detail.payment")),
      payment,
    );
    if (!this.#dialog.open) this.#dialog.showModal();
    const path = `v1/orders/${encodeURIComponent(orderNo)}`;
    if (listed) showOrder(order, listed);
    void showResponse(order, api.get(path, undefined, signal), (response) => {
      showOrder(order, response.data);
      provenance.show(response.provenance);
    });
    if (mayReadPayments) {
      void showResponse(payment, api.get(`${path}/payment`, undefined, signal), (response) =>
        showPayment(payment, response.data),
      );
    } else {
      payment.replaceChildren(el("dd", { class: "muted" }, t("detail.payment.forbidden")));
    }
  }

  /** Update the age that is shown. */
  tick() {
    this.#provenance?.tick();
  }
}

/**
 * @param {HTMLElement} list
 * @param {Promise<ApiResponse>} pending
 * @param {(response: ApiResponse) => void} show
 */
async function showResponse(list, pending, show) {
  try {
    show(await pending);
  } catch (error) {
    if (!(error instanceof Problem)) return;
    const isMissing = error.code === "payment_not_found";
    const text = isMissing ? t("detail.payment.none") : `${problemTitle(error)} (${error.code})`;
    list.replaceChildren(
      el(
        "div",
        { class: isMissing ? "muted" : "error" },
        el("dt", { class: "visually-hidden" }, t("status")),
        el("dd", {}, text),
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
    field("package_name", packageName(order)),
    field("status", statusLabel(order.status)),
    field("type", tEnum(order.type)),
    field("source", tEnum(order.source)),
    field("created_at", order.created_at && formatDateTime(order.created_at)),
    field("quantity", order.quantity === undefined ? "" : formatCount(order.quantity)),
    field("unit_price", order.unit_price && formatAmount(order.unit_price)),
    field("actual_amount", order.actual_amount && formatAmount(order.actual_amount)),
  );
}

/**
 * @param {HTMLElement} list
 * @param {Record<string, string>} payment
 */
function showPayment(list, payment) {
  const present = PAYMENT_FIELDS.filter((name) => payment[name] !== undefined);
  list.replaceChildren(...present.map((name) => field(name, formatField(name, payment[name]))));
}

/**
 * @param {string} name
 * @param {string} value
 */
function formatField(name, value) {
  if (name.endsWith("_at")) return formatDateTime(value);
  return name === "paid_amount" ? formatAmount(value) : value;
}

/**
 * @param {string} name
 * @param {Child} value
 */
function field(name, value) {
  return el("div", {}, el("dt", {}, t(name)), el("dd", {}, value || "\u2014"));
}
