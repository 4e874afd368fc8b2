/** What the user asked to mirror: slugs or globs; an empty list sets no limit. */
export interface ScopeConfig {
  readonly organizations: readonly string[]
  readonly pipelinesInclude: readonly string[]
  readonly pipelinesExclude: readonly string[]
}

/** Answers, for one slug, whether it is to be mirrored. */
export interface Scope {
  organization(slug: string): boolean
  /** Exclusion wins over inclusion. Says nothing of the pipeline's organization: ask that too. */
  pipeline(slug: string): boolean
  /** What `pipeline` goes by. */
  readonly patterns: PipelinePatterns
}

/** Globs of pipelines to mirror and to leave out, in lower case and in order, so that the same wish has the same words. */
export interface PipelinePatterns {
  readonly include: readonly string[]
  readonly exclude: readonly string[]
}

/** Compiles the globs of `config` (`*` any run of characters, `?` any one; case does not matter) to a {@link Scope}. */
export function inScope(config: ScopeConfig): Scope {
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
  // Runs of stars are one star: `**` would otherwise backtrack without end on a long slug.
  const source = pattern
    .trim()
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replace(/\*+/g, '.*')
    .replaceAll('?', '.')
  return new RegExp(`^${source}$`, 'is')
}
