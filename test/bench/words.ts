import type { Sample } from './statistics.ts'

const rounded = (n: number) => (n >= 100 ? Math.round(n).toLocaleString('en-US') : n.toPrecision(2))

/** `9,812 (9,420–10,013)`: the median, and the least and the most. */
export function many({ median, least, most }: Sample): string {
  return `${rounded(median)} (${rounded(least)}–${rounded(most)})`
}

/** `0.62 (0.58–0.66)` */
export function times({ median, least, most }: Sample): string {
  return `${median.toFixed(2)} (${least.toFixed(2)}–${most.toFixed(2)})`
}

export function ms(n: number): string {
  return n < 10 ? `${n.toFixed(1)} ms` : `${Math.round(n)} ms`
}

export function bytes(n: number): string {
  if (n >= 2 ** 30) return `${(n / 2 ** 30).toFixed(1)} GiB`
  if (n >= 2 ** 20) return `${Math.round(n / 2 ** 20)} MiB`
  return n >= 10_000 ? `${(n / 1_024).toFixed(1)} KiB` : `${Math.round(n)} B`
}
