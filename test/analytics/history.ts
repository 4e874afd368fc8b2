import type postgres from 'postgres'

// A history made by hand: four pipelines of two organizations, some sixty builds, each a trap. All in March 2026, UTC; the number of a
// build is unique here, so that expected rows can name it. `day 02` is a Monday.

type Row = Record<string, unknown>

/** `02 10:00:20` is 2 March 2026, 10:00:20 UTC. Whole timestamps stay as they are. */
export const at = (text: string) => (text.includes('T') ? text : `2026-03-${text.replace(' ', 'T')}Z`)
/** The id of a thing: `id('b', 3)` of build 3. Letters: o, p, b, j, a, u, c, q, t, s, k (a step). */
export function id(kind: string, number: number): string {
  return `00000000-0000-7000-80${kind.charCodeAt(0).toString(16)}-${String(number).padStart(12, '0')}`
}

const seen = { observed_at: at('09 00:00:00'), verified_at: at('09 00:00:00'), first_seen_via: 'webhook' }
const mirrored = (created: string, extra: Row = {}) => ({
  ...seen,
  first_seen_at: new Date(new Date(created).getTime() + 1_000).toISOString(),
  changed_at: at('09 00:00:00'),
  ...extra,
})
const listed = { organization_id: id('o', 1), first_seen_at: at('01 00:00:00'), changed_at: at('01 00:00:00') }

const pipelines = { app: id('p', 1), deploy: id('p', 2), lib: id('p', 3), 'deploy-eu': id('p', 4) }

type Attempt = [started: string | null, finished: string, state: string, blocked?: boolean]

interface BuildStory extends Row {
  pipeline?: keyof typeof pipelines
  state: string
  branch?: string
  created: string
  started?: string
  finished?: string
  /** When it is not just the one that the build shows. */
  attempts?: Attempt[]
}

const builds: Row[] = []
const attempts: Row[] = []
const jobs: Row[] = []
let jobNumber = 0

function build(number: number, story: BuildStory): void {
  const { pipeline = 'app', created, started, finished, attempts: all, branch = 'main', ...fields } = story
  builds.push({
    id: id('b', number),
    organization_id: id('o', 1),
    pipeline_id: pipelines[pipeline],
    number,
    blocked: false,
    branch,
    commit: `c${number}`,
    source: 'webhook',
    author_email: 'Ada@example.com',
    author_name: 'Ada',
    creator_id: id('u', 1),
    creator_name: 'Ada Lovelace',
    creator_email: 'ada@example.com',
    created_at: at(created),
    started_at: started && at(started),
    finished_at: finished && at(finished),
    ...mirrored(at(created)),
    ...fields,
  })
  const ended = ['passed', 'failed', 'canceled'].includes(story.state) && finished
  for (const [from, to, state, blocked = false] of all ??
    (ended ? [[started ?? null, ended, story.state] as Attempt] : [])) {
    attempts.push({
      build_id: id('b', number),
      started_at: from && at(from),
      finished_at: at(to),
      state,
      blocked,
      ...mirrored(at(created)),
    })
  }
}

/** A command job that became runnable, started and finished at these times of the build's day; returns its number. */
function job(number: number, name: string, state: string, times: (string | undefined)[], fields: Row = {}): number {
  const day = String(builds.find((one) => one.number === number)?.created_at).slice(8, 10)
  const [runnable, started, finished] = times.map((time) => time && at(/[ T]/.test(time) ? time : `${day} ${time}`))
  const created = String(builds.find((one) => one.number === number)?.created_at)
  jobNumber += 1
  jobs.push({
    id: id('j', jobNumber),
    build_id: id('b', number),
    type: 'script',
    name,
    state,
    agent_query_rules: ['queue=linux'],
    exit_status: state === 'passed' ? 0 : state === 'failed' ? 1 : null,
    soft_failed: false,
    retried: false,
    created_at: created,
    runnable_at: runnable,
    started_at: started,
    finished_at: finished,
    agent_id: started && id('a', 1),
    agent_name: started && 'linux-1',
    ...mirrored(started ?? created),
    ...fields,
  })
  return jobNumber
}

