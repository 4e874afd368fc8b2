import { statfs } from 'node:fs/promises'
import { type Finding, failure, warning, well } from './finding.ts'

const GIB = 1024 ** 3

/** The disk that the embedded database lies on. */
export interface Disk {
  readonly freeBytes: number
  readonly folder: string
}

/** What is found of the room that there is (pure). Of somebody else's Postgres only its own size can be told. */
export function judgeDisk(databaseBytes: number | undefined, disk: Disk | undefined): Finding[] {
  const holds = databaseBytes === undefined ? '' : `The database takes ${size(databaseBytes)}. `
  if (!disk) return holds ? [well('disk_space', '', holds.trim())] : []
  const detail = `${holds}${size(disk.freeBytes)} are free under ${disk.folder}.`
  const remedy = 'Make room, or let DATA_DIR be on a larger disk.'
  if (disk.freeBytes < GIB / 4) return [failure('disk_space', '', detail, remedy)]
  // Rewriting a table in a migration may take as much again as the database holds now.
  const wanted = Math.max(GIB, (databaseBytes ?? 0) / 4)
  return [disk.freeBytes < wanted ? warning('disk_space', '', detail, remedy) : well('disk_space', '', detail)]
}

/** The disk under a folder; undefined when it is not there yet or cannot be asked. */
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
