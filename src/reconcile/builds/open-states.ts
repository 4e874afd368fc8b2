import { sql } from 'drizzle-orm'

/** The states of list 3. A limited build appears as `scheduled`. A blocked build can wait for weeks, so the list omits it. */
export const OPEN_STATES = ['creating', 'scheduled', 'running', 'failing', 'canceling'] as const

// Constants, not parameters: only then can the planner use the partial index builds_open.
export const openStates = sql.raw(OPEN_STATES.map((state) => `'${state}'`).join(', '))
