// How a view ends.

/** Ends and refusals that are not about the viewer's right: a new view may begin at once. */
const PASSING = new Set([
  "standing_moved", "standing_unconfirmed", "service_stopping", "internal_error", "database_unavailable",
]);

/** After so many milliseconds a view that ended in passing is asked for again. */
export const AGAIN_AFTER = 3000;

export function isPassing(problem: { code: string; status: number }): boolean {
  return problem.status >= 500 || PASSING.has(problem.code);
}
