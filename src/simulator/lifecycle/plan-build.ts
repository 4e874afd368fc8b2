import { type Author, type Build, graphqlId, iso, type Pipeline, secretMark } from '../model/shapes.ts'
import type { Truth } from '../model/state.ts'

const branches = ['main', 'main', 'main', 'feature/search', 'fix/null-byte', 'renovate/all', 'release-1.x'] as const
const messages = [
  'Fix the flaky test',
  'Add search\n\nCloses #12',
  'Bump deps 📦',
  'Wächter für "quotes" & <tags>',
] as const

/** A build as it is when it is created: scheduled, without jobs. */
export function planBuild(truth: Truth, pipeline: Pipeline, at: number, origin: Partial<Build>): Build {
  const { random } = truth
  const id = random.uuid(at)
  const number = truth.nextNumber(pipeline)
  const creator = random.pick(truth.people)
  const source = random.pick(['webhook', 'webhook', 'webhook', 'api', 'ui', 'schedule'])
  const branch = random.pick(branches)
  const pullRequest = branch.startsWith('feature/') || branch.startsWith('renovate/')
  const author = planAuthor(number, creator.name, creator.email, at)
  return {
    id,
    graphql_id: graphqlId('Build', id),
    url: `${pipeline.builds_url}/${number}`,
    web_url: `${pipeline.web_url}/builds/${number}`,
    number,
    state: 'scheduled',
    blocked: false,
    blocked_state: '',
    cancel_reason: null,
    message: number % 23 === 0 ? null : random.pick(messages),
    commit: source === 'ui' || source === 'api' ? 'HEAD' : random.hex(40),
    branch,
    tag: branch === 'release-1.x' ? `v1.${number}` : null,
    env: number % 3 ? {} : { API_KEY: `${secretMark}-build-env` },
    source,
    ...(author === undefined ? {} : { author }),
    creator: number % 11 === 0 ? null : creator,
    created_at: iso(at),
    scheduled_at: iso(at),
    started_at: null,
    finished_at: null,
    failing_at: null,
    meta_data: number % 2 ? {} : { 'deploy:region': 'eu-central-1', number: String(number) },
    pull_request: pullRequest
      ? {
          id: String(1000 + number),
          base: 'main',
          repository: pipeline.repository.replace('git@github.com:', 'git://github.com/'),
          ...(number % 2 ? { labels: ['ci', 'needs review'] } : {}),
        }
      : number % 13 === 0
        ? {}
        : null,
    merge_queue: number % 17 === 0 ? { base_branch: 'main' } : null,
    rebuilt_from: null,
    triggered_from: null,
    cluster_id: pipeline.cluster_id,
    cluster_url: pipeline.cluster_url,
    pipeline,
    jobs: [],
    ...origin,
  }
}

/** The six shapes of an author that Buildkite sends. */
function planAuthor(number: number, name: string, email: string, at: number): Author {
  switch (number % 8) {
    case 1:
      return undefined
    case 2:
      return null
    case 3:
      return {}
    case 4:
      return { name, email }
    case 5:
      return { name, email, date: iso(at - 60_000) }
    case 6:
      return `${name} <${email}>`
    default:
      return { username: email.split('@')[0] ?? '', name, email }
  }
}
