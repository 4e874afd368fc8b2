/**
 * Told of what happens, for metrics: what, how many or how long (in seconds), and with which labels. It never throws and takes no time
 * to speak of, so that measuring cannot break or slow what is measured. What each is called outside stands in http/metric-list.ts.
 */
export type OnOccurrence = (what: Occurrence, n: number, labels?: Readonly<Record<string, string>>) => void

export type Occurrence = WebhookOccurrence | MirrorOccurrence | ReconcileOccurrence | ApiOccurrence

export type WebhookOccurrence =
  /** An answer to a request, labelled with its `status`. */
  | 'answered'
  /** From the arrival of a request to its answer. */
  | 'answer_seconds'
  /** A delivery kept for the first time, labelled with the store (`via`: `postgres` or `queue`). */
  | 'kept'
  /** A delivery that was kept before. */
  | 'duplicate'
  /** A kept delivery was dealt with, labelled with its `status` (`applied`, `ignored`, `failed`) and its `event`. */
  | 'settled'
  /** From the receipt of a delivery to the commit of its rows. */
  | 'apply_seconds'
  /** A delivery enqueued again because its job was lost or never made. */
  | 'swept'

export type MirrorOccurrence =
  /** Rows of a merge that is committed, labelled with `table`, the path (`via`: `webhook`, `rest`) and `result`. */
  | 'rows'
  /** Days whose sums were made anew. */
  | 'rollup_days'
  /** How long a turn of the sums took. */
  | 'rollup_seconds'
  /** A turn of the sums that failed. */
  | 'rollup_failed'

export type ReconcileOccurrence =
  /** A cycle that ran to its end, labelled with its `kind`. */
  | 'cycles_total'
  | 'cycle_seconds'
  /** What a cycle read and found, labelled with `kind`, `object` (`build`, `job`) and `result`. */
  | 'cycle_found'
  /** A task that failed, labelled with `task` and `code`. */
  | 'task_failed'
  /** Differences that the audit found, labelled with their `kind`. */
  | 'drift_found'

export type ApiOccurrence =
  /** A request to Buildkite and how it was answered, labelled with `endpoint` and `status`. */
  | 'api_requests'
  | 'api_request_seconds'
  /** Seconds spent waiting until the budget granted a call, labelled with `priority`. */
  | 'api_waited'
  /** A limit as an answer showed it: calls a minute, and those left; labelled with `scope`. */
  | 'api_limit'
  | 'api_remaining'
