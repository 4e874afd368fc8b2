/**
 * Records a metric: its name, a count or a duration in seconds, and labels. It never throws and is fast, so that metrics cannot break
 * or slow down the work.
 */
export type RecordMetric = (what: MetricEvent, n: number, labels?: Readonly<Record<string, string>>) => void

/** The metrics that code records; http/metrics/definitions.ts describes each and its labels. */
export type MetricEvent =
  | 'webhook_requests_total'
  | 'webhook_request_duration_seconds'
  | 'deliveries_accepted_total'
  | 'deliveries_duplicate_total'
  | 'deliveries_processed_total'
  | 'delivery_apply_seconds'
  | 'deliveries_requeued_total'
  | 'rows_total'
  | 'rollup_days_total'
  | 'rollup_seconds'
  | 'rollup_failures_total'
  | 'cycles_total'
  | 'cycle_duration_seconds'
  | 'cycle_found_total'
  | 'task_failures_total'
  | 'drift_found_total'
  | 'api_requests_total'
  | 'api_request_seconds'
  | 'api_budget_wait_seconds_total'
  | 'api_limit'
  | 'api_limit_remaining'
  | 'audited_requests_total'
  | 'tokens_refused_total'
