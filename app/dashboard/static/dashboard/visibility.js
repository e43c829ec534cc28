/** A delay that does not end while the tab is hidden, so that a hidden tab sends no requests. */

/**
 * Wait `seconds`, then until the page is visible.
 * @param {number} seconds
 * @param {AbortSignal} signal ends the wait early
 * @returns {Promise<boolean>} false if aborted
 */
export async function delayUntilVisible(seconds, signal) {
  await waitFor(signal, (done) => {
    const timer = setTimeout(done, seconds * 1000);
    return () => clearTimeout(timer);
  });
  if (document.hidden) {
    await waitFor(signal, (done) => {
      document.addEventListener("visibilitychange", done);
      return () => document.removeEventListener("visibilitychange", done);
    });
  }
  return !signal.aborted;
}

/**
 * Resolves when `done` is called or `signal` is aborted.
 * @param {AbortSignal} signal
 * @param {(done: () => void) => () => void} subscribe returns the function that unsubscribes
 * @returns {Promise<void>}
 */
function waitFor(signal, subscribe) {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = () => {
      unsubscribe();
      signal.removeEventListener("abort", done);
      resolve();
    };
    const unsubscribe = subscribe(done);
    signal.addEventListener("abort", done);
  });
}
