import type { Job } from '../../../src/simulator/model/shapes.ts'
import { DAY, dayOf, HOUR, type Question, time, type Unanswered } from './question.ts'

// What the examples of Steampipe's Buildkite plugin ask: https://hub.steampipe.io/plugins/turbot/buildkite/tables

const waiting = [
  'waiting',
  'limited',
  'limiting',
  'platform_limited',
  'platform_limiting',
  'scheduled',
  'reserved',
  'assigned',
  'accepted',
]
const isWaiting = (job: Job) => job.type === 'script' && waiting.includes(job.state)

export const steampipe: Question[] = [
  {
    name: 'Example query',
    question: 'Which builds of the last two weeks wait at a block step?',
    sql: `select pipeline, build_number, state, branch from analytics.builds
      where state = 'blocked' and created_at > $now - interval '14 days'`,
    rows: (truth, now) =>
      truth.builds
        .filter((build) => build.blocked && build.state !== 'canceled' && time(build.created_at) > now - 14 * DAY)
        .map(({ pipeline, number, branch }) => [pipeline.slug, number, 'blocked', branch]),
  },
  {
    name: 'Builds created in the last 15 mins',
    question: 'Which builds were created in the last 15 minutes?',
    sql: `select organization, pipeline, build_number, created_at, state from analytics.builds
      where created_at > $now - interval '15 minutes' order by created_at desc`,
    rows: (truth, now) =>
      truth.builds
        .filter(({ created_at }) => time(created_at) > now - 15 * 60_000)
        .map((build) => [
          truth.organizationOf(build.pipeline).slug,
          build.pipeline.slug,
          build.number,
          new Date(build.created_at),
          build.blocked && build.state !== 'canceled' ? 'blocked' : build.state,
        ]),
  },
  {
    name: 'Builds by org',
    question: 'How many builds does each organization and pipeline have?',
    sql: 'select organization, pipeline, count(*) from analytics.builds group by organization, pipeline order by count desc',
    rows: (truth) =>
      truth.pipelines.map((pipeline) => [
        truth.organizationOf(pipeline).slug,
        pipeline.slug,
        truth.builds.filter((build) => build.pipeline === pipeline).length,
      ]),
  },
  {
    name: 'Builds by day over the last week',
    question: 'How many builds were created on each of the last 14 days?',
    sql: `select (created_at at time zone 'UTC')::date::text as day, count(*) from analytics.builds
      where created_at > $now - interval '14 days' group by day order by day desc`,
    rows(truth, now) {
      const days = truth.builds
        .filter(({ created_at }) => time(created_at) > now - 14 * DAY)
        .map((one) => dayOf(one.created_at))
      return [...new Set(days)].map((day) => [day, days.filter((one) => one === day).length])
    },
  },
  {
    name: 'Most recent 3 agents registered',
    question: 'Which three agents registered last?',
    sql: 'select agent_name, hostname, ip_address, created_at from analytics.agents order by created_at desc, agent_name limit 3',
    rows: (truth) =>
      truth.agents
        .toSorted((a, b) => time(b.created_at) - time(a.created_at) || (a.name < b.name ? -1 : 1))
        .slice(0, 3)
        .map(({ name, hostname, ip_address, created_at }) => [name, hostname, ip_address, new Date(created_at)]),
  },
  {
    name: 'Agents by connection state',
    question: 'How many agents are connected, lost, stopped?',
    sql: 'select connection_state, count(*) from analytics.agents group by connection_state order by count desc',
    rows(truth) {
      const states = truth.agents.map(({ connection_state }) => connection_state)
      return [...new Set(states)].map((state) => [state, states.filter((one) => one === state).length])
    },
  },
  {
    name: 'Agents by org',
    question: 'How many agents does each organization have?',
    sql: 'select organization, count(*) from analytics.agents group by organization order by count desc',
    rows: (truth) => truth.organizations.map((one) => [one.slug, truth.agentsOf(one).length]),
  },
  {
    name: "Agents that haven't run any jobs in the last 24 hours",
    question: 'Which agents have run no job for an hour?',
    sql: `select agent_name, hostname, last_job_finished_at from analytics.agents
      where last_job_finished_at < $now - interval '1 hour' order by agent_name`,
    rows: (truth, now) =>
      truth.agents
        .filter((agent) => time(agent.last_job_finished_at) < now - HOUR)
        .map((agent) => [agent.name, agent.hostname, new Date(time(agent.last_job_finished_at))]),
  },
  {
    name: 'List pipelines',
    question: 'Which pipelines are there?',
    sql: 'select pipeline, name from analytics.pipelines order by name',
    rows: (truth) => truth.pipelines.map(({ slug, name }) => [slug, name]),
  },
  {
    name: 'Pipelines with waiting jobs',
    question: 'Which pipelines have jobs that wait, and how many?',
    sql: `select pipeline, count(*) from analytics.jobs
      where type = 'script' and state = any ('{${waiting.join(',')}}') group by pipeline order by count desc`,
    rows: (truth) =>
      truth.pipelines
        .map((pipeline) => [
          pipeline.slug,
          truth.jobs.filter(({ build, job }) => build.pipeline === pipeline && isWaiting(job)).length,
        ])
        .filter(([, count]) => count !== 0),
  },
  {
    name: 'Pipelines with the ENV VAR AWS_ACCESS_KEY_ID set',
    question: 'Which pipelines set the variable DEPLOY_TOKEN? (With STORE_ENV on.)',
    sql: `select pipeline from analytics.pipeline_variables where variable = 'DEPLOY_TOKEN'`,
    rows: (truth) => truth.pipelines.filter(({ env }) => env && 'DEPLOY_TOKEN' in env).map(({ slug }) => [slug]),
  },
  {
    name: 'List all organizations',
    question: 'Which organizations are there?',
    sql: 'select organization, name, id from analytics.organizations order by name',
    rows: (truth) => truth.organizations.map(({ slug, name, id }) => [slug, name, id]),
  },
  {
    name: 'Organizations created in the last week',
    question: 'Which organizations were created in the last ten years?',
    sql: `select organization, name, id, created_at from analytics.organizations
      where created_at > $now - interval '3650 days' order by created_at desc`,
    rows: (truth, now) =>
      truth.organizations
        .filter(({ created_at }) => time(created_at) > now - 3650 * DAY)
        .map(({ slug, name, id, created_at }) => [slug, name, id, new Date(created_at)]),
  },
  {
    name: 'List all teams',
    question: 'Which teams are there?',
    sql: 'select team, name, id from analytics.teams where deleted_at is null order by name',
    rows: (truth) => teamsOf(truth).map(({ slug, name, id }) => [slug, name, id]),
  },
  {
    name: 'Teams created in the last week',
    question: 'Which teams were created in the last ten years?',
    sql: `select team, name, id, created_at from analytics.teams
      where created_at > $now - interval '3650 days' and deleted_at is null order by created_at desc`,
    rows: (truth, now) =>
      teamsOf(truth)
        .filter(({ created_at }) => time(created_at) > now - 3650 * DAY)
        .map(({ slug, name, id, created_at }) => [slug, name, id, new Date(created_at)]),
  },
  {
    name: 'Secret teams',
    question: 'Which teams are secret?',
    sql: `select team, name, privacy from analytics.teams where privacy = 'secret' and deleted_at is null order by name`,
    rows: (truth) =>
      teamsOf(truth)
        .filter(({ privacy }) => privacy === 'secret')
        .map(({ slug, name, privacy }) => [slug, name, privacy]),
  },
  {
    name: 'Get user info',
    question: 'Who are the users?',
    sql: 'select id, name, email from analytics.users where is_member order by name',
    rows: (truth) => truth.people.map(({ id, name, email }) => [id, name, email.toLowerCase()]),
  },
]

export const notSteampipe: Unanswered[] = [
  {
    name: 'Scopes assigned to the access token for this user',
    why: 'asks about the token of the query, which is no data of Buildkite: buildkite-mirror check shows the scopes of ours',
  },
]

type Company = { slug: string; name: string; id: string; privacy: string; created_at: string }
const teamsOf = (truth: Parameters<Question['rows']>[0]): Company[] =>
  truth.organizations.flatMap((organization) => truth.companyOf(organization).teams)
