/** Where webhooks are received, under the URL that Buildkite knows. */
export const WEBHOOK_PATH = '/webhooks/buildkite'
