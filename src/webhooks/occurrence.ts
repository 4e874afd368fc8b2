/** Told of what happens on the webhook path, for metrics: what, how many, and with which labels. */
export type OnOccurrence = (what: WebhookOccurrence, count: number, labels?: Readonly<Record<string, string>>) => void

export type WebhookOccurrence =
  /** An answer to a request, labelled with its `status`. */
  | 'answered'
  /** A delivery kept for the first time, labelled with the store (`via`: `postgres` or `queue`). */
  | 'kept'
  /** A delivery that was kept before. */
  | 'duplicate'
  /** A kept delivery was dealt with, labelled with its `status` (`applied`, `ignored`, `failed`). */
  | 'settled'
  /** A delivery enqueued again because its job was lost or never made. */
  | 'swept'