const retriedBy = (next: number, type = 'manual') => ({
  retried: true,
  retried_in_job_id: id('j', next),
  retry_type: type,
  ...(type === 'manual'
    ? { retried_by_name: 'Bob', retried_by_email: 'bob@example.com', retried_by_id: id('u', 2) }
    : {}),
})

// Monday: the default branch of app. Green, red, red until a retry turned it green.
build(1, {
  state: 'passed',
  created: '02 10:00:00',
  started: '02 10:00:20',
  finished: '02 10:10:20',
  author_date: at('02 09:00:00'),
})
job(1, 'test', 'passed', ['10:00:10', '10:00:20', '10:10:20'])
build(2, {
  state: 'failed',
  created: '02 11:00:00',
  started: '02 11:00:20',
  finished: '02 11:05:20',
  failing_at: at('02 11:04:00'),
})
job(2, 'test', 'failed', ['11:00:00', '11:00:20', '11:05:20'])
build(3, {
  state: 'passed',
  created: '02 12:00:00',
  started: '02 12:10:20',
  finished: '02 12:12:20',
  attempts: [
    ['02 12:00:20', '02 12:06:20', 'failed'],
    ['02 12:10:20', '02 12:12:20', 'passed'],
  ],
})
job(3, 'test', 'failed', ['12:00:10', '12:00:20', '12:06:20'], retriedBy(4))
job(3, 'test', 'passed', ['12:10:00', '12:10:20', '12:12:20'], { retry_source_job_id: id('j', 3) })

// Monday: a pull request. A soft failure; a canceled push; a skipped one; a lost agent, tried again by itself.
const pr = { branch: 'feature/a', pull_request_id: '7', pull_request_base: 'main' }
build(4, { ...pr, state: 'passed', created: '02 13:00:00', started: '02 13:00:30', finished: '02 13:03:30' })
job(4, 'lint', 'failed', ['13:00:00', '13:00:30', '13:01:30'], { soft_failed: true })
job(4, 'test', 'passed', ['13:00:00', '13:00:30', '13:03:30'])
build(5, {
  ...pr,
  state: 'canceled',
  created: '02 14:00:00',
  started: '02 14:00:20',
  finished: '02 14:02:00',
  cancel_reason: 'Newer build',
})
job(5, 'test', 'canceled', ['14:00:00', '14:00:20', '14:02:00'], { exit_status: 143, signal_reason: 'cancel' })
build(6, { ...pr, state: 'skipped', created: '02 14:01:00', cancel_reason: 'Newer build' })
build(7, { ...pr, state: 'passed', created: '02 14:01:30', started: '02 14:02:00', finished: '02 14:12:00' })
job(7, 'test', 'failed', ['14:02:00', '14:02:00', '14:05:00'], {
  exit_status: -1,
  signal_reason: 'agent_stop',
  ...retriedBy(9, 'automatic'),
})
job(7, 'test', 'passed', ['14:05:00', '14:06:00', '14:12:00'])

// Tuesday: every other way to end, and not to end.
build(8, { state: 'failed', created: '03 08:00:00', finished: '03 09:00:00' })
job(8, 'test', 'expired', ['08:00:00', undefined, undefined], { expired_at: at('03 09:00:00') })
build(9, { state: 'failed', created: '03 09:30:00', started: '03 09:30:10', finished: '03 10:30:10' })
job(9, 'test', 'timed_out', ['09:30:00', '09:30:10', '10:30:10'], { exit_status: -1, signal_reason: 'cancel' })
build(10, { state: 'not_run', created: '03 11:00:00', finished: '03 11:00:01' })
job(10, 'test', 'broken', [], { broken_reason: 'conditional_failed' })
build(11, { state: 'running', created: '03 12:00:00', started: '03 12:00:10', branch: 'feature/b' })
job(11, 'test', 'running', ['12:00:00', '12:00:10'])
build(12, { state: 'scheduled', created: '03 12:01:00', branch: 'feature/b' })
job(12, 'test', 'scheduled', ['12:01:00'])
build(13, {
  state: 'failing',
  created: '03 12:02:00',
  started: '03 12:02:10',
  failing_at: at('03 12:03:10'),
  branch: 'feature/b',
})
job(13, 'lint', 'failed', ['12:02:00', '12:02:10', '12:03:10'])
build(14, { state: 'canceled', created: '03 12:04:00', finished: '03 12:04:30', branch: 'feature/b' })
build(15, { state: 'canceling', created: '03 12:05:00', started: '03 12:05:10', branch: 'feature/b' })
build(16, { state: 'creating', created: '03 12:06:00', branch: 'feature/b' })
build(17, { state: 'stalled', created: '03 12:07:00', branch: 'feature/b' })

