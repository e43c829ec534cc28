/** Puts the whole page together, and alone: the address says what to show, the API answers, parts draw. */

import { Api } from "./api.js";
import { PLAIN, addressOf, pageOf, readAddress, sortedOf, totalsOf } from "./address.js";
import { Asking } from "./asking.js";
import { Connect } from "./connect.js";
import { Detail } from "./detail.js";
import { showDownloads } from "./downloads.js";
import { byId } from "./elements.js";
import { Filters } from "./filters.js";
import { ZONE } from "./formats.js";
import { Live } from "./live.js";
import { Panel } from "./panel.js";
import { showNoOrders, showOrders, showPager, showSkeleton } from "./table.js";
import { showTotals, showTotalsLoading } from "./totals.js";
import { showTrouble, titleOf } from "./troubles.js";
import { say, sayCount, speak, spoken } from "./words.js";

/** @typedef {import("./address.js").View} View */
/** @typedef {import("./api.js").Answer} Answer */
/** @typedef {import("./asking.js").Standing} Standing */

const NOTE_MS = 8000;
const TICK_MS = 1000;

class Dashboard {
  /** @type {View} */
  #view = readAddress(location.search);
  #api = new Api(baseBesideUs());
  /** @type {{name: string, kind: string, scopes: string[]} | undefined} */
  #me;
  /** @type {Live | undefined} */
  #live;
  /** @type {import("./live.js").Pulse} */
  #pulse = "off";
  /** @type {Map<string, string>} */
  #marks = new Map();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #note;
  /** @type {string | undefined} the code of the problem that the person was told of */
  #told;

