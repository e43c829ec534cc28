/** Entry point: connects the address, the API client and the parts of the page. */

import { ApiClient, Problem, combineProvenance } from "./api.js";
import { money } from "./amount.js";
import { ChangeTracker } from "./changes.js";
import { showChartChoices } from "./chart_choices.js";
import { copyButton } from "./copy_button.js";
import { OrderDetail } from "./detail.js";
import { byId, update } from "./dom.js";
import { showDownloads } from "./downloads.js";
import { Filters } from "./filters.js";
import { setZone } from "./format.js";
import { language, setLanguage, t, tCount, tEnum } from "./i18n.js";
import { LoginForm } from "./login_form.js";
import { fetchOrders, fetchOverview } from "./orders_api.js";
import { showPager } from "./pager.js";
import { Panel } from "./panel.js";
import { ChangePoller } from "./poller.js";
import { filterText } from "./print_filters.js";
import { problemTitle, showProblem } from "./problem_view.js";
import { RetryingRequest } from "./request.js";
import { StatusStrip } from "./status_strip.js";
import { Analysis } from "./summary.js";
import { clearOrders, showOrders, showSkeleton } from "./table.js";
import { showNoTiles, showTiles, showTilesSkeleton } from "./tiles.js";
import { DEFAULT_VIEW, exportParams, parseView, reversedRange, viewUrl } from "./url_state.js";
import { buildZoneChooser, showZone } from "./zone_chooser.js";

/** @typedef {import("./url_state.js").View} View */
/** @typedef {import("./api.js").ApiResponse} ApiResponse */
/** @typedef {import("./request.js").RequestState} RequestState */
/** @typedef {import("./problem_view.js").ProblemState} ProblemState */

const NOTICE_MS = 8000;
const TICK_MS = 1000;
/** Characters of the address that sign-in can return to. */
const MAX_RETURN_TO = 1024;

class Dashboard {
  /** @type {View} */
  #view = parseView(location.search);
  #api = new ApiClient(defaultBase());
  /** @type {{name: string, kind: string, scopes: string[]} | undefined} */
  #caller;
  /** Why nobody is signed in: the session has ended, or the person has ended it. */
  #signedOut = /** @type {"" | "expired" | "by_person"} */ ("");
  /** @type {ChangePoller | undefined} */
  #poller;
  /** @type {Problem | null} */
  #pollProblem = null;
  #changes = new ChangeTracker();
  /** @type {string[]} changes that were announced since the last notice */
  #news = [];
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #noticeTimer;
  /** The mistake in the filters that keeps the page from loading anything. @type {ProblemState | null} */
  #mistake = null;
  /** What was rendered last. @type {Map<HTMLElement, string>} */
  #rendered = new Map();
  /** The language and zone that the texts on the page are in. */
  #textKey = "";

