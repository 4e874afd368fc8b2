/** What to mirror, as slugs or globs; an empty list sets no limit. */
export interface MirrorFilterConfig {
  readonly organizations: readonly string[]
  readonly pipelinesInclude: readonly string[]
  readonly pipelinesExclude: readonly string[]
}

/** Decides whether to mirror an organization or pipeline, by its slug. */
export interface MirrorFilter {
  organization(slug: string): boolean
  /** Exclusion wins over inclusion. Does not check the pipeline's organization. */
  pipeline(slug: string): boolean
  /** The patterns that `pipeline` uses. */
  readonly patterns: PipelinePatterns
}

/** Globs of pipelines to mirror and not to mirror, in lower case and sorted, so that equal filters compare equal. */
export interface PipelinePatterns {
  readonly include: readonly string[]
  readonly exclude: readonly string[]
}

/** Compiles the globs of `config` (`*` any run of characters, `?` any one; case does not matter) to a {@link MirrorFilter}. */
export function mirrorFilter(config: MirrorFilterConfig): MirrorFilter {
  const organizations = config.organizations.map(glob)
  const include = config.pipelinesInclude.map(glob)
  const exclude = config.pipelinesExclude.map(glob)
  const anyOf = (patterns: readonly RegExp[], slug: string) => patterns.some((pattern) => pattern.test(slug))
  return {
    organization: (slug) => organizations.length === 0 || anyOf(organizations, slug),
    pipeline: (slug) => (include.length === 0 || anyOf(include, slug)) && !anyOf(exclude, slug),
    patterns: { include: inOrder(config.pipelinesInclude), exclude: inOrder(config.pipelinesExclude) },
  }
}

function inOrder(patterns: readonly string[]): string[] {
  return [...new Set(patterns.map((pattern) => pattern.trim().toLowerCase()))].sort()
}

function glob(pattern: string): RegExp {
  // Several stars become one, because `**` would backtrack for very long on a long slug.
  const source = pattern
    .trim()
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replace(/\*+/g, '.*')
    .replaceAll('?', '.')
  return new RegExp(`^${source}$`, 'is')
}
