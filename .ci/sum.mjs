// Sums vitest's JSON reports, given as <file>=<exit code>, to one closing line. Whatever was skipped counts as failed: a missing
// service must not look like success. So does a leg that ended badly for a reason that no test shows (check, build, time).
import { existsSync, readFileSync } from 'node:fs'

let passed = 0
let failed = 0
for (const argument of process.argv.slice(2)) {
  const [file, code] = argument.split('=')
  const report = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined
  const unloaded = report?.testResults.filter(
    (suite) => suite.status === 'failed' && suite.assertionResults.length === 0,
  )
  const skipped = (report?.numPendingTests ?? 0) + (report?.numTodoTests ?? 0)
  if (skipped > 0) console.log(`${skipped} tests were skipped: that counts as failed.`)
  for (const suite of unloaded ?? []) console.log(`${suite.name} could not run: ${suite.message}`)
  const bad = (report?.numFailedTests ?? 0) + skipped + (unloaded?.length ?? 0)
  passed += report?.numPassedTests ?? 0
  failed += bad === 0 && code !== '0' ? 1 : bad
}
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed === 0 && passed > 0 ? 0 : 1
