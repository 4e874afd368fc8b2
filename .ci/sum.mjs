// Sums vitest's JSON reports, given as <file>=<exit code>, to one closing line, after what failed: of a long log the end is read first,
// and kept longest. Whatever was skipped counts as failed: a missing
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
  for (const suite of report?.testResults ?? []) {
    for (const test of suite.assertionResults.filter(({ status }) => status === 'failed')) {
      console.log(`${suite.name}: ${test.fullName}: ${test.failureMessages.join('\n').slice(0, 3000)}`)
    }
  }
  const skipped = (report?.numPendingTests ?? 0) + (report?.numTodoTests ?? 0)
  if (skipped > 0) console.log(`${skipped} tests were skipped: that counts as failed.`)
  for (const suite of unloaded ?? []) console.log(`${suite.name} could not run: ${suite.message.slice(0, 3000)}`)
  const bad = (report?.numFailedTests ?? 0) + skipped + (unloaded?.length ?? 0)
  passed += report?.numPassedTests ?? 0
  failed += bad === 0 && code !== '0' ? 1 : bad
}
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed === 0 && passed > 0 ? 0 : 1
