/** Translates the page: its texts are in messages.js. */

import { MESSAGES } from "./messages.js";

/** @typedef {"en" | "zh"} Language */

/** @type {Language} */
let current = "en";

/**
 * Set the language and translate the static part of the page.
 * @param {Language} selected
 */
export function setLanguage(selected) {
  current = selected;
  document.documentElement.lang = languageTag(selected);
  const name = document.querySelector("meta[name=application-name]")?.getAttribute("content");
  document.title = name || t("title");
  for (const element of document.querySelectorAll("[data-i18n]")) {
    element.textContent = t(element.getAttribute("data-i18n") ?? "");
  }
  for (const element of document.querySelectorAll("[data-i18n-label]")) {
    element.setAttribute("aria-label", t(element.getAttribute("data-i18n-label") ?? ""));
  }
}

/** @returns {Language} */
export function language() {
  return current;
}

/** The locale for numbers and times: the viewer's own if it is in the current language. */
export function locale() {
  return navigator.languages.find((tag) => tag.toLowerCase().startsWith(current)) ?? languageTag(current);
}

/**
 * The BCP 47 tag of a language.
 * @param {Language} language
 */
export function languageTag(language) {
  return language === "zh" ? "zh-Hans" : "en";
}

/**
 * The message for `key` in the current language, with its {placeholders} replaced.
 * @param {string} key
 * @param {Record<string, string | number>} [values]
 */
export function t(key, values = {}) {
  const [en, zh] = MESSAGES[key] ?? [key, key];
  return (current === "zh" ? zh : en).replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
}

/** @param {string} key */
export function hasMessage(key) {
  return key in MESSAGES;
}

/**
 * The message for `key.one` or `key.many`.
 * @param {string} key
 * @param {number} count
 */
export function tCount(key, count) {
  return t(`${key}.${count === 1 ? "one" : "many"}`, { count: count.toLocaleString(locale()) });
}

/**
 * The message for a value of an open enum. An unknown value is returned unchanged.
 * @param {string} value
 */
export function tEnum(value) {
  const key = `value.${value}`;
  return key in MESSAGES ? t(key) : value;
}
