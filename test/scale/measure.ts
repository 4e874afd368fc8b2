import { readFileSync, writeFileSync } from 'node:fs'
import postgres from 'postgres'

// Times the views over the last 30 days on a database that test/scale/generate.sql has filled, and keeps their plans:
//   tsx test/scale/measure.ts postgres://…/scale
// Writes docs/analytics/query-plans.md. Each is run six times; the fastest counts, as on a dashboard that is looked at and a machine that others use too.

const url = process.argv[2]
if (!url) {
  process.stderr.write(
    'Which database? tsx test/scale/measure.ts <url of a database filled by test/scale/generate.sql>\n',
  )
  process.exit(2)
}
const sql = postgres(url, { max: 1, onnotice: () => {} })

const days = 'where day > current_date - 30'
const since = (column: string) => `where ${column} > now() - interval '30 days'`
const rollups = [
  `pipeline_durations_daily ${days}`,
  `branch_durations_daily ${days}`,
  `build_results_daily ${days}`,
  `jobs_daily ${days}`,
  `job_failures_daily ${days}`,
  `flaky_jobs_daily ${days}`,
  `pipeline_durations_by_period where period = 'week' and starts_on > current_date - 30`,
  `jobs_by_period where period = 'week' and starts_on > current_date - 30`,
  `period_changes where period = 'week' and starts_on > current_date - 30`,
  `job_regressions where week > current_date - 30`,
  `builds_hourly ${since('hour')}`,
  `jobs_hourly ${since('hour')}`,
  `rollup_days ${days}`,
  `queue_waits_daily ${days}`,
  `queue_waits_hourly ${since('hour')}`,
  `queue_depths ${since('at')}`,
  'queues_now',
  `busy_periods ${since('began_at')}`,
  `trunk_health_daily ${days}`,
  `trunk_recoveries ${since('broken_at')}`,
  `job_breaks ${since('broken_at')}`,
  `first_failures_daily ${days}`,
  `cancellations_daily ${days}`,
  `build_sources_daily ${days}`,
  `minutes_daily ${days}`,
  `costs_daily ${days}`,
  `queue_costs_daily ${days}`,
  `agents_daily ${days}`,
  `agents_hourly ${since('hour')}`,
  `deployments ${since('deployed_at')}`,
  `dora_weekly ${since('week')}`,
  `webhook_loss ${since('hour')}`,
  `build_costs ${since('created_at')}`,
  `job_costs_daily ${days}`,
  `job_repeats ${since('created_at')}`,
  `flaky_commits_daily ${days}`,
  `build_stages ${since('created_at')}`,
  `stage_durations_daily ${days}`,
  `deployment_outcomes ${since('deployed_at')}`,
  `deployed_commits ${since('deployed_at')}`,
  `first_trunk_recoveries ${since('created_at')}`,
].map((rest) => `select * from analytics.${rest}`)

const slugs = (await sql<{ slug: string }[]>`select slug from buildkite.pipelines`)
  .map(({ slug }) => `'${slug}'`)
  .join(', ')
/** What the dashboards ask when they are opened: over a month, of all pipelines. */
const panels = ['overview', 'pipelines', 'queues', 'flaky-jobs', 'data-quality', 'costs', 'delivery'].flatMap(
  (name) => {
    const text = readFileSync(new URL(`../../docs/deploy/grafana/dashboards/${name}.json`, import.meta.url), 'utf8')
    return [...text.matchAll(/"rawSql": ("(?:[^"\\]|\\.)*")/g)].map(([, found = '""']) =>
      String(JSON.parse(found))
        .replaceAll(/\$__timeGroupAlias\((\w+), \$__interval\)/g, `date_bin('1 hour', $1, 'epoch') as "time"`)
        .replaceAll(/\$__timeFilter\(((?:[^()]|\([^()]*\))*)\)/g, `$1 > now() - interval '30 days'`)
        .replaceAll('$__timeFrom()', `(now() - interval '30 days')`)
        .replaceAll('$__timeTo()', 'now()')
        .replaceAll('$organization', `select slug from buildkite.organizations`)
        .replaceAll('$pipeline', slugs),
    )
  },
)

async function explained(query: string): Promise<{ ms: number; plan: string }> {
  const runs: { ms: number; plan: string }[] = []
  while (runs.length < 6) {
    const rows = await sql.unsafe<{ 'QUERY PLAN': string }[]>(
      `explain (analyze, costs off, timing off, summary on) ${query}`,
    )
    const plan = rows.map((row) => row['QUERY PLAN']).join('\n')
    runs.push({ ms: Number(/Execution Time: ([\d.]+)/.exec(plan)?.[1]), plan })
  }
  if (/^.*?actual rows=0 /.test(runs[0]?.plan ?? ''))
    throw new Error(`Nothing was found, so nothing was measured: ${query}`)
  return runs.reduce((fastest, run) => (run.ms < fastest.ms ? run : fastest))
}

const [size] = await sql<{ builds: string; jobs: string; version: string; jit: string }[]>`
  select (select count(*) from buildkite.builds) as builds, (select count(*) from buildkite.jobs) as jobs,
    current_setting('server_version') as version, current_setting('jit') as jit`
const parts: string[] = []
for (const [title, queries] of [
  ['Rollups over the last 30 days', rollups],
  ['Panels of the dashboards, over 30 days', panels],
] as const) {
  const rows: string[] = []
  const plans: string[] = []
  for (const query of queries) {
    const { ms, plan } = await explained(query)
    rows.push(`| \`${query.replaceAll('|', '\\|')}\` | ${Math.round(ms)} |`)
    plans.push(`\`\`\`text\n${query}\n\n${plan}\n\`\`\``)
    process.stdout.write(`${Math.round(ms)} ms  ${query.slice(0, 110)}\n`)
  }
  parts.push(
    `## ${title}\n\n| Query | ms |\n|---|---|\n${rows.join('\n')}\n\n<details><summary>Plans</summary>\n\n${plans.join('\n\n')}\n\n</details>`,
  )
}
writeFileSync(
  new URL('../../docs/analytics/query-plans.md', import.meta.url),
  `# Query plans and times on a large mirror

Postgres ${size?.version} with default settings except \`jit = ${size?.jit}\`, on two cores. \`test/scale/generate.sql\` created ${size?.builds} builds
and ${size?.jobs} jobs over a year. \`test/scale/measure.ts\` wrote this page. Each query was run six times; the fastest run counts.

${parts.join('\n\n')}
`,
)
await sql.end()
