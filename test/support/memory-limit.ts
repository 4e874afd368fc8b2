import { appendFileSync, existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'

/** A memory cgroup that one process was moved into. */
export interface MemoryLimit {
  /** How often the kernel killed a process in it. */
  kills(): number
  /** Call it after the process has ended. */
  remove(): void
}

const kinds = [
  // Version 2, with the memory controller of the root.
  {
    root: '/sys/fs/cgroup',
    needs: 'cgroup.controllers',
    limit: 'memory.max',
    swap: 'memory.swap.max',
    events: 'memory.events',
  },
  {
    root: '/sys/fs/cgroup/memory',
    needs: 'memory.limit_in_bytes',
    limit: 'memory.limit_in_bytes',
    swap: undefined,
    events: 'memory.oom_control',
  },
] as const

/** Moves a process into a memory cgroup of its own. Returns undefined where the machine does not let this user create one. */
export function limitMemory(pid: number, bytes: number): MemoryLimit | undefined {
  for (const { root, needs, limit, swap, events } of kinds) {
    const folder = `${root}/bkm-test-${pid}`
    if (!existsSync(`${root}/${needs}`)) continue
    try {
      if (swap) appendFileSync(`${root}/cgroup.subtree_control`, '+memory')
      mkdirSync(folder)
      writeFileSync(`${folder}/${limit}`, String(bytes))
      if (swap && existsSync(`${folder}/${swap}`)) writeFileSync(`${folder}/${swap}`, '0')
      writeFileSync(`${folder}/cgroup.procs`, String(pid))
    } catch {
      if (existsSync(folder)) rmdirSync(folder)
      continue
    }
    return {
      kills: () => Number(/^oom_kill (\d+)$/m.exec(readFileSync(`${folder}/${events}`, 'utf8'))?.[1] ?? 0),
      remove: () => rmdirSync(folder),
    }
  }
  return undefined
}
