/** The filters as one line of text, for the printed page. */

import { formatDay } from "./format.js";
import { t, tEnum } from "./i18n.js";
import { ENUM_FILTERS } from "./url_state.js";

/** @param {import("./url_state.js").View} view */
export function filterText(view) {
  const enums = ENUM_FILTERS.filter((name) => view[name].length > 0).map(
    (name) => `${t(name)} ${view[name].map(tEnum).join(", ")}`,
  );
  const texts = [
    view.from && `${t("from")} ${formatDay(view.from)}`,
    view.to && `${t("to")} ${formatDay(view.to)}`,
    view.amount_from && `${t("amount_from")} ${view.amount_from}`,
    view.amount_to && `${t("amount_to")} ${view.amount_to}`,
    view.q && `${t("search")} ${view.q}`,
  ];
  const all = [...enums, ...texts.filter(Boolean)].join("; ");
  return `${t("print.filters", { filters: all || t("print.none") })} ${t("print.zone", { zone: view.tz })}`;
}
