import { defineConfig } from 'vitest/config'

/** Needs neither a service nor `dist`: what is computed, and Buildkite's API as a stub or simulation shows it. */
const unit = [
  'test/*.test.ts',
  'test/buildkite/!(faults|unlistable*).test.ts',
  'test/commands/command.test.ts',
  'test/simulator/{api,dispatch,faults,recorder,routes,simulation,variety,view,visibility}.test.ts',
  'test/http/{alerts,metrics,readiness}.test.ts',
  'test/mirror/{merge,read-result,reader,redact}.test.ts',
  'test/reconcile/{prefetch,proof,time-range,timeline}.test.ts',
  'test/webhooks/{allow-list,circuit-breaker,coalesce}.test.ts',
]

/** Takes long: whole services started, killed and upgraded, long properties, chaos. */
const slow = [
  'test/analytics/second/*.test.ts',
  'test/buildkite/unlistable-property.test.ts',
  'test/chaos/*.test.ts',
  'test/database/{embedded,move}.test.ts',
  'test/simulator/demo.test.ts',
  'test/e2e/!(flood).test.ts',
  'test/fuzz/*.test.ts',
  'test/property/*.test.ts',
  'test/queue/deployments.test.ts',
]

/** Measures, so it needs a machine with nothing else to do: `npm run test:flood`. */
const alone = ['test/e2e/flood.test.ts']

export default defineConfig({
  test: {
    // A busy machine is no fault: tests fail on lack of progress, and these only end what hangs.
    testTimeout: 180_000,
    hookTimeout: 180_000,
    maxWorkers: 3,
    projects: [
      {
        extends: true,
        // What these files import is loaded once, not once for each file.
        test: { name: 'unit', include: unit, exclude: slow, isolate: false },
      },
      {
        extends: true,
        test: {
          name: 'integration',
          include: ['test/**/*.test.ts'],
          exclude: [...unit, ...slow, ...alone],
          globalSetup: ['test/support/services.ts'],
        },
      },
      {
        extends: true,
        test: { name: 'slow', include: slow, globalSetup: ['test/support/services.ts'] },
      },
      {
        extends: true,
        test: { name: 'alone', include: alone, globalSetup: ['test/support/services.ts'] },
      },
    ],
  },
})
