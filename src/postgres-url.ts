/** Makes sslmode mean what it means to psql: node-postgres takes `require` for `verify-full` unless told not to. */
export function likeLibpq(url: string): string {
  const parsed = new URL(url)
  if (!parsed.searchParams.has('sslmode') || parsed.searchParams.has('uselibpqcompat')) return url
  parsed.searchParams.set('uselibpqcompat', 'true')
  return parsed.href
}
