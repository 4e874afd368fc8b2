/** The path of the webhook receiver, below the URL that Buildkite knows. */
export const WEBHOOK_PATH = '/webhooks/buildkite'
