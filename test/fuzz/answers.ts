import type { Random } from '../../src/simulator/random.ts'
import { type Answered, me, type Seen } from '../buildkite/stub.ts'
import { mutate, mutateText } from './mutate.ts'
import { nasty, RawJson } from './nasty.ts'
import type { ApiShapes } from './shapes.ts'

/** More requests than this for one small list are a walk without end. */
export const ENDLESS = 800

/** The answers of one round of the API campaign: the same lists for every request, with faults in between. */
export interface Answers {
  /** The lists as text; JSON, or nearly. */
  builds: string
  pipelines: string
  answer(seen: Seen): Answered
  /** How often anything was asked. */
  asked: number
}

/** Makes the answers of one round: every UUID contains `id`, so that no two rounds have the same objects. */
export function makeAnswers(shapes: ApiShapes, id: string, random: Random): Answers {
  const some = (all: readonly object[], most: number) =>
    Array.from({ length: random.int(0, most) }, () => renamed(random.choose(all) ?? {}, id))
  const builds = listText(some(shapes.builds, 6), random)
  const pipelines = listText(some(shapes.pipelines, 4), random)
  const organizations = listText(some(shapes.organizations, 2), random)
  const token = mutate(me, random).toString()
  // How often a list claims to go on; now and then it always does.
  let more = random.chance(0.02) ? Number.POSITIVE_INFINITY : random.chance(0.2) ? random.int(1, 3) : 0
  let faults = random.chance(0.3) ? random.int(1, 4) : 0
  const answers: Answers = {
    builds,
    pipelines,
    asked: 0,
    answer({ path }) {
      answers.asked += 1
      if (faults > 0 && random.chance(0.5)) {
        faults -= 1
        return fault(random)
      }
      const headers = oddHeaders(random)
      if (path.endsWith('/access-token')) return { text: token, headers }
      if (more > 0) {
        more -= 1
        headers.link = '<https://elsewhere.invalid/v2/list?page=2&api_key=x>; rel="next"'
      }
      if (path.endsWith('/organizations')) return { text: organizations, headers }
      return { text: path.endsWith('/pipelines') ? pipelines : builds, headers }
    },
  }
  return answers
}

export function renamed(shape: object, id: string): unknown {
  const uuids = /("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-)[0-9a-f]{8}([0-9a-f]{4}")/g
  return JSON.parse(JSON.stringify(shape).replaceAll(uuids, `$1${id}$2`))
}

function listText(items: readonly unknown[], random: Random): string {
  if (random.chance(0.05)) return mutate(items, random).toString()
  const odd = nasty(random)
  const written = items.map((item) => (random.chance(0.7) ? mutateText(item, random) : JSON.stringify(item)))
  if (random.chance(0.1)) written.push(odd instanceof RawJson ? odd.text : JSON.stringify(odd))
  return `[${written.join(',')}]`
}

function fault(random: Random): Answered {
  const body = mutate(
    { message: "Your access token doesn't have the read_builds scope", reset: 3, scope: 'rest' },
    random,
  )
  const text = body.toString()
  const headers = oddHeaders(random)
  const kind = random.int(0, 9)
  if (kind < 3) return { status: 429, text, headers }
  if (kind === 3) return { status: 500, text: '<html>', headers }
  if (kind === 4) return (response) => response.destroy()
  if (kind === 5) return { text: '[{"id":', headers }
  if (kind === 6) return { text: '[]', headers: { ...headers, 'content-encoding': 'gzip' } }
  return { status: random.pick([301, 400, 403, 404, 408, 418, 422, 502]), text, headers }
}

function oddHeaders(random: Random): Record<string, string> {
  const headers: Record<string, string> = {}
  const values = ['', '-1', '0', '1', '50', '1e9', '9'.repeat(30), '9'.repeat(400), 'NaN', '1, 2', '\u00ff', '"']
  const names = [
    'ratelimit-remaining',
    'ratelimit-limit',
    'ratelimit-reset',
    'ratelimit-user-reset',
    'ratelimit-user-limit',
  ]
  for (const name of [...names, 'retry-after', 'x-oauth-scopes']) {
    if (random.chance(0.1)) headers[name] = random.choose(values) ?? ''
  }
  if (random.chance(0.1)) {
    const dates = [
      '',
      'now',
      'Thu, 01 Jan 1970 00:00:00 GMT',
      'Fri, 31 Dec 9999 23:59:59 GMT',
      '+275760-09-13T00:00:00.000Z',
    ]
    headers.date = random.choose(dates) ?? ''
  }
  if (random.chance(0.05)) headers.link = random.choose([';rel="next"', '<>; rel=prev', ',,,', '<'.repeat(5_000)]) ?? ''
  return headers
}
