import { and, desc, eq, gt, isNotNull, isNull, lt, or, sql } from 'drizzle-orm'
import { annotations, artifacts, reference_item_syncs, reference_syncs } from '../../database/reference-tables.ts'
import { builds, pipelines } from '../../database/schema.ts'
import { inOneTransaction } from '../../mirror/apply.ts'
import { eraseRows } from '../../mirror/erased-people.ts'
import { BuildkiteError } from '../../runtime/errors.ts'
import { DAY } from '../../runtime/time.ts'
import { openStates } from '../builds/open-states.ts'
import type { ReconcileDeps, Source } from '../context.ts'
import { refusalOfList } from './access-denied.ts'
import { type ItemResult, markUnlisted, type Row, recordItemResult, recordReads, rowsOf, upsertRows } from './rows.ts'

/** Only lists of builds that finished within this time are read. */
const YOUNG = 7 * DAY
/** Builds per run. */
const BUILDS = 20

interface BuildList {
  readonly name: 'annotations' | 'artifacts'
  readonly table: typeof annotations | typeof artifacts
  readonly setting: string
  readonly scope: string
  readonly query: Readonly<Record<string, string>>
  isOn(deps: ReconcileDeps): boolean
  /** Fields that are not stored. */
  readonly skip?: readonly string[]
}

const buildLists: readonly BuildList[] = [
  {
    name: 'annotations',
    table: annotations,
    setting: 'STORE_ANNOTATIONS',
    scope: 'read_builds',
    // Without `scope`, Buildkite omits the annotations of jobs.
    query: { scope: 'all' },
    isOn: ({ storeAnnotations }) => storeAnnotations,
  },
  {
    name: 'artifacts',
    table: artifacts,
    setting: 'STORE_ARTIFACTS',
    scope: 'read_artifacts',
    query: {},
    isOn: ({ storeArtifacts }) => storeArtifacts,
    skip: ['download_url'],
  },
]

/**
 * Reads annotations and artifacts, if the settings want them, of builds that finished after their lists were last read, newest first.
 * Returns how many lists were read. @throws BuildkiteError, StoreError.
 */
export async function readBuildLists(
  deps: ReconcileDeps,
  source: Source,
  isOver: () => boolean,
  signal?: AbortSignal,
): Promise<number> {
  let read = 0
  for (const list of buildLists) {
    if (!list.isOn(deps)) {
      await record(deps, source, list, { status: 'off', error: `${list.setting} is not set.` })
      continue
    }
    const due = await dueBuilds(deps, source, list)
    if (due.length === 0) continue
    const { scopes } = (await source.client.accessToken(signal)).value
    if (!scopes.includes(list.scope)) {
      await record(deps, source, list, {
        status: 'missing_scope',
        error: `The API token lacks the scope ${list.scope}.`,
      })
      continue
    }
    for (const build of due) {
      if (isOver()) break
      if (!(await readOne(deps, source, list, build, signal))) break
      read += 1
    }
  }
  return read
}

interface DueBuild {
  readonly id: string
  readonly number: number
  readonly slug: string
}

/** Reads one list. False when Buildkite refuses all lists of this kind. */
async function readOne(
  deps: ReconcileDeps,
  source: Source,
  list: BuildList,
  build: DueBuild,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const { db, clock, storeEnv } = deps
  const now = new Date(clock())
  const rows: Row[] = []
  let unusable = 0
  let at: Date | undefined
  const path = ['pipelines', build.slug, 'builds', String(build.number), list.name]
  const options = { priority: 'dimensions', query: list.query, signal } as const
  try {
    for await (const page of source.client.list(source.slug, path, options)) {
      at ??= page.at
      const found = rowsOf(page.value, list, { build_id: build.id }, { storeEnv, organizationId: source.id, now })
      rows.push(...found.rows)
      unusable += found.unusable
    }
  } catch (error) {
    const refusal = refusalOfList(error)
    if (refusal === undefined) throw error
    // Perhaps only the build is gone; the next read of the build finds that out.
    const isGone = error instanceof BuildkiteError && error.code === 'no_resources'
    if (isGone) await inOneTransaction(db, 'record a read list', (tx) => recordReads(tx, list.name, [build.id], now))
    else await record(deps, source, list, { status: 'refused', error: refusal })
    return isGone
  }
  await inOneTransaction(db, `save the ${list.name} of a build`, async (tx) => {
    const { table, name } = list
    const listed = await eraseRows(tx, rows)
    await upsertRows(tx, table, [table.id], listed)
    if (unusable === 0) await markUnlisted(tx, table, [table.id], listed, eq(table.build_id, build.id), now)
    await recordReads(tx, name, [build.id], at ?? now)
    const outcome: ItemResult = { status: 'read', read_at: at ?? now, error: null }
    await recordItemResult(tx, { organization_id: source.id, name }, outcome, now)
  })
  return true
}

async function dueBuilds({ db, clock }: ReconcileDeps, source: Source, list: BuildList): Promise<DueBuild[]> {
  const rows = await db
    .select({ id: builds.id, number: builds.number, slug: pipelines.slug })
    .from(builds)
    .innerJoin(pipelines, eq(pipelines.id, builds.pipeline_id))
    .leftJoin(
      reference_item_syncs,
      and(eq(reference_item_syncs.name, list.name), eq(reference_item_syncs.subject_id, builds.id)),
    )
    .where(
      and(
        eq(builds.organization_id, source.id),
        gt(builds.finished_at, new Date(clock() - YOUNG)),
        // A build that runs again may still have the finish time of its last run.
        sql`${builds.state} not in (${openStates})`,
        isNull(builds.deleted_at),
        isNotNull(builds.number),
        isNotNull(pipelines.slug),
        or(isNull(reference_item_syncs.read_at), lt(reference_item_syncs.read_at, builds.finished_at)),
      ),
    )
    .orderBy(desc(builds.finished_at))
    .limit(BUILDS)
  return rows.flatMap(({ id, number, slug }) => (number !== null && slug !== null ? [{ id, number, slug }] : []))
}

/** Records the outcome of a list, unless it is unchanged. */
async function record(
  { db, clock }: ReconcileDeps,
  source: Source,
  list: BuildList,
  outcome: ItemResult,
): Promise<void> {
  const { name } = list
  const which = and(eq(reference_syncs.organization_id, source.id), eq(reference_syncs.name, name))
  const [known] = await db.select().from(reference_syncs).where(which)
  if (known?.status === outcome.status && known.error === outcome.error) return
  await inOneTransaction(db, 'record how a list was read', (tx) =>
    recordItemResult(tx, { organization_id: source.id, name }, outcome, new Date(clock())),
  )
}
