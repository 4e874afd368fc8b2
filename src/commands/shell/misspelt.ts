import { settings } from '../../runtime/config.ts'
import { distance } from './nearest.ts'
import type { Environment } from './terminal.ts'

/** Variables of other programs that resemble a setting. */
const OTHERS = new Set(['HTTP_PROXY', 'PORTS', 'HOSTS', 'POST'])

/**
 * A sentence for each variable whose name is nearly that of a setting which is not set. An environment has many other variables, so
 * a name must differ by at most two letters, and by one if it is short.
 */
export function misspeltSettings(env: Environment): string[] {
  const known = settings.flatMap(({ name, isSecret }) => (isSecret ? [name, `${name}_FILE`] : [name]))
  const missing = known.filter((name) => !env[name])
  return Object.keys(env)
    .filter((name) => env[name] && !known.includes(name) && !OTHERS.has(name))
    .flatMap((name) => {
      const meant = missing.find((one) => distance(name, one) <= (one.length < 8 ? 1 : 2))
      return meant ? [`${name} is not a setting. Did you mean ${meant}?`] : []
    })
}