// Tuesday: gates. 18 waits, though its state says passed; 19 was let go on after an hour; 20 waits before anything ran.
build(18, {
  state: 'passed',
  blocked: true,
  blocked_state: 'passed',
  branch: 'release',
  created: '03 13:00:00',
  started: '03 13:00:10',
  finished: '03 13:05:10',
  attempts: [['03 13:00:10', '03 13:05:10', 'passed', true]],
})
job(18, '', 'blocked', [], { type: 'manual', label: 'Ship it?', agent_query_rules: null, step_key: 'ship' })
build(19, {
  state: 'passed',
  branch: 'release',
  created: '03 14:00:00',
  started: '03 15:05:10',
  finished: '03 15:06:50',
  attempts: [
    ['03 14:00:10', '03 14:05:10', 'passed', true],
    ['03 15:05:10', '03 15:06:50', 'passed'],
  ],
})
job(19, '', 'unblocked', [], {
  type: 'manual',
  label: 'Ship it?',
  agent_query_rules: null,
  step_key: 'ship',
  unblocked_at: at('03 15:05:10'),
  unblocked_by_id: id('u', 3),
  unblocked_by_name: 'Carol',
  unblocked_by_email: 'Carol@example.com',
})
build(20, {
  state: 'passed',
  blocked: true,
  branch: 'release',
  created: '03 16:00:00',
  finished: '03 16:00:01',
  attempts: [[null, '03 16:00:01', 'passed', true]],
})

// Wednesday: triggers. app 21 starts deploy 22 and waits; deploy 22 starts lib 23 and does not; only 23 reports that edge.
build(21, {
  state: 'passed',
  created: '04 10:00:00',
  started: '04 10:00:00',
  finished: '04 10:20:00',
  branch: 'trigger',
})
job(21, 'deploy it', 'passed', ['10:00:00', '10:00:00', '10:20:00'], {
  type: 'trigger',
  async: false,
  agent_query_rules: null,
  triggered_build_id: id('b', 22),
  agent_id: null,
  agent_name: null,
})
build(22, {
  pipeline: 'deploy',
  state: 'passed',
  created: '04 10:00:00',
  started: '04 10:05:00',
  finished: '04 10:20:00',
  source: 'trigger_job',
  triggered_from_build_id: id('b', 21),
  commit: 'c1',
})
job(22, 'deploy', 'passed', ['10:00:00', '10:05:00', '10:20:00'], {
  step_key: 'deploy',
  agent_query_rules: ['os=mac', 'queue=mac'],
  agent_id: id('a', 2),
  agent_name: 'mac-1',
})
build(23, {
  pipeline: 'lib',
  state: 'failed',
  created: '04 10:06:00',
  started: '04 10:06:30',
  finished: '04 10:30:00',
  branch: 'trunk',
  source: 'trigger_job',
  triggered_from_build_id: id('b', 22),
})

// Wednesday: a rebuild that passed, on the same commit; and a pull request whose id is no number.
build(24, {
  state: 'failed',
  created: '04 12:00:00',
  started: '04 12:00:00',
  finished: '04 12:02:00',
  branch: 'feature/c',
  pull_request_id: 'false',
})
job(24, 'test', 'failed', ['12:00:00', '12:00:00', '12:02:00'])
build(25, {
  state: 'passed',
  created: '04 12:10:00',
  started: '04 12:10:00',
  finished: '04 12:13:00',
  branch: 'feature/c',
  commit: 'c24',
  source: 'ui',
  rebuilt_from_id: id('b', 24),
  creator_id: id('u', 2),
  creator_name: 'Bob',
  creator_email: 'bob@example.com',
})
job(25, 'test', 'passed', ['12:10:00', '12:10:00', '12:13:00'])

