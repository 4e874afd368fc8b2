import { z } from 'zod'
import { BuildkiteError } from '../runtime/errors.ts'
import { type IpRange, parseRange } from '../runtime/ip-range.ts'
import { SECOND } from '../runtime/time.ts'
import { ExchangeError, exchange } from './http/exchange.ts'
import { openDispatcher, type ProxyRoute } from './http/proxy.ts'
import { notBuildkite } from './lists/lists.ts'

const meta = z.looseObject({ webhook_ips: z.array(z.string()) })

/**
 * The addresses from which Buildkite sends webhooks: `webhook_ips` of `GET /v2/meta`, which needs no token and counts against no token's
 * limit. Tries once. @throws BuildkiteError; the signal's reason when it aborts.
 */
export async function readWebhookRanges(
  apiUrl: string,
  proxy: ProxyRoute | undefined,
  signal: AbortSignal,
): Promise<IpRange[]> {
  const dispatcher = openDispatcher(proxy)
  try {
    const options = {
      dispatcher,
      headers: {},
      timeoutMs: 30 * SECOND,
      moment: () => ({ wall: Date.now(), steady: performance.now() }),
      signal,
    }
    const { status, body } = await exchange(`${apiUrl}/meta`, options)
    if (status !== 200) {
      throw new BuildkiteError('unavailable', `Buildkite did not return its addresses (HTTP ${status}).`, { status })
    }
    const parsed = meta.safeParse(body)
    const ranges = parsed.success ? parsed.data.webhook_ips.flatMap((text) => parseRange(text) ?? []) : []
    // An empty list would reject every webhook.
    if (ranges.length === 0) throw notBuildkite('the addresses of its webhooks')
    return ranges
  } catch (error) {
    if (!(error instanceof ExchangeError)) throw error
    throw new BuildkiteError('unavailable', `Buildkite's API is unreachable: ${error.message}.`, { cause: error })
  } finally {
    await dispatcher.destroy()
  }
}
