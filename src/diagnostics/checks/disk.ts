import { statfs } from 'node:fs/promises'
import { type CheckResult, failure, ok, warning } from '../finding.ts'

const GIB = 1024 ** 3

/** The disk that holds the embedded database. */
export interface Disk {
  readonly freeBytes: number
  readonly folder: string
}

/** Checks the free disk space (pure). It is known only for the embedded PostgreSQL; an external one reports just its size. */
export function checkDisk(databaseBytes: number | undefined, disk: Disk | undefined): CheckResult[] {
  const holds = databaseBytes === undefined ? '' : `The database takes ${size(databaseBytes)}. `
  if (!disk) return holds ? [ok('disk_space', '', holds.trim())] : []
  const detail = `${holds}${size(disk.freeBytes)} are free under ${disk.folder}.`
  const remedy = 'Free disk space, or move DATA_DIR to a larger disk.'
  if (disk.freeBytes < GIB / 4) return [failure('disk_space', '', detail, remedy)]
  // A migration that rewrites a table may need as much space again as the table takes.
  const wanted = Math.max(GIB, (databaseBytes ?? 0) / 4)
  return [disk.freeBytes < wanted ? warning('disk_space', '', detail, remedy) : ok('disk_space', '', detail)]
}

/** The disk under a folder; undefined when the folder does not exist yet or statfs fails. */
export async function readDisk(folder: string): Promise<Disk | undefined> {
  try {
    const { bavail, bsize } = await statfs(folder)
    return { freeBytes: bavail * bsize, folder }
  } catch {
    return undefined
  }
}

function size(bytes: number): string {
  if (bytes >= GIB) return `${(bytes / GIB).toFixed(1)} GiB`
  return `${Math.ceil(bytes / 1024 ** 2)} MiB`
}
