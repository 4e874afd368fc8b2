import { z } from 'zod'
import type { BuildkiteClient } from '../../buildkite/client.ts'
import type { Scope } from '../../scope.ts'
import { type Finding, failure, warning, well } from './finding.ts'

/** A pipeline as far as it matters here. */
export interface PipelineFacts {
  readonly id: string
  readonly slug: string
  /** Nothing is built in it any more. */
  readonly archived: boolean
}

const pipeline = z.looseObject({ id: z.string(), slug: z.string(), archived_at: z.unknown().optional() })

/** What is found of the pipelines of an organization that the token's user sees (pure). */
export function judgePipelines(organization: string, seen: readonly PipelineFacts[], scope: Scope): Finding[] {
  if (seen.length === 0) {
    const remedy = "Give the token's user access to pipelines: Buildkite leaves out what that user cannot see."
    return [failure('pipelines_hidden', organization, 'The token sees no pipeline.', remedy, 'no_resources')]
  }
  const wanted = seen.filter(({ slug }) => scope.pipeline(slug))
  if (wanted.length > 0) {
    return [well('pipelines_unwanted', organization, `${wanted.length} of ${seen.length} pipelines are mirrored.`)]
  }
  const detail = `None of its ${seen.length} pipelines is wanted.`
  const remedy = 'Check PIPELINES_INCLUDE and PIPELINES_EXCLUDE.'
  return [failure('pipelines_unwanted', organization, detail, remedy, 'no_resources')]
}

/** What is found of pipelines that PIPELINES_INCLUDE names without a glob, in whatever organization they are (pure). */
export function judgeNamedPipelines(names: readonly string[], seen: readonly PipelineFacts[]): Finding[] {
  const slugs = new Set(seen.map(({ slug }) => slug.toLowerCase()))
  const unseen = names.filter((name) => !/[*?]/.test(name) && !slugs.has(name.toLowerCase()))
  if (unseen.length === 0) return []
  const detail = `PIPELINES_INCLUDE names ${unseen.join(', ')}, which the token does not see.`
  const remedy =
    "Check the spelling, and that the token's user may see it: what a user cannot see, Buildkite leaves out."
  return [warning('pipelines_hidden', '', detail, remedy)]
}

/** The pipelines of an organization as REST lists them. @throws BuildkiteError */
export async function listedPipelines(
  client: BuildkiteClient | undefined,
  organization: string,
): Promise<PipelineFacts[] | undefined> {
  if (!client) return undefined
  const found: PipelineFacts[] = []
  for await (const { value } of client.pipelines(organization)) {
    for (const raw of value) {
      const { data } = pipeline.safeParse(raw)
      if (data) found.push({ id: data.id, slug: data.slug, archived: Boolean(data.archived_at) })
    }
  }
  return found
}
