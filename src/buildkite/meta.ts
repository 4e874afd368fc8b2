import { z } from 'zod'
import { BuildkiteError } from '../errors.ts'
import { type IpRange, parseRange } from '../ip-range.ts'
import { SECOND } from '../time.ts'
import { ExchangeError, exchange } from './exchange.ts'
import { notBuildkite } from './lists.ts'
import { openDispatcher, type ProxyRoute } from './proxy.ts'

const meta = z.looseObject({ webhook_ips: z.array(z.string()) })

/**
 * The addresses from which Buildkite sends webhooks: `webhook_ips` of `GET /v2/meta`, which asks for no token and counts against no
 * limit of one. Tried once. @throws BuildkiteError; the signal's reason when it aborts.
 */
export async function readWebhookRanges(
  apiUrl: string,
  proxy: ProxyRoute | undefined,
  signal: AbortSignal,
): Promise<IpRange[]> {
  const dispatcher = openDispatcher(apiUrl, proxy)
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
      throw new BuildkiteError('unavailable', `Buildkite did not tell its addresses (HTTP ${status}).`, { status })
    }
    const parsed = meta.safeParse(body)
    const ranges = parsed.success ? parsed.data.webhook_ips.flatMap((text) => parseRange(text) ?? []) : []
    // None at all would shut everybody out.
    if (ranges.length === 0) throw notBuildkite('the addresses of its webhooks')
    return ranges
  } catch (error) {
    if (!(error instanceof ExchangeError)) throw error
    throw new BuildkiteError('unavailable', `Buildkite's API is out of reach: ${error.message}.`, { cause: error })
  } finally {
    await dispatcher.destroy()
  }
}
