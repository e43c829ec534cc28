/** Entry point: connects the URL, the API client and the parts of the page. */

import { ApiClient } from "./api.js";
import { OrderDetail } from "./detail.js";
import { byId } from "./dom.js";
import { showDownloads } from "./downloads.js";
import { Filters } from "./filters.js";
import { ZONE } from "./format.js";
import { language, setLanguage, t, tCount } from "./i18n.js";
import { LoginForm } from "./login_form.js";
import { Panel } from "./panel.js";
import { ChangePoller } from "./poller.js";
import { problemTitle, showProblem } from "./problem_view.js";
import { RetryingRequest } from "./request.js";
import { showSummary, showSummarySkeleton } from "./summary.js";
import { clearOrders, showOrders, showPager, showSkeleton } from "./table.js";
import { DEFAULT_VIEW, exportParams, pageParams, parseView, summaryParams, viewUrl } from "./url_state.js";

/** @typedef {import("./url_state.js").View} View */
/** @typedef {import("./api.js").ApiResponse} ApiResponse */
/** @typedef {import("./request.js").RequestState} RequestState */

const NOTICE_MS = 8000;
const TICK_MS = 1000;

class Dashboard {
  /** @type {View} */
  #view = parseView(location.search);
  #api = new ApiClient(defaultBase());
  /** @type {{name: string, kind: string, scopes: string[]} | undefined} */
  #caller;
  /** @type {ChangePoller | undefined} */
  #poller;
  /** @type {import("./poller.js").LiveStatus} */
  #liveStatus = "off";
  /** @type {Map<string, string>} recent changes by order number */
  #changes = new Map();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #noticeTimer;
  /** @type {string | undefined} the code of the problem that was announced last */
  #announcedCode;

