import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { type ConnectionOptions, createSecureContext } from 'node:tls'
import { shownPath } from './errors.ts'
import { isLoopback } from './ip-range.ts'

/** How to reach Postgres or Redis: the same for every connection, whichever library opens it. */
export interface StoreAddress {
  /** The URL without the parameters of TLS. */
  readonly url: string
  /** TLS as the URL demands it; undefined for plain text. */
  readonly tls: ConnectionOptions | undefined
  /** Whether plain text goes to another machine, although the URL does not accept that with sslmode=disable. */
  readonly isExposed: boolean
}

const modes = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full']
const known = ['sslmode', 'sslrootcert', 'sslcert', 'sslkey']

/**
 * Reads the URL of Postgres or Redis, with the parameters of libpq: https://www.postgresql.org/docs/current/libpq-ssl.html.
 * Stricter than libpq: `allow` and `prefer` never fall back to plain text. `rediss:` means `verify-full`.
 * @throws Error whose message says what is wrong with the URL, to follow the name of the setting. It quotes no secret.
 */
export function readStoreUrl(text: string): StoreAddress {
  const url = new URL(text)
  const given = new Map([...url.searchParams].filter(([name]) => name.startsWith('ssl')))
  const host = (url.searchParams.get('host') ?? url.hostname).replace(/^\[|\]$/g, '')
  // As libpq does, for URLs that were written for JDBC.
  if (given.get('ssl') === 'true' && given.delete('ssl') && !given.has('sslmode')) given.set('sslmode', 'require')
  const unknown = [...given.keys()].find((name) => !known.includes(name))
  if (unknown !== undefined) throw new Error(`has the parameter ${unknown}. For TLS it may have ${known.join(', ')}.`)
  const mode = modeOf(url.protocol, given)
  const tls = mode === 'disable' ? undefined : tlsOptions(mode, given)
  const isSocket = host === '' || host.startsWith('/') || host.startsWith('%2F')
  const isExposed = !tls && !given.has('sslmode') && !isSocket && !isLoopback(host)
  for (const name of ['ssl', ...given.keys()]) url.searchParams.delete(name)
  return { url: given.size > 0 ? url.href : text, tls, isExposed }
}

/** The options of node-postgres for a URL. */
export function postgresOptions(text: string): { connectionString: string; ssl: ConnectionOptions | false } {
  const { url, tls } = readStoreUrl(text)
  return { connectionString: url, ssl: tls ?? false }
}

function modeOf(protocol: string, given: ReadonlyMap<string, string>): string {
  const mode = given.get('sslmode') ?? (protocol === 'rediss:' ? 'verify-full' : 'disable')
  if (!modes.includes(mode)) throw new Error(`has an unknown sslmode. Use ${modes.join(', ')}.`)
  if (protocol === 'rediss:' && mode === 'disable')
    throw new Error('begins with rediss: but has sslmode=disable. Write redis: for plain text.')
  if (mode !== 'disable' && protocol === 'redis:')
    throw new Error('demands TLS by its sslmode, but begins with redis:. Write rediss: for TLS.')
  if (mode === 'disable' && !given.has('sslmode') && given.size > 0)
    throw new Error(`has ${[...given.keys()].join(' and ')}, but does not demand TLS. Add sslmode=verify-full.`)
  return mode
}

function tlsOptions(mode: string, given: ReadonlyMap<string, string>): ConnectionOptions {
  const root = given.get('sslrootcert')
  if (root === 'system' && mode !== 'verify-full')
    throw new Error('has sslrootcert=system, which needs sslmode=verify-full.')
  if (mode === 'verify-ca' && root === undefined)
    throw new Error('has sslmode=verify-ca without sslrootcert. Add sslrootcert with the path of the CA file.')
  if (given.has('sslcert') !== given.has('sslkey')) throw new Error('has only one of sslcert and sslkey. Give both.')
  const file = (name: string, path = given.get(name)) => (path === undefined ? {} : readPem(name, path))
  const options: ConnectionOptions = {
    // Explicit, because NODE_TLS_REJECT_UNAUTHORIZED would decide otherwise.
    rejectUnauthorized: mode.startsWith('verify') || root !== undefined,
    ...(root === 'system' ? {} : file('sslrootcert')),
    ...file('sslcert'),
    ...file('sslkey'),
    ...(mode === 'verify-full' ? {} : { checkServerIdentity: () => undefined }),
  }
  try {
    // OpenSSL ignores a CA file without certificates.
    if (options.ca) new X509Certificate(String(options.ca))
    createSecureContext(options)
  } catch (error) {
    const why = error instanceof Error ? error.message : ''
    throw new Error(
      `names certificates or a key that cannot be used (${why}). Use files in PEM format that belong together.`,
    )
  }
  return options
}

const fieldOf: Readonly<Record<string, 'ca' | 'cert' | 'key'>> = { sslrootcert: 'ca', sslcert: 'cert', sslkey: 'key' }

function readPem(name: string, path: string): ConnectionOptions {
  try {
    return { [fieldOf[name] ?? name]: readFileSync(path, 'utf8') }
  } catch (error) {
    throw new Error(
      `has ${name}=${shownPath(path)}, which cannot be read (${codeOf(error)}). Give the path of a readable file.`,
    )
  }
}

/** What a failed TLS handshake with `store` means; undefined for other errors. */
export function tlsFault(store: string, error: unknown): { fact: string; remedy: string } | undefined {
  const message = error instanceof Error ? error.message : ''
  const code = codeOf(error) || (noTls.test(message) ? 'NO_TLS' : '')
  const [, what, remedy] = tlsFaults.find(([codes]) => codes.test(code)) ?? []
  if (what === undefined || remedy === undefined) return undefined
  return { fact: `${store} cannot be reached with TLS: ${what} (${code}).`, remedy }
}

/** Messages of node-postgres, which have no code. */
const noTls = /^(The server does not support SSL|There was an error establishing an SSL) connection/

/** https://nodejs.org/api/tls.html#x509-certificate-error-codes */
const tlsFaults: readonly (readonly [RegExp, string, string])[] = [
  [/^NO_TLS$/, 'the server does not offer it', 'Enable TLS there, or set sslmode=disable in a network that you trust.'],
  [
    /^ERR_TLS_CERT_ALTNAME_INVALID$/,
    'its certificate is for another host name',
    "Use the certificate's host name in the URL, or a certificate with the host name of the URL.",
  ],
  [/^CERT_(HAS_EXPIRED|NOT_YET_VALID)$/, 'its certificate has expired or is not valid yet', 'Renew the certificate.'],
  [
    /^(DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|CERT_UNTRUSTED|UNABLE_TO_)/,
    'no CA that is trusted here has signed its certificate',
    'Set sslrootcert in the URL to the file of its CA.',
  ],
  [/^(CERT_|INVALID_|PATH_LENGTH|HOSTNAME_MISMATCH|CRL_)/, 'its certificate is not valid', 'Replace the certificate.'],
  [
    /^(ERR_SSL_|ERR_TLS_|EPROTO$)/,
    'the handshake failed',
    'Check that TLS is enabled on this port, and whether it demands a client certificate (sslcert and sslkey).',
  ],
]

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
}
