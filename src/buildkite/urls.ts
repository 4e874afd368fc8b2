/** The names in a Buildkite URL. */
export interface Slugs {
  organization: string | undefined
  pipeline: string | undefined
  number: number | undefined
}

const nothing: Slugs = { organization: undefined, pipeline: undefined, number: undefined }

// `…/organizations/{org}/pipelines/{slug}/builds/{number}…` in the REST API, under any base URL.
const rest = /\/organizations\/([^/?#]+)(?:\/pipelines\/([^/?#]+)(?:\/builds\/(\d+))?)?/
// `https://buildkite.com/{org}/{slug}/builds/{number}…` on the web.
const web = /^https?:\/\/[^/?#]+\/(?!v\d+(?:[/?#]|$))([^/?#]+)(?:\/([^/?#]+)(?:\/builds\/(\d+))?)?/

/**
 * The slugs and the build number in a REST or web URL of an organization, pipeline, build or job; each is `undefined` if the URL lacks
 * it. With `exclude_pipeline`, only a build's URL shows its pipeline.
 */
export function slugsOf(url: unknown): Slugs {
  if (typeof url !== 'string') return nothing
  const match = rest.exec(url) ?? web.exec(url)
  if (!match) return nothing
  const [, organization, pipeline, number] = match
  return {
    organization: decoded(organization),
    pipeline: decoded(pipeline),
    number: number === undefined ? undefined : Number(number),
  }
}

/** An API path with `*` for each name in it, so that it shows the kind of request but no names. */
export function endpointOf(path: string): string {
  const parts = path
    .replace(/[?#].*/s, '')
    .split('/')
    .filter(Boolean)
  // Collections and names alternate: /organizations/acme/pipelines/web/builds/7.
  return `/${parts.map((part, index) => (index % 2 === 0 ? part : '*')).join('/')}`
}

/** Returns invalid percent-encoding unchanged, and also an encoded NUL, which Postgres does not accept in text. */
function decoded(part: string | undefined): string | undefined {
  if (part === undefined) return undefined
  try {
    const text = decodeURIComponent(part)
    return text.includes('\0') ? part : text
  } catch {
    return part
  }
}
