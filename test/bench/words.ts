import type { Sample } from './statistics.ts'

const rounded = (n: number) => (n >= 100 ? Math.round(n).toLocaleString('en-US') : n.toPrecision(2))

/** The median, and the least and the most where there was more than one round. */
function spread({ rounds, median, least, most }: Sample, write: (n: number) => string): string {
  return rounds > 1 ? `${write(median)} (${write(least)}–${write(most)})` : write(median)
}

/** `9,812 (9,420–10,013)` */
export const many = (figures: Sample): string => spread(figures, rounded)

/** `0.62 (0.58–0.66)` */
export const times = (figures: Sample): string => spread(figures, (n) => n.toFixed(2))

/** `31 ms (27 ms–45 ms)` */
export const msOf = (figures: Sample): string => spread(figures, ms)

export function ms(n: number): string {
  return n < 10 ? `${n.toFixed(1)} ms` : `${Math.round(n)} ms`
}

export function bytes(n: number): string {
  if (n >= 2 ** 30) return `${(n / 2 ** 30).toFixed(1)} GiB`
  if (n >= 2 ** 20) return `${Math.round(n / 2 ** 20)} MiB`
  return n >= 10_000 ? `${(n / 1_024).toFixed(1)} KiB` : `${Math.round(n)} B`
}
