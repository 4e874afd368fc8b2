import { checkNames } from '../diagnostics/checks/tokens.ts'
import type { Discovery } from '../reconcile/access/access.ts'
import type { Config } from '../runtime/config.ts'
import type { Io, Values } from './shell/command.ts'

/**
 * Prints on stderr the organizations that BUILDKITE_ORGANIZATIONS names without a glob but no token sees. Returns whether there are any:
 * a command for all organizations is then incomplete. Prints nothing if `--organization` selects one.
 */
export function tellUnseen(discovery: Discovery, { organizations }: Config, values: Values, io: Io): boolean {
  const unseen = values.organization === undefined ? checkNames(discovery, organizations) : []
  for (const { subject, code, detail, remedy } of unseen) io.stderr.write(`${subject}: ${code}: ${detail} ${remedy}\n`)
  return unseen.length > 0
}
