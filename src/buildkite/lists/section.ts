import { momentAfter, momentOf, type Place, type Stamp } from './place.ts'

/** A half-open range of `created_at`. */
export interface Range {
  readonly from: Date
  readonly to: Date
}

/** A part of a list that is read as a separate list: from `from` (undefined: from the oldest build). */
export interface Section {
  readonly from: number | undefined
  readonly jobs: boolean
  /** The build that cannot be listed with its jobs; the section is read without jobs because of it. */
  readonly large: Stamp | undefined
}

/** The parts of a list that a walk avoids. */
export interface Obstacles {
  readonly from: number | undefined
  /** Newest first. */
  readonly avoid: readonly Range[]
  /** Builds to list without jobs, newest first; undefined when all builds are listed without jobs. */
  readonly large: readonly Stamp[] | undefined
  /** The server may drop the milliseconds of `created_to`: no section may end within a partially listed second. */
  readonly coarse: boolean
}

export function avoidedRanges(avoid: readonly Range[] = []): Range[] {
  return avoid.filter(({ from, to }) => from < to).sort((a, b) => b.to.getTime() - a.to.getTime())
}

/** Where a walk continues after reading everything from `to` on: `to`, or the start of the avoided ranges that contain it. */
export function belowAvoided(to: number, avoid: readonly Range[]): number {
  return avoid.reduce(
    (reached, range) =>
      range.from.getTime() < reached && reached <= range.to.getTime() ? range.from.getTime() : reached,
    to,
  )
}

/** How far down the list can be read from `place`, and whether with jobs. */
export function sectionAt({ to }: Place, { from, avoid, large, coarse }: Obstacles): Section {
  const bounds = avoid.map((range) => range.to.getTime()).filter((bound) => bound <= to)
  const bottom = highest(from, ...bounds)
  const [next] = large?.filter((build) => momentOf(build, coarse) < to) ?? []
  if (!next) return { from: bottom, jobs: large !== undefined, large: undefined }
  const after = momentAfter(next, coarse)
  if (to > after) return { from: highest(bottom, after), jobs: true, large: undefined }
  return { from: highest(bottom, momentOf(next, coarse)), jobs: false, large: next }
}

function highest(...moments: (number | undefined)[]): number | undefined {
  const known = moments.filter((moment) => moment !== undefined)
  return known.length > 0 ? Math.max(...known) : undefined
}
