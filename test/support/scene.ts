import type postgres from 'postgres'
import type { ServiceProcess } from './service.ts'

/** What there is to see of a service that does not do what it should, as text: for the message of a test that fails once in a hundred runs. */
export async function sceneOf(service: ServiceProcess, sql: postgres.Sql): Promise<string> {
  const sessions = await sql`
    select application_name, state, wait_event, now() - xact_start as open, pg_blocking_pids(pid) as behind, left(query, 120) as query
    from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`
  const inbox = await sql`select status, count(*), max(received_at) from sync.deliveries group by 1`
  const cycles = await sql`
    select kind, started_at, finished_at, error from sync.cycles order by started_at desc limit 5`
  const status = await service.status().catch(String)
  const output = service.output().split('\n').slice(-30)
  return JSON.stringify({ now: new Date(), inbox, cycles, sessions, status, output }, null, 1)
}
