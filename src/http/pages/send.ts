import { createHash } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Markup } from './html.ts'
import { script } from './script.ts'
import { style } from './style.ts'

const hashOf = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`

/** Allows only our own script and style, by their hashes. Loads nothing from other hosts, and sends forms only to us. */
const policyFor = (...styles: readonly string[]) =>
  [
    "default-src 'none'",
    `script-src ${hashOf(script)}`,
    `style-src ${styles.map(hashOf).join(' ')}`,
    'img-src data:',
    "connect-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
  ].join('; ')
const policy = policyFor(style)

/** Sends an HTML page. `moreStyle` is what the page was made with. */
export function sendPage(reply: FastifyReply, page: Markup, moreStyle?: string): FastifyReply {
  return reply
    .header('content-security-policy', moreStyle === undefined ? policy : policyFor(style, moreStyle))
    .header('referrer-policy', 'same-origin')
    .type('text/html; charset=utf-8')
    .send(page.source)
}

/** Whether the client asks for JSON by name. Browsers ask for HTML, and curl accepts anything. */
export function wantsJson({ headers }: FastifyRequest): boolean {
  return /\bapplication\/json\b/i.test(headers.accept ?? '')
}

/** Whether the request comes from a browser. */
export function wantsHtml({ headers }: FastifyRequest): boolean {
  return /\btext\/html\b/i.test(headers.accept ?? '')
}
