import { ConfigError } from '../../runtime/errors.ts'

/** An applied migration, as drizzle records it. */
export interface Applied {
  readonly hash: string
  /** `when` in drizzle/meta/_journal.json. */
  readonly created_at: number
}

/** The last of the migrations that 0000_baseline replaced. */
export const LAST_REPLACED = { tag: '0028_names', created_at: 1796037543223, commit: 'fdb1b0cfd884' } as const

/** How many migrations 0000_baseline replaced. */
export const REPLACED = 29

/** Whether the database has all migrations that 0000_baseline replaced, only some, or none. */
export function replacedIn(applied: readonly Applied[]): 'all' | 'some' | 'none' {
  if (applied.some(({ created_at }) => created_at === LAST_REPLACED.created_at)) return 'all'
  return applied.some((one) => isReplaced(one)) ? 'some' : 'none'
}

/** The hashes of the applied migrations, without those that 0000_baseline replaced. */
export function presentHashes(applied: readonly Applied[]): string[] {
  return applied.filter((one) => !isReplaced(one)).map(({ hash }) => hash)
}

function isReplaced({ created_at }: Applied): boolean {
  return created_at <= LAST_REPLACED.created_at
}

/** @throws ConfigError if the database has only some of the migrations that 0000_baseline replaced. */
export function checkNotTooOld(applied: readonly Applied[]): void {
  if (replacedIn(applied) !== 'some') return
  const { tag, commit } = LAST_REPLACED
  throw new ConfigError(
    `The database is too old for this program: it lacks the migration ${tag}. Run buildkite-mirror migrate of commit ${commit} ` +
      `first, the last version with the migration ${tag}. Then run this version again.`,
  )
}
