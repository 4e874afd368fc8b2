import { createHash } from 'node:crypto'

// Times are milliseconds since the epoch. See "Common rules" in docs/analytics/definitions.md.

export type Row = Record<string, unknown>
export type Maybe<T> = T | null

const DAY = 86_400_000
const HOUR = 3_600_000

/** The seconds from a to b; null if unknown or absurd, 0 if b is not later. */
export function seconds(a: Maybe<number>, b: Maybe<number>): Maybe<number> {
  if (a === null || b === null || Math.abs(b - a) >= 24_855 * DAY) return null
  return b <= a ? 0 : (b - a) / 1_000
}

export const dayOf = (time: number): string => new Date(time).toISOString().slice(0, 10)
export const startOfDay = (time: number): number => Math.floor(time / DAY) * DAY
export const startOfHour = (time: number): number => Math.floor(time / HOUR) * HOUR
/** Monday, 0 o'clock. The epoch was a Thursday. */
export const startOfWeek = (time: number): number => Math.floor((time - 4 * DAY) / (7 * DAY)) * 7 * DAY + 4 * DAY

/** The week and the month of a time. */
export const periodsOf = (time: number) => [
  { period: 'week', starts_on: dayOf(startOfWeek(time)) },
  { period: 'month', starts_on: `${dayOf(time).slice(0, 8)}01` },
]

/** The start of the week or month before. */
export function startBefore(period: string, startsOn: string): string {
  const start = Date.parse(startsOn)
  return period === 'week' ? dayOf(start - 7 * DAY) : `${dayOf(start - DAY).slice(0, 8)}01`
}

export const isPresent = <T>(value: T | null | undefined): value is T => value !== null && value !== undefined

export function total(values: readonly Maybe<number>[]): Maybe<number> {
  const known = values.filter(isPresent)
  return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0)
}

export function mean(values: readonly Maybe<number>[]): Maybe<number> {
  const sum = total(values)
  return sum === null ? null : sum / values.filter(isPresent).length
}

export const greatest = <T extends number | string>(values: readonly Maybe<T>[]): Maybe<T> =>
  values.filter(isPresent).reduce<Maybe<T>>((top, value) => (top === null || value > top ? value : top), null)

export const least = <T extends number | string>(values: readonly Maybe<T>[]): Maybe<T> =>
  values.filter(isPresent).reduce<Maybe<T>>((low, value) => (low === null || value < low ? value : low), null)

/** As whole seconds, sorted: a half is rounded up. */
const wholeSeconds = (values: readonly Maybe<number>[]): number[] =>
  values
    .filter(isPresent)
    .map((value) => Math.min(2_147_483_647, Math.floor((Math.round(value * 1_000) + 500) / 1_000)))
    .sort((a, b) => a - b)

/** Distinct whole seconds in ascending order, each followed by how often it occurs. */
export function histogram(values: readonly Maybe<number>[]): number[] {
  const times = new Map<number, number>()
  for (const value of wholeSeconds(values)) times.set(value, (times.get(value) ?? 0) + 1)
  return [...times].flat()
}

/** Nearest rank, over whole seconds. */
export function percentile(values: readonly Maybe<number>[], p: number): Maybe<number> {
  const sorted = wholeSeconds(values)
  const rank = Math.ceil((Math.round(p * 100) * sorted.length) / 100)
  return sorted[rank - 1] ?? null
}

export const rate = (part: number, whole: number): Maybe<number> => (whole === 0 ? null : part / whole)

export const count = <T>(list: readonly T[], is: (one: T) => boolean): number => list.filter(is).length

/** Groups by the values of a key, and joins that key to the columns that `make` computes. */
export function grouped<T, Key extends Row>(
  list: readonly T[],
  keyOf: (one: T) => Key,
  make: (group: T[], key: Key) => Row | undefined,
): Row[] {
  const groups = new Map<string, { key: Key; group: T[] }>()
  for (const one of list) {
    const key = keyOf(one)
    const name = JSON.stringify(key)
    const known = groups.get(name)
    if (known) known.group.push(one)
    else groups.set(name, { key, group: [one] })
  }
  return [...groups.values()].flatMap(({ key, group }) => {
    const columns = make(group, key)
    return columns ? [{ ...key, ...columns }] : []
  })
}

export function listBy<T>(list: readonly T[], keyOf: (one: T) => Maybe<string>): Map<string, T[]> {
  const lists = new Map<string, T[]>()
  for (const one of list) {
    const key = keyOf(one)
    if (key === null) continue
    const known = lists.get(key)
    if (known) known.push(one)
    else lists.set(key, [one])
  }
  return lists
}

export const distinct = <T>(list: readonly T[]): T[] => [...new Set(list)]

/** Distinct and sorted; by code points, which equals every collation for the words that the histories use. */
export const sortedWords = (words: readonly Maybe<string>[]): string[] => distinct(words.filter(isPresent)).sort()

export const lower = (text: Maybe<string>): Maybe<string> => text?.toLowerCase() ?? null
export const orNull = (text: Maybe<string>): Maybe<string> => (text === '' ? null : text)

/** A number made of a text: the first 16 hexadecimal digits of its MD5, without the highest bit. As text, if it is large. */
export function idOf(text: string): number | string {
  const digits = createHash('md5').update(text).digest('hex').slice(0, 16)
  return wholeNumber(String(BigInt(`0x${digits}`) & 0x7fff_ffff_ffff_ffffn))
}

/** A number of Postgres, or the same text if it is larger than a number can be here. */
export const wholeNumber = (text: string): number | string => (Number.isSafeInteger(Number(text)) ? Number(text) : text)

/** To a whole number; a half goes to the even one. */
export function rounded(value: Maybe<number>): Maybe<number> {
  if (value === null) return null
  const floor = Math.floor(value)
  if (value - floor !== 0.5) return Math.round(value)
  return floor % 2 === 0 ? floor : floor + 1
}

/** Whether a pattern of `settings` matches the whole text. */
export function matches(pattern: string, text: Maybe<string>): boolean {
  if (text === null) return false
  const parts = pattern.split('*').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`^${parts.join('[^]*')}$`).test(text)
}

const prefixes = [
  /^[A-Za-z][A-Za-z0-9+.-]*:\/\/[^/]*\/*/,
  /^[^/]*@[^/:@]+[/:]*/,
  /^[^/:@]+:\/*/,
  /^[^/:@]*\.[^/:@]*\/+(?=[^/]+\/+[^/])/,
  /^\/+/,
]

/** The address of a repository without host and credentials. */
export function repositoryOf(address: Maybe<string>): Maybe<string> {
  if (address === null) return null
  const longest = Math.max(...prefixes.map((prefix) => prefix.exec(address)?.[0].length ?? 0))
  return orNull(
    address
      .slice(longest)
      .replace(/\/+$/, '')
      .replace(/\.git$/, ''),
  )
}

/** The address of a repository without credentials. */
export function repositoryUrlOf(address: Maybe<string>): Maybe<string> {
  if (address === null) return null
  if (/^https?:\/\//i.test(address)) return address.replace(/^(https?:\/\/)[^/]*@/i, '$1')
  return address.replace(/^([A-Za-z][A-Za-z0-9+.-]*:\/\/[^/:@]*):[^/]*@/, '$1@')
}
