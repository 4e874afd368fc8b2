/**
 * Records a metric: its name, a count or a duration in seconds, and labels. It never throws and is fast, so that metrics cannot break
 * or slow down the work. http/metric-list.ts has the public names.
 */
export type OnOccurrence = (what: Occurrence, n: number, labels?: Readonly<Record<string, string>>) => void

export type Occurrence = WebhookOccurrence | MirrorOccurrence | ReconcileOccurrence | ApiOccurrence

export type WebhookOccurrence =
  /** An answer to a request, labelled with its `status`. */
  | 'answered'
  /** Time from the arrival of a request to its answer. */
  | 'answer_seconds'
  /** A delivery stored for the first time, labelled with the store (`via`: `postgres` or `queue`). */
  | 'kept'
  /** A delivery that was already stored. */
  | 'duplicate'
  /** A delivery was settled, labelled with its `status` (`applied`, `ignored`, `failed`) and its `event`. */
  | 'settled'
  /** Time from the receipt of a delivery to the commit of its rows. */
  | 'apply_seconds'
  /** A delivery enqueued again because its job was lost or never created. */
  | 'swept'

export type MirrorOccurrence =
  /** Rows of a committed merge, labelled with `table`, the path (`via`: `webhook`, `rest`) and `result`. */
  | 'rows'
  /** Days whose totals were recomputed. */
  | 'rollup_days'
  /** How long a run that recomputes totals took. */
  | 'rollup_seconds'
  /** A failed run of that kind. */
  | 'rollup_failed'

export type ReconcileOccurrence =
  /** A cycle that completed, labelled with its `kind`. */
  | 'cycles_total'
  | 'cycle_seconds'
  /** What a cycle read and found, labelled with `kind`, `object` (`build`, `job`) and `result`. */
  | 'cycle_found'
  /** A task that failed, labelled with `task` and `code`. */
  | 'task_failed'
  /** Differences that the audit found, labelled with their `kind`. */
  | 'drift_found'

export type ApiOccurrence =
  /** A request to Buildkite, labelled with `endpoint` and the `status` of the answer. */
  | 'api_requests'
  | 'api_request_seconds'
  /** Seconds that a call waited for the budget, labelled with `priority`. */
  | 'api_waited'
  /** A limit from an answer's headers: calls a minute, and calls left; labelled with `scope`. */
  | 'api_limit'
  | 'api_remaining'
