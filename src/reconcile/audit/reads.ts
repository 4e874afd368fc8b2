import { BuildkiteError } from '../../runtime/errors.ts'

/** After this many consecutive failures the builds are not the cause. */
const FAILURES = 5

/** Reads single builds, and tolerates a few failures. */
export class Reads {
  #failures = 0

  /** The value of `read`, or Buildkite's error. @throws when the token is rejected, or too many reads in a row fail. */
  async attempt<T>(read: () => Promise<T>): Promise<T | { readonly failed: BuildkiteError }> {
    try {
      const value = await read()
      this.#failures = 0
      return value
    } catch (error) {
      if (!(error instanceof BuildkiteError) || error.code === 'invalid_credentials') throw error
      this.#failures += 1
      if (this.#failures >= FAILURES) throw error
      return { failed: error }
    }
  }
}
