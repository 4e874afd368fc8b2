import { html, type Markup } from './html.ts'

const pages = [
  ['/', 'Status'],
  ['/explore', 'Explore'],
  ['/history', 'History'],
  ['/schema', 'Schema'],
  ['/queues/', 'Queues'],
  ['/metrics', 'Metrics'],
] as const

type PagePath = (typeof pages)[number][0]

/** The top of a page: its name, and links to the other pages. `more` follows them. */
export function topBar(current: PagePath, more?: Markup | false): Markup {
  const links = pages.map(
    ([path, name]) => html`<a href="${path}"${path === current && html` aria-current="page"`}>${name}</a>`,
  )
  return html`<header class="top"><b>buildkite-mirror</b>
<nav aria-label="Pages">${links}</nav>${more}</header>`
}