  #orders = new Panel({
    problem: byId("orders-problem"),
    provenance: byId("orders-provenance"),
    render: {
      loading: () => showSkeleton(byId("table"), this.#view),
      response: (response) => this.#showOrders(response),
      empty: (isLoading) => this.#showNoOrders(isLoading),
      problem: () => this.#announceProblem(),
    },
  });
  #summary = new Panel({
    problem: byId("summary-problem"),
    provenance: byId("summary-provenance"),
    render: {
      loading: () => showSummarySkeleton(byId("summary-cards")),
      response: ({ data, meta }) => showSummary(byId("summary-cards"), this.#view, data, meta.currency),
      empty: () => byId("summary-cards").replaceChildren(),
      problem: () => this.#announceProblem(),
    },
  });
  #callerRequest = new RetryingRequest((state) => this.#onCallerState(state));
  #filters = new Filters(/** @type {HTMLFormElement} */ (byId("filters")), (patch, options) =>
    this.#navigate(patch, options),
  );
  #detail = new OrderDetail(() => this.#closeOrder());
  #loginForm = new LoginForm((base, key) => this.#connect(base, key));

  start() {
    this.#updateLanguage();
    document.addEventListener("click", (event) => this.#followLink(event));
    byId("sign-out").addEventListener("click", () => this.#connect(this.#api.base, ""));
    for (const button of document.querySelectorAll(".languages button")) {
      button.addEventListener("click", () =>
        this.#navigate({ lang: button.getAttribute("value") ?? "" }, { keepPage: true }),
      );
    }
    addEventListener("popstate", () => this.#showView(parseView(location.search)));
    setInterval(() => {
      if (document.hidden) return;
      this.#orders.tick();
      this.#summary.tick();
      this.#detail.tick();
    }, TICK_MS);
    this.#connect(this.#api.base, "");
  }

  /**
   * Start over with this API and API key.
   * @param {string} base
   * @param {string} key may be empty
   */
  #connect(base, key) {
    this.#poller?.stop();
    this.#api = new ApiClient(base, key);
    this.#caller = undefined;
    this.#setLiveStatus("off");
    this.#showCaller();
    this.#orders.reset();
    this.#summary.reset();
    void this.#callerRequest.run((signal) => this.#api.get("v1/me", undefined, signal));
  }

  /** @param {RequestState} state */
  #onCallerState(state) {
    if (state.kind === "problem") this.#onConnectProblem(state);
    if (state.kind !== "success") return;
    this.#caller = state.response.data;
    this.#loginForm.hide();
    showProblem(byId("orders-problem"), null);
    byId("main").dataset.stage = "orders";
    this.#showCaller();
    this.#poller = new ChangePoller({
      fetchChanges: (cursor, signal) =>
        this.#api.get("v1/orders/changes", new URLSearchParams(cursor ? { since: cursor } : {}), signal),
      onChanges: (changes) => this.#onChanges(changes),
      onStatus: (status) => this.#setLiveStatus(status),
    });
    void this.#poller.run();
    this.#refresh();
  }

  /**
   * Show the login form if the API's URL or the API key may be wrong, else the problem.
   * @param {import("./problem_view.js").ProblemState} state
   */
  #onConnectProblem(state) {
    const { problem } = state;
    const isDefaultBase = this.#api.base === defaultBase();
    const needsLogin = problem.code === "unauthenticated" || problem.code === "not_orders_api";
    if (!needsLogin && isDefaultBase) {
      this.#showNoOrders(false);
      showProblem(byId("orders-problem"), state, { base: this.#api.base, hasOlderData: false });
      return;
    }
    this.#callerRequest.abort();
    byId("main").dataset.stage = "login";
    this.#loginForm.show({ problem, base: this.#api.base, isDefaultBase, hadKey: this.#api.hasKey });
  }

  #showCaller() {
    const isAnonymous = this.#caller?.kind === "anonymous";
    byId("sign-out").hidden = !this.#api.hasKey;
    byId("caller").textContent = isAnonymous ? t("caller.anonymous") : (this.#caller?.name ?? "");
  }

  /**
   * Change the view and add it to the browser's history.
   * @param {Partial<View>} patch
   * @param {{replace?: boolean, keepPage?: boolean}} [options]
   */
  #navigate(patch, { replace = false, keepPage = false } = {}) {
    const page = keepPage ? this.#view.page : DEFAULT_VIEW.page;
    const view = { ...this.#view, page, ...patch };
    const url = viewUrl(view);
    if (url === viewUrl(this.#view)) return;
    if (replace) history.replaceState(null, "", url);
    else history.pushState({ openedOrder: view.order && !this.#view.order }, "", url);
    this.#showView(view);
  }

  /** Go back if the order was opened from the list, so that closing adds no history entry. */
  #closeOrder() {
    if (history.state?.openedOrder) history.back();
    else this.#navigate({ order: "" }, { keepPage: true, replace: true });
  }

  /** @param {View} view */
  #showView(view) {
    this.#view = view;
    this.#updateLanguage();
    if (this.#caller !== undefined) this.#refresh();
  }

  #updateLanguage() {
    const preferred = navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
    const selected = this.#view.lang === "zh" || this.#view.lang === "en" ? this.#view.lang : preferred;
    if (selected !== language() || !byId("filters").hasChildNodes()) {
      setLanguage(selected);
      this.#filters.build();
      this.#setLiveStatus(this.#liveStatus);
      this.#showCaller();
    }
    for (const button of document.querySelectorAll(".languages button")) {
      button.setAttribute("aria-pressed", String(button.getAttribute("value") === selected));
    }
    this.#filters.show(this.#view);
  }

  /**
   * Load what the view needs and what has not been requested yet.
   * @param {{background?: boolean}} [options] background: load it again and keep the content until then
   */
  #refresh({ background = false } = {}) {
    this.#orders.load(this.#api, "v1/orders", pageParams(this.#view, ZONE), background);
    this.#summary.load(this.#api, "v1/orders/summary", summaryParams(this.#view, ZONE), background);
    showDownloads(byId("downloads"), this.#api, exportParams(this.#view, ZONE), (text) => this.#notify(text));
    this.#showDetail();
  }

  /** @param {ApiResponse} response */
  #showOrders({ data, meta, provenance }) {
    showOrders(byId("table"), this.#view, data, meta, this.#changes);
    showPager(byId("pager"), this.#view, meta.pages, (patch) => this.#navigate(patch));
    byId("pager").hidden = meta.total === 0;
    byId("count").textContent = tCount("count", meta.total);
    byId("sandbox").hidden = !provenance.isSandbox;
  }

  /** @param {boolean} isLoading */
  #showNoOrders(isLoading) {
    byId("count").textContent = "";
    byId("pager").hidden = true;
    clearOrders(byId("table"));
    if (isLoading) showSkeleton(byId("table"), this.#view);
  }

  /** Announce a new problem, and hide the summary's problem if the order list has the same one. */
  #announceProblem() {
    const problem = this.#orders.problem?.problem;
    // The problem is visible above the table, so the notice is for screen readers only.
    if (problem && problem.code !== this.#announcedCode)
      this.#notify(problemTitle(problem), { visible: false });
    this.#announcedCode = problem?.code;
    this.#summary.showProblem(problem?.code);
  }

  #showDetail() {
    const orderNo = this.#view.order;
    this.#detail.show(orderNo, {
      language: language(),
      api: this.#api,
      mayReadPayments: this.#caller?.scopes.includes("payments:read") ?? false,
      listed: this.#orders.response?.data.find(
        (/** @type {{order_no: string}} */ order) => order.order_no === orderNo,
      ),
    });
  }

  /** @param {import("./poller.js").Change[] | null} changes null: unknown, everything is reloaded */
  #onChanges(changes) {
    if (changes === null) this.#notify(t("live.reset"));
    else if (changes.length > 0) {
      const areNew = changes.every(({ change }) => change === "created");
      this.#notify(tCount(areNew ? "live.created" : "live.changed", changes.length));
    }
    this.#changes = new Map(changes?.map(({ change, order_no: orderNo }) => [orderNo, change]));
    // Without changes too: it costs a 304 and updates the age that is shown.
    this.#refresh({ background: true });
  }

  /** @param {import("./poller.js").LiveStatus} status */
  #setLiveStatus(status) {
    this.#liveStatus = status;
    byId("live").dataset.status = status;
    byId("live-text").textContent = t(`live.${status}`);
  }

  /**
   * Show a notice for some seconds, and announce it to screen readers.
   * @param {string} text
   * @param {{visible?: boolean}} [options] visible: false for screen readers only
   */
  #notify(text, { visible = true } = {}) {
    clearTimeout(this.#noticeTimer);
    byId("notice").className = visible ? "notice" : "visually-hidden";
    byId("notice").textContent = text;
    this.#noticeTimer = setTimeout(() => byId("notice").replaceChildren(), NOTICE_MS);
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
    this.#navigate(parseView(href));
  }
}

/** The API's URL: what the page's meta element says, else the page's own folder. */
function defaultBase() {
  const configured = document.querySelector("meta[name=orders-api]")?.getAttribute("content");
  return new URL(configured ? `${configured.replace(/\/$/, "")}/` : ".", document.baseURI).href;
}

new Dashboard().start();