// Wednesday into Thursday, across midnight UTC: ran 23:50 to 00:10. In Berlin all of it is Thursday.
build(26, {
  pipeline: 'lib',
  state: 'passed',
  created: '04 23:49:00',
  started: '04 23:50:00',
  finished: '05 00:10:00',
  branch: 'trunk',
})
job(26, 'nightly', 'passed', ['23:49:00', '23:50:00', '05 00:10:00'])

// Thursday: a parallel step of three, one part tried again; a matrix; a job that waited for a concurrency group; jobs that waited for each other.
build(27, {
  pipeline: 'lib',
  state: 'passed',
  created: '05 09:00:00',
  started: '05 09:00:00',
  finished: '05 09:10:00',
  branch: 'wide',
})
const part = (index: number, extra: Row = {}) => ({
  step_key: 'parts',
  parallel_group_index: index,
  parallel_group_total: 3,
  ...extra,
})
job(27, 'parts', 'passed', ['09:00:00', '09:00:00', '09:01:00'], part(0))
job(27, 'parts', 'passed', ['09:00:00', '09:00:00', '09:02:00'], part(1))
job(27, 'parts', 'failed', ['09:00:00', '09:00:00', '09:00:30'], part(2, retriedBy(jobNumber + 2, 'automatic')))
job(27, 'parts', 'passed', ['09:00:30', '09:01:00', '09:04:00'], part(2))
job(27, 'pack arm64', 'passed', ['09:04:00', '09:05:00', '09:10:00'], {
  matrix: { arch: 'arm64' },
  concurrency_wait_time_ms: 30_000,
  agent_query_rules: [],
  cluster_queue_id: id('q', 1),
  cluster_id: id('c', 1),
})
job(27, '', 'passed', [], { type: 'waiter', state: null, agent_query_rules: null })

// Friday: unusual sources. 28 is gone from Buildkite, 29 is not yet confirmed, only REST reported 30 and its job.
build(28, {
  pipeline: 'lib',
  state: 'passed',
  created: '06 08:00:00',
  started: '06 08:00:00',
  finished: '06 08:01:00',
  branch: 'trunk',
  deleted_at: at('08 00:00:00'),
  deleted_reason: 'not_found',
})
build(29, {
  pipeline: 'lib',
  state: 'passed',
  created: '06 08:10:00',
  started: '06 08:10:00',
  finished: '06 08:11:00',
  branch: 'x',
  verified_at: null,
})
build(30, {
  pipeline: 'lib',
  state: 'passed',
  created: '06 08:20:00',
  started: '06 08:20:00',
  finished: '06 08:30:00',
  branch: 'x',
  first_seen_via: 'rest',
  first_seen_at: at('06 08:25:00'),
})
job(30, 'test', 'passed', ['08:20:00', '08:20:00', '08:30:00'], {
  first_seen_via: 'rest',
  first_seen_at: at('06 08:25:00'),
})

