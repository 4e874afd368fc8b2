import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const alerts = fileURLToPath(new URL('../../docs/deploy/prometheus/alerts.yml', import.meta.url))

/** A page of `/metrics` as it was scraped, for how many minutes it stays like that; undefined: the process did not answer. */
export type Scraped = readonly [page: string | undefined, minutes: number]

/** Whether promtool is installed, which Debian has in the package prometheus. In CI it must be. */
export function hasPromtool(): boolean {
  const found = spawnSync('promtool', ['--version']).status === 0
  if (!found && process.env.CI) throw new Error('promtool is missing. Install the package prometheus.')
  if (!found) console.warn('Skipped: promtool is missing. Install the package prometheus.')
  return found
}

/** Runs `promtool test rules` on a file of tests. Returns what it says about failures. */
export function runPromtool(file: string): string {
  const { status, stdout, stderr } = spawnSync('promtool', ['test', 'rules', file], { encoding: 'utf8' })
  return status === 0 ? '' : `${stdout}${stderr}`
}

/**
 * What Prometheus says about an alert if it scrapes these pages every minute, one after the other: nothing if the alert does not fire at the
 * end of the first page, and fires at the end of the last one. Only the time is made up.
 */
export function faultsOfAlert(alert: string, expr: string, pages: readonly Scraped[]): string {
  const used = new Set(expr.match(/[a-z_]+\w*/g))
  const samples = pages.map(([page]) => samplesOf(page, used))
  const series = [...new Set(samples.flatMap((one) => [...one.keys()]))].map((name) => {
    const values = samples.map((one, index) => {
      const minutes = pages[index]?.[1] ?? 1
      const value = one.get(name)
      // "_x3" is three gaps, but "1x3" is four times 1.
      return value === undefined ? `_x${minutes}` : `${value}x${minutes - 1}`
    })
    return { series: name, values: values.join(' ') }
  })
  const minutes = pages.reduce((sum, [, minutes]) => sum + minutes, 0)
  const firing = `clamp_max(count(ALERTS{alertname="${alert}",alertstate="firing"}) or vector(0), 1)`
  const expected = (minute: number, value: number) => ({
    expr: firing,
    eval_time: `${minute}m`,
    exp_samples: [{ labels: '{}', value }],
  })
  const promql_expr_test = [expected((pages[0]?.[1] ?? 1) - 1, 0), expected(minutes - 1, 1)]
  const tests = [{ interval: '1m', input_series: series, promql_expr_test }]
  const folder = mkdtempSync(join(tmpdir(), 'alerts-'))
  try {
    // JSON is YAML.
    const file = join(folder, 'test.yml')
    writeFileSync(file, JSON.stringify({ rule_files: [alerts], evaluation_interval: '1m', tests }))
    return runPromtool(file) && `${runPromtool(file)}\n${series.map((one) => JSON.stringify(one)).join('\n')}`
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** The samples of a page by series, with what Prometheus adds; only of the metrics in `used`. */
function samplesOf(page: string | undefined, used: ReadonlySet<string>): Map<string, string> {
  const target = 'job="buildkite-mirror",instance="mirror:8081"'
  const found = new Map(used.has('up') ? [[`up{${target}}`, page === undefined ? '0' : '1']] : [])
  for (const line of page?.split('\n') ?? []) {
    const [, name = '', labels, value = ''] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? []
    if (used.has(name)) found.set(`${name}{${labels ? `${labels},` : ''}${target}}`, value)
  }
  return found
}
