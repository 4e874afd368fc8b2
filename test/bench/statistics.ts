/** Several measurements of one thing. */
export interface Sample {
  readonly rounds: number
  readonly median: number
  readonly least: number
  readonly most: number
}

export function sample(values: readonly number[]): Sample {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length / 2
  const [low, high] = [sorted[Math.ceil(middle) - 1] ?? 0, sorted[Math.floor(middle)] ?? 0]
  return { rounds: sorted.length, median: (low + high) / 2, least: sorted[0] ?? 0, most: sorted.at(-1) ?? 0 }
}

/**
 * Measures several things in turn, round after round, so that whatever else the machine does falls on all alike. Every other round
 * goes backwards.
 */
export async function interleaved<Name extends string>(
  rounds: number,
  measures: Readonly<Record<Name, (round: number) => Promise<number>>>,
): Promise<Record<Name, number[]>> {
  const names = Object.keys(measures) as Name[]
  const values = Object.fromEntries(names.map((name) => [name, []])) as unknown as Record<Name, number[]>
  for (let round = 0; round < rounds; round++) {
    for (const name of round % 2 === 0 ? names : names.toReversed()) values[name].push(await measures[name](round))
  }
  return values
}

/** The ratios of `ours` to `limit`, round by round: what the machine did in a round it did to both. */
export function ratios(ours: readonly number[], limit: readonly number[]): Sample {
  return sample(ours.map((value, round) => value / (limit[round] ?? Number.NaN)))
}
