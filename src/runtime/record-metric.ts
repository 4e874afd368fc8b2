/**
 * Records a metric: its name, a count or a duration in seconds, and labels. It never throws and is fast, so that metrics cannot break
 * or slow down the work. http/metrics/definitions.ts describes each.
 */
export type RecordMetric = (what: MetricEvent, n: number, labels?: Readonly<Record<string, string>>) => void

export type MetricEvent = WebhookMetric | MirrorMetric | ReconcileMetric | ApiMetric

export type WebhookMetric =
  /** An answer to a request, labelled with its `status`. */
  | 'webhook_requests_total'
  /** Time from the arrival of a request to its answer. */
  | 'webhook_request_duration_seconds'
  /** A delivery stored for the first time, labelled with the store (`via`: `postgres` or `queue`). */
  | 'deliveries_accepted_total'
  /** A delivery that was already stored. */
  | 'deliveries_duplicate_total'
  /** A delivery was settled, labelled with its `status` (`applied`, `ignored`, `failed`) and its `event`. */
  | 'deliveries_processed_total'
  /** Time from the receipt of a delivery to the commit of its rows. */
  | 'delivery_apply_seconds'
  /** A delivery enqueued again because its job was lost or never created. */
  | 'deliveries_requeued_total'

export type MirrorMetric =
  /** Rows of a committed merge, labelled with `table`, the path (`via`: `webhook`, `rest`) and `result`. */
  | 'rows_total'
  /** Days whose totals were recomputed. */
  | 'rollup_days_total'
  /** How long a run that recomputes totals took. */
  | 'rollup_seconds'
  /** A failed run of that kind. */
  | 'rollup_failures_total'

export type ReconcileMetric =
  /** A cycle that completed, labelled with its `kind`. */
  | 'cycles_total'
  | 'cycle_duration_seconds'
  /** What a cycle read and found, labelled with `kind`, `object` (`build`, `job`) and `result`. */
  | 'cycle_found_total'
  /** A task that failed, labelled with `task` and `code`. */
  | 'task_failures_total'
  /** Differences that the audit found, labelled with their `kind`. */
  | 'drift_found_total'

export type ApiMetric =
  /** A request to Buildkite, labelled with `endpoint` and the `status` of the answer. */
  | 'api_requests_total'
  | 'api_request_seconds'
  /** Seconds that a call waited for the budget, labelled with `priority`. */
  | 'api_budget_wait_seconds_total'
  /** A limit from an answer's headers: calls a minute, and calls left; labelled with `scope`. */
  | 'api_limit'
  | 'api_limit_remaining'
