/** Gives sslmode its libpq meaning. By default node-postgres treats `require` as `verify-full`. */
export function likeLibpq(url: string): string {
  const parsed = new URL(url)
  if (!parsed.searchParams.has('sslmode') || parsed.searchParams.has('uselibpqcompat')) return url
  parsed.searchParams.set('uselibpqcompat', 'true')
  return parsed.href
}
