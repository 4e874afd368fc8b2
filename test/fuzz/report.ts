/** What one campaign did, and what it found wrong. */
export interface FuzzReport {
  name: string
  sent: number
  seconds: number
  /** What came of it, counted by kind. */
  outcomes: Record<string, number>
  /** Sentences, each a fault; none is what is wanted. */
  findings: string[]
  /** Taken after garbage collection at each tenth, in bytes. */
  memory: MemorySample[]
}

export interface MemorySample {
  /** What JavaScript and its buffers hold. */
  held: number
  rss: number
}

/** What every campaign is given. */
export interface FuzzOptions {
  seed: number | string
  count: number
  /** Called at each tenth. */
  onTenth?: (report: FuzzReport) => void
}

/** More findings than this are the same one again. */
const FINDINGS = 50

export function newReport(name: string): FuzzReport {
  return { name, sent: 0, seconds: 0, outcomes: {}, findings: [], memory: [] }
}

export function tally(report: FuzzReport, outcome: string, n = 1): void {
  report.outcomes[outcome] = (report.outcomes[outcome] ?? 0) + n
}

export function find(report: FuzzReport, finding: string): void {
  if (report.findings.length < FINDINGS) report.findings.push(finding)
}

/** Runs `one` for each number below `count`, `atOnce` side by side, with a pause of all at each tenth for `settle`. */
export async function inTenths(
  report: FuzzReport,
  options: FuzzOptions & { atOnce: number },
  one: (number: number) => Promise<void>,
  settle: () => Promise<void> = async () => {},
): Promise<void> {
  const begun = performance.now()
  const stopListening = listenForStrays(report)
  let next = 0
  try {
    for (let tenth = 1; tenth <= 10; tenth++) {
      const end = Math.floor((options.count * tenth) / 10)
      const lane = async () => {
        while (next < end) {
          const number = next
          next += 1
          await one(number)
          report.sent += 1
        }
      }
      await Promise.all(Array.from({ length: options.atOnce }, lane))
      await settle()
      report.seconds = (performance.now() - begun) / 1_000
      report.memory.push(sampleMemory())
      options.onTenth?.(report)
    }
  } finally {
    stopListening()
  }
}

/** What nobody caught is a finding, and not the end of the run. */
function listenForStrays(report: FuzzReport): () => void {
  const note = (error: unknown) => {
    find(report, `Nobody caught: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`)
  }
  process.on('unhandledRejection', note)
  process.on('uncaughtException', note)
  return () => {
    process.off('unhandledRejection', note)
    process.off('uncaughtException', note)
  }
}

function sampleMemory(): MemorySample {
  globalThis.gc?.()
  const { heapUsed, external, rss } = process.memoryUsage()
  return { held: heapUsed + external, rss }
}

const MIB = 1024 * 1024

/**
 * Whether memory was flat: the least of the last three tenths, after garbage collection, is no more than the least of the second to
 * fourth with some room for noise: 1.2 times and 32 MiB for what is held, 1.5 times and 64 MiB for the whole process, because
 * the allocator returns little. The first tenth warms up. Undefined when it was flat, else the fault in a sentence.
 */
export function memoryFault({ memory }: FuzzReport): string | undefined {
  const least = (samples: readonly MemorySample[], what: keyof MemorySample) =>
    Math.min(...samples.map((sample) => sample[what]))
  for (const [what, factor, slack] of [['held', 1.2, 32 * MIB] as const, ['rss', 1.5, 64 * MIB] as const]) {
    const [early, late] = [least(memory.slice(1, 4), what), least(memory.slice(-3), what)]
    if (late > early * factor + slack) return `Memory (${what}) grew from ${mib(early)} to ${mib(late)}.`
  }
  return undefined
}

export const mib = (bytes: number): string => `${(bytes / MIB).toFixed(0)} MiB`
