import { addPageResults, nothingFound, type PageReport, type Refused } from '../builds/build-writer.ts'

/** What a cycle has read and found so far. */
export class Tally {
  requests = 0
  builds_read = 0
  unlisted_read = 0
  results = nothingFound
  readonly refused: Refused[] = []

  add(page: PageReport): void {
    this.requests += page.requests
    this.builds_read += page.read
    this.refused.push(...page.refused)
    this.results = addPageResults(this.results, page.results)
  }

  /** As columns of sync.cycles. */
  columns() {
    const { builds, jobs } = this.results
    return {
      requests: this.requests,
      builds_read: this.builds_read,
      unlisted_read: this.unlisted_read,
      builds_missing: builds.missing,
      builds_healed: builds.healed,
      builds_in_flight: builds.in_flight,
      builds_completed: builds.completed,
      builds_confirmed: builds.confirmed,
      jobs_missing: jobs.missing,
      jobs_healed: jobs.healed,
      jobs_in_flight: jobs.in_flight,
      jobs_completed: jobs.completed,
      jobs_confirmed: jobs.confirmed,
    }
  }
}