  #orders = new Panel({
    trouble: byId("orders-trouble"),
    provenance: byId("orders-provenance"),
    draw: {
      loading: () => showSkeleton(byId("table"), this.#view),
      answer: (answer) => this.#drawOrders(answer),
      nothing: (isComing) => this.#drawNoOrders(isComing),
      problem: () => this.#tellTrouble(),
    },
  });
  #totals = new Panel({
    trouble: byId("totals-trouble"),
    provenance: byId("totals-provenance"),
    draw: {
      loading: () => showTotalsLoading(byId("figures")),
      answer: ({ data, meta }) => showTotals(byId("figures"), this.#view, data, meta.currency),
      nothing: () => byId("figures").replaceChildren(),
      problem: () => this.#tellTrouble(),
    },
  });
  #askMe = new Asking((standing) => this.#showMe(standing));
  #filters = new Filters(/** @type {HTMLFormElement} */ (byId("filters")), (patch, manner) =>
    this.#go(patch, manner),
  );
  #detail = new Detail(() => this.#closeOrder());
  #connect = new Connect((base, key) => this.#enter(base, key));

  start() {
    this.#speak();
    document.addEventListener("click", (event) => this.#followLink(event));
    byId("leave").addEventListener("click", () => this.#enter(this.#api.base, ""));
    for (const button of document.querySelectorAll(".languages button")) {
      button.addEventListener("click", () =>
        this.#go({ lang: button.getAttribute("value") ?? "" }, { keepPage: true }),
      );
    }
    addEventListener("popstate", () => this.#moveTo(readAddress(location.search)));
    setInterval(() => {
      if (document.hidden) return;
      this.#orders.tick();
      this.#totals.tick();
      this.#detail.tick();
    }, TICK_MS);
    this.#enter(this.#api.base, "");
  }

  /**
   * Ask as somebody else, from the beginning.
   * @param {string} base
   * @param {string} key
   */
  #enter(base, key) {
    this.#live?.stop();
    this.#api = new Api(base, key);
    this.#me = undefined;
    this.#feel("off");
    this.#showWho();
    this.#orders.reset();
    this.#totals.reset();
    void this.#askMe.put((signal) => this.#api.ask("v1/me", undefined, signal));
  }

  /** @param {Standing} standing */
  #showMe(standing) {
    if (standing.kind === "problem") this.#refused(standing);
    if (standing.kind !== "answer") return;
    this.#me = standing.answer.data;
    this.#connect.hide();
    showTrouble(byId("orders-trouble"), null);
    byId("main").dataset.stage = "orders";
    this.#showWho();
    this.#live = new Live({
      ask: (cursor, signal) =>
        this.#api.ask("v1/orders/changes", new URLSearchParams(cursor ? { since: cursor } : {}), signal),
      changed: (changes) => this.#changed(changes),
      felt: (pulse) => this.#feel(pulse),
    });
    void this.#live.follow();
    this.#refresh();
  }

  /**
   * Ask the person where something can be had or who they are, if that is what is missing.
   * @param {Extract<Standing, {kind: "problem"}>} standing
   */
  #refused(standing) {
    const { problem } = standing;
    const isElsewhere = this.#api.base !== baseBesideUs();
    const missing = problem.code === "unauthenticated" || problem.code === "foreign";
    if (!missing && !isElsewhere) {
      this.#drawNoOrders(false);
      showTrouble(byId("orders-trouble"), standing, { base: this.#api.base, older: false });
      return;
    }
    this.#askMe.stop();
    byId("main").dataset.stage = "connect";
    this.#connect.ask({ problem, base: this.#api.base, isElsewhere, hadKey: this.#api.hasKey });
  }

  #showWho() {
    byId("leave").hidden = !this.#api.hasKey;
    byId("who").textContent =
      this.#me === undefined ? "" : this.#me.kind === "anonymous" ? say("who.anonymous") : this.#me.name;
  }

  /**
   * Look at something else, as a step of the history.
   * @param {Partial<View>} patch
   * @param {{replace?: boolean, keepPage?: boolean}} [manner]
   */
  #go(patch, { replace = false, keepPage = false } = {}) {
    const page = keepPage ? this.#view.page : PLAIN.page;
    const view = { ...this.#view, page, ...patch };
    const address = addressOf(view);
    if (address === addressOf(this.#view)) return;
    if (replace) history.replaceState(null, "", address);
    else history.pushState({ opened: view.order && !this.#view.order }, "", address);
    this.#moveTo(view);
  }

  /** To close an order is to go back to where it was opened; where a link led to it, to the list. */
  #closeOrder() {
    if (history.state?.opened) history.back();
    else this.#go({ order: "" }, { keepPage: true, replace: true });
  }

  /** @param {View} view */
  #moveTo(view) {
    this.#view = view;
    this.#speak();
    if (this.#me !== undefined) this.#refresh();
  }

  #speak() {
    const own = navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
    const language = this.#view.lang === "zh" || this.#view.lang === "en" ? this.#view.lang : own;
    if (language !== spoken() || !byId("filters").hasChildNodes()) {
      speak(language);
      this.#filters.build();
      this.#feel(this.#pulse);
      this.#showWho();
    }
    for (const button of document.querySelectorAll(".languages button")) {
      button.setAttribute("aria-pressed", String(button.getAttribute("value") === language));
    }
    this.#filters.show(this.#view);
  }

  /**
   * Ask what the view needs and has not been asked yet; quietly: ask it again, keeping what is shown.
   * @param {{quietly?: boolean}} [manner]
   */
  #refresh({ quietly = false } = {}) {
    this.#orders.ask(this.#api, "v1/orders", pageOf(this.#view, ZONE), quietly);
    this.#totals.ask(this.#api, "v1/orders/summary", totalsOf(this.#view, ZONE), quietly);
    showDownloads(byId("downloads"), this.#api, sortedOf(this.#view, ZONE), (text) => this.#tell(text));
    this.#showDetail();
  }

  /** @param {Answer} answer */
  #drawOrders({ data, meta, provenance }) {
    showOrders(byId("table"), this.#view, data, meta, this.#marks);
    showPager(byId("pager"), this.#view, meta.pages, (patch) => this.#go(patch));
    byId("pager").hidden = meta.total === 0;
    byId("count").textContent = sayCount("count", meta.total);
    byId("sandbox").hidden = !provenance.sandbox;
  }

  /** @param {boolean} isComing it is being read */
  #drawNoOrders(isComing) {
    byId("count").textContent = "";
    byId("pager").hidden = true;
    showNoOrders(byId("table"));
    if (isComing) showSkeleton(byId("table"), this.#view);
  }

  /** What is in the way of the orders is in the way of the totals too: it is told once. */
  #tellTrouble() {
    const code = this.#orders.trouble?.problem.code;
    // Seen in its place, it needs to be said to those alone who listen.
    if (this.#orders.trouble && code !== this.#told)
      this.#tell(titleOf(this.#orders.trouble.problem), { seen: false });
    this.#told = code;
    this.#totals.showTrouble(code);
  }

  #showDetail() {
    const number = this.#view.order;
    this.#detail.show(number, {
      language: spoken(),
      api: this.#api,
      mayReadPayments: this.#me?.scopes.includes("payments:read") ?? false,
      listed: this.#orders.answer?.data.find(
        (/** @type {{order_no: string}} */ order) => order.order_no === number,
      ),
    });
  }

  /** @param {import("./live.js").Change[] | null} changes */
  #changed(changes) {
    if (changes === null) this.#tell(say("live.anew"));
    else if (changes.length > 0) this.#tell(sayCount("live.changed", changes.length));
    this.#marks = new Map(changes?.map(({ change, order_no: number }) => [number, change]));
    // Also where nothing changed: the age of what is shown is then that of now, and costs a 304.
    this.#refresh({ quietly: true });
  }

  /** @param {import("./live.js").Pulse} pulse */
  #feel(pulse) {
    this.#pulse = pulse;
    byId("live").dataset.pulse = pulse;
    byId("live-text").textContent = say(pulse === "live" ? "live.on" : `live.${pulse}`);
  }

  /**
   * @param {string} text
   * @param {{seen?: boolean}} [manner]
   */
  #tell(text, { seen = true } = {}) {
    clearTimeout(this.#note);
    byId("told").className = seen ? "told" : "unseen";
    byId("told").textContent = text;
    this.#note = setTimeout(() => byId("told").replaceChildren(), NOTE_MS);
  }

  /** @param {MouseEvent} event */
  #followLink(event) {
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    const href = link?.getAttribute("href");
    if (
      !href?.startsWith("?") ||
      event.button ||
      event.ctrlKey ||
      event.metaKey ||
      event.shiftKey ||
      event.altKey
    )
      return;
    event.preventDefault();
    this.#go(readAddress(href));
  }
}

/** Where the API is when nobody says otherwise: where the page says, or beside the page. */
function baseBesideUs() {
  const named = document.querySelector("meta[name=orders-api]")?.getAttribute("content");
  return new URL(named ? `${named.replace(/\/$/, "")}/` : ".", document.baseURI).href;
}

new Dashboard().start();