// The week after: deployments. Good, bad, bad, good again; one canceled; one that waits for its gate.
const ship = { pipeline: 'deploy' as const, source: 'api' }
build(31, {
  ...ship,
  state: 'passed',
  created: '09 10:00:00',
  started: '09 10:00:00',
  finished: '09 10:10:00',
  commit: 'c31',
  author_date: at('09 08:10:00'),
})
job(31, 'deploy', 'passed', ['10:00:00', '10:00:00', '10:10:00'], { step_key: 'deploy' })
build(32, { ...ship, state: 'failed', created: '09 11:00:00', started: '09 11:00:00', finished: '09 11:10:00' })
job(32, 'deploy', 'failed', ['11:00:00', '11:00:00', '11:10:00'], { step_key: 'deploy' })
build(33, { ...ship, state: 'failed', created: '09 12:00:00', started: '09 12:00:00', finished: '09 12:10:00' })
job(33, 'deploy', 'failed', ['12:00:00', '12:00:00', '12:10:00'], { step_key: 'deploy' })
build(34, { ...ship, state: 'passed', created: '09 13:00:00', started: '09 13:00:00', finished: '09 13:10:00' })
job(34, 'deploy', 'passed', ['13:00:00', '13:00:00', '13:10:00'], { step_key: 'deploy' })
build(35, { ...ship, state: 'canceled', created: '09 14:00:00', started: '09 14:00:00', finished: '09 14:01:00' })
job(35, 'deploy', 'canceled', ['14:00:00', '14:00:00', '14:01:00'], { step_key: 'deploy' })
build(36, {
  ...ship,
  state: 'passed',
  blocked: true,
  created: '09 15:00:00',
  started: '09 15:00:00',
  finished: '09 15:01:00',
  attempts: [['09 15:00:00', '09 15:01:00', 'passed', true]],
})

// Red at the start of a branch's history, and still red; red again with the next build: one spell. A schedule made them.
build(37, {
  pipeline: 'lib',
  state: 'failed',
  created: '10 08:00:00',
  started: '10 08:00:00',
  finished: '10 08:05:00',
  branch: 'trunk',
  source: 'schedule',
  creator_id: null,
  creator_name: null,
  creator_email: null,
})
build(38, {
  pipeline: 'lib',
  state: 'failed',
  created: '10 09:00:00',
  started: '10 09:00:00',
  finished: '10 09:05:00',
  branch: 'trunk',
  source: 'schedule',
})
// The third week. Over midnight: 39 failed on Monday and passed on Tuesday; of its first finish only the attempt tells.
build(39, {
  pipeline: 'lib',
  state: 'passed',
  created: '16 23:20:00',
  started: '17 07:50:00',
  finished: '17 08:00:00',
  branch: 'trunk',
  attempts: [
    ['16 23:20:00', '16 23:30:00', 'failed'],
    ['17 07:50:00', '17 08:00:00', 'passed'],
  ],
})

// Gates again. 40 was canceled at one and still says blocked; 41 says so by its state, as EventBridge does.
build(40, {
  state: 'canceled',
  blocked: true,
  branch: 'release',
  created: '16 09:00:00',
  started: '16 09:00:00',
  finished: '16 09:30:00',
  attempts: [
    ['16 09:00:00', '16 09:05:00', 'passed', true],
    ['16 09:00:00', '16 09:30:00', 'canceled', true],
  ],
})
build(41, {
  state: 'blocked',
  branch: 'release',
  created: '16 10:00:00',
  started: '16 10:00:10',
  finished: '16 10:05:10',
  attempts: [['16 10:00:10', '16 10:05:10', 'blocked']],
})

// Some clock was far off: the build and its job finished in 173 years.
build(42, {
  state: 'passed',
  branch: 'absurd',
  created: '16 11:00:00',
  started: '16 11:00:00',
  finished: '2199-12-31T00:00:00Z',
})
job(42, 'test', 'passed', ['11:00:00', '11:00:00', '2199-12-31T00:00:00Z'])

// A parallel step without a key, in two builds: its id is another in each.
for (const [number, hour, slower] of [
  [43, '12', '06'],
  [44, '13', '04'],
] as const) {
  const finished = `${hour}:${slower}:00`
  build(number, {
    pipeline: 'lib',
    state: 'passed',
    branch: 'wide',
    created: `16 ${hour}:00:00`,
    started: `16 ${hour}:00:00`,
    finished: `16 ${finished}`,
  })
  const step = (index: number) => ({ step_id: id('k', number), parallel_group_index: index, parallel_group_total: 2 })
  job(number, 'Tests 1/2', 'passed', [`${hour}:00:00`, `${hour}:00:00`, `${hour}:02:00`], step(0))
  job(number, 'Tests 2/2', 'passed', [`${hour}:00:00`, `${hour}:00:00`, finished], step(1))
}

