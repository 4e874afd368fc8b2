/** What a Buildkite URL names. */
export interface Slugs {
  organization: string | undefined
  pipeline: string | undefined
  number: number | undefined
}

const nothing: Slugs = { organization: undefined, pipeline: undefined, number: undefined }

// `…/organizations/{org}/pipelines/{slug}/builds/{number}…` in the REST API, wherever its base lies.
const rest = /\/organizations\/([^/?#]+)(?:\/pipelines\/([^/?#]+)(?:\/builds\/(\d+))?)?/
// `https://buildkite.com/{org}/{slug}/builds/{number}…` on the web.
const web = /^https?:\/\/[^/?#]+\/(?!v\d+(?:[/?#]|$))([^/?#]+)(?:\/([^/?#]+)(?:\/builds\/(\d+))?)?/

/**
 * The organization's slug, the pipeline's slug and the build's number that a REST or web URL of an organization, pipeline, build
 * or job names; each `undefined` where it names none. With `exclude_pipeline`, a build's URL is all that tells its pipeline.
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

/** A path of the API with `*` for each name in it: its kind of address, which tells nothing of whose it is. */
export function endpointOf(path: string): string {
  const parts = path
    .replace(/[?#].*/s, '')
    .split('/')
    .filter(Boolean)
  // Collections and names within them take turns: /organizations/acme/pipelines/web/builds/7.
  return `/${parts.map((part, index) => (index % 2 === 0 ? part : '*')).join('/')}`
}

/** A part that is no percent-encoding, or of a NUL, which Postgres takes in no text, stays as it is written. */
function decoded(part: string | undefined): string | undefined {
  if (part === undefined) return undefined
  try {
    const text = decodeURIComponent(part)
    return text.includes('\0') ? part : text
  } catch {
    return part
  }
}
