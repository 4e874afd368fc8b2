import { and, eq, inArray, notInArray, or } from 'drizzle-orm'
import { withLease } from '../../database/leases.ts'
import { reference_syncs } from '../../database/reference-tables.ts'
import { markUnlistedAgents } from '../../mirror/agent-connections.ts'
import { inOneTransaction } from '../../mirror/apply.ts'
import { eraseRows } from '../../mirror/erased-people.ts'
import { observeAgents } from '../../mirror/observe.ts'
import { BuildkiteError } from '../../runtime/errors.ts'
import { HOUR, MINUTE } from '../../runtime/time.ts'
import { keepObserved, type ReconcileDeps, type Source } from '../context.ts'
import { refreshPipelines } from '../pipelines/pipelines.ts'
import { readWatermark } from '../progress/watermark.ts'
import { refusalOfList } from './access-denied.ts'
import { readBuildLists } from './build-resources.ts'
import { type AnyList, agentList, dueLists, dueParents, parentsOf } from './due.ts'
import type { Parent, ReferenceList } from './resources.ts'
import {
  columnOf,
  countListed,
  type ItemResult,
  markUnlisted,
  type Row,
  recordItemResult,
  recordReads,
  rowsOf,
  upsertRows,
} from './rows.ts'

/** A list is read again at this age. */
const EVERY = HOUR
/** A run starts no more requests after this time, so that the backfill can run; the next run continues. */
const RUN = MINUTE

/** What a run did. */
export interface ReferenceDataReport {
  /** Lists that were read, by the table that they fill, and how each ended. */
  readonly lists: readonly { name: string; status: ItemResult['status'] }[]
  /** Rows that were new, different or gone. Excludes agents, because webhooks change them too. */
  readonly changed: number
  /** Lists of annotations or artifacts that were read, one per build. */
  readonly build_lists: number
}

/**
 * One run of reading an organization's reference data: clusters, teams, people, schedules, agents. Reads each list again after an hour,
 * longest unread first. A list that the token may not read is recorded in sync.reference_syncs and is no failure. `undefined` when another
 * process holds the lease. @throws BuildkiteError, StoreError; what was read before counts.
 */
export async function syncReferenceData(
  deps: ReconcileDeps,
  source: Source,
  signal?: AbortSignal,
): Promise<ReferenceDataReport | undefined> {
  const name = `dimensions:${source.id}`
  const leased = await withLease(deps.db, name, ({ db, signal }) => new Run({ ...deps, db }, source, signal).run(), {
    signal,
  })
  return leased.held ? leased.value : undefined
}

class Run {
  readonly #deps: ReconcileDeps
  readonly #source: Source
  readonly #signal: AbortSignal | undefined
  readonly #until: number
  #scopes: readonly string[] = []
  #changed = 0

  constructor(deps: ReconcileDeps, source: Source, signal: AbortSignal | undefined) {
    this.#deps = deps
    this.#source = source
    this.#signal = signal
    this.#until = deps.clock() + RUN
  }