// Two clusters, each with a queue `arm`.
build(45, {
  pipeline: 'lib',
  state: 'passed',
  branch: 'arm',
  created: '17 09:00:00',
  started: '17 09:00:30',
  finished: '17 09:12:00',
})
const inQueue = (number: number) => ({
  agent_query_rules: [],
  cluster_id: id('c', number),
  cluster_queue_id: id('q', number),
})
job(45, 'pack', 'passed', ['09:00:00', '09:00:30', '09:10:30'], inQueue(1))
job(45, 'pack', 'passed', ['09:00:00', '09:02:00', '09:12:00'], inQueue(2))

// Another organization deploys the same service while ours is down.
build(46, {
  pipeline: 'deploy-eu',
  organization_id: id('o', 2),
  state: 'passed',
  created: '09 12:30:00',
  started: '09 12:30:00',
  finished: '09 12:40:00',
})
job(46, 'deploy', 'passed', ['12:30:00', '12:30:00', '12:40:00'], { step_key: 'deploy' })

// Jobs that are `finished`, as EventBridge and GraphQL say: a deployment, and a flaky test.
build(47, { ...ship, state: 'passed', created: '16 14:00:00', started: '16 14:00:00', finished: '16 14:10:00' })
job(47, 'deploy', 'finished', ['14:00:00', '14:00:00', '14:10:00'], { step_key: 'deploy', exit_status: 0 })
build(48, {
  state: 'passed',
  branch: 'feature/d',
  created: '16 15:00:00',
  started: '16 15:00:00',
  finished: '16 15:06:00',
})
job(48, 'test', 'finished', ['15:00:00', '15:00:00', '15:02:00'], {
  exit_status: 1,
  ...retriedBy(jobNumber + 2, 'automatic'),
})
job(48, 'test', 'finished', ['15:02:00', '15:02:00', '15:06:00'], { exit_status: 0 })

// Only REST reported this gate, after the build had finished: no stop, no time of the gate's own.
build(49, {
  state: 'passed',
  branch: 'release',
  created: '16 16:00:00',
  started: '16 16:00:00',
  finished: '16 17:20:00',
})
job(49, 'test', 'passed', ['16:00:00', '16:00:00', '16:10:00'])
job(49, '', 'unblocked', [], {
  type: 'manual',
  label: 'Ship it?',
  agent_query_rules: null,
  step_key: 'ship',
  created_at: null,
  unblocked_at: at('16 17:10:00'),
  unblocked_by_name: 'Carol',
  unblocked_by_email: 'Carol@example.com',
})
job(49, 'ship', 'passed', ['17:10:00', '17:10:00', '17:20:00'])

// Wednesday of the third week: what Buildkite need not report. 50 was retried and 51 was unblocked, and neither's start moved. The start of
// 59 did move; only REST reported 59, after it had finished. 52 waits at a gate of the default branch.
build(50, {
  state: 'passed',
  created: '18 10:00:00',
  started: '18 10:00:00',
  finished: '18 12:05:00',
  attempts: [
    ['18 10:00:00', '18 10:10:00', 'failed'],
    ['18 10:00:00', '18 12:05:00', 'passed'],
  ],
})
job(50, 'test', 'failed', ['10:00:00', '10:00:00', '10:10:00'], retriedBy(jobNumber + 2))
job(50, 'test', 'passed', ['12:00:00', '12:00:00', '12:05:00'])
const release = { state: 'passed', branch: 'release' }
build(51, {
  ...release,
  created: '18 13:00:00',
  started: '18 13:00:00',
  finished: '18 14:10:00',
  attempts: [
    ['18 13:00:00', '18 13:05:00', 'passed', true],
    ['18 13:00:00', '18 14:10:00', 'passed'],
  ],
})
job(51, 'test', 'passed', ['13:00:00', '13:00:00', '13:05:00'])
job(51, 'ship', 'passed', ['14:00:00', '14:00:00', '14:10:00'])
build(52, {
  state: 'passed',
  blocked: true,
  created: '18 15:00:00',
  started: '18 15:00:00',
  finished: '18 15:05:00',
  attempts: [['18 15:00:00', '18 15:05:00', 'passed', true]],
})
build(59, {
  ...release,
  created: '18 17:00:00',
  started: '18 18:05:10',
  finished: '18 18:06:50',
  first_seen_via: 'rest',
  first_seen_at: at('18 18:10:00'),
})
job(59, 'test', 'passed', ['17:00:00', '17:00:10', '17:05:10'])
job(59, 'ship', 'passed', ['18:05:00', '18:05:10', '18:06:50'])

