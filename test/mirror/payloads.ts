// Payloads as Buildkite sends them, small: tests override what they are about.

export const ids = {
  organization: '0190a1b2-0000-7000-8000-000000000001',
  pipeline: '0190a1b2-0000-7000-8000-000000000002',
  build: '0190a1b2-0000-7000-8000-000000000003',
  job: '0190a1b2-0000-7000-8000-000000000004',
  agent: '0190a1b2-0000-7000-8000-000000000005',
  creator: '0190a1b2-0000-7000-8000-000000000006',
}

export const base = 'https://api.buildkite.com/v2/organizations/acme'

export function organizationPayload(fields: object = {}) {
  return { id: ids.organization, slug: 'acme', name: 'Acme', url: base, ...fields }
}

export function pipelinePayload(fields: object = {}) {
  return {
    id: ids.pipeline,
    slug: 'app',
    name: 'App',
    url: `${base}/pipelines/app`,
    repository: 'git@x:app',
    ...fields,
  }
}

export function buildPayload(fields: object = {}) {
  return {
    id: ids.build,
    url: `${base}/pipelines/app/builds/7`,
    number: 7,
    state: 'running',
    blocked: false,
    message: 'Fix it',
    commit: 'abc123',
    branch: 'main',
    source: 'webhook',
    creator: { id: ids.creator, name: 'Ada', email: 'ada@example.com' },
    created_at: '2026-05-01T10:00:00.100Z',
    started_at: '2026-05-01T10:00:05.200Z',
    finished_at: null,
    meta_data: {},
    ...fields,
  }
}

export function jobPayload(fields: object = {}) {
  return {
    id: ids.job,
    type: 'script',
    name: 'test',
    state: 'running',
    created_at: '2026-05-01T10:00:01.000Z',
    started_at: '2026-05-01T10:00:06.000Z',
    finished_at: null,
    exit_status: null,
    agent: { id: ids.agent, name: 'agent-1', url: `${base}/agents/${ids.agent}`, connection_state: 'connected' },
    ...fields,
  }
}

/** A time some seconds after ten o'clock of the day on which these payloads live. */
export function at(seconds: number): Date {
  return new Date(Date.parse('2026-05-01T10:00:00.000Z') + seconds * 1_000)
}
