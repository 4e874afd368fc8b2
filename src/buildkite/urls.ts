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
