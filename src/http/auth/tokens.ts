import { createHash, timingSafeEqual } from 'node:crypto'

/** What a token allows: an admin acts, a reader only looks. */
export type TokenRole = 'admin' | 'reader'

/** The tokens of the private listener: ADMIN_TOKEN and READER_TOKEN. */
export interface Tokens {
  readonly admin: string
  readonly reader: string | undefined
}

/** The role that a token gives; undefined if it is wrong. Compares in constant time. */
export function roleOf(tokens: Tokens, given: string): TokenRole | undefined {
  if (isSameText(given, tokens.admin)) return 'admin'
  return tokens.reader !== undefined && isSameText(given, tokens.reader) ? 'reader' : undefined
}

/** The token in an Authorization header; undefined if it has another form. */
export function bearerIn(header: string | undefined): string | undefined {
  return /^Bearer +(\S.*)$/i.exec(header ?? '')?.[1]?.trim()
}

function isSameText(one: string, other: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(one), digest(other))
}
