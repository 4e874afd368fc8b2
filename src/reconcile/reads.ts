import { BuildkiteError } from '../errors.ts'

/** After so many failures in a row it is not the build that cannot be read. */
const FAILURES = 5

/** Reads of builds by themselves, of which some may fail. */
export class Reads {
  #failures = 0

  /** The value of `read`, or the error by which Buildkite refused it. @throws when the token is refused, or too many fail in a row. */
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
