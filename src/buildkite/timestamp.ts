/** A moment as Buildkite wrote it: milliseconds since the epoch, and how much of it was cut off in writing (1 ms or 1 s). */
export interface Moment {
  readonly ms: number
  readonly resolutionMs: number
}

// ISO 8601, and `2013-09-03 13:24:38 UTC`, which access tokens, some pipelines and everything before 2019 use.
const format = /^(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2}:\d{2})(?:\.(\d+))?\s?(Z|UTC|[+-]\d{2}:?\d{2})$/

/** Reads either date format of Buildkite's; `undefined` for anything else. Digits beyond milliseconds are cut off. */
export function readMoment(value: unknown): Moment | undefined {
  if (typeof value !== 'string') return undefined
  const match = format.exec(value.trim())
  if (!match) return undefined
  const [, day, time, fraction = '', zone = 'Z'] = match
  const ms = Date.parse(`${day}T${time}.${fraction.slice(0, 3).padEnd(3, '0')}${zoneOf(zone)}`)
  if (Number.isNaN(ms)) return undefined
  return { ms, resolutionMs: fraction.length >= 3 ? 1 : 1000 }
}

function zoneOf(zone: string): string {
  if (zone === 'UTC' || zone === 'Z') return 'Z'
  return zone.includes(':') ? zone : `${zone.slice(0, 3)}:${zone.slice(3)}`
}