// Two parts of a matrix with one name: mac fails in all three builds, linux in the last.
for (const [number, hour, linux, mac] of [
  [53, '08', 'passed', 'failed'],
  [54, '09', 'passed', 'failed'],
  [55, '10', 'failed', 'failed'],
] as const) {
  const times = [`${hour}:00:00`, `${hour}:00:00`, `${hour}:01:00`]
  build(number, {
    pipeline: 'lib',
    state: 'failed',
    branch: 'trunk',
    created: `18 ${hour}:00:00`,
    started: `18 ${hour}:00:00`,
    finished: `18 ${hour}:01:00`,
  })
  job(number, 'pack', mac, times, { step_key: 'pack', matrix: { os: 'mac' } })
  job(number, 'pack', linux, times, { step_key: 'pack', matrix: { os: 'linux' } })
}

// Three tries: an agent lost, then a failure, then green.
build(56, {
  state: 'passed',
  branch: 'feature/e',
  created: '18 19:00:00',
  started: '18 19:00:00',
  finished: '18 19:10:00',
})
const lost = { exit_status: -1, signal_reason: 'agent_stop' }
job(56, 'test', 'failed', ['19:00:00', '19:00:00', '19:01:00'], { ...lost, ...retriedBy(jobNumber + 2, 'automatic') })
job(56, 'test', 'failed', ['19:01:00', '19:01:00', '19:03:00'], retriedBy(jobNumber + 2, 'automatic'))
job(56, 'test', 'passed', ['19:03:00', '19:03:00', '19:10:00'])

// 57 passed long ago as triggers go, and what it triggered waits at a gate.
build(57, {
  state: 'passed',
  branch: 'trigger',
  created: '18 20:00:00',
  started: '18 20:00:00',
  finished: '18 20:20:00',
})
build(58, {
  pipeline: 'deploy',
  state: 'passed',
  blocked: true,
  branch: 'side',
  created: '18 20:19:00',
  started: '18 20:19:00',
  finished: '18 20:21:00',
  source: 'trigger_job',
  triggered_from_build_id: id('b', 57),
  attempts: [['18 20:19:00', '18 20:21:00', 'passed', true]],
})

// A job without a build that the mirror knows.
jobs.push({
  id: id('j', 99),
  build_id: id('b', 99),
  type: 'script',
  name: 'orphan',
  state: 'passed',
  created_at: at('10 10:00:00'),
  ...mirrored(at('10 10:00:00')),
})

export async function insertRows(sql: postgres.Sql, table: string, rows: Row[]): Promise<void> {
  await sql.unsafe(
    `insert into ${table} select filled.* from json_array_elements($1::text::json) as row cross join lateral json_populate_record(null::${table}, ('{"extra": {}}'::jsonb || row::jsonb)::json) as filled`,
    [JSON.stringify(rows)],
  )
}

