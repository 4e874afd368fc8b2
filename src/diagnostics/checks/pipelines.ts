import { z } from 'zod'
import type { BuildkiteClient } from '../../buildkite/client.ts'
import type { MirrorFilter } from '../../runtime/scope.ts'
import { type CheckResult, failure, ok, warning } from '../finding.ts'

/** The parts of a pipeline that the checks need. */
export interface SeenPipeline {
  readonly id: string
  readonly slug: string
  /** Archived pipelines run no more builds. */
  readonly archived: boolean
}

const pipeline = z.looseObject({ id: z.string(), slug: z.string(), archived_at: z.unknown().optional() })

/** Checks the pipelines of an organization that the token's user sees (pure). */
export function checkPipelines(
  organization: string,
  seen: readonly SeenPipeline[],
  filter: MirrorFilter,
): CheckResult[] {
  if (seen.length === 0) {
    const remedy = "Give the token's user access to pipelines: Buildkite omits those that the user cannot see."
    return [failure('pipelines_hidden', organization, 'The token sees no pipeline.', remedy, 'no_resources')]
  }
  const wanted = seen.filter(({ slug }) => filter.pipeline(slug))
  if (wanted.length > 0) {
    return [ok('pipelines_all_excluded', organization, `${wanted.length} of ${seen.length} pipelines are mirrored.`)]
  }
  const detail = `PIPELINES_INCLUDE and PIPELINES_EXCLUDE exclude all ${seen.length} pipelines.`
  const remedy = 'Change one of them, so that a pipeline remains.'
  return [failure('pipelines_all_excluded', organization, detail, remedy, 'no_resources')]
}

/** Checks that each pipeline named without a glob in PIPELINES_INCLUDE is seen in some organization (pure). */
export function checkNamedPipelines(names: readonly string[], seen: readonly SeenPipeline[]): CheckResult[] {
  const slugs = new Set(seen.map(({ slug }) => slug.toLowerCase()))
  const unseen = names.filter((name) => !/[*?]/.test(name) && !slugs.has(name.toLowerCase()))
  if (unseen.length === 0) return []
  const detail = `PIPELINES_INCLUDE names ${unseen.join(', ')}, which the token does not see.`
  const remedy =
    "Check the spelling, and that the token's user can see it: Buildkite omits pipelines that the user cannot see."
  return [warning('pipelines_hidden', '', detail, remedy)]
}

/** The pipelines of an organization as REST lists them. @throws BuildkiteError */
export async function listedPipelines(
  client: BuildkiteClient | undefined,
  organization: string,
): Promise<SeenPipeline[] | undefined> {
  if (!client) return undefined
  const found: SeenPipeline[] = []
  for await (const { value } of client.pipelines(organization)) {
    for (const raw of value) {
      const { data } = pipeline.safeParse(raw)
      if (data) found.push({ id: data.id, slug: data.slug, archived: Boolean(data.archived_at) })
    }
  }
  return found
}