  #strip = new StatusStrip((text) => this.#notify(text, { visible: false }));
  #orders = new Panel(byId("orders-problem"), {
    loading: () => showSkeleton(byId("table"), this.#view),
    response: (response, isBackground) => this.#showOrders(response, isBackground),
    empty: () => this.#showNoOrders(),
    state: () => this.#onPanelState(),
  });
  #totals = new Panel(byId("totals-problem"), {
    loading: () => this.#showTotalsLoading(),
    response: (response) => this.#showTotals(response),
    empty: () => this.#showNoTotals(),
    state: () => this.#onPanelState(),
  });
  #callerRequest = new RetryingRequest((state) => this.#onCallerState(state));
  #filters = new Filters(/** @type {HTMLFormElement} */ (byId("filters")), (patch, options) =>
    this.#navigate(patch, options),
  );
  #analysis = new Analysis((patch) => this.#navigate(patch));
  #detail = new OrderDetail(() => this.#closeOrder());
  #loginForm = new LoginForm((base, key) => this.#connect(base, key));

  start() {
    const zone = /** @type {HTMLSelectElement} */ (byId("zone"));
    buildZoneChooser(zone, (tz) => this.#navigate({ tz }));
    // The address always has the time zone: a copied one shows the same days to everyone.
    history.replaceState(history.state, "", viewUrl(this.#view));
    this.#updateTexts();
    byId("top").hidden = byId("main").hidden = false;
    document.addEventListener("click", (event) => this.#onClick(event));
    byId("sign-out").addEventListener("click", () => void this.#signOut());
    for (const id of ["sign-in", "login-link"]) {
      // The address may have changed since the link was rendered.
      byId(id).addEventListener("click", () => byId(id).setAttribute("href", signInUrl()));
    }
    // After signing out, "back" may show the page as it was before.
    addEventListener("pageshow", (event) => {
      if (event.persisted) location.reload();
    });
    for (const button of document.querySelectorAll(".languages button")) {
      button.addEventListener("click", () =>
        this.#navigate({ lang: button.getAttribute("value") ?? "" }, { keepPage: true }),
      );
    }
    addEventListener("popstate", () => this.#showView(parseView(location.search)));
    setInterval(() => {
      if (!document.hidden) this.#strip.tick();
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
    this.#pollProblem = null;
    this.#changes = new ChangeTracker();
    this.#showCaller();
    this.#orders.reset();
    this.#totals.reset();
    showSkeleton(byId("table"), this.#view);
    showTilesSkeleton(byId("tiles"));
    void this.#callerRequest.run((signal) => this.#api.get("v1/me", undefined, signal));
  }

  /** @param {RequestState} state */
  #onCallerState(state) {
    if (state.kind === "problem") this.#onConnectProblem(state);
    if (state.kind !== "success") return;
    this.#caller = state.response.data;
    this.#signedOut = "";
    byId("sandbox").hidden = !state.response.provenance.isSandbox;
    this.#loginForm.hide();
    showProblem(byId("orders-problem"), null);
    this.#showCaller();
    if (this.#caller?.kind === "session" && !this.#caller.scopes.includes("orders:read")) {
      this.#showNoAccess();
      return;
    }
    byId("main").dataset.stage = "orders";
    this.#poller = new ChangePoller({
      fetchChanges: (cursor, signal) =>
        this.#api.get("v1/orders/changes", new URLSearchParams(cursor ? { since: cursor } : {}), signal),
      onChanges: (changes) => this.#onChanges(changes),
      onProblem: (problem) => this.#onPoll(problem),
    });
    void this.#poller.run();
    this.#refresh();
  }

  /**
   * Show the login form if the API's URL or the API key may be wrong, else the problem.
   * @param {ProblemState} state
   */
  #onConnectProblem(state) {
    const { problem } = state;
    const isDefaultBase = this.#api.base === defaultBase();
    const needsLogin = problem.code === "unauthenticated" || problem.code === "not_orders_api";
    if (!needsLogin && isDefaultBase) {
      clearOrders(byId("table"));
      showProblem(byId("orders-problem"), state, this.#api.base);
      this.#onPoll(problem);
      return;
    }
    this.#callerRequest.abort();
    this.#showLogin(problem);
  }

  /** @param {Problem} problem */
  #showLogin(problem) {
    this.#poller?.stop();
    if (this.#caller?.kind === "session") this.#signedOut = "expired";
    this.#caller = undefined;
    this.#showCaller();
    this.#hideOrders("login");
    const isDefaultBase = this.#api.base === defaultBase();
    this.#loginForm.show({
      problem,
      base: this.#api.base,
      isDefaultBase,
      hadKey: this.#api.hasKey,
      signIn: isDefaultBase && problem.code === "unauthenticated" ? signInUrl() : "",
      signedOut: this.#signedOut,
    });
  }

  /** The person is known, but nothing was granted to them. */
  #showNoAccess() {
    this.#hideOrders("problem");
    const problem = new Problem({ code: "no_access", detail: t("no_access", { name: this.#caller?.name ?? "" }) });
    const retry = () => location.assign(signInUrl());
    showProblem(byId("orders-problem"), { kind: "problem", problem, retryIn: 0, retry });
  }

  /**
   * Hide the orders, those in the dialog too.
   * @param {"login" | "problem"} stage what is shown in their place
   */
  #hideOrders(stage) {
    byId("main").dataset.stage = stage;
    this.#orders.reset();
    this.#totals.reset();
    this.#detail.hide();
  }

  /** End the session, or forget the key. */
  async #signOut() {
    if (this.#caller?.kind === "session") {
      try {
        await this.#api.post("auth/logout");
      } catch (error) {
        if (!(error instanceof Problem)) throw error;
        this.#notify(t("sign_out.failed", { reason: problemTitle(error) }));
        return;
      }
      this.#signedOut = "by_person";
    }
    this.#connect(this.#api.base, "");
  }

  #showCaller() {
    const isAnonymous = this.#caller?.kind === "anonymous";
    const isSession = this.#caller?.kind === "session";
    byId("sign-out").hidden = !isSession && (!this.#api.hasKey || this.#caller === undefined);
    byId("sign-in").hidden = !isAnonymous || !signInUrl() || this.#api.base !== defaultBase();
    byId("sign-in").setAttribute("href", signInUrl());
    byId("caller").dataset.kind = this.#caller?.kind ?? "";
    byId("caller").textContent = isAnonymous ? t("caller.anonymous") : (this.#caller?.name ?? "");
    byId("caller").title = this.#caller?.name ?? "";
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
    const isOtherPage = view.page !== this.#view.page;
    this.#view = view;
    this.#updateTexts();
    if (byId("main").dataset.stage === "orders") this.#refresh();
    const orders = byId("orders");
    if (isOtherPage && orders.getBoundingClientRect().top < 0) orders.scrollIntoView();
  }

  /** Render what depends on the language, the time zone and the filters. */
  #updateTexts() {
    const preferred = navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
    const selected = this.#view.lang === "zh" || this.#view.lang === "en" ? this.#view.lang : preferred;
    setZone(this.#view.tz);
    const textKey = `${selected} ${this.#view.tz}`;
    if (textKey !== this.#textKey) {
      this.#textKey = textKey;
      if (selected !== language() || !byId("filters").hasChildNodes()) {
        setLanguage(selected);
        this.#filters.build();
        this.#showCaller();
        this.#loginForm.translate();
        if (byId("main").dataset.stage === "problem") this.#showNoAccess();
      }
      this.#updateStrip();
    }
    for (const button of document.querySelectorAll(".languages button")) {
      button.setAttribute("aria-pressed", String(button.getAttribute("value") === selected));
    }
    showZone(/** @type {HTMLSelectElement} */ (byId("zone")), this.#view.tz);
    this.#filters.show(this.#view);
    byId("print-filters").textContent = filterText(this.#view);
    showChartChoices(byId("chart-choices"), this.#view, (patch) => this.#navigate(patch, { keepPage: true }));
  }

  /**
   * Load what the view needs and what has not been requested yet.
   * @param {{background?: boolean}} [options] background: load it again and keep the content until then
   */
  #refresh({ background = false } = {}) {
    const view = this.#view;
    const { base } = this.#api;
    const reversed = reversedRange(view);
    this.#mistake = null;
    if (reversed) {
      this.#orders.reset();
      this.#totals.reset();
      const problem = new Problem({ code: `reversed_${reversed}` });
      this.#mistake = { kind: "problem", problem, retryIn: 0, retry: () => this.#swap(reversed) };
      showProblem(byId("orders-problem"), this.#mistake);
      this.#updateStrip();
      return;
    }
    // The parts of the address that change the answer.
    const list = { ...view, order: "", lang: "", interval: "", measure: "" };
    const totals = { ...list, interval: view.interval, page: 1, limit: DEFAULT_VIEW.limit, sort: "" };
    this.#orders.load(base, viewUrl(list), (signal) => fetchOrders(this.#api, view, signal), background);
    this.#totals.load(base, viewUrl(totals), (signal) => fetchOverview(this.#api, view, signal), background);
    this.#hideRepeatedProblem();
    showDownloads(byId("downloads"), this.#api, exportParams(view), (text, options) => this.#notify(text, options));
    update(byId("copy-link"), copyButton(location.href, t("orders"), {}, t("copy.link")));
    this.#showDetail();
  }

  /** @param {"dates" | "amounts"} which */
  #swap(which) {
    const { from, to, amount_from: least, amount_to: most } = this.#view;
    this.#navigate(which === "dates" ? { from: to, to: from } : { amount_from: most, amount_to: least });
  }

  /**
   * @param {ApiResponse} response
   * @param {boolean} isBackground it is shown in the place of an earlier response to the same query
   */
  #showOrders({ data, meta, provenance }, isBackground) {
    const { sort, page } = this.#view;
    const isNewestFirst = page === 1 && (sort === "" || sort === "-created_at");
    this.#addNews(this.#changes.addRows(data, { isBackground, isNewestFirst }));
    const { marks } = this.#changes;
    // Most polls change nothing: then there is nothing to compare row by row.
    this.#renderChanged(byId("table"), [data, meta.total, this.#view, [...marks]], () =>
      showOrders(byId("table"), this.#view, data, meta, marks),
    );
    showPager(byId("pager"), this.#view, meta.pages, (patch) => this.#navigate(patch));
    byId("pager").hidden = meta.total === 0;
    const count = tCount("count", meta.total);
    if (byId("count").textContent !== count) byId("count").textContent = count;
    byId("sandbox").hidden = !provenance.isSandbox;
  }

  /**
   * Render something unless it is shown already.
   * @param {HTMLElement} container
   * @param {unknown[]} content what it depends on, besides language and time zone
   * @param {() => void} render
   */
  #renderChanged(container, content, render) {
    const key = JSON.stringify([this.#textKey, content]);
    container.removeAttribute("aria-busy");
    if (this.#rendered.get(container) === key) return;
    this.#rendered.set(container, key);
    render();
  }

  #showNoOrders() {
    this.#rendered.delete(byId("table"));
    byId("count").textContent = "";
    byId("pager").hidden = true;
    clearOrders(byId("table"));
  }

  #showTotalsLoading() {
    showTilesSkeleton(byId("tiles"));
    byId("analysis").setAttribute("aria-busy", "true");
  }

  /** @param {ApiResponse} response */
  #showTotals({ data, meta }) {
    byId("analysis").removeAttribute("aria-busy");
    this.#renderChanged(byId("tiles"), [data, this.#view], () => {
      showTiles(byId("tiles"), this.#view, data, meta.currency);
      this.#analysis.show(this.#view, data.listed, meta.currency);
    });
    update(byId("listed-total"), t("total"), " ", money(data.listed.actual_amount, meta.currency));
  }

  #showNoTotals() {
    this.#rendered.delete(byId("tiles"));
    showNoTiles(byId("tiles"));
    update(byId("listed-total"));
    this.#analysis.clear();
  }

  #onPanelState() {
    const problem = this.#orders.problem ?? this.#totals.problem;
    if (this.#caller === undefined) return;
    if (problem?.problem.code === "unauthenticated") {
      this.#showLogin(problem.problem);
      return;
    }
    if (this.#orders.problem === null && this.#orders.response) this.#strip.contact();
    this.#hideRepeatedProblem();
    this.#updateStrip();
  }

  /** The same problem is shown once: where the orders would be. */
  #hideRepeatedProblem() {
    this.#totals.showProblem(this.#orders.response ? undefined : this.#orders.problem?.problem.code);
  }

  #updateStrip() {
    const responses = [this.#orders.response, this.#totals.response].filter((one) => one !== undefined);
    this.#strip.update({
      provenance: responses.length > 0 ? combineProvenance(responses.map((one) => one.provenance)) : undefined,
      problem: this.#mistake ?? this.#orders.problem ?? this.#totals.problem,
      pollProblem: this.#pollProblem,
      base: this.#api.base,
    });
  }

  #showDetail() {
    const { order: orderNo } = this.#view;
    this.#detail.show(orderNo, {
      key: this.#textKey,
      api: this.#api,
      mayReadPayments: this.#caller?.scopes.includes("payments:read") ?? false,
      listed: this.#orders.response?.data.find(
        (/** @type {{order_no: string}} */ order) => order.order_no === orderNo,
      ),
      currency: this.#orders.response?.meta.currency,
    });
  }

  /** @param {Problem | null} problem */
  #onPoll(problem) {
    if (problem?.code === "unauthenticated" && this.#caller !== undefined) {
      this.#showLogin(problem);
      return;
    }
    this.#pollProblem = problem;
    if (problem === null) this.#strip.contact();
    this.#updateStrip();
  }

  /** @param {import("./poller.js").Change[] | null} changes null: unknown, everything is reloaded */
  #onChanges(changes) {
    if (changes === null) this.#notify(t("live.reset"));
    else this.#addNews(this.#changes.addFeed(changes));
    // Without changes too: it costs a 304 and updates the age that is shown.
    this.#refresh({ background: true });
  }

  /**
   * Announce changes: "3 new, 1 Paid". Those that come while the notice is shown are added to it.
   * @param {string[]} kinds
   */
  #addNews(kinds) {
    if (kinds.length === 0) return;
    this.#news.push(...kinds);
    const counts = Map.groupBy(this.#news, (kind) => kind);
    const texts = [...counts].map(([kind, all]) => {
      const isStatus = !["created", "updated", "removed"].includes(kind);
      const key = isStatus ? "live.status" : `live.${kind}`;
      return t(key, { count: all.length, status: tEnum(kind).toLowerCase() });
    });
    this.#notify(texts.join(t("live.separator")), { keepNews: true });
  }

  /**
   * Show a notice for some seconds, and announce it to screen readers.
   * @param {string} text
   * @param {object} [options]
   * @param {boolean} [options.visible] false for screen readers only
   * @param {boolean} [options.keepNews]
   * @param {boolean} [options.lasting] until the next notice
   */
  #notify(text, { visible = true, keepNews = false, lasting = false } = {}) {
    clearTimeout(this.#noticeTimer);
    if (!keepNews) this.#news = [];
    byId("notice").className = visible ? "notice" : "visually-hidden";
    byId("notice").textContent = text;
    if (lasting) return;
    this.#noticeTimer = setTimeout(() => {
      this.#news = [];
      byId("notice").replaceChildren();
    }, NOTICE_MS);
  }

  /**
   * Follow a link within the page, or open the order of the row that was clicked.
   * @param {MouseEvent} event
   */
  #onClick(event) {
    if (!(event.target instanceof Element) || event.button) return;
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    const control = event.target.closest("a, button, input, select, summary, label");
    const href = control?.getAttribute("href");
    if (href?.startsWith("?")) {
      event.preventDefault();
      this.#navigate(parseView(href));
    } else if (!control && !String(getSelection())) {
      const order = event.target.closest("#table tr[data-order]")?.getAttribute("data-order");
      if (order) this.#navigate({ order }, { keepPage: true });
    }
  }
}

/** Where a person signs in and returns to this view; empty if nobody can. */
function signInUrl() {
  const path = document.querySelector("meta[name=orders-login]")?.getAttribute("content");
  if (!path) return "";
  const full = location.pathname + location.search;
  const returnTo = full.length <= MAX_RETURN_TO ? full : location.pathname;
  return `${path}?${new URLSearchParams({ return_to: returnTo })}`;
}

/** The API's URL: what the page's meta element says, else the page's own folder. */
function defaultBase() {
  const configured = document.querySelector("meta[name=orders-api]")?.getAttribute("content");
  return new URL(configured ? `${configured.replace(/\/$/, "")}/` : ".", document.baseURI).href;
}

new Dashboard().start();