  async run(): Promise<ReferenceDataReport> {
    const lists = await dueLists(this.#deps, this.#source, EVERY)
    const asked: { name: string; status: ItemResult['status'] }[] = []
    let failure: unknown
    if (lists.length > 0) this.#scopes = (await this.#source.client.accessToken(this.#signal)).value.scopes
    for (const list of lists) {
      if (this.#isOver()) break
      try {
        asked.push({ name: list.name, status: await this.#read(list) })
      } catch (error) {
        if (!(error instanceof BuildkiteError) || error.code === 'invalid_credentials') throw error
        // One endpoint that fails must not prevent the other lists from being read.
        failure ??= error
      }
    }
    const build_lists = await readBuildLists(this.#deps, this.#source, () => this.#isOver(), this.#signal)
    if (failure) throw failure
    return { lists: asked, changed: this.#changed, build_lists }
  }

  #isOver(): boolean {
    this.#signal?.throwIfAborted()
    return this.#deps.clock() >= this.#until
  }

  async #read(list: AnyList): Promise<ItemResult['status']> {
    if (!list.scopes.some((scope) => this.#scopes.includes(scope))) {
      return this.#record(list.name, {
        status: 'missing_scope',
        error: `The API token lacks the scope ${list.scopes[0]}.`,
      })
    }
    try {
      if (!('table' in list)) return await this.#readAgents()
      if (list.parent) return await this.#readOfParents(list)
      const items = await this.#items(list, { id: '', slug: '' })
      return await this.#keep(list, items)
    } catch (error) {
      const refusal = refusalOfList(error)
      if (refusal === undefined) throw error
      return this.#record(list.name, { status: 'refused', error: refusal })
    }
  }

  /** Reads the lists of a kind for each parent that is due, until the run is over. */
  async #readOfParents(list: ReferenceList): Promise<ItemResult['status']> {
    const { db } = this.#deps
    if (list.parent?.list) {
      const [of] = await db
        .select()
        .from(reference_syncs)
        .where(and(eq(reference_syncs.organization_id, this.#source.id), eq(reference_syncs.name, list.parent.list)))
      if (of?.status !== 'read') {
        return this.#record(list.name, { status: of?.status ?? 'refused', error: of?.error ?? null })
      }
    } else if (!(await readWatermark(db, this.#source.id))?.pipelines_read_at) {
      await refreshPipelines(this.#deps, this.#source, this.#signal)
    }
    const all = await parentsOf(this.#deps, this.#source, list)
    const total = noItems()
    let refusal: unknown
    for (const parent of await dueParents(this.#deps, this.#source, list, EVERY)) {
      if (total.asked.length > 0 && this.#isOver()) break
      total.asked.push(parent.id)
      try {
        const found = await this.#items(list, parent)
        total.rows.push(...found.rows)
        total.unusable += found.unusable
        total.at ??= found.at
        total.read.push(parent.id)
      } catch (error) {
        // The parent may be gone since its own list was read. If all parents are refused, the list counts as refused.
        if (!(error instanceof BuildkiteError) || error.code !== 'no_resources') throw error
        refusal = error
      }
    }
    if (refusal && total.read.length === 0) throw refusal
    return this.#keep(list, { ...total, all: all.map(({ id }) => id) })
  }

  /** Reads all pages of one list. */
  async #items(list: ReferenceList, parent: Parent): Promise<Items> {
    const { storeEnv, clock, filter } = this.#deps
    const { client, slug, id: organizationId } = this.#source
    const total = noItems()
    const parentColumn = list.parent ? { [list.parent.column.name]: parent.id } : {}
    const options = { priority: 'dimensions', signal: this.#signal } as const
    for await (const page of client.list(slug, list.path(parent), options)) {
      total.at ??= page.at
      const wanted = page.value.filter((item) => list.wanted?.(item, filter) ?? true)
      const { rows, unusable } = rowsOf(wanted, list, parentColumn, {
        storeEnv,
        organizationId,
        now: new Date(clock()),
      })
      total.rows.push(...rows)
      total.unusable += unusable
    }
    return total
  }

  /** Replaces the stored rows with those that were read, in one transaction. */
  async #keep(list: ReferenceList, items: Items): Promise<'read'> {
    const { db, clock, log } = this.#deps
    const { id: organization_id, slug } = this.#source
    const now = new Date(clock())
    const at = items.at ?? now
    const error = items.unusable > 0 ? unusableItems(items.unusable) : null
    if (error) log.error({ organization: slug, list: list.name }, error)
    await inOneTransaction(db, `save the list of ${list.name}`, async (tx) => {
      const listed = await eraseRows(tx, items.rows)
      let changed = await upsertRows(tx, list.table, list.key, listed)
      if (items.unusable === 0) {
        changed += await markUnlisted(tx, list.table, list.key, listed, this.#among(list, items), now)
      }
      if (list.parent) await recordReads(tx, list.name, items.asked, at)
      const rows = await countListed(tx, list.table, organization_id)
      await recordItemResult(
        tx,
        { organization_id, name: list.name },
        { status: 'read', rows, read_at: at, error },
        now,
      )
      this.#changed += changed
    })
    return 'read'
  }

  /** The rows that a complete read should contain: those of the parents that were read, and of parents that are gone. */
  #among(list: ReferenceList, { read, all }: Items) {
    const ours = eq(columnOf(list.table, 'organization_id'), this.#source.id)
    const { parent } = list
    return parent ? and(ours, or(inArray(parent.column, read), notInArray(parent.column, [...all]))) : ours
  }

  async #readAgents(): Promise<'read'> {
    const { storeEnv, clock, db } = this.#deps
    const { client, slug, id: organizationId } = this.#source
    let at: Date | undefined
    let rows = 0
    const listed: string[] = []
    let isWhole = true
    const options = { priority: 'dimensions', signal: this.#signal } as const
    for await (const page of client.list(slug, ['agents'], options)) {
      at ??= page.at
      rows += page.value.length
      const observed = observeAgents(page.value, page.at, { storeEnv, organizationId })
      listed.push(...observed.agents.map(({ fields }) => fields.id))
      isWhole &&= observed.unreadable === 0
      await keepObserved(this.#deps, observed)
    }
    const since = at
    if (since && isWhole)
      await inOneTransaction(db, 'mark agents as gone', (tx) => markUnlistedAgents(tx, organizationId, listed, since))
    return this.#record(agentList.name, { status: 'read', rows, read_at: at ?? new Date(clock()), error: null })
  }

  async #record<Status extends ItemResult['status']>(
    name: string,
    outcome: ItemResult & { status: Status },
  ): Promise<Status> {
    const { db, clock } = this.#deps
    const list = { organization_id: this.#source.id, name }
    await inOneTransaction(db, 'record how a list was read', (tx) =>
      recordItemResult(tx, list, outcome, new Date(clock())),
    )
    return outcome.status
  }
}

/** The items read from a list. */
interface Items {
  readonly rows: Row[]
  unusable: number
  /** When the first page was read, on Buildkite's clock. */
  at: Date | undefined
  /** For a list with parents: the parents that were requested, those that answered, and all that exist. */
  readonly asked: string[]
  readonly read: string[]
  readonly all: readonly string[]
}

const noItems = (): Items => ({ rows: [], unusable: 0, at: undefined, asked: [], read: [], all: [] })

const unusableItems = (count: number) =>
  `The list contains ${count === 1 ? 'an item' : `${count} items`} without a usable id. Nothing is marked as gone, because the missing row may be that item.`