/** Fills the tables; `sync.refresh_rollups` is the caller's. */
export async function insertHistory(sql: postgres.Sql): Promise<void> {
  const insert = (table: string, rows: Row[]) => insertRows(sql, table, rows)
  await insert('buildkite.organizations', [
    { id: id('o', 1), slug: 'acme', name: 'Acme', ...mirrored(at('01 00:00:00')) },
    { id: id('o', 2), slug: 'globex', name: 'Globex', ...mirrored(at('01 00:00:00')) },
  ])
  const pipeline = (slug: keyof typeof pipelines, fields: Row) => ({
    id: pipelines[slug],
    organization_id: id('o', 1),
    slug,
    name: slug.toUpperCase(),
    default_branch: 'main',
    provider_id: 'github',
    ...mirrored(at('01 00:00:00')),
    ...fields,
  })
  await insert('buildkite.pipelines', [
    pipeline('app', { repository: 'git@github.com:acme/app.git', tags: ['web', 'tier-1'] }),
    pipeline('deploy', { repository: 'https://github.com/acme/app', cluster_id: id('c', 1) }),
    pipeline('lib', { repository: 'ssh://git@example.com:2222/group/sub/lib.git', default_branch: 'trunk' }),
    pipeline('deploy-eu', {
      organization_id: id('o', 2),
      repository: 'https://x-access-token:ghp_SECRET@github.com/globex/deploy-eu.git',
    }),
  ])
  await insert('buildkite.clusters', [
    { id: id('c', 1), name: 'Main', ...listed },
    { id: id('c', 2), name: 'Edge', ...listed },
  ])
  await insert('buildkite.cluster_queues', [
    { id: id('q', 1), cluster_id: id('c', 1), key: 'arm', ...listed },
    { id: id('q', 2), cluster_id: id('c', 2), key: 'arm', ...listed },
  ])
  await insert('buildkite.teams', [
    { id: id('t', 1), slug: 'payments', ...listed },
    { id: id('t', 2), slug: 'former', ...listed, deleted_at: at('05 00:00:00') },
  ])
  await insert('buildkite.team_pipelines', [
    { team_id: id('t', 1), pipeline_id: pipelines.app, ...listed },
    { team_id: id('t', 2), pipeline_id: pipelines.app, ...listed },
    { team_id: id('t', 1), pipeline_id: pipelines.lib, ...listed, deleted_at: at('05 00:00:00') },
  ])
  await insert('buildkite.team_members', [{ team_id: id('t', 1), user_id: id('u', 1), ...listed }])
  await insert('buildkite.members', [
    { id: id('u', 1), name: 'Ada Lovelace', email: 'ada@example.com', role: 'admin', ...listed },
  ])
  await insert('buildkite.pipeline_schedules', [
    {
      id: id('s', 1),
      pipeline_id: pipelines.lib,
      label: 'Nightly',
      cronline: '@daily',
      branch: 'trunk',
      enabled: true,
      ...listed,
    },
  ])
  await insert('buildkite.agents', [
    {
      id: id('a', 1),
      organization_id: id('o', 1),
      name: 'linux-1',
      connection_state: 'connected',
      meta_data: ['queue=linux'],
      version: '3.100',
      ...mirrored(at('02 00:00:00')),
    },
    {
      id: id('a', 2),
      organization_id: id('o', 1),
      name: 'mac-1',
      connection_state: 'lost',
      queue: 'mac',
      lost_at: at('05 00:00:00'),
      version: '3.99',
      job_id: null,
      ...mirrored(at('02 00:00:00')),
    },
  ])
  await insert('buildkite.builds', builds)
  await insert('buildkite.build_attempts', attempts)
  await insert('buildkite.jobs', jobs)
  await sql`insert into settings.deployment_rules (pipeline, branch, step, environment, service) values ('dep*', 'main', 'deploy', 'production', 'shop'), ('lib', 'trunk', null, 'registry', null)`
  await sql`insert into settings.deployment_rules (organization, pipeline, branch, environment, service) values ('glob*', '*', 'main', 'staging', 'eu')`
  await sql`insert into settings.queue_rates (queue, per_minute) values ('linux', 0.5), ('mac', 2)`
  await sql`insert into settings.queue_rates (queue, cluster, per_minute) values ('arm', 'Edge', 3), ('linux', 'Edge', 100), ('arm', 'Main', 9), ('arm', ${id('c', 1)}, 4)`
  await sql`insert into sync.deliveries (key, event, received_at, observed_at, status, applied_at) values ('d1', 'ping', ${at('02 00:00:00')}, ${at('02 00:00:00')}, 'applied', ${at('02 00:00:02')})`
}
