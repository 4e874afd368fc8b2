import { and, desc, eq, lt } from 'drizzle-orm'
import type { Db } from '../../../database/connection.ts'
import { audit_log, cycles, organizations } from '../../../database/schema.ts'
import { ago, moment } from '../format.ts'
import { topBar } from '../header.ts'
import { html, type Markup } from '../html.ts'
import { page } from '../layout.ts'
import { cycleTable } from './cycle-table.ts'

const SHOWN = 50

/** What a history page shows: the records older than `before`, newest first. */
export interface HistoryQuery {
  readonly before: number | undefined
  readonly audits: boolean
}

/** Reads one page of syncs and audits. @throws the driver's error. */
export async function readCycles(db: Db, { before, audits }: HistoryQuery) {
  const older = before === undefined ? undefined : lt(cycles.id, before)
  const rows = await db
    .select()
    .from(cycles)
    .where(and(older, audits ? eq(cycles.kind, 'audit') : undefined))
    .orderBy(desc(cycles.id))
    .limit(SHOWN + 1)
  const names = await db.select({ id: organizations.id, slug: organizations.slug }).from(organizations)
  return { rows, names: new Map(names.map(({ id, slug }) => [id, slug ?? id])) }
}

/** Reads one page of the audit log. @throws the driver's error. */
export async function readActions(db: Db, before: number | undefined) {
  return db
    .select()
    .from(audit_log)
    .where(before === undefined ? undefined : lt(audit_log.id, before))
    .orderBy(desc(audit_log.id))
    .limit(SHOWN + 1)
}

export function cyclesPage(
  { rows, names }: Awaited<ReturnType<typeof readCycles>>,
  { audits, before }: HistoryQuery,
  now: Date,
): Markup {
  const shown = rows.slice(0, SHOWN)
  const table =
    shown.length === 0
      ? html`<p class="quiet">None ${before === undefined ? 'yet' : 'older'}.</p>`
      : cycleTable(shown, now, names.size > 1 ? (id) => names.get(id) ?? id : undefined)
  const path = audits ? '/history/audits' : '/history'
  return frame(path, html`${table}${olderLink(path, rows)}`)
}

export function actionsPage(rows: Awaited<ReturnType<typeof readActions>>, now: Date): Markup {
  const lines = rows.slice(0, SHOWN).map((one) => {
    const times = one.times > 1 && html` <small>${one.times} times</small>`
    return html`<tr><td class="nowrap when">${ago(one.at, now)}<small>${moment(one.at)}</small></td><td class="what break">${one.request}${one.target && html`<small>${one.target}</small>`}</td><td>${one.who}<small>${one.who === 'local' ? 'no ADMIN_TOKEN is set' : one.via}${one.session && ` ${one.session}`}</small></td><td class="nowrap">${one.address}</td><td class="end"><span class="${one.result === 'done' ? 'good' : 'mark warn'}">${one.result}</span>${times}</td></tr>`
  })
  const table =
    lines.length === 0
      ? html`<p class="quiet">Nobody has pressed a button or signed in.</p>`
      : html`<div class="scroll" tabindex="0" role="region" aria-label="Actions"><table class="stack"><thead><tr><th scope="col">When</th><th scope="col">Request</th><th scope="col">Who</th><th scope="col">From</th><th scope="col" class="n">Result</th></tr></thead><tbody>${lines}</tbody></table></div>
<p class="quiet small">Buttons and requests that act, sign-ins, sign-outs and wrong tokens. People who share a token have one name; the session tells them apart.</p>`
  return frame('/history/actions', html`${table}${olderLink('/history/actions', rows)}`)
}

/** The page for somebody who may not see the actions. */
export function noActionsPage(why: string): Markup {
  return frame('/history/actions', html`<p class="quiet">${why}</p>`)
}

const tabs = [
  ['/history', 'Syncs and audits'],
  ['/history/audits', 'Audits only'],
  ['/history/actions', 'Actions of people'],
] as const

function frame(path: (typeof tabs)[number][0], body: Markup): Markup {
  const links = tabs.map(([to, name]) => html`<a href="${to}"${to === path && html` aria-current="page"`}>${name}</a>`)
  return page({
    title: 'History',
    body: html`${topBar('/history')}
<main><h1 class="title">History</h1><nav class="tabs" aria-label="Kinds of records">${links}</nav><div class="card">${body}</div></main>`,
  })
}

function olderLink(path: string, rows: readonly { readonly id: number }[]): Markup | false {
  const last = rows[SHOWN - 1]
  return (
    rows.length > SHOWN && last !== undefined && html`<p><a href="${path}?before=${last.id}" rel="next">Older</a></p>`
  )
}
