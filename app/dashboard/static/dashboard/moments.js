/** Waits that cost nobody anything: a tab that is not looked at asks nothing. */

/**
 * When `seconds` have passed and the page is looked at.
 * @param {number} seconds
 * @param {AbortSignal} signal ends the wait early
 * @returns {Promise<boolean>} whether it is still wanted
 */
export async function whenSeen(seconds, signal) {
  await happens(signal, (done) => {
    const timer = setTimeout(done, seconds * 1000);
    return () => clearTimeout(timer);
  });
  if (document.hidden) {
    await happens(signal, (done) => {
      document.addEventListener("visibilitychange", done);
      return () => document.removeEventListener("visibilitychange", done);
    });
  }
  return !signal.aborted;
}

/**
 * @param {AbortSignal} signal
 * @param {(done: () => void) => () => void} arrange gives what undoes it
 * @returns {Promise<void>}
 */
function happens(signal, arrange) {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = () => {
      undo();
      signal.removeEventListener("abort", done);
      resolve();
    };
    const undo = arrange(done);
    signal.addEventListener("abort", done);
  });
}
